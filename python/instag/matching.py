"""Which tags of one list are found in another of the same query: equal ones, or near ones under a rule of matching."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from instag import _core
from instag.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

    from instag.embedders import Embedder, Lexical

MATCHINGS = ("optimal", "greedy", "any")


def pairs_within(a: pl.DataFrame, b: pl.DataFrame) -> pl.DataFrame:
    """Every pair of a tag in `a` and a tag in `b` of one query: `query`, `a`, `b`.

    Both frames have columns `query` and `tag` (ids of one vocabulary), one row a tag of a query. Ordered by query, then
    as the two are ordered.
    """
    pairs = a.rename({"tag": "a"}).join(b.rename({"tag": "b"}), on="query", how="inner", maintain_order="left_right")
    return pairs.select("query", "a", "b")


def near(
    pairs: pl.DataFrame, names: Sequence[str], embedder: Embedder | Lexical, min_cosine: float | None
) -> pl.DataFrame:
    """The pairs whose tags mean the same, with `cosine`: above `min_cosine`, or of equal keys (1.0) by `lexical`.

    A tag is always near itself. Cosines are computed in float64 in a fixed order.
    """
    import polars as pl

    from instag.embedders import Lexical
    from instag.vectors import embed

    distinct = pairs.select("a", "b").unique(maintain_order=True)
    ends = [distinct[side].cast(pl.UInt32).to_numpy() for side in ("a", "b")]
    if isinstance(embedder, Lexical):
        keys = np.array(embedder.keys(names), dtype=object)
        cosines = (keys[ends[0]] == keys[ends[1]]).astype(np.float64)
        limit = 0.5
    else:
        limit = 0.0 if min_cosine is None else min_cosine
        used, places = np.unique(np.concatenate(ends), return_inverse=True)
        if not len(used):
            return pairs.with_columns(pl.lit(1.0).alias("cosine"))
        vectors = embed(embedder, [names[tag] for tag in used])
        a, b = np.split(places.astype(np.uint32), 2)
        cosines = np.asarray(_core.cosines(np.ascontiguousarray(vectors).ravel(), vectors.shape[1], a, b))
    cosines = np.where(ends[0] == ends[1], 1.0, cosines)
    close = distinct.with_columns(pl.Series("cosine", cosines)).filter(
        pl.Series(cosines > limit) | pl.Series(ends[0] == ends[1])
    )
    return pairs.join(close, on=["a", "b"], how="inner", maintain_order="left")


def matched(pairs: pl.DataFrame, matching: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The tags of either side that were found: `query`, `tag` of the first list, and of the second.

    `pairs` are those that may match (`query`, `a`, `b`, `cosine`). `any`: a tag is found where it is in any pair, so
    one tag may find several. `greedy`: one to one, equal tags first, then the highest cosine of a query (ties: the
    smaller ids). `optimal`: one to one, as many as there can be.

    >>> import polars as pl
    >>> pairs = pl.DataFrame({"query": [0, 0, 0], "a": [1, 1, 2], "b": [8, 9, 8], "cosine": [0.95, 0.9, 0.85]})
    >>> [len(matched(pairs, how)[1]) for how in ("any", "greedy", "optimal")]
    [2, 1, 2]
    """
    import polars as pl

    if matching not in MATCHINGS:
        raise ConfigError(f"`matching` is {matching!r}, which is none", hint=f"one of {', '.join(MATCHINGS)}")
    if matching != "any":
        several = pairs.select("query", "a").is_duplicated() | pairs.select("query", "b").is_duplicated()
        unsure = pairs["query"].is_in(pairs["query"].filter(several).unique().implode())
        kept = [pairs.filter(~unsure).select("query", "a", "b")]
        choose = _greedy if matching == "greedy" else _optimal
        ranked = pairs.filter(unsure).sort("query", pl.col("a") != pl.col("b"), -pl.col("cosine"), "a", "b")
        for (query,), part in ranked.group_by("query", maintain_order=True):
            chosen = choose(list(part.select("a", "b").iter_rows()))
            sides = {"a": [a for a, _ in chosen], "b": [b for _, b in chosen]}
            kept.append(
                pl.DataFrame(sides, schema={"a": pairs.schema["a"], "b": pairs.schema["b"]}).select(
                    pl.lit(query, pairs.schema["query"]).alias("query"), "a", "b"
                )
            )
        pairs = pl.concat(kept)
    first, second = (pairs.select("query", pl.col(side).alias("tag")).unique().sort("query", "tag") for side in "ab")
    return first, second


def _greedy(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    chosen: list[tuple[int, int]] = []
    for a, b in pairs:
        if all(a != x and b != y for x, y in chosen):
            chosen.append((a, b))
    return chosen


def _optimal(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """As many pairs as can be without one tag twice: augmenting paths, each pair tried in its order.

    The lists are those of one query, some ten tags, so the plain algorithm does; the paths are walked without
    recursion, since a list from outside may be as long as it likes.
    """
    ways: dict[int, list[int]] = {}
    for a, b in pairs:
        ways.setdefault(a, []).append(b)
    partner: dict[int, int] = {}  # of each b
    for start in ways:
        came: dict[int, int] = {}  # the a from which a b was reached
        waiting, end = [start], None
        while waiting and end is None:
            a = waiting.pop(0)
            for b in ways[a]:
                if b in came:
                    continue
                came[b] = a
                if b not in partner:
                    end = b
                    break
                waiting.append(partner[b])
        back = {a: b for b, a in partner.items()}
        while end is not None:  # the path is turned round
            a = came[end]
            partner[end], end = a, back.get(a)
    return sorted((a, b) for b, a in partner.items())
