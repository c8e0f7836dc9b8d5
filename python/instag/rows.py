"""The row tables of a run, `queries` and `rows`, whole or in parts: what stages read of each other and write.

Part `i` of `rows` holds the samples of the queries in part `i` of `queries`. Where every sample is one query there is
no table `rows`, and `queries` serves as both.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from instag import _core
from instag.errors import ArtifactError, DataError
from instag.importing import read_tags, row_groups, scan_tags
from instag.shards import each
from instag.table import TagTable, places

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from instag.output import Output
    from instag.run import Run
    from instag.shards import TagRows

MOST_ROWS = 2**32 - 2  # Polars numbers the rows of a column, and later stages read some columns whole
KEYS = ["id", "turn", "status"]  # of a query, beside its tags


def by_sample(run: Run, stage: str) -> str:
    """The table that has one row a sample."""
    return "rows" if run.has(stage, "rows") else "queries"


def tag_rows(run: Run, stage: str, name: str) -> TagRows:
    """The tags of a table, a row a row: in memory where it is one file, else one shard a part."""
    paths = run.paths(stage, name)
    if len(paths) > 1:
        return scan_tags(paths, shard_rows=2**62)
    return read_tags([(str(path), 0, sum(row_groups(str(path)))) for path in paths], "tags")


def sample_column(run: Run, stage: str, name: str) -> pl.Series:
    """`source`, `turns` or `failed_turns` of every sample."""
    import polars as pl

    if by_sample(run, stage) == "rows":
        return run.table(stage, "rows", [name])[name]
    needed = {"source": ["source"], "turns": ["source"], "failed_turns": ["status"]}[name]
    return pl.concat([_as_samples(part)[name] for part in run.parts(stage, "queries", needed)], rechunk=True)


def complete_samples(run: Run, stage: str) -> NDArray[np.bool_] | None:
    """Which samples have no failed turn; None where all are complete."""
    if not run.need("tag")["counts"]["failed"]:
        return None
    return (sample_column(run, stage, "failed_turns") == 0).to_numpy()


def sample_rows(run: Run, stage: str) -> pl.DataFrame:
    """One row a sample, whole: `id`, `source`, `turns`, `failed_turns`, `tags`."""
    wanted = ["id", "source", "turns", "failed_turns", "tags"]
    name = by_sample(run, stage)
    if name == "rows":
        return run.table(stage, name, wanted)
    return _as_samples(run.table(stage, name)).select(wanted)


def _as_samples(queries: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    if "status" in queries.columns:
        failed = (pl.col("status") == "failed").cast(pl.Int32).alias("failed_turns")
        queries = queries.with_columns(failed).drop("status")
    return queries.with_columns(pl.lit(1, pl.Int32).alias("turns"))


def picked_samples(run: Run, stage: str, rows: NDArray[np.int64]) -> pl.DataFrame:
    """`id` and `source` of the samples of these numbers, in this order."""
    import polars as pl

    found, start = [], 0
    order = np.argsort(rows, kind="stable")
    rising = rows[order]
    for part in run.parts(stage, by_sample(run, stage), ["id", "source"]):
        found.append(part[rising[slice(*np.searchsorted(rising, [start, start + len(part)]))] - start])
        start += len(part)
    return pl.concat(found)[places(order)]


def source_records(run: Run, rows: NDArray[np.int64] | None = None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The source files of a run as they were read, and where in them the records (of the samples `rows`) stand."""
    import polars as pl

    counts = run.need("tag")["counts"]
    files = pl.DataFrame(counts["files"], infer_schema_length=None)
    if rows is None:
        return files, run.table("tag", "records")
    wanted = np.zeros(counts["samples"], bool)
    wanted[rows] = True
    return files, pl.concat(part.filter(wanted[part["row"].to_numpy()]) for part in run.parts("tag", "records"))


def query_groups(turns: pl.Series) -> NDArray[np.int64]:
    """Where the queries of each sample begin, and where the last ones end."""
    groups = np.zeros(len(turns) + 1, dtype=np.int64)
    np.cumsum(turns.to_numpy(), out=groups[1:])
    return groups


Part = tuple["pl.DataFrame", "pl.DataFrame", TagTable]  # queries, their samples (with `turns`), the queries' tags


def write_rows(out: Output, parts: Iterable[Part], *, single: bool) -> None:
    """Writes `queries` with its tags and, unless every sample is a `single` query, `rows` with the unions."""
    with contextlib.ExitStack() as stack:
        write_samples = None if single else stack.enter_context(out.parts("rows"))
        write_queries = stack.enter_context(out.parts("queries"))
        written = 0
        for part, samples, table in parts:
            written += len(part)
            if written > MOST_ROWS:
                raise DataError(f"there are more than {MOST_ROWS:,} queries", hint="make several runs of them")
            queries = part.drop("tags", strict=False)
            if write_samples is None:
                write_queries(queries.with_columns(samples["source"]), table)
                continue
            write_queries(queries, table)
            union = _core.union_rows(table.offsets, table.ids, query_groups(samples["turns"]), len(table.vocabulary))
            write_samples(samples.drop("tags", strict=False), TagTable(table.vocabulary, *union, _checked=True))


def renamed_parts(run: Run, stage: str, table: TagRows) -> Iterator[Part]:
    """The parts of a stage's rows with other tags: `table` has its queries, a row a row, one shard a part."""
    import polars as pl

    single = by_sample(run, stage) == "queries"
    keys = run.parts(stage, "queries", [*KEYS, "source"] if single else KEYS)
    samples = run.parts(stage, "rows", ["id", "source", "turns", "failed_turns"]) if not single else None
    for shard in each(table, lambda shard, _: shard):
        queries = next(keys)
        if len(queries) != len(shard):
            message = (
                f"`{run.path / stage}/queries` changed while it was read: {len(queries):,} rows, not {len(shard):,}"
            )
            raise ArtifactError(message, hint=f"run `instag {stage}` again")
        if samples is not None:
            yield queries, next(samples), shard
        else:
            yield queries.drop("source"), queries.select("source", turns=pl.lit(1, pl.Int32)), shard
