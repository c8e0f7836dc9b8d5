"""From the raw list column to normalized ids (count filter, rule forms, remap): instag against Polars + PyStemmer.

The peers are what a careful person writes today: every string operation once a distinct tag, the rows as integers,
in frames or in numpy. All use the paper's rule form; Snowball's Porter parts from NLTK's on some words, so the pool's
words are those on which the two agree, and the answers must be equal to the last id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from instag import TagTable, _core, normalize
from instag.bench import generate
from instag.bench.racing import Contender, Course
from instag.bench.timing import Comparison
from instag.progress import Talk

if TYPE_CHECKING:
    import polars as pl

MIN_COUNT = 20


def instag_ids(column: pl.Series) -> tuple[Any, Any, Any]:
    """(vocabulary, offsets, ids)."""
    skip = ("semantic", "association")
    made = normalize(TagTable.from_series(column), min_count=MIN_COUNT, paper_rules=True, skip=skip).table
    return made.vocabulary.to_numpy(), made.offsets, made.ids


def frame_ids(column: pl.Series, stemmer: Any) -> tuple[Any, Any, Any]:
    """The same in Polars' own words: frames of (row, tag), group-bys and joins on dictionary codes."""
    import polars as pl

    row = np.repeat(np.arange(len(column)), column.list.len().to_numpy())
    tags = column.explode(empty_as_null=False, keep_nulls=False).cast(pl.Categorical)
    rows = pl.DataFrame({"row": row, "code": tags.to_physical()}).unique(maintain_order=True)
    counts = rows.group_by("code").len("count").filter(pl.col("count") >= MIN_COUNT)
    distinct = pl.DataFrame({"code": tags.to_physical(), "raw": tags}).unique("code", keep="any")
    names = _named(counts.join(distinct, on="code").with_columns(pl.col("raw").cast(pl.String)), stemmer)
    rows = rows.join(names.select("code", "group"), on="code", maintain_order="left")
    rows = rows.unique(["row", "group"], maintain_order=True)
    final = rows.group_by("group").len("count").join(names.unique("group", keep="first"), on="group")
    final = final.sort(["count", "name"], descending=[True, False]).with_row_index("id")
    ids = rows.join(final.select("group", "id"), on="group", maintain_order="left")
    offsets = np.concatenate([[0], np.bincount(ids["row"].to_numpy(), minlength=len(column)).cumsum()])
    return final["name"].to_numpy(), offsets, ids["id"].to_numpy()


def array_ids(column: pl.Series, stemmer: Any) -> tuple[Any, Any, Any]:
    """The same with everything after the dictionary codes in numpy, as one would write it who measures each step."""
    import polars as pl

    rows = column.cast(pl.List(pl.Categorical)).list.unique(maintain_order=True)
    flat = rows.explode(empty_as_null=False, keep_nulls=False)
    codes = flat.to_physical().to_numpy()
    counts = np.bincount(codes)
    often = np.flatnonzero(counts >= MIN_COUNT)
    first = np.empty(len(counts), np.int64)
    first[codes] = np.arange(len(codes))
    tags = pl.DataFrame({"code": often, "raw": flat.gather(first[often]).cast(pl.String), "count": counts[often]})
    tags = _named(tags, stemmer)
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


def _named(tags: pl.DataFrame, stemmer: Any) -> pl.DataFrame:
    """Tags (`raw`, `count`) by surface, with the `group` of their form and the group's `name`."""
    import polars as pl

    words = tags["raw"].str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]", " ").str.split(" ")
    forms = [" ".join(stemmer.stemWords([word for word in tag if word])) for tag in words.to_list()]
    tags = tags.with_columns(form=pl.Series(forms, dtype=pl.String), length=pl.col("raw").str.len_chars())
    tags = tags.sort("count", "length", "raw", descending=[True, False, False])
    return tags.with_columns(name=pl.col("raw").first().over("form"), group=pl.col("form").rank("dense") - 1)


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


def column(folder: Path) -> pl.Series:
    import polars as pl

    return pl.read_ipc(folder / "tags.arrow")["tags"]


def stemmed(work: Callable[[pl.Series, Any], Any]) -> Contender:
    """A peer that stems with PyStemmer."""

    def prepare(folder: Path) -> tuple[pl.Series, Any]:
        import Stemmer

        return column(folder), Stemmer.Stemmer("porter")

    return Contender(prepare, lambda form: work(*form), ("Stemmer",))


CONTENDERS = {
    "raw list column to normalized ids": Contender(column, instag_ids),
    "Polars + PyStemmer": stemmed(frame_ids),
    "Polars, numpy + PyStemmer": stemmed(array_ids),
}


def make(folder: Path, samples: int) -> None:
    """The input: a column of raw tags."""
    import Stemmer

    _agreed(generate.raw_column(samples), Stemmer.Stemmer("porter")).to_frame("tags").write_ipc(folder / "tags.arrow")


SIZES = (1_000_000, 10_000_000)


def compare(samples: int, *, peers: bool, talk: Talk) -> Iterator[Comparison]:
    """The comparisons at `samples` rows; there is no bare loop of this."""
    if not peers:
        return
    with Course(__name__, CONTENDERS, samples, partial(make, samples=samples), talk, remake=str(samples)) as course:
        for peer, target in (("Polars + PyStemmer", 5.0), ("Polars, numpy + PyStemmer", None)):
            yield course.race(
                "raw list column to normalized ids",
                peer,
                same=lambda ours, theirs: all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True)),
                runs=5 if samples < 10_000_000 else 3,
                peer_runs=5 if samples < 10_000_000 else 1,
                target=target if samples >= 1_000_000 else None,
            )
