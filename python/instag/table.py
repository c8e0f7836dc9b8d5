"""The one data model: rows of tags over a vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from instag import _core
from instag.errors import DataError

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

T = TypeVar("T", np.int64, np.uint32)

FROM_SERIES = "make one with `TagTable.from_series(series)`"


@dataclass(frozen=True, repr=False, eq=False)
class TagTable:
    """Rows of tags (one a query, or one a sample) as CSR over a vocabulary of distinct strings.

    Row `r` holds the tags `vocabulary[ids[offsets[r]:offsets[r + 1]]]`, each at most once. `vocabulary` is a Polars
    string series without repeats or nulls; `offsets` is int64, `ids` is uint32, both read-only. Built by `from_series`
    or `from_arrays`, checked once, never changed: every stage makes a new one. Row order is the caller's.

    >>> import polars as pl
    >>> table = TagTable.from_series(pl.Series([["math", "history"], ["math"], []]))
    >>> table
    TagTable(3 rows, 2 tags, mean 1.00 tags a row)
    >>> table.vocabulary.to_list(), table.offsets.tolist(), table.ids.tolist()
    (['math', 'history'], [0, 2, 3, 3], [0, 1, 0])
    """

    vocabulary: pl.Series
    offsets: NDArray[np.int64]
    ids: NDArray[np.uint32]
    _checked: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        if not self._checked:
            raise TypeError("build a TagTable with `from_series` or `from_arrays`, which check what they are given")
        self.offsets.setflags(write=False)
        self.ids.setflags(write=False)

    @classmethod
    def from_series(cls, series: pl.Series) -> TagTable:
        """Interns a Polars `list[str]` (or `list[cat]`, `list[enum]`) column.

        The vocabulary is ordered by count (rows that hold the tag) descending, then bytewise. Within a row the order
        of the column stays and the first of equal tags is kept; null rows are empty, null tags are left out. Linear.

        >>> import polars as pl
        >>> TagTable.from_series(pl.Series([["b", "a", "b"], None, ["a"]])).to_series().to_list()
        [['b', 'a'], [], ['a']]
        """
        return interned(series)

    @classmethod
    def from_arrays(cls, vocabulary: pl.Series | Sequence[str], offsets: Any, ids: Any) -> TagTable:
        """Takes CSR arrays over a vocabulary whose order is kept; repeats within a row are dropped, the first kept.

        Raises `DataError` where `offsets` is not a row index, an id is outside the vocabulary, or the vocabulary holds
        a null or a tag twice. Linear.

        >>> TagTable.from_arrays(["math", "history"], [0, 1, 3], [1, 0, 0]).to_series().to_list()
        [['history'], ['math']]
        """
        import polars as pl

        words = pl.Series("tag", vocabulary, dtype=pl.String, strict=True)
        if words.null_count() or words.n_unique() != len(words):
            raise DataError("the vocabulary holds a null or the same tag twice", hint="give every tag one entry")
        bounds, codes = _array(offsets, np.int64, "offsets"), _array(ids, np.uint32, "ids")
        try:
            bounds, codes = _core.remap(bounds, codes, np.arange(len(words), dtype=np.uint32), len(words))
        except ValueError as error:
            raise DataError(str(error)) from None
        return cls(words, bounds, codes, _checked=True)

    def to_series(self) -> pl.Series:
        """The rows as a Polars `list[cat]` column named `tags`, in row order.

        >>> TagTable.from_arrays(["math"], [0, 1, 1], [0]).to_series().to_list()
        [['math'], []]
        """
        import polars as pl

        return pl.DataFrame(_core.to_lists(self.vocabulary, self.offsets, self.ids))["tags"]

    @property
    def csr(self) -> tuple[NDArray[np.int64], NDArray[np.uint32], int]:
        """(offsets, ids, size of the vocabulary): what kernels take."""
        return self.offsets, self.ids, len(self.vocabulary)

    @property
    def starts(self) -> NDArray[np.int64]:
        """The first row of each shard, and the number of rows: a table is one shard (see `TagShards`)."""
        return np.array([0, len(self)], np.int64)

    def shard(self, at: int) -> TagTable:
        """The table itself."""
        return self

    def whole(self) -> TagTable:
        """The table itself."""
        return self

    def renamed(
        self, vocabulary: pl.Series, into: NDArray[np.uint32], counts: NDArray[np.int64] | None = None
    ) -> TagTable:
        """The same rows over another vocabulary: `into[id]` for each id, dropped where that is 2**32 - 1.

        Of equal ids in a row the first is kept. `counts` are the new table's, where they are known. Linear.

        >>> import polars as pl
        >>> table = TagTable.from_arrays(["maths", "math", "art"], [0, 2, 3], [0, 1, 2])
        >>> table.renamed(pl.Series(["math", "art"]), np.array([0, 0, 1], np.uint32)).to_series().to_list()
        [['math'], ['art']]
        """
        table = TagTable(vocabulary, *_core.remap(self.offsets, self.ids, into, len(vocabulary)), _checked=True)
        if counts is not None:
            table.__dict__["counts"] = counts
        return table

    def renamed_counts(self, into: NDArray[np.uint32], size: int) -> NDArray[np.int64]:
        """The `counts` of `renamed(vocabulary, into)`, `size` being the vocabulary's; no rows are made."""
        return _core.tag_counts(self.offsets, self.ids, size, into)

    def take(self, rows: NDArray[np.int64]) -> TagTable:
        """The rows of these numbers, in this order; a row may be taken more than once.

        >>> TagTable.from_arrays(["math", "art"], [0, 1, 2], [0, 1]).take(np.array([1, 1])).to_series().to_list()
        [['art'], ['art']]
        """
        return TagTable(self.vocabulary, *_core.take(self.offsets, self.ids, rows), _checked=True)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Rows that hold each tag, in vocabulary order."""
        counts = _core.tag_counts(self.offsets, self.ids, len(self.vocabulary))
        counts.setflags(write=False)
        return counts

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        mean = len(self.ids) / len(self) if len(self) else 0.0
        return f"TagTable({len(self):,} rows, {len(self.vocabulary):,} tags, mean {mean:.2f} tags a row)"


def _array(values: Any, dtype: type[np.generic], name: str) -> NDArray[Any]:
    """`values` as a contiguous array of `dtype`, refused where that would change a value."""
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise DataError(
            f"`{name}` must be a one-dimensional array of integers, found {array.dtype} of shape {array.shape}"
        )
    limits = np.iinfo(dtype)  # type: ignore[type-var]
    if array.size and (int(array.min()) < limits.min or int(array.max()) > limits.max):
        raise DataError(f"`{name}` holds a value outside {limits.min}..{limits.max}")
    return np.ascontiguousarray(array, dtype=dtype)


def interned(series: pl.Series, at_once: int | None = None) -> TagTable:
    """`TagTable.from_series`; with `at_once`, the number of calls side by side, the vocabulary is in any order."""
    import polars as pl

    if not isinstance(series, pl.Series):
        raise DataError(
            f"expected a Polars series of lists of strings, found {type(series).__name__}",
            hint="wrap lists with `pl.Series(rows, dtype=pl.List(pl.String))`",
        )
    if series.dtype in (pl.Null, pl.List(pl.Null)):  # rows without any tag: what `pl.Series([[], []])` makes
        series = series.cast(pl.List(pl.String))
    try:
        return counted(_core.intern(series, at_once))
    except ValueError as error:
        raise DataError(f"column `{series.name}`: {error}", hint="cast it to `pl.List(pl.String)`") from None


def counted(made: tuple[Any, NDArray[np.int64], NDArray[np.uint32], NDArray[np.int64]]) -> TagTable:
    """The table of a vocabulary, offsets, ids and the `counts`, as the core hands them over."""
    import polars as pl

    vocabulary, offsets, ids, counts = made
    table = TagTable(pl.DataFrame(vocabulary)["tag"], offsets, ids, _checked=True)
    counts.setflags(write=False)
    table.__dict__["counts"] = counts  # counted already: the cached property starts full
    return table


def by_count(words: pl.Series, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The order of a vocabulary: by count descending, then bytewise."""
    return _core.by_count(words, np.ascontiguousarray(counts, np.int64)).astype(np.int64)


def places(order: NDArray[T]) -> NDArray[T]:
    """The inverse of a permutation, in its type."""
    inverse = np.empty_like(order)
    inverse[order] = np.arange(len(order), dtype=order.dtype)
    return inverse
