"""Data that is tagged already becomes a `tag/` stage: a row is one query, nothing is deduplicated, nothing is asked."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from instag import _core
from instag.errors import DataError
from instag.importing import SHARD_ROWS, Span, read_tags, row_groups, tag_schema
from instag.inputs import Input
from instag.shards import AHEAD, AT_ONCE, DROPPED, Gathering
from instag.table import TagTable

if TYPE_CHECKING:
    import polars as pl

    from instag.progress import Advance


@dataclass(frozen=True, repr=False, eq=False)
class TaggedPart:
    """Some rows that were tagged elsewhere.

    `rows` (id, source, turns): one row a record that could be read; `table` its tags in any order, without those of
    white space alone, which name nothing; `records` as in `instag.reading.Pool`.
    """

    rows: pl.DataFrame
    table: TagTable
    records: pl.DataFrame


class TaggedReader:
    """Reads rows with a list of tags, part by part: Parquet, JSON or JSON lines (`.gz`, `.zst` too).

    `column` holds lists of strings, or of objects with a string `tag`; null is no tags. The id is that of `id_column`
    (null: `FILE:ROW`, FILE being the file's name, or its path below the folder they share where names repeat), the
    source that of `source_column` (null: the input's). `files` and `rejected` (JSON records that could not be read) are
    whole once all `parts` are read; they are as those of `instag.reading.Pool`.
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        column: str = "tags",
        *,
        id_column: str | None = None,
        source_column: str | None = None,
        progress: Advance | None = None,
    ) -> None:
        self._inputs, self._column, self._progress = inputs, column, progress
        self._id_column, self._source_column = id_column, source_column
        self._files: list[dict[str, Any]] = []
        self._rejected: list[pl.DataFrame] = []

    @property
    def files(self) -> pl.DataFrame:
        """One row a file."""
        import polars as pl

        return pl.DataFrame(self._files, infer_schema_length=None)

    @property
    def rejected(self) -> pl.DataFrame:
        """One row a record that could not be read: file, line, reason."""
        import polars as pl

        empty = pl.DataFrame(schema={"file": pl.String, "line": pl.Int64, "reason": pl.String})
        return pl.concat([empty, *self._rejected])

    def parts(self, part_rows: int | None = None) -> Iterator[TaggedPart]:
        """The rows, in the order of files and records, in parts of up to `part_rows` (a million); one at least.

        Raises `DataError` where a file cannot be read, lacks a column or has one of another type, or, at the end, where
        no record has the id or the source asked for. Linear in the bytes; memory is a few parts, and a JSON file whole.
        """
        import polars as pl

        part_rows = part_rows or SHARD_ROWS

        def one(frames: list[pl.DataFrame], tags: list[pl.Series | Span], first: int) -> TaggedPart:
            frame = pl.concat(frames, rechunk=True)
            number = pl.int_range(first, first + len(frame), dtype=pl.Int64).alias("row")
            records = frame.select(number, "source", "file", "record", "start", "end", "own_id")
            rows = frame.select("id", "source", pl.lit(1, pl.Int32).alias("turns"))
            return TaggedPart(rows, _without_blanks(_table(tags, self._column)), records)

        waiting: deque[Future[TaggedPart]] = deque()
        held: list[pl.DataFrame] = []
        tags: list[pl.Series | Span] = []
        first = rows = 0
        asked = {name for name in (self._id_column, self._source_column) if name is not None}
        with ThreadPoolExecutor(AT_ONCE) as threads:
            try:
                for frame, lists in self._frames(part_rows):
                    asked -= {self._id_column} if frame["own_id"].is_not_null().any() else set()
                    asked -= {self._source_column} if frame["named"].any() else set()
                    if held and rows + len(frame) > part_rows:
                        waiting.append(threads.submit(one, held, tags, first))
                        held, tags, first, rows = [], [], first + rows, 0
                    held.append(frame.drop("named"))
                    tags.append(lists)
                    rows += len(frame)
                    if len(waiting) > max(AHEAD, 0):
                        yield waiting.popleft().result()
                for name in asked if first + rows else ():
                    raise DataError(f"no record has `{name}`", hint="check `--id-column` and `--source-column`")
                waiting.append(threads.submit(one, held, tags, first))
                while waiting:
                    yield waiting.popleft().result()
            finally:
                threads.shutdown(cancel_futures=True)

    def _frames(self, part_rows: int) -> Iterator[tuple[pl.DataFrame, pl.Series | Span]]:
        """(id, named, source, file, record, start, end, own_id) and the tags; one a file, or several of a large one."""
        import polars as pl

        names = [os.path.basename(given.path) for given in self._inputs]
        if len(set(names)) < len(names):  # shards of the same name in several folders
            top = os.path.commonpath([os.path.dirname(os.path.abspath(given.path)) for given in self._inputs])
            names = [os.path.relpath(given.path, top) for given in self._inputs]
        for number, (given, name) in enumerate(zip(self._inputs, names, strict=True)):
            for frame, tags in self._file_frames(given):
                for start in range(0, max(len(frame), 1), part_rows):
                    part = frame.slice(start, part_rows).select(
                        id=pl.coalesce("own_id", pl.concat_str(pl.lit(name), pl.lit(":"), pl.col("record"))),
                        named=pl.col("source").is_not_null(),
                        source=pl.col("source").fill_null(given.source).cast(pl.Categorical),
                        file=pl.lit(number, pl.UInt32),
                        record="record",
                        start="start",
                        end="end",
                        own_id="own_id",
                    )
                    if isinstance(tags, pl.Series):
                        yield part, tags.slice(start, part_rows)
                    else:
                        yield part, (tags[0], tags[1] + start, tags[1] + start + len(part))

    def _file_frames(self, given: Input) -> Iterator[tuple[pl.DataFrame, pl.Series | Span]]:
        """(record, start, end, own_id, source) and the tags; the file is added to `files` after the last."""
        from instag.opening import file_kind

        try:
            kind, _ = file_kind(given.path, None)
        except DataError as error:
            hint = "name files of rows with tags, or a folder"
            raise DataError(f"`{given.path}` {error.message}", hint=hint) from None
        except OSError as error:
            raise DataError(f"`{given.path}` cannot be read: {error.strerror or error}") from None
        if kind == "parquet":
            yield from self._parquet(given)
        elif kind == "json":
            yield self._json(given)
        else:
            raise DataError(f"`{given.path}` is {kind}", hint="tagged data is Parquet, JSON or JSON lines")

    def _json(self, given: Input) -> tuple[pl.DataFrame, pl.Series]:
        import polars as pl

        from instag.pooling import FileTables
        from instag.reading import Reads, read_file

        tagged = (self._column, self._id_column)
        reads = Reads(source_column=self._source_column, progress=self._progress, tagged=tagged)
        file = FileTables(given, 0)
        try:
            for tables, _ in read_file(file, reads):
                file.add(tables)
        except DataError as error:
            hint = "`--column` names the member that holds the list of tags"
            raise DataError(f"`{given.path}` {error.message}", hint=hint) from None
        except OSError as error:
            raise DataError(f"`{given.path}` cannot be read: {error.strerror or error}") from None
        records = pl.concat(file.records)
        tags = pl.concat([pl.DataFrame(schema={"query": pl.String}), *(f.select("query") for f in file.queries)])
        # The tags of all records lie end to end: interned one by one, then cut into rows.
        vocabulary, _, ids, _ = _core.intern(tags["query"].reshape((-1, 1)).cast(pl.List(pl.String)))
        offsets = np.concatenate([[0], np.cumsum(records["turns"].to_numpy(), dtype=np.int64)])
        lists = pl.DataFrame(_core.to_lists(pl.DataFrame(vocabulary)["tag"], offsets, ids))["tags"]
        self._rejected += [f.select(pl.lit(given.path).alias("file"), "line", "reason") for f in file.rejected]
        told = {"format": file.format, "bytes": file.bytes, "digest": file.digest, "rows": file.rows}
        self._add_file(given, len(records), file.rejected_rows, told)
        return records.select("record", "start", "end", "own_id", "source"), lists

    def _parquet(self, given: Input) -> Iterator[tuple[pl.DataFrame, Span]]:
        import polars as pl

        from instag.run import file_digest

        wanted = [n for n in dict.fromkeys((self._id_column, self._source_column)) if n is not None]
        tag_schema(given.path, [self._column, *wanted], self._column)
        none, rows = pl.lit(None, pl.Int64), 0

        def text(name: str | None) -> pl.Expr:
            return pl.lit(None, pl.String) if name is None else pl.col(name).cast(pl.String)

        try:
            for frame in self._batches(given.path, wanted):
                record = pl.int_range(rows, rows + len(frame), dtype=pl.Int64)
                told = frame.select(
                    record=record, start=none, end=none, own_id=text(self._id_column), source=text(self._source_column)
                )
                yield told, (given.path, rows, rows + len(frame))
                rows += len(frame)
            size, digest = os.path.getsize(given.path), file_digest(Path(given.path))
        except (OSError, pl.exceptions.PolarsError) as error:
            raise DataError(f"`{given.path}` cannot be read: {error}") from None
        if self._progress is not None:
            self._progress(size)
        self._add_file(given, rows, 0, {"format": "parquet", "bytes": size, "digest": digest, "rows": rows})

    def _batches(self, path: str, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Some columns of a Parquet file: whole where it is small, else some rows at a time."""
        import polars as pl

        total = sum(row_groups(path))
        scan = pl.scan_parquet(path, glob=False)
        if not columns:
            for start in range(0, max(total, 1), SHARD_ROWS):
                yield pl.select(pl.int_range(min(total - start, SHARD_ROWS)))
        elif total <= 2 * SHARD_ROWS:
            yield scan.select(columns).collect()
        else:
            yield from scan.select(columns).collect_batches(chunk_size=SHARD_ROWS, maintain_order=True)

    def _add_file(self, given: Input, samples: int, rejected: int, told: dict[str, Any]) -> None:
        counted = {"samples": samples, "queries": samples, "rejected": rejected, "refused": None}
        self._files.append({"path": given.path, "source": given.source, "schema": "tagged", **told, **counted})


def _table(tags: Sequence[pl.Series | Span], column: str) -> TagTable:
    """The table of lists and of rows of Parquet files, one below the other."""
    import polars as pl

    gathering = Gathering()
    for of_files, group in groupby(tags, lambda part: isinstance(part, tuple)):
        parts: Any = list(group)
        table = read_tags(parts, column, AT_ONCE) if of_files else TagTable.from_series(pl.concat(parts, rechunk=True))
        if len(table) == sum(len(part) if isinstance(part, pl.Series) else part[2] - part[1] for part in tags):
            return table  # of one kind, as almost always
        gathering.add(table)
    return gathering.finish().whole()


def _without_blanks(table: TagTable) -> TagTable:
    """The table without tags of white space alone, which name nothing."""
    blank = table.vocabulary.str.strip_chars() == ""
    if not blank.any():
        return table
    into = np.where(blank.to_numpy(), DROPPED, blank.not_().cum_sum().to_numpy() - 1).astype(np.uint32)
    return table.renamed(table.vocabulary.filter(~blank), into, table.counts[~blank.to_numpy()])
