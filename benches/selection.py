"""Complexity-first selection of 1 % of the pool: against Algorithm 1 in plain Python sets, and one pass in numba.

Every contender starts from the form it likes: `instag` and numba from arrays, Python from a list of sets.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import polars as pl

import generate
import timing
from instag import TagTable, select


def python_sets(samples: list[set[int]], k: int) -> list[int]:
    """Algorithm 1 as the paper prints it."""
    left = sorted(range(len(samples)), key=lambda row: -len(samples[row]))
    picked: list[int] = []
    while len(picked) < k:
        covered: set[int] = set()
        before, passed = len(picked), []
        for at, row in enumerate(left):
            if samples[row] <= covered:
                passed.append(row)
                continue
            picked.append(row)
            covered |= samples[row]
            if len(picked) == k:
                passed += left[at + 1 :]
                break
        if len(picked) == before:
            break
        left = passed
    return picked


SIZES = (1_000_000, 10_000_000)


def compare(samples: int) -> Iterator[timing.Comparison]:
    """Against Python sets (once from a million samples on: it takes minutes) and, where it is installed, numba."""
    k = samples // 100
    offsets, ids = generate.tag_table(samples)
    table = TagTable.from_arrays([f"tag {tag}" for tag in range(generate.TAGS)], offsets, ids)

    def ours() -> list[int]:
        # A fresh table each run, so that what it remembers between calls does not count.
        fresh = TagTable(table.vocabulary, table.offsets, table.ids, _checked=True)
        return select(fresh, k).rows.tolist()

    rows = _sets(offsets, ids)
    yield timing.compare(
        f"complexity-first, k = {k:,}",
        samples,
        ours,
        lambda: python_sets(rows, k),
        peer_name="Python sets",
        same=list.__eq__,
        peer_runs=1 if samples >= 1_000_000 else None,
        target=100 if samples >= 10_000_000 else None,  # at 1 % of fewer samples a few rounds do
    )
    rows.clear()  # ten million sets are several GiB
    try:
        one_pass = _numba_one_pass()
    except ImportError:
        print("numba is not installed: left out", file=sys.stderr)
        return
    one_pass(offsets[:2], ids[: offsets[1]], generate.TAGS, 1)  # compiles
    yield timing.compare(
        f"complexity-first, k = {k:,}",
        samples,
        ours,
        lambda: one_pass(offsets, ids, generate.TAGS, k),
        peer_name="the one pass in numba",
        same=list.__eq__,
    )


def _sets(offsets: np.ndarray, ids: np.ndarray) -> list[set[int]]:
    shared = list(range(generate.TAGS))  # one int object a tag, as interned strings would be
    rows, step = [], 1_000_000
    for start in range(0, len(offsets) - 1, step):
        bounds = offsets[start : start + step + 1]
        block = pl.Series(ids[bounds[0] : bounds[-1]]).to_list()
        at = (bounds - bounds[0]).tolist()
        rows += [{shared[tag] for tag in block[a:b]} for a, b in pairwise(at)]
    return rows


def _numba_one_pass():
    import numba

    @numba.njit
    def rounds(offsets, ids, size, order):
        reached = np.zeros(size, np.int64)
        found = np.zeros(len(order), np.int64)
        for rank in range(len(order)):
            row = order[rank]
            low = np.int64(2**62)
            for at in range(offsets[row], offsets[row + 1]):
                low = min(low, reached[ids[at]])
            found[rank] = low + 1
            for at in range(offsets[row], offsets[row + 1]):
                reached[ids[at]] = max(reached[ids[at]], low + 1)
        return found

    def one_pass(offsets: np.ndarray, ids: np.ndarray, size: int, k: int) -> list[int]:
        order = np.argsort(-np.diff(offsets).astype(np.int16), kind="stable")
        found = rounds(offsets, ids, size, order)
        return order[np.argsort(found, kind="stable")[:k]].tolist()

    return one_pass
