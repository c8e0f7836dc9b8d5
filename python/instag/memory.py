"""How much memory this process has held at most, and how much is left: asked before work of a known size starts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from instag.errors import OutOfMemoryError

_CGROUPS = Path("/sys/fs/cgroup")


class MemoryWarning(UserWarning):
    """Work goes on in another way than with more memory, with the same result."""


def peak_memory_bytes() -> int | None:
    """The most memory this program has held, None where the system does not tell.

    Not `ru_maxrss` on Linux: there a process begins with that of the one it was started from.

    >>> peak_memory_bytes() > 1_000_000
    True
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def available_bytes() -> int | None:
    """The memory this process can still take: the least of what the system, its cgroups and `ulimit -v` leave.

    None where the system does not tell (Linux does). Pages that only repeat files count as free.
    """
    found = [left for left in (_of_system(), _of_cgroups(), _of_limit()) if left is not None]
    return max(min(found), 0) if found else None


def require(needed_bytes: int, what: str, *, hint: str) -> None:
    """Raises `OutOfMemoryError` where less is left than `what` must hold at once; a lower bound, not a promise.

    >>> require(2**60, "a table of all tags", hint="take fewer")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    instag.errors.OutOfMemoryError: a table of all tags needs 1,152,921,505 GB of memory, ... GB are left
    hint: take fewer
    """
    left = available_bytes()
    if left is not None and needed_bytes > left:
        raise OutOfMemoryError(f"{what} needs {_gb(needed_bytes)} of memory, {_gb(left)} are left", hint=hint)


def _gb(size: int) -> str:
    return f"{size / 1e9:,.0f} GB" if size >= 100e9 else f"{size / 1e9:.2f} GB"


def _of_system() -> int | None:
    return _member(Path("/proc/meminfo"), "MemAvailable:", 1024)


def _of_limit() -> int | None:
    """What the limit on addresses leaves (`ulimit -v`)."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY or sys.platform != "linux":
        return None
    used = _member(Path("/proc/self/status"), "VmSize:", 1024)
    return None if used is None else limit - used


def _of_cgroups() -> int | None:
    """What the memory cgroups of this process leave, version 1 or 2, those above it included."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    left = [found for line in lines for found in _of_cgroup(*line.split(":", 2))]
    return min(left, default=None)


def _of_cgroup(_: str, controllers: str, path: str) -> Iterator[int]:
    if controllers == "":
        top, limit, usage, idle = _CGROUPS, "memory.max", "memory.current", "inactive_file"
    elif "memory" in controllers.split(","):
        top, limit, usage = _CGROUPS / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        idle = "total_inactive_file"
    else:
        return
    folder = top / path.lstrip("/")
    # In a container the path may be one outside of it: then what is mounted is the group itself.
    for group in [folder, *folder.parents]:
        if group == top.parent:
            return
        most, used = _number(group / limit), _number(group / usage)
        if most is not None and used is not None:
            yield most - used + (_member(group / "memory.stat", idle, 1) or 0)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # `max` is no limit
        return None


def _member(path: Path, name: str, unit: int) -> int | None:
    """The number beside a name, in bytes."""
    try:
        for line in path.read_text().splitlines():
            if line.startswith(f"{name} ") or line.startswith(f"{name}\t"):
                return int(line.split()[1]) * unit
    except (OSError, ValueError, IndexError):
        pass
    return None
