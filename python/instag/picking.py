"""Selectors over shards: each picks from a shard what the pool may need, and then from what was picked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from instag import _core
from instag.shards import each, in_turn, joined
from instag.table import TagTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from instag.shards import TagRows

    Mask = NDArray[np.bool_] | None
    Ranks = NDArray[np.float64] | None

# (rows in pick order, rounds, tags new in the round)
Picks = tuple["NDArray[np.int64]", "NDArray[np.int32] | None", "NDArray[np.int64] | None"]

AHEAD = 128  # 1 in so many samples are looked at before the rest
SAMPLE = 1 << 16  # samples that tell how complex those are


def complexity_first(table: TagRows, k: int, complexity: Ranks, eligible: Mask) -> Picks:
    """Algorithm 1 of the paper: see `instag.select`.

    Of shards first the most complex samples are gathered: the pass over them leaves the pool's own counters, which tell
    of every other shard row by itself whether it can be picked. Shards are read twice, and few rows of them renamed.
    """
    if isinstance(table, TagTable) or len(table.starts) <= 2:
        return _core.complexity_first(*table.whole().csr, k, complexity, _bits(eligible, slice(None)))
    size, cut = len(table.vocabulary), _cut(table, k, complexity, eligible)

    def gathered(*state: Any) -> tuple[NDArray[np.int64], TagTable]:
        def of_shard(at: int) -> tuple[NDArray[np.int64], TagTable]:
            first, end = table.starts[at : at + 2].tolist()
            ranks = _of_shard(complexity, eligible, first, end)
            numbers, offsets, ids = _core.first_rounds(*table.stored(at), size, first, cut, *ranks, *state)
            return numbers, TagTable(table.vocabulary, offsets, ids, _checked=True)

        numbers, tables = zip(*in_turn(of_shard, range(len(table.starts) - 1)), strict=True)
        return np.concatenate(numbers), joined(table.vocabulary, tables)

    numbers, rows = gathered()
    reached = _core.rounds_reached(*rows.csr, k, None if complexity is None else complexity[numbers])
    others, rest = gathered(*reached)
    # In rank order, where complexities are equal: those of the second part lie behind the cut.
    numbers, rows = np.concatenate([numbers, others]), joined(table.vocabulary, [rows, rest])
    picked, rounds, gains = _core.complexity_first(*rows.csr, k, None if complexity is None else complexity[numbers])
    return numbers[picked], rounds, gains


def _cut(table: TagRows, k: int, complexity: Ranks, eligible: Mask) -> tuple[float, int]:
    """A place in the rank order, ahead of which lie about as many samples as are worth looking at first.

    It decides the cost alone, so a sample of the rows tells it; fewer than `k` ahead would leave none to be dropped.
    """
    count = len(table) if eligible is None else np.count_nonzero(eligible)
    ahead, step = max(count // AHEAD, 2 * k), count // SAMPLE + 1
    if ahead >= count:
        return -np.inf, 0
    rows = np.arange(0, count, step) if eligible is None else np.flatnonzero(eligible)[::step]
    ranks = np.diff(table.take(rows).offsets) if complexity is None else complexity[rows]
    at = np.lexsort((rows, -ranks))[min(ahead // step, len(rows) - 1)]
    return float(ranks[at]), int(rows[at])


def most_complex(table: TagRows, k: int, complexity: Ranks, eligible: Mask) -> Picks:
    """The samples of most tags: the first `k` of every shard, and the first `k` of those."""

    def of_shard(shard: TagTable, first: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        ranks, bits = _of_shard(complexity, eligible, first, first + len(shard))
        rows = _core.most_complex(*shard.csr, k, ranks, bits)
        return rows + first, np.diff(shard.offsets)[rows].astype(np.float64) if ranks is None else ranks[rows]

    parts = list(each(table, of_shard))
    rows, ranks = (np.concatenate([part[at] for part in parts]) for at in (0, 1))
    if len(parts) > 1:
        rows = rows[np.lexsort((rows, -ranks))[:k]]
    return rows, None, None


def max_coverage(table: TagRows, k: int, weights: Ranks, eligible: Mask) -> Picks:
    """Lazy greedy coverage. A gain hangs on all that was picked before, so the rows are held in memory together."""
    return _core.max_coverage(*table.whole().csr, k, weights, _bits(eligible, slice(None)))


def _of_shard(complexity: Ranks, eligible: Mask, start: int, end: int) -> tuple[Ranks, Any]:
    rows = slice(start, end)
    return None if complexity is None else complexity[rows], _bits(eligible, rows)


def _bits(eligible: Mask, rows: slice) -> NDArray[np.uint8] | None:
    return None if eligible is None else eligible[rows].view(np.uint8)
