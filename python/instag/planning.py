"""What a tagging will ask for and what that costs, before anything is asked: the pool is read once for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from instag.counting import Distinct
from instag.jobs import Jobs
from instag.spending import USUAL_COMPLETION
from instag.tokens import TOKENS_A_REQUEST

if TYPE_CHECKING:
    from instag.chat import ChatTagger
    from instag.reading import Pool


@dataclass(frozen=True)
class Plan:
    """Samples and queries of a pool, its distinct requests, those that have an answer in the store, and the cost.

    `single` tells whether every sample has one query; `cut_queries` and `redacted_queries` count distinct ones, as does
    `in_batches`: those without an answer yet that are out in a batch. Tokens
    are those of the requests `to_ask`, counted as `tokens_by` says; those of replies are the mean of the `answered`
    ones, else an assumption. `cost_usd` is None where no price is known; `price_as_of` dates it.
    """

    samples: int
    queries: int
    distinct: int
    answered: int
    single: bool
    in_batches: int = 0
    cut_queries: int = 0
    redacted_queries: int = 0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    tokens_by: str | None = None
    cost_usd: float | None = None
    price_as_of: str | None = None

    @property
    def to_ask(self) -> int:
        """Requests without an answer."""
        return self.distinct - self.answered

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {**dataclasses.asdict(self), "to_ask": self.to_ask, "duplicates": self.queries - self.distinct}


def plan(parts: Iterable[Pool], tagger: ChatTagger, *, cost: bool = False) -> Plan:
    """What `tag_parts` of these parts would ask the tagger's endpoint for; with `cost`, what that would cost.

    Asks nothing. Linear; memory is that of a part.
    """
    samples = queries = 0
    single = True

    def texts() -> Iterator[list[str]]:
        nonlocal samples, queries, single
        for part in parts:
            samples += len(part.samples)
            queries += len(part.queries)
            single = single and bool((part.samples["turns"] == 1).all())
            yield part.queries["query"].unique(maintain_order=True).to_list()

    made = plan_queries(texts(), tagger, cost=cost)
    return dataclasses.replace(made, samples=samples, queries=queries, single=single)


def plan_queries(parts: Iterable[Sequence[str]], tagger: ChatTagger, *, cost: bool = False) -> Plan:
    """`plan` of queries alone, each a sample."""
    seen = Distinct()
    queries = answered = in_batches = cut = redacted = prompt_tokens = replied = reply_tokens = 0
    with tagger.store(make=False) as store:
        jobs = Jobs(store)
        for texts in parts:
            queries += len(texts)
            sent = tagger.requests.sent(texts)
            keys = tagger.requests.keys(sent)
            first = seen.first(keys)
            cut += sum(sent[at].cut for at in first)
            redacted += sum(bool(sent[at].redacted) for at in first)
            missing = [first[at] for at in store.missing([keys[at] for at in first])]
            answered += len(first) - len(missing)
            in_batches += len(jobs.known([keys[at] for at in missing], unfinished=True))
            if not cost:
                continue
            prompt_tokens += sum(
                tagger.requests.tokens.count(tagger.requests.shown(sent[at].text)) + TOKENS_A_REQUEST for at in missing
            )
            for answer in store.get([keys[at] for at in first]):
                replied += answer.completion_tokens is not None
                reply_tokens += answer.completion_tokens or 0
    made = Plan(queries, queries, seen.count, answered, True, in_batches, cut, redacted)
    if not cost:
        return made
    completion_tokens = round(made.to_ask * (reply_tokens / replied if replied else USUAL_COMPLETION))
    price = tagger.price
    return dataclasses.replace(
        made,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        tokens_by=tagger.requests.tokens.how,
        cost_usd=None if price is None else price.cost_usd(prompt_tokens, completion_tokens),
        price_as_of=None if price is None else price.as_of,
    )
