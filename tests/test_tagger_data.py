"""Tagging answers as training data: what enters, what is held out, and that the model is asked as it was taught."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from conftest import Instag
from instag import ConfigError, DataError
from instag.prompt import load_prompt
from instag.replies import parse
from instag.run import Run
from instag.tagger_data import tagger_conversations

ROWS: list[tuple[str, list[str], list[str], str]] = [
    ("Write a poem.", ["Poem", "writing"], ["asks for one", "asks to"], "ok"),
    ("write  a POEM.", ["Poem"], [], "ok"),
    ("Write a poem.", ["Poem", "writing"], ["asks for one", "asks to"], "ok"),
    ("Add 1 and 2.", ["poems", "Poem", "rare"], ["why 1", "why 2", "why 3"], "ok"),
    ("???", [], [], "ok"),
    ("Gone.", [], [], "failed"),
    ("Only rare.", ["rare"], ["so"], "ok"),
]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = Run(tmp_path)
    lists = pl.List(pl.String)
    columns: dict[str, Any] = {"query": pl.String, "tags": lists, "explanations": lists, "status": pl.String}
    frame = pl.DataFrame(ROWS, schema=columns, orient="row")
    ids = pl.Series("id", [str(at) for at in range(len(frame))])
    with made.write("tag", settings={}, inputs={}) as out:
        out.table("queries", frame.with_columns(ids, pl.lit(0, pl.Int32).alias("turn")))
        out.counts |= {"label": "by hand"}
    ledger = {"raw": ["Poem", "poems", "writing", "rare"], "into": ["poem", "poem", "writing", None]}
    with made.write("normalize", settings={}, inputs={"stages": {"tag": made.digest("tag")}}) as out:
        out.table("ledger", pl.DataFrame(ledger))
    return made


def answers(frame: pl.DataFrame) -> dict[str, list[dict[str, str]]]:
    return {query: json.loads(answer) for query, answer in frame.select("query", "answer").iter_rows()}


def test_what_enters(run: Run) -> None:
    made = tagger_conversations(run, held_out=0)
    assert made.counts == {"queries": 7, "failed": 1, "repeated": 1, "untagged": 1, "train": 4, "held_out": 0}
    assert repr(made) == "TaggerData(4 to train on, 0 held out)"
    told = answers(made.train)
    assert told["Write a poem."] == [
        {"tag": "Poem", "explanation": "asks for one"},
        {"tag": "writing", "explanation": "asks to"},
    ]
    assert told["write  a POEM."] == [{"tag": "Poem", "explanation": ""}]
    assert list(told) == ["Write a poem.", "write  a POEM.", "Add 1 and 2.", "Only rare."]


def test_normalized_tags_are_what_the_ledger_made_of_them(run: Run) -> None:
    made = tagger_conversations(run, "normalized", held_out=0)
    told = answers(made.train)
    assert told["Add 1 and 2."] == [{"tag": "poem", "explanation": "why 1"}]
    assert "Only rare." not in told
    assert made.counts["untagged"] == 2


def test_a_conversation_is_what_the_tagger_is_asked(run: Run) -> None:
    made = tagger_conversations(run, held_out=1)
    (held,) = made.conversations("held_out")
    train = list(made.conversations())
    assert len(train) == 3 - (len(made.held_out) - 1)
    query, answer = made.held_out.row(0)[2:]
    assert held == [*load_prompt("instagger-vicuna").messages(query), {"role": "assistant", "content": answer}]
    assert list(parse(answer).tags) == [(tag["tag"], tag["explanation"]) for tag in json.loads(answer)]
    with pytest.raises(ConfigError, match="`part` is 'test'"):
        list(made.conversations("test"))


@pytest.mark.parametrize("seed", range(8))
def test_text_that_differs_in_case_alone_stays_together(run: Run, seed: int) -> None:
    made = tagger_conversations(run, held_out=1, seed=seed)
    sides = [set(answers(frame)) & {"Write a poem.", "write  a POEM."} for frame in (made.train, made.held_out)]
    assert sorted(map(len, sides)) == [0, 2]


def test_settings_that_leave_nothing_are_refused(run: Run) -> None:
    with pytest.raises(ConfigError, match="`held_out` is 1000, but there are 4 queries to learn from"):
        tagger_conversations(run)
    with pytest.raises(ConfigError, match="`tags` is 'rare'"):
        tagger_conversations(run, "rare")
    with pytest.raises(ConfigError, match="must be at least 0"):
        tagger_conversations(run, held_out=-1)


def test_files_of_a_run(instag: Instag, chats: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    instag("tag", chats, "--run", run, "--tagger", "keyphrase")
    told = instag("split", run, "--as-tagger", "--held-out", 5, "--json").json
    assert (told["counts"]["train"], told["counts"]["held_out"]) == (35, 5)
    found: dict[str, list[Any]] = {}
    for name in ("train", "held_out"):
        found[name] = [json.loads(line) for line in (run / "tagger" / f"{name}.jsonl").read_text().splitlines()]
    assert [len(part) for part in found.values()] == [35, 5]
    assert [m["role"] for m in found["train"][0]["messages"]] == ["system", "user", "assistant"]
    assert "run `instag normalize` first" in instag("split", run, "--as-tagger", "--tags", "normalized").err
    assert "not made again" in instag("split", run, "--as-tagger", "--held-out", 5).err


def test_imported_tags_have_no_text_to_learn_from(instag: Instag, tmp_path: Path) -> None:
    (tmp_path / "labels.jsonl").write_text('{"tags": ["x"]}\n')
    instag("import", tmp_path / "labels.jsonl", "--run", tmp_path / "run")
    with pytest.raises(DataError, match="it was imported"):
        tagger_conversations(tmp_path / "run")


def test_normalized_answers_hold_the_tags_that_normalize_gave(instag: Instag, data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    instag("tag", data / "instructions" / "gpteacher" / "*.json", "--run", run, "--tagger", "keyphrase")
    instag("normalize", run, "--min-count", 5)
    made = tagger_conversations(run, "normalized", held_out=100)
    queries = pl.read_parquet(run / "normalize" / "queries.parquet")
    tags = {(name, turn): set(tags) for name, turn, tags in queries.select("id", "turn", "tags").iter_rows()}
    for name, turn, _, answer in pl.concat([made.train, made.held_out]).iter_rows():
        assert {tag["tag"] for tag in json.loads(answer)} == tags[name, turn]
    assert len(made.held_out) == 100


def test_what_was_held_out_can_be_tagged_by_another_and_compared(instag: Instag, chats: Path, tmp_path: Path) -> None:
    run, again = tmp_path / "run", tmp_path / "again"
    instag("tag", chats, "--run", run, "--tagger", "keyphrase")
    counts = instag("split", run, "--as-tagger", "--held-out", 5, "--json").json["counts"]
    instag("tag", run / "tagger" / "queries.jsonl", "--run", again, "--tagger", "keyphrase")
    said = instag("agree", run, again, "--join", "query", "--json")
    assert said.code == 0, said.err
    assert said.json["counts"]["compared"] == counts["held_out"] >= 5
    assert said.json["counts"]["only_in_a"] > 0
    assert said.json["exact"]["f1"]["value"] == 1.0
    assert "samples have no text of one query" in instag("agree", run, again, "--join", "query", "--by", "sample").err
