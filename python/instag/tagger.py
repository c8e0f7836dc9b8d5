"""What a tagger is: an object with an identity that tags distinct queries, in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Progress:
    """How far a tagger is: queries `done` of `total` (failed ones included) and what is out at the endpoint."""

    done: int
    total: int
    failed: int = 0
    in_flight: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


ProgressHook: TypeAlias = Callable[[Progress], None]


class Tagger(Protocol):
    """Names the intentions of queries: an LLM endpoint, the offline baseline, or your own.

    `identity` is JSON-able, holds everything that decides the tags (never a key, an endpoint or a speed setting), and
    enters the key of the stage. `label` is shown wherever the tags show.
    """

    @property
    def identity(self) -> Mapping[str, Any]: ...

    @property
    def label(self) -> str: ...

    def tag(self, queries: pl.Series, *, progress: ProgressHook | None = None) -> pl.DataFrame:
        """One row a query, in order, in the columns of `tagged_schema`; the queries are distinct, none is null.

        `status` is `ok` or `failed`. `tags` may be empty where `ok` (a query with zero tags is not a failure), is empty
        where failed; `explanations` is as long as `tags`, or empty where the tagger gives none. `reason` is null where
        `ok`; `answer` is the raw reply, without one what the endpoint said, else null. `progress` may be called from
        any one thread at a time.
        """
        ...


def tagged_schema() -> dict[str, pl.DataType]:
    """The columns a tagger gives back, as a Polars schema.

    >>> list(tagged_schema())
    ['status', 'tags', 'explanations', 'reason', 'answer']
    """
    import polars as pl

    lists = pl.List(pl.String())
    return {"status": pl.String(), "tags": lists, "explanations": lists, "reason": pl.String(), "answer": pl.String()}
