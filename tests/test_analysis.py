"""Analysis: every figure against its definition."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import instag
import oracle
from instag import TagTable, analyze
from instag.selection import random_order

rows_of_tags = st.lists(st.lists(st.sampled_from("abcdef"), max_size=4, unique=True), min_size=1, max_size=30)


def table_of(rows: list[list[str]]) -> TagTable:
    return TagTable.from_series(pl.Series("tags", rows, dtype=pl.List(pl.String)))


@given(rows_of_tags, st.data())
def test_sources_and_overlap_are_their_definitions(rows: list[list[str]], draw: st.DataObject) -> None:
    n = len(rows)
    held = draw.draw(st.lists(st.sets(st.sampled_from("xyz"), min_size=1), min_size=n, max_size=n))
    turns = draw.draw(st.lists(st.integers(1, 5), min_size=n, max_size=n))
    complete = draw.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    pairs = [(row, source) for row in range(n) for source in sorted(held[row])]
    membership = pl.DataFrame(pairs + pairs[:3], schema={"row": pl.Int64, "source": pl.String}, orient="row")
    found = analyze(table_of(rows), membership, turns=turns, complete=complete)
    every = set().union(*rows)
    names = list(dict.fromkeys(source for _, source in pairs))
    assert found.sources["source"].to_list() == names
    members = {name: [row for row in range(n) if name in held[row]] for name in names}
    tags = {name: set().union(*(rows[row] for row in members[name])) for name in names}
    for line in [*found.sources.to_dicts(), *found.pool.to_dicts()]:
        mine = list(range(n)) if line["source"] is None else members[line["source"]]
        distinct = set().union(*(rows[row] for row in mine))
        whole = [len(rows[row]) for row in mine if complete[row]]
        assert line["samples"] == len(mine)
        assert line["queries"] == sum(turns[row] for row in mine)
        assert line["tags"] == len(distinct)
        assert line["diversity"] == (len(distinct) / len(every) if every else 0.0)
        assert line["complexity"] == (sum(whole) / len(whole) if whole else None)
        assert line["mean_turns"] == sum(turns[row] for row in mine) / len(mine)
    assert found.overlap.rows() == [
        (a, b, len(tags[a] & tags[b]) / len(tags[b]) if tags[b] else None) for a in names for b in names
    ]
    assert found.incomplete == complete.count(False)


@given(rows_of_tags)
def test_the_curve_is_the_coverage_of_a_random_order(rows: list[list[str]]) -> None:
    found = analyze(table_of(rows)).curve.filter(pl.col("source").is_null())
    order = random_order(len(rows), len(rows), 0).tolist()
    share = oracle.coverage([set(row) for row in rows], order) if any(rows) else []
    samples = found["samples"].to_list()
    assert samples == sorted(set(samples))
    assert {samples[0], samples[-1]} == {1, len(rows)}
    assert found["coverage"].to_list() == [share[at - 1] if share else 0.0 for at in samples]


def test_a_curve_has_some_fifty_points() -> None:
    found = analyze(TagTable.from_arrays(["a"], np.zeros(1_000_001, np.int64), []))
    assert 45 <= len(found.curve.filter(pl.col("source").is_null())) <= 60


def test_top_and_rare_tags_and_zipf() -> None:
    rows = [[f"t{tag:02}" for tag in range(40) if row < 400 // (tag + 1)] for row in range(400)]
    found = analyze(table_of(rows))
    assert found.top(2).rows() == [(1, "t00", 400), (2, "t01", 200)]
    assert found.rare(1).rows() == [(40, "t39", 10)]
    assert found.zipf.exponent == pytest.approx(1.0, abs=0.01)
    assert (found.zipf.singletons, found.zipf.half) == (0, 5)
    assert analyze(table_of([["a"], ["b"]])).zipf.exponent is None


def test_a_vocabulary_may_be_larger_than_what_occurs() -> None:
    table = table_of([["a"], ["b"]])
    assert analyze(table, vocabulary_size=8).pool["diversity"].to_list() == [0.25]
    with pytest.raises(instag.DataError, match="`vocabulary_size` is 1, but 2 tags occur"):
        analyze(table, vocabulary_size=1)


def test_an_empty_table_has_nothing_in_it() -> None:
    found = analyze(table_of([]), pl.Series("source", [], dtype=pl.String))
    assert found.pool.rows() == [(None, 0, 0, 0, 0.0, None, None)]
    assert (len(found.sources), len(found.overlap), len(found.curve), len(found.tags)) == (0, 0, 0, 0)


def test_a_categorical_source_is_a_source() -> None:
    found = analyze(table_of([["a"], ["b"]]), pl.Series(["y", "x"], dtype=pl.Categorical))
    assert found.sources["source"].to_list() == ["y", "x"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (pl.Series(["x"]), "`source` has 1 entries, but 2 are needed"),
        (pl.Series(["x", None]), "holds a null"),
        (pl.DataFrame({"row": [0], "name": ["x"]}), "must have the columns `row` and `source`, found row, name"),
        (pl.DataFrame({"row": [2], "source": ["x"]}), "names the row 2, but the table has 2 rows"),
        (pl.DataFrame({"row": ["0"], "source": ["x"]}), "must hold whole numbers, found String"),
    ],
)
def test_sources_that_do_not_fit_are_refused(source: pl.Series | pl.DataFrame, message: str) -> None:
    with pytest.raises(instag.DataError, match=message):
        analyze(table_of([["a"], ["b"]]), source)


def test_a_real_corpus(data: Path) -> None:
    packages = json.loads((data / "tags" / "winget" / "index.v2.json").read_text(encoding="utf-8"))
    rows = [list(dict.fromkeys(package["Tags"] or [])) for package in packages]
    found = analyze(table_of(rows), pl.Series([package["PackageId"][0].lower() for package in packages]))
    assert found.pool["samples"].to_list() == [len(rows)]
    assert found.pool["complexity"].to_list() == [sum(map(len, rows)) / len(rows)]
    assert found.sources["samples"].sum() == len(rows)
