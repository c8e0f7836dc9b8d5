"""Tagging: every user query of a pool, each distinct text once; a sample's tags are the union over its queries."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from instag import _core
from instag.chat import ChatTagger, Usage
from instag.counting import TagCounts
from instag.errors import ConfigError, DataError
from instag.table import TagTable
from instag.tagger import PartsTagger, ProgressHook, Tagger, TagSettings, TagSpeed, tagged_schema

if TYPE_CHECKING:
    import polars as pl

TAGGERS = ("openai", "keyphrase")


@dataclass(frozen=True, repr=False)
class Tagging:
    """The result of `tag`.

    `queries`: one row a query (`id`, `turn`, `query`, `tags`, `explanations`, `status`), in the order of the pool.
    `rows`: one row a sample (`id`, `source`, `turns`, `failed_turns`, `tags`). `failures`: the failed queries (`id`,
    `turn`, `reason`, `answer`). `label` says who tagged; `usage` what was asked of an endpoint.
    """

    queries: pl.DataFrame
    rows: pl.DataFrame
    failures: pl.DataFrame
    label: str
    identity: Mapping[str, Any]
    usage: Usage

    @cached_property
    def table(self) -> TagTable:
        """The queries' tags, row for row; a failed query has none (`queries["status"]` tells the two apart)."""
        return TagTable.from_series(self.queries["tags"])

    @cached_property
    def counts(self) -> dict[str, Any]:
        """What a summary shows: samples, queries, distinct, failed by reason, untagged, tags, requests and tokens."""
        counts = TagCounts()
        counts.add(self.queries, len(self.rows), self.failures, self.table)
        return {"label": self.label, **counts.told(), **dataclasses.asdict(self.usage)}

    def __repr__(self) -> str:
        return (
            f"Tagging({len(self.rows):,} samples, {len(self.queries):,} queries, {len(self.failures):,} failed, "
            f"{len(self.table.vocabulary):,} tags, {self.label})"
        )


def open_tagger(settings: TagSettings, speed: TagSpeed | None = None) -> Tagger:
    """The tagger that settings name.

    Raises `ConfigError` for one that nobody knows, or a prompt that can't be used.
    """
    if settings.tagger == "keyphrase":
        from instag.keyphrase import KeyphraseTagger

        made: Tagger = KeyphraseTagger()
        return made
    if settings.tagger == "openai":
        return ChatTagger(settings, speed or TagSpeed())
    raise ConfigError(f"unknown tagger `{settings.tagger}`", hint=f"one of {', '.join(f'`{t}`' for t in TAGGERS)}")


def tag(
    data: Any,
    *,
    tagger: str | Tagger = "openai",
    progress: ProgressHook | None = None,
    **settings: Any,
) -> Tagging:
    """Tags every user query, each distinct text once.

    Args:
        data: A pool from `instag.read`; a path or a list of `Path` (read first); or queries: a Polars string series or
            a list of strings, one sample each, with the row number as id.
        tagger: `openai` (any compatible endpoint), `keyphrase` (offline), or an object of the `Tagger` protocol.
        progress: Called with a `Progress`, some times a second.
        **settings: The fields of `TagSettings` (they decide the tags) and of `TagSpeed` (they don't).

    Rows come in the pool's order; a sample's tags are the union over its queries in turn order, first occurrences. A
    query that failed is a row of `failures` and no query with zero tags. Paid answers are kept in `answers` (by default
    `answers.sqlite` in the working folder; `None`: in memory) and never asked for again. Raises `ConfigError`,
    `ProviderError` and `ArtifactError`. Works inside a running event loop.

    >>> class Length:
    ...     identity, label = {"tagger": "length"}, "by length"
    ...     def tag(self, queries, *, progress=None):
    ...         tags = [["Long"] if len(query) > 9 else ["Short"] for query in queries]
    ...         ok = {"status": "ok", "tags": tags, "explanations": [[]] * len(tags), "reason": None, "answer": None}
    ...         return pl.DataFrame(ok, schema=tagged_schema())
    >>> import polars as pl
    >>> tag(["hello", "what is a monad?", "hello"], tagger=Length()).table.to_series().to_list()
    [['Short'], ['Long'], ['Short']]
    """
    (tagging,) = made = list(tag_parts([data], tagger=tagger, progress=progress, **settings))
    assert len(made) == 1
    return tagging


