"""Data that is tagged already becomes a `tag/` stage: a row is one query, nothing is deduplicated, nothing is asked."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from instag import _core
from instag.errors import DataError
from instag.inputs import Files, Input, expand
from instag.shards import AT_ONCE, Gathering, TagShards
from instag.table import TagTable

if TYPE_CHECKING:
    import polars as pl

    from instag.progress import Advance

SHARD_ROWS = 1_000_000  # some 30 MB of ids


@dataclass(frozen=True, repr=False, eq=False)
class TaggedRows:
    """Rows that were tagged elsewhere, in the order of files and records.

    `rows` (id, source): one row a record that could be read; `tags`: its tags, a list a row, as they stand there.
    `records`, `rejected` and `files` are as those of `instag.reading.Pool`.
    """

    rows: pl.DataFrame
    tags: pl.Series
    records: pl.DataFrame
    rejected: pl.DataFrame
    files: pl.DataFrame


def find_shards(names: Sequence[str]) -> list[Input]:
    """The files that `names` name: files, globs, `NAME=FILE`, and folders, whose files are shards of one source.

    Files of a folder come bytewise by path, hidden ones are left out. Raises `DataError` where a name matches nothing.
    """
    found: list[Input] = []
    for name in names:
        if not os.path.isdir(name):
            found += expand(name)
            continue
        files = sorted((p for p in Path(name).rglob("[!.]*") if p.is_file()), key=os.fsencode)
        if not files:
            raise DataError(f"the folder `{name}` holds no files", hint="name the folder with the shards")
        found += [Input(str(file), Path(name).resolve().name) for file in files]
    return found


def scan_tags(
    files: Files, column: str = "tags", *, progress: Advance | None = None, shard_rows: int = SHARD_ROWS
) -> TagShards:
    """Reads a column of tags from Parquet files, or folders of them, as shards: for pools larger than memory.

    `files` are paths, globs, folders (their files bytewise by path), or a list of them; `column` holds lists of
    strings, or of objects with a string `tag`; null is no tags. A file is a shard, or several of about `shard_rows`
    rows, and is read once. The result equals `TagTable.from_series` of all rows, whatever the split. `progress` is
    called with the rows read since its last call. Raises `DataError` where a file cannot be read, lacks the column or
    has one of another type. Linear; memory is a few shards while reading, then 4 bytes a tag and 8 a row, above 4 GiB
    in a temporary folder.

    >>> import pathlib, tempfile
    >>> import polars as pl
    >>> folder = tempfile.TemporaryDirectory()
    >>> for at, rows in enumerate([[["math"], ["art", "math"]], [["math"]]]):
    ...     pl.DataFrame({"tags": rows}).write_parquet(pathlib.Path(folder.name, f"part-{at}.parquet"))
    >>> pool = scan_tags(folder.name)
    >>> pool, pool.vocabulary.to_list(), pool.counts.tolist()
    (TagShards(2 shards, 3 rows, 2 tags), ['math', 'art'], [3, 1])
    >>> folder.cleanup()
    """
    names = [str(files)] if isinstance(files, (str, os.PathLike)) else [str(file) for file in files]
    gathering = Gathering()
    waiting: deque[Future[TagTable]] = deque()

    def take_first() -> None:
        table = waiting.popleft().result()
        gathering.add(table)
        if progress is not None:
            progress(len(table))

    with ThreadPoolExecutor(AT_ONCE) as threads:
        try:
            for read in _columns([given.path for given in find_shards(names)], column, shard_rows):
                if len(waiting) > AT_ONCE:
                    take_first()
                waiting.append(threads.submit(_interned, read))
            while waiting:
                take_first()
        finally:
            threads.shutdown(cancel_futures=True)
    return gathering.finish()


def _interned(read: Callable[[], pl.Series]) -> TagTable:
    return TagTable.from_series(read())


def _columns(paths: Sequence[str], column: str, shard_rows: int) -> Iterator[Callable[[], pl.Series]]:
    """What reads each shard's lists of tags: whole files where they are small, else batches of one."""
    import polars as pl

    def failed(path: str, error: Exception) -> DataError:
        return DataError(
            f"`{path}` cannot be read: {error}", hint="name Parquet files, or a folder that holds no others"
        )

    def whole(path: str) -> pl.Series:
        try:
            return tag_lists(pl.read_parquet(path, columns=[column], glob=False)[column], path)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise failed(path, error) from None

    for path in paths:
        try:
            frame = pl.scan_parquet(path, glob=False)
            schema = frame.collect_schema()
            if column not in schema:
                raise DataError(
                    f"`{path}` has no column `{column}`", hint=f"its columns: {', '.join(map(repr, schema))}"
                )
            rows = frame.select(pl.len()).collect().item()
            if rows <= 2 * shard_rows:
                yield partial(whole, path)
                continue
            for batch in frame.select(column).collect_batches(chunk_size=shard_rows, maintain_order=True):
                yield partial(tag_lists, batch[column], path)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise failed(path, error) from None


