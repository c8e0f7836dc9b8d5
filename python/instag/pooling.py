"""From the tables of single files to the tables of a pool, part by part: duplicates found, rows numbered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from instag import _core
from instag.errors import DataError
from instag.inputs import Input

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

Tables = tuple[Any, Any, Any]  # records, queries and rejected rows of a block

_NO_FILE = 2**32 - 1  # of a sample that no part has yet
PART_BYTES = 512 << 20  # of records as they stand in their files: a part ends there, however few they are


@dataclass
class FileTables:
    """A file while it is read: tables a block, in order, as far as no part has them; and counts of what parts have."""

    given: Input
    number: int
    format: str = "unknown"
    bytes: int = 0
    digest: str | None = None
    rows: int = 0
    refused: str | None = None
    records: list[pl.DataFrame] = field(default_factory=list)
    queries: list[pl.DataFrame] = field(default_factory=list)
    rejected: list[pl.DataFrame] = field(default_factory=list)
    read: int = 0  # records
    rejected_rows: int = 0
    given_out: bool = False  # whether some part has records of it
    schemas: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(_core.schema_names()), np.int64))
    samples: int = 0  # distinct ones, whatever other files hold, in parts
    sample_queries: int = 0  # theirs

    def add(self, tables: Tables) -> None:
        import polars as pl

        records, queries, rejected = (pl.DataFrame(table) for table in tables)
        if len(records):
            self.records.append(records)
            self.queries.append(queries)
            self.read += len(records)
        if len(rejected):
            self.rejected.append(rejected)
            self.rejected_rows += len(rejected)

    def forget(self) -> None:
        """Takes back what was read."""
        self.records, self.queries, self.rejected = [], [], []
        self.read = self.rejected_rows = 0

    def refuse(self, reason: str) -> None:
        """Nothing is taken from the file: half a file is no file. An error where a part has some of it."""
        if self.given_out:
            message = f"`{self.given.path}` {reason}"
            raise DataError(message, hint="records of it were given out already; mend the file, or leave it out")
        self.refused = reason
        self.forget()

    def take(self, rows: int) -> tuple[list[pl.DataFrame], list[pl.DataFrame]]:
        """The first `rows` records and their queries, which it lets go of; fewer where it holds fewer."""
        records: list[pl.DataFrame] = []
        queries: list[pl.DataFrame] = []
        while rows and self.records:
            record, query = self.records[0], self.queries[0]
            if len(record) > rows:
                turns = int(record["turns"].head(rows).sum())
                self.records[0], self.queries[0] = record[rows:], query[turns:]
                record, query = record[:rows], query[:turns]
            else:
                del self.records[0], self.queries[0]
            records.append(record)
            queries.append(query)
            rows -= len(record)
        return records, queries


class Joining:
    """Puts files together, in their order, into parts of a pool; with a `limit`, only that many distinct samples.

    Texts are shared with the tables of the files, not copied. Between parts it keeps the ids of all samples.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._files: list[FileTables] = []
        self._samples = 0
        self.full = False  # a sample beyond the limit was seen
        self._known = Known()
        self._counted: list[pl.DataFrame] = []  # ids in parts, where there is a limit
        self.bytes = 0  # read since the last part
        self.named = False  # whether some record names its own source

    def open(self, given: Input, number: int) -> FileTables:
        """The next file; what is added to it becomes part of the pool."""
        self._files.append(FileTables(given, number))
        return self._files[-1]

    @property
    def records(self) -> int:
        """Records that no part has yet."""
        return sum(len(frame) for file in self._files for frame in file.records)

    def enough(self) -> bool:
        """Whether the limit is reached."""
        import polars as pl

        if self._limit is None or self._samples + self.records < self._limit:
            return False
        held = [frame.select("high", "low") for file in self._files for frame in file.records]
        return pl.concat([*self._counted, *held]).n_unique() >= self._limit

    def part(self, rows: int | None = None, *, last: bool = False) -> dict[str, pl.DataFrame]:
        """The tables of the first `rows` records that are left, or of all; the `last` part tells of all files left."""
        import polars as pl

        files, pieces = self._cut(rows, last)
        heights = np.array([sum(map(len, records)) for records, _ in pieces], dtype=np.int64)
        sources = [self._sources(file, records) for file, (records, _) in zip(files, pieces, strict=True) if records]
        none = [
            pl.DataFrame(table) for table in _core.read_block(b"", "lines", (0, 0, 0), True)[0]
        ]  # a part may be empty
        sources.append(none[0].drop_in_place("source").cast(pl.Categorical))
        records = pl.concat([frame for piece, _ in pieces for frame in piece] + none[:1], rechunk=True)
        queries = pl.concat([frame for _, piece in pieces for frame in piece] + none[1:2], rechunk=True)["query"]
        numbers = np.repeat(np.array([file.number for file in files], dtype=np.uint32), heights)
        records = records.with_columns(pl.concat(sources, rechunk=True), pl.Series("file", numbers))
        del pieces
        high, low = records["high"].to_numpy(), records["low"].to_numpy()
        rows_here, firsts, fresh = _core.unique_rows(high, low, np.cumsum(heights))
        row_of = rows_here
        if self._samples or not last:
            holders = np.empty(len(firsts), dtype=np.uint32)
            holders[rows_here] = numbers  # the last one stays
            sample_rows, before = self._known.rows(high[firsts], low[firsts], holders, self._samples)
            row_of, firsts = sample_rows[rows_here], firsts[sample_rows >= self._samples]
            fresh &= before[rows_here] != numbers  # what the same file held in an earlier part is not its first
        if self._limit is not None and (self.full or len(firsts) > self._limit - self._samples):
            end = 0 if self.full else int(firsts[self._limit - self._samples])
            self.full = True
            records, row_of, fresh, firsts = records[:end], row_of[:end], fresh[:end], firsts[firsts < end]
            queries = queries[: int(records["turns"].sum())]
        records = records.with_columns(pl.Series("row", row_of))
        first = records.select("high", "low", "source", "turns")
        first = first if len(firsts) == len(records) else first[firsts]
        if self._limit is not None:
            self._counted.append(first.select("high", "low"))
        ids = pl.DataFrame(_core.hex_ids(first["high"].to_numpy(), first["low"].to_numpy()))["id"]
        row, turn, kept = _core.query_rows(firsts, records["turns"].to_numpy())
        queries = queries if len(row) == len(kept) else queries.filter(pl.Series(kept))
        _count(files, np.minimum(np.cumsum(heights), len(records)), records.select("schema", "turns"), fresh)
        done = [file for file in files if file not in self._files]
        before_this, self._samples = self._samples, self._samples + len(firsts)
        return {
            "samples": first.select(ids, "source", "turns"),
            "queries": pl.DataFrame({"row": row + before_this, "turn": turn, "query": queries}),
            "records": records.select("row", "source", "file", "record", "start", "end", "own_id"),
            "rejected": _rejected(files),
            "files": _files(done),
        }

    def _cut(
        self, rows: int | None, last: bool
    ) -> tuple[list[FileTables], list[tuple[list[pl.DataFrame], list[pl.DataFrame]]]]:
        """The files of a part, with their records and queries; the one that is being read, the last, stays."""
        left = self.records if rows is None else rows
        files, pieces = [], []
        while self._files:
            file = self._files[0]
            records, queries = file.take(left)
            left -= sum(map(len, records))
            whole = not file.records and (last or len(self._files) > 1)
            if records or whole:
                files.append(file)
                pieces.append((records, queries))
                file.given_out = file.given_out or bool(records)
            if not whole:
                break
            del self._files[0]
        self.bytes = 0
        return files, pieces

    def _sources(self, file: FileTables, records: list[pl.DataFrame]) -> pl.Series:
        """Each record's source, taken out of the tables: its own, where it names one, else the file's."""
        import polars as pl

        named = pl.Series("source", [file.given.source], dtype=pl.Categorical)
        own = pl.concat([frame.drop_in_place("source") for frame in records])
        if own.null_count() == len(own):
            return named.new_from_index(0, len(own))
        self.named = True
        return own.cast(pl.Categorical).fill_null(file.given.source)