def tag_parts(
    parts: Iterable[Any],
    *,
    tagger: str | Tagger = "openai",
    progress: ProgressHook | None = None,
    total: int | None = None,
    **settings: Any,
) -> Iterator[Tagging]:
    """`tag` for a pool larger than memory, in parts, as from `instag.read_parts`; one `Tagging` a part, in order.

    The parts are tagged as one pool where the tags of a query follow from it alone (a tagger with a `tag_parts` of its
    own, as `openai`'s): a query that two parts share is asked once, and the next part is read while one is asked. Any
    other tagger tags each part for itself. `total` is the number of distinct queries, for the progress. The `usage` of
    a part is that of all so far. Memory is that of some parts; with `batch` it is that of all.

    >>> class Length:
    ...     identity, label = {"tagger": "length"}, "by length"
    ...     def tag(self, queries, *, progress=None):
    ...         tags = [["Long"] if len(query) > 9 else ["Short"] for query in queries]
    ...         ok = {"status": "ok", "tags": tags, "explanations": [[]] * len(tags), "reason": None, "answer": None}
    ...         return pl.DataFrame(ok, schema=tagged_schema())
    >>> import polars as pl
    >>> [part.table.to_series().to_list() for part in tag_parts([["hello"], ["what is a monad?"]], tagger=Length())]
    [[['Short']], [['Long']]]
    """
    if isinstance(tagger, str):
        tagger = open_tagger(*_settings(tagger, settings))
    elif settings:
        raise ConfigError(f"a tagger of your own takes no `{next(iter(settings))}`", hint="set it on the tagger")
    waiting: deque[tuple[pl.DataFrame, pl.DataFrame, pl.Series]] = deque()

    def distinct() -> Iterator[pl.Series]:
        rows = 0
        for part in parts:
            samples, queries = _frames(part, rows)
            rows += len(samples)
            waiting.append((samples, queries, queries["query"].unique(maintain_order=True)))
            yield waiting[-1][2]

    queries: Iterable[pl.Series] = distinct()
    if isinstance(tagger, ChatTagger) and tagger.speed.batch and tagger.begun is None:
        from instag.batches import answer_by_batches
        from instag.planning import plan_queries

        held = list(queries)
        planned = plan_queries((part.to_list() for part in held), tagger, cost=tagger.speed.budget_usd is not None)
        answer_by_batches(tagger, lambda: (part.to_list() for part in held), planned=planned, progress=progress)
        queries = held
    if isinstance(tagger, PartsTagger):
        found: Iterable[pl.DataFrame] = tagger.tag_parts(queries, progress=progress, total=total)
    else:
        found = (tagger.tag(part, progress=progress) for part in queries)
    last: Tagging | None = None
    for tagged in found:
        if last is not None:
            yield last
        last = _tagging(*waiting.popleft(), tagged, tagger)
    if last is not None:  # what the tagger has to say after its last part is heard before that is given out
        yield dataclasses.replace(last, usage=getattr(tagger, "usage", Usage()))


def _tagging(
    samples: pl.DataFrame, queries: pl.DataFrame, distinct: pl.Series, tagged: pl.DataFrame, tagger: Tagger
) -> Tagging:
    """The tables of a pool, or of a part of one, from what a tagger gave for its distinct queries."""
    import polars as pl

    tagged = _checked(tagged, len(distinct), tagger.label).with_columns(distinct.alias("query"))
    queries = queries.join(tagged, on="query", how="left", maintain_order="left")
    table = TagTable.from_series(queries["tags"])
    of_row = queries["row"].to_numpy()
    bounds = np.searchsorted(of_row, np.arange(len(samples) + 1)).astype(np.int64)
    offsets, ids = _core.union_rows(table.offsets, table.ids, bounds, len(table.vocabulary))
    failed = (queries["status"] == "failed").to_numpy().astype(np.int64)
    failed_before = np.concatenate([[0], np.cumsum(failed)])
    rows = samples.select(
        "id",
        pl.col("source").cast(pl.Categorical),
        pl.Series("turns", np.diff(bounds).astype(np.int32)),
        pl.Series("failed_turns", (failed_before[bounds[1:]] - failed_before[bounds[:-1]]).astype(np.int32)),
        TagTable.from_arrays(table.vocabulary, offsets, ids).to_series(),
    )
    queries = queries.with_columns(table.to_series(), samples["id"].gather(queries["row"]))
    return Tagging(
        queries=queries.select("id", "turn", "query", "tags", "explanations", "status"),
        rows=rows,
        failures=queries.filter(pl.col("status") == "failed").select("id", "turn", "reason", "answer"),
        label=tagger.label,
        identity=dict(tagger.identity),
        usage=getattr(tagger, "usage", Usage()),
    )


