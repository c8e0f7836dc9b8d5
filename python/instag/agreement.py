"""How far two taggings of the same samples agree: exact and fuzzy F1, and where they part the most."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from instag.bootstrap import RESAMPLES, interval, resampled_sums
from instag.errors import ConfigError, DataError
from instag.matching import MATCHINGS, matched, near, pairs_within
from instag.rows import sample_rows
from instag.run import Run

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from instag.embedders import Embedder, Lexical

_CHOICES = {
    "tags": ("raw", "normalized"),
    "by": ("query", "sample"),
    "join": ("id", "own-id", "query"),
    "average": ("micro", "macro"),
    "matching": MATCHINGS,
    "case": ("keep", "fold"),
}
PAPER_COSINE = 0.8


@dataclass(frozen=True)
class AgreeSettings:
    """What the paper leaves open about its F1, each with our default; `ConfigError` for a choice that is none.

    `min_cosine` is what a fuzzy match must be above, 0.8 where an embedder is named without one. `lexical` knows no
    cosine: tags match where their keys are equal.
    """

    tags: str = "raw"
    by: str = "query"
    join: str = "id"
    average: str = "micro"
    matching: str = "optimal"
    case: str = "keep"
    embedder: str | None = None
    min_cosine: float | None = None
    resamples: int = RESAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                hint = f"one of {', '.join(choices)}"
                raise ConfigError(f"`{name}` is {getattr(self, name)!r}, which is none", hint=hint)
        if self.min_cosine is not None:
            if self.embedder in (None, "lexical"):
                what = "no embedder is named" if self.embedder is None else "`lexical` compares keys, not cosines"
                raise ConfigError(f"`min_cosine` is given, but {what}", hint="name a model with `--embedder`")
            if not -1 <= self.min_cosine < 1:
                raise ConfigError(f"`min_cosine` is {self.min_cosine}, must be from -1 to below 1")
        if self.join == "query" and self.by != "query":
            raise ConfigError("`join` is query, and `by` sample: samples have no text of one query")
        if self.resamples < 1 or self.seed < 0:
            raise ConfigError(f"`resamples` is {self.resamples} and `seed` {self.seed}, must be at least 1 and 0")

    @property
    def limit(self) -> float | None:
        """The cosine that a fuzzy match must be above, None where there is none."""
        if self.embedder in (None, "lexical"):
            return None
        return PAPER_COSINE if self.min_cosine is None else self.min_cosine


@dataclass(frozen=True)
class Agreement:
    """What `agree` finds: `exact` and `fuzzy` (None without an embedder) have `precision`, `recall` and `f1`.

    Each is `{"value", "low", "high"}`, 95 % by the bootstrap over samples. `counts` says what was compared and what was
    not; `tags` and `queries` have the worst first.
    """

    exact: dict[str, dict[str, float | None]]
    fuzzy: dict[str, dict[str, float | None]] | None
    counts: dict[str, int]
    tags: pl.DataFrame
    queries: pl.DataFrame

    def __repr__(self) -> str:
        fuzzy = "" if self.fuzzy is None else f", fuzzy F1 {self.fuzzy['f1']['value']:.3f}"
        return f"Agreement({self.counts['compared']} queries, exact F1 {self.exact['f1']['value']:.3f}{fuzzy})"


def agree(
    a: pl.DataFrame,
    b: pl.DataFrame,
    settings: AgreeSettings | None = None,
    *,
    embedder: Embedder | Lexical | None = None,
    names: tuple[str, str] = ("A", "B"),
) -> Agreement:
    """Precision, recall and F1 of the tags in `b` where those in `a` are taken to be right.

    Both frames have `id`, `turn`, `failed` (bool), `tags` (lists of strings) and may have `query`. Precision is the
    share of b's tags that are found in a, recall that of a's found in b, F1 their harmonic mean: `micro` over all tags,
    `macro` the mean over queries (0 where one side alone has no tags). A query that failed in either is counted apart;
    so is one without tags on both sides, of which neither tells anything. `DataError` where nothing is shared, where a
    shared sample has other queries, or one query twice.

    >>> import polars as pl
    >>> rows = {"id": ["x", "y"], "turn": [0, 0], "failed": [False, False]}
    >>> one = pl.DataFrame(rows | {"tags": [["poem", "rain"], ["maths"]]})
    >>> two = pl.DataFrame(rows | {"tags": [["poem"], ["history"]]})
    >>> agree(one, two)
    Agreement(2 queries, exact F1 0.400)
    """
    import polars as pl

    settings = settings or AgreeSettings()
    joined, counts = _joined(a, b, names)
    status = (
        pl.when(pl.col("failed") & pl.col("failed_b"))
        .then(pl.lit("failed in both"))
        .when(pl.col("failed"))
        .then(pl.lit("failed in a"))
        .when(pl.col("failed_b"))
        .then(pl.lit("failed in b"))
        .when((pl.col("tags").list.len() == 0) & (pl.col("tags_b").list.len() == 0))
        .then(pl.lit("both empty"))
        .otherwise(pl.lit("compared"))
    )
    joined = joined.with_columns(_lists("tags", settings), _lists("tags_b", settings)).with_columns(status=status)
    counts |= {
        name: int((joined["status"] == name.replace("_", " ")).sum())
        for name in ("compared", "both_empty", "failed_in_a", "failed_in_b", "failed_in_both")
    }
    told = joined.filter(status="compared").with_row_index("number")
    if not len(told):
        raise DataError(
            f"no query of `{names[0]}` and `{names[1]}` is left to compare: {_why(counts)}",
            hint="see failures.parquet of either run, or `instag show`",
        )
    counts["samples"] = told["id"].n_unique()
    vocabulary = pl.concat([told["tags"].explode(), told["tags_b"].explode()]).drop_nulls().unique().sort()
    number = vocabulary.to_frame("name").with_row_index("tag")
    sides = [_exploded(told, column, number) for column in ("tags", "tags_b")]
    pairs = pairs_within(*sides)
    same = pairs.filter(pl.col("a") == pl.col("b")).with_columns(cosine=pl.lit(1.0))
    finds = {"exact": matched(same, "any")}
    if embedder is not None:
        finds["fuzzy"] = matched(near(pairs, vocabulary.to_list(), embedder, settings.limit), settings.matching)
    sample = told["id"].rank("dense").to_numpy().astype(np.int64) - 1
    sizes = [_per_query(side, len(told)) for side in sides]
    figures, queries = {}, told.select("id", "turn", "query", pl.col("tags").alias("tags_a"), "tags_b")
    for kind, found in finds.items():
        hits = [_per_query(side, len(told)) for side in found]
        figures[kind] = _figures([*hits, *sizes], sample, settings)
        queries = queries.with_columns(pl.Series(f"{kind}_f1", _ratios(*hits, *sizes)[2]))
    last = f"{list(finds)[-1]}_f1"
    most = (pl.col("tags_a").list.len() + pl.col("tags_b").list.len()).cast(pl.Int64)
    rest = joined.filter(pl.col("status") != "compared")
    rest = rest.select("id", "turn", "query", pl.col("tags").alias("tags_a"), "tags_b", "status")
    queries = queries.with_columns(status=pl.lit("compared")).sort(last, -most, maintain_order=True)
    return Agreement(
        exact=figures["exact"],
        fuzzy=figures.get("fuzzy"),
        counts=counts,
        tags=_by_tag(number, sides, finds),
        queries=pl.concat([queries, rest], how="diagonal"),
    )


def read_tagging(path: str | Path, settings: AgreeSettings) -> pl.DataFrame:
    """The queries (or samples) of a run as `agree` takes them: `id`, `turn`, `query`, `failed`, `tags`."""
    import polars as pl

    run = Run(path)
    run.need("tag")
    stage = "tag" if settings.tags == "raw" else "normalize"
    run.need(stage)
    tags = pl.col("tags").cast(pl.List(pl.String))
    if settings.by == "sample":
        rows = _renamed(run, sample_rows(run, stage), settings)
        none = pl.lit(None, pl.String).alias("query")
        return rows.select(
            "id", pl.lit(0, pl.Int32).alias("turn"), none, (pl.col("failed_turns") > 0).alias("failed"), tags
        )
    queries = _renamed(run, run.table(stage, "queries", ["id", "turn", "status", "tags"]), settings)
    query = run.table("tag", "queries", ["query"])["query"].cast(pl.String)
    failed = (pl.col("status").cast(pl.String) == "failed").alias("failed")
    told = queries.with_columns(query).select("id", "turn", "query", failed, tags)
    return _by_text(told, path) if settings.join == "query" else told


def _by_text(told: pl.DataFrame, path: str | Path) -> pl.DataFrame:
    """Each distinct query once, under its own text: a run asks equal ones once, so all of them have the same tags."""
    import polars as pl

    if nameless := told["query"].null_count():
        raise DataError(f"{nameless:,} queries of `{path}` have no text: it was imported", hint="join by `--join id`")
    first = told.unique("query", keep="first", maintain_order=True)
    return first.with_columns(pl.col("query").alias("id"), pl.lit(0, pl.Int32).alias("turn"))


def _renamed(run: Run, rows: pl.DataFrame, settings: AgreeSettings) -> pl.DataFrame:
    """The rows under the ids of their source's records, where that was asked for; imported ones have these already."""
    import polars as pl

    if settings.join != "own-id" or not run.has("tag", "records"):
        return rows
    first = run.table("tag", "records", ["row", "own_id"]).unique("row", keep="first").sort("row")
    own = pl.DataFrame({"id": sample_rows(run, "tag")["id"], "own": first["own_id"]})
    if nameless := own["own"].null_count():
        raise DataError(
            f"{nameless:,} samples of `{run.path}` have no id of their own in the source", hint="join by `--join id`"
        )
    return rows.join(own, on="id", how="left", maintain_order="left").drop("id").rename({"own": "id"})


