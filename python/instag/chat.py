"""Tagging by an LLM: every distinct query is one chat request, every answer is kept before it is read.

Two halves that share nothing but the store: `Asking` sees to it that every query has an answer there or has failed;
what is stored is then parsed. So a better parser, or another setting of it, reads again what was paid for.
"""

from __future__ import annotations

import contextlib
import warnings
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instag.answers import Answer, AnswerStore
from instag.asking import EXAMPLES, JUDGED_FROM, Asking, Batch, Request, too_many_failures
from instag.chat_requests import ChatRequests, Sent
from instag.counting import Distinct
from instag.endpoint import Endpoint, read_key
from instag.errors import ConfigError
from instag.limiter import MOST
from instag.pacing import Pacer
from instag.pricing import find_price
from instag.replies import READER, Reply, parse, parse_labels
from instag.spending import Spending
from instag.tagger import ProgressHook, TagSettings, TagSpeed, tagged_schema
from instag.tokens import TOKENS_A_REQUEST

if TYPE_CHECKING:
    import polars as pl

_PARTS_HELD = 16  # read before the first of them is done


@dataclass(frozen=True)
class Usage:
    """What a call of `tag` asked for: requests answered now, answers that were there, and the tokens of each.

    `cached_tokens` are those of the prompts that the endpoint had cached; `cost_usd` is None where no price is known.
    Of the distinct queries `cut_queries` were cut and `redacted_queries` redacted; `redacted` counts what, by kind.
    """

    asked: int = 0
    reused: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: float | None = None
    prompt_tokens_reused: int = 0
    completion_tokens_reused: int = 0
    cut_queries: int = 0
    redacted_queries: int = 0
    redacted: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Part:
    """Some queries: their keys, the positions whose keys no earlier query has, and what is asked for them."""

    keys: list[bytes]
    first: list[int]
    batch: Batch


@dataclass
class _Told:
    """Counts over all parts: rows, those that failed, and distinct answers with their tokens, now paid for or not."""

    rows: int = 0
    failed: int = 0
    answers: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)
    cut: int = 0
    redacted_queries: int = 0
    redacted: Counter[str] = field(default_factory=Counter)

    def add(self, sent: Sent) -> None:
        """Counts what was done to a distinct query."""
        self.cut += sent.cut
        self.redacted_queries += bool(sent.redacted)
        self.redacted.update(sent.redacted)


