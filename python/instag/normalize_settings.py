"""What decides the result of `normalize`: the thresholds and choices of its steps, each checked on construction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from instag import _core
from instag.embedders import resolve
from instag.errors import ConfigError
from instag.semantic import WIDEST_DISTANCE, Linkage, Merge, Neighbors

if TYPE_CHECKING:
    from instag.embedders import Embedder

STEPS = ("frequency", "rule", "semantic", "association")


@dataclass(frozen=True)
class NormalizeSettings:
    """What decides the result of `normalize`: the paper's thresholds by default, each checked on construction.

    >>> NormalizeSettings(min_count=0)
    Traceback (most recent call last):
    instag.errors.ConfigError: `min_count` is 0, must be 1 or more
    hint: 1 keeps every tag; the paper's 20 is for half a million queries
    """

    min_count: int = 20
    max_cosine_distance: float | None = None
    min_rule_count: int = 40
    min_rule_confidence: float = 0.99
    embedder: str | Embedder = "lexical"
    merge: Merge | None = None
    linkage: Linkage = "single"
    neighbors: Neighbors = "auto"
    stemmer: str = "inflection"
    paper_rules: bool = False
    skip: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_count("min_count", self.min_count, "1 keeps every tag; the paper's 20 is for half a million queries")
        _check_count("min_rule_count", self.min_rule_count, "a rule needs its two tags together in that many queries")
        if not 0.0 < self.min_rule_confidence <= 1.0:
            raise ConfigError(
                f"`min_rule_confidence` is {self.min_rule_confidence}, must be above 0 and at most 1",
                hint="the paper's 99 % is 0.99",
            )
        if self.max_cosine_distance is not None and not 0.0 <= self.max_cosine_distance <= WIDEST_DISTANCE:
            raise ConfigError(
                f"`max_cosine_distance` is {self.max_cosine_distance}, must be from 0 to {WIDEST_DISTANCE}",
                hint="it is a distance, 1 - cosine: the paper's similarity of 0.95 is a distance of 0.05",
            )
        if isinstance(self.skip, str):
            object.__setattr__(self, "skip", (self.skip,))
        object.__setattr__(self, "skip", tuple(self.skip))
        for step in self.skip:
            _check_choice("skip", step, STEPS)
        if self.merge is not None:
            _check_choice("merge", self.merge, get_args(Merge))
        _check_choice("linkage", self.linkage, get_args(Linkage))
        _check_choice("neighbors", self.neighbors, get_args(Neighbors))
        resolve(self.embedder)
        object.__setattr__(self, "stemmer", _core.stemmer_codes().get(str(self.stemmer), self.stemmer))
        _check_choice("stemmer", self.stemmer, _core.stemmers())
        if self.paper_rules and self.stemmer not in ("inflection", "porter"):
            raise ConfigError(
                f"`paper_rules` stems with Porter, but `stemmer` is {self.stemmer!r}",
                hint="leave one of the two out",
            )


def _check_count(name: str, value: Any, hint: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 1 <= value < 2**63:
        whole = "" if isinstance(value, (int, np.integer)) else "a whole number, "
        most = " and below 2^63" if whole == "" and value >= 2**63 else ""
        raise ConfigError(f"`{name}` is {value!r}, must be {whole}1 or more{most}", hint=hint)


def _check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ConfigError(f"`{name}` does not know {value!r}", hint=f"one of {', '.join(choices)}")
