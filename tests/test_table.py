"""TagTable: what goes in comes out, what is broken is refused."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import instag
import oracle
from instag import TagTable

rows_of_tags = st.lists(
    st.lists(
        st.sampled_from(["a", "b", "b\0", "C++", "数学", "", "\0", "é", "x" * 12, "x" * 13, "x" * 40]), max_size=6
    ),
    max_size=30,
)


@given(rows_of_tags)
def test_interning_equals_the_oracle(rows: list[list[str]]) -> None:
    table = TagTable.from_series(pl.Series("tags", rows, dtype=pl.List(pl.String)))
    vocabulary, expected = oracle.intern(rows)
    assert table.vocabulary.to_list() == vocabulary
    assert table.to_series().cast(pl.List(pl.String)).to_list() == expected
    assert table.counts.tolist() == [sum(tag in row for row in expected) for tag in vocabulary]


@given(rows_of_tags)
def test_categorical_and_chunked_columns_give_the_same_table(rows: list[list[str]]) -> None:
    plain = pl.Series("tags", rows, dtype=pl.List(pl.String))
    table = TagTable.from_series(plain)
    chunked = pl.concat([plain[: len(rows) // 2], plain[len(rows) // 2 :]], rechunk=False)
    for other in (plain.cast(pl.List(pl.Categorical)), chunked, table.to_series()):
        again = TagTable.from_series(other)
        assert again.vocabulary.to_list() == table.vocabulary.to_list()
        assert again.offsets.tolist() == table.offsets.tolist()
        assert again.ids.tolist() == table.ids.tolist()


@given(rows_of_tags)
def test_columns_whose_values_share_views_give_the_same_table(rows: list[list[str]]) -> None:
    """Gathered from fewer strings, which Polars does by copying views, whole and cut."""
    words = pl.Series(list(dict.fromkeys(tag for row in rows for tag in row)), dtype=pl.String)
    codes = {word: number for number, word in enumerate(words)}
    flat = words.gather([codes[tag] for row in rows for tag in row] * 50)
    lengths = [len(row) for row in rows] * 50
    frame = pl.DataFrame({"row": np.repeat(np.arange(len(lengths)), lengths), "tag": flat})
    column = frame.group_by("row", maintain_order=True).agg("tag")["tag"]
    expected = [row for row in rows * 50 if row]
    for part, kept in ((column, expected), (column[1:-1], expected[1:-1])):
        table = TagTable.from_series(part)
        vocabulary, lists = oracle.intern(kept)
        assert table.vocabulary.to_list() == vocabulary
        assert table.to_series().cast(pl.List(pl.String)).to_list() == lists


def test_null_rows_are_empty_and_null_tags_left_out() -> None:
    table = TagTable.from_series(pl.Series([None, ["a", None, "a"]], dtype=pl.List(pl.String)))
    assert table.to_series().to_list() == [[], ["a"]]


def test_null_tags_count_for_no_tag_that_comes_later() -> None:
    rows: list[list[str | None]] = [[None, "early"], *[["early", None]] * 2_000, *[[None, "late"]] * 3]
    for dtype in (pl.String, pl.Categorical):
        table = TagTable.from_series(pl.Series(rows, dtype=pl.List(pl.String)).cast(pl.List(dtype)))
        assert (table.vocabulary.to_list(), table.counts.tolist()) == (["early", "late"], [2_001, 3])


def test_many_rows_over_threads_and_chunks_equal_the_oracle() -> None:
    seed = random.Random(0)
    words = [f"{'a common beginning of tags ' * (n % 3)}{n}" for n in range(3_000)]
    rows = [[words[int(len(words) * seed.random() ** 3)] for _ in range(n % 6)] for n in range(60_000)]
    vocabulary, expected = oracle.intern(rows)
    counted = Counter(tag for row in expected for tag in row)
    plain = pl.Series("tags", rows, dtype=pl.List(pl.String))
    nulls = pl.Series("tags", [None, None], dtype=pl.List(pl.String))
    chunked = pl.concat([plain[:5], plain[5:20_000], plain[20_000:20_000], nulls, plain[20_000:]], rechunk=False)
    for column in (plain, plain.cast(pl.List(pl.Categorical)), plain.cast(pl.List(pl.Enum(vocabulary))), chunked):
        table = TagTable.from_series(column)
        assert table.vocabulary.to_list() == vocabulary
        lists = table.to_series().cast(pl.List(pl.String)).to_list()
        assert lists == ([*expected[:20_000], [], [], *expected[20_000:]] if column is chunked else expected)
        assert table.counts.tolist() == [counted[tag] for tag in vocabulary]


@pytest.mark.parametrize("dtype", [pl.Null, pl.List(pl.Null), pl.List(pl.Categorical), pl.List(pl.Enum([]))])
def test_columns_of_nothing_but_nulls_are_empty_rows(dtype: pl.DataType) -> None:
    table = TagTable.from_series(pl.Series([None, None], dtype=dtype))
    assert (len(table), len(table.vocabulary), table.counts.tolist()) == (2, 0, [])


def test_arrays_are_frozen() -> None:
    table = TagTable.from_arrays(["a"], [0, 1], [0])
    with pytest.raises(ValueError, match="read-only"):
        table.ids[0] = 0


@pytest.mark.parametrize(
    ("vocabulary", "offsets", "ids", "message"),
    [
        (["a"], [1, 1], [0], "starts at"),
        (["a"], [0, 2, 1], [0], "row 1: goes from 2 back to 1"),
        (["a"], [0, 2], [0], "ends at 2, but there are 1 ids"),
        (["a"], [0, 1], [1], "row 0 holds the id 1, but the vocabulary has 1 tags"),
        (["a"], [], [], "starts at None"),
        (["a"], [0, 1], [-1], "outside"),
        (["a"], [0.5], [0], "array of integers"),
        (["a", "a"], [0, 1], [0], "same tag twice"),
        (["a", None], [0, 1], [0], "null"),
    ],
)
def test_broken_arrays_are_refused(vocabulary: list[str], offsets: list[int], ids: list[int], message: str) -> None:
    with pytest.raises(instag.DataError, match=message):
        TagTable.from_arrays(vocabulary, offsets, ids)


@pytest.mark.parametrize("series", [pl.Series([1, 2]), pl.Series(["a"]), pl.Series([[1]]), pl.Series([[["a"]]])])
def test_columns_of_other_types_are_refused(series: pl.Series) -> None:
    with pytest.raises(instag.DataError, match="strings"):
        TagTable.from_series(series)
