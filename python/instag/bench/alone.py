"""One contender in a process of its own: `python -m instag.bench.alone MODULE CONTENDER SAMPLES|FOLDER [SETTING...]`.

With SAMPLES it makes the input and starts itself on it, once: seconds and peak, or the error. With the FOLDER of an
input it serves `racing`: an empty line on stdin is a run, another the file to leave the answer in; each is answered by
a line of JSON, once the process is at rest. There allocations beyond `LIMIT_BYTES` fail.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import pickle
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from instag.bench import racing
from instag.memory import peak_memory_bytes

LIMIT_BYTES = 12 << 30

_SHORT_SECONDS = 0.1  # a run that took less has little to free
_WINDOW_SECONDS = 0.1
_IDLE_SHARE = 0.02  # of a window, in which the interpreter alone waits
_CALM_WINDOWS = 5  # in a row
_REST_SECONDS = 5.0


class Alone:
    """A contender with its form of the input, ready to run."""

    def __init__(self, contender: racing.Contender, folder: Path, settings: list[float]) -> None:
        self._contender, self._settings = contender, settings
        self._form = contender.prepare(folder)
        self._answer: Any = None

    def run(self) -> dict[str, Any]:
        """Seconds of one run, and the peak of the process so far in bytes; the last answer is freed before."""
        self._answer = None
        gc.collect()
        start = time.perf_counter()
        self._answer = self._contender.run(self._form, *self._settings)
        seconds = time.perf_counter() - start
        if seconds >= _SHORT_SECONDS:
            _rest()
        return {"seconds": seconds, "peak_memory_bytes": peak_memory_bytes()}

    def leave(self, path: str) -> dict[str, Any]:
        """Writes what is to be compared of the last answer."""
        with open(path, "wb") as file:
            pickle.dump(self._contender.told(self._answer), file, protocol=5)
        return {}


def _rest() -> None:
    """Waits until this process is idle, up to a limit: some go on freeing memory for a while behind their answer.

    The next in turn would pay for it: beside `scan_ndjson`, whose allocator gives gigabytes back in its own threads,
    readers took a quarter longer than beside others.
    """
    calm, until = 0, time.monotonic() + _REST_SECONDS
    while calm < _CALM_WINDOWS and time.monotonic() < until:
        before = time.process_time()
        time.sleep(_WINDOW_SECONDS)
        calm = calm + 1 if time.process_time() - before < _IDLE_SHARE * _WINDOW_SECONDS else 0


def limit_memory(most_bytes: int) -> None:
    """Lets every allocation beyond `most_bytes` fail. Of memory that can be written to: reserved addresses are free."""
    try:
        import resource
    except ImportError:  # Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = most_bytes if hard == resource.RLIM_INFINITY else min(most_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def said(error: BaseException) -> str:
    """An exception as one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def main() -> None:
    """Tells what went wrong as JSON too: the peers raise what they like."""
    module, name, where, *settings = sys.argv[1:]
    values = [float(setting) if "." in setting else int(setting) for setting in settings]
    home = import_module(module)
    contender: racing.Contender = home.CONTENDERS[name]
    if where.isdecimal():
        with tempfile.TemporaryDirectory(prefix="instag-bench-") as folder:
            home.make(Path(folder), int(where))
            try:
                with contextlib.closing(racing.Process(module, name, contender, Path(folder), values)) as process:
                    print(json.dumps(dict(zip(("seconds", "peak_memory_bytes"), process.run(), strict=True))))
            except racing.Failed as failed:
                raise SystemExit(f"{name}: {failed}") from None
        return
    limit_memory(LIMIT_BYTES)
    answers = os.fdopen(os.dup(1), "w")  # a peer that prints has stderr
    os.dup2(2, 1)
    try:
        alone = Alone(contender, Path(where), values)
        print("{}", file=answers, flush=True)
        for line in sys.stdin:
            told = alone.leave(line.rstrip("\n")) if line.strip() else alone.run()
            print(json.dumps(told), file=answers, flush=True)
    except Exception as error:
        print(json.dumps({"error": said(error)}), file=answers, flush=True)


if __name__ == "__main__":
    main()
