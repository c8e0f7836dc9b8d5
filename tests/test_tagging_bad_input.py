"""What people get wrong when they tag: each is one clear error with a way out, and nothing that stood is lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import Instag, Served
from instag.answers import FORMAT, AnswerStore

Serve = Callable[..., Served]


# Name and bytes of each file that a case names.
FILES = {
    "no-place.txt": b"Tag this, please.\n",
    "latin.txt": "Étiquettes: {query}".encode("latin-1"),
    "unknown.toml": b'[models."m"]\nintput_usd = 1.0\n',
    "broken.toml": b"[models",
    "negative.toml": b'[models."m"]\ninput_usd = -0.1\n',
    "text.toml": b'[models."m"]\ninput_usd = "much"\n',
    "bytes.toml": b"\xff\xfe",
    "empty.txt": b"",
    "patterns.txt": b"acct-[0-9]+\nProject (\n",
    "two-keys.txt": b"sk-one\nsk-two\n",
    "wrong-key.txt": b"sk-wrong\n",
    "notes.sqlite": b"some notes\n" * 200,
}

# Name, flags, exit code, message, hint.
FLAGS: list[tuple[str, list[str], int, str, str]] = [
    (
        "an unknown model",
        ["--model", "gpt-5000"],
        3,
        "`URL/v1` does not know the model (404: The model `gpt-5000` does not exist)",
        "check `--model`",
    ),
    (
        "a wrong key in a file",
        ["--key-file", "wrong-key.txt"],
        3,
        "`URL/v1` refuses the key, or the account behind it (401: Incorrect API key provided: ***.)",
        "check the key file `wrong-key.txt`, or use `--tagger keyphrase`",
    ),
    (
        "a base URL without /v1",
        ["--base-url", "URL"],
        3,
        "`URL` has no such path (404: <!DOCTYPE html>",
        "did you mean `URL/v1`? see `--base-url`",
    ),
    (
        "a path that is none",
        ["--base-url", "URL/api"],
        3,
        "`URL/api` has no such path (404: <!DOCTYPE html>",
        "check `--base-url` and `--model`; the address of an API mostly ends in `/v1`",
    ),
    (
        "a base URL without a scheme",
        ["--base-url", "localhost:8000/v1"],
        1,
        "`base_url` is `localhost:8000/v1`, which is no ",
        "it looks like `http://localhost:8000/v1`",
    ),
    (
        "a prompt without a place for the query",
        ["--prompt", "no-place.txt"],
        1,
        "the prompt `no-place.txt` has no `{query}`",
        "write `{query}` where the query goes",
    ),
    (
        "a prompt that is not UTF-8",
        ["--prompt", "latin.txt"],
        1,
        "the prompt `latin.txt` is not UTF-8: byte 0 is 0xc9",
        "save the file as UTF-8",
    ),
    (
        "a prompt that is not there",
        ["--prompt", "papper"],
        1,
        "the prompt `papper` can't be read: no such file or directory",
        "`--prompt` takes `paper`, `instagger-vicuna`, `instagger-chatml`, `closed`, or a file with `{query}` in it",
    ),
    *(
        (
            f"a budget of {usd}",
            ["--budget", usd],
            1,
            f"`budget_usd` is {float(usd)}, must be a number above 0",
            "leave `--budget` out where there is none; `--dry-run` tells the cost and asks for nothing",
        )
        for usd in ("0", "-3", "nan", "inf")
    ),
    (
        "a budget without a price",
        ["--budget", "5", "--model", "my-own"],
        1,
        "no price of `my-own` is known, so no budget can be kept",
        "give its price in a table of your own: `--prices FILE`",
    ),
    (
        "a table of prices with a key that nobody knows",
        ["--prices", "unknown.toml"],
        1,
        'unknown.toml: [models."m"]: unknown key `intput_usd`',
        "did you mean `input_usd`?",
    ),
    (
        "a table of prices that is no TOML",
        ["--prices", "broken.toml"],
        1,
        "the table of prices `broken.toml` is not TOML: ",
        "",
    ),
    (
        "a table of prices that is no text",
        ["--prices", "bytes.toml"],
        1,
        "the table of prices `bytes.toml` is not UTF-8: byte 0 is 0xff",
        "save the file as UTF-8",
    ),
    (
        "a table of prices that is not there",
        ["--prices", "absent.toml"],
        1,
        "the table of prices `absent.toml` can't be read: no such file or directory",
        "",
    ),
    (
        "a negative price",
        ["--prices", "negative.toml"],
        1,
        'negative.toml: [models."m"]: `input_usd` is -0.1, must be a number of at least 0',
        "",
    ),
    (
        "a price in words",
        ["--prices", "text.toml"],
        1,
        "text.toml: [models.\"m\"]: `input_usd` is 'much', must be a number of at least 0",
        "",
    ),
    (
        "a store from a newer version",
        ["--answers", "newer.sqlite"],
        1,
        f"`newer.sqlite` was made by a newer version of instag (format {FORMAT + 1}, this one reads {FORMAT})",
        "upgrade instag, or name another file with `--answers`; nothing was changed",
    ),
    (
        "a store that is not SQLite",
        ["--answers", "notes.sqlite"],
        1,
        "`notes.sqlite` is not a SQLite file",
        "name another file with `--answers`; nothing was changed",
    ),
    (
        "a store of something else",
        ["--answers", "people.sqlite"],
        1,
        "`people.sqlite` is a SQLite file, but no store of answers",
        "name another file with `--answers`; nothing was changed",
    ),
    (
        "a store that is a folder",
        ["--answers", "folder"],
        1,
        "`folder` is a folder",
        "a store is a file: `--answers FOLDER/answers.sqlite`",
    ),
    (
        "a store in a folder that is not there",
        ["--answers", "absent/answers.sqlite"],
        1,
        "`absent/answers.sqlite` can't be opened: `absent` is no folder",
        "name another place with `--answers`",
    ),
    (
        "no labels",
        ["--prompt", "closed", "--labels", "empty.txt"],
        1,
        "`empty.txt` holds no labels",
        "one label a line; comments begin with `#`",
    ),
    (
        "labels that are not UTF-8",
        ["--prompt", "closed", "--labels", "latin.txt"],
        1,
        "the label file `latin.txt` is not UTF-8: byte 0 is 0xc9",
        "save the file as UTF-8",
    ),
    (
        "a pattern that is none",
        ["--redact", "patterns.txt"],
        1,
        "patterns.txt:2: no regular expression: missing ), unterminated subpattern at position 8",
        "one Python regular expression a line; comments begin with `#`",
    ),
    (
        "patterns that are not UTF-8",
        ["--redact", "latin.txt"],
        1,
        "the patterns `latin.txt` are not UTF-8: byte 0 is 0xc9",
        "save the file as UTF-8",
    ),
    (
        "a key file that is not there",
        ["--key-file", "absent.txt"],
        1,
        "the key file `absent.txt` can't be read: no such file or directory",
        "name a file that holds the key alone, as one line",
    ),
    (
        "a key file without a key",
        ["--key-file", "empty.txt"],
        1,
        "the key file `empty.txt` holds 0 lines",
        "save the key alone, as one line",
    ),
    (
        "a key file with two",
        ["--key-file", "two-keys.txt"],
        1,
        "the key file `two-keys.txt` holds 2 lines",
        "save the key alone, as one line",
    ),
    (
        "a reason that is none",
        ["--retry-failed=nonsense"],
        1,
        "`retry_failed` is 'nonsense', which is no reason",
        "use one of `all`, `refused`, `not_json`, ",
    ),
    *(
        (
            f"a cap of {cap}",
            ["--requests-per-minute", cap],
            1,
            f"`requests_per_minute` is {float(cap)}, must be a number above 0",
            "leave it out where there is no cap",
        )
        for cap in ("0", "nan")
    ),
    ("a share beyond 1", ["--max-failure-rate", "7"], 2, "Invalid value for '--max-failure-rate': 7.0 is not in", ""),
]


@pytest.fixture
def place(chats: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, which is the current one, with the chats and the files that the cases name."""
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder").mkdir()
    AnswerStore(tmp_path / "newer.sqlite").__exit__(None, None, None)
    for name, statement in (
        ("newer.sqlite", f"PRAGMA user_version = {FORMAT + 1}"),
        ("people.sqlite", "CREATE TABLE people (name TEXT)"),
    ):
        connection = sqlite3.connect(tmp_path / name)
        connection.execute(statement)
        connection.close()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def served(serve: Serve) -> Served:
    """An endpoint with one model, for those who have the key."""
    return serve(model="gpt-4o-mini", key="sk-for-tests")


