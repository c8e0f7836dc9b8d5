"""The embedder `openai`: vectors from an endpoint, kept in the store of answers; only texts without one are asked for.

A batch is committed before another takes its place, so a kill repeats at most what is in flight. Retries, pauses and
how much is out at once are those of `endpoint.py` and `limiter.py`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from instag.answers import AnswerStore, Embedding, request_key
from instag.background import Background, give_up
from instag.endpoint import Endpoint, Failed, NoReply
from instag.errors import ProviderError
from instag.progress import Advance, Talk
from instag.thresholds import PHRASE_BERT_DISTANCE, multilingual_by_name
from instag.vectors import checked

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from openai import AsyncOpenAI

_POLL_S = 0.2  # a wait without an end does not hear Ctrl-C on every system


def embedding_key(model: str, text: str, dimensions: int | None = None) -> bytes:
    """What the vector of a text is kept by: the model, the text, and the dimensions where they are asked for."""
    asked = {"model": model, "input": text}
    return request_key(asked if dimensions is None else {**asked, "dimensions": dimensions})


@dataclass(frozen=True)
class OpenAIEmbedder:
    """Any endpoint with `/v1/embeddings`, through the `openai` client; batches in parallel, rows in order.

    Vectors are kept in the store `answers` (None: in memory, for one call): a text is asked for once, and where all are
    there neither an endpoint nor a key is needed. `base_url` defaults to `OPENAI_BASE_URL` and the client's own,
    `api_key` to the one in `key_file` or `OPENAI_API_KEY`; an endpoint of your own needs no key. Raises `ConfigError`
    without a key, `ProviderError` where the endpoint fails or answers with something else than one vector a text.
    """

    model: str
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    max_cosine_distance: float = PHRASE_BERT_DISTANCE
    batch: int = 256
    in_flight: int = 64
    max_retries: int = 5
    timeout_seconds: float = 60.0
    key_file: str | Path | None = None
    answers: str | Path | None = None
    dimensions: int | None = None
    talk: Talk = field(default_factory=lambda: Talk(quiet=True), compare=False, repr=False)
    whole: ClassVar[bool] = True  # it batches by itself

    @property
    def identity(self) -> str:
        """The model, not the endpoint that serves it."""
        return f"openai:{self.model}" + ("" if self.dimensions is None else f"@{self.dimensions}")

    @property
    def multilingual(self) -> bool:
        """Whether the model is known to know other scripts than Latin."""
        return multilingual_by_name(self.model)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One row a text; the dimension is the model's."""
        if not texts:
            return np.zeros((0, 0), dtype=np.float32)
        keys = [embedding_key(self.model, text, self.dimensions) for text in texts]
        with AnswerStore(self.answers) as store:
            found = store.vectors(keys)
            missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
            if missing:
                endpoint = Endpoint(
                    self.base_url,
                    key=self.api_key,
                    key_file=self.key_file,
                    timeout_s=self.timeout_seconds,
                    max_attempts=self.max_retries + 1,
                    offline="--embedder lexical",
                )
                asking = VectorAsking(
                    store,
                    endpoint,
                    model=self.model,
                    dimensions=self.dimensions,
                    batch=self.batch,
                    in_flight=self.in_flight,
                )
                with self.talk.bar("embedding", total=len(missing), unit="tag") as advance:
                    asking.ask(list(missing.values()), list(missing), advance)
                found |= store.vectors(list(missing))
        return stacked([found[key] for key in keys], self.model)


