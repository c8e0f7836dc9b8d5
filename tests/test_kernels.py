"""The small kernels one by one: equal to their twins, and bad arguments are a `ValueError` that says what is wrong."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import oracle
import oracle_reading
from instag import _core
from test_reading import objects, records_of_any_kind, scalars

SIZE = 5
Rows = list[list[int]]
rows_of_ids = st.lists(st.lists(st.integers(0, SIZE - 1), max_size=6), max_size=12)


def offsets(rows: list[list[Any]]) -> NDArray[np.int64]:
    return np.cumsum([0, *map(len, rows)], dtype=np.int64)


def ids(rows: Rows) -> NDArray[np.uint32]:
    return np.array([tag for row in rows for tag in row], dtype=np.uint32)


def lists(found: tuple[NDArray[np.int64], NDArray[np.uint32]]) -> Rows:
    return [found[1][start:end].tolist() for start, end in pairwise(found[0])]


def u64(values: list[int]) -> NDArray[np.uint64]:
    return np.array(values, dtype=np.uint64)


# ---- tag tables ----


WORDS = [
    "",
    "a",
    "b\0",
    "b",
    "twelve bytes",
    "twelve bytes\0",
    "a\0",
    "数学",
    "é",
    "a word of some length",
    "a word, longer",
]
counted_words = st.lists(st.tuples(st.sampled_from(WORDS), st.integers(0, 9)), max_size=30)


@given(st.lists(st.sampled_from(WORDS), unique=True), counted_words, st.integers(0, 30))
def test_united_words_equal_the_oracle(known: list[str], counted: list[tuple[str, int]], cut: int) -> None:
    words, counts = [*known, *(word for word, _ in counted)], [*([3] * len(known)), *(count for _, count in counted)]
    column = pl.Series(words, dtype=pl.String)
    chunked = pl.concat([column[:cut], column[cut:]], rechunk=False)
    new, numbers, sums = _core.unite(chunked, np.array(counts, np.int64), len(known))
    found = [*known, *pl.DataFrame(new)["tag"].to_list()]
    assert (found, numbers.tolist(), sums.tolist()) == oracle.unite(words, counts)


def test_many_words_are_united_by_all_threads() -> None:
    seed = random.Random(0)
    words = [f"{'a common beginning ' * (n % 3)}{n}" for n in (int(30_000 * seed.random() ** 2) for _ in range(80_000))]
    found, numbers, sums = _core.unite(pl.Series(words), np.ones(len(words), np.int64), 0)
    distinct = dict.fromkeys(words)
    assert pl.DataFrame(found)["tag"].to_list() == list(distinct)
    assert pl.Series(list(distinct)).gather(numbers).to_list() == words
    assert sums.tolist() == np.bincount(numbers).tolist()


@given(counted_words)
def test_the_order_by_count_equals_the_oracle(counted: list[tuple[str, int]]) -> None:
    counts = dict(counted)
    found = _core.by_count(pl.Series(list(counts), dtype=pl.String), np.array(list(counts.values()), np.int64))
    assert found.tolist() == oracle.by_count(list(counts), list(counts.values()))


@given(rows_of_ids)
def test_counts_equal_the_oracle(rows: Rows) -> None:
    assert _core.tag_counts(offsets(rows), ids(rows), SIZE).tolist() == oracle.tag_counts(rows, SIZE)


@given(rows_of_ids, st.lists(st.none() | st.integers(0, 2), min_size=SIZE, max_size=SIZE))
def test_remapped_rows_equal_the_oracle(rows: Rows, into: list[int | None]) -> None:
    codes = np.array([2**32 - 1 if new is None else new for new in into], dtype=np.uint32)
    assert lists(_core.remap(offsets(rows), ids(rows), codes, 3)) == oracle.remap(rows, into)


@given(rows_of_ids, st.lists(st.none() | st.integers(0, 2), min_size=SIZE, max_size=SIZE))
def test_counts_after_renaming_equal_the_oracle(rows: Rows, into: list[int | None]) -> None:
    codes = np.array([2**32 - 1 if new is None else new for new in into], dtype=np.uint32)
    found = _core.tag_counts(offsets(rows), ids(rows), 3, codes)
    assert found.tolist() == oracle.tag_counts(oracle.remap(rows, into), 3)


def test_many_rows_over_blocks_and_threads_equal_the_oracle() -> None:
    """Rows of none, of a few, and of more ids than a block; empty ones first, between and last."""
    seed = random.Random(0)
    rows: Rows = [[], []]
    for _ in range(60_000):
        rows.append([seed.randrange(SIZE) for _ in range(seed.choice([0, 0, 1, 2, 5, 9]))])
    rows[30_000:30_001] = [[seed.randrange(SIZE) for _ in range(5_000)], [], [], [4] * 3_000]
    rows += [[], [], []]
    into = [2, None, 0, 2, 1]
    codes = np.array([2, 2**32 - 1, 0, 2, 1], dtype=np.uint32)
    renamed = oracle.remap(rows, into)
    table = offsets(rows), ids(rows)
    assert lists(_core.remap(*table, codes, 3)) == renamed
    assert _core.tag_counts(*table, SIZE).tolist() == oracle.tag_counts(rows, SIZE)
    assert _core.tag_counts(*table, 3, codes).tolist() == oracle.tag_counts(renamed, 3)
    groups = [rows[at : at + 3] for at in range(0, len(rows), 3)]
    assert lists(_core.union_rows(*table, offsets(groups), SIZE)) == oracle.union_rows(groups)


@given(st.lists(rows_of_ids, max_size=6))
def test_unions_equal_the_oracle(groups: list[Rows]) -> None:
    rows = [row for group in groups for row in group]
    found = _core.union_rows(offsets(rows), ids(rows), offsets(groups), SIZE)
    assert lists(found) == oracle.union_rows(groups)


@given(rows_of_ids)
def test_lists_name_the_ids(rows: Rows) -> None:
    names = ["a", "", "数学", "x" * 40, "é"]
    table = _core.to_lists(pl.Series(names), offsets(rows), ids(rows))
    column = pl.DataFrame(table)["tags"].cast(pl.List(pl.String))
    assert column.to_list() == [[names[tag] for tag in row] for row in rows]


# ---- normalize ----


@given(st.lists(st.text("aB-s ", max_size=4), max_size=12))
def test_groups_of_forms_are_numbered_by_first_appearance(raw: list[str]) -> None:
    table, groups = _core.rule_forms(pl.Series(raw, dtype=pl.String), "porter", False)
    forms = pl.DataFrame(table)["form"].to_list()
    assert groups.tolist() == [list(dict.fromkeys(forms)).index(form) for form in forms]


def test_protected_names_are_the_oracles() -> None:
    assert sorted(_core.protected_names()) == sorted(oracle.PROTECTED)


@given(st.integers(1, 20).flatmap(lambda d: st.lists(st.lists(st.floats(-9, 9, width=32), min_size=d, max_size=d))))
def test_cosines_equal_the_oracle(vectors: list[list[float]]) -> None:
    pairs = [(a, b) for a in range(len(vectors)) for b in range(len(vectors))]
    a, b = (np.array([pair[end] for pair in pairs], dtype=np.uint32) for end in (0, 1))
    flat = np.array(vectors, dtype=np.float32).ravel()
    found = _core.cosines(flat, len(vectors[0]) if vectors else 1, a, b)
    expected = [oracle.cosine(vectors[a], vectors[b]) for a, b in pairs]
    assert found.tolist() == pytest.approx(expected, abs=1e-9)


# ---- analyze, select ----


@given(rows_of_ids, st.data())
def test_first_places_equal_the_oracle(rows: Rows, draw: st.DataObject) -> None:
    listed = draw.draw(st.lists(st.integers(0, len(rows) - 1), max_size=20)) if rows else []
    places = st.lists(st.integers(0, 2**40), min_size=len(listed), max_size=len(listed))
    for positions in (None, draw.draw(places)):
        given_positions = None if positions is None else np.array(positions, dtype=np.int64)
        found = _core.first_seen(offsets(rows), ids(rows), SIZE, np.array(listed, dtype=np.int64), given_positions)
        expected = oracle.first_seen(rows, SIZE, listed, list(range(len(listed))) if positions is None else positions)
        assert found.tolist() == expected


@given(rows_of_ids, st.lists(st.integers(-1, 9), max_size=12))
def test_rows_are_taken_by_number(rows: Rows, listed: list[int]) -> None:
    numbers = np.array(listed, dtype=np.int64)
    if any(not 0 <= number < len(rows) for number in listed):
        with pytest.raises(ValueError, match=f"`rows` are numbered from 0 to {len(rows) - 1}"):
            _core.take(offsets(rows), ids(rows), numbers)
        return
    taken = _core.take(offsets(rows), ids(rows), numbers)
    expected = [rows[number] for number in listed]
    assert [array.tolist() for array in taken] == [offsets(expected).tolist(), ids(expected).tolist()]


@given(rows_of_ids, st.integers(0, 15), st.data())
def test_the_most_complex_equal_the_oracle(rows: Rows, k: int, draw: st.DataObject) -> None:
    ranks = st.lists(st.sampled_from([-1.0, -0.0, 0.0, 0.5, 1e300]), min_size=len(rows), max_size=len(rows))
    marks = st.lists(st.sampled_from([0, 1, 7]), min_size=len(rows), max_size=len(rows))
    complexity, eligible = draw.draw(st.none() | ranks), draw.draw(st.none() | marks)
    found = _core.most_complex(
        offsets(rows),
        ids(rows),
        SIZE,
        k,
        None if complexity is None else np.array(complexity, dtype=np.float64),
        None if eligible is None else np.array(eligible, dtype=np.uint8),
    )
    assert found.tolist() == oracle.most_complex(rows, k, complexity, eligible)


@given(st.integers(0, 400), st.data())
def test_draws_equal_the_oracle(n: int, draw: st.DataObject) -> None:
    most = draw.draw(st.sampled_from([n, n // 16, 3]))
    bits = draw.draw(st.lists(st.integers(0, 2**64 - 1), max_size=min(most, n)))
    assert _core.draw(n, u64(bits)).tolist() == oracle.draw(n, bits)
    shuffled = oracle.draw(len(bits), bits)
    assert _core.draw_places(u64(bits)).tolist() == [shuffled.index(entry) for entry in range(len(bits))]


# ---- read ----


some_records: st.SearchStrategy[list[Any]] = st.lists(
    st.sampled_from([case[0] for case in objects]) | scalars | st.just([]), max_size=3
)
broken = st.sampled_from(["", "\n", "{bad}\n", '{"a": 1,\n nope}\n', "<html>", "act,prompt\n", "[1, 2\n"])


@given(some_records, st.sampled_from([None, 1]), st.sampled_from(["\n", "\n\n", " \r\n"]), broken, st.booleans())
def test_layouts_equal_the_oracle(values: list[Any], indent: Any, gap: str, rest: str, array: bool) -> None:
    text = json.dumps(values, indent=indent) if array else gap.join(json.dumps(v, indent=indent) for v in values)
    for whole in (text, text + gap + rest, rest + text):
        assert _core.detect_layout(whole.encode()) == oracle_reading.layout_of(whole)


wrapped = st.dictionaries(
    st.sampled_from(["count", "entries", "train", "test", "data", "prompt", "custom_id", "response"]),
    st.lists(st.dictionaries(st.sampled_from(["prompt", "n"]), scalars, min_size=1, max_size=2), max_size=3) | scalars,
    max_size=4,
)


@given(wrapped | records_of_any_kind, st.sampled_from([None, 1]), st.sampled_from(["", " \n"]))
def test_wrapped_lists_equal_the_oracle(value: Any, indent: Any, space: str) -> None:
    text = space + json.dumps(value, indent=indent)
    try:
        expected = oracle_reading.list_of_records(text)
    except oracle_reading.RejectedError:
        with pytest.raises(ValueError, match="one object with"):
            _core.nested_list(text.encode())
        return
    found = _core.nested_list(text.encode())
    assert (found is None) == (expected is None)
    if found is not None:
        assert oracle_reading.parse(text[found[0] : found[1]]) == expected


tag_values = st.none() | scalars | st.dictionaries(st.sampled_from(["tag", "explanation"]), scalars, max_size=2)
tagged = st.dictionaries(st.sampled_from(["tags", "id", "other"]), scalars | st.lists(tag_values, max_size=4))


@given(tagged | records_of_any_kind)
def test_tags_that_stand_already_equal_the_oracle(record: Any) -> None:
    text = json.dumps(record)
    try:
        expected = [oracle_reading.tags_of(text, "tags")]
    except oracle_reading.RejectedError:
        expected = []
    (records, queries, rejected), *_ = _core.read_block(
        text.encode(), "lines", (0, 0, 0), True, None, None, ("tags", None)
    )
    assert len(records) + len(rejected) == 1
    assert pl.DataFrame(records)["turns"].to_list() == [len(tags) for tags in expected]
    assert pl.DataFrame(queries)["query"].to_list() == [tag for tags in expected for tag in tags]


# ---- bad arguments ----

NONE = np.zeros(0, dtype=np.int64)
ONE_ROW = np.array([0, 1]), np.array([0], dtype=np.uint32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2, u64([1, 2, 3])), "`bits` draws 3 of 2"),
        ((0, u64([1])), "`bits` draws 1 of 0"),
        ((2**63, u64([])), "`n` is 9223372036854775808"),
    ],
)
def test_draws_that_cannot_be_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _core.draw(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*ONE_ROW, 1, np.array([1]), None), "`rows` names the row 1, but the table has 1 rows"),
        ((*ONE_ROW, 1, np.array([-1]), None), "`rows` names the row -1"),
        ((*ONE_ROW, 1, np.array([2**63 - 1]), None), "`rows` names the row 9223372036854775807"),
        ((*ONE_ROW, 1, np.array([0]), NONE), "`positions` has 0 entries"),
        ((*ONE_ROW, 1, np.array([0]), np.array([-1])), "`positions` must be from 0 on"),
        ((*ONE_ROW, 1, np.array([0]), np.array([2**63 - 1])), "`positions` must be from 0 on"),
        ((*ONE_ROW, 0, np.array([0]), None), "row 0 holds the id 0"),
        ((*ONE_ROW, 2**40, np.array([0]), None), "more than 32-bit ids"),
        ((np.array([0, 9]), ONE_ROW[1], 1, np.array([0]), None), "from 0 to 9, of 1 ids"),
        ((np.array([1, 0]), ONE_ROW[1], 1, np.array([0]), None), "from 1 to 0"),
        ((np.array([-1, 1]), ONE_ROW[1], 1, np.array([0]), None), "from -1 to 1"),
        ((NONE, ONE_ROW[1], 1, np.array([0]), None), "the table has 0 rows"),
    ],
)
def test_places_that_cannot_be_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _core.first_seen(*arguments)


def test_halves_of_ids_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="`low` has 0 entries"):
        _core.hex_ids(u64([1]), u64([]))
    with pytest.raises(TypeError):
        _core.hex_ids(np.zeros(1, dtype=np.int64), u64([1]))


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="row 0 holds the id 0, but the vocabulary has 0 tags"):
        _core.remap(*ONE_ROW, np.zeros(0, dtype=np.uint32), 1)
    with pytest.raises(ValueError, match="`into` sends id 0 to 4, but the new vocabulary has 1 tags"):
        _core.remap(*ONE_ROW, np.array([4], dtype=np.uint32), 1)
    with pytest.raises(ValueError, match="`into` sends id 0 to 4, but the new vocabulary has 1 tags"):
        _core.tag_counts(*ONE_ROW, 1, np.array([4], dtype=np.uint32))
    for kernel, settings in ((_core.unite, [0]), (_core.by_count, [])):
        with pytest.raises(ValueError, match="`counts`"):
            kernel(pl.Series(["a", "b"]), np.zeros(1, np.int64), *settings)
    for groups in ([], [0], [1, 1], [0, 2], [0, 1, 0, 1]):
        with pytest.raises(ValueError, match="`groups` must rise from 0 to the number of rows, 1"):
            _core.union_rows(*ONE_ROW, np.array(groups, dtype=np.int64), 1)
    with pytest.raises(ValueError, match="id 0"):
        _core.to_lists(pl.Series([], dtype=pl.String), *ONE_ROW)
