"""Selection: equal to the literal algorithms, honest about what it could not pick."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import instag
import oracle
from instag import SelectSettings, TagTable, select
from instag.selection import METHODS, random_order, turn_complexity

TAGS = "abcdefghij"
# The first of 200 by seed 0, written down once: another machine, NumPy or thread count must draw the same.
FIRST_DRAWS = [127, 54, 10, 6, 163, 182, 123, 147]
rows_of_tags = st.lists(st.lists(st.sampled_from(TAGS), max_size=5, unique=True), max_size=60)


def table_of(rows: list[list[str]]) -> TagTable:
    return TagTable.from_series(pl.Series("tags", rows, dtype=pl.List(pl.String)))


def sets(rows: list[list[str]]) -> list[set[str]]:
    return [set(row) for row in rows]


@settings(max_examples=600)
@given(rows_of_tags, st.integers(1, 70), st.data())
def test_complexity_first_is_algorithm_1(rows: list[list[str]], k: int, draw: st.DataObject) -> None:
    eligible = draw.draw(st.none() | st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    ranks = st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), min_size=len(rows), max_size=len(rows))
    complexity = draw.draw(st.none() | ranks)
    picked = select(table_of(rows), k, complexity=complexity, eligible=eligible)
    expected = oracle.complexity_first(sets(rows), k, complexity, eligible)
    assert picked.rounds is not None
    assert picked.gains is not None
    assert (picked.rows.tolist(), picked.rounds.tolist(), picked.gains.tolist()) == expected
    assert picked.coverage.tolist() == oracle.coverage(sets(rows), expected[0])
    assert [array.dtype.name for array in (picked.rows, picked.rounds, picked.gains)] == ["int64", "int32", "int64"]


@settings(max_examples=200)
@given(rows_of_tags, st.integers(1, 70), st.data())
def test_coverage_is_naive_greedy(rows: list[list[str]], k: int, draw: st.DataObject) -> None:
    table = table_of(rows)
    words = table.vocabulary.to_list()
    eligible = draw.draw(st.none() | st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    values = st.sampled_from([0.0, 0.25, 1.0, 3.0])
    weights = draw.draw(st.none() | st.lists(values, min_size=len(words), max_size=len(words)))
    picked = select(table, k, "coverage", weights=weights, eligible=eligible)
    by_tag = dict(zip(words, weights or [1.0] * len(words), strict=True))
    expected = oracle.max_coverage(sets(rows), k, by_tag, eligible)
    assert picked.rounds is not None
    assert picked.gains is not None
    assert (picked.rows.tolist(), picked.rounds.tolist(), picked.gains.tolist()) == expected


@given(rows_of_tags, st.integers(1, 70))
def test_complexity_takes_the_most_tags_in_input_order(rows: list[list[str]], k: int) -> None:
    picked = select(table_of(rows), k, "complexity")
    tagged = [row for row in range(len(rows)) if rows[row]]
    assert picked.rows.tolist() == sorted(tagged, key=lambda row: -len(rows[row]))[:k]
    assert picked.rounds is None
    assert picked.gains is None


def test_random_is_the_same_everywhere_and_a_prefix() -> None:
    table = table_of([["a"]] * 100 + [[]] * 100)
    assert select(table, 8, "random", seed=0).rows.tolist() == FIRST_DRAWS
    assert select(table, 200, "random").rows.tolist()[:8] == FIRST_DRAWS
    assert select(table, 8, "random", seed=1).rows.tolist() != FIRST_DRAWS
    assert sorted(select(table, 500, "random").rows.tolist()) == list(range(200))  # untagged rows are drawn too
    mask = np.arange(200) % 3 == 0
    assert set(select(table, 50, "random", eligible=mask).rows % 3) == {0}


@given(st.integers(1, 200), st.integers(0, 200), st.integers(0, 2**32))
def test_random_order_is_a_shuffle(n: int, k: int, seed: int) -> None:
    bits = np.random.PCG64(seed).random_raw(min(k, n)).tolist()
    assert random_order(n, min(k, n), seed).tolist() == oracle.draw(n, bits)


@pytest.mark.parametrize("n", [1, 7, 1000])
def test_random_order_is_uniform_enough(n: int) -> None:
    firsts = np.bincount([random_order(n, 1, seed)[0] for seed in range(3000)], minlength=n)
    assert np.abs(firsts - 3000 / n).max() < 6 * (3000 / n) ** 0.5 + 1


def winget(data: Path) -> list[list[str]]:
    packages = json.loads((data / "tags" / "winget" / "index.v2.json").read_text(encoding="utf-8"))
    return [list(dict.fromkeys(package["Tags"] or [])) for package in packages]


def ask_ubuntu(data: Path) -> list[list[str]]:
    with gzip.open(data / "tags" / "ask_ubuntu" / "tags.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line)["tags"] for line in lines]


@pytest.mark.parametrize("corpus", [winget, ask_ubuntu])
def test_real_corpora_give_what_algorithm_1_gives(data: Path, corpus: Callable[[Path], list[list[str]]]) -> None:
    rows = corpus(data)
    picked = select(table_of(rows), 6000)
    expected = oracle.complexity_first(sets(rows), 6000)
    assert picked.rounds is not None
    assert picked.gains is not None
    assert (picked.rows.tolist(), picked.rounds.tolist(), picked.gains.tolist()) == expected
    assert picked.mean_tags > picked.random.mean_tags
    assert picked.coverage[-1] > picked.random.coverage[-1]


def test_covered_tags_are_forgotten_every_round() -> None:
    # A misreading keeps the covered set: then nothing but the first sample would ever be picked here.
    assert select(table_of([["a", "b"], ["a"], ["b"], ["a"]]), 4).rows.tolist() == [0, 1, 2, 3]


def test_ties_go_to_the_earlier_row() -> None:
    # A misreading sorts ascending and reverses, which turns equal samples round.
    for method in ("complexity-first", "complexity", "coverage"):
        assert select(table_of([["a"], ["b"], ["c"]]), 3, method).rows.tolist() == [0, 1, 2]


def test_time_does_not_grow_with_what_is_picked() -> None:
    # A misreading scans the pool again for every pick: 200,000 rounds of one sample would take days.
    picked = select(table_of([["a"]] * 200_000), 200_000)
    assert picked.rounds is not None
    assert picked.rounds.tolist() == list(range(1, 200_001))


def test_a_short_selection_says_why() -> None:
    picked = select(table_of([["a"], [], ["b"], []]), 10, eligible=[True, True, False, True])
    assert picked.rows.tolist() == [0]
    assert picked.notes == (
        "1 samples selected, 10 asked for: the pool has 4 samples, 1 of them are not eligible, "
        "2 eligible ones hold no tag",
    )
    assert select(table_of([["a"], []]), 1).notes == ()


@pytest.mark.parametrize("method", [method for method in METHODS if method != "controlled"])
def test_empty_tables_and_untagged_pools(method: str) -> None:
    pools: list[list[list[str]]] = [[], [[], []]]
    for rows in pools:
        picked = select(table_of(rows), 5, method)
        assert len(picked) == (2 if rows and method == "random" else 0)
        assert picked.mean_tags == 0.0
        assert picked.random.mean_tags == 0.0
        assert picked.notes


def test_the_baseline_is_twenty_random_selections() -> None:
    rng = np.random.default_rng(0)
    rows = [[TAGS[tag] for tag in set(rng.integers(0, 10, rng.integers(0, 5)).tolist())] for _ in range(200)]
    table, turns, mask = table_of(rows), rng.integers(1, 9, 200), rng.random(200) < 0.7
    picked = select(table, 30, turns=turns, eligible=mask)
    draws = [select(table, 30, "random", seed=seed, turns=turns, eligible=mask) for seed in range(20)]
    coverage = np.array([draw.coverage for draw in draws])
    np.testing.assert_allclose(picked.random.coverage, coverage.mean(0))
    np.testing.assert_allclose(picked.random.coverage_std, coverage.std(0, ddof=1), atol=1e-12)
    assert picked.random.mean_tags == pytest.approx(np.mean([draw.mean_tags for draw in draws]))
    assert picked.random.mean_tags_std == pytest.approx(np.std([draw.mean_tags for draw in draws], ddof=1))
    assert picked.random.mean_turns == pytest.approx(np.mean([draw.mean_turns for draw in draws]))
    assert picked.mean_turns == pytest.approx(turns[picked.rows].mean())
    assert select(table, 30).random.mean_turns is None


@given(st.lists(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=4), max_size=20))
def test_turn_complexity(samples: list[list[tuple[int, bool]]]) -> None:
    queries = [query for sample in samples for query in sample]
    tags, ok = [tags for tags, _ in queries], [ok for _, ok in queries]
    groups = np.concatenate([[0], np.cumsum([len(sample) for sample in samples])]).astype(np.int64)
    good = [[tags for tags, ok in sample if ok] for sample in samples]
    assert turn_complexity(tags, groups, "max-turn", ok=ok).tolist() == [max(sample, default=0) for sample in good]
    means = [sum(sample) / max(len(sample), 1) for sample in good]
    assert turn_complexity(tags, groups, "mean-per-turn", ok=ok).tolist() == means


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"k": 0}, "`k` is 0, must be a whole number of at least 1"),
        ({"k": -1}, "`k` is -1"),
        ({"k": 2.5}, "`k` is 2.5"),
        ({"k": True}, "`k` is True"),
        ({"seed": -1}, "`seed` is -1"),
        ({"method": "best"}, "unknown `method` 'best'\nhint: one of complexity-first, random"),
        ({"complexity": "sum"}, "unknown `complexity` 'sum'"),
        ({"complexity": "max-turn", "method": "random"}, "the method `random` does not rank"),
        ({"allow_partial": "no"}, "`allow_partial` is 'no'"),
    ],
)
def test_settings_outside_their_domain_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(instag.ConfigError) as error:
        SelectSettings(**given)  # type: ignore[arg-type]
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"eligible": [True]}, "`eligible` has 1 entries, but 2 are needed"),
        ({"eligible": [1, 0]}, "`eligible` must be one-dimensional and hold bools"),
        ({"turns": [1.5, 2.0]}, "`turns` must be one-dimensional and hold whole numbers"),
        ({"complexity": [1.0, float("nan")]}, "`complexity` must be finite, but row 1 has NaN"),
        ({"complexity": [[1.0], [2.0]]}, "of shape \\(2, 1\\)"),
        ({"weights": [-1.0], "method": "coverage"}, "`weights` must be finite and not negative, but tag 0 has -1"),
        ({"weights": [1.0]}, "the method `complexity-first` does not look at it"),
        ({"complexity": [1.0, 2.0], "method": "random"}, "the method `random` does not look at it"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(instag.InstagError, match=message):
        select(table_of([["a"], ["a"]]), 1, **given)  # type: ignore[arg-type]
