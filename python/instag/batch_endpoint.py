"""The Batch API of one endpoint, called from plain code: files up, batches made and looked at, files down.

Retries, push-back and errors are those of `Endpoint`. Making a batch is the one call that must not merely be repeated:
where nobody knows whether it came through, the batch is looked for by its name first.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Awaitable, Callable, Coroutine
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from instag.background import Background
from instag.endpoint import Endpoint, Failed
from instag.errors import ProviderError
from instag.network import redact

if TYPE_CHECKING:
    from openai import AsyncOpenAI

T = TypeVar("T")

NAME = "instag"  # the member of a batch's metadata that holds our name for it
ENDED = ("completed", "expired", "cancelled", "failed")
_ABSENT = (404, 405, 501)
_PASSING = (401, 402, 403, 408, 409, 425, 429)  # no word about this request: `Endpoint` knows what to do
_CLOCKS_DIFFER_S = 86_400
_POLL_S = 0.2  # a wait without an end does not hear Ctrl-C on every system
_CHUNK_BYTES = 1 << 20
_CROWDED = re.compile(r"token_limit_exceeded|enqueued[ _]?token", re.IGNORECASE)


@dataclass(frozen=True)
class Refused:
    """The endpoint takes no such file or batch, for good; `absent` where it has no Batch API at all."""

    said: str
    absent: bool = False


@dataclass(frozen=True)
class Seen:
    """A batch as the endpoint tells of it."""

    id: str
    status: str
    completed: int = 0
    failed: int = 0
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: str = ""

    crowded: bool = False  # failed before it began: more is in the queue than the account may have there

    @property
    def ended(self) -> bool:
        return self.status in ENDED


class BatchEndpoint:
    """An endpoint's files and batches; used in a `with`. Raises `ProviderError` where it is of no use."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.name, self.url = endpoint.name, redact(endpoint.url)
        self._background = Background()

    def __enter__(self) -> BatchEndpoint:
        self._background.__enter__()
        self._done(self._endpoint.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._done(self._endpoint.__aexit__())
        finally:
            self._background.__exit__(kind, error, traceback)

    def upload(self, path: Path) -> str | Refused:
        """Sends a file of requests; gives its id."""

        async def send(client: AsyncOpenAI) -> Any:
            with open(path, "rb") as file:
                return await client.files.create(file=(path.name, file), purpose="batch")

        sent = self._call(send)
        return sent if isinstance(sent, Refused) else str(sent.id)

    def create(self, name: str, file_id: str, *, since: float, look_first: bool) -> Seen | Refused:
        """Makes the batch of a file; with `look_first`, only where the endpoint has none of that name since then."""
        look = look_first

        async def send(client: AsyncOpenAI) -> Any:
            nonlocal look
            if look and (found := await _find(client, name, since)) is not None:
                return found
            look = True  # another attempt does not know what became of this one
            return await client.batches.create(
                completion_window="24h", endpoint="/v1/chat/completions", input_file_id=file_id, metadata={NAME: name}
            )

        made = self._call(send)
        return made if isinstance(made, Refused) else _seen(made, self._endpoint.shown)

    def has(self, name: str, *, since: float) -> bool:
        """Whether the endpoint has a batch of that name."""

        async def send(client: AsyncOpenAI) -> Any:
            return await _find(client, name, since) is not None

        return self._call(send) is True

    def get(self, batch: str) -> Seen:
        """How a batch is."""

        async def send(client: AsyncOpenAI) -> Any:
            return await client.batches.retrieve(batch)

        found = self._call(send)
        if isinstance(found, Refused):
            raise ProviderError(
                f"{self.name} does not know the batch `{batch}` ({found.said})",
                hint="use the key of the account that made it, or another store (`--answers`)",
            )
        return _seen(found, self._endpoint.shown)

    def download(self, file_id: str, path: Path) -> bool:
        """Writes a file of the endpoint to the disk, as it comes; False where it is no longer there."""
        import openai

        http = importlib.import_module(type(openai.DEFAULT_CONNECTION_LIMITS).__module__.partition(".")[0])

        async def send(client: AsyncOpenAI) -> Any:
            async with client.files.with_streaming_response.content(file_id) as response:
                with open(path, "wb") as file:
                    try:
                        async for chunk in response.iter_bytes(_CHUNK_BYTES):
                            file.write(chunk)
                    except http.HTTPError as error:  # the client names only those before the first byte
                        raise openai.APIConnectionError(request=response.http_request) from error
            return True

        return self._call(send) is True

    def _call(self, send: Callable[[AsyncOpenAI], Awaitable[Any]]) -> Any:
        import openai

        async def checked(client: AsyncOpenAI) -> Any:
            try:
                return await send(client)
            except openai.APIStatusError as error:
                if error.status_code in _PASSING or (error.status_code >= 500 and error.status_code not in _ABSENT):
                    raise
                return Refused(f"{error.status_code}: {self._endpoint.said(error)}", error.status_code in _ABSENT)

        try:
            return self._done(self._endpoint.call(checked, lambda reply, _: reply))
        except Failed as failed:
            raise ProviderError(
                f"{self.name} fails at its batches ({failed.message})",
                hint="run again: what was sent and answered is kept",
            ) from None

    def _done(self, work: Coroutine[Any, Any, T]) -> T:
        future = self._background.start(work)
        try:
            while not future.done():
                futures.wait([future], _POLL_S)
        except BaseException:
            future.cancel()
            raise
        return future.result()


async def _find(client: AsyncOpenAI, name: str, since: float) -> Any:
    """The batch with our name in its metadata; the endpoint lists the newest first."""
    async for batch in client.batches.list(limit=100):
        if (batch.metadata or {}).get(NAME) == name:
            return batch
        if batch.created_at < since - _CLOCKS_DIFFER_S:
            break
    return None


def _seen(batch: Any, shown: Callable[[str], str]) -> Seen:
    counts = batch.request_counts
    errors = batch.errors.data if batch.errors is not None and batch.errors.data else []
    told = [f"{error.code}: {error.message}" for error in errors]
    return Seen(
        id=str(batch.id),
        status=str(batch.status),
        completed=(counts.completed or 0) if counts is not None else 0,
        failed=(counts.failed or 0) if counts is not None else 0,
        output_file_id=batch.output_file_id,
        error_file_id=batch.error_file_id,
        errors="; ".join(shown(text) for text in told[:3]),
        crowded=batch.status == "failed" and any(_CROWDED.search(text) for text in told),
    )
