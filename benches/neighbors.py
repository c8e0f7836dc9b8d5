"""Exact neighbors beside HNSW through `normalize`: `python benches/neighbors.py [TAGS ...]`.

Prints the table of docs/semantics.md that decides what `--neighbors auto` is: seconds, the share of the pairs that HNSW
finds, and the tags that it merges otherwise. `make bench` runs 12,000 and 60,000 tags (some two minutes); 200,000 take
a quarter of an hour. The vectors are made up: bunches of about ten, as near-synonyms lie, of 384 numbers.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import Any

import numpy as np
import polars as pl

import instag
import instag.semantic
from instag.neighbors import Pairs, pairs_within
from semantic import bunches

SIZES = (12_000, 60_000)
LEAST_RECALL = 0.995
TOLD = 20  # tags merged otherwise that are named; all are counted


@dataclass
class MadeUp:
    """An embedder whose vector of `tag 00012` is row 12 of made-up vectors."""

    vectors: np.ndarray
    identity: str = "made-up bunches"
    max_cosine_distance: float = 0.05

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return self.vectors[[int(text.removeprefix("tag ")) for text in texts]]


@dataclass
class Watched:
    """`pairs_within`, with what it found and the time it took."""

    pairs: Pairs | None = None
    seconds: float = 0.0
    processor_seconds: float = 0.0

    def __call__(self, *args: Any, **settings: Any) -> Pairs:
        wall, cpu = perf_counter(), process_time()
        self.pairs = pairs_within(*args, **settings)
        self.seconds, self.processor_seconds = perf_counter() - wall, process_time() - cpu
        return self.pairs


def through_normalize(tags: Sequence[str], embedder: MadeUp, method: str) -> tuple[Watched, dict[str, str]]:
    """The neighbors that one run of `normalize` found, and what each tag went into."""
    watched = Watched()
    instag.semantic.pairs_within = watched  # type: ignore[assignment]
    try:
        rows = pl.Series([[tag] for tag in tags], dtype=pl.List(pl.String))
        made = instag.normalize(
            instag.TagTable.from_series(rows),
            min_count=1,
            embedder=embedder,
            merge="paper",
            neighbors=method,  # type: ignore[arg-type]
            skip=["rule", "association"],
        )
    finally:
        instag.semantic.pairs_within = pairs_within
    return watched, dict(made.ledger.select("raw", "into").rows())


def share_found(exact: Pairs, hnsw: Pairs, size: int) -> float:
    """The share of the exact pairs that HNSW found; it can find no others, for each cosine is computed again."""
    codes, found = (pairs.a.astype(np.int64) * size + pairs.b for pairs in (exact, hnsw))
    assert np.isin(found, codes).all()
    return len(found) / len(codes)


def compare(size: int) -> bool:
    """Prints the row of one size, and the tags that are merged otherwise; whether HNSW found enough."""
    tags = [f"tag {number:07}" for number in range(size)]
    embedder = MadeUp(bunches(size))
    exact, into = through_normalize(tags, embedder, "exact")
    hnsw, hnsw_into = through_normalize(tags, embedder, "hnsw")
    assert exact.pairs is not None
    assert hnsw.pairs is not None
    found = share_found(exact.pairs, hnsw.pairs, size)
    otherwise = [tag for tag in tags if into[tag] != hnsw_into[tag]]
    print(
        f"| {size:,} | {len(exact.pairs.a):,} | {exact.seconds:.1f} ({exact.processor_seconds:.1f}) | "
        f"{hnsw.seconds:.1f} ({hnsw.processor_seconds:.1f}) | {found:.3%} | {len(otherwise):,} |",
        flush=True,
    )
    for tag in otherwise[:TOLD]:
        print(f"  {tag}: exact into {into[tag]}, hnsw into {hnsw_into[tag]}")
    return found >= LEAST_RECALL


if __name__ == "__main__":
    print("| tags | pairs | exact, s (processor) | hnsw, s (processor) | pairs found | tags merged otherwise |")
    print("|--:|--:|--:|--:|--:|--:|")
    enough = [compare(size) for size in map(int, sys.argv[1:] or SIZES)]
    if not all(enough):
        raise SystemExit(f"HNSW found less than {LEAST_RECALL:.1%} of the pairs")
