"""Chat requests: how a query becomes one, what its answer is kept by, and how it is asked.

A query is redacted, then cut, then put into the prompt. What decides an answer is in its key: the model, the messages,
the decoding parameters. The form of the reply that is asked for (`ladder.py`) is not: it follows from the endpoint.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any

from instag.answers import Answer, AnswerStore, request_key
from instag.asking import Request
from instag.endpoint import Endpoint, NoReply
from instag.ladder import OPEN_SCHEMA, Form, closed_schema
from instag.network import redact
from instag.prompt import load_prompt
from instag.redaction import open_redactor
from instag.replies import clean
from instag.shortening import shorten
from instag.tagger import TagSettings
from instag.tokens import Tokens, token_counter

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletion

_NOTHING: Counter[str] = Counter()


@dataclass(frozen=True)
class Sent:
    """A query as it is sent: redacted, then cut; how often each kind was redacted, and whether it was cut."""

    text: str
    redacted: Mapping[str, int]
    cut: bool


class ChatRequests:
    """The requests to one model: `form` is the form of reply that is asked for, which asking may lower.

    `output` fixes it. Raises `ConfigError` and `DataError` where the prompt, the labels or the redaction are of no use.
    """

    def __init__(self, settings: TagSettings, output: str | None = None) -> None:
        self.model = settings.model
        self.model_identity = settings.model_identity or settings.model
        self._prompt = load_prompt(settings.prompt, settings.labels)
        self.labels = dict.fromkeys(self._prompt.labels)
        self._schema = closed_schema(self._prompt.labels) if self._prompt.labels else OPEN_SCHEMA
        self._output = output or self._prompt.output
        self._max_query_tokens = settings.max_query_tokens
        self._redactor = None if settings.redact is None else open_redactor(settings.redact)
        temperature = None if settings.temperature is None else float(settings.temperature)
        decoding = {"temperature": temperature, "max_tokens": settings.max_tokens, "seed": settings.seed}
        self._decoding = {name: value for name, value in decoding.items() if value is not None}
        self.form = Form()

    @property
    def identity(self) -> Mapping[str, Any]:
        """All that decides the answers."""
        return {
            "model": self.model_identity,
            **self._prompt.identity,
            "max_query_tokens": self._max_query_tokens,
            **({} if self._redactor is None else {"redact": self._redactor.identity}),
            **self._decoding,
        }

    def sent(self, queries: Iterable[str]) -> list[Sent]:
        """Queries as they are sent: first redacted, so that a cut goes through nothing secret, then cut."""
        return [self._sent(query) for query in queries]

    def _sent(self, query: str) -> Sent:
        text, redacted = query, _NOTHING
        if self._redactor is not None:
            text, redacted = self._redactor.redact(text)
        if self._max_query_tokens is None:
            return Sent(text, redacted, cut=False)
        short = shorten(text, self._max_query_tokens)
        return Sent(short, redacted, cut=short != text)

    def keys(self, sent: Iterable[Sent]) -> list[bytes]:
        """What the answers to queries are kept by."""
        return [request_key({"model": self.model_identity, **self._request(query.text)}) for query in sent]

    @cached_property
    def tokens(self) -> Tokens:
        """What counts tokens for this model."""
        return token_counter(self.model)

    def shown(self, text: str) -> str:
        """The words of a request for a text as it is sent."""
        return "\n".join(message["content"] for message in self._prompt.messages(text))

    @contextlib.contextmanager
    def remembered_form(self, store: AnswerStore, url: str) -> Iterator[None]:
        """Begins with the form that the endpoint took last time; what is found out now is kept, however it ends."""
        found = store.form(redact(url), self.model)
        self.form = Form.from_dict(found, self._output)
        try:
            yield
        finally:
            if self.form.as_dict() != found and self._output is None:
                store.remember(redact(url), self.model, self.form.as_dict())

    def _request(self, text: str) -> dict[str, Any]:
        """What is sent beside the model."""
        return {"messages": self._prompt.messages(text), **self._decoding}

    async def ask(self, endpoint: Endpoint, request: Request) -> Answer:
        """The answer to a request; raises `Failed`, and what ends a run (see `Endpoint.call`)."""
        import openai
        from openai.types.chat import ChatCompletion

        asked = self._request(request.text)

        async def send(client: AsyncOpenAI) -> Any:
            while True:
                form = self.form
                try:
                    # What `client.chat.completions.create` does, without looking up the type of every member of what
                    # is sent: that is a quarter of its CPU time.
                    body = {"model": self.model, **form.applied(asked, self._schema)}
                    return await client.post("/chat/completions", cast_to=ChatCompletion, body=body)
                except openai.APIStatusError as error:
                    lowered = form.lowered(error.status_code, f"{error.code} {error.message}")
                    if lowered is None:
                        raise
                    if self.form == form:  # else another request was told so meanwhile
                        self.form = lowered

        return await endpoint.call(send, lambda completion, seconds: answer_from(request.key, completion, seconds))

    def body(self, text: str) -> dict[str, Any]:
        """A whole request, in the form that is known to be taken."""
        return {"model": self.model, **self.form.applied(self._request(text), self._schema)}


def answer_from(key: bytes, completion: ChatCompletion, seconds: float | None = None) -> Answer:
    """The answer in a completion, cut and parsed nowhere; raises `NoReply` where there is none in it."""
    try:
        choice, usage = completion.choices[0], completion.usage
        text, refusal = choice.message.content, choice.message.refusal
        tokens = (usage.prompt_tokens, usage.completion_tokens) if usage else (None, None)
        cached = getattr(getattr(usage, "prompt_tokens_details", None), "cached_tokens", None)
        finish_reason, model = choice.finish_reason, completion.model
    except (AttributeError, TypeError, IndexError, KeyError):
        raise NoReply(f"a reply without a message: {completion!r}") from None
    if not isinstance(text, str | None) or not isinstance(refusal, str | None):
        raise NoReply(f"a message that is no text: {completion!r}")
    return Answer(
        key=key,
        answer=None if text is None else clean(text),
        refusal=clean(refusal) if refusal else None,
        finish_reason=finish_reason if isinstance(finish_reason, str) else None,
        model=clean(model) if isinstance(model, str) else None,
        prompt_tokens=tokens[0] if isinstance(tokens[0], int) else None,
        completion_tokens=tokens[1] if isinstance(tokens[1], int) else None,
        finished=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        cached_tokens=cached if isinstance(cached, int) else None,
        seconds=None if seconds is None else round(seconds, 3),
    )