class ChatTagger:
    """The tagger behind `--tagger openai`: any endpoint that speaks OpenAI's chat completions.

    What decides an answer is its key: the model (or `model_identity`, for a server that gives one model several names),
    the messages, the decoding parameters; not the endpoint. `answers` is the path of the store, `None` for one in
    memory. A failed request is a failed row and is asked again by the next call. Where more than `max_failure_rate` of
    at least 100 answers fail the call stops with a `ProviderError` that shows three; everything answered is kept.
    """

    def __init__(self, settings: TagSettings | None = None, speed: TagSpeed | None = None) -> None:
        self._settings, self.speed = settings or TagSettings(), speed or TagSpeed()
        self.requests = ChatRequests(self._settings, self.speed.output)
        self.usage = Usage()
        self.begun: Spending | None = None  # by batches, before the next `tag_parts`
        if self.speed.key_file is not None:
            read_key(self.speed.key_file)  # one that is no key is told before anything is read
        self.price = find_price(self.model, self.speed.prices)
        if self.speed.budget_usd is not None and self.price is None:
            raise ConfigError(
                f"no price of `{self.model}` is known, so no budget can be kept",
                hint="give its price in a table of your own: `--prices FILE`",
            )

    @property
    def identity(self) -> Mapping[str, Any]:
        return {
            "tagger": "openai",
            **self.requests.identity,
            "keep_truncated": self._settings.keep_truncated,
            "reader": READER,
        }

    @property
    def model(self) -> str:
        """The model that is asked."""
        return self.requests.model

    @property
    def label(self) -> str:
        return f"tagged by {self.requests.model_identity}"

    def tag(self, queries: pl.Series, *, progress: ProgressHook | None = None) -> pl.DataFrame:
        """The columns of `tagged_schema`, one row a query, in order; see `Tagger.tag` and `tag_parts`."""
        (tagged,) = self.tag_parts([queries], progress=progress, total=len(queries))
        return tagged

    def tag_parts(
        self, parts: Iterable[pl.Series], *, progress: ProgressHook | None = None, total: int | None = None
    ) -> Iterator[pl.DataFrame]:
        """`tag` for a pool larger than memory: what is asked of one part is out while the next is read.

        `parts` may share queries, each asked once; `total` is how many there are of distinct ones, for the progress.
        Where every answer is in the store, no endpoint and no key are needed. On Ctrl-C what has arrived is committed,
        what is in flight is given up, and `KeyboardInterrupt` is raised. Raises `ProviderError` where the endpoint is
        of no use or too much fails; everything answered is kept. Memory is that of some parts.
        """
        self.usage = Usage()
        told = _Told()
        spending, self.begun = self.begun or self._spending(), None
        known = Distinct()
        window: deque[_Part] = deque()
        asking: Asking | None = None
        with contextlib.ExitStack() as stack:
            store = stack.enter_context(self.store())
            for queries in parts:
                sent = self.requests.sent(queries)
                keys = self.requests.keys(sent)
                first = known.first(keys)
                for at in first:
                    told.add(sent[at])
                unknown = [at for at in first if asking is None or not asking.has(keys[at])]
                missing = self._missing(store, keys, unknown)
                if missing and asking is None:
                    endpoint = self.endpoint()
                    stack.enter_context(self.requests.remembered_form(store, endpoint.url))
                    asking = stack.enter_context(self._asking(store, endpoint, spending, progress, total))
                    asking.reused = known.count - len(first)
                batch = Batch(0)
                if asking is not None:
                    asking.reused += len(first) - len(missing)
                    batch = asking.feed(self._to_ask(keys[at], sent[at].text) for at in missing)
                window.append(_Part(keys, first, batch))
                while window and (asking is None or self._is_done(asking, window)):
                    yield self._read(store, window.popleft(), asking, told)
            for part in window:
                if asking is not None:
                    asking.wait(part.batch, backlog=0)
                yield self._read(store, part, asking, told)
            stack.pop_all().close()  # what ended the asking is raised here
        self.usage = Usage(
            asked=spending.answers,
            reused=max(0, told.answers - spending.answers),  # a batch may answer what is not in this pool
            prompt_tokens=spending.prompt_tokens,
            completion_tokens=spending.completion_tokens,
            cached_tokens=spending.cached_tokens,
            prompt_tokens_reused=max(0, told.prompt_tokens - spending.prompt_tokens),
            completion_tokens_reused=max(0, told.completion_tokens - spending.completion_tokens),
            cost_usd=spending.usd,
            cut_queries=told.cut,
            redacted_queries=told.redacted_queries,
            redacted=dict(sorted(told.redacted.items())),
        )
        self.warn_of_other_models(set() if asking is None else asking.models)
        if told.rows >= JUDGED_FROM and told.failed > self.speed.max_failure_rate * told.rows:
            raise too_many_failures(told.failed, told.rows, self.speed.max_failure_rate, told.examples)

    def store(self, *, make: bool = True) -> AnswerStore:
        """Opens the store of answers; where there is none, makes it, or gives an empty one in memory."""
        path = self.speed.answers
        return AnswerStore(path if make or (path is not None and Path(path).exists()) else None)

    def _missing(self, store: AnswerStore, keys: Sequence[bytes], places: Sequence[int]) -> list[int]:
        """The places whose keys have no answer, or one that is to be asked for again."""
        missing = store.missing([keys[at] for at in places])
        again: set[bytes] = set()
        if (reasons := self.speed.retry_failed) is not None:
            for answer in store.get([keys[at] for at in places]):
                reason = self._parse(answer).reason
                if reason is not None and reasons in ("all", reason):
                    again.add(answer.key)
        found = {places[at] for at in missing} | {at for at in places if keys[at] in again}
        return [at for at in places if at in found]

    def _asking(
        self,
        store: AnswerStore,
        endpoint: Endpoint,
        spending: Spending,
        progress: ProgressHook | None,
        total: int | None,
    ) -> Asking:
        return Asking(
            store,
            endpoint,
            self.requests.ask,
            lambda answer: self._parse(answer).reason,
            spending=spending,
            max_failure_rate=self.speed.max_failure_rate,
            replace=self.speed.retry_failed is not None,
            progress=progress,
            total=total,
        )

    def endpoint(self, least_timeout_s: float = 0.0) -> Endpoint:
        """The endpoint that is asked."""
        speed = self.speed
        return Endpoint(
            speed.base_url,
            key_file=speed.key_file,
            concurrency=speed.concurrency,
            timeout_s=max(speed.timeout_s, least_timeout_s),
            max_attempts=speed.max_attempts,
            pacer=Pacer(speed.requests_per_minute, speed.tokens_per_minute),
        )

    def _spending(self) -> Spending:
        return Spending(self.price, budget_usd=self.speed.budget_usd, max_tokens=self._settings.max_tokens)

    def begin(self) -> Spending:
        """Counts what answers cost from here on, batches and the next `tag_parts` together."""
        self.begun = self._spending()
        return self.begun

    def _to_ask(self, key: bytes, text: str) -> Request:
        needed = self.speed.budget_usd is not None or self.speed.tokens_per_minute is not None
        tokens = self.requests.tokens.count(self.requests.shown(text)) if needed else 0
        return Request(key, text, tokens + TOKENS_A_REQUEST)

    def _is_done(self, asking: Asking, window: Sequence[_Part]) -> bool:
        """Whether the first part of the window is; waits while there is enough to send, or too much is held."""
        return asking.wait(window[0].batch, backlog=2 * MOST if len(window) < _PARTS_HELD else 0)

    def _parse(self, answer: Answer) -> Reply:
        how = {"finish_reason": answer.finish_reason, "refusal": answer.refusal}
        labels = self.requests.labels
        reply = parse_labels(answer.answer, labels, **how) if labels else parse(answer.answer, **how)
        return (
            Reply(reply.tags) if self._settings.keep_truncated and reply.reason == "truncated" and reply.tags else reply
        )

    def _read(self, store: AnswerStore, part: _Part, asking: Asking | None, told: _Told) -> pl.DataFrame:
        """Parses what is stored; what is not there has failed."""
        import polars as pl

        answers = {answer.key: answer for answer in store.get(part.keys)}
        for at in part.first:
            if (paid := answers.get(part.keys[at])) is not None:
                told.answers += 1
                told.prompt_tokens += paid.prompt_tokens or 0
                told.completion_tokens += paid.completion_tokens or 0
        rows: list[tuple[Any, ...]] = []
        for key in part.keys:
            answer = answers.get(key)
            if answer is None:
                assert asking is not None, "nothing was missing"
                failed = asking.failed[key]
                rows.append(("failed", [], [], failed.reason, failed.message))
                continue
            reply = self._parse(answer)
            if reply.reason is None:
                rows.append(("ok", [t for t, _ in reply.tags], [e for _, e in reply.tags], None, answer.answer))
            else:
                rows.append(("failed", [], [], reply.reason, answer.answer or answer.refusal))
        told.rows += len(rows)
        for status, _, _, reason, text in rows:
            if status == "failed":
                told.failed += 1
                if len(told.examples) < EXAMPLES:
                    told.examples.append((reason, text or "no answer"))
        return pl.DataFrame(rows, schema=tagged_schema(), orient="row")

    def warn_of_other_models(self, models: set[str]) -> None:
        """A reply may name a dated version of the model, or its path; another model altogether is worth a word."""
        asked = self.model.rsplit("/", 1)[-1].lower()
        for model in sorted(models):
            answered = model.rsplit("/", 1)[-1].lower()
            if not answered.startswith(asked) and not asked.startswith(answered):
                warnings.warn(f"asked the model `{self.model}`, answered by `{model}`", stacklevel=3)
