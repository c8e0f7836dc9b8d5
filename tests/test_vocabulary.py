"""New tags through an old vocabulary: the twin's answer, names and ids that stay, drift, runs, real tags."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import instag as package
import oracle
import oracle_vocabulary
from conftest import Instag
from instag import (
    DataError,
    Normalization,
    NormalizeSettings,
    Overrides,
    TagTable,
    Vocabulary,
    map_to_vocabulary,
    normalize,
)
from test_normalization import FirstLetter, table_of
from test_shards import Split, shards_of, splits

pytestmark = pytest.mark.filterwarnings("ignore::instag.memory.MemoryWarning")  # rows go to disk on purpose
WORDS = ["car", "Car", "cars", "CARS", "cab", "code", "coding", "b", "B", "bus", "d"]
rows_of_tags = st.lists(st.lists(st.sampled_from(WORDS), max_size=5), max_size=25)
said = st.sampled_from(
    [
        Overrides(),
        Overrides(apart=[["car", "cars"]], drop=["b"]),
        Overrides(merge=[["cab", "bus"]], rename={"code": "Code", "d": "CARS"}),
    ]
)


def vocabulary_of(made: Normalization[TagTable], **settings: Any) -> Vocabulary:
    tags = pl.DataFrame({"tag": made.table.vocabulary, "count": made.table.counts})
    return Vocabulary(made.ledger, tags, NormalizeSettings(**settings))


@given(rows_of_tags, rows_of_tags, said, st.integers(1, 3), st.booleans(), splits)
def test_mapping_equals_the_twin(
    old_rows: list[list[str]], rows: list[list[str]], said: Overrides, min_count: int, by_model: bool, split: Split
) -> None:
    settings: dict[str, Any] = {"min_count": min_count, "min_rule_count": 2, "min_rule_confidence": 0.75}
    settings |= {"stemmer": "porter"}
    settings |= {"embedder": FirstLetter(), "merge": "paper"} if by_model else {"skip": ("semantic",)}
    try:
        old = normalize(table_of(old_rows), **settings, overrides=said)
    except package.ConfigError:  # a name that is there already
        old = normalize(table_of(old_rows), **settings)
    made = map_to_vocabulary(table_of(rows), vocabulary_of(old, **settings))
    ledger = {raw: tuple(told) for raw, *told in old.ledger.select("raw", "count", "step", "into").iter_rows()}
    keys: dict[str, list[Any]] = {
        "rule": [lambda tag: (oracle.rule_form(tag), oracle.rule_form(tag, str)), oracle.rule_form],
        "semantic": [lambda tag: tag[:1].lower()] if by_model else [],
    }
    tags = old.table.vocabulary.to_list()
    expected, fates = oracle_vocabulary.map_to_vocabulary(rows, ledger, tags, keys)
    assert [set(row) for row in made.table.to_series().to_list()] == expected
    assert {raw: tuple(told) for raw, *told in made.ledger.select("raw", "step", "into").iter_rows()} == fates
    drift = oracle_vocabulary.drift(rows, fates, ledger, min_count)
    found = made.drift | {"rare_before": made.drift["anew"]["rare_before"]}
    assert {name: found[name] for name in drift} == pytest.approx(drift, abs=1e-6)
    assert made.table.vocabulary.to_list() == tags
    assert made.table.counts.tolist() == [sum(tag in row for row in expected) for tag in tags]
    assert set(made.unseen["raw"]) == {raw for raw, (step, _) in fates.items() if step == "unseen"}
    sharded = map_to_vocabulary(shards_of(rows, split), vocabulary_of(old, **settings))
    assert sharded.ledger.equals(made.ledger)
    assert sharded.drift == made.drift
    assert sharded.table.whole().ids.tolist() == made.table.ids.tolist()


@given(rows_of_tags, said)
def test_the_same_rows_come_out_the_same(rows: list[list[str]], said: Overrides) -> None:
    try:
        old = normalize(table_of(rows), min_count=2, overrides=said)
    except package.ConfigError:
        return
    made = map_to_vocabulary(table_of(rows), vocabulary_of(old, min_count=2))
    renamed = pl.col("raw").is_in(old.table.vocabulary.implode())  # a name that `rename` gave to another tag
    assert made.ledger.filter(~renamed).equals(old.ledger.filter(~renamed))
    assert made.drift["unseen_tags"] == 0


def test_lexical_keys_and_reasons() -> None:
    old = normalize(table_of([["code optimization", "web-browser", "nlp"]]), min_count=1)
    rows = [["optimize code", "webbrowser", "natural language processing", "browser", "optimise code"]]
    made = map_to_vocabulary(table_of(rows), vocabulary_of(old, min_count=1))
    assert made.ledger.select("raw", "step", "into", "evidence", "reason").rows() == [
        ("browser", "unseen", None, None, None),
        ("natural language processing", "semantic", "nlp", 1.0, "alias"),
        ("optimise code", "semantic", "code optimization", 1.0, "spelling+verb and noun+word order"),
        ("optimize code", "semantic", "code optimization", 1.0, "verb and noun+word order"),
        ("webbrowser", "semantic", "web-browser", 1.0, "compound"),
    ]
    assert made.unseen.rows() == [("browser", 1, "web-browser")]


def test_what_associations_merged_stays_merged_and_none_is_mined() -> None:
    old = normalize(table_of([["chrome", "web"]] * 3 + [["web"]]), min_count=1, min_rule_count=2)
    assert old.table.vocabulary.to_list() == ["web"]
    rows = [["Chrome"], ["golf", "web"], ["golf", "web"], ["golf", "web"]]
    made = map_to_vocabulary(table_of(rows), vocabulary_of(old, min_count=1, min_rule_count=2))
    assert made.table.to_series().to_list() == [["web"]] * 4
    assert made.drift["new_frequent_listed"] == [{"raw": "golf", "count": 3, "near": None}]


def test_what_is_no_vocabulary_is_refused() -> None:
    old = normalize(table_of([["a"]]), min_count=1)
    with pytest.raises(DataError, match="`ledger` has no column `into`"):
        Vocabulary(old.ledger.drop("into"), pl.DataFrame({"tag": ["a"], "count": [1]}), NormalizeSettings())
    with pytest.raises(DataError, match="tags that are not among `tags`: `a`"):
        Vocabulary(old.ledger, pl.DataFrame({"tag": ["b"], "count": [1]}), NormalizeSettings())
    with pytest.raises(DataError, match="`table` is a list"):
        map_to_vocabulary([["a"]], vocabulary_of(old, min_count=1))  # type: ignore[type-var]


OLD = [["git", "svn"], ["git", "merge"], ["git", "rare"], ["svn"], ["merge"]]
NEW = [["Git", "new", "rare"], ["new", "merges"], ["once"]]


@pytest.fixture
def runs(instag: Instag, tmp_path: Path) -> tuple[Path, Path]:
    for name, rows in (("old", OLD), ("new", NEW)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(json.dumps({"tags": row}) for row in rows))
        assert instag("import", tmp_path / f"{name}.jsonl", "--run", tmp_path / name).code == 0
    assert instag("normalize", tmp_path / "old", "--min-count", 2, "--min-rule-count", 9).code == 0
    return tmp_path / "old", tmp_path / "new"


def table(run: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(run / "normalize" / f"{name}.parquet")


def test_a_run_goes_through_the_vocabulary_of_another(instag: Instag, runs: tuple[Path, Path]) -> None:
    old, new = runs
    made = instag("normalize", new, "--vocabulary", old, "--json")
    assert made.code == 0
    assert table(new, "tags").rows() == [("git", 1), ("merge", 1), ("svn", 0)]
    assert table(new, "tags")["tag"].to_list() == table(old, "tags")["tag"].to_list()
    assert table(new, "ledger").select("raw", "step", "into").rows() == [
        ("new", "unseen", None),
        ("Git", "rule", "git"),
        ("merges", "rule", "merge"),
        ("once", "unseen", None),
        ("rare", "rare", None),
    ]
    assert table(new, "unseen").rows() == [("new", 2, None), ("once", 1, None)]
    drift = made.json["counts"]["vocabulary"]
    assert (drift["tags"], drift["tags_not_met"], drift["new_frequent"]) == (3, 1, 1)
    assert drift["unseen_occurrences"] == 0.5
    assert drift["queries_left_without_tags"] == pytest.approx(1 / 3, abs=1e-6)
    assert drift["anew"]["rare_before_listed"] == [{"raw": "rare", "count": 1, "old": 1}]
    assert "unseen: 2 raw tags, 50.00% of the occurrences, in 100.00% of the queries" in made.err
    assert "too rare before and now are not: rare (2)" in made.err
    # The share of the vocabulary, svn included, that the pool holds.
    assert instag("analyze", new, "--json").json["counts"]["pool"]["diversity"] == pytest.approx(2 / 3)
    assert instag("select", new, "--k", 2).code == 0


def test_a_vocabulary_that_changes_makes_what_it_made_stale(instag: Instag, runs: tuple[Path, Path]) -> None:
    old, new = runs
    assert instag("normalize", new, "--vocabulary", old, "--json").json["fresh"]
    assert not instag("normalize", new, "--vocabulary", old, "--json").json["fresh"]
    (old / "overrides.toml").write_text('merge = [["svn", "git"]]')
    refused = instag("normalize", new, "--vocabulary", old)
    assert f"`normalize` of `{old}` is stale\nhint: run `instag normalize {old}` first" in refused.err
    assert instag("show", new, "--json").json["stages"]["normalize"]["state"] == "stale"
    assert instag("normalize", old, "--min-count", 2, "--min-rule-count", 9).code == 0
    assert instag("show", new, "--json").json["stages"]["normalize"]["state"] == "stale"
    assert instag("normalize", new, "--vocabulary", old, "--json").json["fresh"]
    assert table(new, "tags")["tag"].to_list() == ["git", "merge"]
    (new / "overrides.toml").write_text('drop = ["git"]')
    (old / "normalize" / "ledger.parquet").write_bytes(b"")
    assert "is not what `normalize` wrote" in instag("normalize", new, "--vocabulary", old).err


def test_what_cannot_be_a_vocabulary_is_refused(instag: Instag, runs: tuple[Path, Path], tmp_path: Path) -> None:
    old, new = runs

    def refused(*arguments: object) -> str:
        told = instag("normalize", new, *arguments)
        assert told.code == 1
        return told.err

    assert "stage `normalize` of" in refused("--vocabulary", tmp_path / "nowhere")
    assert "the run itself" in refused("--vocabulary", new / ".." / "new")
    told = refused("--vocabulary", old, "--min-count", 3)
    assert f"`min_count` is 3, but the vocabulary of `{old}` was made with 2\nhint: leave it out" in told
    assert "`skip` is ['rule'], but" in refused("--vocabulary", old, "--skip", "rule")
    assert "`embedder` is `openai:m`, but" in refused("--vocabulary", old, "--embedder", "openai:m")
    (tmp_path / "o.toml").write_text('drop = ["git"]')
    assert "exclude each other" in refused("--vocabulary", old, "--overrides", tmp_path / "o.toml")
    assert instag("normalize", new, "--vocabulary", old, "--min-count", 2, "--embedder", "lexical").code == 0
    third = tmp_path / "third"
    assert instag("import", tmp_path / "new.jsonl", "--run", third).code == 0
    told = instag("normalize", third, "--vocabulary", new).err
    assert f"has its vocabulary from another run\nhint: name that run: `--vocabulary {old}`" in told


def test_real_tags_of_later_years(data: Path) -> None:
    with gzip.open(data / "tags" / "ask_ubuntu" / "tags.jsonl.gz") as lines:
        rows = [json.loads(line)["tags"] for line in lines]
    old = normalize(table_of(rows[:150_000]))
    made = map_to_vocabulary(table_of(rows[150_000:]), vocabulary_of(old))
    assert made.table.vocabulary.to_list() == old.table.vocabulary.to_list()
    frequent = {tag["raw"] for tag in made.drift["new_frequent_listed"]}
    assert {"16.10", "snap", "wsl"} <= frequent
    assert {"16.04", "windows-10"} <= {tag["raw"] for tag in made.drift["anew"]["rare_before_listed"]}
    assert 0.01 < made.drift["unseen_occurrences"] < 0.03
    assert made.drift["queries_left_without_tags"] < made.drift["queries_with_unseen"] < 0.06
    whole = dict(normalize(table_of(rows)).ledger.select("raw", "into").iter_rows())
    into = dict(made.ledger.filter(pl.col("step") != "unseen").select("raw", "into").drop_nulls().iter_rows())
    same = sum(whole[raw] == tag for raw, tag in into.items())
    assert same / len(into) > 0.97  # the others are called by another spelling, or were joined through new ones


class Angles:
    """An embedder of directions in a plane: `photo editing` and `image editing`, and their first words."""

    identity = "1"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        degrees = {"photo editing": 0, "image editing": 20, "photo": 0, "image": 25}  # cosines 0.94 and 0.91
        radians = np.radians([degrees.get(text, 90) for text in texts])
        return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def test_a_model_maps_by_the_thresholds_that_the_vocabulary_was_made_by(
    instag: Instag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTAG_THRESHOLDS", str(tmp_path / "t.toml"))
    old, new, embedder = tmp_path / "old", tmp_path / "new", f"{__name__}:Angles"
    for run, tag in ((old, "photo editing"), (new, "image editing")):
        (tmp_path / f"{run.name}.jsonl").write_text(json.dumps({"tags": [tag, "opera"]}))
        assert instag("import", tmp_path / f"{run.name}.jsonl", "--run", run).code == 0

    def calibrated(distance: float, differing: float) -> None:
        (tmp_path / "t.toml").write_text(
            f'format = 1\n[[embedders]]\nembedder = "{embedder}/1"\n'
            f"max_cosine_distance = {distance}\nmin_differing_cosine = {differing}\n"
        )

    def made_anew(*flags: object) -> None:
        told = instag("normalize", old, "--min-count", 1, "--embedder", embedder, "--json", *flags)
        assert told.json["fresh"]

    def mapped() -> tuple[bool, str | None, list[str]]:
        told = instag("normalize", new, "--vocabulary", old, "--embedder", embedder, "--json").json
        into = dict(table(new, "ledger").select("raw", "into").iter_rows())
        return told["fresh"], into["image editing"], [note for note in told["notes"] if "of now" in note]

    calibrated(0.1, 0.8)
    made_anew()
    assert mapped() == (True, "photo editing", [])
    calibrated(0.1, 0.95)
    assert mapped() == (False, "photo editing", [])  # the vocabulary stands as it was made
    made_anew()
    assert mapped() == (True, None, [])  # its tables are the same, what it was made by is not
    calibrated(0.01, 0.8)
    made_anew()
    assert mapped() == (True, None, [])
    made_anew("--max-cosine-distance", 0.1)
    assert mapped() == (True, "photo editing", [])
    calibrated(0.0, 0.8)
    made_anew()
    calibrated(0.1, 0.8)
    assert mapped() == (True, None, [])
    manifest = json.loads((old / "normalize" / "manifest.json").read_text())
    del manifest["counts"]["limits"]
    (old / "normalize" / "manifest.json").write_text(json.dumps(manifest))
    notes = [
        "semantic: the vocabulary does not tell its `max_cosine_distance`: 0.1, that of now",
        "semantic: the vocabulary does not tell its `min_differing_cosine`: 0.8, that of now",
    ]
    assert mapped() == (True, "photo editing", notes)
    assert mapped() == (False, "photo editing", notes)
    calibrated(0.1, 0.95)
    assert mapped()[:2] == (True, None)


class ByTopic:
    """An embedder to which all tags of one topic mean the same: guards decide among them."""

    identity = "by-topic"
    max_cosine_distance = 0.05

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        topics = ["sort", "edit", "python"]
        of_text = [next((at for at, topic in enumerate(topics) if topic in text), 3) for text in texts]
        return np.eye(4, dtype=np.float32)[of_text]


def test_guards_keep_new_tags_apart_too() -> None:
    old = normalize(table_of([["photo editing", "python 2", "sorting ascending", "数学"]]), min_count=1)
    settings: dict[str, Any] = {"min_count": 1, "embedder": ByTopic()}
    rows = [["image editing", "editing of photos", "python 3", "sorting descending", "算术"]]
    made = map_to_vocabulary(table_of(rows), vocabulary_of(old, **settings))
    assert {raw: told for raw, *told in made.ledger.select("raw", "into", "evidence", "reason").iter_rows()} == {
        "image editing": ["photo editing", 1.0, "cosine"],
        "editing of photos": ["photo editing", 1.0, "plural+function word+word order"],
        "python 3": [None, None, None],
        "sorting descending": [None, None, None],
        "算术": [None, None, None],  # in a script that the model is not known to speak
    }
    by_model = map_to_vocabulary(table_of(rows), vocabulary_of(old, **settings, merge="paper"))
    assert len(by_model.unseen) == 0
