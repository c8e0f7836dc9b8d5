"""What goes together: frequent itemsets of tags, and the rules between them."""

from __future__ import annotations

import sys
from operator import index
from typing import TYPE_CHECKING

from instag import _core
from instag.association import pair_rules
from instag.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from instag.shards import TagRows


def frequent_itemsets(
    table: TagRows, *, min_count: int = 40, max_length: int | None = None, max_itemsets: int = 20_000_000
) -> pl.DataFrame:
    """Every set of tags that at least `min_count` rows hold together.

    `min_count` is a number of rows (the paper's 40), not a share of them. Returns `itemset` (list[str], tags by count
    descending) and `count`, ordered by length, then count descending, then by the tags' places in that order, the last
    tag first. Raises `ConfigError` where a setting is outside its domain or there are more than `max_itemsets` sets.
    FP-Growth (Han, Pei, Yin, SIGMOD 2000): the cost is that of counting the pairs, then the sets themselves.

    >>> import polars as pl
    >>> from instag import TagTable
    >>> table = TagTable.from_series(pl.Series([["chrome", "web"]] * 2 + [["web", "css"]]))
    >>> frequent_itemsets(table, min_count=2).rows()
    [(['web'], 3), (['chrome'], 2), (['web', 'chrome'], 2)]
    """
    import polars as pl

    length = sys.maxsize if max_length is None else _at_least_one("max_length", max_length)
    limits = (_rows("min_count", min_count), length, _at_least_one("max_itemsets", max_itemsets))
    try:
        offsets, ids, counts = _core.frequent_itemsets(*table.whole().csr, *limits)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return pl.DataFrame({"itemset": _lists(table, offsets, ids), "count": counts})


def association_rules(
    table: TagRows,
    *,
    min_count: int = 40,
    min_confidence: float = 0.99,
    max_antecedent: int = 1,
    max_itemsets: int = 20_000_000,
) -> pl.DataFrame:
    """Every rule A => b with count(A and b) >= `min_count` and count(A and b) / count(A) >= `min_confidence`.

    A holds up to `max_antecedent` tags, b is one; counts are numbers of rows, the quotient is float64. Returns
    `antecedent` (list[str], tags by count descending), `consequent`, `count` (rows with all of them) and `confidence`,
    ordered by the antecedent's length, its tags and the consequent, tags compared by their place in the vocabulary.
    One tag => one tag never makes a table of pairs and costs a few passes over the rows; longer antecedents come from
    the frequent itemsets. Raises `ConfigError` as `frequent_itemsets` does.

    >>> import polars as pl
    >>> from instag import TagTable
    >>> table = TagTable.from_series(pl.Series([["chrome", "web"]] * 2 + [["web", "css"]]))
    >>> association_rules(table, min_count=2).rows()
    [(['chrome'], 'web', 2, 1.0)]
    """
    import numpy as np
    import polars as pl

    rows, length = _rows("min_count", min_count), _at_least_one("max_antecedent", max_antecedent)
    limit = _at_least_one("max_itemsets", max_itemsets)
    try:
        if length == 1:
            antecedents, consequents, counts, confidences = pair_rules(table, rows, min_confidence)
            offsets = np.arange(len(antecedents) + 1, dtype=np.int64)
        else:
            found = _core.itemset_rules(*table.whole().csr, rows, min_confidence, length, limit)
            offsets, antecedents, consequents, counts, confidences = found
    except ValueError as error:
        raise ConfigError(str(error)) from None
    columns = {
        "antecedent": _lists(table, offsets, antecedents),
        "consequent": table.vocabulary.gather(consequents),
        "count": counts,
        "confidence": confidences,
    }
    return pl.DataFrame(columns)


def _lists(table: TagRows, offsets: NDArray[np.int64], ids: NDArray[np.uint32]) -> pl.Series:
    import polars as pl

    return pl.DataFrame(_core.to_lists(table.vocabulary, offsets, ids))["tags"].cast(pl.List(pl.String))


def _rows(name: str, value: int) -> int:
    try:
        return _at_least_one(name, value)
    except ConfigError as error:
        raise ConfigError(error.message, hint="it counts rows (the paper's 40); it is not a share of them") from None


def _at_least_one(name: str, value: int) -> int:
    """`value` where it is a positive whole number that the core can take."""
    try:
        number = index(value)
    except TypeError:
        number = 0
    if not 1 <= number <= sys.maxsize:
        raise ConfigError(f"`{name}` must be a whole number, at least 1, found {value!r}")
    return number
