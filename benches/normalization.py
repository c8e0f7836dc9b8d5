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
    """The same by Polars, numpy and PyStemmer: dictionary codes, forms of the distinct tags, integers from there on."""
    import polars as pl

    row = np.repeat(np.arange(len(column)), column.list.len().to_numpy())
    codes = column.explode(empty_as_null=False, keep_nulls=False).cast(pl.Categorical)
    rows = pl.DataFrame({"row": row, "code": codes.to_physical()}).unique(maintain_order=True)
    tags = rows.group_by("code").len("count").filter(pl.col("count") >= MIN_COUNT)
    distinct = pl.DataFrame({"code": codes.to_physical(), "raw": codes}).unique("code", keep="any")
    tags = tags.join(distinct, on="code").with_columns(pl.col("raw").cast(pl.String))
    words = tags["raw"].str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]", " ").str.split(" ")
    forms = [" ".join(stemmer.stemWords([word for word in tag if word])) for tag in words.to_list()]
    by = ["count", pl.col("raw").str.len_chars(), "raw"]
    tags = tags.with_columns(form=pl.Series(forms)).sort(by, descending=[True, False, False])
    tags = tags.with_columns(name=pl.col("raw").first().over("form"))
    rows = rows.join(tags.select("code", "name"), on="code", maintain_order="left")
    named = rows.with_columns(pl.col("name").cast(pl.Categorical).to_physical().alias("name_code"))
    named = named.unique(["row", "name_code"], maintain_order=True)
    final = named.group_by("name_code").agg(pl.len().alias("count"), pl.col("name").first())
    final = final.sort(["count", "name"], descending=[True, False]).with_row_index("id")
    ids = named.join(final.select("name_code", "id"), on="name_code", maintain_order="left")
    offsets = np.concatenate([[0], np.bincount(ids["row"].to_numpy(), minlength=len(column)).cumsum()])
    return final["name"].to_numpy(), offsets, ids["id"].to_numpy()


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
