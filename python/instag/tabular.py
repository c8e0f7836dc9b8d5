"""Parquet and CSV through Polars, in batches, as JSON lines: so there is one code for all schemas, the one in Rust."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from instag.errors import DataError

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    Rows = NDArray[np.int64] | None

_ROWS = 8192  # rows a batch: small where rows hold images, large enough for the parser to share out
_HELD_BYTES = 64 << 20  # of batches whose picked rows wait for those of the next


def parquet_lines(path: str, rows: Rows = None) -> Iterator[bytes]:
    """Blocks of JSON lines, one a row of a Parquet file (or of several, by a pattern of Polars), or of those `rows`."""
    import polars as pl

    yield from _lines(pl.scan_parquet(path, glob=path.startswith("hf://")), rows)


def csv_lines(path: str, compression: str | None, rows: Rows = None) -> Iterator[bytes]:
    """Blocks of JSON lines, one a row of a CSV file (`.tsv`: tabs) with a header, or of those `rows`; all values text.

    A compressed file is decompressed in memory. Raises `DataError` where the rows are not those of a CSV file.
    """
    import polars as pl

    plain = path.removesuffix(f".{compression}") if compression else path
    separator = "\t" if plain.lower().endswith(".tsv") else ","
    source: Any = path if compression is None else _decompressed(path, compression)
    yield from _lines(pl.scan_csv(source, separator=separator, infer_schema=False, glob=False), rows)


def hf_path(path: str) -> str:
    """The pattern that Polars reads for `hf://org/name` or `hf://datasets/org/name`: the data set's train split.

    A path that goes on after the name, or names a revision, is taken as it is.

    >>> hf_path("hf://org/name")
    'hf://datasets/org/name@~parquet/*/train/*.parquet'
    >>> hf_path("hf://datasets/org/name/data/part-0.parquet")
    'hf://datasets/org/name/data/part-0.parquet'
    """
    parts = path.removeprefix("hf://").removeprefix("datasets/").strip("/").split("/")
    if len(parts) < 2:
        raise DataError(f"`{path}` names no data set", hint="write `hf://org/name`")
    if len(parts) > 2:
        return "hf://datasets/" + "/".join(parts)
    name = parts[1] if "@" in parts[1] else f"{parts[1]}@~parquet"
    return f"hf://datasets/{parts[0]}/{name}/*/train/*.parquet"


def _decompressed(path: str, compression: str) -> bytes:
    from instag.opening import Raw, decompressed

    with Raw(path) as raw:
        return b"".join(decompressed(raw, compression, 1 << 24))


def _lines(frame: pl.LazyFrame, rows: Rows) -> Iterator[bytes]:
    """A frame batch by batch, or the rows of these numbers, which rise; bytes as base64, since JSON has none."""
    import polars as pl

    try:
        schema = frame.collect_schema()
        exact = [_exact(pl.col(name), dtype).alias(name) for name, dtype in schema.items() if _holds_binary(dtype)]
        batches = frame.collect_batches(chunk_size=_ROWS, maintain_order=True)
        for batch in batches if rows is None else _picked(batches, rows):
            for part in (batch.with_columns(exact) if exact else batch).iter_slices(_ROWS):
                lines = io.BytesIO()
                part.write_ndjson(lines)
                yield lines.getvalue()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"cannot be read: {_first_line(error)}") from None


def _picked(batches: Iterator[pl.DataFrame], rows: NDArray[np.int64]) -> Iterator[pl.DataFrame]:
    """The rows of these numbers, those of many batches together: a few of each are wanted, and each costs a call."""
    import polars as pl

    before, held_bytes = 0, 0.0
    held: list[pl.DataFrame] = []
    for batch in batches:
        start, before = before, before + len(batch)
        held.append(batch[rows[slice(*np.searchsorted(rows, [start, before]))] - start])
        held_bytes += batch.estimated_size()  # picked rows hold on to the texts of all
        if held_bytes > _HELD_BYTES:
            yield pl.concat(held)
            held, held_bytes = [], 0.0
    if held:
        yield pl.concat(held)


def _holds_binary(dtype: pl.DataType) -> bool:
    import polars as pl

    if isinstance(dtype, pl.Struct):
        return any(_holds_binary(field.dtype) for field in dtype.fields)  # type: ignore[arg-type]
    if isinstance(dtype, (pl.List, pl.Array)):
        return _holds_binary(dtype.inner)  # type: ignore[arg-type]
    return dtype == pl.Binary


def _exact(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """The column with base64 text in place of bytes, at any depth."""
    import polars as pl

    if not _holds_binary(dtype):
        return column
    if isinstance(dtype, pl.Struct):
        fields = [_exact(column.struct.field(f.name), f.dtype).alias(f.name) for f in dtype.fields]  # type: ignore[arg-type]
        return pl.when(column.is_not_null()).then(pl.struct(fields))
    if isinstance(dtype, pl.Array):
        return _exact(column.arr.to_list(), pl.List(dtype.inner))
    if isinstance(dtype, pl.List):
        return column.list.eval(_exact(pl.element(), dtype.inner))  # type: ignore[arg-type]
    return column.bin.encode("base64")


def _first_line(error: BaseException) -> str:
    text = str(error).strip().split("\n")[0] or type(error).__name__
    return text[:1].lower() + text[1:]
