"""From Parquet shards of raw tags to ids (`scan_tags`), and to normalized ids, beside merely reading the column.

Dictionary-coded shards against pyarrow, which keeps the codes; plain ones against Polars. What the peer read is then
made ids of as one table in memory, and must give the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from instag import TagTable, normalize, scan_tags
from instag.bench import generate
from instag.bench.racing import Contender, Course
from instag.bench.timing import Comparison
from instag.progress import Talk

if TYPE_CHECKING:
    from instag.shards import TagRows

SHARDS = 10


def tags_of(shards: Path, normalized: int) -> tuple[TagRows, pl.DataFrame | None]:
    """(the rows, the ledger); ids alone, or frequency and rule step too."""
    return steps(scan_tags(shards), normalized)


def steps(rows: Any, normalized: int) -> tuple[TagRows, pl.DataFrame | None]:
    if not normalized:
        return rows, None
    made = normalize(rows, skip=("semantic", "association"))
    return made.table, made.ledger


def told(found: tuple[TagRows, pl.DataFrame | None]) -> tuple[Any, ...]:
    table = found[0].whole()
    return table.vocabulary, table.offsets, table.ids, found[1]


def told_of_read(read: tuple[Any, int]) -> tuple[Any, ...]:
    """The same of what a peer read, as one table in memory."""
    column = (read[0] if isinstance(read[0], pl.DataFrame) else pl.DataFrame(read[0]))["tags"]
    return told(steps(TagTable.from_series(column), read[1]))


def same(ours: tuple[Any, ...], theirs: tuple[Any, ...]) -> bool:
    """The same names, rows and ledger."""
    arrays = all(np.array_equal(ours[at], theirs[at]) for at in (1, 2))
    return arrays and ours[0].equals(theirs[0]) and (ours[3] is None or ours[3].equals(theirs[3]))


def read_codes(shards: Path, normalized: int) -> tuple[Any, int]:
    import pyarrow.parquet as pq

    return pq.read_table(shards, read_dictionary=["tags.list.element"]), normalized


def read_strings(shards: Path, normalized: int) -> tuple[Any, int]:
    return pl.read_parquet(shards), normalized


def of(coding: str) -> Callable[[Path], Path]:
    """The shards of one coding, in the folder of the input."""
    return lambda folder: folder / coding


CONTENDERS = {
    "dictionary-coded": Contender(of("dictionary-coded"), tags_of, told=told),
    "pyarrow, dictionary read": Contender(of("dictionary-coded"), read_codes, ("pyarrow",), told_of_read),
    "dictionary-coded, one thread": Contender(of("dictionary-coded"), tags_of, ("pyarrow",), told, threads=1),
    "plain": Contender(of("plain"), tags_of, told=told),
    "plain, one thread": Contender(of("plain"), tags_of, told=told, threads=1),
    "polars.read_parquet": Contender(of("plain"), read_strings, told=told_of_read),
}


def make(folder: Path, samples: int) -> None:
    """Both inputs, the dictionary-coded one where pyarrow is there to write it."""
    for coding in ("plain", *(["dictionary-coded"] if find_spec("pyarrow") else [])):
        make_shards(folder, samples, coding)


def make_shards(folder: Path, samples: int, coding: str) -> None:
    """Ten shards; the vocabulary grows with the samples, from 200,000 to a million at ten million."""
    generate.raw_shards(
        folder / coding,
        samples,
        shard_rows=-(-samples // SHARDS),
        distinct=min(max(samples // 10, 200_000), 1_000_000),
        coded=coding != "plain",
    )


SIZES = (1_000_000, 10_000_000)


def compare(samples: int, *, peers: bool, talk: Talk) -> Iterator[Comparison]:
    """Plain shards beside Polars; with `peers` also dictionary-coded ones beside pyarrow."""
    codings = [("dictionary-coded", "pyarrow, dictionary read", 1 / 3.5)] if peers else []
    for coding, peer, target in [*codings, ("plain", "polars.read_parquet", 1 / 2)]:
        made = partial(make_shards, samples=samples, coding=coding)
        with Course(__name__, CONTENDERS, samples, made, talk, remake=str(samples)) as course:
            for normalized, result, aim in ((0, "ids (`scan_tags`)", None), (1, "normalized ids", target)):
                yield course.race(
                    coding,
                    peer,
                    normalized,
                    task=f"{coding} Parquet to {result}",
                    same=same,
                    target=aim if samples >= 10_000_000 else None,
                )
            yield course.race(
                coding,
                f"{coding}, one thread",
                0,
                task=f"{coding} Parquet to ids (`scan_tags`)",
                same=same,
                runs=3,
                target=1.5 if samples >= 1_000_000 else None,
            )
