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
PRUNE_ABOVE = 1_000_000  # samples kept of several shards before later rounds are left out again


def complexity_first(table: TagRows, k: int, complexity: Ranks, eligible: Mask) -> Picks:
    """Algorithm 1 of the paper: see `instag.select`.

    A shard's rounds are lower bounds of the pool's, so its samples of later rounds than are needed can be left out. How
    many rounds are needed is guessed from the first shard; a guess that was too low is doubled, and all is read again.
    """
    if len(table.starts) <= 2:
        return _core.complexity_first(*table.whole().csr, k, complexity, _bits(eligible, slice(None)))
    rounds = _core.complexity_first(*table.shard(0).csr, k, *_of_shard(complexity, eligible, 0, int(table.starts[1])))[
        1
    ]
    last_round = int(rounds[-1]) + 2 if len(rounds) else 2
    while True:
        kept = _first_rounds(table, last_round, complexity, eligible)
        numbers, ranks, offsets, ids, dropped = kept
        picks = _core.complexity_first(offsets, ids, len(table.vocabulary), k, ranks, None, numbers)
        # Samples kept may lie beyond the last round in the pool: their ranks are not told by what is here.
        if not dropped or (len(picks[0]) == k and int(picks[1][-1]) <= last_round):
            return picks
        last_round = min(2 * last_round, EVERY_ROUND)


_Part = tuple["NDArray[np.int64]", "NDArray[np.float64]", "NDArray[np.int64]", "NDArray[np.uint32]", bool]


def _first_rounds(table: TagRows, last_round: int, complexity: Ranks, eligible: Mask) -> _Part:
    """The samples of the pool that may lie in its first rounds."""
    size = len(table.vocabulary)

    def of_shard(shard: TagTable, first: int) -> _Part:
        numbers = np.arange(first, first + len(shard))
        ranked = _of_shard(complexity, eligible, first, first + len(shard))
        return _core.first_rounds(*shard.csr, last_round, numbers, *ranked)

    def merged(parts: list[_Part]) -> _Part:
        tables = [TagTable(table.vocabulary, part[2], part[3], _checked=True) for part in parts]
        rows = joined(table.vocabulary, tables)
        numbers, ranks = (np.concatenate([part[at] for part in parts]) for at in (0, 1))
        made = _core.first_rounds(rows.offsets, rows.ids, size, last_round, numbers, ranks)
        return (*made[:4], made[4] or any(part[4] for part in parts))

    parts: list[_Part] = []
    for part in each(table, of_shard):
        parts.append(part)
        if sum(len(part[0]) for part in parts[1:]) > PRUNE_ABOVE:
            parts = [merged(parts)]
    return merged(parts)


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
