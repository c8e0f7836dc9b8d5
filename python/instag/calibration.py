"""Thresholds of a model, fitted on labelled pairs and tried on pairs that were held out: numbers in, numbers out.

Two tags merge where no guard forbids it, their cosine is at least `1 - max_cosine_distance`, and the cosine of the
words by which they differ is at least `min_differing_cosine`. Both thresholds are searched in steps of 0.01: finer ones
would fit the pairs and not the model. One pass puts the pairs into the cells of that grid, two cumulative sums count
for every cell what it merges: O(pairs + cells), whatever is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from instag.errors import ConfigError, DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Cells = tuple["NDArray[np.int64]", "NDArray[np.int64]"]

STEPS = 100  # a threshold is a number of hundredths
WIDEST_STEPS = 50  # distances go up to 0.50
SLACK = 1e-12  # 1 - 0.05 is no float64 either
Z = 1.959963984540054  # intervals are 95 %
NEARLY = 0.99  # so much of the right merges is worth stricter thresholds
LEAST_A_FOLD = 5  # pairs of either label that a fold must hold, to be a test at all


@dataclass(frozen=True)
class Figures:
    """How a pair of thresholds does on some pairs: `merged` of them, `right` ones among these, `same` that should.

    A wrong merge counts `weight` times in the precision.
    """

    merged: int
    right: int
    same: int
    weight: float = 1.0

    @property
    def precision(self) -> float:
        """The share of right merges, wrong ones by their weight; NaN where nothing was merged."""
        return self._weighed(self.right / self.merged) if self.merged else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """That of the precision, 95 % (Wilson)."""
        low, high = interval(self.right, self.merged)
        return self._weighed(low), self._weighed(high)

    @property
    def recall(self) -> float:
        """`right` of `same`, those counted that a guard forbids."""
        return self.right / self.same if self.same else float("nan")

    def _weighed(self, share: float) -> float:
        return share / (share + self.weight * (1.0 - share))

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            self.merged + other.merged, self.right + other.right, self.same + other.same, max(self.weight, other.weight)
        )

    def __str__(self) -> str:
        precision = _told(self.precision, self.interval, self.right, self.merged)
        recall = _told(self.recall, interval(self.right, self.same), self.right, self.same)
        return f"precision {precision}, recall {recall}"


@dataclass(frozen=True)
class Calibration:
    """What was fitted: the thresholds, and how they do on the pairs they were fitted on and on those held out."""

    max_cosine_distance: float
    min_differing_cosine: float
    fitted: Figures
    held_out: Figures


def calibrate(
    cosines: NDArray[np.float64],
    differing: NDArray[np.float64],
    same: NDArray[np.bool_],
    allowed: NDArray[np.bool_],
    folds: NDArray[np.int64],
    *,
    precision: float = 0.95,
) -> Calibration:
    """Fits thresholds that merge the most pairs rightly at a precision of `precision`, or says why it can't.

    One entry a pair: its cosine, that of its differing words, whether it means the same, whether no guard forbids the
    merge, and its fold. Each fold is judged by thresholds fitted on the others; the thresholds that are kept are fitted
    on all. Where more of the pairs that may merge are the same than not, a wrong merge counts as many times more: of
    the near pairs of a vocabulary at most half are the same, whatever the share in a list of synonyms. Of thresholds
    that merge as many rightly, or 1 % fewer, those with the fewest wrong merges are taken, then the strictest.

    Raises `ConfigError` for a precision outside 0.5 to 1 and `DataError` where the pairs cannot tell: with one label
    only, too few of either (fewer right merges than `least_merges`, or fewer than 5 pairs of a label in a fold), where
    no thresholds reach the precision by `least_merges` merges, or where that of the held-out pairs is below it beyond
    chance (its 95 % interval).

    >>> same = np.arange(400) % 2 == 0
    >>> cosines = np.where(same, 0.9, 0.7)
    >>> calibrate(cosines, cosines, same, np.ones(400, bool), np.arange(400) // 2 % 5)
    Calibration(max_cosine_distance=0.1, min_differing_cosine=0.9,
        fitted=Figures(merged=200, right=200, same=200, weight=1.0),
        held_out=Figures(merged=200, right=200, same=200, weight=1.0))
    """
    least = least_merges(precision)
    count = int(folds.max(initial=-1)) + 1
    _check_enough(same, allowed, folds, count, least, precision)
    weight = max(1.0, int((same & allowed).sum()) / int((~same & allowed).sum()))
    cells = _cells(cosines, differing)
    best = _best(cells, same, allowed, precision, least, weight)
    if best is None:
        closest = _most_precise(cells, same, allowed, least, weight)
        raise DataError(
            f"no thresholds reach a precision of {precision:g} on these pairs: the best that merge {least:,} and more "
            f"have {closest.precision:.3f} ({closest.interval[0]:.3f} - {closest.interval[1]:.3f})",
            hint="ask for less (`--precision`), take another embedder: this one does not tell these pairs apart"
            + (f", or give more that are not the same: one weighs {weight:.1f} now" if weight > 1 else ""),
        )
    held_out = Figures(0, 0, 0, weight)
    for fold in range(count):
        inside = folds == fold
        # Fewer merges suffice here: it is the sum over the folds that is judged.
        chosen = _best(cells, same, allowed & ~inside, precision, 1, weight)
        held_out += _figures(cells, same, allowed, inside, chosen, weight)
    if held_out.interval[1] < precision:
        raise DataError(
            f"a precision of {precision:g} does not hold: on pairs that were held out it is "
            f"{held_out.precision:.3f} ({held_out.interval[0]:.3f} - {held_out.interval[1]:.3f})",
            hint="give more pairs, or ask for more (`--precision`) than you need",
        )
    fitted = _figures(cells, same, allowed, np.ones(len(same), dtype=bool), best, weight)
    return Calibration(best[0] / STEPS, best[1] / STEPS, fitted, held_out)


def least_merges(precision: float) -> int:
    """So many merges, all right, and the 95 % interval of their precision begins at `precision`: fewer tell nothing.

    >>> least_merges(0.9), least_merges(0.95), least_merges(0.99)
    (35, 73, 381)
    """
    if not 0.5 <= precision < 1.0:
        raise ConfigError(
            f"`precision` is {precision}, must be at least 0.5 and below 1",
            hint="0.95 lets 1 merge of 20 be wrong; that none is wrong no sample can show",
        )
    return ceil(precision * Z * Z / (1 - precision) - 1e-9)


def folds_of(a: Sequence[str], b: Sequence[str], count: int) -> NDArray[np.int64]:
    """The fold of each pair; pairs that share a tag, directly or by way of others, are in one.

    So no tag of a held-out pair was seen in fitting. The largest such component goes first, each into the fold with the
    fewest pairs; ties by a hash of its tags, so that neither order nor names in the file decide.

    >>> folds_of(["a", "b", "x", "q"], ["b", "c", "y", "r"], 2).tolist()
    [0, 0, 1, 1]
    """
    names = sorted({*a, *b}, key=str.encode)
    place = {name: at for at, name in enumerate(names)}
    parent = list(range(len(names)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = at = parent[parent[at]]
        return at

    for one, other in zip(a, b, strict=True):
        low, high = sorted((root(place[one]), root(place[other])))
        parent[high] = low  # the root of a component is its first name
    pairs: dict[int, list[int]] = {}
    for at, one in enumerate(a):
        pairs.setdefault(root(place[one]), []).append(at)
    folds = np.zeros(len(a), dtype=np.int64)
    held = [0] * count
    order = sorted(pairs, key=lambda at: (-len(pairs[at]), crc32(names[at].encode()), at))
    for component in order:
        fold = held.index(min(held))
        folds[pairs[component]] = fold
        held[fold] += len(pairs[component])
    return folds


def _check_enough(
    same: NDArray[np.bool_],
    allowed: NDArray[np.bool_],
    folds: NDArray[np.int64],
    count: int,
    least: int,
    precision: float,
) -> None:
    if len(same) == 0:
        raise DataError("no pair is given", hint="a line a pair: `a`, `b`, `same`")
    for label, mine in (("the same", same), ("not the same", ~same)):
        if not mine.any():
            other = "not the same" if label == "the same" else "the same"
            raise DataError(
                f"no pair is labelled {label}: all {len(same):,} are {other}",
                hint="a threshold lies between the two: give pairs of both kinds, hard ones too",
            )
    positives = int((same & allowed).sum())
    if positives < least:
        raise DataError(
            f"too few pairs: a precision of {precision:g} takes {least:,} right merges to tell (95 % interval), and "
            f"{positives:,} pairs are labelled the same and not forbidden by a guard",
            hint=f"give {least - positives:,} more that are the same, or ask for less (`--precision`)",
        )
    for label, mine in (("the same", same & allowed), ("not the same", ~same & allowed)):
        fewest = int(np.bincount(folds[mine], minlength=count).min())
        if fewest < LEAST_A_FOLD:
            raise DataError(
                f"too few pairs: a fold holds {fewest} that are {label} and not forbidden by a guard, and needs "
                f"{LEAST_A_FOLD} (pairs that share tags are in one fold)",
                hint=f"give at least {count * (LEAST_A_FOLD - fewest):,} more, of other tags, or use fewer `--folds`",
            )


def _cells(cosines: NDArray[np.float64], differing: NDArray[np.float64]) -> Cells:
    """The narrowest distance and the highest differing cosine, in hundredths, that let each pair merge."""
    least = 1.0 - np.arange(WIDEST_STEPS + 1) / STEPS - SLACK
    narrowest = np.searchsorted(-least, -cosines, side="left")  # WIDEST_STEPS + 1: none does
    highest = np.searchsorted(np.arange(STEPS + 1) / STEPS - SLACK, differing, side="right") - 1  # -1: none does
    return narrowest.astype(np.int64), highest.astype(np.int64)


def _counts(cells: Cells, pairs: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many of these pairs each (distance, differing cosine) of the grid merges."""
    narrowest, highest = cells
    inside = pairs & (narrowest <= WIDEST_STEPS) & (highest >= 0)
    grid = np.zeros((WIDEST_STEPS + 1, STEPS + 1), dtype=np.int64)
    np.add.at(grid, (narrowest[inside], highest[inside]), 1)
    merged: NDArray[np.int64] = grid.cumsum(axis=0)[:, ::-1].cumsum(axis=1)[:, ::-1]
    return merged


def _best(
    cells: Cells,
    same: NDArray[np.bool_],
    pairs: NDArray[np.bool_],
    precision: float,
    least: int,
    weight: float,
) -> tuple[int, int] | None:
    """Of the cells that are precise enough and merge the most rightly, or nearly: the least wrong, then strictest."""
    right, wrong = _counts(cells, pairs & same), _counts(cells, pairs & ~same)
    merged = right + wrong
    good = (merged >= least) & (right >= precision * (right + weight * wrong) - 1e-9)
    if not good.any():
        return None
    good &= right >= NEARLY * right[good].max()
    distance, least_differing = np.nonzero(good)
    keys = -least_differing, distance, wrong[good]
    first = int(np.lexsort(keys)[0])
    return int(distance[first]), int(least_differing[first])


def _most_precise(
    cells: Cells, same: NDArray[np.bool_], pairs: NDArray[np.bool_], least: int, weight: float
) -> Figures:
    right, wrong = _counts(cells, pairs & same), _counts(cells, pairs & ~same)
    merged = np.maximum(right + wrong, 1)
    at = np.unravel_index(np.argmax(np.where(merged >= least, right / merged, -1.0)), right.shape)
    return Figures(int(right[at] + wrong[at]), int(right[at]), int(same.sum()), weight)


def _figures(
    cells: Cells,
    same: NDArray[np.bool_],
    allowed: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    chosen: tuple[int, int] | None,
    weight: float,
) -> Figures:
    if chosen is None:
        return Figures(0, 0, int((same & inside).sum()), weight)
    merges = inside & allowed & (cells[0] <= chosen[0]) & (cells[1] >= chosen[1])
    return Figures(int(merges.sum()), int((merges & same).sum()), int((same & inside).sum()), weight)


def interval(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson); of nothing, all of it."""
    if not of:
        return 0.0, 1.0
    share = hits / of
    middle, spread = share + Z * Z / (2 * of), Z * sqrt(share * (1 - share) / of + (Z / (2 * of)) ** 2)
    return max(0.0, (middle - spread) / (1 + Z * Z / of)), min(1.0, (middle + spread) / (1 + Z * Z / of))


def _told(share: float, ends: tuple[float, float], hits: int, of: int) -> str:
    return f"{share:.3f} ({ends[0]:.3f} - {ends[1]:.3f}; {hits:,} of {of:,})" if of else "- (of none)"