def tag_lists(tags: pl.Series, path: str) -> pl.Series:
    """A column as lists of strings; of objects by their member `tag`. `DataError` where it holds anything else."""
    import polars as pl

    found, inner = tags.dtype, tags.dtype.inner if isinstance(tags.dtype, pl.List) else None
    if isinstance(inner, pl.Struct) and any(field.name == "tag" for field in inner.fields):
        tags = tags.list.eval(pl.element().struct.field("tag"))
        inner = tags.dtype.inner if isinstance(tags.dtype, pl.List) else None
    if inner not in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        raise DataError(f"`{path}`: the column `{tags.name}` holds {found}, must hold lists of strings")
    return tags


def read_tagged(
    inputs: Sequence[Input],
    column: str = "tags",
    *,
    id_column: str | None = None,
    source_column: str | None = None,
    progress: Advance | None = None,
) -> TaggedRows:
    """Reads rows with a list of tags: Parquet, JSON or JSON lines (`.gz`, `.zst` too).

    `column` holds lists of strings, or of objects with a string `tag`; null is no tags. The id is that of `id_column`
    (null: `FILE:ROW`, FILE being the file's name, or its path below the folder they share where names repeat), the
    source that of `source_column` (null: the input's). A JSON record that cannot be read is a row of `rejected`.
    Raises `DataError` where a file cannot be read, lacks a column or has one of another type, or where no record has
    the id or the source asked for. Linear in the bytes; memory is the ids of the tags and some 100 bytes a record.
    """
    import polars as pl

    names = [os.path.basename(given.path) for given in inputs]
    if len(set(names)) < len(names):  # shards of the same name in several folders
        top = os.path.commonpath([os.path.dirname(os.path.abspath(given.path)) for given in inputs])
        names = [os.path.relpath(given.path, top) for given in inputs]
    frames, files, rejected = [], [], []
    for number, given in enumerate(inputs):
        frame, file, refused = _read_file(given, column, id_column, source_column, progress)
        at = pl.col("record").cast(pl.String)
        name = pl.lit(names[number])
        frames.append(
            frame.select(
                id=pl.coalesce("own_id", pl.concat_str(name, pl.lit(":"), at)),
                named=pl.col("source").is_not_null(),
                source=pl.col("source").fill_null(given.source).cast(pl.Categorical),
                file=pl.lit(number, pl.UInt32),
                record="record",
                start="start",
                end="end",
                own_id="own_id",
                tags=pl.col("tags").fill_null([]).cast(pl.List(pl.Categorical)),
            )
        )
        files.append(file)
        rejected.append(refused.select(pl.lit(given.path).alias("file"), "line", "reason"))
    whole = pl.concat(frames, rechunk=True)
    for asked, held in ((id_column, whole["own_id"].is_not_null()), (source_column, whole["named"])):
        if asked is not None and len(whole) and not held.any():
            raise DataError(f"no record has `{asked}`", hint="check `--id-column` and `--source-column`")
    records = whole.select(pl.int_range(pl.len(), dtype=pl.Int64).alias("row"), pl.exclude("id", "tags", "named"))
    return TaggedRows(whole.select("id", "source"), whole["tags"], records, pl.concat(rejected), pl.DataFrame(files))


