"""Ours and the peers in turn, each in a process of its own that stays warm: its seconds, its peak, the same answer.

A contender makes of the input in a folder the form that it likes, and is then timed. A peer that is not installed,
fails, or passes a limit (`LIMIT_SECONDS` a step here, `LIMIT_BYTES` in `alone`) is a row of the table that says so.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import pickle
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from instag.bench.timing import Comparison, Timed
from instag.errors import InstagError
from instag.progress import Talk

LIMIT_SECONDS = 300.0

# What pip calls what Python imports, where they differ.
_PACKAGES = {
    "Stemmer": "PyStemmer",
    "apricot": "apricot-select",
    "efficient_apriori": "efficient-apriori",
    "faiss": "faiss-cpu",
    "fim": "pyfim",
    "submodlib": "submodlib-py",
}

# Lines on stderr that say something, not the frames of a backtrace and what Rust says about them.
_NO_FRAME = re.compile(r"^(?!\s*(?:\d+:|at |note:|stack backtrace))\s*\S.*$", re.MULTILINE)


@dataclass(frozen=True)
class Contender:
    """`prepare(folder)` makes a form of the input, `run(form, *settings)` is timed, `told` is what must be the same."""

    prepare: Callable[[Path], Any]
    run: Callable[..., Any]
    needs: tuple[str, ...] = ()  # modules to import; `cc` is the C compiler
    told: Callable[[Any], Any] = lambda answer: answer
    threads: int | None = None

    @property
    def packages(self) -> tuple[str, ...]:
        """What it needs, as pip knows it."""
        return tuple(_PACKAGES.get(name, name) for name in self.needs if name != "cc")

    @property
    def missing(self) -> str | None:
        """What to install before it can run."""
        if "cc" in self.needs and shutil.which("cc") is None:
            return "not installed: no C compiler `cc` on the PATH"
        names = [_PACKAGES.get(name, name) for name in self.needs if name != "cc" and not installed(name)]
        return f"not installed: pip install {' '.join(names)}" if names else None


def on_arrays(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of (offsets, ids, size, setting, ...), to run on the three as one form."""
    return lambda rows, *settings: function(*rows, *settings)


def first(answer: Any) -> Any:
    """Of several arrays, what the peers give too."""
    return answer[0]


def installed(module: str) -> bool:
    """Whether a module could be imported."""
    return importlib.util.find_spec(module) is not None


class Failed(Exception):  # noqa: N818 - not an error of ours, a row
    """A contender failed or passed a limit; the message is one line."""


