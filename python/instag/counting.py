"""What is told of a tagging, counted part by part."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from instag.pooling import Known
from instag.shards import Gathering

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from instag.table import TagTable


class Distinct(Known):
    """Which of some digests are new: some 33 bytes for each that was seen.

    >>> seen = Distinct()
    >>> seen.first([b"a" * 16, b"b" * 16, b"a" * 16]), seen.first([b"c" * 16, b"b" * 16]), seen.count
    ([0, 1], [0], 3)
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def first(self, digests: Sequence[bytes]) -> list[int]:
        """The positions of digests (their first 16 bytes) that no earlier call and no earlier position has."""
        at_first: dict[bytes, int] = {}
        for at, digest in enumerate(digests):
            at_first.setdefault(digest[:16], at)
        halves = np.frombuffer(b"".join(at_first), dtype="<u8").reshape(-1, 2)
        none = np.zeros(len(halves), np.uint32)
        rows, _ = self.rows(halves[:, 0].copy(), halves[:, 1].copy(), none, self.count)
        new = [at for at, row in zip(at_first.values(), rows.tolist(), strict=True) if row >= self.count]
        self.count += len(new)
        return new


class TagCounts:
    """Counts over the parts of a tagging: samples, queries, distinct, failed by reason, untagged, tags."""

    def __init__(self) -> None:
        self.samples = self._queries = self._untagged = self._tagged = self._tags = 0
        self._failed: Counter[str] = Counter()
        self._distinct = Distinct()
        self._found = Gathering(rows=False)

    def add(self, queries: pl.DataFrame, samples: int, failures: pl.DataFrame, table: TagTable) -> None:
        """Counts a part: its queries with `query` and `status`, and their tags."""
        import polars as pl

        ok = (queries["status"] == "ok").to_numpy()
        self.samples += samples
        self._queries += len(queries)
        self._tagged += int(ok.sum())
        self._untagged += int((ok & (np.diff(table.offsets) == 0)).sum())
        self._tags += len(table.ids)  # a failed query has none
        self._failed.update(failures["reason"].to_list())
        self._distinct.first([xxhash.xxh3_128_digest(text) for text in queries["query"].cast(pl.Binary).to_list()])
        self._found.add(table)

    def told(self) -> dict[str, Any]:
        """The counts, by name; reasons from the most frequent on."""
        reasons = sorted(self._failed.items(), key=lambda counted: (-counted[1], counted[0]))
        return {
            "samples": self.samples,
            "queries": self._queries,
            "distinct_queries": self._distinct.count,
            "failed": self._failed.total(),
            "failed_by_reason": dict(reasons),
            "untagged": self._untagged,
            "tags": len(self._found.finish().vocabulary),
            "mean_tags": round(self._tags / max(self._tagged, 1), 4),
        }
