"""Tags that stand already, as shards of a table: `scan_tags`; and what files a name names."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from instag import _core
from instag.errors import DataError
from instag.inputs import Files, Input, expand
from instag.shards import AHEAD, AT_ONCE, Gathering, TagShards
from instag.table import TagTable, counted

if TYPE_CHECKING:
    from instag.progress import Advance

SHARD_ROWS = 1_000_000  # some 30 MB of ids

Span = tuple[str, int, int]  # the rows of a file from one number to another


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
            for span in _spans([given.path for given in find_shards(names)], column, shard_rows):
                waiting.append(threads.submit(read_tags, [span], column, AT_ONCE))
                if len(waiting) > AHEAD + 1:
                    take_first()
            while waiting:
                take_first()
        finally:
            threads.shutdown(cancel_futures=True)
    return gathering.finish()


def read_tags(spans: Sequence[Span], column: str, at_once: int | None = None) -> TagTable:
    """The tags of some rows of Parquet files, one below the other; `at_once` is that of `instag.table.interned`."""
    try:
        return counted(_core.read_tags(spans, column, at_once))
    except ValueError as error:
        raise DataError(str(error), hint="name Parquet files, or a folder that holds no others") from None


def _spans(paths: Sequence[str], column: str, shard_rows: int) -> Iterator[Span]:
    """The rows of each shard: whole files where they are small, else some row groups, or rows of a large one."""
    for path in paths:
        tag_schema(path, [column], column)
        start = end = 0
        groups = row_groups(path)
        for rows in groups if sum(groups) > 2 * shard_rows else [sum(groups)]:
            while end + rows - start > 2 * shard_rows:
                cut = max(end, start + shard_rows)
                yield path, start, cut
                start, rows, end = cut, end + rows - cut, cut
            end += rows
            if end - start >= shard_rows:
                yield path, start, end
                start = end
        if end > start or not end:
            yield path, start, end


def row_groups(path: str) -> list[int]:
    """The rows of each row group of a Parquet file."""
    try:
        return _core.row_groups(path)
    except ValueError as error:
        raise DataError(str(error), hint="name Parquet files, or a folder that holds no others") from None


def tag_schema(path: str, wanted: Sequence[str], column: str) -> None:
    """Raises `DataError` unless a Parquet file has the columns `wanted`, and `column` has lists of strings.

    Or lists of objects with a string `tag`.
    """
    import polars as pl

    try:
        schema = pl.read_parquet_schema(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        hint = "name Parquet files, or a folder that holds no others"
        raise DataError(f"`{path}` cannot be read: {error}", hint=hint) from None
    for name in wanted:
        if name not in schema:
            hint = f"its columns: {', '.join(map(repr, schema))}"
            raise DataError(f"`{path}` has no column `{name}`", hint=hint)
    found = schema[column]
    inner = found.inner if isinstance(found, pl.List) else None
    if isinstance(inner, pl.Struct):
        inner = {field.name: field.dtype for field in inner.fields}.get("tag")
    if inner not in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        raise DataError(f"`{path}`: the column `{column}` holds {found}, must hold lists of strings")
