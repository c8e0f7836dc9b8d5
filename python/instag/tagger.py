"""What a tagger is: an object with an identity that tags distinct queries, in order; and the settings of ours."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from instag.errors import ConfigError
from instag.ladder import FORMATS
from instag.limiter import MOST
from instag.network import is_url, redact
from instag.replies import REASONS
from instag.shortening import LEAST_TOKENS

if TYPE_CHECKING:
    import polars as pl

# The paper's tagger is "ChatGPT" of 2023, which is retired; this is its successor in price and place.
DEFAULT_MODEL = "gpt-4o-mini"


@dataclass(frozen=True)
class TagSettings:
    """What decides the tags; defaults as in the paper where it says, else as cautious as can be.

    >>> TagSettings(model="")
    Traceback (most recent call last):
    instag.errors.ConfigError: `model` is '', must be a name
    """

    tagger: str = "openai"
    model: str = DEFAULT_MODEL
    model_identity: str | None = None
    prompt: str | Path = "paper"
    labels: str | Path | None = None  # the set that the prompt `closed` chooses from
    max_query_tokens: int | None = 8000  # a longer query is cut from the middle; None: none is
    redact: str | Path | None = None  # what is taken out of queries: `common`, or a file of patterns
    temperature: float | None = 0.0
    max_tokens: int | None = None
    seed: int | None = None
    keep_truncated: bool = False

    def __post_init__(self) -> None:
        for name in ("model", "model_identity"):
            value = getattr(self, name)
            if not (isinstance(value, str) and value.strip()) and (value is not None or name == "model"):
                raise ConfigError(f"`{name}` is {value!r}, must be a name")
        _check_number("temperature", self.temperature, least=0)
        _check_number("max_query_tokens", self.max_query_tokens, least=LEAST_TOKENS, whole=True)
        _check_number("max_tokens", self.max_tokens, least=1, whole=True)
        _check_number("seed", self.seed, whole=True)


@dataclass(frozen=True)
class TagSpeed:
    """What decides only where, how fast and how patiently the tags are made."""

    base_url: str | None = None
    key_file: str | Path | None = None
    answers: str | Path | None = "answers.sqlite"
    concurrency: int = MOST
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    timeout_s: float = 120.0
    max_attempts: int = 6
    max_failure_rate: float = 0.05
    retry_failed: str | None = None  # ask again for answers that could not be read: `all`, or of one reason
    budget_usd: float | None = None  # what the run may spend
    prices: str | Path | None = None  # a table of your own
    output: str | None = None  # `json_schema`, `json_object` or `plain`; by default the strictest the endpoint takes

    batch: bool = False  # by the Batch API, as far as it answers; the rest live
    batch_poll_s: float = 5.0  # the first wait between two looks at a batch; it grows to twelve times that

    def __post_init__(self) -> None:
        if self.batch and self.retry_failed is not None:
            raise ConfigError(
                "`batch` and `retry_failed` don't go together", hint="failed queries are asked live again"
            )
        if self.output is not None and self.output not in FORMATS:
            names = ", ".join(f"`{name}`" for name in FORMATS)
            raise ConfigError(f"`output` is {self.output!r}, which is none", hint=f"use one of {names}")
        if self.retry_failed is not None and self.retry_failed not in ("all", *REASONS):
            names = ", ".join(f"`{name}`" for name in ("all", *REASONS))
            raise ConfigError(
                f"`retry_failed` is {self.retry_failed!r}, which is no reason", hint=f"use one of {names}"
            )
        for name in ("concurrency", "max_attempts"):
            _check_number(name, getattr(self, name), least=1, whole=True, needed=True)
        _check_number("batch_poll_s", self.batch_poll_s, above=0, needed=True)
        if self.base_url is not None and not is_url(self.base_url):
            raise ConfigError(
                f"`base_url` is `{redact(self.base_url)}`, which is no URL of an endpoint",
                hint="it looks like `http://localhost:8000/v1`",
            )
        for name in ("requests_per_minute", "tokens_per_minute"):
            _check_number(name, getattr(self, name), above=0, hint="leave it out where there is no cap")
        spend_nothing = "leave `--budget` out where there is none; `--dry-run` tells the cost and asks for nothing"
        _check_number("budget_usd", self.budget_usd, above=0, hint=spend_nothing)
        _check_number("timeout_s", self.timeout_s, above=0, needed=True)
        _check_number("max_failure_rate", self.max_failure_rate, least=0, most=1, needed=True)


def _check_number(
    name: str,
    value: Any,
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    most: float = math.inf,
    whole: bool = False,
    needed: bool = False,
    hint: str | None = None,
) -> None:
    """Refuses what is no finite number in its domain; None is one unless `needed`."""
    if value is None and not needed:
        return
    kinds = (int,) if whole else (int, float)
    if isinstance(value, kinds) and not isinstance(value, bool) and least <= value <= most and above < value < math.inf:
        return
    bounds = [(f"of at least {least}", least), (f"above {above}", above), (f"of at most {most}", most)]
    domain = " and ".join(said for said, bound in bounds if math.isfinite(bound))
    raise ConfigError(
        f"`{name}` is {value!r}, must be a {'whole ' if whole else ''}number {domain}".rstrip(), hint=hint
    )


@dataclass(frozen=True)
class Progress:
    """How far a tagger is: queries `done` of `total` (failed ones included), what is out at the endpoint, and the cost.

    `usd` is spent, `expected_usd` what all will have cost; None where no price is known.
    """

    done: int
    total: int
    failed: int = 0
    in_flight: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float | None = None
    expected_usd: float | None = None


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


@runtime_checkable
class PartsTagger(Protocol):
    """A `Tagger` that takes a pool in parts: the tags of a query follow from it alone."""

    def tag_parts(
        self, parts: Iterable[pl.Series], *, progress: ProgressHook | None = None, total: int | None = None
    ) -> Iterator[pl.DataFrame]:
        """What `tag` gives, part by part, in order; `total` is the number of distinct queries, for the progress."""
        ...


def tagged_schema() -> dict[str, pl.DataType]:
    """The columns a tagger gives back, as a Polars schema.

    >>> list(tagged_schema())
    ['status', 'tags', 'explanations', 'reason', 'answer']
    """
    import polars as pl

    lists = pl.List(pl.String())
    return {"status": pl.String(), "tags": lists, "explanations": lists, "reason": pl.String(), "answer": pl.String()}
