"""From the raw list column to normalized ids (count filter, rule forms, remap): instag against Polars + PyStemmer.

The peer is what a careful person writes today: every string operation once a distinct tag, the rows as integers.
Both stem with the paper's rule form; Snowball's Porter parts from NLTK's on some words, so the pool's words are
those on which the two agree, and the answers must be equal to the last id.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

import generate
import timing
from instag import TagTable, _core, normalize

if TYPE_CHECKING:
    import polars as pl

MIN_COUNT = 20


def compare(samples: int) -> Iterator[timing.Comparison]:
    """The comparison at `samples` rows."""
    try:
        import Stemmer
    except ImportError:
        print("normalization: PyStemmer is not installed", file=sys.stderr)
        return
    stemmer = Stemmer.Stemmer("porter")
    column = _agreed(generate.raw_column(samples), stemmer)
    yield timing.compare(
        "raw list column to normalized ids",
        samples,
        lambda: instag_ids(column),
        lambda: polars_ids(column, stemmer),
        peer_name="Polars + PyStemmer",
        same=lambda ours, peer: all(np.array_equal(a, b) for a, b in zip(ours, peer, strict=True)),
        target=5.0 if samples >= 1_000_000 else None,
    )


def instag_ids(column: pl.Series) -> tuple[Any, Any, Any]:
    """(vocabulary, offsets, ids)."""
    skip = ("semantic", "association")
    made = normalize(TagTable.from_series(column), min_count=MIN_COUNT, paper_rules=True, skip=skip).table
    return made.vocabulary.to_numpy(), made.offsets, made.ids


def polars_ids(column: pl.Series, stemmer: Any) -> tuple[Any, Any, Any]:
    """The same by Polars, numpy and PyStemmer: dictionary codes, forms of the distinct tags, integers from there on.

    The fastest of what was tried: joins and group-bys of (row, tag) frames took five times as long.
    """
    import polars as pl

    rows = column.cast(pl.List(pl.Categorical)).list.unique(maintain_order=True)
    flat = rows.explode(empty_as_null=False, keep_nulls=False)
    codes = flat.to_physical().to_numpy()
    counts = np.bincount(codes)
    often = np.flatnonzero(counts >= MIN_COUNT)
    first = np.empty(len(counts), np.int64)
    first[codes] = np.arange(len(codes))
    tags = pl.DataFrame({"code": often, "raw": flat.gather(first[often]).cast(pl.String), "count": counts[often]})
    words = tags["raw"].str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]", " ").str.split(" ")
    forms = [" ".join(stemmer.stemWords([word for word in tag if word])) for tag in words.to_list()]
    tags = tags.with_columns(form=pl.Series(forms), length=pl.col("raw").str.len_chars())
    tags = tags.sort("count", "length", "raw", descending=[True, False, False])
    tags = tags.with_columns(name=pl.col("raw").first().over("form"), group=pl.col("form").rank("dense") - 1)
    groups = np.full(len(counts), -1)
    groups[tags["code"].to_numpy()] = tags["group"].to_numpy()
    ids = groups[codes]
    row = np.repeat(np.arange(len(column)), rows.list.len().to_numpy())
    row, ids = row[ids >= 0], ids[ids >= 0]
    first_in_row = _first_in_row(row, ids)
    row, ids = row[first_in_row], ids[first_in_row]
    names = tags.unique("group", keep="first").sort("group")["name"]
    final = pl.DataFrame({"name": names, "count": np.bincount(ids, minlength=len(names))}).with_row_index("group")
    final = final.sort(["count", "name"], descending=[True, False])
    places = np.empty(len(final), np.int64)
    places[final["group"].to_numpy()] = np.arange(len(final))
    offsets = np.concatenate([[0], np.bincount(row, minlength=len(column)).cumsum()])
    return final["name"].to_numpy(), offsets, places[ids]


def _first_in_row(row: Any, ids: Any) -> Any:
    """Which ids are the first of their kind in their row: compared with the one before, the one before that, ..."""
    first = np.ones(len(ids), bool)
    for back in range(1, len(ids)):
        same_row = row[back:] == row[:-back]
        if not same_row.any():
            break
        first[back:] &= ~(same_row & (ids[back:] == ids[:-back]))
    return first


def _agreed(column: pl.Series, stemmer: Any) -> pl.Series:
    """The column without the tags that hold a word on which Snowball's Porter and NLTK's part."""
    import polars as pl

    table = TagTable.from_series(column)
    words = table.vocabulary.str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]", " ").str.split(" ").to_list()
    agree = {word: stemmer.stemWord(word) == _core.porter_stem(word) for tag in words for word in tag}
    keep = np.array([all(agree[word] for word in tag) for tag in words])
    where = np.where(keep, np.cumsum(keep) - 1, 2**32 - 1).astype(np.uint32)
    offsets, ids = _core.remap(table.offsets, table.ids, where, int(keep.sum()))
    lists = pl.DataFrame(_core.to_lists(table.vocabulary.filter(keep), offsets, ids))["tags"]
    return lists.cast(pl.List(pl.String))
