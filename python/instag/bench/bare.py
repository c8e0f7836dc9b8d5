"""The yardsticks of `bare.c`: compiled here into a temporary folder, called by ctypes on the arrays that ours takes.

A yardstick that is slow is none: `scaled` gives the seconds that a bare loop took on the machine where the design was
made, scaled by what `np.bincount` of the same ids takes here; each comparison with a yardstick is held against it.
"""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from instag.bench import generate
from instag.progress import Talk

if TYPE_CHECKING:
    from numpy.typing import NDArray

COMMAND = ("cc", "-O3", "-march=native", "-shared", "-fPIC")
# `np.bincount` of 45 million int32 ids (third call) where the bare loops of the design were timed.
BINCOUNT_IDS, BINCOUNT_SECONDS = 45_000_000, 0.12
ROOM = 1_000_000  # candidate pairs


@cache
def library() -> dict[str, Any]:
    """The compiled yardsticks; `OSError` or `CalledProcessError` where there is no C compiler."""
    source = Path(__file__).with_name("bare.c")
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / "bare.so"
        subprocess.run([*COMMAND, "-o", str(built), str(source)], check=True)
        loaded = ctypes.CDLL(str(built))
    functions = {name: loaded[name] for name in ("complexity_first", "max_coverage", "pair_rules")}
    for function in functions.values():
        function.restype = ctypes.c_int64
    return functions


def complexity_first(offsets: NDArray[np.int64], ids: NDArray[np.uint32], size: int, k: int) -> NDArray[np.int64]:
    """Rows in pick order, by the one pass."""
    return _picked("complexity_first", offsets, ids, size, k)


def max_coverage(offsets: NDArray[np.int64], ids: NDArray[np.uint32], size: int, k: int) -> NDArray[np.int64]:
    """Rows in pick order, by a bucket queue."""
    return _picked("max_coverage", offsets, ids, size, k)


def pair_rules(
    offsets: NDArray[np.int64], ids: NDArray[np.uint32], size: int, min_count: int, min_confidence: float
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.int64]]:
    """(antecedents, consequents, rows with both), by antecedent, then consequent."""
    antecedents, consequents = np.empty(ROOM, np.uint32), np.empty(ROOM, np.uint32)
    joint = np.empty(ROOM, np.int64)
    settings = ctypes.c_int64(min_count), ctypes.c_double(min_confidence), ctypes.c_int64(ROOM)
    room = (_at(array) for array in (antecedents, consequents, joint))
    found = library()["pair_rules"](*_table(offsets, ids, size), *settings, *room)
    return antecedents[:found], consequents[:found], joint[:found]


def scaled(seconds: float, ids: NDArray[np.uint32]) -> float:
    """What took `seconds` where the bare loops of the design were timed, on this machine, now."""
    few = ids[:BINCOUNT_IDS].astype(np.int32)
    took = []
    for _ in range(3):
        start = time.perf_counter()
        np.bincount(few)
        took.append(time.perf_counter() - start)
    return seconds * took[-1] / (BINCOUNT_SECONDS * len(few) / BINCOUNT_IDS)


def say_scaled(what: str, seconds: float, folder: Path, talk: Talk) -> None:
    """Tells what the design's bare loop would take here, to hold the yardstick against."""
    there = scaled(seconds, generate.rows(folder)[1])
    talk.line(f"the design's {what} in C ({seconds:g} s) would take {there:.2f} s here")


def _picked(name: str, offsets: NDArray[np.int64], ids: NDArray[np.uint32], size: int, k: int) -> NDArray[np.int64]:
    rows = np.empty(k, np.int64)
    found: int = library()[name](*_table(offsets, ids, size), ctypes.c_int64(k), _at(rows))
    return rows[:found]


def _table(offsets: NDArray[np.int64], ids: NDArray[np.uint32], size: int) -> tuple[Any, ...]:
    return _at(offsets), _at(ids), ctypes.c_int64(len(offsets) - 1), ctypes.c_int64(size)


def _at(array: NDArray[Any]) -> Any:
    return array.ctypes.data_as(ctypes.c_void_p)
