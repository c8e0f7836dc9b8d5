"""Selections of a given coverage and a given mean number of tags, so that the effect of each can be told apart.

What is wanted is a set of `k` samples whose tags are so many and whose numbers of tags have such a sum. Finding the
best such set is NP-hard (it holds set cover), but pools are large and a few passes do:

1. Coverage below that of the pool leaves out rare tags. The *level* of a sample is the rank of its rarest tag; samples
   below a level hold none but the tags that are more frequent, and the level is the first below which enough tags are.
2. The *core* holds each tag to be covered: the first sample that does, where those of about the wanted number of tags
   come first (in random order among equals). Where that takes more than `k`, samples of more tags are tried, and in the
   end lazy greedy coverage.
3. The rest adds no tag: a window over the samples of covered tags alone, in order of their numbers of tags, which has
   the sum that is left.

Cost: sorting the samples, and some passes over their tags. Source of the sweeps: #InsTag, where complexity and
diversity are decoupled (its way to such samples is not published).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from instag import _core
from instag.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from instag.table import TagTable

    Rows = NDArray[np.int64]

COVERAGE_TOLERANCE = 0.005  # of the pool's tags; a pool of few tags: one tag
MEAN_TAGS_TOLERANCE = 0.05
_LEANS = (0, 1, 2, 4, 8)  # tags a sample more than wanted, that a core may prefer

# The paper's two decoupled sweeps as (coverage, mean tags); it gives their ends, the steps between are ours.
SWEEPS: dict[str, tuple[tuple[float, float], ...]] = {
    "mean-tags": tuple((1.0, mean) for mean in (6.7, 8.0, 10.0, 12.0, 14.0, 16.6)),
    "coverage": tuple((share, 5.0) for share in (0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)),
}


@dataclass(frozen=True)
class _Pool:
    """The samples that may be picked: those that hold a tag."""

    table: TagTable
    rows: Rows  # in the random order of the seed
    sizes: Rows  # number of tags, one a sample of the table
    tags: int  # that occur in the whole table

    def first_holders(self, order: Rows) -> Rows:
        """The places in `order` of the samples that hold a tag which none before them does, rising, one a tag."""
        first: Rows = _core.first_seen(*self.table.csr, order)
        return np.sort(first[first >= 0])

    def of_tags(self, wanted: NDArray[np.bool_]) -> Rows:
        """The samples that hold no other tag than those."""
        others = np.concatenate([[0], np.cumsum(~wanted[self.table.ids])])
        among: Rows = self.rows[(np.diff(others[self.table.offsets]) == 0)[self.rows]]
        return among


def controlled(
    table: TagTable,
    k: int,
    order: NDArray[np.int64],
    *,
    target_coverage: float | None = None,
    target_mean_tags: float | None = None,
) -> NDArray[np.int64]:
    """`k` rows that hold about `target_coverage` of the table's tags and `target_mean_tags` tags on average.

    `order` has the rows that may be picked, in random order; untagged ones never are. Coverage is met within
    `COVERAGE_TOLERANCE` (or one tag), the mean within `MEAN_TAGS_TOLERANCE`. Raises `DataError` where no such rows were
    found, with what `k` rows of this pool can have.

    >>> import polars as pl
    >>> from instag import TagTable
    >>> table = TagTable.from_series(pl.Series([["a", "b", "c"], ["a"], ["b"], ["a", "b"], ["d"]]))
    >>> rows = controlled(table, 2, np.arange(5), target_coverage=0.5, target_mean_tags=1.0)
    >>> sorted(rows.tolist())
    [1, 2]
    """
    sizes = np.diff(table.offsets)
    pool = _Pool(table, order[sizes[order] > 0], sizes, int(np.count_nonzero(table.counts)))
    if k > len(pool.rows):
        raise DataError(f"`k` is {k:,}, but only {len(pool.rows):,} samples that may be picked hold a tag")
    if target_mean_tags is not None:
        _check_mean(pool, k, target_mean_tags)
    if target_coverage is None:
        assert target_mean_tags is not None
        picked = _window(pool, pool.rows, k, round(target_mean_tags * k))
        if abs(float(sizes[picked].mean()) - target_mean_tags) > MEAN_TAGS_TOLERANCE:
            raise DataError(
                f"no {k:,} samples with a mean of {target_mean_tags:g} tags were found: {sizes[picked].mean():.2f} was "
                "the nearest",
                hint="a larger `k` comes nearer",
            )
        return picked
    wanted = max(round(target_coverage * pool.tags), 1)
    among = _below_level(pool, k, wanted)
    reasons: list[tuple[float, str]] = []  # how far from what was asked for, and what was found
    for core in _cores(pool, among, k, wanted, target_mean_tags):
        covered = np.zeros(len(table.vocabulary), bool)
        covered[table.take(core).ids] = True
        if abs(int(covered.sum()) - wanted) > max(COVERAGE_TOLERANCE * pool.tags, 1):
            reasons.append((3e18, f"coverage {covered.sum() / pool.tags:.1%} was the nearest"))
            continue
        rest = np.setdiff1d(pool.of_tags(covered), core)
        rest = pool.rows[np.isin(pool.rows, rest)]
        left = k - len(core)
        if left > len(rest):
            reasons.append((2e18, f"only {len(rest) + len(core):,} samples hold none but those tags"))
            continue
        if target_mean_tags is None:
            return np.concatenate([core, rest[:left]])
        picked = np.concatenate([core, _window(pool, rest, left, round(target_mean_tags * k) - int(sizes[core].sum()))])
        mean = float(sizes[picked].mean())
        if abs(mean - target_mean_tags) <= MEAN_TAGS_TOLERANCE:
            return picked
        told = f"at coverage {covered.sum() / pool.tags:.1%} a mean of {mean:.2f} tags was the nearest"
        reasons.append((abs(mean - target_mean_tags), told))
    mean_told = "" if target_mean_tags is None else f" and a mean of {target_mean_tags:g} tags"
    raise DataError(
        f"no {k:,} samples with coverage {target_coverage:.1%}{mean_told} were found: {min(reasons)[1]}",
        hint="change one target or `k`: more samples cover more, and coverage by few needs samples of many tags",
    )


def _check_mean(pool: _Pool, k: int, mean: float) -> None:
    ordered = np.sort(pool.sizes[pool.rows])
    least, most = float(ordered[:k].mean()), float(ordered[len(ordered) - k :].mean())
    if not least - MEAN_TAGS_TOLERANCE <= mean <= most + MEAN_TAGS_TOLERANCE:
        raise DataError(
            f"`target_mean_tags` is {mean:g}, but {k:,} samples of this pool have from {least:.2f} to {most:.2f}",
            hint="a smaller `k` reaches further" if k > 1 else None,
        )


def _below_level(pool: _Pool, k: int, wanted: int) -> Rows:
    """The samples of the more frequent tags alone: the fewest levels that hold `wanted` tags, and `k` samples."""
    table = pool.table
    frequent = np.argsort(-table.counts, kind="stable")
    rank = np.empty(len(frequent), np.int64)
    rank[frequent] = np.arange(len(frequent))
    level = np.full(len(table), len(frequent), np.int64)
    filled = np.flatnonzero(pool.sizes)  # `reduceat` gives an empty row its neighbor's value
    level[filled] = np.maximum.reduceat(rank[table.ids], table.offsets[filled])
    by_level = pool.rows[np.argsort(level[pool.rows], kind="stable")]
    holders = pool.first_holders(by_level)
    if wanted > len(holders):
        raise DataError(
            f"`target_coverage` asks for {wanted:,} tags, but the samples that may be picked hold {len(holders):,} of "
            f"the pool's {pool.tags:,} ({len(holders) / pool.tags:.1%})",
            hint="`--allow-partial` takes samples with a failed turn too",
        )
    end = max(int(holders[wanted - 1]) + 1, k)
    held = int(np.searchsorted(holders, k))  # tags of the k samples of the lowest levels
    if held > wanted + max(COVERAGE_TOLERANCE * pool.tags, 1):
        raise DataError(
            f"`target_coverage` asks for {wanted:,} tags, but the fewest found in {k:,} samples are {held:,} "
            f"({held / pool.tags:.1%})",
            hint="a smaller `k` can hold fewer tags",
        )
    among: Rows = pool.rows[level[pool.rows] <= level[by_level[end - 1]]]
    return among


def _cores(pool: _Pool, among: Rows, k: int, wanted: int, mean: float | None) -> list[Rows]:
    """Sets of at most `k` samples that hold `wanted` tags, those of about `mean` tags before the last resort."""
    found = []
    for lean in _LEANS if mean is not None else (0,):
        order = among
        if mean is not None:
            order = among[np.argsort(np.abs(pool.sizes[among] - (mean + lean)), kind="stable")]
        holders = pool.first_holders(order)[:wanted]
        places = np.unique(holders)
        if len(holders) == wanted and len(places) <= k:
            found.append(order[places])
    picks = pool.table.take(among)
    rows, rounds, gains = _core.max_coverage(*picks.csr, k)
    held = np.cumsum(np.where(rounds == 1, gains, 0))
    if held[-1] < wanted and not found:
        most = int(held[-1])
        raise DataError(
            f"`target_coverage` asks for {wanted:,} tags, but the most found in {k:,} samples are {most:,} "
            f"({most / pool.tags:.1%})",
            hint="a larger `k` can hold more tags",
        )
    if held[-1] >= wanted:
        found.append(among[rows[: int(np.searchsorted(held, wanted)) + 1]])
    return found


def _window(pool: _Pool, rows: Rows, k: int, total: int) -> Rows:
    """`k` of `rows`, neighbors by their number of tags, that have `total` tags together, or as near as can be."""
    if k == 0:
        return rows[:0]
    rows = rows[np.argsort(pool.sizes[rows], kind="stable")]
    sizes = pool.sizes[rows]
    sums = np.concatenate([[0], np.cumsum(sizes)])
    windows = sums[k:] - sums[:-k]
    at = max(int(np.searchsorted(windows, total, side="right")) - 1, 0)
    window = np.arange(at, at + k)
    if at + k < len(rows) and total > windows[at]:
        # The next window is too much: its new sample comes in for that one which leaves the sum nearest.
        window[np.argmin(np.abs(windows[at] - sizes[window] + sizes[at + k] - total))] = at + k
    return rows[window]
