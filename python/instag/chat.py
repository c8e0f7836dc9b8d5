"""Tagging by an LLM: every distinct query is one chat request, every answer is kept before it is read.

Two halves that share nothing but the store: `Asking` sees to it that every query has an answer there or has failed;
what is stored is then parsed. So a better parser, or another setting of it, reads again what was paid for.
"""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from instag.answers import Answer, AnswerStore, request_key
from instag.asking import JUDGED_FROM, Asking, too_many_failures
from instag.background import run_in_thread
from instag.endpoint import Endpoint, NoReply
from instag.prompt import load_prompt, messages
from instag.replies import READER, Reply, clean, parse
from instag.tagger import ProgressHook, TagSettings, TagSpeed, tagged_schema

if TYPE_CHECKING:
    import polars as pl
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletion

_READ_AT_ONCE = 10_000


@dataclass(frozen=True)
class Usage:
    """What a call of `tag` asked for: requests answered now, answers that were there, and the tokens of each."""

    asked: int = 0
    reused: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_reused: int = 0
    completion_tokens_reused: int = 0


class ChatTagger:
    """The tagger behind `--tagger openai`: any endpoint that speaks OpenAI's chat completions.

    What decides an answer is its key: the model (or `model_identity`, for a server that gives one model several names),
    the messages, the decoding parameters; not the endpoint. `answers` is the path of the store, `None` for one in
    memory. A failed request is a failed row and is asked again by the next call. Where more than `max_failure_rate` of
    at least 100 answers fail the call stops with a `ProviderError` that shows three; everything answered is kept.
    """

    def __init__(self, settings: TagSettings | None = None, speed: TagSpeed | None = None) -> None:
        self._settings, self._speed = settings or TagSettings(), speed or TagSpeed()
        decisive = self._settings
        self._model_identity = decisive.model_identity or decisive.model
        self._prompt = load_prompt(decisive.prompt)
        temperature = None if decisive.temperature is None else float(decisive.temperature)
        decoding = {"temperature": temperature, "max_tokens": decisive.max_tokens, "seed": decisive.seed}
        self._decoding = {name: value for name, value in decoding.items() if value is not None}
        self.usage = Usage()

    @property
    def identity(self) -> Mapping[str, Any]:
        return {
            "tagger": "openai",
            "model": self._model_identity,
            "prompt": self._prompt,
            **self._decoding,
            "keep_truncated": self._settings.keep_truncated,
            "reader": READER,
        }

    @property
    def label(self) -> str:
        return f"tagged by {self._model_identity}"

    def tag(self, queries: pl.Series, *, progress: ProgressHook | None = None) -> pl.DataFrame:
        """The columns of `tagged_schema`, one row a query, in order; see `Tagger.tag`.

        Where every answer is in the store, no endpoint and no key are needed. On Ctrl-C what has arrived is committed,
        what is in flight is given up, and `KeyboardInterrupt` is raised. Raises `ProviderError` where the endpoint is
        of no use or too much fails; everything answered is kept.
        """
        texts: list[str] = queries.to_list()
        keys = [request_key({"model": self._model_identity, **self._request(text)}) for text in texts]
        with AnswerStore(self._speed.answers) as store:
            missing = store.missing(keys)
            asking = Asking(
                store,
                lambda endpoint, at: self._ask(endpoint, keys[at], texts[at]),
                lambda answer: self._parse(answer).reason,
                concurrency=self._speed.concurrency,
                max_failure_rate=self._speed.max_failure_rate,
                reused=len(keys) - len(missing),
                progress=progress,
            )
            if missing:
                endpoint = Endpoint(
                    self._speed.base_url, timeout_s=self._speed.timeout_s, max_attempts=self._speed.max_attempts
                )
                run_in_thread(lambda stop: asking.run(endpoint, missing, stop))
            tagged = self._read(store, keys, asking)
        self._warn_of_other_models(asking.models)
        failed = tagged.filter(tagged["status"] == "failed")
        if len(tagged) >= JUDGED_FROM and len(failed) > self._speed.max_failure_rate * len(tagged):
            examples = [(reason, answer or "no answer") for reason, answer in failed.select("reason", "answer").rows()]
            raise too_many_failures(len(failed), len(tagged), self._speed.max_failure_rate, examples)
        return tagged

    def _request(self, query: str) -> dict[str, Any]:
        """What is sent beside the model."""
        return {"messages": messages(self._prompt, query), **self._decoding}

    async def _ask(self, endpoint: Endpoint, key: bytes, query: str) -> Answer:
        def send(client: AsyncOpenAI) -> Awaitable[Any]:
            return client.chat.completions.create(model=self._settings.model, **self._request(query))

        return await endpoint.call(send, lambda completion: answer_from(key, completion))

    def _parse(self, answer: Answer) -> Reply:
        reply = parse(answer.answer, finish_reason=answer.finish_reason, refusal=answer.refusal)
        return (
            Reply(reply.tags) if self._settings.keep_truncated and reply.reason == "truncated" and reply.tags else reply
        )

    def _read(self, store: AnswerStore, keys: Sequence[bytes], asking: Asking) -> pl.DataFrame:
        """Parses what is stored, some thousand answers at a time; what is not there has failed."""
        import polars as pl

        schema = tagged_schema()
        frames = [pl.DataFrame(schema=schema)]
        tokens = [0, 0]
        for start in range(0, len(keys), _READ_AT_ONCE):
            part = keys[start : start + _READ_AT_ONCE]
            answers = {answer.key: answer for answer in store.get(part)}
            rows: list[tuple[Any, ...]] = []
            for at, key in enumerate(part, start):
                answer = answers.get(key)
                if answer is None:
                    failed = asking.failed[at]
                    rows.append(("failed", [], [], failed.reason, failed.message))
                    continue
                tokens[0] += answer.prompt_tokens or 0
                tokens[1] += answer.completion_tokens or 0
                reply = self._parse(answer)
                if reply.reason is None:
                    rows.append(("ok", [t for t, _ in reply.tags], [e for _, e in reply.tags], None, answer.answer))
                else:
                    rows.append(("failed", [], [], reply.reason, answer.answer or answer.refusal))
            frames.append(pl.DataFrame(rows, schema=schema, orient="row"))
        paid = asking.prompt_tokens, asking.completion_tokens
        reused = len(keys) - asking.asked - len(asking.failed)
        self.usage = Usage(asking.asked, reused, *paid, tokens[0] - paid[0], tokens[1] - paid[1])
        return pl.concat(frames)

    def _warn_of_other_models(self, models: set[str]) -> None:
        """A reply may name a dated version of the model, or its path; another model altogether is worth a word."""
        asked = self._settings.model.rsplit("/", 1)[-1].lower()
        for model in sorted(models):
            answered = model.rsplit("/", 1)[-1].lower()
            if not answered.startswith(asked) and not asked.startswith(answered):
                warnings.warn(f"asked the model `{self._settings.model}`, answered by `{model}`", stacklevel=3)


def answer_from(key: bytes, completion: ChatCompletion) -> Answer:
    """The answer in a completion, cut and parsed nowhere; raises `NoReply` where there is none in it."""
    try:
        choice, usage = completion.choices[0], completion.usage
        text, refusal = choice.message.content, choice.message.refusal
        tokens = (usage.prompt_tokens, usage.completion_tokens) if usage else (None, None)
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
    )
