"""Chat completions through the store of answers: what stands there is not asked again, whoever asks for it.

The key of an answer is what decides it, as when tagging: model, messages, decoding parameters. Where the same is asked
for several times on purpose, the number of the repeat is in the key, from the second time on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from instag.answers import Answer, AnswerStore, request_key
from instag.asking import Asking, Failure, Request
from instag.chat_requests import answer_from
from instag.endpoint import Endpoint
from instag.errors import ConfigError, ProviderError
from instag.ladder import FORMATS, Form
from instag.network import redact
from instag.spending import Spending
from instag.tagger import ProgressHook
from instag.tokens import TOKENS_A_REQUEST, token_counter

if TYPE_CHECKING:
    from openai import AsyncOpenAI

MODEL, JUDGE = "the model", "the judge"  # who is asked, as people are told

Message = Mapping[str, str]
Again = Callable[[Answer], bool]  # whether an answer that stands is to be asked for once more


@dataclass(frozen=True)
class Ask:
    """One request: the messages so far, how the reply is drawn, and which repeat it is."""

    messages: tuple[Message, ...]
    temperature: float
    max_tokens: int
    repeat: int = 0

    def request(self) -> dict[str, Any]:
        """What is sent beside the model."""
        told = [dict(message) for message in self.messages]
        return {"messages": told, "temperature": float(self.temperature), "max_tokens": self.max_tokens}

    def key(self, **model: str) -> bytes:
        """What the answer is kept by; the first repeat has the key of a plain request."""
        return request_key({**model, **self.request(), **({"repeat": self.repeat} if self.repeat else {})})


class ChatModel(Protocol):
    """Whoever answers chats: an endpoint, or a model on this machine. `name` is shown, `identity` enters keys."""

    @property
    def name(self) -> str: ...

    @property
    def identity(self) -> str: ...

    @property
    def usage(self) -> Usage: ...

    def answers(
        self, asks: Sequence[Ask], *, again: Again | None = None, progress: ProgressHook | None = None
    ) -> list[Answer | Failure]:
        """An answer or a failure for each request, in order; equal requests are asked once."""
        ...


@dataclass
class Usage:
    """What was paid: answers that were made now, those that stood already, and the tokens of the first."""

    asked: int = 0
    reused: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None


class EndpointModel:
    """A model behind an OpenAI-compatible endpoint; `role` is what people are told it is.

    `connect` makes the endpoint when the first request has no answer in the store: before that neither key nor network
    is needed. Raises `ProviderError` where the endpoint is of no use or too many requests get no answer.
    """

    def __init__(
        self,
        name: str,
        store: AnswerStore,
        connect: Callable[[], Endpoint],
        *,
        role: str,
        spending: Spending,
        counts_tokens: bool,
        max_failure_rate: float,
    ) -> None:
        self.name = self.identity = name
        self.form = Form("plain")
        self._store, self._connect, self._role = store, connect, role
        self._endpoint: Endpoint | None = None
        self._spending, self._counts_tokens, self._max_failure_rate = spending, counts_tokens, max_failure_rate
        self._reused = 0

    @property
    def usage(self) -> Usage:
        """What was paid so far."""
        spent = self._spending
        return Usage(spent.answers, self._reused, spent.prompt_tokens, spent.completion_tokens, spent.usd)

    @property
    def notes(self) -> list[str]:
        """What the endpoint does not take."""
        return [f"{self._role}: {told}" for told in replace(self.form, output=FORMATS[0]).told()]

    def answers(
        self, asks: Sequence[Ask], *, again: Again | None = None, progress: ProgressHook | None = None
    ) -> list[Answer | Failure]:
        """An answer or a failure for each request, in order; see `ChatModel`."""
        keys = [ask.key(model=self.identity) for ask in asks]
        distinct = dict(zip(keys, asks, strict=True))
        missing = [list(distinct)[at] for at in self._store.missing(list(distinct))]
        repeated = [] if again is None else [found.key for found in self._store.get(list(distinct)) if again(found)]
        failed: dict[bytes, Failure] = {}
        to_ask = [*missing, *repeated]
        self._reused += len(distinct) - len(to_ask)
        if to_ask:
            with _blamed(self._role):
                failed = self._ask({key: distinct[key] for key in to_ask}, bool(repeated), progress, len(distinct))
        found = {answer.key: answer for answer in self._store.get(list(distinct))}
        return [found[key] if key in found else failed[key] for key in keys]

    def _ask(
        self, asks: Mapping[bytes, Ask], replacing: bool, progress: ProgressHook | None, total: int
    ) -> dict[bytes, Failure]:
        """Has every request answered in the store; gives those that failed."""
        self._endpoint = endpoint = self._endpoint or self._connect()

        async def ask(endpoint: Endpoint, request: Request) -> Answer:
            return await self._one(endpoint, request.key, asks[request.key].request())

        tokens = token_counter(self.name).count if self._counts_tokens else None

        def sized(ask: Ask) -> int:
            return 0 if tokens is None else sum(tokens(message["content"]) for message in ask.messages)

        with (
            self._remembered_form(endpoint.url),
            Asking(
                self._store,
                endpoint,
                ask,
                lambda _: None,  # what can't be read is a row of the result, and stops nothing
                spending=self._spending,
                max_failure_rate=self._max_failure_rate,
                replace=replacing,
                progress=progress,
                total=total,
            ) as asking,
        ):
            asking.reused = total - len(asks)
            asks_fed = (Request(key, "", sized(each) + TOKENS_A_REQUEST) for key, each in asks.items())
            asking.wait(asking.feed(asks_fed), backlog=0)
        return asking.failed

    async def _one(self, endpoint: Endpoint, key: bytes, request: Mapping[str, Any]) -> Answer:
        import openai
        from openai.types.chat import ChatCompletion

        async def send(client: AsyncOpenAI) -> Any:
            while True:
                form = self.form
                try:
                    body = {"model": self.name, **form.applied(request)}
                    return await client.post("/chat/completions", cast_to=ChatCompletion, body=body)
                except openai.APIStatusError as error:
                    lowered = form.lowered(error.status_code, f"{error.code} {error.message}")
                    if lowered is None:
                        raise
                    if self.form == form:  # else another request was told so meanwhile
                        self.form = lowered

        return await endpoint.call(send, lambda completion, seconds: answer_from(key, completion, seconds))

    @contextlib.contextmanager
    def _remembered_form(self, url: str) -> Iterator[None]:
        """Begins with what the endpoint took last time; the form of output belongs to tagging, and stays as it was."""
        found = self._store.form(redact(url), self.name)
        self.form = Form.from_dict(found, "plain")
        try:
            yield
        finally:
            kept = {**self.form.as_dict(), "output": found.get("output", FORMATS[0])}
            if kept != found and self.form != Form("plain"):
                self._store.remember(redact(url), self.name, kept)


@contextlib.contextmanager
def _blamed(role: str) -> Iterator[None]:
    """Says of which of the two endpoints an error is, and names its flags."""
    try:
        yield
    except (ConfigError, ProviderError) as error:
        hint = error.hint
        if hint is not None and role == JUDGE:
            for flag in ("base-url", "key-file", "model"):
                hint = hint.replace(f"`--{flag}`", f"`--judge{'' if flag == 'model' else '-' + flag}`")
        raise type(error)(f"{role}: {error.message}", hint=hint) from None
