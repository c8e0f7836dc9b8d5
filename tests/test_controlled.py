"""Controlled selections: what comes out has what was asked for, and what can't be had is explained."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instag import DataError, TagTable, select
from instag.controlled import COVERAGE_TOLERANCE, MEAN_TAGS_TOLERANCE, SWEEPS

rows_of_tags = st.lists(st.lists(st.sampled_from("abcdefghij"), max_size=5, unique=True), min_size=1, max_size=40)


def pool(samples: int = 20_000, tags: int = 800, seed: int = 0) -> TagTable:
    """Tags as people use them: few often, most seldom; from 0 to 20 a sample."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, 21, samples)
    weights = 1 / np.arange(1, tags + 1)
    drawn = rng.choice(tags, int(sizes.sum()), p=weights / weights.sum())
    rows = [list(map(str, part)) for part in np.split(drawn, sizes.cumsum()[:-1])]
    return TagTable.from_series(pl.Series("tags", rows, dtype=pl.List(pl.String)))


def check(table: TagTable, rows: list[int], k: int, coverage: float | None, mean: float | None) -> None:
    """Slow and obvious: what the picks have, within what is promised."""
    sets = table.to_series().to_list()
    assert len(set(rows)) == len(rows) == k
    assert all(sets[row] for row in rows)
    tags = {tag for row in sets for tag in row}
    if coverage is not None:
        held = len({tag for row in rows for tag in sets[row]})
        assert abs(held - max(round(coverage * len(tags)), 1)) <= max(COVERAGE_TOLERANCE * len(tags), 1)
    if mean is not None:
        assert abs(sum(len(sets[row]) for row in rows) / k - mean) <= MEAN_TAGS_TOLERANCE + 1e-9


@settings(max_examples=400)
@given(
    rows_of_tags,
    st.integers(1, 40),
    st.none() | st.floats(0.01, 1),
    st.none() | st.floats(0.5, 6),
    st.integers(0, 9),
)
def test_what_comes_out_has_what_was_asked_for(
    rows: list[list[str]], k: int, coverage: float | None, mean: float | None, seed: int
) -> None:
    if coverage is None and mean is None:
        return
    table = TagTable.from_series(pl.Series("tags", rows, dtype=pl.List(pl.String)))
    try:
        picked = select(table, k, "controlled", seed, target_coverage=coverage, target_mean_tags=mean)
    except DataError:
        return
    check(table, picked.rows.tolist(), k, coverage, mean)


@pytest.mark.parametrize("sweep", SWEEPS)
def test_the_sweeps_of_the_paper_can_be_had_of_a_large_pool(sweep: str) -> None:
    table = pool()
    for coverage, mean in SWEEPS[sweep]:
        picked = select(table, 1500, "controlled", target_coverage=coverage, target_mean_tags=mean)
        check(table, picked.rows.tolist(), 1500, coverage, mean)


def test_a_seed_gives_the_same_samples_and_another_gives_others() -> None:
    table = pool(2000, 50)
    wanted = {"target_coverage": 0.9, "target_mean_tags": 5.0}
    first, again, other = (select(table, 200, "controlled", seed, **wanted).rows.tolist() for seed in (0, 0, 1))
    assert first == again
    assert set(first) != set(other)
    mask = np.arange(2000) % 2 == 0
    assert set(select(table, 200, "controlled", eligible=mask, **wanted).rows % 2) == {0}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("k", "wanted", "message"),
    [
        (2, {"target_mean_tags": 9.0}, "`target_mean_tags` is 9, but 2 samples of this pool have from 1.00 to 2.50"),
        (1, {"target_coverage": 1.0}, "asks for 4 tags, but the most found in 1 samples are 3 .75.0%."),
        (5, {"target_coverage": 0.01}, "asks for 1 tags, but the fewest found in 5 samples are 4 .100.0%."),
        (9, {"target_coverage": 1.0}, "`k` is 9, but only 5 samples"),
        (2, {"target_coverage": 1.0, "target_mean_tags": 1.0}, "no 2 samples with coverage 100.0% and a mean of 1 "),
    ],
)
def test_what_can_not_be_had_is_explained(k: int, wanted: dict[str, float], message: str) -> None:
    rows = [["a", "b", "c"], ["a"], ["b"], ["a", "b"], ["d"], []]
    with pytest.raises(DataError, match=message):
        select(TagTable.from_series(pl.Series(rows)), k, "controlled", **wanted)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "controlled"}, "the method `controlled` needs a target"),
        ({"method": "random", "target_coverage": 0.5}, "the method `random` does not look at it"),
        ({"method": "controlled", "target_coverage": 45.0}, "must be a share above 0 and at most 1"),
        ({"method": "controlled", "target_mean_tags": float("nan")}, "must be a number above 0"),
    ],
)
def test_targets_outside_their_domain_are_refused(given: dict[str, object], message: str) -> None:
    from instag import ConfigError, SelectSettings

    with pytest.raises(ConfigError, match=message):
        SelectSettings(**given)  # type: ignore[arg-type]
