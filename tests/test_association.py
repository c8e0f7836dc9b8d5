"""Pair rules and their merges: equal to the literal definition; 40 is a number of rows, never a share of them."""

from __future__ import annotations

from random import Random

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracle
from instag import TagTable, _core, association

tags = st.sampled_from([*"abcdefgh", "b1", "é", "数学"])
some_rows = st.lists(st.lists(tags, max_size=7), max_size=24)
# A few rows many times over: high confidences and cycles are common there.
associated = st.lists(st.tuples(st.lists(tags, max_size=5), st.integers(1, 9)), max_size=9).map(
    lambda groups: [row for row, times in groups for _ in range(times)]
)
rows_of_tags = some_rows | associated
thresholds = st.tuples(st.integers(1, 6), st.sampled_from([0.01, 0.1, 0.3, 0.5, 2 / 3, 0.8, 0.9, 0.99, 1.0]))


def table_of(rows: list[list[str]]) -> TagTable:
    return TagTable.from_series(pl.Series("tags", rows, dtype=pl.List(pl.String)))


def ranks_of(table: TagTable) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    by_name = sorted(range(len(table.vocabulary)), key=lambda tag: table.vocabulary[tag].encode())
    return np.argsort(np.array(by_name, dtype=np.uint32)).astype(np.uint32)


def pair_rules(rows: list[list[str]], min_count: int, min_confidence: float) -> list[oracle.Rule]:
    table = table_of(rows)
    arrays = association.pair_rules(table, min_count, min_confidence)
    names = table.vocabulary.to_list()
    return [((names[a],), names[b], n, c) for a, b, n, c in zip(*(array.tolist() for array in arrays), strict=True)]


def merges(rows: list[list[str]], min_count: int, min_confidence: float) -> dict[str, tuple[str, int, float]]:
    table = table_of(rows)
    names = table.vocabulary.to_list()
    arrays = association.merge_associations(table, ranks_of(table), min_count, min_confidence)
    into, moved, confidence = (array.tolist() for array in arrays[:3])
    return {name: (names[into[tag]], moved[tag], confidence[tag]) for tag, name in enumerate(names)}


@given(rows_of_tags, thresholds)
def test_pair_rules_equal_the_oracle(rows: list[list[str]], limits: tuple[int, float]) -> None:
    found = pair_rules(rows, *limits)
    assert set(found) == oracle.rules(rows, *limits)
    assert len(set(found)) == len(found)


@given(rows_of_tags, thresholds)
def test_merges_equal_the_oracle(rows: list[list[str]], limits: tuple[int, float]) -> None:
    assert merges(rows, *limits) == oracle.merge_associations(rows, *limits)


@given(rows_of_tags, thresholds)
def test_a_second_merge_finds_nothing(rows: list[list[str]], limits: tuple[int, float]) -> None:
    into = merges(rows, *limits)
    again = merges([[into[tag][0] for tag in row] for row in rows], *limits)
    assert all(tag == end for tag, (end, _, _) in again.items())


@given(rows_of_tags, thresholds, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows: list[list[str]], limits: tuple[int, float], random: Random) -> None:
    shuffled = random.sample(rows, len(rows))
    assert pair_rules(shuffled, *limits) == pair_rules(rows, *limits)
    assert merges(shuffled, *limits) == merges(rows, *limits)


def test_a_tag_twice_in_a_row_counts_once() -> None:
    table = np.array([0, 3, 5, 7]), np.array([0, 0, 1, 1, 0, 0, 0], dtype=np.uint32), 2
    counts, marked = _core.tag_counts(*table), np.ones(2, np.uint8)
    pairs = _core.rule_candidates(*table, counts, marked, 2, 0.6)
    joint = _core.count_pairs(*table, *pairs)
    found = _core.pair_rules(counts, *pairs, joint, 2, 0.6)
    assert [array.tolist() for array in found] == [[0, 1], [1, 0], [2, 2], [2 / 3, 1.0]]


def test_support_is_forty_rows_not_a_share() -> None:
    """40 rows of 1,000 are 4 %: a support of 0.4 would find nothing, and 39 rows are too few."""
    rows = [["chrome", "web"]] * 40 + [["opera", "web"]] * 39 + [["web"]] * 921
    assert pair_rules(rows, 40, 0.99) == [(("chrome",), "web", 40, 1.0)]