_File = tuple["pl.DataFrame", dict[str, Any], "pl.DataFrame"]


def _read_file(
    given: Input, column: str, id_column: str | None, source_column: str | None, progress: Advance | None
) -> _File:
    """(record, start, end, own_id, source, tags), the row of `files`, and (line, reason) of what could not be read."""
    import polars as pl

    from instag.opening import file_kind
    from instag.reading import Reads, read_tables

    try:
        kind, _ = file_kind(given.path, None)
    except DataError as error:
        raise DataError(f"`{given.path}` {error.message}", hint="name files of rows with tags, or a folder") from None
    except OSError as error:
        raise DataError(f"`{given.path}` cannot be read: {error.strerror or error}") from None
    if kind == "parquet":
        return _read_parquet(given, column, id_column, source_column)
    if kind != "json":
        raise DataError(f"`{given.path}` is {kind}", hint="tagged data is Parquet, JSON or JSON lines")
    reads = Reads(source_column=source_column, progress=progress, tagged=(column, id_column))
    try:
        (file,) = read_tables([given], reads)
    except DataError as error:
        raise DataError(error.message, hint="`--column` names the member that holds the list of tags") from None
    records = pl.concat(file.records)
    tags = pl.concat([pl.DataFrame(schema={"query": pl.String}), *(f.select("query") for f in file.queries)])
    # The tags of all records lie end to end: interned one by one, then cut into rows.
    vocabulary, _, ids, _ = _core.intern(tags["query"].reshape((-1, 1)).cast(pl.List(pl.String)))
    offsets = np.concatenate([[0], np.cumsum(records["turns"].to_numpy(), dtype=np.int64)])
    lists = pl.DataFrame(_core.to_lists(pl.DataFrame(vocabulary)["tag"], offsets, ids))["tags"]
    frame = records.select("record", "start", "end", "own_id", "source").with_columns(lists)
    rejected = _rejected(file.rejected)
    told = {"path": given.path, "source": given.source, "format": file.format, "schema": "tagged", "bytes": file.bytes}
    counted = {"rows": file.rows, "samples": len(frame), "queries": len(frame), "rejected": len(rejected)}
    return frame, {**told, "digest": file.digest, **counted, "refused": None}, rejected


def _rejected(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    import polars as pl

    empty = pl.DataFrame(schema={"line": pl.Int64, "reason": pl.String})
    return pl.concat([empty, *(frame.select("line", "reason") for frame in frames)])


def _read_parquet(given: Input, column: str, id_column: str | None, source_column: str | None) -> _File:
    import polars as pl

    from instag.run import file_digest

    wanted = [name for name in dict.fromkeys((column, id_column, source_column)) if name is not None]
    try:
        schema = pl.read_parquet_schema(given.path)
        for name in wanted:
            if name not in schema:
                raise DataError(
                    f"`{given.path}` has no column `{name}`", hint=f"its columns: {', '.join(map(repr, schema))}"
                )
        frame = pl.read_parquet(given.path, columns=wanted, glob=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"`{given.path}` cannot be read: {error}") from None
    tags = tag_lists(frame[column], given.path)
    null = pl.lit(None, pl.String)
    frame = frame.select(
        pl.int_range(pl.len(), dtype=pl.Int64).alias("record"),
        pl.lit(None, pl.Int64).alias("start"),
        pl.lit(None, pl.Int64).alias("end"),
        (null if id_column is None else pl.col(id_column).cast(pl.String)).alias("own_id"),
        (null if source_column is None else pl.col(source_column).cast(pl.String)).alias("source"),
        tags.alias("tags"),
    )
    told = {"path": given.path, "source": given.source, "format": "parquet", "schema": "tagged"}
    size = {"bytes": os.path.getsize(given.path), "digest": file_digest(Path(given.path))}
    counted = {"rows": len(frame), "samples": len(frame), "queries": len(frame), "rejected": 0, "refused": None}
    return frame, {**told, **size, **counted}, _rejected([])
