"""An event loop of its own in a thread: async work from plain code, and from inside a running loop (Jupyter)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

_POLL_S = 0.2  # a wait without an end does not hear Ctrl-C on every system


def run_in_thread(work: Callable[[asyncio.Event], Coroutine[Any, Any, T]]) -> T:
    """Runs `work(stop)` in a new loop in a new thread to its end, and gives back its result or raises its error.

    On Ctrl-C `stop` is set, and `KeyboardInterrupt` is raised once the work has wound up by itself; a second Ctrl-C
    does not wait for that.

    >>> async def answer(stop): return 42
    >>> run_in_thread(answer)
    42
    """
    results: list[T] = []
    errors: list[BaseException] = []
    opened: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
    done = threading.Event()

    async def main() -> None:
        stop = asyncio.Event()
        opened.append((asyncio.get_running_loop(), stop))
        results.append(await work(stop))

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=run, name="instag", daemon=True)
    thread.start()
    try:
        while not done.wait(_POLL_S):
            pass
    except KeyboardInterrupt:
        while not done.is_set():  # again and again: the loop may not have opened yet, or be closing
            for loop, stop in opened:
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(stop.set)
            done.wait(_POLL_S)
        raise
    if errors:
        raise errors[0]
    return results[0]
