"""Selection beside what people use, and beside a bare loop in C (`bare.c`: one thread, no checks; ours may use all).

`select` is the public call, which also tells the coverage of every pick; `kernel` is what it calls. Peers that take
minutes run once. The pool is that of `generate.py`; real tables (Ask Ubuntu, winget) where `INSTAG_DATA` has them.
"""

from __future__ import annotations

import gzip
import heapq
import json
import os
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

import bare
import generate
import timing
from instag import TagTable, _core, select

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from timing import Rows

DATA = Path(os.environ.get("INSTAG_DATA", Path(__file__).parents[2] / "shared" / "data")) / "tags"


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


def python_heap(samples: list[set[int]], k: int) -> list[int]:
    """Lazy greedy coverage with `heapq`, ties to the earlier row, a new round when nothing adds a tag."""
    picked: list[int] = []
    taken: set[int] = set()
    while len(picked) < k:
        covered: set[int] = set()
        heap = [(-len(tags), row) for row, tags in enumerate(samples) if tags and row not in taken]
        heapq.heapify(heap)
        before = len(picked)
        while heap and len(picked) < k:
            bound, row = heap[0]
            gain = len(samples[row] - covered)
            if not gain:
                heapq.heappop(heap)
            elif -gain > bound:
                heapq.heapreplace(heap, (-gain, row))
            else:
                heapq.heappop(heap)
                picked.append(row)
                taken.add(row)
                covered |= samples[row]
        if len(picked) == before:
            break
    return picked


def sets(offsets: NDArray[np.int64], ids: NDArray[np.uint32], size: int) -> list[set[int]]:
    """Rows as sets, with one int object a tag, as interned strings would be."""
    shared = list(range(size))
    rows, step = [], 1_000_000
    for start in range(0, len(offsets) - 1, step):
        bounds = offsets[start : start + step + 1]
        block = pl.Series(ids[bounds[0] : bounds[-1]]).to_list()
        at = (bounds - bounds[0]).tolist()
        rows += [{shared[tag] for tag in block[a:b]} for a, b in pairwise(at)]
    return rows


def arrays(*rows: Any) -> Rows:
    return rows


def fresh_table(offsets: NDArray[np.int64], ids: NDArray[np.uint32], size: int) -> Any:
    """Makes a table each run, so that what one remembers between calls does not count."""
    vocabulary = pl.Series([f"tag {tag}" for tag in range(size)])
    return lambda: TagTable(vocabulary, offsets, ids, _checked=True)


@cache
def numba_rounds() -> Any:
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

    return rounds


def numba_compiled(offsets: NDArray[np.int64], ids: NDArray[np.uint32], size: int) -> Rows:
    numba_one_pass((offsets[:2], ids[: offsets[1]], size), 1)
    return offsets, ids, size


def numba_one_pass(rows: Rows, k: int) -> NDArray[np.int64]:
    offsets, ids, size = rows
    order = np.argsort(-np.diff(offsets).astype(np.int16), kind="stable")
    found = numba_rounds()(offsets, ids, size, order)
    return order[np.argsort(found, kind="stable")[:k]]


def submodlib_form(offsets: NDArray[np.int64], ids: NDArray[np.uint32], size: int) -> Any:
    from submodlib import SetCoverFunction

    return SetCoverFunction(n=len(offsets) - 1, cover_set=sets(offsets, ids, size), num_concepts=size)


def submodlib_lazy(function: Any, k: int) -> list[int]:
    return [row for row, _ in function.maximize(budget=k, optimizer="LazyGreedy", show_progress=False)]