def _settings(tagger: str, said: Mapping[str, Any]) -> tuple[TagSettings, TagSpeed]:
    """The two kinds of settings from one list of keywords; refuses what neither knows."""
    decisive = {field.name for field in dataclasses.fields(TagSettings)}
    speed = {field.name for field in dataclasses.fields(TagSpeed)}
    for name in said:
        if name not in decisive | speed:
            raise ConfigError(f"unknown setting `{name}`", hint=f"one of {', '.join(sorted(decisive | speed))}")
    return (
        TagSettings(tagger=tagger, **{name: value for name, value in said.items() if name in decisive}),
        TagSpeed(**{name: value for name, value in said.items() if name in speed}),
    )


def _frames(data: Any, first: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(samples: id, source), (queries: row, turn, query) of whatever may be tagged; it begins at sample `first`."""
    import polars as pl

    if hasattr(data, "samples") and hasattr(data, "queries"):
        rows = data.queries["row"] - first
        if len(rows) and not (int(rows.min()) >= 0 and int(rows.max()) < len(data.samples)):
            raise DataError(
                f"the part's queries are of samples {rows.min() + first:,} to {rows.max() + first:,}, "
                f"its samples are {first:,} to {first + len(data.samples) - 1:,}",
                hint="give all parts of `instag.read_parts`, in order, to `instag.tag_parts`",
            )
        return data.samples, data.queries.with_columns(rows)
    if isinstance(data, str | Path) or (isinstance(data, Sequence) and data and all(isinstance(p, Path) for p in data)):
        import instag

        pool = instag.read([data] if isinstance(data, str | Path) else data)
        return pool.samples, pool.queries
    if isinstance(data, Sequence) and all(isinstance(text, str) for text in data):
        if data and all(len(text) < 4096 and "\0" not in text and Path(text).is_file() for text in data):
            raise ConfigError("these strings are names of files", hint="wrap them in `Path`, or give one as a string")
        data = pl.Series("query", data, dtype=pl.String)
    if not isinstance(data, pl.Series) or data.dtype not in (pl.String, pl.Categorical, pl.Enum):
        raise DataError(
            f"can't tag {type(data).__name__}: neither a pool, nor paths, nor a series of strings",
            hint="give what `instag.read` gives back, or a list of queries",
        )
    if data.null_count():
        raise DataError(f"row {data.is_null().arg_true()[0]} of the queries is null", hint="drop nulls first")
    row = pl.int_range(len(data), dtype=pl.Int64, eager=True)
    queries = pl.DataFrame(
        {"row": row, "turn": pl.zeros(len(data), pl.Int32, eager=True), "query": data.cast(pl.String)}
    )
    samples = pl.DataFrame(
        {"id": (row + first).cast(pl.String), "source": pl.Series(["queries"]).new_from_index(0, len(data))}
    )
    return samples, queries


def _checked(tagged: pl.DataFrame, rows: int, label: str) -> pl.DataFrame:
    """What a tagger gave back, held to the protocol."""
    import polars as pl

    schema = tagged_schema()
    lists = pl.List(pl.String)
    if list(tagged.columns) != list(schema) or len(tagged) != rows:
        raise DataError(
            f"the tagger ({label}) gave {len(tagged):,} rows of {tagged.columns}, not {rows:,} of {list(schema)}",
            hint="see `instag.Tagger.tag`",
        )
    try:
        tagged = tagged.cast({"tags": lists, "explanations": lists, "status": pl.String})
    except pl.exceptions.PolarsError as error:
        raise DataError(f"the tagger ({label}) gave columns of other types: {error}") from None
    wrong = tagged.filter(
        ~pl.col("status").is_in(["ok", "failed"])
        | pl.col("tags").is_null()
        | ((pl.col("status") == "failed") & ((pl.col("tags").list.len() > 0) | pl.col("reason").is_null()))
    )
    if len(wrong):
        raise DataError(
            f"the tagger ({label}) gave a row that is neither `ok` nor `failed` with a reason: {wrong.row(0)}"
        )
    return tagged
