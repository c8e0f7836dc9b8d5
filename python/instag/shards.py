"""Tag tables larger than memory: shards over one vocabulary, each made again whenever it is asked for.

Whatever is computed from rows of tags is computed from one shard, then merged. A `TagTable` is the case of one shard,
so a stage is written once, with what both have: `vocabulary`, `counts`, `starts`, `shard`, `renamed`, `take`, `whole`.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np

from instag import _core
from instag.errors import ArtifactError, DataError
from instag.memory import MemoryWarning, available_bytes, require
from instag.table import TagTable, places
from instag.temporary import TemporaryFolder, remove_abandoned

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

S = TypeVar("S")
T = TypeVar("T")

DROPPED = 2**32 - 1  # what `renamed` drops
_ASKED = os.environ.get("RAYON_NUM_THREADS", "")  # what `--threads` sets
# Shards worked on at a time; kernels with threads of their own fill the rest of a larger machine.
AT_ONCE = min(int(_ASKED) if _ASKED.isdecimal() and int(_ASKED) else os.cpu_count() or 1, 2)
AHEAD = AT_ONCE if AT_ONCE > 1 else -1  # tasks waiting where one more is begun; with one thread none is left running
SPILL_ABOVE = 4 << 30  # bytes of rows kept in memory; the rest goes to a temporary folder
SPILL_SHARE = 4  # and no more than the share of what is left: the stages need more beside the rows than they are
UNITED_BYTES = 60  # a string while vocabularies are merged: where it is, its place, its count, its number
MERGE_ABOVE = 4_000_000  # strings of shards that may wait before they are merged into the vocabulary


class TagShards:
    """Rows of tags in shards over one vocabulary: what a `TagTable` is, for pools larger than memory.

    `scan_tags` makes one, and `normalize` another from it; `analyze`, `select` and `association_rules` take it too,
    each with the same result as from one table of all rows. `vocabulary` and `counts` are a table's. The rows are held
    as ids, in memory up to 4 GiB or a quarter of what is left, and above that, with a warning, in a temporary folder
    that goes with the object.
    """

    def __init__(
        self,
        vocabulary: pl.Series,
        stored: Sequence[Stored],
        maps: Sequence[NDArray[np.uint32]],
        counts: NDArray[np.int64] | None = None,
    ) -> None:
        self.vocabulary = vocabulary
        self._stored = stored
        self._maps = maps  # of each shard: its own ids -> ids of the vocabulary
        self.starts = np.cumsum([0, *(part.rows for part in stored)], dtype=np.int64)
        if counts is not None:
            counts.setflags(write=False)
            self.__dict__["counts"] = counts

    def shard(self, at: int) -> TagTable:
        """One shard as a table over the whole vocabulary; it holds the rows from `starts[at]` to `starts[at + 1]`."""
        return self._renamed(at, *self._stored[at].load())

    def stored(self, at: int) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint32]]:
        """One shard as it is kept: offsets, ids of its own, and the id in the vocabulary (or `DROPPED`) of each."""
        return *self._stored[at].load(), self._maps[at]

    def _renamed(self, at: int, offsets: NDArray[np.int64], ids: NDArray[np.uint32]) -> TagTable:
        """Rows of a shard, of its own ids, over the whole vocabulary."""
        needed = offsets.nbytes + ids.nbytes + 4 * len(self.vocabulary)
        require(needed, f"a shard of {len(offsets) - 1:,} rows", hint="write smaller files, or fewer distinct tags")
        made = _core.remap(offsets, ids, self._maps[at], len(self.vocabulary))
        return TagTable(self.vocabulary, *made, _checked=True)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Rows that hold each tag, in vocabulary order."""
        counts = self._counted(self._maps, len(self.vocabulary))
        counts.setflags(write=False)
        return counts

    def renamed(
        self, vocabulary: pl.Series, into: NDArray[np.uint32], counts: NDArray[np.int64] | None = None
    ) -> TagShards:
        """The same rows over another vocabulary, as `TagTable.renamed`; the rows are not read now."""
        return TagShards(vocabulary, self._stored, self._renamed_maps(into), counts)

    def renamed_counts(self, into: NDArray[np.uint32], size: int) -> NDArray[np.int64]:
        """The `counts` of `renamed(vocabulary, into)`, `size` being the vocabulary's; no rows are made."""
        return self._counted(self._renamed_maps(into), size)

    def _renamed_maps(self, into: NDArray[np.uint32]) -> list[NDArray[np.uint32]]:
        to = np.append(into, np.uint32(DROPPED))  # what a shard has dropped stays so
        return [to[np.minimum(own, len(into))] for own in self._maps]

    def _counted(self, maps: Sequence[NDArray[np.uint32]], size: int) -> NDArray[np.int64]:
        counts = np.zeros(size, np.int64)
        for part, own in zip(self._stored, maps, strict=True):
            counts += _core.tag_counts(*part.load(), size, own)
        return counts

    def take(self, rows: NDArray[np.int64]) -> TagTable:
        """The rows of these numbers, in this order, as one table; reads the shards that hold any of them."""
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self):
            raise DataError(f"rows are numbered from 0 to {len(self) - 1}, others were asked for")
        # Sorted as one integer each, the row above its place: several times as fast as `argsort`.
        bits = len(rows).bit_length()
        packed = np.sort(rows << bits | np.arange(len(rows)))
        rising, order = packed >> bits, packed & ((1 << bits) - 1)
        bounds = np.searchsorted(rising, self.starts)
        only = np.flatnonzero(np.diff(bounds)).tolist()

        def of_shard(at: int) -> TagTable:
            own = rising[slice(*bounds[at : at + 2])] - self.starts[at]
            return self._renamed(at, *_core.take(*self._stored[at].load(), own))

        return joined(self.vocabulary, list(in_turn(of_shard, only))).take(places(order))

    def whole(self) -> TagTable:
        """All rows as one table, in memory; `OutOfMemoryError` where that cannot hold them."""
        needed = 2 * sum(8 * part.rows + 4 * part.tags for part in self._stored)  # the shards, then the table of them
        hint = "take a method that goes from shard to shard, or fewer samples"
        require(needed, f"one table of {len(self):,} rows", hint=hint)
        return joined(self.vocabulary, list(each(self, lambda shard, _: shard)))

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __repr__(self) -> str:
        return f"TagShards({len(self._stored):,} shards, {len(self):,} rows, {len(self.vocabulary):,} tags)"


