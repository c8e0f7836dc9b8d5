"""Rules of two tags over any number of shards, and tags merged by them to the fixed point: step 4 of `normalize`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from instag import _core
from instag.overriding import Sides, apart_round, merged_sides
from instag.shards import each

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from instag.shards import TagRows

# (antecedents, consequents, rows with both, confidences), by antecedent, then consequent.
Rules = tuple["NDArray[np.uint32]", "NDArray[np.uint32]", "NDArray[np.int64]", "NDArray[np.float64]"]


def pair_rules(
    table: TagRows, min_count: int, min_confidence: float, *, marked: NDArray[np.uint8] | None = None
) -> Rules:
    """Every rule A => B with count(AB) >= `min_count` and count(AB) / count(A) >= `min_confidence`.

    With `marked` (one entry a tag), only those whose antecedent is. Two passes over the shards: a rule of the pool is a
    candidate in one shard at least; candidates are then counted in all of them. Raises `ValueError`.
    """
    counts, size = table.counts, len(table.vocabulary)
    only = np.ones(size, np.uint8) if marked is None else marked
    limits = (min_count, min_confidence)
    found = each(table, lambda shard, _: _core.rule_candidates(*shard.csr, counts, only, *limits))
    pairs = [antecedents.astype(np.uint64) << 32 | consequents for antecedents, consequents in found]
    # One shard's pairs are in order and distinct already.
    keys = pairs[0] if len(pairs) == 1 else np.unique(np.concatenate([np.empty(0, np.uint64), *pairs]))
    candidates = (keys >> 32).astype(np.uint32), keys.astype(np.uint32)
    joint = np.zeros(len(keys), np.int64)
    if len(keys):
        for part in each(table, lambda shard, _: _core.count_pairs(*shard.csr, *candidates)):
            joint += part
    return _core.pair_rules(counts, *candidates, joint, *limits)


def merge_associations(
    table: TagRows,
    ranks: NDArray[np.uint32],
    min_count: int,
    min_confidence: float,
    sides: Mapping[int, Sides] | None = None,
) -> tuple[NDArray[np.uint32], NDArray[np.int32], NDArray[np.float64], set[int]]:
    """Pair rules merged round after round until none is left: (into, round, confidence), one entry a tag; and `stayed`.

    `into` is the tag it ends in (itself where it stays), `round` the round from 1 in which a rule moved it (0: none
    did), `confidence` that rule's (0 where none did). An antecedent goes to its consequent of highest confidence, then
    the rarer one, then the one of smaller rank; `ranks` are the tags' places in the bytewise order of their names. A
    cycle collapses into its most frequent member. Tags that `sides` keeps apart never meet (see `apart_round`; `stayed`
    are those that had to stay for it). Raises `ValueError`; O(ids) a round.
    """
    size = len(table.vocabulary)
    same = np.arange(size, dtype=np.uint32)
    into, rounds, confidences = same.copy(), np.zeros(size, np.int32), np.zeros(size)
    marked = np.ones(size, np.uint8)
    apart, stayed = dict(sides or {}), set[int]()
    while True:
        antecedents, consequents, _, confidence = pair_rules(table, min_count, min_confidence, marked=marked)
        ends, moved_by, barred = apart_round((antecedents, consequents, confidence), table.counts, ranks, apart)
        stayed |= barred
        moved = ends != same
        if not moved.any():
            return into, rounds, confidences, stayed
        rounds[moved], confidences[moved] = rounds.max() + 1, moved_by[moved]
        into = ends[into]
        # A rule that this round made possible starts at a tag whose rows it changed.
        marked = _changed(table, ends)
        table = table.renamed(table.vocabulary, ends)
        apart = merged_sides(apart, ends)


def _changed(table: TagRows, ends: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """1 for the tags, as they are after the round, of every row that the round changes."""
    marked = np.zeros(len(ends), np.uint8)
    for mask in each(table, lambda shard, _: _core.changed_tags(*shard.csr[:2], ends)):
        marked |= mask
    return marked