CONTENDERS: dict[str, timing.Contender] = {
    "complexity-first kernel": (arrays, lambda rows, k: _core.complexity_first(*rows, k)[0]),
    "complexity-first select": (fresh_table, lambda table, k: select(table(), k).rows),
    "Python sets": (sets, python_sets),
    "one pass in numba": (numba_compiled, numba_one_pass),
    "one pass in C": (arrays, lambda rows, k: bare.complexity_first(*rows, k)),
    "coverage kernel": (arrays, lambda rows, k: _core.max_coverage(*rows, k)[0]),
    "coverage select": (fresh_table, lambda table, k: select(table(), k, "coverage").rows),
    "bucket greedy in C": (arrays, lambda rows, k: bare.max_coverage(*rows, k)),
    "Python heap": (sets, python_heap),
    "submodlib": (submodlib_form, submodlib_lazy),
}


def equal(ours: Any, theirs: Any) -> bool:
    return list(map(int, ours)) == list(map(int, theirs))


def same_coverage(rows: Rows) -> Any:
    """Peers that break ties in another way: what is covered may differ by half a percent."""
    offsets, ids, size = rows

    def covered(picked: Any) -> int:
        return len(np.unique(np.concatenate([ids[offsets[row] : offsets[row + 1]] for row in picked])))

    return lambda ours, theirs: abs(covered(ours) - covered(theirs)) <= size / 200


def real_tables() -> Iterator[tuple[str, Rows]]:
    """Ask Ubuntu and winget, as (name, rows)."""
    if not DATA.is_dir():
        print(f"selection: no real data at {DATA} (set INSTAG_DATA)", file=sys.stderr)
        return
    with gzip.open(DATA / "ask_ubuntu" / "tags.jsonl.gz", "rt") as file:
        ask_ubuntu = [json.loads(line)["tags"] for line in file]
    index = json.loads((DATA / "winget" / "index.v2.json").read_text())
    winget = [package["Tags"] or [] for package in index]
    for name, lists in (("Ask Ubuntu", ask_ubuntu), ("winget", winget)):
        table = TagTable.from_series(pl.Series(lists, dtype=pl.List(pl.String)))
        yield name, table.csr


SIZES = (1_000_000, 10_000_000)
BARE = 1 / 1.5  # as a ratio: at most half as long again


def compare(samples: int) -> Iterator[timing.Comparison]:
    """The generated pool, and at the first size the real tables."""
    rows = (*generate.tag_table(samples), generate.TAGS)
    with timing.saved(rows) as folder:

        def race(ours: str, peer: str, k: int, **options: Any) -> timing.Comparison:
            options = {"same": equal, **options}
            return timing.race(__file__, CONTENDERS, (ours, peer), f"{ours}, k = {k:,}", rows, folder, k, **options)

        big = samples >= 10_000_000
        if big:
            scaled = f"{bare.scaled(0.49, rows[1]):.2f}"
            print(f"selection: the design's one pass in C (0.49 s) would take {scaled} s here", file=sys.stderr)
        for k, target in ((samples // 100, 1 / 1.3), (6_000, BARE)):
            for ours in ("complexity-first kernel", "complexity-first select"):
                yield race(ours, "one pass in C", k, target=target if big else None)
        yield race("coverage kernel", "bucket greedy in C", 6_000, target=BARE)
        yield race("coverage select", "bucket greedy in C", 6_000)
        k = samples // 100
        yield race("complexity-first select", "Python sets", k, peer_runs=1, target=100 if big else None)
        yield race("complexity-first select", "one pass in numba", k)
        if not big:
            yield race("coverage select", "Python heap", 6_000, peer_runs=1, target=35)
            yield race("coverage select", "submodlib", 2_000, peer_runs=1, target=12, same=same_coverage(rows))
    if samples == SIZES[0]:
        yield from _real()


def _real() -> Iterator[timing.Comparison]:
    for name, rows in real_tables():
        with timing.saved(rows) as folder:
            for ours, peer in (
                ("complexity-first select", "one pass in C"),
                ("complexity-first select", "Python sets"),
                ("coverage select", "bucket greedy in C"),
                ("coverage select", "Python heap"),
            ):
                task = f"{name}: {ours}, k = 6,000"
                yield timing.race(__file__, CONTENDERS, (ours, peer), task, rows, folder, 6_000, same=equal)


if __name__ == "__main__":
    timing.run_alone(CONTENDERS)
