"""Analyze: how diverse and how complex a pool and its sources are, and how far they hold the same tags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from instag import _core
from instag.errors import DataError
from instag.memory import require
from instag.selection import _numbers, random_places
from instag.shards import each
from instag.table import FROM_SERIES

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import ArrayLike, NDArray

    from instag.shards import TagRows
    from instag.table import TagTable

    Rows = slice | NDArray[np.int64]

CURVE_RATIO = 1.3  # between points of a coverage curve: 43 points at 90,000 samples, 61 at 10 million
POOL = "pool"  # the name of the one source, where none are given


@dataclass(frozen=True)
class Zipf:
    """How skewed the tag counts are.

    `exponent` is s in count ~ rank**-s, fitted by least squares on logarithms with weight 1 / rank (every decade of
    ranks weighs the same), to 4 decimals; None below three tags. `singletons` is the number of tags that one sample
    alone holds, `half` the number of most frequent tags that make half of all occurrences.
    """

    exponent: float | None
    singletons: int
    half: int


@dataclass(frozen=True, repr=False, eq=False)
class Analysis:
    """What a pool holds, by source. Sources come in the order of their first row.

    `sources`: source, samples, queries, tags (distinct), diversity (share of the pool's tags, or of the vocabulary
    given), complexity (mean tags of complete samples; null where there are none), mean_turns (null where unknown).
    `pool`: the same for all samples together, one row, its source null. `overlap`: a, b, recall = |tags(a) & tags(b)| /
    |tags(b)| (null where b has no tags). `curve`: source (null: the pool), samples, tags, coverage, adding samples in
    random order (seed 0). `tags`: rank (from 1), tag, count of samples, by count descending, then bytewise.
    `incomplete`: samples that complexity leaves out.
    """

    sources: pl.DataFrame
    pool: pl.DataFrame
    overlap: pl.DataFrame
    curve: pl.DataFrame
    tags: pl.DataFrame
    zipf: Zipf
    incomplete: int

    def top(self, n: int = 20) -> pl.DataFrame:
        """The `n` most frequent tags: rank, tag, count."""
        return self.tags.head(n)

    def rare(self, n: int = 20) -> pl.DataFrame:
        """The `n` least frequent tags, the rarest last: rank, tag, count."""
        return self.tags.tail(n)

    def __repr__(self) -> str:
        samples, tags, complexity = self.pool.select("samples", "tags", "complexity").row(0)
        mean = "no complete sample" if complexity is None else f"mean {complexity:.2f} tags a sample"
        return f"Analysis({len(self.sources)} sources, {samples:,} samples, {tags:,} tags, {mean})"


def analyze(
    table: TagRows,
    source: pl.Series | pl.DataFrame | None = None,
    *,
    turns: ArrayLike | None = None,
    queries: ArrayLike | None = None,
    complete: ArrayLike | None = None,
    vocabulary_size: int | None = None,
) -> Analysis:
    """Measures diversity, complexity, coverage and overlap of the samples of `table` and of their sources.

    `source` is a series with the source of each row, or a frame (`row`, `source`) that may name a row under several
    sources: a sample counts in every source that holds it, and once in the pool. `turns` and `queries` (by default
    `turns`, else 1) are whole numbers, one a row. `complete` is False for rows with a failed turn: complexity leaves
    those out, and includes untagged ones. Diversity is a share of the tags that occur, or of `vocabulary_size`.
    Raises `DataError` where an argument does not fit the table. O(tags), and a product of matrices for the overlap.

    >>> import polars as pl
    >>> from instag import TagTable, analyze
    >>> table = TagTable.from_series(pl.Series([["math"], ["math", "art"], []]))
    >>> analysis = analyze(table, source=pl.Series(["a", "b", "b"]))
    >>> analysis
    Analysis(2 sources, 3 samples, 2 tags, mean 1.00 tags a sample)
    >>> analysis.sources.select("source", "samples", "tags", "diversity", "complexity").rows()
    [('a', 1, 1, 0.5, 1.0), ('b', 2, 2, 1.0, 1.0)]
    >>> analysis.overlap.rows()
    [('a', 'a', 1.0), ('a', 'b', 0.5), ('b', 'a', 1.0), ('b', 'b', 1.0)]
    """
    import polars as pl

    if not hasattr(table, "vocabulary"):
        raise DataError(f"`table` is a {type(table).__name__}, must be a TagTable", hint=FROM_SERIES)
    if source is not None and not isinstance(source, (pl.Series, pl.DataFrame)):
        raise DataError(f"`source` is a {type(source).__name__}, must be a Polars series or frame")
    n = len(table)
    turn_counts = _numbers(turns, np.dtype(np.int64), "turns", n, narrow=True)
    query_counts = _numbers(queries, np.dtype(np.int64), "queries", n, narrow=True)
    if query_counts is None:
        query_counts = np.ones(n, np.int8) if turn_counts is None else turn_counts
    counted = _numbers(complete, np.dtype(np.bool_), "complete", n)
    counted = np.ones(n, bool) if counted is None else counted
    occurring = int(np.count_nonzero(table.counts))
    if vocabulary_size is not None and vocabulary_size < occurring:
        raise DataError(f"`vocabulary_size` is {vocabulary_size}, but {occurring} tags occur")
    # Where each row stands in the random order of the curve, and in the order of the rows; of a tag its first row.
    require(24 * n + 8 * len(table.vocabulary), f"the curve of {n:,} rows", hint="analyze a sample of the rows")
    all_tags = max(occurring if vocabulary_size is None else vocabulary_size, 1)

    everywhere = _first_seen(table, slice(0, n))  # before there are more arrays of all rows: it takes the most
    names, members = _members(source, n)
    lengths = np.concatenate(list(each(table, lambda shard, _: np.diff(shard.offsets).astype(np.uint32))))
    described, curves, held = [], [], []
    for name, rows in [(None, slice(0, n)), *zip(names, members, strict=True)]:
        samples = _count(rows)
        first = everywhere if samples == n else _first_seen(table, rows)
        whole = counted[rows]
        complete_rows = int(np.count_nonzero(whole))
        tags = int(np.count_nonzero(first >= 0))
        described.append(
            (
                name,
                samples,
                int(query_counts[rows].sum(dtype=np.int64)),
                tags,
                tags / all_tags,
                int(lengths[rows].sum(where=whole, dtype=np.int64)) / complete_rows if complete_rows else None,
                None if turn_counts is None or not samples else int(turn_counts[rows].sum(dtype=np.int64)) / samples,
            )
        )
        curves.append(_curve(name, first, samples, all_tags))
        held.append(first >= 0)
    schema = {
        "source": pl.String,
        "samples": pl.Int64,
        "queries": pl.Int64,
        "tags": pl.Int64,
        "diversity": pl.Float64,
        "complexity": pl.Float64,
        "mean_turns": pl.Float64,
    }
    sources = pl.DataFrame(described, schema=schema, orient="row")
    tags_by_count = (
        pl.DataFrame({"tag": table.vocabulary, "count": table.counts})
        .filter(pl.col("count") > 0)
        .sort(["count", "tag"], descending=[True, False])
        .with_row_index("rank", offset=1)
    )
    return Analysis(
        sources=sources[1:],
        pool=sources[:1],
        overlap=_overlap(names, np.array(held[1:], bool).reshape(len(names), len(table.vocabulary))),
        curve=pl.concat(curves),
        tags=tags_by_count,
        zipf=_zipf(tags_by_count["count"].to_numpy()),
        incomplete=int(n - np.count_nonzero(counted)),
    )


def _members(source: pl.Series | pl.DataFrame | None, n: int) -> tuple[list[str], list[Rows]]:
    """(the sources by first row, the rows of each, rising)."""
    import polars as pl

    if source is None:
        return [POOL], [slice(0, n)]
    if isinstance(source, pl.Series):
        if len(source) != n:
            raise DataError(f"`source` has {len(source)} entries, but {n} are needed")
        _check_names(source)
        rows = pl.DataFrame({"source": source.cast(pl.Categorical)}).with_row_index("row")
        rows = rows.group_by("source", maintain_order=True).agg("row")
        return rows["source"].cast(pl.String).to_list(), [_rows(series) for series in rows["row"]]
    if not {"row", "source"} <= set(source.columns):
        raise DataError(f"`source` must have the columns `row` and `source`, found {', '.join(source.columns)}")
    if not source["row"].dtype.is_integer():
        raise DataError(f"`source`: the column `row` must hold whole numbers, found {source['row'].dtype}")
    held = source.select(pl.col("row").cast(pl.Int64), _check_names(source["source"]).cast(pl.String))
    if held["row"].null_count():
        raise DataError("`source` holds a null row", hint="leave the records of no row out of the frame")
    wrong = held.filter((pl.col("row") < 0) | (pl.col("row") >= n))
    if len(wrong):
        raise DataError(f"`source` names the row {wrong['row'][0]}, but the table has {n} rows")
    # By the first mention: in a series that is the first row, in a frame of records the order of the files.
    rows = held.group_by("source", maintain_order=True).agg(pl.col("row").unique())
    rows = rows.with_columns(pl.col("row").list.sort())
    return rows["source"].to_list(), [_rows(series) for series in rows["row"]]


def _rows(rising: pl.Series) -> Rows:
    """Row numbers, as a slice where they follow each other: a source of 100 million rows needs no array of them."""
    first, last = int(rising[0]), int(rising[-1])
    return slice(first, last + 1) if last - first + 1 == len(rising) else rising.to_numpy().astype(np.int64)


def _count(rows: Rows) -> int:
    return int(rows.stop - rows.start) if isinstance(rows, slice) else len(rows)


def _check_names(source: pl.Series) -> pl.Series:
    import polars as pl

    if source.dtype not in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        raise DataError(f"`source` must hold strings, found {source.dtype}")
    if source.null_count():
        raise DataError("`source` holds a null", hint="give every row a source, or leave its records out of the frame")
    return source


def _first_seen(table: TagRows, rows: Rows) -> NDArray[np.int64]:
    """For each tag its first position among `rows`, which rise, in random order (seed 0), -1 where none holds it."""
    samples = _count(rows)
    positions = random_places(samples, seed=0)

    def of_shard(shard: TagTable, start: int) -> NDArray[np.int64]:
        if isinstance(rows, slice):
            held = np.arange(max(rows.start, start), max(min(rows.stop, start + len(shard)), start, rows.start))
            at = int(held[0]) - rows.start if len(held) else 0
        else:
            at, end = (int(bound) for bound in np.searchsorted(rows, [start, start + len(shard)]))
            held = rows[at:end]
        return _core.first_seen(*shard.csr, held - start, positions[at : at + len(held)])

    never = np.int64(-1).astype(np.uint64)  # the largest number there is, so that the least of several shards is right
    first = np.full(len(table.vocabulary), never)
    for part in each(table, of_shard):
        np.minimum(first, part.astype(np.uint64), out=first)
    return first.astype(np.int64)


def _curve(name: str | None, first: NDArray[np.int64], samples: int, all_tags: int) -> pl.DataFrame:
    """Tags seen after 1 to all of the samples, at some 50 points evenly spaced on a logarithmic scale."""
    import polars as pl

    points, at = {min(samples, 1), samples}, float(samples)
    while at >= 1:  # by division, which is the same on every machine; powers and logarithms are not
        points.add(round(at))
        at /= CURVE_RATIO
    after = np.array(sorted(points - {0}), np.int64)
    tags = np.searchsorted(np.sort(first[first >= 0]), after, side="left").astype(np.int64)
    return pl.DataFrame(
        {"source": [name] * len(after), "samples": after, "tags": tags, "coverage": tags / all_tags},
        schema={"source": pl.String, "samples": pl.Int64, "tags": pl.Int64, "coverage": pl.Float64},
    )


def _overlap(names: list[str], held: NDArray[np.bool_]) -> pl.DataFrame:
    """Every ordered pair of sources; `held[s, t]` says that source s holds tag t."""
    import polars as pl

    both = np.zeros((len(names), len(names)), np.int64)
    for start in range(0, held.shape[1], 4096):
        block = held[:, start : start + 4096].astype(np.float32)  # a product of matrices, exact below 2**24
        both += (block @ block.T).astype(np.int64)
    of_b = np.broadcast_to(both.diagonal(), both.shape).ravel()
    pairs = {"a": np.repeat(names, len(names)), "b": np.tile(names, len(names))}
    ratios = pl.DataFrame({"both": both.ravel(), "of_b": of_b}).select(
        pl.when(pl.col("of_b") > 0).then(pl.col("both") / pl.col("of_b")).alias("recall")
    )
    return pl.DataFrame(pairs, schema={"a": pl.String, "b": pl.String}).hstack(ratios)


def _zipf(counts: NDArray[np.int64]) -> Zipf:
    """`counts`: by rank, none of them 0."""
    half = int(np.searchsorted(counts.cumsum() * 2, counts.sum())) + 1 if len(counts) else 0
    exponent = None
    if len(counts) >= 3:
        weights = 1.0 / np.arange(1, len(counts) + 1)
        x, y = np.log(np.arange(1, len(counts) + 1)), np.log(counts)
        x, y = x - np.average(x, weights=weights), y - np.average(y, weights=weights)
        exponent = round(float(-(weights * x * y).sum() / (weights * x * x).sum()), 4) + 0.0
    return Zipf(exponent=exponent, singletons=int(np.count_nonzero(counts == 1)), half=half)