TagRows: TypeAlias = "TagTable | TagShards"


def each(table: TagRows, work: Callable[[TagTable, int], T]) -> Iterator[T]:
    """`work(shard, number of its first row)` of every shard, in order, some of them at a time.

    >>> table = TagTable.from_arrays(["math", "art"], [0, 1, 3], [0, 0, 1])
    >>> list(each(table, lambda shard, first: (first, len(shard))))
    [(0, 2)]
    """
    numbers = range(len(table.starts) - 1)
    return in_turn(lambda at: work(table.shard(at), int(table.starts[at])), numbers)


def in_turn(run: Callable[[S], T], items: Sequence[S]) -> Iterator[T]:
    """`run(item)` of every one of `items`, in order, some of them at a time."""
    if len(items) < 2:
        yield from map(run, items)
        return
    with ThreadPoolExecutor(AT_ONCE) as threads:
        waiting = [threads.submit(run, item) for item in items[:AT_ONCE]]
        try:
            for item in [*items[AT_ONCE:], *[None] * len(waiting)]:
                done = waiting.pop(0).result()
                if item is not None:
                    waiting.append(threads.submit(run, item))
                yield done
        finally:
            threads.shutdown(cancel_futures=True)


@contextlib.contextmanager
def beside(work: Callable[[], T]) -> Iterator[Callable[[], T]]:
    """Starts `work` beside the block, where there are threads for it; what is given out waits for its result.

    >>> with beside(lambda: 6 * 7) as result:
    ...     result()
    42
    """
    if AHEAD < 0:
        yield work
        return
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(work).result


def joined(vocabulary: pl.Series, tables: Sequence[TagTable]) -> TagTable:
    """Tables over one vocabulary, one below the other."""
    ends = np.cumsum([0, *(len(table.ids) for table in tables)], dtype=np.int64)
    offsets = [table.offsets[1:] + end for table, end in zip(tables, ends, strict=False)]
    ids = np.concatenate([np.empty(0, np.uint32), *(table.ids for table in tables)])
    return TagTable(vocabulary, np.concatenate([np.zeros(1, np.int64), *offsets]), ids, _checked=True)


@dataclass(frozen=True)
class Stored:
    """The rows of one shard over its own ids, in memory or in a file (the offsets, then the ids)."""

    rows: int
    tags: int
    arrays: tuple[NDArray[np.int64], NDArray[np.uint32]] | None
    path: Path | None = None
    folder: TemporaryFolder | None = None  # kept as long as a shard is in it

    def load(self) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """(offsets, ids)."""
        if self.arrays is not None:
            return self.arrays
        assert self.path is not None
        try:
            with open(self.path, "rb") as file:
                offsets = np.fromfile(file, np.int64, self.rows + 1)
                ids = np.fromfile(file, np.uint32)
        except OSError as error:
            raise ArtifactError(f"`{self.path}` cannot be read: {error.strerror or error}", hint=_HINT) from None
        if len(offsets) != self.rows + 1 or len(ids) != self.tags or offsets[-1] != self.tags:
            raise ArtifactError(f"`{self.path}` is not what was written there", hint=_HINT)
        return offsets, ids


