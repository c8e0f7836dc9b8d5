"""Sees to it that every request has an answer in the store, or a failure.

As many are out as the endpoint bears, and one writer commits. A request makes room for the next one only when its
answer is committed; the writer commits whatever has arrived since its last commit, in a thread. So a kill repeats at
most the requests in flight, and the disk is no limit.

The loop lives in a thread of its own; requests are fed from plain code, some at a time, so that a pool need not fit
into memory.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple

from instag.answers import Answer, AnswerStore
from instag.background import Background, give_up
from instag.endpoint import Endpoint, Failed
from instag.errors import InstagError, ProviderError
from instag.spending import Spending
from instag.tagger import Progress, ProgressHook

JUDGED_FROM = 100  # answers before the share of failures says anything

_FOR_GOOD = ("too_long", "content_filter")
EXAMPLES = 3  # of failures, shown where they stop a run
_EXAMPLE_CHARS = 160
_REPORT_S = 0.1
_POLL_S = 0.2  # a wait without an end does not hear Ctrl-C on every system


@dataclass(frozen=True)
class Request:
    """What is asked, the key its answer is kept by, and about how many tokens its prompt has."""

    key: bytes
    text: str
    prompt_tokens: int = 0


class Failure(NamedTuple):
    """Why a request has no answer: one of `replies.REASONS`, and what was said."""

    reason: str
    message: str


@dataclass
class Batch:
    """Requests that were fed together; `left` of them have neither an answer nor failed yet."""

    left: int


class Asking:
    """The requests of one call: `ask(endpoint, request)` gives an answer or raises `Failed`.

    `reason(answer)` tells why an answer can't be read, or None. `failed` holds the requests without an answer, by key;
    `asked`, `spending` and `models` (as the replies name them) tell of what was answered now. `reused` counts the
    answers that were there, for the progress and the share of failures; with `replace` an answer takes the place of
    the one in the store. Used in a `with`, whose end waits for all that was fed; where it is left by an error or
    Ctrl-C, what is in flight is given up and what has arrived is committed.
    """

    def __init__(
        self,
        store: AnswerStore,
        endpoint: Endpoint,
        ask: Callable[[Endpoint, Request], Awaitable[Answer]],
        reason: Callable[[Answer], str | None],
        *,
        spending: Spending,
        max_failure_rate: float,
        replace: bool = False,
        progress: ProgressHook | None = None,
        total: int | None = None,
    ) -> None:
        self.failed: dict[bytes, Failure] = {}
        self._failures: dict[Failure, Failure] = {}  # each once: the same happens to many
        self.asked = self.reused = 0
        self.spending = spending
        self.models: set[str] = set()
        self._store, self._endpoint, self._ask, self._reason = store, endpoint, ask, reason
        self._max_failure_rate = max_failure_rate
        self._replace = replace
        self._progress = progress
        self._total = total
        self._unread = self._for_good = 0  # answers that can't be read; requests that no other attempt will help
        self._examples: list[tuple[str, str]] = []
        self._waiting: deque[tuple[Request, Batch]] = deque()
        self._out: set[asyncio.Task[None]] = set()
        self._arrived: list[tuple[Answer, asyncio.Future[None]]] = []
        self._ending: BaseException | None = None  # nothing is sent any more; what is out ends by itself
        self._closing = self._stopping = False
        self._writing = True
        self._alarm: asyncio.TimerHandle | None = None  # rings when the caps a minute have room again
        self._reported = 0.0
        self._changed = threading.Condition()
        self._fed: set[bytes] = set()  # neither answered nor failed yet
        self._wake, self._written = asyncio.Event(), asyncio.Event()

    def __enter__(self) -> Asking:
        self._background = Background().__enter__()
        self._running = self._background.start(self._run())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping = error is not None
        self._background.call(self._close)
        try:
            self._until(self._running.done)
        except BaseException:  # Ctrl-C while the last ones are awaited; a second one ends it here
            self._stopping = True
            self._background.call(self._nudge)
            self._until(self._running.done)
            raise
        finally:
            self._background.__exit__(kind, error, traceback)
        if error is None:
            self._running.result()

    def has(self, key: bytes) -> bool:
        """Whether the request of this key was fed, and has no answer in the store (yet)."""
        return key in self._fed or key in self.failed

    def feed(self, requests: Iterable[Request]) -> Batch:
        """Takes requests that `has` does not know, and whose answers in the store, if any, are to be replaced."""
        batch = Batch(0)
        found = [(request, batch) for request in requests]
        batch.left = len(found)
        if found:
            self._fed.update(request.key for request, _ in found)
            self._background.call(self._take, found)
        return batch

    def wait(self, batch: Batch, *, backlog: int) -> bool:
        """Returns whether the batch is done, once it is or fewer than `backlog` requests wait to be sent.

        Raises what ended the asking: `ProviderError` where the endpoint is of no use or too much fails, `ArtifactError`
        where the store is.
        """
        self._until(lambda: batch.left == 0 or len(self._waiting) < backlog or self._running.done())
        if self._running.done():
            self._running.result()
        return batch.left == 0

    def _until(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            while not condition():
                self._changed.wait(_POLL_S)

    def _take(self, found: Sequence[tuple[Request, Batch]]) -> None:
        self._waiting.extend(found)
        self._nudge()

    def _close(self) -> None:
        """In the loop, so that what was fed right before is taken first."""
        self._closing = True
        self._nudge()

    def _nudge(self) -> None:
        self._wake.set()

    async def _run(self) -> None:
        async with self._endpoint:
            writer = asyncio.create_task(self._write())
            try:
                while not self._stopping and not (self._closing and not self._waiting and not self._out):
                    self._send()
                    if self._ending is not None and not self._out:
                        break
                    await self._wake.wait()
                    self._wake.clear()
            finally:
                self._stopping = True
                await give_up(self._out)
                self._writing = False
                self._written.set()
                await writer
        self._report(last=True)
        if self._ending is not None:
            raise self._ending
        useless = self.failed and all(failed.reason in ("timeout", "provider") for failed in self.failed.values())
        if useless and not self._endpoint.answered and self._closing:
            said = list(dict.fromkeys(failed.message for failed in self.failed.values()))
            raise ProviderError(
                f"{self._endpoint.name} answered none of {len(self.failed):,} queries; it says\n  "
                + "\n  ".join(said[:EXAMPLES]),
                hint="check the model and the base URL",
            )

    def _send(self) -> None:
        """Sends what waits, as far as there is room."""
        room = self._endpoint.limiter.limit - len(self._out)
        while self._waiting and room > 0 and self._ending is None:
            request, batch = self._waiting[0]
            tokens = request.prompt_tokens + self.spending.mean_completion
            if (wait_s := self._endpoint.pacer.wait_s(tokens)) > 0:
                if self._alarm is None:
                    self._alarm = asyncio.get_running_loop().call_later(wait_s, self._ring)
                return
            if not self.spending.hold(request.key, request.prompt_tokens):
                if not self._out:  # else an answer may leave something of what is held back for it
                    self._ending = self.spending.reached(len(self._waiting))
                return
            self._endpoint.pacer.take(tokens)
            del self._waiting[0]
            task = asyncio.create_task(self._one(request, batch))
            self._out.add(task)
            task.add_done_callback(self._ended)
            room -= 1

    def _ring(self) -> None:
        self._alarm = None
        self._nudge()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._out.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._ending, self._stopping = error, True  # of no use to any request: what is out is given up
        self._nudge()

    async def _one(self, request: Request, batch: Batch) -> None:
        try:
            answer = await self._ask(self._endpoint, request)
            await self._commit(answer)
        except Failed as failed:
            failure = Failure(failed.reason, failed.message)  # the exception itself would keep all it passed through
            self.failed[request.key] = self._failures.setdefault(failure, failure)
            self._for_good += failed.reason in _FOR_GOOD
            self._examples.append((failed.reason, failed.message))
        else:
            self._tally(answer)
        del self._examples[EXAMPLES:]
        self._judge()
        self._out.discard(asyncio.current_task())
        self.spending.release(request.key)
        self._report()
        self._fed.discard(request.key)
        with self._changed:
            batch.left -= 1
            self._changed.notify_all()

    def _judge(self) -> None:
        """Ends it where too much fails: of all queries so far, or of those asked now for the first time.

        What failed for good before a run was stopped (and what `replace` is about) is asked again all at once: that
        share says nothing, so of those only the whole counts.
        """
        judged, failures = self.asked + len(self.failed), self._unread + len(self.failed)
        if judged < JUDGED_FROM or self._ending is not None:
            return
        for failed, of in (
            (0 if self._replace else failures - self._for_good, judged),
            (failures, judged + self.reused),
        ):
            if failed > self._max_failure_rate * of:
                self._ending = too_many_failures(failed, of, self._max_failure_rate, self._examples)

    def _tally(self, answer: Answer) -> None:
        self.asked += 1
        self.spending.add(answer)
        if answer.model:
            self.models.add(answer.model)
        reason = self._reason(answer)
        if reason is not None:
            self._unread += 1
            self._examples.append((reason, answer.answer or answer.refusal or "no text"))

    async def _commit(self, answer: Answer) -> None:
        """Returns when the answer is on the disk."""
        committed = asyncio.get_running_loop().create_future()
        self._arrived.append((answer, committed))
        self._written.set()
        await committed

    async def _write(self) -> None:
        while self._arrived or self._writing:
            await self._written.wait()
            self._written.clear()
            batch, self._arrived = self._arrived, []
            if not batch:
                continue
            error: BaseException | None = None
            try:
                answers = [answer for answer, _ in batch]
                await asyncio.to_thread(self._store.put, answers, replace=self._replace)
            except InstagError as refused:
                error = refused
            waiting = [committed for _, committed in batch if not committed.done()]
            for committed in waiting:
                if error is None:
                    committed.set_result(None)
                else:
                    committed.set_exception(error)
            if error is not None and not waiting and self._ending is None:
                self._ending = error  # nobody else is left to hear of it

    def _report(self, *, last: bool = False) -> None:
        if self._progress is None or (not last and time.monotonic() - self._reported < _REPORT_S):
            return
        self._reported = time.monotonic()
        done, failed = self.reused + self.asked + len(self.failed), self._unread + len(self.failed)
        spending = self.spending
        total = self._total or done + len(self._waiting) + len(self._out)
        more = spending.expected_usd(total - done)
        self._progress(
            Progress(
                done,
                total,
                failed,
                len(self._out),
                spending.prompt_tokens,
                spending.completion_tokens,
                usd=spending.usd,
                expected_usd=None if more is None or spending.usd is None else spending.usd + more,
            )
        )


def too_many_failures(failed: int, of: int, limit: float, examples: Sequence[tuple[str, str]]) -> ProviderError:
    """The error that stops a run: how many, the limit, and three examples as (reason, text)."""
    shown = "".join(f"\n  {reason}: {' '.join(text.split())[:_EXAMPLE_CHARS]}" for reason, text in examples[:EXAMPLES])
    return ProviderError(
        f"{failed:,} of {of:,} queries failed, more than the limit of {limit:.0%}; for example{shown}",
        hint="look at the examples; with a higher `--max-failure-rate` the run goes on from what is kept",
    )
