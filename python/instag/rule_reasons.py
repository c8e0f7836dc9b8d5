"""Why the rule step made two tags one: their case, what parts their words, or the stems of the words."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import numpy as np

from instag import _core

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray


def rule_reasons(names: pl.Series, into: NDArray[np.int64], paper_rules: bool) -> list[str]:
    """The reason of each name to be the one at `into[i]`, as the ledger tells it; "" for itself.

    `case` (case, width, marks of direction), `separators` (what parts words, and with `paper_rules` every symbol), else
    `stem`. Linear in the text of the names that move.

    >>> import polars as pl
    >>> rule_reasons(pl.Series(["unit test", "Unit Test", "unit-test", "unit tests"]), np.zeros(4, np.int64), False)
    ['', 'case', 'separators', 'stem']
    """
    import polars as pl

    moved = np.flatnonzero(into != np.arange(len(into)))
    reasons = [""] * len(into)
    ours, theirs = names.gather(moved), names.gather(into[moved])
    if paper_rules:
        stems = [_words(a) != _words(b) for a, b in zip(ours, theirs, strict=True)]
    else:
        forms = [pl.DataFrame(_core.rule_forms(side, "none", False)[0])["form"] for side in (ours, theirs)]
        stems = (forms[0] != forms[1]).to_list()
    for at, a, b, stem in zip(moved.tolist(), ours, theirs, stems, strict=True):
        reasons[at] = "stem" if stem else "case" if _folded(a) == _folded(b) else "separators"
    return reasons


def _folded(tag: str) -> str:
    """The tag without case, width and what nobody sees."""
    seen = (char for char in unicodedata.normalize("NFKC", tag).casefold() if unicodedata.category(char) != "Cf")
    return unicodedata.normalize("NFKC", "".join(seen)).replace("\u0640", "")  # the bar that stretches an Arabic word


def _words(tag: str) -> list[str]:
    """The words of the paper's form, before they are stemmed."""
    return "".join(char if unicodedata.category(char)[0] in "LN" else " " for char in tag.lower()).split()