_HINT = "let nobody clean the temporary folder (TMPDIR) while this runs"


class Gathering:
    """Shards as they come, each interned by itself, and the vocabulary of them all.

    Ids of the running vocabulary never change: it grows by what shards bring, merged some million strings at a time.
    Without `rows` only the vocabulary is kept. `spill_above` is by default 4 GiB, or a quarter of what is left.
    """

    def __init__(self, *, rows: bool = True, spill_above: int | None = None, merge_above: int = MERGE_ABOVE) -> None:
        left = available_bytes()
        room = SPILL_ABOVE if left is None else min(SPILL_ABOVE, left // SPILL_SHARE)
        self._rows = rows
        self._spill_above, self._merge_above = room if spill_above is None else spill_above, merge_above
        self._folder: TemporaryFolder | None = None
        remove_abandoned()
        self._held = 0  # bytes in memory
        self._stored: list[Stored] = []
        self._maps: list[NDArray[np.uint32]] = []  # of the shards merged
        self._words: pl.Series | None = None
        self._counts = np.zeros(0, np.int64)
        self._waiting: list[TagTable] = []  # their vocabularies and counts; the rows are stored
        self._strings = 0

    def add(self, table: TagTable) -> None:
        """Adds a shard below the others."""
        if self._rows:
            self._stored.append(self._store(table.offsets, table.ids))
        empty = np.zeros(1, np.int64), np.zeros(0, np.uint32)
        light = TagTable(table.vocabulary, *empty, _checked=True)
        light.__dict__["counts"] = table.counts
        self._waiting.append(light)
        self._strings += len(table.vocabulary)
        if self._strings > max(self._merge_above, len(self._counts)):
            self._merge()

    def finish(self) -> TagShards:
        """The shards over the vocabulary of all, by count descending, then bytewise."""
        import polars as pl

        self._merge()
        words = pl.Series("tag", [], dtype=pl.String) if self._words is None else self._words
        order = _core.by_count(words, self._counts)
        to = places(order)
        return TagShards(words.gather(order), self._stored, [to[own] for own in self._maps], self._counts[order])

    def _store(self, offsets: NDArray[np.int64], ids: NDArray[np.uint32]) -> Stored:
        rows, tags, size = len(offsets) - 1, len(ids), offsets.nbytes + ids.nbytes
        if self._held + size <= self._spill_above:
            self._held += size
            return Stored(rows, tags, (offsets, ids))
        path = Path(tempfile.gettempdir())
        try:
            if self._folder is None:
                self._folder = TemporaryFolder()
                warnings.warn(
                    f"rows above {self._spill_above / 1e9:.2f} GB go to the temporary folder `{self._folder.path}`",
                    MemoryWarning,
                    stacklevel=2,
                )
            path = self._folder.path / f"{len(self._stored):05}.rows"
            with open(path, "wb") as file:
                file.write(offsets.data)
                file.write(ids.data)
        except OSError as error:
            raise ArtifactError(
                f"`{error.filename or path}` could not be written: {error.strerror or error}",
                hint="set TMPDIR to a folder on a disk that has room for the rows, 4 bytes a tag and 8 a row",
            ) from None
        return Stored(rows, tags, None, path, self._folder)

    def _merge(self) -> None:
        """Takes the strings that wait into the vocabulary; new ones are numbered as they first come."""
        import polars as pl

        if not self._waiting:
            return
        known = len(self._counts)
        hint = "drop tags that occur once before, shard by shard, or use a machine with more memory"
        require(
            UNITED_BYTES * (known + self._strings), f"a vocabulary of up to {known + self._strings:,} tags", hint=hint
        )
        vocabularies = [table.vocabulary for table in self._waiting]
        whole = pl.concat(vocabularies if self._words is None else [self._words, *vocabularies], rechunk=False)
        counts = np.concatenate([self._counts, *(table.counts for table in self._waiting)])
        words, numbers, self._counts = _core.unite(whole, counts, known)
        new = pl.DataFrame(words)["tag"]
        self._words = new if self._words is None else self._words.append(new)
        ends = np.cumsum([known, *map(len, vocabularies)])
        self._maps += np.split(numbers[known:], ends[1:-1] - known)
        self._waiting, self._strings = [], 0
