"""What a tagging will ask for, before anything is asked: the pool is read once for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from instag.counting import Distinct

if TYPE_CHECKING:
    from instag.chat import ChatTagger
    from instag.reading import Pool


@dataclass(frozen=True)
class Plan:
    """Samples and queries of a pool, its distinct requests, and those that have an answer in the store.

    `single` tells whether every sample has one query.
    """

    samples: int
    queries: int
    distinct: int
    answered: int
    single: bool

    @property
    def to_ask(self) -> int:
        """Requests without an answer."""
        return self.distinct - self.answered


def plan(parts: Iterable[Pool], tagger: ChatTagger) -> Plan:
    """What `tag_parts` of these parts would ask the tagger's endpoint for. Asks nothing; memory is that of a part."""
    seen = Distinct()
    samples = queries = answered = 0
    single = True
    with tagger.store() as store:
        for part in parts:
            samples += len(part.samples)
            queries += len(part.queries)
            single = single and bool((part.samples["turns"] == 1).all())
            keys = tagger.keys(part.queries["query"].unique(maintain_order=True).to_list())
            first = [keys[at] for at in seen.first(keys)]
            answered += len(first) - len(store.missing(first))
    return Plan(samples, queries, seen.count, answered, single)
