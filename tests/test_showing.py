"""What a person is shown: what stands in a run and what to do, failures as nulls, nothing unprintable."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import Instag
from instag.progress import Talk
from instag.tagger import Progress

FLAGS = ("--min-count", 2, "--min-rule-count", 3, "--k", 8)


@pytest.fixture
def run(instag: Instag, chats: Path, tmp_path: Path) -> Path:
    """A whole run over the fixture `chats`, offline."""
    assert instag("run", chats, "--run", tmp_path / "run", "--tagger", "keyphrase", *FLAGS).code == 0
    return tmp_path / "run"


def told(instag: Instag, run: Path) -> list[str]:
    """The warnings of `instag show`."""
    said = instag("show", run)
    assert (said.code, said.out) == (0, "")
    return [line for line in said.err.splitlines() if line.startswith("warning: ")]


def test_show_of_a_whole_run_warns_of_nothing(instag: Instag, run: Path) -> None:
    assert told(instag, run) == []


def test_show_says_which_command_makes_a_stale_stage_again(instag: Instag, run: Path) -> None:
    instag("normalize", run, "--min-count", 3)
    assert told(instag, run) == [
        "warning: `analyze` is stale: `instag analyze` makes it again",
        "warning: `select` is stale: `instag select` makes it again",
    ]


def test_show_says_what_a_stage_waits_for_where_its_source_is_stale_itself(
    instag: Instag, run: Path, chats: Path
) -> None:
    with open(chats, "a") as file:
        file.write('{"instruction": "One more."}\n')
    assert told(instag, run) == [
        "warning: `tag` is stale: `instag tag` makes it again",
        "warning: `normalize` is stale: it waits for `tag`",
        "warning: `analyze` is stale: it waits for `tag`",
        "warning: `select` is stale: it waits for `tag`",
    ]


def test_show_names_import_where_the_tags_were_imported(instag: Instag, tmp_path: Path) -> None:
    path = tmp_path / "tagged.jsonl"
    path.write_text('{"tags": ["a", "b"]}\n' * 3)
    assert instag("import", path, "--run", tmp_path / "run").code == 0
    path.write_text('{"tags": ["a"]}\n')
    assert told(instag, tmp_path / "run") == ["warning: `tag` is stale: `instag import` makes it again"]


def test_show_tells_damaged_unfinished_and_absent_stages(instag: Instag, run: Path) -> None:
    (run / "select" / "picks.parquet").write_bytes(b"cut off")
    (run / "analyze" / "manifest.json").unlink()
    said = instag("show", run)
    assert "warning: `select` is damaged: `instag select` makes it again" in said.err
    assert "analyze: unfinished" in said.err.splitlines()
    for path in (run / "analyze").iterdir():
        path.unlink()
    (run / "analyze").rmdir()
    assert "analyze: absent" in instag("show", run).err.splitlines()


def test_a_failed_sample_is_annotated_with_null_and_not_with_no_tags(
    instag: Instag, chats: Path, tmp_path: Path, serve: Callable[..., Any]
) -> None:
    run, server = tmp_path / "run", serve(replies={"prose": 0.3})
    two = [{"role": "user", "content": text} for text in ("Write a poem about rain.", "And what of snow?", "Or hail?")]
    with open(chats, "a") as file:
        file.writelines(
            json.dumps({"messages": [*two, {"role": "user", "content": f"And {n}?"}]}) + "\n" for n in "abc"
        )
    said = instag("run", chats, "--run", run, "--base-url", server.base_url, "--max-failure-rate", 1, *FLAGS)
    assert said.code == 0, said.err
    assert instag("export", run, "--annotated").code == 0
    lines = (run / "annotated.jsonl").read_text().splitlines()
    notes = [(json.loads(line)["instag"], len(json.loads(line).get("messages", [0]))) for line in lines]
    lost = [note for note, turns in notes if note["failed_turns"] == turns]
    partly = [note for note, turns in notes if 0 < note["failed_turns"] < turns]
    assert lost
    assert partly
    assert {(note["tags"], note["count"], note["rank"]) for note in lost} == {(None, None, None)}
    assert all(note["count"] == len(note["tags"]) for note, turns in notes if note["failed_turns"] < turns)
    assert all(note["rank"] is None for note in partly)


# ---- what does not print ----

ODD = "red \x1b[31m\x07 \u202e\x9b2J\r end"


def test_tags_sources_and_files_never_steer_a_terminal(instag: Instag, tmp_path: Path) -> None:
    path = tmp_path / "odd\x1b[2J.jsonl"
    path.write_text("".join(json.dumps({"tags": [ODD, "plain"], "from": ODD}) + "\n" for _ in range(5)))
    run = tmp_path / "run"
    said = [
        instag("import", path, "--run", run, "--source-column", "from"),
        instag("normalize", run, "--min-count", 2),
        instag("analyze", run),
        instag("select", run, "--k", 2),
        instag("show", run),
    ]
    assert [one.code for one in said] == [0] * 5
    assert all(char.isprintable() or char == "\n" for one in said for char in one.err)
    assert "red ·[31m· ··2J· end" in said[2].err
    assert "odd·[2J" in said[0].err


def test_errors_never_steer_a_terminal(instag: Instag, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({ODD: 1, "b": 2}))
    for arguments in (["tag", path], ["tag", tmp_path / ODD], ["import", path, "--column", ODD]):
        said = instag(*arguments, "--run", tmp_path / "run", *(["--tagger", "keyphrase"] * (arguments[0] == "tag")))
        assert said.code == 1
        assert "error: " in said.err
        assert all(char.isprintable() or char == "\n" for char in said.err), said.err


def test_json_keeps_what_the_terminal_does_not(instag: Instag, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text((json.dumps({"tags": [ODD]}) + "\n") * 5)
    run = tmp_path / "run"
    instag("import", path, "--run", run)
    instag("normalize", run, "--min-count", 2)
    assert instag("analyze", run, "--json").json["counts"]["top"][0]["tag"] == ODD


def test_a_line_of_talk_keeps_its_breaks_alone(capsys: pytest.CaptureFixture[str]) -> None:
    Talk().line("a\tb\n\x1b[1mc 数学 é")
    assert capsys.readouterr().err == "a·b\n·[1mc 数学 é\n"


def test_progress_in_lines_counts_in_the_plural(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("instag.progress._SECONDS_BETWEEN_LINES", 0.0)
    for total, unit in ((14877, "tag"), (1, "tag"), (None, "file"), (4096, "B")):
        with Talk().bar("embedding", total=total, unit=unit) as advance:
            advance(1)
    with Talk().progress("tagging") as hook:
        hook(Progress(1, 2, 0, 0, 0, 0))
        hook(Progress(1, 1, 0, 0, 0, 0))
    lines = capsys.readouterr().err.splitlines()
    assert lines[:4] == [
        "embedding: 1 of 14,877 tags",
        "embedding: 1 of 1 tag",
        "embedding: 1 file",
        "embedding: 1 of 4,096 B",
    ]
    assert [line.split(",")[0] for line in lines[4:]] == ["tagging: 1 of 2 queries", "tagging: 1 of 1 query"]