def _joined(a: pl.DataFrame, b: pl.DataFrame, names: tuple[str, str]) -> tuple[pl.DataFrame, dict[str, int]]:
    """The queries that both have, in the order of `a`, the other's columns with `_b`."""
    import polars as pl

    frames = []
    for frame, name in ((a, names[0]), (b, names[1])):
        query = pl.col("query") if "query" in frame.columns else pl.lit(None, pl.String).alias("query")
        frames.append(
            frame.select(pl.col("id").cast(pl.String), pl.col("turn").cast(pl.Int32), query, "failed", "tags")
        )
        twice = frames[-1].filter(pl.struct("id", "turn").is_duplicated())
        if len(twice):
            raise DataError(
                f"`{name}` has {len(twice):,} rows that share their id with another, the first `{twice['id'][0]}`",
                hint="a row of either tagging must have an id of its own: `instag import --id-column NAME`",
            )
    a, b = frames
    shared = a.select("id").unique().join(b.select("id").unique(), on="id", how="semi")
    if not len(shared):
        raise DataError(
            f"`{names[0]}` and `{names[1]}` share no samples",
            hint="tag the same records in both; imported tags are joined by the ids of `--id-column`: those of the "
            "other run, or with `--join own-id` those of its source",
        )
    inner = a.join(b, on=["id", "turn"], how="inner", suffix="_b", maintain_order="left")
    lone = [frame.join(shared, on="id", how="semi").join(inner, on=["id", "turn"], how="anti") for frame in (a, b)]
    texts = inner.filter(pl.col("query") != pl.col("query_b"))
    if len(lone[0]) + len(lone[1]) + len(texts):
        found = texts if len(texts) else lone[0] if len(lone[0]) else lone[1]
        where = f"`{found['id'][0]}`, turn {found['turn'][0]}"
        raise DataError(
            f"`{names[0]}` and `{names[1]}` have other queries in samples that they share: the first is {where}",
            hint="compare the tags of whole samples with `--by sample`, where both are taggings of the same records",
        )
    counts = {"queries": len(inner), "only_in_a": len(a) - len(inner), "only_in_b": len(b) - len(inner)}
    query = pl.coalesce("query", "query_b").alias("query")
    return inner.with_columns(query).drop("query_b"), counts


