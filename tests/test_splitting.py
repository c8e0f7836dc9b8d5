"""`instag split`: tags that the pool never shows, samples of seen tags, and files that read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import Instag
from instag import ConfigError, TagTable
from instag.splitting import HELD_OUT, LEFT_OUT, POOL, SEEN, SplitSettings, split

POOLS = st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=3, unique=True), min_size=1, max_size=40)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@given(POOLS, st.integers(1, 4), st.integers(0, 5), st.integers(0, 9), st.sampled_from([0.2, 0.5, 0.9]), st.randoms())
def test_a_split_keeps_its_word(
    rows: list[list[str]], count: int, seen: int, seed: int, share: float, random: Any
) -> None:
    table = TagTable.from_series(pl.Series(rows, dtype=pl.List(pl.String)))
    eligible = np.array([random.random() < 0.9 for _ in rows])
    settings = SplitSettings(holdout_tags=count, seed=seed, min_count=1, max_share=share, eval=seen)
    ids = [str(at) for at in range(len(rows))]
    try:
        found = split(table, settings, ids=ids, eligible=eligible)
    except ConfigError:
        return
    held = {table.vocabulary[int(tag)] for tag in found.tags}
    assert len(held) == count
    in_pool = {tag for row, part in zip(rows, found.part, strict=True) if part == POOL for tag in row}
    for row, part, usable in zip(rows, found.part, eligible, strict=True):
        if not usable:
            assert part == LEFT_OUT
        elif held & set(row):
            assert part == HELD_OUT
        else:
            assert part in (POOL, SEEN)
        if part == SEEN:
            assert row
            assert set(row) <= in_pool
    assert (found.part == HELD_OUT).sum() <= share * eligible.sum()
    assert (found.part == SEEN).sum() == seen
    assert (split(table, settings, ids=ids, eligible=eligible).part == found.part).all()


def test_the_seed_draws_the_tags() -> None:
    table = TagTable.from_series(pl.Series([[chr(97 + at % 20)] for at in range(200)]))
    ids = [str(at) for at in range(200)]
    drawn = {
        tuple(split(table, SplitSettings(holdout_tags=3, seed=seed, min_count=5), ids=ids).tags.tolist())
        for seed in range(5)
    }
    assert len(drawn) == 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"holdout_tags": 0}, "`holdout_tags` is 0, must be at least 1"),
        ({"max_share": 1.0}, "must be above 0 and below 1"),
        ({"eval": -1}, "`eval` is -1, must be at least 0"),
    ],
)
def test_settings_outside_their_domain_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SplitSettings(**settings)


def test_what_cannot_be_held_out_is_explained() -> None:
    table, ids = TagTable.from_series(pl.Series([["a"], ["a"], ["b"]])), ["1", "2", "3"]
    with pytest.raises(
        ConfigError, match="only 1 can be held out: 2 tags have 1 samples or more, and at most 1 samples may go"
    ):
        split(table, SplitSettings(holdout_tags=2, min_count=1, max_share=0.34), ids=ids)
    with pytest.raises(ConfigError, match="`eval` is 2, but only 1 samples"):
        split(table, SplitSettings(holdout_tags=1, min_count=1, max_share=0.34, eval=2), ids=ids)


def made(instag: Instag, chats: Path, run: Path) -> Path:
    instag("tag", chats, "--run", run, "--tagger", "keyphrase")
    instag("normalize", run, "--min-count", 1)
    return run


def test_files_hold_the_conversations_and_their_tags(instag: Instag, chats: Path, tmp_path: Path) -> None:
    run = made(instag, chats, tmp_path / "run")
    ask = ("split", run, "--holdout-tags", 2, "--min-count", 3, "--max-share", 0.5, "--eval", 4)
    told = instag(*ask, "--json").json
    parts = {name: lines(run / "split" / f"{name}.jsonl") for name in ("pool", "heldout", "seen")}
    counts = told["counts"]
    assert {name: len(found) for name, found in parts.items()} == {name: counts[name] for name in parts}
    assert sum(map(len, parts.values())) == 40
    held = {tag["tag"] for tag in counts["held_out"]}
    tags = {name: {tag for line in found for tag in line["instag"]["tags"]} for name, found in parts.items()}
    assert not held & (tags["pool"] | tags["seen"])
    assert all(held & set(line["instag"]["tags"]) for line in parts["heldout"])
    assert tags["seen"] <= tags["pool"]
    assert [message["role"] for message in parts["pool"][0]["messages"]] == ["user", "assistant"]
    table = pl.read_parquet(run / "split" / "tags.parquet")
    assert set(table.filter("held_out")["tag"]) == held
    assert table.filter("held_out")["pool"].sum() == 0
    rows = pl.read_parquet(run / "split" / "samples.parquet")
    own = {line["instag"]["id"]: name for name, found in parts.items() for line in found}
    assert dict(rows.select("id", pl.col("part").cast(pl.String)).iter_rows()) == own
    again = instag(*ask)
    assert "not made again" in again.err
    assert instag(*ask, "--seed", 5, "--json").json["counts"]["held_out"] != counts["held_out"]
    assert "split: stands since" in instag("show", run).err


def test_the_pool_reads_again_as_the_same_samples(instag: Instag, chats: Path, tmp_path: Path) -> None:
    run = made(instag, chats, tmp_path / "run")
    instag("split", run, "--holdout-tags", 1, "--min-count", 3, "--max-share", 0.5)
    instag("tag", run / "split" / "pool.jsonl", "--run", tmp_path / "pool", "--tagger", "keyphrase")
    again = pl.read_parquet(tmp_path / "pool" / "tag" / "queries.parquet")["id"].to_list()
    assert again == [line["instag"]["id"] for line in lines(run / "split" / "pool.jsonl")]


def test_imported_tags_cannot_be_split(instag: Instag, tmp_path: Path) -> None:
    (tmp_path / "labels.jsonl").write_text('{"tags": ["x"]}\n')
    instag("import", tmp_path / "labels.jsonl", "--run", tmp_path / "run")
    instag("normalize", tmp_path / "run", "--min-count", 1)
    said = instag("split", tmp_path / "run", "--holdout-tags", 1)
    assert said.code == 1
    assert "holds imported tags, not conversations" in said.err


def test_flags_of_the_other_split_are_refused(instag: Instag, tmp_path: Path) -> None:
    said = instag("split", tmp_path, "--as-tagger", "--eval", 3)
    assert (said.code, "`--eval` is not for `--as-tagger`" in said.err) == (2, True)
    said = instag("split", tmp_path, "--held-out", 3)
    assert (said.code, "`--held-out` is for `--as-tagger`" in said.err) == (2, True)
