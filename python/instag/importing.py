"""Tags that stand already, as shards of a table: `scan_tags`; and what files a name names."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from instag.errors import DataError
from instag.inputs import Files, Input, expand
from instag.shards import AT_ONCE, Gathering, TagShards
from instag.table import TagTable, interned

if TYPE_CHECKING:
    import polars as pl

    from instag.progress import Advance

SHARD_ROWS = 1_000_000  # some 30 MB of ids


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
    return interned(read(), AT_ONCE)


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