def contents(folder: Path) -> dict[str, Any]:
    """Every file below a folder; of a store that can be read its answers, since opening it may write it anew."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        if path.name == "answers.sqlite":
            with AnswerStore(path) as store:
                found[str(path)] = list(store.all())
        elif path.is_file() and not path.name.endswith(("-wal", "-shm")):
            found[str(path)] = path.read_bytes()
    return found


@pytest.mark.parametrize(("flags", "code", "message", "hint"), [case[1:] for case in FLAGS], ids=[c[0] for c in FLAGS])
def test_on_the_command_line(
    instag: Instag, served: Served, place: Path, flags: list[str], code: int, message: str, hint: str
) -> None:
    url = served.base_url.removesuffix("/v1")
    made = instag("tag", "chats.jsonl", "--run", "run", "--base-url", served.base_url, "--limit", 5)
    assert made.code == 0, made.err
    stood, asked = contents(place), served.requests()
    said = instag(
        *("tag", "chats.jsonl", "--run", "run", "--base-url", served.base_url),
        *(flag.replace("URL", url) for flag in flags),
    )
    assert (said.code, said.out) == (code, "")
    error, _, told = said.err.partition("\nhint: ")
    wanted = "Error: " if code == 2 else "error: "
    assert error.rpartition(wanted)[2].strip().startswith(message.replace("URL", url))
    assert told.strip().startswith(hint.replace("URL", url))
    assert bool(told) == bool(hint)
    assert contents(place) == stood
    assert served.requests() == asked


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"faults": {"html": 1.0}}, "`URL/v1` answers an HTML page: <!DOCTYPE html>"),
        ({"model": "another"}, "`URL/v1` does not know the model (404: The model `gpt-4o-mini` does not exist)"),
        ({"key": "sk-another"}, "`URL/v1` refuses the key, or the account behind it (401: "),
    ],
)
def test_an_endpoint_that_takes_nothing(
    instag: Instag, serve: Serve, place: Path, settings: dict[str, Any], message: str
) -> None:
    served = serve(**settings)
    said = instag("tag", "chats.jsonl", "--run", "run", "--base-url", served.base_url)
    assert said.code == 3
    assert said.err.startswith("error: " + message.replace("URL", served.base_url.removesuffix("/v1")))
    assert "\nhint: check " in said.err


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("budget_usd = 0", "`budget_usd` is 0, must be a number above 0\nhint: leave `--budget` out"),
        ("budget_usd = nan", "`budget_usd` is nan, must be a number above 0"),
        ('budget_usd = "5"', "`budget_usd` is '5', must be a number"),
        ("budget = 5", "unknown key `budget`\nhint: did you mean `budget_usd`?"),
        ("requests_per_minute = 0", "`requests_per_minute` is 0, must be a number above 0"),
        ('retry_failed = "nonsense"', "`retry_failed` is 'nonsense', which is no reason"),
        ('base_url = "localhost:8000"', "`base_url` is `localhost:8000`, which is no URL of an endpoint"),
        ('prompt = "no-place.txt"', "the prompt `HERE/no-place.txt` has no `{query}`"),
        ('prompt = "latin.txt"', "the prompt `HERE/latin.txt` is not UTF-8"),
        ('prompt = "closed"', "the prompt `closed` has no labels"),
        ('prompt = "closed"\nlabels = "empty.txt"', "`HERE/empty.txt` holds no labels"),
        ('redact = "patterns.txt"', "HERE/patterns.txt:2: no regular expression"),
        ('prices = "unknown.toml"', 'HERE/unknown.toml: [models."m"]: unknown key `intput_usd`'),
        ('prices = "absent.toml"', "the table of prices `HERE/absent.toml` can't be read"),
        ('key_file = "two-keys.txt"', "the key file `HERE/two-keys.txt` holds 2 lines"),
    ],
)
def test_in_a_config(instag: Instag, served: Served, place: Path, table: str, message: str) -> None:
    """The file and its table are named, and nothing is made."""
    config = place / "job.toml"
    url = "" if "base_url" in table else f'base_url = "{served.base_url}"'
    config.write_text(f'files = ["chats.jsonl"]\nrun = "run"\n[tag]\n{url}\n{table}\n')
    said = instag("run", config)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(f"error: {config}: [tag]: {message.replace('HERE', str(place))}")
    assert not (place / "run").exists()
    assert served.requests() == 0


def test_a_flag_is_not_blamed_on_the_config(instag: Instag, served: Served, place: Path) -> None:
    (place / "job.toml").write_text('files = ["chats.jsonl"]\nrun = "run"\n[tag]\nprompt = "closed"\n')
    said = instag("run", "job.toml", "--labels", "empty.txt")
    assert said.err.startswith("error: `empty.txt` holds no labels")


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder for all users."""
    if not hasattr(os, "geteuid"):
        pytest.skip("no users here to be")
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    before = os.geteuid()
    yield folder
    if before == 0:
        os.seteuid(0)
    shutil.rmtree(folder)


def test_a_store_in_a_folder_that_can_not_be_written(instag: Instag, served: Served, chats: Path, shared: Path) -> None:
    pool, run, store = shared / "chats.jsonl", shared / "run", shared / "store"
    shutil.copy(chats, pool)
    pool.chmod(0o644)
    store.mkdir()
    common = ["tag", pool, "--base-url", served.base_url, "--answers", store / "answers.sqlite"]
    assert instag(*common, "--run", run, "--limit", 5).code == 0
    stood = contents(store)
    store.chmod(0o555)
    (store / "answers.sqlite").chmod(0o444)
    if os.geteuid() == 0:
        os.seteuid(65534)  # root may write everywhere
    said = instag(*common, "--run", shared / "other")
    absent = instag(*common[:-1], store / "absent.sqlite", "--run", shared / "other")
    if os.getuid() == 0:
        os.seteuid(0)
    assert (said.code, absent.code) == (1, 1)
    for name, told in (("answers", said), ("absent", absent)):
        assert told.err == (
            f"error: `{store}/{name}.sqlite` can't be opened: `{store}` is read-only\n"
            "hint: name another place with `--answers`\n"
        )
    store.chmod(0o755)
    (store / "answers.sqlite").chmod(0o644)
    assert contents(store) == stood
