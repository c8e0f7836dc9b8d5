"""Shards: every stage gives what it gives for the one table of all rows, however they are cut, wherever they lie."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import instag
from instag import TagTable
from instag.shards import Gathering, TagShards, each

pytestmark = pytest.mark.filterwarnings("ignore::instag.memory.MemoryWarning")  # rows go to disk on purpose
tags = st.sampled_from([*"abcdefgh", "Web Dev", "web devs", "web-dev", "é", "数学", "json to csv", "csv to json"])
groups = st.lists(st.tuples(st.lists(tags, max_size=6), st.integers(1, 9)), max_size=9)
rows_of_tags = groups.map(lambda groups: [row for row, times in groups for _ in range(times)])
# (where to cut, as shares; bytes kept in memory; strings that may wait)
splits = st.tuples(
    st.lists(st.floats(0, 1), max_size=5), st.sampled_from([0, 100, 1 << 30]), st.sampled_from([0, 5, 1 << 30])
)
Split = tuple[list[float], int, int]


def series(rows: Sequence[Sequence[str]]) -> pl.Series:
    return pl.Series("tags", rows, dtype=pl.List(pl.String))


def shards_of(rows: Sequence[Sequence[str]], split: Split) -> TagShards:
    cuts, spill_above, merge_above = split
    bounds = [0, *sorted(round(cut * len(rows)) for cut in cuts), len(rows)]
    gathering = Gathering(spill_above=spill_above, merge_above=merge_above)
    for start, end in pairwise(bounds):
        gathering.add(TagTable.from_series(series(rows[start:end])))
    return gathering.finish()


def same_table(one: TagTable | TagShards, other: TagTable | TagShards) -> None:
    a, b = one.whole(), other.whole()
    assert one.vocabulary.to_list() == other.vocabulary.to_list()
    assert one.counts.tolist() == other.counts.tolist()
    assert len(one) == len(other) == len(a)
    assert a.offsets.tolist() == b.offsets.tolist()
    assert a.ids.tolist() == b.ids.tolist()


@given(rows_of_tags, splits)
def test_shards_are_the_table_of_their_rows(rows: list[list[str]], split: Split) -> None:
    same_table(shards_of(rows, split), TagTable.from_series(series(rows)))


@given(rows_of_tags, splits, st.lists(st.floats(0, 1, exclude_max=True), max_size=9))
def test_rows_are_taken_in_the_order_asked(rows: list[list[str]], split: Split, wanted: list[float]) -> None:
    numbers = np.array([int(share * len(rows)) for share in wanted if rows], np.int64)
    taken = shards_of(rows, split).take(numbers)
    same_table(taken, TagTable.from_series(series(rows)).take(numbers))
    assert [set(row) for row in taken.to_series().to_list()] == [set(rows[number]) for number in numbers]


@given(rows_of_tags, splits, st.integers(1, 4), st.sampled_from([0.5, 0.8, 1.0]))
def test_normalize_gives_the_same(rows: list[list[str]], split: Split, min_count: int, confidence: float) -> None:
    settings: dict[str, Any] = {"min_count": min_count, "min_rule_count": 2, "min_rule_confidence": confidence}
    one = instag.normalize(TagTable.from_series(series(rows)), **settings)
    made = instag.normalize(shards_of(rows, split), **settings)
    same_table(made.table, one.table)
    assert made.ledger.equals(one.ledger)
    assert made.steps.equals(one.steps)
    assert made.notes == one.notes


@given(rows_of_tags, splits, st.sampled_from([0.3, 0.7, 1.0]))
def test_rules_and_itemsets_are_the_same(rows: list[list[str]], split: Split, confidence: float) -> None:
    table, shards = TagTable.from_series(series(rows)), shards_of(rows, split)
    for length in (1, 2):
        settings: dict[str, Any] = {"min_count": 2, "min_confidence": confidence, "max_antecedent": length}
        assert instag.association_rules(shards, **settings).equals(instag.association_rules(table, **settings))
    assert instag.frequent_itemsets(shards, min_count=2).equals(instag.frequent_itemsets(table, min_count=2))


@given(rows_of_tags, splits, st.data())
def test_analyze_gives_the_same(rows: list[list[str]], split: Split, data: st.DataObject) -> None:
    source = pl.Series(
        data.draw(st.lists(st.sampled_from("abc"), min_size=len(rows), max_size=len(rows))), dtype=pl.String
    )
    complete = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    one = instag.analyze(TagTable.from_series(series(rows)), source, complete=complete)
    made = instag.analyze(shards_of(rows, split), source, complete=complete)
    for name in ("sources", "pool", "overlap", "curve", "tags"):
        assert getattr(made, name).equals(getattr(one, name)), name
    assert (made.zipf, made.incomplete) == (one.zipf, one.incomplete)


def selected_or_told(samples: Any, k: int, method: Any, settings: dict[str, Any]) -> Any:
    """The selection, or what the error says."""
    try:
        return instag.select(samples, k, method, **settings)
    except instag.DataError as error:
        return str(error)


@given(rows_of_tags, splits, st.integers(1, 60), st.data())
def test_select_gives_the_same(rows: list[list[str]], split: Split, k: int, data: st.DataObject) -> None:
    table, shards = TagTable.from_series(series(rows)), shards_of(rows, split)
    settings: dict[str, Any] = {"eligible": data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))}
    floats = st.lists(st.sampled_from([0.5, 1.0, 2.5, -1.0]), min_size=len(rows), max_size=len(rows))
    for method in instag.selection.METHODS:
        ranked: dict[str, Any] = {}
        if method in instag.selection.RANKED and data.draw(st.booleans()):
            ranked["complexity"] = data.draw(floats)
        if method == "controlled":
            ranked["target_mean_tags"] = 1.5
        one, made = (selected_or_told(samples, k, method, {**settings, **ranked}) for samples in (table, shards))
        if isinstance(one, str) or isinstance(made, str):  # no such samples in this pool
            assert one == made
            continue
        for name in ("rows", "rounds", "gains", "coverage", "mean_tags", "notes"):
            assert np.array_equal(getattr(made, name), getattr(one, name)), (method, name)
        assert np.array_equal(made.random.coverage, one.random.coverage)
        assert made.random.mean_tags_std == one.random.mean_tags_std


def test_a_guess_of_too_few_rounds_is_made_good() -> None:
    """The first shard needs one round for k samples; the pool, whose other shards repeat few tags, needs many."""
    rows = [[f"rare {i}"] for i in range(3)] + [["a", "b"]] * 40 + [["b"], ["a"]] * 40
    shards, table = shards_of(rows, ([0.01, 0.3, 0.7], 0, 0)), TagTable.from_series(series(rows))
    for k in (1, 3, 50, 120, 200):
        made, one = instag.select(shards, k), instag.select(table, k)
        assert made.rows.tolist() == one.rows.tolist()
        assert made.rounds is not None
        assert one.rounds is not None
        assert made.rounds.tolist() == one.rounds.tolist()


def test_an_error_in_one_shard_ends_the_work() -> None:
    shards, seen = shards_of([["a"]] * 50, ([0.1, 0.2, 0.3, 0.4], 0, 0)), []

    def fail(shard: TagTable, first: int) -> int:
        seen.append(first)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(each(shards, fail))
    assert len(seen) < 5


def test_rows_that_vanish_from_the_temporary_folder_are_told() -> None:
    shards = shards_of([["a"], ["b", "a"]], ([0.5], 0, 0))
    folder = Path(shards._stored[0].folder.path)  # type: ignore[union-attr]
    (folder / "00001.rows").write_bytes(b"12345678")
    with pytest.raises(instag.ArtifactError, match="is not what was written there"):
        shards.shard(1)
    (folder / "00000.rows").unlink()
    with pytest.raises(instag.ArtifactError, match="cannot be read"):
        shards.shard(0)
    del shards
    assert not folder.exists()


def test_a_temporary_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(instag.ArtifactError, match="could not be written"):
        shards_of([["a"]], ([], 0, 0))
