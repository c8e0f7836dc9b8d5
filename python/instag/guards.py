"""What keeps two tags apart whatever a model says of them, and the words in which they differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from instag import _core
from instag.errors import DataError

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray


class Differences(NamedTuple):
    """What pairs of tags differ in, a row each.

    `veto` says why the two are never one: `number`, `symbol`, `negation`, `antonym`, `sibling`, `direction`,
    `reversal`, `containment` or `look-alike`; it is empty where a model may decide, by the cosine of `left` and
    `right`: the words of each that the other lacks, joined by a space (both empty where only spaces differ).
    """

    veto: pl.Series
    left: pl.Series
    right: pl.Series


def differences(a: Sequence[str], b: Sequence[str], *, vocabulary: Sequence[str] | None = None) -> Differences:
    """What the tags `a[i]` and `b[i]` differ in, for each `i`.

    Solid words are cut into words that the tags of both sides, and the `vocabulary`, write apart, so that
    `cloudservers` / `cloudstorage` differ in `servers` / `storage`. Linear in the text. Raises `DataError` where the
    two sides are not of one length. The lists: `rust/guards.txt`.

    >>> told = differences(["json to csv", "photo app", "security"], ["csv to json", "image app", "web security"])
    >>> told.veto.to_list(), told.left.to_list()
    (['reversal', '', 'containment'], ['', 'photo', ''])
    """
    if len(a) != len(b):
        raise DataError(f"`b` has {len(b)} tags, `a` has {len(a)}", hint="give pairs: one tag of each side a row")
    tags = sorted({*a, *b, *(() if vocabulary is None else vocabulary)})
    place = {tag: at for at, tag in enumerate(tags)}
    ends = (np.array([place[tag] for tag in side], dtype=np.uint32) for side in (a, b))
    return differences_of(tags, *ends)


def differences_of(tags: Sequence[str], a: NDArray[np.uint32], b: NDArray[np.uint32]) -> Differences:
    """As `differences`, of the pairs `tags[a[i]]`, `tags[b[i]]` of one vocabulary."""
    import polars as pl

    column = pl.Series("tag", tags, dtype=pl.String)
    told = pl.DataFrame(_core.guard_pairs(column, np.ascontiguousarray(a), np.ascontiguousarray(b)))
    return Differences(told["veto"], told["left"], told["right"])