class Process:
    """A contender in a process of its own, its form made; raises `Failed` with what went wrong."""

    def __init__(self, module: str, name: str, contender: Contender, folder: Path, settings: Sequence[float]) -> None:
        pools = ("RAYON_NUM_THREADS", "POLARS_MAX_THREADS")
        threads = dict.fromkeys(pools, str(contender.threads)) if contender.threads else {}
        path = os.pathsep.join(part for part in sys.path if part)  # what could be imported here can be there
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "instag.bench.alone", module, name, str(folder), *map(str, settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, **threads, "PYTHONPATH": path},
            start_new_session=True,  # so that what a peer started ends with it
        )
        self._passed = False
        try:
            self._reply()
        except BaseException:
            self.close()
            raise

    def run(self) -> tuple[float, int | None]:
        """Seconds of one run, and the peak of the process so far in bytes."""
        told = self._ask("")
        return told["seconds"], told["peak_memory_bytes"]

    def answer(self) -> Any:
        """The last answer."""
        with tempfile.TemporaryDirectory(prefix="instag-bench-") as folder:
            path = Path(folder, "answer")
            self._ask(str(path))
            return pickle.loads(path.read_bytes())

    def close(self) -> None:
        self._kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process.wait()
        self._errors.close()

    def _ask(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it is gone: what it said last tells why
            print(line, file=self._process.stdin, flush=True)
        return self._reply()

    def _reply(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        timer = threading.Timer(LIMIT_SECONDS, self._stop)
        timer.daemon = True  # interrupted here, nobody waits for it
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        told: dict[str, Any] = json.loads(line) if line else {"error": self._last_words()}
        if "error" in told:
            raise Failed(told["error"])
        return told

    def _stop(self) -> None:
        self._passed = True
        self._kill()

    def _kill(self) -> None:
        if sys.platform == "win32":
            self._process.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _last_words(self) -> str:
        code = self._process.wait()
        if self._passed:
            return f"passed {LIMIT_SECONDS:g} s"
        self._errors.seek(0)
        lines = _NO_FRAME.findall(self._errors.read().decode(errors="replace"))
        ended = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"{ended}: {lines[-1].strip()}" if lines else ended


class Course:
    """The contenders of a module over one input, made by `make(folder)` when the first race wants it.

    A context manager: the input goes with it. `remake` is what stands for it in the command of a row, the number of
    samples where the module can make it again.
    """

    def __init__(
        self,
        module: str,
        contenders: Mapping[str, Contender],
        samples: int,
        make: Callable[[Path], None],
        talk: Talk,
        *,
        remake: str | None = None,
    ) -> None:
        self._module, self._contenders, self._samples = module, contenders, samples
        self._make, self._talk, self._remake = make, talk, remake
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Course:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    @property
    def folder(self) -> Path:
        """Where the input is."""
        if self._folder is None:
            self._talk.line(f"making the input: {self._samples:,} samples")
            self._folder = tempfile.TemporaryDirectory(prefix="instag-bench-")
            self._make(Path(self._folder.name))
        return Path(self._folder.name)

    def race(
        self,
        ours: str,
        peer: str,
        *settings: float,
        same: Callable[[Any, Any], bool],
        task: str | None = None,
        runs: int = 5,
        peer_runs: int | None = None,
        target: float | None = None,
    ) -> Comparison:
        """Runs `ours` and `peer` in turn and holds their answers equal by `same`; `InstagError` where they differ.

        `peer_runs` (by default `runs`) may be 1 where a peer takes minutes; else each runs once untimed before.
        """
        task, rival = task or ours, self._contenders[peer]
        done = Comparison(task, self._samples, Timed("instag"), Timed(peer), target, packages=rival.packages)
        if rival.missing is not None:
            return replace(done, error=rival.missing)
        folder = self.folder
        self._talk.line(f"{task}, {self._samples:,} samples: beside {peer}")
        error, found = None, None
        with contextlib.closing(self._start(ours, folder, settings, kind=_Ours)) as mine:
            first, taken = mine.run(), [mine.run()]
            try:
                with contextlib.closing(self._start(peer, folder, settings)) as other:
                    its_first = other.run()
                    theirs = [its_first] if peer_runs == 1 else [other.run()]
                    while len(taken) < runs:
                        taken.append(mine.run())
                        if len(theirs) < (peer_runs or runs):
                            theirs.append(other.run())
                    found = other.answer()
            except Failed as failed:
                error = str(failed)
            answer = mine.answer() if error is None else None
        done = replace(done, ours=_timed("instag", first, taken))
        if error is not None:
            return replace(done, error=error, command=self._command(peer, settings))
        if not same(answer, found):
            raise InstagError(
                f"{task}, {self._samples:,} samples: instag and {peer} give different answers",
                hint="one of the two is wrong: please report it, with both versions",
            )
        return replace(done, peer=_timed(peer, its_first, theirs))

    def _start(self, name: str, folder: Path, settings: Sequence[float], kind: type[Process] = Process) -> Process:
        return kind(self._module, name, self._contenders[name], folder, settings)

    def _command(self, peer: str, settings: Sequence[float]) -> str | None:
        if self._remake is None:
            return None
        words = ["python", "-m", "instag.bench.alone", self._module, peer, self._remake, *map(str, settings)]
        return shlex.join(words)


class _Ours(Process):
    """A failure of ours is no row."""

    def _reply(self) -> dict[str, Any]:
        try:
            return super()._reply()
        except Failed as failed:
            raise InstagError(f"instag failed: {failed}") from None


def _timed(name: str, first: tuple[float, int | None], runs: Sequence[tuple[float, int | None]]) -> Timed:
    return Timed(name, tuple(seconds for seconds, _ in runs), first[1])