def test_the_confidence_is_met_exactly() -> None:
    rows = [["a", "b"]] * 99 + [["a"]]
    assert (("a",), "b", 99, 0.99) in pair_rules(rows, 40, 0.99)
    assert (("a",), "b", 99, 0.99) not in pair_rules(rows, 40, float(np.nextafter(0.99, 1)))


def test_the_rarer_consequent_wins() -> None:
    rows = [["chrome", "web-browser", "web"]] * 40 + [["web-browser", "web"]] * 5 + [["web-browser"]] + [["web"]] * 60
    assert merges(rows, 40, 0.99)["chrome"] == ("web-browser", 1, 1.0)


def test_a_cycle_collapses_into_its_most_frequent_member() -> None:
    rows = [["a", "b"]] * 100 + [["b"]]
    assert merges(rows, 40, 0.99) == {"a": ("b", 1, 1.0), "b": ("b", 0, 0.0)}


def test_what_a_round_makes_the_next_one_finds() -> None:
    """`x` goes with `a` or with `b`; only when both are one tag is it a rule."""
    rows = [["a", "b"]] * 60 + [["x", "a"]] * 30 + [["x", "a", "b"]] * 30
    found = merges(rows, 40, 0.99)
    assert {tag: moved_in for tag, (_, moved_in, _) in found.items()} == {"a": 0, "b": 1, "x": 1}
    rows = [["y", "a"]] * 20 + [["y", "b"]] * 20 + [["a", "b"]] * 2000
    assert merges(rows, 40, 0.99) == {"a": ("a", 0, 0.0), "b": ("a", 1, 2000 / 2020), "y": ("a", 2, 1.0)}


def test_rows_of_20_000_tags_do_not_cost_their_square() -> None:
    """Thirty such rows among tags of many short ones: a pair table would hold 6 billion increments, minutes of work."""
    width = 20_000
    short = [np.array([tag, (tag + 1) % width]) for tag in range(width) for _ in range(40)]
    rows = [*short, *[np.arange(width)] * 30]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    ids = np.concatenate(rows).astype(np.uint32)
    table = TagTable.from_arrays([str(tag) for tag in range(width)], offsets, ids)
    for min_confidence in (0.99, 0.4):
        antecedents, *_ = association.pair_rules(table, 40, min_confidence)
        assert len(antecedents) == (0 if min_confidence == 0.99 else 2 * width)


@pytest.mark.parametrize(
    ("min_count", "min_confidence", "message"),
    [(0, 0.5, "`min_count` is a number of rows"), (1, 0.0, "above 0"), (1, 1.1, "at most 1"), (1, float("nan"), "NaN")],
)
def test_thresholds_outside_their_domain_are_refused(min_count: int, min_confidence: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        association.pair_rules(table_of([["a"]]), min_count, min_confidence)
    nothing = np.array([], np.uint32)
    with pytest.raises(ValueError, match=message):
        _core.pair_rules(np.array([1]), nothing, nothing, np.array([], np.int64), min_count, min_confidence)


def test_arrays_that_do_not_fit_each_other_are_refused() -> None:
    def ids(*values: int) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
        return np.array(values, np.uint32)

    counts, sure = np.array([3, 2]), np.array([1.0])
    with pytest.raises(ValueError, match="`ranks` has 1 entries"):
        _core.merge_round(ids(0), ids(1), sure, counts, ids(0))
    with pytest.raises(ValueError, match="name the tag 2"):
        _core.merge_round(ids(0), ids(2), sure, counts, ids(0, 1))
    with pytest.raises(ValueError, match="must rise"):
        _core.count_pairs(np.array([0, 0]), ids(), 2, ids(1, 0), ids(0, 1))
    with pytest.raises(ValueError, match="name the tag 2"):
        _core.count_pairs(np.array([0, 0]), ids(), 2, ids(0), ids(2))
    with pytest.raises(ValueError, match="`joint` has 0 entries"):
        _core.pair_rules(counts, ids(0), ids(1), np.array([], np.int64), 1, 0.5)
    with pytest.raises(ValueError, match="`marked` has 1 entries"):
        _core.rule_candidates(np.array([0, 0]), ids(), 2, counts, np.ones(1, np.uint8), 1, 0.5)
    with pytest.raises(ValueError, match="id 1"):
        _core.changed_tags(np.array([0, 1]), ids(1), ids(0))
