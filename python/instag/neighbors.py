"""All pairs of vectors within a cosine distance: exactly, or through an HNSW index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from instag import _core
from instag.errors import ConfigError, DataError
from instag.progress import Advance, Talk

if TYPE_CHECKING:
    from numpy.typing import NDArray

Method = Literal["auto", "exact", "hnsw"]

# One block of the product: 16 Mi float32 values, 64 MiB, whatever the number of vectors.
BLOCK_VALUES = 1 << 24
# Past this many pairs (20 bytes each, three copies at the peak) the distance is too wide for any vocabulary.
MAX_PAIRS = 50_000_000

HNSW_LINKS, HNSW_WIDTH, HNSW_SEED = 32, 200, 100
# Rows that an index takes at once: a second or so, between which progress is told and Ctrl-C is heard.
HNSW_ROWS = 2_000
# Fewer are done before a bar could be read.
SHOWN_ROWS = 10_000


class Pairs(NamedTuple):
    """Pairs `a[i] < b[i]` with their cosines (float64), ordered by `a`, then `b`; each pair once."""

    a: NDArray[np.uint32]
    b: NDArray[np.uint32]
    cosines: NDArray[np.float64]


def pairs_within(
    vectors: NDArray[np.float32], max_cosine_distance: float, *, method: Method = "auto", talk: Talk | None = None
) -> Pairs:
    """Every pair of rows whose cosine is at least `1 - max_cosine_distance`.

    `exact` multiplies blocks in float32 and O(rows^2 x dimension) time, in 64 MiB beside the vectors and the pairs;
    `hnsw` (the extra of that name) asks an index, sees nearly all pairs, and misses some; `auto` is `exact`. Both only
    propose: a pair's cosine is computed again in float64 in fixed order, so the result does not depend on BLAS, threads
    or block sizes. Rows must be finite and not zero. `talk` hears progress. Raises `DataError` above 50 million pairs.

    >>> pairs_within(np.array([[1, 0], [0, 1], [2, 0]], dtype=np.float32), 0.05)
    Pairs(a=array([0], dtype=uint32), b=array([2], dtype=uint32), cosines=array([1.]))
    """
    rows, dimension = vectors.shape
    if rows < 2:
        empty = np.zeros(0, dtype=np.uint32)
        return Pairs(empty, empty, np.zeros(0))
    # Scaled twice: a row of 1e30 has no float32 square.
    scaled = vectors / np.abs(vectors).max(axis=1, keepdims=True)
    units = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
    # A float32 dot product of unit rows is off by some `dimension` units in the last place at most, in any order.
    slack = (dimension + 8) * float(np.finfo(np.float32).eps)
    least = 1.0 - max_cosine_distance
    propose = _hnsw if method == "hnsw" else _exact
    shown = talk if talk is not None and rows >= SHOWN_ROWS else Talk(quiet=True)
    with shown.bar("comparing", total=rows, unit="tag") as advance:
        a, b = propose(units, least - slack, advance)
    cosines = _core.cosines(np.ascontiguousarray(vectors).ravel(), dimension, a, b)
    # 1 - 0.05 is no float64 either: a pair at the distance itself, to the last places, is within it.
    within = cosines >= least - 1e-12
    return Pairs(a[within], b[within], cosines[within])


def _exact(units: NDArray[np.float32], least: float, advance: Advance) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    rows = len(units)
    step = max(1, min(rows, BLOCK_VALUES // rows))
    found_a, found_b, total = [], [], 0
    for start in range(0, rows, step):
        block = units[start : start + step] @ units[start:].T
        # Flat: in two dimensions `np.nonzero` takes ten times as long, a tenth of the whole.
        a, b = np.divmod(np.flatnonzero(block >= least), rows - start)
        above = b > a
        total += int(above.sum())
        check_total(total)
        found_a.append((a[above] + start).astype(np.uint32))
        found_b.append((b[above] + start).astype(np.uint32))
        advance(len(block))
    return np.concatenate(found_a), np.concatenate(found_b)


def _hnsw(units: NDArray[np.float32], least: float, advance: Advance) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """An index answers with the k nearest; rows whose k-th is still within the radius are asked again with twice k.

    One thread inserts, in the order of the rows: the graph, and so what it misses, depends on the order of insertion.
    """
    try:
        import hnswlib
    except ImportError as error:
        raise ConfigError(
            "`neighbors` is `hnsw`, but the package hnswlib is not installed",
            hint='pip install "instag[hnsw]" (it is compiled on the way), or use `--neighbors exact`',
        ) from error
    rows = len(units)
    index = hnswlib.Index(space="ip", dim=units.shape[1])
    index.init_index(max_elements=rows, ef_construction=HNSW_WIDTH, M=HNSW_LINKS, random_seed=HNSW_SEED)
    for start in range(0, rows, HNSW_ROWS):
        part = units[start : start + HNSW_ROWS]
        index.add_items(part, np.arange(start, start + len(part)), num_threads=1)
        advance(len(part))
    asked, k = np.arange(rows), min(rows, 16)
    found: list[NDArray[np.int64]] = []
    total = 0
    while len(asked):
        index.set_ef(max(HNSW_WIDTH, 2 * k))
        parts = [
            index.knn_query(units[asked[start : start + HNSW_ROWS]], k=k) for start in range(0, len(asked), HNSW_ROWS)
        ]
        labels, distances = (np.concatenate([part[at] for part in parts]) for at in (0, 1))
        within: NDArray[np.bool_] = np.asarray(distances <= 1.0 - least)
        full: NDArray[np.bool_] = np.logical_and(within.all(axis=1), k < rows)
        done = within & ~full[:, None]
        total += int(done.sum())
        check_total((total + int(full.sum()) * k) // 2)  # the full ones hold at least k each
        at, column = np.nonzero(done)
        ends = np.stack([asked[at], labels[at, column].astype(np.int64)])
        found.append(np.sort(ends, axis=0)[:, ends[0] != ends[1]])
        asked, k = asked[full], min(rows, 2 * k)
    lower, upper = np.concatenate(found, axis=1)
    codes = np.unique(lower * rows + upper)
    return (codes // rows).astype(np.uint32), (codes % rows).astype(np.uint32)


def check_total(total: int) -> None:
    """Refuses a distance within which more than `MAX_PAIRS` pairs lie."""
    if total > MAX_PAIRS:
        raise DataError(
            f"more than {MAX_PAIRS:,} pairs of tags lie within the distance",
            hint="lower `max_cosine_distance`: this one merges tags that have nothing in common",
        )
