"""Itemsets and rules of any length: equal to the literal definition, and to the known counts of real files."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import instag
import oracle
from instag import TagTable, association_rules, frequent_itemsets
from instag.bench import generate

tags = st.sampled_from([*"abcdefgh", "b1", "é", "数学"])
some_rows = st.lists(st.lists(tags, max_size=7), max_size=24)
repeated_rows = st.lists(st.tuples(st.lists(tags, max_size=9), st.integers(1, 9)), max_size=9).map(
    lambda groups: [row for row, times in groups for _ in range(times)]
)
rows_of_tags = some_rows | repeated_rows


def table_of(rows: list[list[str]]) -> TagTable:
    return TagTable.from_series(pl.Series("tags", rows, dtype=pl.List(pl.String)))


@given(rows_of_tags, st.integers(1, 6), st.none() | st.integers(1, 4))
def test_itemsets_equal_the_oracle(rows: list[list[str]], min_count: int, max_length: int | None) -> None:
    table = table_of(rows)
    found = frequent_itemsets(table, min_count=min_count, max_length=max_length)
    assert found.schema == {"itemset": pl.List(pl.String), "count": pl.Int64}
    itemsets = found["itemset"].to_list()
    counts = {tuple(sorted(itemset)): count for itemset, count in zip(itemsets, found["count"], strict=True)}
    assert counts == oracle.itemsets(rows, min_count, max_length)
    assert len(counts) == len(found)
    # the order promised: length, count descending, then places in the vocabulary, the last tag first
    place = {tag: at for at, tag in enumerate(table.vocabulary)}
    places = [[place[tag] for tag in itemset] for itemset in itemsets]
    assert all(row == sorted(row) for row in places)
    order = [(len(row), -count, row[::-1]) for row, count in zip(places, found["count"], strict=True)]
    assert order == sorted(order)


@given(rows_of_tags, st.integers(1, 5), st.sampled_from([0.01, 0.3, 0.5, 2 / 3, 0.99, 1.0]), st.integers(1, 4))
def test_rules_equal_the_oracle(rows: list[list[str]], min_count: int, min_confidence: float, longest: int) -> None:
    table = table_of(rows)
    limits: dict[str, Any] = {"min_count": min_count, "min_confidence": min_confidence, "max_antecedent": longest}
    found = association_rules(table, **limits)
    assert found.schema == {
        "antecedent": pl.List(pl.String),
        "consequent": pl.String,
        "count": pl.Int64,
        "confidence": pl.Float64,
    }
    place = {tag: at for at, tag in enumerate(table.vocabulary)}
    order = [(len(a), [place[tag] for tag in a], place[b]) for a, b, _, _ in found.iter_rows()]
    assert order == sorted(order)
    assert all(row == sorted(row) for _, row, _ in order)
    expected = oracle.rules(rows, min_count, min_confidence, longest)
    assert {(tuple(sorted(a)), b, count, share) for a, b, count, share in found.iter_rows()} == expected
    assert len(found) == len(expected)


def intersected(table: TagTable, min_count: int) -> dict[tuple[int, ...], int]:
    """What `oracle.itemsets` gives, where rows are too many to go through all sets of each: bit sets of rows."""
    held = [0] * len(table.vocabulary)
    for tag in np.flatnonzero(table.counts >= min_count).tolist():
        rows = np.searchsorted(table.offsets, np.flatnonzero(table.ids == tag), side="right") - 1
        held[tag] = int.from_bytes(np.packbits(np.bincount(rows, minlength=len(table)) > 0).tobytes())
    frequent = [tag for tag, bits in enumerate(held) if bits]
    level: dict[tuple[int, ...], int] = {(tag,): held[tag] for tag in frequent}
    sets: dict[tuple[int, ...], int] = {}
    while level:
        sets |= {found: bits.bit_count() for found, bits in level.items()}
        more = ((found, tag, bits & held[tag]) for found, bits in level.items() for tag in frequent if tag > found[-1])
        level = {(*found, tag): bits for found, tag, bits in more if bits.bit_count() >= min_count}
    return sets


@pytest.mark.parametrize(("rows", "items", "patterns", "min_count"), [(9_000, 300, 6, 40), (9_000, 60, 9, 400)])
def test_sparse_and_dense_databases_equal_the_oracle(rows: int, items: int, patterns: int, min_count: int) -> None:
    offsets, ids, size = generate.quest(rows, mean_items=10, mean_pattern=patterns, items=items)
    table = TagTable(pl.Series([f"{tag:03}" for tag in range(size)]), offsets, ids, _checked=True)
    found = frequent_itemsets(table, min_count=min_count)
    counts = {tuple(sorted(map(int, itemset))): count for itemset, count in found.iter_rows()}
    assert counts == intersected(table, min_count)
    assert len(counts) == len(found)


@given(rows_of_tags, st.integers(1, 4), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows: list[list[str]], min_count: int, random: Random) -> None:
    shuffled = table_of(random.sample(rows, len(rows)))
    assert frequent_itemsets(shuffled, min_count=min_count).equals(
        frequent_itemsets(table_of(rows), min_count=min_count)
    )


def test_a_vocabulary_in_another_order_gives_the_same_sets() -> None:
    table = TagTable.from_arrays(["rare", "common", "mid"], [0, 3, 5, 6, 8], [0, 2, 1, 1, 2, 1, 0, 1])
    assert frequent_itemsets(table, min_count=2).rows() == [
        (["common"], 4),
        (["rare"], 2),
        (["mid"], 2),
        (["common", "rare"], 2),
        (["common", "mid"], 2),
    ]


def itemset_file(path: Path) -> TagTable:
    return table_of([line.split() for line in path.read_text().splitlines() if line.strip()])


@pytest.mark.parametrize(
    ("name", "rows", "share", "expected"),
    [
        # Also known as 53,582: Borgelt's programs leave out {85}, which every row holds.
        ("mushroom", 8_124, 0.2, 53_583),
        ("vote", 435, 0.1, 49_097),
        ("german-credit", 1_000, 0.2, 1_630_563),
    ],
)
def test_known_counts(data: Path, name: str, rows: int, share: float, expected: int) -> None:
    table = itemset_file(data / "itemsets" / f"{name}.dat")
    assert len(table) == rows
    found = frequent_itemsets(table, min_count=int(np.ceil(share * rows)))
    assert len(found) == expected
    if name == "mushroom":
        in_every_row = found.filter(pl.col("count") == rows)
        assert in_every_row["itemset"].to_list() == [["85"]]


def test_rules_of_a_real_file_recompute(data: Path) -> None:
    table = itemset_file(data / "itemsets" / "mushroom.dat")
    rows = [set(row) for row in table.to_series()]
    found = association_rules(table, min_count=2_000, min_confidence=0.97, max_antecedent=3)
    assert found["antecedent"].list.len().unique().sort().to_list() == [1, 2, 3]
    for antecedent, consequent, count, confidence in found.sample(20, seed=0).iter_rows():
        holds = [row for row in rows if row.issuperset(antecedent)]
        assert (count, confidence) == (sum(consequent in row for row in holds), count / len(holds))
    pairs = found.filter(pl.col("antecedent").list.len() == 1)
    assert pairs.sort("antecedent", "consequent").equals(
        association_rules(table, min_count=2_000, min_confidence=0.97).sort("antecedent", "consequent")
    )


def test_support_is_forty_rows_not_a_share() -> None:
    """The misreading: a support of 0.4, or of 40 %, of the rows. 40 rows of 1,000 are enough, 39 are not."""
    table = table_of([["a", "b"]] * 40 + [["c", "d"]] * 39 + [["e"]] * 921)
    assert frequent_itemsets(table).rows() == [(["e"], 921), (["a"], 40), (["b"], 40), (["a", "b"], 40)]
    assert association_rules(table).rows() == [(["a"], "b", 40, 1.0), (["b"], "a", 40, 1.0)]
    for misread in (0.4, 0.04):
        with pytest.raises(instag.ConfigError, match=r"whole number(.|\n)*hint: it counts rows .* not a share"):
            frequent_itemsets(table, min_count=misread)  # type: ignore[arg-type]


@pytest.mark.parametrize("max_length", [None, 3])
def test_too_many_itemsets_is_an_error_with_a_hint(max_length: int | None) -> None:
    """Forty rows of 2,000 tags that always go together have 2^2000 sets, and 1.3 billion of up to three tags."""
    table = TagTable.from_arrays([str(tag) for tag in range(2_000)], np.arange(41) * 2_000, [*range(2_000)] * 40)
    with pytest.raises(instag.ConfigError, match=r"more than 20000000 frequent itemsets\nhint: raise `min_count`"):
        frequent_itemsets(table, max_length=max_length)
    assert len(frequent_itemsets(table, max_length=1)) == 2_000


def test_too_many_itemsets_whose_counts_all_differ() -> None:
    """No two tags in the same rows, so no shortcut applies: the search itself must stop, without going deep."""
    rows = [[str(tag) for tag in range(300) if tag != left_out] for left_out in range(400)]
    with pytest.raises(instag.ConfigError, match="more than 100000 frequent itemsets"):
        frequent_itemsets(table_of(rows), max_itemsets=100_000)


def test_rows_of_20_000_tags_do_not_cost_their_square() -> None:
    """Thirty such rows among tags of many short ones: their pairs are 6 billion."""
    width = 20_000
    short = [[tag, (tag + 1) % width] for tag in range(width) for _ in range(20)]
    rows = [*short, *[[*range(width)]] * 30]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    table = TagTable.from_arrays([str(tag) for tag in range(width)], offsets, np.concatenate(rows))
    found = frequent_itemsets(table, min_count=40)
    assert found.group_by(pl.col("itemset").list.len(), "count").len().sort("itemset").rows() == [
        (1, 70, width),
        (2, 50, width),
    ]


def test_exactly_as_many_itemsets_as_allowed_pass() -> None:
    table = table_of([list("abcde")] * 40)
    assert len(frequent_itemsets(table, max_itemsets=31)) == 31
    with pytest.raises(instag.ConfigError, match="more than 30 "):
        frequent_itemsets(table, max_itemsets=30)


@pytest.mark.parametrize("setting", ["min_count", "max_length", "max_itemsets"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "1", 2**70])
def test_settings_outside_their_domain_are_refused(setting: str, value: Any) -> None:
    with pytest.raises(instag.ConfigError, match=f"`{setting}` must be a whole number, at least 1"):
        frequent_itemsets(table_of([["a"]]), **{setting: value})


def test_a_confidence_outside_its_domain_is_refused() -> None:
    for longest in (1, 2):
        with pytest.raises(instag.ConfigError, match="`min_confidence` must be above 0 and at most 1"):
            association_rules(table_of([["a"]]), min_confidence=99, max_antecedent=longest)


def test_no_rows_no_sets() -> None:
    assert frequent_itemsets(table_of([])).rows() == []
    assert association_rules(table_of([[], []]), max_antecedent=2).rows() == []