class Known:
    """The ids of the samples that parts have, some 33 bytes each."""

    def __init__(self) -> None:
        self._slots = np.zeros(0, dtype=np.uint64)
        self._taken = 0  # by samples beyond a limit, too

    def rows(
        self, high: NDArray[np.uint64], low: NDArray[np.uint64], files: NDArray[np.uint32], first: int
    ) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """The rows of samples, new ones from `first` on, and the file that held each last; now `files` do."""
        slots = (self._taken + len(high)) * 5 // 4 + 1
        if slots * 3 > len(self._slots):
            self._slots = _core.enlarged(self._slots, max(slots, len(self._slots) // 3 * 5 // 4))
        rows, before = _core.known_rows(self._slots, high, low, files, first)
        self._taken += int(np.count_nonzero(before == _NO_FILE))
        return rows, before


def _count(files: list[FileTables], ends: NDArray[np.int64], records: pl.DataFrame, fresh: NDArray[np.bool_]) -> None:
    """Adds a part's records, as far as they count, to what is told of their files."""
    turns, schemas = records["turns"].to_numpy(), records["schema"].to_numpy()
    for file, start, end in zip(files, [0, *ends], ends, strict=False):
        new = fresh[start:end]
        file.schemas += np.bincount(schemas[start:end], minlength=len(file.schemas))
        file.samples += int(new.sum())
        file.sample_queries += int(turns[start:end][new].sum())


def _rejected(files: list[FileTables]) -> pl.DataFrame:
    """The rejected rows of files, which let go of them."""
    import polars as pl

    frames = [pl.DataFrame(schema={"file": pl.String, "line": pl.Int64, "reason": pl.String})]
    for file in files:
        path = pl.lit(file.given.path).alias("file")
        frames += [frame.select(path, "line", "reason") for frame in file.rejected]
        file.rejected = []
    return pl.concat(frames)


def _files(files: list[FileTables]) -> pl.DataFrame:
    """One row a file: its distinct samples and their queries, whatever other files hold.

    Several schemas of one file are named in the order of their records' number, then of the schemas themselves.
    """
    import polars as pl

    names = _core.schema_names()
    shown = [[names[at] for at in np.argsort(-file.schemas, kind="stable") if file.schemas[at]] for file in files]
    return pl.DataFrame(
        {
            "path": [f.given.path for f in files],
            "source": [f.given.source for f in files],
            "format": [f.format for f in files],
            "schema": pl.Series(["+".join(schemas) or None for schemas in shown], dtype=pl.String),
            "bytes": [f.bytes for f in files],
            "digest": pl.Series([f.digest for f in files], dtype=pl.String),
            "rows": [f.rows for f in files],
            "samples": [f.samples for f in files],
            "queries": [f.sample_queries for f in files],
            "rejected": [f.rejected_rows for f in files],
            "refused": pl.Series([f.refused for f in files], dtype=pl.String),
        },
        schema_overrides=dict.fromkeys(("path", "source", "format"), pl.String)
        | dict.fromkeys(("bytes", "rows", "samples", "queries", "rejected"), pl.Int64),
    )
