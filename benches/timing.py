"""Ours and the peers in turn, several runs each: median, ratio with its spread, peak memory, and the same answer."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any


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
