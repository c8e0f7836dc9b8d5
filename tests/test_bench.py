"""`instag bench`: every subject at a small size, and what becomes of a peer that is missing, fails, or is wrong."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import Instag
from instag.bench import alone, generate, racing, read, timing
from instag.bench.racing import Contender, Course
from instag.errors import DataError, InstagError
from instag.progress import Talk

EXAMPLES = Path(__file__).parents[1] / "examples"
QUIET = Talk(quiet=True)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, empty again after every test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    yield folder
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("subject", ["select", "rules", "normalize", "read"])
def test_every_subject_as_json(instag: Instag, subject: str) -> None:
    said = instag("bench", subject, "--samples", 2_000, "--json", "--quiet")
    assert (said.code, said.err) == (0, "")
    found: list[dict[str, Any]] = json.loads(said.out)
    assert found
    for row in found:
        assert row["samples"] == 2_000
        assert row["versions"]["instag"]
        assert row["machine"]["cores"]
        if row["error"] is None:
            assert min(*row["instag"]["seconds"], *row["peer"]["seconds"]) > 0
            assert row["ratio"]["min"] <= row["ratio"]["median"] <= row["ratio"]["max"]
        else:
            assert "`cc`" in row["error"]


@pytest.mark.parametrize("subject", ["rules", "normalize"])
def test_peers_take_part_or_are_named(instag: Instag, subject: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(racing, "installed", lambda module: module in ("Stemmer", "fim") and racing_installed(module))
    found = json.loads(instag("bench", subject, "--samples", 1_000, "--peers", "--json", "--quiet").out)
    told = {row["peer"]["name"]: row["error"] for row in found}
    if subject == "rules":
        assert told["X^T X in scipy"] == "not installed: pip install scipy"
        assert told["mlxtend"] == "not installed: pip install mlxtend pandas scipy"
    else:
        assert told["pyarrow, dictionary read"] == "not installed: pip install pyarrow"
        assert told["Polars + PyStemmer"] in (None, "not installed: pip install PyStemmer")


racing_installed = racing.installed


def test_without_a_compiler_the_rows_say_so(instag: Instag, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said = instag("bench", "select", "--samples", 1_000)
    assert said.code == 0
    assert said.out.count("| not installed: no C compiler `cc` on the PATH |") == 6
    assert "making" not in said.err


@pytest.mark.parametrize("bad", [["--samples", "999"], ["--samples", "100000001"], ["--samples", "many"], []])
def test_bad_usage_is_refused(instag: Instag, bad: list[str]) -> None:
    arguments = ["bench", "select", *bad] if bad else ["bench", "select", "--input", EXAMPLES / "chats.json"]
    said = instag(*arguments)
    assert (said.code, said.out) == (2, "")


def test_help_names_the_subjects_and_an_example(instag: Instag) -> None:
    said = instag("bench", "--help")
    assert "{select|rules|normalize|read}" in said.out
    assert "instag bench select --samples 10000000" in said.out


def test_files_of_the_user_are_repeated(instag: Instag, tmp_path: Path) -> None:
    chats = tmp_path / "chats.jsonl"
    turns = [{"from": "human", "value": "Hé"}, {"from": "gpt", "value": "yes"}]
    chats.write_text(json.dumps({"conversations": turns}) + "\n\n", encoding="utf-8")
    inputs = [chats, EXAMPLES / "multilingual.jsonl", EXAMPLES / "writing_and_code.jsonl"]
    named = [part for path in inputs for part in ("--input", path)]
    found = json.loads(instag("bench", "read", *named, "--samples", 1_000, "--json", "--quiet").out)
    assert len(found) == 3 * 3
    read.make(tmp_path, 1_000, chats)
    lines = read.file_of(tmp_path).read_text("utf-8").splitlines()
    assert len(set(lines)) == 1_000
    assert json.loads(lines[-1])["conversations"] == [{"from": "human", "value": "Hé 999"}, turns[1]]


@pytest.mark.parametrize("text", ["", "{}\n", "[1]\n", "{\n", '{"messages": []}\n', '{"prompt": "a"}\n3\n'])
def test_a_file_that_cannot_be_repeated_is_named(instag: Instag, tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text(text)
    said = instag("bench", "read", "--input", path, "--samples", 1_000)
    assert (said.code, said.out) == (1, "")
    assert f"error: `{path}`" in said.err


def course(contenders: dict[str, Contender], remake: str | None = None) -> Course:
    return Course(__name__, {"ours": CONTENDERS["ours"], **contenders}, 7, lambda folder: None, QUIET, remake=remake)


BACKTRACE = b"memory allocation of 5 bytes failed\nstack backtrace:\n   0: one\n      at two\nnote: some details\n"
CONTENDERS = {
    "ours": Contender(lambda folder: 3, lambda three, *settings: three),
    "wrong": Contender(lambda folder: 4, lambda four: four),
    "raises": Contender(lambda folder: 3, lambda three: three / 0),
    "too large": Contender(lambda folder: 3, lambda three: len(bytes(alone.LIMIT_BYTES + 1))),
    "sleeps": Contender(lambda folder: 3, lambda three, *settings: time.sleep(60)),
    "dies": Contender(lambda folder: os.kill(os.getpid(), signal.SIGSEGV), lambda form: form),
    "aborts": Contender(lambda folder: os.write(2, BACKTRACE) and os.abort(), lambda form: form),
    "prints": Contender(lambda folder: print("noise"), lambda form: print("noise") or 3),
}


def same(ours: Any, theirs: Any) -> bool:
    return bool(ours == theirs)


@pytest.mark.parametrize(
    ("peer", "error"),
    [
        ("raises", "ZeroDivisionError: division by zero"),
        ("too large", "MemoryError"),
        ("sleeps", "passed 2 s"),
        ("dies", "killed by SIGSEGV"),
        ("aborts", "killed by SIGABRT: memory allocation of 5 bytes failed"),
    ],
)
def test_a_peer_that_fails_is_a_row(peer: str, error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(racing, "LIMIT_SECONDS", 2.0)
    with course(CONTENDERS, remake="7") as races:
        done = races.race("ours", peer, same=same, peer_runs=1)
    assert done.error is not None
    assert done.error.startswith(error)
    assert done.command == shlex.join(["python", "-m", "instag.bench.alone", __name__, peer, "7"])
    assert error in done.row
    assert done.command in done.row
    assert done.ours.seconds
    assert (done.ratios, done.met, done.as_json()["ratio"]) == ((), None, None)


def test_a_peer_that_prints_is_heard_out() -> None:
    with course(CONTENDERS) as races:
        assert races.race("ours", "prints", same=same).error is None


def test_a_different_answer_is_no_row() -> None:
    with course(CONTENDERS) as races, pytest.raises(InstagError, match="instag and wrong give different answers"):
        races.race("ours", "wrong", same=same)


def test_a_failure_of_ours_is_no_row() -> None:
    with course(CONTENDERS) as races, pytest.raises(InstagError, match="instag failed: ZeroDivisionError"):
        races.race("raises", "ours", same=same)


def test_the_command_of_a_row_runs() -> None:
    command = [sys.executable, "-m", "instag.bench.alone", "instag.bench.selection", "Python heap", "1000", "10"]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert told["seconds"] > 0


def test_interrupted_it_leaves_nothing(temporary: Path) -> None:
    command = [sys.executable, "-m", "instag.cli", "bench", "select", "--samples", "300000", "--json"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None
    process.stderr.readline()
    assert "beside" in process.stderr.readline()
    assert list(temporary.iterdir())
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "interrupted: temporary files are removed" in error


def test_importing_instag_imports_none_of_it() -> None:
    code = "import sys, instag.cli, instag\nprint([name for name in sys.modules if name.startswith('instag.bench')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_the_pool_is_the_same_at_any_size() -> None:
    offsets, ids = generate.tag_table(260_000)
    few = generate.tag_table(3_000)
    assert np.array_equal(few[0], offsets[:3_001])
    assert np.array_equal(few[1], ids[: few[0][-1]])
    assert 4.4 < len(ids) / 260_000 < 4.6
    within = np.ones(len(ids), bool)
    within[offsets[:-1]] = False
    assert (ids[1:] > ids[:-1])[within[1:]].all()


def test_a_promise_is_held_by_the_median() -> None:
    ours, peer = timing.Timed("instag", (1.0, 2.0, 4.0), 1 << 20), timing.Timed("peer", (8.0,))
    done = timing.Comparison("task | more", 1_000, ours, peer, 4.0)
    assert (done.ratios, done.met) == ((8.0, 4.0, 2.0), True)
    assert done.row.endswith("| 2 s | peer | 8 s | 4x (2 - 8) | 4x met | 1 |  |")


def test_a_record_that_no_one_can_repeat_raises(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no\.jsonl"):
        read.records(tmp_path / "no.jsonl")
