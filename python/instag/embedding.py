"""Vectors from an endpoint, kept in the store of answers: only texts without one are asked for, in batches.

A batch is committed before another takes its place, so a kill repeats at most what is in flight. Retries, pauses and
how much is out at once are those of `endpoint.py` and `limiter.py`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import numpy as np

from instag.answers import AnswerStore, Embedding, request_key
from instag.background import Background, give_up
from instag.endpoint import Endpoint, Failed, NoReply
from instag.errors import ProviderError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from openai import AsyncOpenAI

_POLL_S = 0.2  # a wait without an end does not hear Ctrl-C on every system


def embedding_key(model: str, text: str, dimensions: int | None = None) -> bytes:
    """What the vector of a text is kept by: the model, the text, and the dimensions where they are asked for."""
    asked = {"model": model, "input": text}
    return request_key(asked if dimensions is None else {**asked, "dimensions": dimensions})


class VectorAsking:
    """Asks one endpoint for the vectors of texts and commits them to a store, batch by batch."""

    def __init__(
        self, store: AnswerStore, endpoint: Endpoint, *, model: str, dimensions: int | None, batch: int, in_flight: int
    ) -> None:
        self._store, self._endpoint = store, endpoint
        self._model, self._dimensions = model, dimensions
        self._batch, self._in_flight = batch, in_flight
        self._sizes: set[int] = set()

    def ask(self, texts: Sequence[str], keys: Sequence[bytes]) -> None:
        """Returns when every text has its vector in the store, by its key.

        Raises `ProviderError` where a batch gets no vectors and `DataError` where they are no directions; batches that
        were answered are kept.
        """
        with Background() as background:
            asking = background.start(self._ask(texts, keys))
            try:
                while not asking.done():
                    concurrent.futures.wait([asking], timeout=_POLL_S)
            except BaseException:
                asking.cancel()
                raise
            asking.result()

    async def _ask(self, texts: Sequence[str], keys: Sequence[bytes]) -> None:
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
        from instag.embedders import checked

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
            vectors = checked(found, len(texts), place)
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