def _why(counts: dict[str, int]) -> str:
    told = ("failed_in_a", "failed_in_b", "failed_in_both", "both_empty")
    return ", ".join(f"{counts[name]:,} {name.replace('_', ' ')}" for name in told if counts[name]) or "there are none"


def _lists(column: str, settings: AgreeSettings) -> pl.Expr:
    """Distinct tags, in their order; without case where that was asked for."""
    import polars as pl

    tags = pl.col(column).cast(pl.List(pl.String)).fill_null([])
    if settings.case == "fold":
        tags = tags.list.eval(pl.element().str.to_lowercase())
    return tags.list.unique(maintain_order=True)


def _exploded(told: pl.DataFrame, column: str, number: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    rows = told.select(pl.col("number").alias("query"), pl.col(column).alias("name")).explode("name").drop_nulls()
    return rows.join(number, on="name", how="inner", maintain_order="left").select("query", "tag")


def _per_query(side: pl.DataFrame, queries: int) -> NDArray[np.float64]:
    return np.bincount(side["query"].to_numpy(), minlength=queries).astype(np.float64)


def _ratios(
    hit_a: NDArray[np.float64], hit_b: NDArray[np.float64], size_a: NDArray[np.float64], size_b: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Precision, recall and F1; 0 where there is nothing to divide by, since the other side has some tags then."""
    precision = np.divide(hit_b, size_b, out=np.zeros_like(hit_b), where=size_b > 0)
    recall = np.divide(hit_a, size_a, out=np.zeros_like(hit_a), where=size_a > 0)
    both = precision + recall
    return precision, recall, np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)


def _figures(
    columns: list[NDArray[np.float64]], sample: NDArray[np.int64], settings: AgreeSettings
) -> dict[str, dict[str, float | None]]:
    """The three figures with their intervals: whole samples are drawn, since the queries of a chat go together."""
    macro = settings.average == "macro"
    if macro:
        columns = [*_ratios(*columns), np.ones_like(columns[0])]
    units = np.stack([np.bincount(sample, weights=column) for column in columns], axis=1).astype(np.float64)

    def told(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        return tuple((sums[:, :3] / sums[:, 3:]).T) if macro else _ratios(*sums.T)

    values = told(units.sum(axis=0, keepdims=True))
    spread = told(resampled_sums(units, resamples=settings.resamples, seed=settings.seed))
    found: dict[str, dict[str, float | None]] = {}
    for name, value, draws in zip(("precision", "recall", "f1"), values, spread, strict=True):
        low, high = interval(draws) if len(units) > 1 else (None, None)
        found[name] = {"value": float(value[0]), "low": low, "high": high}
    return found


def _by_tag(number: pl.DataFrame, sides: list[pl.DataFrame], finds: dict[str, Any]) -> pl.DataFrame:
    """One row a tag: how many queries hold it on either side, and where it was found on the other."""
    import polars as pl

    table = number
    columns = {"in_a": sides[0], "in_b": sides[1]}
    for kind, (first, second) in finds.items():
        columns |= {f"{kind}_a": first, f"{kind}_b": second}
    for name, side in columns.items():
        counted = side.group_by("tag").agg(pl.len().cast(pl.Int64).alias(name))
        table = table.join(counted, on="tag", how="left", maintain_order="left").with_columns(pl.col(name).fill_null(0))
    whole = pl.col("in_a") + pl.col("in_b")
    shares = [((pl.col(f"{kind}_a") + pl.col(f"{kind}_b")) / whole).alias(f"{kind}_f1") for kind in finds]
    table = table.with_columns(shares).rename({"exact_a": "both"}).drop("exact_b", "tag").rename({"name": "tag"})
    return table.sort(f"{list(finds)[-1]}_f1", -whole, "tag")
