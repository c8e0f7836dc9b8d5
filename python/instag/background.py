"""An event loop of its own in a thread: async work beside plain code, and inside a running loop (Jupyter)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")

_AGAIN_S = 1.0
_POLL_S = 0.2  # a wait without an end does not hear Ctrl-C on every system


class Background:
    """Runs coroutines in a loop in a thread, from `with` to its end.

    Leaving it waits for the loop to close; on Ctrl-C while waiting the thread is left to die with the process.

    >>> async def answer(): return 42
    >>> with Background() as background:
    ...     background.start(answer()).result()
    42
    """

    def __enter__(self) -> Background:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="instag", daemon=True)
        self._thread.start()
        return self

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Starts a coroutine; its result is the future's."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, function: Callable[..., object], *arguments: Any) -> None:
        """Has the loop call a function soon."""
        self._loop.call_soon_threadsafe(function, *arguments)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        while self._thread.is_alive():
            self._thread.join(_POLL_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()


async def give_up(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancels tasks and waits for their end, again and again: a cancellation may be lost. What they raise is dropped.

    `asyncio.wait_for` before Python 3.12 drops one that comes together with a result.
    """
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=_AGAIN_S)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # else asyncio tells that it was never retrieved
