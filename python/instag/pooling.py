"""From the tables of single files to the tables of a pool: duplicates found, rows numbered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from instag import _core
from instag.inputs import Input

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray


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

        for frames, table in zip((self.records, self.queries, self.rejected), tables, strict=True):
            if len(table):
                frames.append(pl.DataFrame(table))

    def refuse(self, reason: str) -> None:
        """Takes back what was read: half a file is no file."""
        self.refused = reason
        self.records, self.queries, self.rejected = [], [], []


def pool_tables(done: list[FileTables], limit: int | None) -> dict[str, pl.DataFrame]:
    """Puts the files together, in their order; with a `limit`, only as far as that many distinct samples.

    The tables of the files are used up, so that nothing is held twice; texts are shared, not copied.
    """
    import polars as pl

    heights = np.array([sum(frame.height for frame in file.records) for file in done], dtype=np.int64)
    sources = [_sources(file) for file in done if file.records]
    records = pl.concat(_taken(done, "records"), rechunk=True)
    records = records.with_columns(
        pl.concat(sources, rechunk=True),
        pl.Series("file", np.repeat(np.array([file.number for file in done], dtype=np.uint32), heights)),
    )
    queries = pl.concat(_taken(done, "queries"), rechunk=True)["query"]
    ends = np.cumsum(heights)
    rows, firsts, fresh = _core.unique_rows(records["high"].to_numpy(), records["low"].to_numpy(), ends)
    if limit is not None and len(firsts) > limit:
        end = int(firsts[limit])
        records, rows, firsts, fresh = records.head(end), rows[:end], firsts[:limit], fresh[:end]
        queries = queries.head(int(records["turns"].sum()))
    records = records.with_columns(pl.Series("row", rows))
    first = records.select("high", "low", "source", "turns")
    first = first if len(firsts) == len(records) else first[firsts]
    ids = pl.DataFrame(_core.hex_ids(first["high"].to_numpy(), first["low"].to_numpy()))["id"]
    row, turn, kept = _core.query_rows(firsts, records["turns"].to_numpy())
    queries = queries if len(row) == len(kept) else queries.filter(pl.Series(kept))
    return {
        "samples": first.select(ids, "source", "turns"),
        "queries": pl.DataFrame({"row": row, "turn": turn, "query": queries}),
        "records": records.select("row", "source", "file", "record", "start", "end", "own_id"),
        "rejected": _rejected(done),
        "files": _files(done, np.minimum(ends, len(records)), records.select("schema", "turns"), fresh),
    }


def _taken(done: list[FileTables], name: str) -> list[pl.DataFrame]:
    """One kind of table of all files, which let go of it."""
    taken = [frame for file in done for frame in getattr(file, name)]
    for file in done:
        setattr(file, name, [])
    return taken


def _sources(file: FileTables) -> pl.Series:
    """Each record's source, taken out of the tables: its own, where it names one, else the file's."""
    import polars as pl

    named = pl.Series("source", [file.given.source], dtype=pl.Categorical)
    own = pl.concat([frame.drop_in_place("source") for frame in file.records])
    if own.null_count() == len(own):
        return named.new_from_index(0, len(own))
    return own.cast(pl.Categorical).fill_null(file.given.source)


def _rejected(done: list[FileTables]) -> pl.DataFrame:
    import polars as pl

    empty = pl.DataFrame(schema={"file": pl.String, "line": pl.Int64, "reason": pl.String})
    frames = [
        frame.select(pl.lit(file.given.path).alias("file"), "line", "reason")
        for file in done
        for frame in file.rejected
    ]
    return pl.concat([empty, *frames])


def _files(
    done: list[FileTables], ends: NDArray[np.int64], records: pl.DataFrame, fresh: NDArray[np.bool_]
) -> pl.DataFrame:
    """One row a file: its distinct samples and their queries, whatever other files hold; `fresh` tells the first ones.

    Several schemas of one file are named in the order of their records' number, then of the schemas themselves.
    """
    import polars as pl

    names = _core.schema_names()
    turns, schemas = records["turns"].to_numpy(), records["schema"].to_numpy()
    counted: list[tuple[str | None, int, int]] = []
    for start, end in zip([0, *ends], ends, strict=False):
        counts = np.bincount(schemas[start:end], minlength=len(names))
        shown = [names[at] for at in np.argsort(-counts, kind="stable") if counts[at]]
        new = fresh[start:end]
        counted.append(("+".join(shown) or None, int(new.sum()), int(turns[start:end][new].sum())))
    return pl.DataFrame(
        {
            "path": [f.given.path for f in done],
            "source": [f.given.source for f in done],
            "format": [f.format for f in done],
            "schema": pl.Series([schema for schema, _, _ in counted], dtype=pl.String),
            "bytes": [f.bytes for f in done],
            "digest": pl.Series([f.digest for f in done], dtype=pl.String),
            "rows": [f.rows for f in done],
            "samples": [samples for _, samples, _ in counted],
            "queries": [queries for _, _, queries in counted],
            "rejected": [sum(frame.height for frame in f.rejected) for f in done],
            "refused": pl.Series([f.refused for f in done], dtype=pl.String),
        }
    )
