"""What 32 bits cannot count: rows, occurrences and row numbers beyond 2^32 come out whole, distinct tags do not wrap.

The kernels' own limits are held in `tests/limits.rs`; here are totals of pools that no test could hold.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import instag
from conftest import Instag
from instag import TagTable, _core
from instag.run import Run
from instag.shards import Gathering, TagShards

FAR = 2**33


def test_counts_of_shards_add_up_beyond_32_bits() -> None:
    words, counts = pl.Series(["a", "b", "a", "b", "a"]), np.array([FAR, 1, FAR + 5, 2, 2**32], np.int64)
    new, numbers, sums = _core.unite(words, counts, 0)
    assert pl.DataFrame(new)["tag"].to_list() == ["a", "b"]
    assert (numbers.tolist(), sums.tolist()) == ([0, 1, 0, 1, 0], [2 * FAR + 2**32 + 5, 3])
    # 2^32 more or less is no tie.
    assert _core.by_count(pl.Series(["a", "b", "c"]), np.array([1, FAR, FAR + 1], np.int64)).tolist() == [2, 1, 0]


def test_rules_of_tags_in_more_rows_than_32_bits_count() -> None:
    counts = np.array([FAR, FAR + FAR // 200], np.int64)  # one shard of the pool: the rest is told by the counts
    shard = np.arange(0, 41, 2), np.tile(np.array([0, 1], np.uint32), 20), 2
    pairs = _core.rule_candidates(*shard, counts, np.ones(2, np.uint8), 40, 0.99)
    assert [side.tolist() for side in pairs] == [[0, 1], [1, 0]]
    joint = np.array([FAR - 7, FAR - 7], np.int64)
    antecedents, consequents, together, confidence = _core.pair_rules(counts, *pairs, joint, 40, 0.99)
    assert (antecedents.tolist(), consequents.tolist(), together.tolist()) == ([0, 1], [1, 0], [FAR - 7] * 2)
    assert confidence.tolist() == [(FAR - 7) / FAR, (FAR - 7) / (FAR + FAR // 200)]


def test_rows_are_drawn_beyond_32_bits() -> None:
    drawn = _core.draw(2**40, np.random.PCG64(0).random_raw(100))
    assert len(set(drawn.tolist())) == 100
    assert drawn.max() > FAR


def test_shards_of_more_rows_than_32_bits_count() -> None:
    gathering = Gathering()
    gathering.add(TagTable.from_series(pl.Series([["a"], ["b", "a"]])))
    one = gathering.finish()
    many = TagShards(one.vocabulary, [*one._stored] * 3, [*one._maps] * 3)
    many.starts = np.array([0, 2, FAR, FAR + 2], np.int64)  # as if the second shard were as long
    assert len(many) == FAR + 2
    assert many.take(np.array([FAR + 1, 1, FAR])).to_series().to_list() == [["b", "a"], ["b", "a"], ["a"]]
    assert instag.select(many, 3, "complexity").rows.tolist() == [1, 3, FAR + 1]


def test_a_run_of_too_many_queries_ends_in_an_error(
    instag: Instag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, rows = tmp_path / "run", tmp_path / "rows.parquet"
    pl.DataFrame({"tags": [["a"]] * 30}).write_parquet(rows)
    assert instag("import", rows, "--run", run).code == 0
    before = Run(run).digest("tag")
    monkeypatch.setattr("instag.rows.MOST_ROWS", 29)
    said = instag("import", rows, rows, "--run", run)
    assert said.code == 1
    assert "error: there are more than 29 queries\nhint: make several runs of them" in said.err
    assert Run(run).digest("tag") == before
    assert not list(run.rglob("*.part"))


def test_the_largest_number_of_32_bits_is_no_tag() -> None:
    with pytest.raises(instag.DataError, match="row 0 holds the id 4294967295"):
        TagTable.from_arrays(["a"], [0, 1], [2**32 - 1])
    with pytest.raises(instag.DataError, match=r"outside 0\.\.4294967295"):
        TagTable.from_arrays(["a"], [0, 1], [2**32])
    with pytest.raises(ValueError, match="more than 32-bit ids can number\nhint: drop rare tags first"):
        _core.tag_counts(np.zeros(1, np.int64), np.zeros(0, np.uint32), 2**32)
