"""What a comparison found: seconds and peaks of ours and a peer, the ratio with its spread; as a table, as JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

import instag


@dataclass(frozen=True)
class Timed:
    """One contender's runs: wall seconds a run, and the peak memory in bytes of its process through the first one."""

    name: str
    seconds: tuple[float, ...] = ()
    peak_memory_bytes: int | None = None

    @property
    def median(self) -> float:
        """The median of the runs, in seconds."""
        return median(self.seconds)


@dataclass(frozen=True)
class Comparison:
    """One task, one size: ours against one peer, or why there is no peer (`error`) and what shows it (`command`)."""

    task: str
    samples: int
    ours: Timed
    peer: Timed
    target: float | None = None  # the ratio that the project promises
    error: str | None = None
    command: str | None = None
    packages: tuple[str, ...] = ()  # what the peer is made of, as pip knows it

    @property
    def ratios(self) -> tuple[float, ...]:
        """Peer's seconds / ours, of runs beside each other; a peer that ran once stands beside each of ours."""
        peers = self.peer.seconds * (len(self.ours.seconds) if len(self.peer.seconds) == 1 else 1)
        return tuple(peer / ours for peer, ours in zip(peers, self.ours.seconds, strict=False))

    @property
    def met(self) -> bool | None:
        """Whether the median ratio reaches the target; None where there is none, or no peer."""
        return None if self.target is None or not self.ratios else median(self.ratios) >= self.target

    @property
    def row(self) -> str:
        """The comparison as a row of the Markdown table."""
        ratio, promised, peer_time = "", "", ""
        if self.ratios:
            ratio = f"{_three(median(self.ratios))}x ({_three(min(self.ratios))} - {_three(max(self.ratios))})"
            promised = "" if self.target is None else f"{self.target:.3g}x {'met' if self.met else 'MISSED'}"
        if self.error is not None:
            peer_time = self.error.replace("|", "/") + (f" (`{self.command}`)" if self.command else "")
        elif self.peer.seconds:
            peer_time = _seconds(self.peer.median)
        ours = _seconds(self.ours.median) if self.ours.seconds else ""
        memory = [_mebibytes(timed.peak_memory_bytes) for timed in (self.ours, self.peer)]
        cells = [self.task, f"{self.samples:,}", ours, self.peer.name, peer_time, ratio, promised, *memory]
        return "| " + " | ".join(cells) + " |"

    def as_json(self) -> dict[str, Any]:
        """The comparison as an object, for `--json`."""
        sides = {
            side: {"name": timed.name, "seconds": timed.seconds, "peak_memory_bytes": timed.peak_memory_bytes}
            for side, timed in (("instag", self.ours), ("peer", self.peer))
        }
        found = self.ratios
        ratio = {"median": median(found), "min": min(found), "max": max(found)} if found else None
        told = {"ratio": ratio, "promised": self.target, "met": self.met, "error": self.error, "command": self.command}
        versions = {name: _version(name) for name in ("instag", "numpy", "polars", *self.packages)}
        return {"task": self.task, "samples": self.samples, **sides, **told, "versions": versions, "machine": machine()}


HEADER = "| task | samples | instag | peer | | ratio (spread) | promised | MiB: instag | peer |"
RULE = "|---|--:|--:|---|--:|--:|--:|--:|--:|"


def table(comparisons: Sequence[Comparison]) -> str:
    """The comparisons as a Markdown table: medians, the ratio and its smallest and largest run."""
    return "\n".join([HEADER, RULE, *(comparison.row for comparison in comparisons)])


def machine() -> dict[str, Any]:
    """What the runs ran on."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def told_machine() -> str:
    """What the runs ran on, and our version, as one line."""
    told = machine()
    processor = f" ({told['processor']})" if told["processor"] else ""
    cores = f"{told['cores']} cores, {told['architecture']}{processor}"
    return f"instag {_version('instag')}; {cores}, Python {told['python']}"


def _processor() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or None
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), None)


def _version(name: str) -> str | None:
    if name == "instag":  # also where it is not installed but on the path
        return str(instag.__version__)
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _three(value: float) -> str:
    """Three digits, or the whole number where it has more."""
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.3g}"


def _seconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _mebibytes(count: int | None) -> str:
    return "" if count is None else f"{count / 2**20:,.0f}"
