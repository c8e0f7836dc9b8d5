"""Ours and the peers in turn, several runs each: median, ratio with its spread, peak memory, and the same answer.

Contenders on a tag table are pairs of functions: one makes the form of the rows that the contender likes, the other is
timed. `race` runs two of them, and each once more in a process of its own, whose peak memory is then theirs.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = tuple[NDArray[np.int64], NDArray[np.uint32], int]  # offsets, ids, size of the vocabulary

# (what makes its form of the rows, what is timed: called with that form and the settings)
Contender = tuple[Callable[..., Any], Callable[..., Any]]


@dataclass(frozen=True)
class Timed:
    """One contender's runs: wall seconds a run, and the most memory it took beyond what stood before, in MiB."""

    name: str
    seconds: tuple[float, ...]
    peak_mib: float | None

    @property
    def median(self) -> float:
        """The median of the runs, in seconds."""
        return median(self.seconds)


@dataclass(frozen=True)
class Comparison:
    """One task, one size: ours against one peer. `ratios` holds peer / ours, run by run."""

    task: str
    samples: int
    ours: Timed
    peer: Timed
    target: float | None = None  # the ratio that the project promises

    @property
    def ratios(self) -> tuple[float, ...]:
        """Peer's seconds / ours, of runs beside each other; a peer that ran once stands beside each of ours."""
        peers = self.peer.seconds * (len(self.ours.seconds) if len(self.peer.seconds) == 1 else 1)
        return tuple(peer / ours for peer, ours in zip(peers, self.ours.seconds, strict=False))

    @property
    def met(self) -> bool | None:
        """Whether the median ratio reaches the target; None where there is none."""
        return None if self.target is None else median(self.ratios) >= self.target


def compare(
    task: str,
    samples: int,
    ours: Callable[[], Any],
    peer: Callable[[], Any],
    *,
    peer_name: str,
    same: Callable[[Any, Any], bool],
    runs: int = 5,
    peer_runs: int | None = None,
    target: float | None = None,
) -> Comparison:
    """Runs `ours` and `peer` in turn and holds their answers equal by `same`; raises where they differ.

    `peer_runs` (by default `runs`) may be 1 where a peer takes minutes. One more run of ours comes first, untimed.
    """
    ours()
    seconds: dict[str, list[float]] = {"instag": [], peer_name: []}
    peaks: dict[str, list[float]] = {"instag": [], peer_name: []}
    answers: dict[str, Any] = {}
    for run in range(runs):
        for name, call in (("instag", ours), (peer_name, peer)):
            if name == peer_name and run >= (runs if peer_runs is None else peer_runs):
                continue
            answers.pop(name, None)
            gc.collect()
            before = _reset_peak()
            start = time.perf_counter()
            answers[name] = call()
            seconds[name].append(time.perf_counter() - start)
            if before is not None:
                peaks[name].append(_memory("VmHWM") - before)
    if not same(answers["instag"], answers[peer_name]):
        raise AssertionError(f"{task}, {samples:,} samples: instag and {peer_name} give different answers")
    timed = [Timed(name, tuple(seconds[name]), max(peaks[name], default=None)) for name in seconds]
    return Comparison(task, samples, timed[0], timed[1], target)


@contextmanager
def saved(rows: Rows) -> Iterator[str]:
    """A folder with the rows, for processes that `race` starts."""
    with tempfile.TemporaryDirectory() as folder:
        for name, array in zip(("offsets", "ids", "size"), rows, strict=True):
            np.save(Path(folder, name), array)
        yield folder


def race(
    module: str,
    contenders: dict[str, Contender],
    names: tuple[str, str],
    task: str,
    rows: Rows,
    folder: str,
    *settings: float,
    **options: Any,
) -> Comparison:
    """`compare` for two contenders of a module (its `__file__`), ours first, with the peaks of fresh processes."""
    calls = []
    for name in names:
        prepare, run = contenders[name]
        form = prepare(*rows)
        calls.append(lambda run=run, form=form: run(form, *settings))
    done = compare(task, len(rows[0]) - 1, *calls, peer_name=names[1], **options)
    calls.clear()
    del form
    timed = []
    for name, runs in zip(names, (done.ours, done.peer), strict=True):
        alone = [sys.executable, module, name, folder, *map(str, settings)]
        peak = subprocess.run(alone, stdout=subprocess.PIPE, text=True, check=True).stdout
        timed.append(replace(runs, peak_mib=float(peak)))
    return replace(done, ours=timed[0], peer=timed[1])


def run_alone(contenders: dict[str, Contender]) -> None:
    """The main program of such a module, `MODULE CONTENDER FOLDER SETTING...`: one run, and its peak memory in MiB.

    All of the process: Python, the packages, the rows as arrays, the contender's form of them, and the run.
    """
    name, folder, *settings = sys.argv[1:]
    prepare, run = contenders[name]
    offsets, ids, size = (np.load(Path(folder, f"{part}.npy")) for part in ("offsets", "ids", "size"))
    _reset_peak()
    run(prepare(offsets, ids, int(size)), *(float(value) if "." in value else int(value) for value in settings))
    print(_memory("VmHWM"))


def table(comparisons: list[Comparison]) -> str:
    """The comparisons as a Markdown table: medians, the ratio and its smallest and largest run."""
    lines = ["| task | samples | instag | peer | | ratio (spread) | promised | MiB: instag | peer |"]
    lines += ["|---|--:|--:|---|--:|--:|--:|--:|--:|"]
    for c in comparisons:
        ratio = f"{median(c.ratios):,.3g}x ({min(c.ratios):,.3g} - {max(c.ratios):,.3g})"
        promised = "" if c.target is None else f"{c.target:g}x {'met' if c.met else 'MISSED'}"
        memory = [("" if t.peak_mib is None else f"{t.peak_mib:,.0f}") for t in (c.ours, c.peer)]
        times = [_seconds(t.median) for t in (c.ours, c.peer)]
        cells = [c.task, f"{c.samples:,}", times[0], c.peer.name, times[1], ratio, promised, *memory]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _seconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _reset_peak() -> float | None:
    """Memory now in MiB, the kernel's high-water mark set back to it; None where the system has no such thing."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return _memory("VmRSS")


def _memory(field: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024
