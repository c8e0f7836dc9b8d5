"""From the tables of single files to the tables of a pool: duplicates found, rows numbered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from instag import _core
from instag.inputs import Input

if TYPE_CHECKING:
    import polars as pl

# The columns of `Pool.files`, in their order.
_FILES = ["path", "source", "format", "schema", "bytes", "digest", "rows", "samples", "queries", "rejected", "refused"]


@dataclass
class FileTables:
    """A file while it is read: tables a block, in order."""

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

    def add(self, tables: tuple[Any, Any, Any]) -> None:
        import polars as pl

        records, queries, rejected = (pl.DataFrame(table) for table in tables)
        for frames, frame in ((self.records, records), (self.queries, queries), (self.rejected, rejected)):
            if frame.height:
                frames.append(frame)

    def refuse(self, reason: str) -> None:
        """Takes back what was read: half a file is no file."""
        self.refused = reason
        self.records, self.queries, self.rejected = [], [], []


def pool_tables(done: list[FileTables], limit: int | None) -> dict[str, pl.DataFrame]:
    """Puts the files together, in their order; with a `limit`, only as far as that many distinct samples."""
    import polars as pl

    tables = [
        frame.with_columns(
            pl.col("source").fill_null(file.given.source).cast(pl.Categorical),
            pl.lit(file.number, pl.UInt32).alias("file"),
        )
        for file in done
        for frame in file.records
    ]
    records = pl.concat(tables, rechunk=True)
    queries = pl.concat([frame for file in done for frame in file.queries], rechunk=True)
    rows, firsts = _core.unique_rows(records["high"].to_numpy(), records["low"].to_numpy())
    if limit is not None and len(firsts) > limit:
        kept = int(firsts[limit])
        records, rows, firsts = records.head(kept), rows[:kept], firsts[:limit]
        queries = queries.head(int(records["turns"].sum()))
    records = records.with_columns(pl.Series("row", rows))

    turns = records["turns"].to_numpy()
    is_first = np.zeros(len(rows), dtype=bool)
    is_first[firsts] = True
    starts = np.cumsum(turns, dtype=np.int64) - turns
    queries = queries.select(
        pl.Series("row", np.repeat(rows, turns)),
        pl.Series("turn", (np.arange(turns.sum()) - np.repeat(starts, turns)).astype(np.int32)),
        pl.col("query"),
    ).filter(pl.Series(np.repeat(is_first, turns)))

    first = records.filter(pl.Series(is_first))
    ids = pl.DataFrame(_core.hex_ids(first["high"].to_numpy(), first["low"].to_numpy()))["id"]
    samples = first.select(ids, "source", "turns")
    return {
        "samples": samples,
        "queries": queries,
        "records": records.select("row", "source", "file", "record", "start", "end", "own_id"),
        "rejected": _rejected(done),
        "files": _files(done, records),
    }


def _rejected(done: list[FileTables]) -> pl.DataFrame:
    import polars as pl

    empty = pl.DataFrame(schema={"file": pl.String, "line": pl.Int64, "reason": pl.String})
    frames = [
        frame.select(pl.lit(file.given.path).alias("file"), "line", "reason")
        for file in done
        for frame in file.rejected
    ]
    return pl.concat([empty, *frames])


def _files(done: list[FileTables], records: pl.DataFrame) -> pl.DataFrame:
    """One row a file: its distinct samples and their queries, whatever other files hold."""
    import polars as pl

    names = dict(enumerate(_core.schema_names()))
    distinct = records.unique(["file", "row"]).group_by("file")
    counted = distinct.agg(samples=pl.len().cast(pl.Int64), queries=pl.sum("turns").cast(pl.Int64))
    schemas = records.group_by("file", "schema").len().sort("file", "len", "schema", descending=[False, True, False])
    schemas = schemas.with_columns(pl.col("schema").cast(pl.Int64).replace_strict(names, return_dtype=pl.String))
    schemas = schemas.group_by("file", maintain_order=True).agg(pl.col("schema").str.join("+"))
    frame = pl.DataFrame(
        {
            "file": pl.Series([f.number for f in done], dtype=pl.UInt32),
            "path": [f.given.path for f in done],
            "source": [f.given.source for f in done],
            "format": [f.format for f in done],
            "bytes": [f.bytes for f in done],
            "digest": pl.Series([f.digest for f in done], dtype=pl.String),
            "rows": [f.rows for f in done],
            "rejected": [sum(frame.height for frame in f.rejected) for f in done],
            "refused": pl.Series([f.refused for f in done], dtype=pl.String),
        }
    )
    frame = frame.join(counted, on="file", how="left").join(schemas, on="file", how="left").sort("file")
    return frame.with_columns(pl.col("samples", "queries").fill_null(0)).select(_FILES)