class VectorAsking:
    """Asks one endpoint for the vectors of texts and commits them to a store, batch by batch."""

    def __init__(
        self, store: AnswerStore, endpoint: Endpoint, *, model: str, dimensions: int | None, batch: int, in_flight: int
    ) -> None:
        self._store, self._endpoint = store, endpoint
        self._model, self._dimensions = model, dimensions
        self._batch, self._in_flight = batch, in_flight
        self._sizes: set[int] = set()

    def ask(self, texts: Sequence[str], keys: Sequence[bytes], advance: Advance = lambda _: None) -> None:
        """Returns when every text has its vector in the store, by its key.

        Raises `ProviderError` where a batch gets no vectors and `DataError` where they are no directions; batches that
        were answered are kept.
        """
        with Background() as background:
            asking = background.start(self._ask(texts, keys, advance))
            try:
                while not asking.done():
                    concurrent.futures.wait([asking], timeout=_POLL_S)
            except BaseException:
                asking.cancel()
                raise
            asking.result()

    async def _ask(self, texts: Sequence[str], keys: Sequence[bytes], advance: Advance) -> None:
        waiting = deque(range(0, len(texts), self._batch))
        out: set[asyncio.Task[list[Embedding]]] = set()
        async with self._endpoint:
            try:
                while waiting or out:
                    while waiting and len(out) < min(self._endpoint.limiter.limit, self._in_flight):
                        start = waiting.popleft()
                        end = start + self._batch
                        out.add(asyncio.create_task(self._one(texts[start:end], keys[start:end], start)))
                    done, out = await asyncio.wait(out, return_when=asyncio.FIRST_COMPLETED)
                    good = [task.result() for task in done if task.exception() is None]
                    if rows := [row for batch in good for row in batch]:
                        self._check_sizes(rows)
                        await asyncio.to_thread(self._store.put_embeddings, rows)
                        advance(len(rows))
                    for task in done:
                        task.result()
            finally:
                await give_up(out)

    def _check_sizes(self, rows: Sequence[Embedding]) -> None:
        self._sizes |= {len(row.vector) // 4 for row in rows}
        if len(self._sizes) > 1:
            raise ProviderError(
                f"embedder `openai:{self._model}`: batches came back with {sorted(self._sizes)} numbers a text",
                hint="is it one model behind this address? what was of one size is kept",
            )

    async def _one(self, texts: Sequence[str], keys: Sequence[bytes], start: int) -> list[Embedding]:
        place = f"embedder `openai:{self._model}`, texts {start} to {start + len(texts) - 1}"
        asked: dict[str, Any] = {} if self._dimensions is None else {"dimensions": self._dimensions}

        async def send(client: AsyncOpenAI) -> Any:
            return await client.embeddings.create(
                model=self._model, input=list(texts), encoding_format="float", **asked
            )

        def read(answer: Any, _: float) -> list[Embedding]:
            try:
                rows = sorted(answer.data, key=lambda row: row.index)
                found, places = [row.embedding for row in rows], [row.index for row in rows]
                tokens, model = getattr(answer.usage, "prompt_tokens", None), answer.model
            except (AttributeError, TypeError, ValueError):
                raise NoReply("the answer is no list of embeddings") from None
            if places != list(range(len(texts))):
                raise NoReply(f"{len(places)} vectors came back for {len(texts)} texts")
            vectors = checked(found, texts, place, start=start)
            finished = datetime.now(timezone.utc).isoformat(timespec="seconds")
            each, more = divmod(tokens, len(texts)) if isinstance(tokens, int) else (None, 0)
            return [
                Embedding(
                    key=key,
                    vector=vector.astype("<f4").tobytes(),
                    model=model if isinstance(model, str) else None,
                    prompt_tokens=None if each is None else each + (at < more),  # the sum is what was paid for
                    finished=finished,
                )
                for at, (key, vector) in enumerate(zip(keys, vectors, strict=True))
            ]

        try:
            return await self._endpoint.call(send, read)
        except Failed as failed:
            hint = "nothing was merged; what was answered is kept: run it again"
            raise ProviderError(f"{place}: {failed.message}", hint=hint) from None


def stacked(vectors: Sequence[bytes], model: str) -> NDArray[np.float32]:
    """Vectors of a store as rows; raises `ProviderError` where they are not of one length."""
    sizes = {len(vector) for vector in vectors}
    if len(sizes) > 1:
        raise ProviderError(
            f"embedder `openai:{model}`: the store holds vectors of {sorted(size // 4 for size in sizes)} numbers",
            hint="another model was behind this name: name another store with `--answers`",
        )
    rows = np.frombuffer(b"".join(vectors), dtype="<f4").astype(np.float32)
    return rows.reshape(len(vectors), -1) if vectors else np.zeros((0, 0), dtype=np.float32)
