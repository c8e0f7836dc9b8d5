"""Intervals by the bootstrap: what a figure would be if other samples of the same kind had been drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from instag.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES = 1000
_AT_ONCE = 1_000_000  # rows drawn
_FEW_KINDS = 8  # rows a kind, from which on their numbers are drawn
LOW, HIGH = 0.025, 0.975  # the middle 95 %


def resampled_sums(units: NDArray[np.float64], *, resamples: int = RESAMPLES, seed: int = 0) -> NDArray[np.float64]:
    """The sums of the columns of `units` over as many rows drawn with replacement, `resamples` times: one row each.

    A row is what may be drawn by itself (a sample with all its queries, not a query: those of one chat go together). A
    ratio of sums is taken by the caller, of each row. Linear in resamples times rows, or times kinds of rows where they
    are few: of 271,233 taggings 25 s row by row, under 1 s by their kinds.

    >>> resampled_sums(np.array([[1.0, 2.0], [1.0, 2.0]]), resamples=2).tolist()
    [[2.0, 4.0], [2.0, 4.0]]
    """
    if resamples < 1:
        raise ConfigError(f"`resamples` is {resamples}, must be at least 1")
    random = np.random.default_rng(seed)
    kinds, counts = np.unique(units, axis=0, return_counts=True)
    if len(kinds) * _FEW_KINDS <= len(units):  # how often each kind of row is drawn says it all
        drawn = random.multinomial(len(units), counts / len(units), size=resamples)
        summed = np.einsum("rk,kc->rc", drawn.astype(np.float64), kinds)  # no BLAS: one order whatever the threads
        return np.asarray(summed, np.float64)
    sums = np.empty((resamples, units.shape[1]), np.float64)
    block = max(_AT_ONCE // max(len(units), 1), 1)
    for start in range(0, resamples, block):
        rows = random.integers(0, len(units), (min(block, resamples - start), len(units)))
        sums[start : start + block] = units[rows].sum(axis=1)
    return sums


def interval(values: NDArray[np.float64]) -> tuple[float, float] | tuple[None, None]:
    """The middle 95 % of what was resampled (percentiles, linear between two); what is no number is left out.

    >>> interval(np.arange(1001.0))
    (25.0, 975.0)
    """
    told = values[np.isfinite(values)]
    if not len(told):
        return None, None
    low, high = np.quantile(told, [LOW, HIGH])
    return float(low), float(high)
