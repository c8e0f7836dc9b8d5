"""Selection beside what people use, and beside a bare loop in C (`bare.c`: one thread, no checks; ours may use all).

`select` is the public call, which also tells the coverage of every pick; `kernel` is what it calls. Peers that take
minutes run once. The pool is that of `generate.py`; real tables (Ask Ubuntu, winget) where `INSTAG_DATA` has them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import polars as pl

from instag import TagTable, _core, select
from instag.bench import bare, generate
from instag.bench.racing import Contender, Course, first, on_arrays
from instag.bench.timing import Comparison
from instag.progress import Talk

if TYPE_CHECKING:
    from numpy.typing import NDArray

Rows: TypeAlias = "tuple[NDArray[np.int64], NDArray[np.uint32], int]"  # offsets, ids, size of the vocabulary


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


def sets(folder: Path) -> list[set[int]]:
    """Rows as sets, with one int object a tag, as interned strings would be."""
    offsets, ids, size = generate.rows(folder)
    shared = list(range(size))
    rows: list[set[int]] = []
    step = 1_000_000
    for start in range(0, len(offsets) - 1, step):
        bounds = offsets[start : start + step + 1]
        block = pl.Series(ids[bounds[0] : bounds[-1]]).to_list()
        at = (bounds - bounds[0]).tolist()
        rows += [{shared[tag] for tag in block[a:b]} for a, b in pairwise(at)]
    return rows


def fresh_table(folder: Path) -> Callable[[], TagTable]:
    """Makes a table each run, so that what one remembers between calls does not count."""
    offsets, ids, size = generate.rows(folder)
    return partial(TagTable, pl.Series([f"tag {tag}" for tag in range(size)]), offsets, ids, _checked=True)


def numba_form(folder: Path) -> tuple[Any, Rows]:
    """The loop, compiled, and the rows."""
    import numba

    def rounds(offsets: Any, ids: Any, size: Any, order: Any) -> Any:
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

    form = numba.njit(rounds), generate.rows(folder)
    offsets, ids, size = form[1]
    numba_one_pass((form[0], (offsets[:2], ids[: offsets[1]], size)), 1)
    return form


def numba_one_pass(form: tuple[Any, Rows], k: int) -> Any:
    rounds, (offsets, ids, size) = form
    order = np.argsort(-np.diff(offsets).astype(np.int16), kind="stable")
    return order[np.argsort(rounds(offsets, ids, size, order), kind="stable")[:k]]


def submodlib_form(folder: Path) -> Any:
    from submodlib import SetCoverFunction

    rows = sets(folder)
    return SetCoverFunction(n=len(rows), cover_set=rows, num_concepts=generate.rows(folder)[2])


def submodlib_lazy(function: Any, k: int) -> list[int]:
    return [row for row, _ in function.maximize(budget=k, optimizer="LazyGreedy", show_progress=False)]


CONTENDERS: dict[str, Contender] = {
    "complexity-first kernel": Contender(generate.rows, on_arrays(_core.complexity_first), told=first),
    "complexity-first select": Contender(fresh_table, lambda table, k: select(table(), k).rows),
    "Python sets": Contender(sets, python_sets),
    "one pass in numba": Contender(numba_form, numba_one_pass, ("numba",)),
    "one pass in C": Contender(generate.rows, on_arrays(bare.complexity_first), ("cc",)),
    "coverage kernel": Contender(generate.rows, on_arrays(_core.max_coverage), told=first),
    "coverage select": Contender(fresh_table, lambda table, k: select(table(), k, "coverage").rows),
    "bucket greedy in C": Contender(generate.rows, on_arrays(bare.max_coverage), ("cc",)),
    "Python heap": Contender(sets, python_heap),
    "submodlib": Contender(submodlib_form, submodlib_lazy, ("submodlib",)),
}


def make(folder: Path, samples: int) -> None:
    """The input: rows of the generated pool."""
    generate.save_rows(folder, *generate.tag_table(samples))


def equal(ours: Any, theirs: Any) -> bool:
    return list(map(int, ours)) == list(map(int, theirs))


def same_coverage(course: Course) -> Callable[[Any, Any], bool]:
    """Peers that break ties in another way: what is covered may differ by half a percent."""

    def covered(picked: Any) -> int:
        offsets, ids, _ = generate.rows(course.folder)
        return len(np.unique(np.concatenate([ids[offsets[row] : offsets[row + 1]] for row in picked])))

    return lambda ours, theirs: abs(covered(ours) - covered(theirs)) <= generate.TAGS / 200


SIZES = (1_000_000, 10_000_000)
BARE = 1 / 1.5  # as a ratio: at most half as long again


def compare(samples: int, *, peers: bool, talk: Talk) -> Iterator[Comparison]:
    """The generated pool: a hundredth of it by complexity-first, 6,000 by either method."""
    big, middling = samples >= 10_000_000, samples >= 1_000_000  # what something is promised for
    share, few = samples // 100, min(6_000, samples // 10)
    with Course(__name__, CONTENDERS, samples, partial(make, samples=samples), talk, remake=str(samples)) as course:

        def race(ours: str, peer: str, k: int, same: Callable[[Any, Any], bool] = equal, **options: Any) -> Comparison:
            return course.race(ours, peer, k, task=f"{ours}, k = {k:,}", same=same, **options)

        if big:
            bare.say_scaled("one pass", 0.49, course.folder, talk)
        for k, target in ((share, 1 / 1.3), (few, BARE)):
            for ours in ("complexity-first kernel", "complexity-first select"):
                yield race(ours, "one pass in C", k, target=target if big else None)
        yield race("coverage kernel", "bucket greedy in C", few, target=BARE if middling else None)
        yield race("coverage select", "bucket greedy in C", few)
        if not peers:
            return
        yield race("complexity-first select", "Python sets", share, peer_runs=1, target=100 if big else None)
        yield race("complexity-first select", "one pass in numba", share)
        yield race("coverage select", "Python heap", few, peer_runs=1, target=35 if middling else None)
        # It knows no rounds: compared before all tags are covered, by 2,596 picks of a million samples, 1,950 of ten.
        k, same = min(1_500 if big else 2_000, few), same_coverage(course)
        yield race("coverage select", "submodlib", k, same, peer_runs=1, target=12 if middling else None)
