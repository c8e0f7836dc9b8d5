"""Selectors over shards: each picks from a shard what the pool may need, and then from what was picked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from instag import _core
from instag.shards import each, joined
from instag.table import TagTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from instag.shards import TagRows

    Mask = NDArray[np.bool_] | None
    Ranks = NDArray[np.float64] | None

# (rows in pick order, rounds, tags new in the round)
Picks = tuple["NDArray[np.int64]", "NDArray[np.int32] | None", "NDArray[np.int64] | None"]

EVERY_ROUND = 2**32 - 2


def complexity_first(table: TagRows, k: int, complexity: Ranks, eligible: Mask) -> Picks:
    """Algorithm 1 of the paper: see `instag.select`.

    Shards are read one after the other, and of what was read so far only samples of the first rounds are kept: rounds
    among some of the samples are lower bounds of the pool's. How many rounds are needed is guessed from the first shard
    (13 there were 15 in ten times as many samples); a guess that was too low is doubled, and all is read again.
    """
    if len(table.starts) <= 2:
        return _core.complexity_first(*table.whole().csr, k, complexity, _bits(eligible, slice(None)))
    shard = table.shard(0)
    alone = _core.complexity_first(*shard.csr, k, *_of_shard(complexity, eligible, 0, len(shard)))[1]
    last_round = int(alone[-1] * 3 // 2) + 2 if len(alone) else 2
    while True:
        numbers, ranks, rows, dropped = _first_rounds(table, last_round, complexity, eligible)
        picks = _core.complexity_first(*rows.csr, k, ranks, None, numbers)
        # Samples kept may lie beyond the last round in the pool: their ranks are not told by what is here.
        if not dropped or (len(picks[0]) == k and int(picks[1][-1]) <= last_round):
            return picks
        last_round = min(2 * last_round, EVERY_ROUND)


def _first_rounds(
    table: TagRows, last_round: int, complexity: Ranks, eligible: Mask
) -> tuple[NDArray[np.int64], NDArray[np.float64], TagTable, bool]:
    """The samples that may lie in the first rounds: (numbers, what they rank by, tags, whether others are left out)."""
    numbers, ranks = np.zeros(0, np.int64), np.zeros(0)
    rows, left_out = TagTable(table.vocabulary, np.zeros(1, np.int64), np.zeros(0, np.uint32), _checked=True), False
    for shard, first in each(table, lambda shard, first: (shard, first)):
        here = slice(first, first + len(shard))
        numbers = np.concatenate([numbers, np.arange(here.start, here.stop)])
        ranks = np.concatenate([ranks, np.diff(shard.offsets) if complexity is None else complexity[here]])
        bits = None if eligible is None else np.concatenate([np.ones(len(rows), bool), eligible[here]]).view(np.uint8)
        both = joined(table.vocabulary, [rows, shard])
        numbers, ranks, offsets, ids, dropped = _core.first_rounds(*both.csr, last_round, ranks, bits, numbers)
        rows, left_out = TagTable(table.vocabulary, offsets, ids, _checked=True), left_out or dropped
    return numbers, ranks, rows, left_out


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
