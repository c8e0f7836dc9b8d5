"""Sees to it that every query has an answer in the store, or a failure: slots that send, one writer that commits.

A slot sends its next request only when its last answer is committed; the writer commits whatever has arrived since its
last commit, in a thread. So a kill repeats at most the requests in flight, and the disk is no limit.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from instag.answers import Answer, AnswerStore
from instag.endpoint import Endpoint, Failed
from instag.errors import InstagError, ProviderError
from instag.tagger import Progress, ProgressHook

JUDGED_FROM = 100  # answers before the share of failures says anything

_EXAMPLES = 3
_EXAMPLE_CHARS = 160
_REPORT_S = 0.1


class Asking:
    """The requests of one call: `ask(endpoint, position)` gives an answer or raises `Failed`.

    `reason(answer)` tells why an answer can't be read, or None. `failed` holds the requests without an answer, by
    position; `asked`, the tokens and `models` (as the replies name them) count what was answered now.
    """

    def __init__(
        self,
        store: AnswerStore,
        ask: Callable[[Endpoint, int], Awaitable[Answer]],
        reason: Callable[[Answer], str | None],
        *,
        concurrency: int,
        max_failure_rate: float,
        reused: int = 0,
        progress: ProgressHook | None = None,
    ) -> None:
        self.failed: dict[int, Failed] = {}
        self.asked = self.prompt_tokens = self.completion_tokens = 0
        self.models: set[str] = set()
        self._store = store
        self._ask = ask
        self._reason = reason
        self._concurrency = concurrency
        self._max_failure_rate = max_failure_rate
        self._reused = reused
        self._progress = progress
        self._total = reused
        self._in_flight = self._unread = 0
        self._examples: list[tuple[str, str]] = []
        self._ending: InstagError | None = None
        self._stopping = False
        self._reported = 0.0
        self._arrived: list[tuple[Answer, asyncio.Future[None]]] = []

    async def run(self, endpoint: Endpoint, positions: Sequence[int], stop: asyncio.Event) -> None:
        """Asks for every position, until `stop`; whatever ends it, all that arrived is committed before it returns.

        Raises `ProviderError` where the endpoint is of no use or too much fails, `ArtifactError` where the store is.
        """
        self._total = self._reused + len(positions)
        self._wake = asyncio.Event()
        self._closing = False
        work = iter(positions)
        async with endpoint:
            writer = asyncio.create_task(self._write())
            slots = [asyncio.create_task(self._slot(endpoint, work)) for _ in range(self._concurrency)]
            stopped = asyncio.create_task(stop.wait())
            try:
                waiting: set[asyncio.Task[Any]] = {*slots, stopped}
                while not stop.is_set() and len(waiting) > 1:
                    done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        task.result()  # raises what ended it
            finally:
                self._stopping = True
                for task in (*slots, stopped):
                    task.cancel()
                await asyncio.gather(*slots, stopped, return_exceptions=True)
                self._closing = True
                self._wake.set()
                await writer
        self._report(last=True)
        if self._ending is not None:
            raise self._ending
        useless = self.failed and all(failed.reason in ("timeout", "provider") for failed in self.failed.values())
        if useless and not endpoint.answered and not stop.is_set():
            said = list(dict.fromkeys(failed.message for failed in self.failed.values()))
            raise ProviderError(
                f"{endpoint.name} answered none of {len(self.failed):,} queries; it says\n  "
                + "\n  ".join(said[:_EXAMPLES]),
                hint="check the model and the base URL",
            )

    async def _slot(self, endpoint: Endpoint, work: Iterator[int]) -> None:
        for at in work:
            self._in_flight += 1
            try:
                answer = await self._ask(endpoint, at)
                await self._commit(answer)
            except Failed as failed:
                self.failed[at] = failed
                self._examples.append((failed.reason, failed.message))
            else:
                self._tally(answer)
            finally:
                self._in_flight -= 1
            judged, failures = self.asked + len(self.failed), self._unread + len(self.failed)
            if judged >= JUDGED_FROM and failures > self._max_failure_rate * judged and self._ending is None:
                self._ending = too_many_failures(failures, judged, self._max_failure_rate, self._examples)
            if self._ending is not None:
                return  # the other slots end with the request they have out: it is being paid for
            if self._stopping:
                return  # before Python 3.12 `wait_for` swallows a cancellation that comes together with the reply
            self._report()

    def _tally(self, answer: Answer) -> None:
        self.asked += 1
        self.prompt_tokens += answer.prompt_tokens or 0
        self.completion_tokens += answer.completion_tokens or 0
        if answer.model:
            self.models.add(answer.model)
        reason = self._reason(answer)
        if reason is not None:
            self._unread += 1
            self._examples.append((reason, answer.answer or answer.refusal or "no text"))
        del self._examples[_EXAMPLES:]

    async def _commit(self, answer: Answer) -> None:
        """Returns when the answer is on the disk."""
        committed = asyncio.get_running_loop().create_future()
        self._arrived.append((answer, committed))
        self._wake.set()
        await committed

    async def _write(self) -> None:
        while self._arrived or not self._closing:
            await self._wake.wait()
            self._wake.clear()
            batch, self._arrived = self._arrived, []
            if not batch:
                continue
            error: BaseException | None = None
            try:
                await asyncio.to_thread(self._store.put, [answer for answer, _ in batch])
            except InstagError as refused:
                error = refused
            waiting = [committed for _, committed in batch if not committed.done()]
            for committed in waiting:
                if error is None:
                    committed.set_result(None)
                else:
                    committed.set_exception(error)
            if error is not None and not waiting:
                raise error  # nobody is left to hear of it

    def _report(self, *, last: bool = False) -> None:
        if self._progress is None or (not last and time.monotonic() - self._reported < _REPORT_S):
            return
        self._reported = time.monotonic()
        done, failed = self._reused + self.asked + len(self.failed), self._unread + len(self.failed)
        tokens = self.prompt_tokens, self.completion_tokens
        self._progress(Progress(done, self._total, failed, self._in_flight, *tokens))


def too_many_failures(failed: int, of: int, limit: float, examples: Sequence[tuple[str, str]]) -> ProviderError:
    """The error that stops a run: how many, the limit, and three examples as (reason, text)."""
    shown = "".join(f"\n  {reason}: {' '.join(text.split())[:_EXAMPLE_CHARS]}" for reason, text in examples[:_EXAMPLES])
    return ProviderError(
        f"{failed:,} of {of:,} queries failed, more than the limit of {limit:.0%}; for example{shown}",
        hint="look at the examples; with a higher `--max-failure-rate` the run goes on from what is kept",
    )
