"""From Parquet shards of raw tags to normalized ids (frequency and rule step), beside merely reading the column.

Dictionary-coded shards against pyarrow, which keeps the codes; plain ones against Polars. What the peer read is then
normalized as one table in memory, and must give the same ids.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import generate
import timing
from instag import TagTable, normalize, scan_tags

SIZES = (1_000_000, 10_000_000)
SHARDS = 10
SKIP = ("semantic", "association")


def compare(samples: int) -> Iterator[timing.Comparison]:
    """The two comparisons at `samples` rows, in ten shards, the vocabulary growing with them to a million."""
    import polars as pl

    try:
        import pyarrow.parquet as pq
    except ImportError:
        print("scanning: pyarrow is not installed", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as name:
        coded, plain = Path(name, "coded"), Path(name, "plain")
        distinct = max(samples // 10, 200_000)
        generate.raw_shards(coded, samples, shard_rows=-(-samples // SHARDS), distinct=distinct)
        plain.mkdir()
        for shard in sorted(coded.iterdir()):
            pq.write_table(pq.read_table(shard), plain / shard.name, compression="zstd", use_dictionary=False)
        read_codes = partial(pq.read_table, coded, read_dictionary=["tags.list.element"])
        peers = (
            ("dictionary-coded", coded, "pyarrow, dictionary read", read_codes, 1 / 3.5),
            ("plain", plain, "polars.read_parquet", partial(pl.read_parquet, plain), 1 / 2),
        )
        for coding, folder, peer_name, peer, target in peers:
            yield timing.compare(
                f"{coding} Parquet to normalized ids",
                samples,
                partial(normalized, folder),
                peer,
                peer_name=peer_name,
                same=same,
                target=target if samples >= 10_000_000 else None,
            )


def normalized(folder: Path) -> tuple[Any, list[TagTable]]:
    """(the ledger, the shards)."""
    made = normalize(scan_tags(folder), skip=SKIP)
    return made.ledger, [made.table.shard(at) for at in range(len(made.table.starts) - 1)]


def same(ours: tuple[Any, list[TagTable]], read: Any) -> bool:
    """Whether the column that the peer read gives the same ids."""
    import polars as pl

    frame = read if isinstance(read, pl.DataFrame) else pl.DataFrame(read)
    made = normalize(TagTable.from_series(frame["tags"]), skip=SKIP)
    ledger, shards = ours
    ids = np.concatenate([shard.ids for shard in shards])
    lengths = np.concatenate([np.diff(shard.offsets) for shard in shards])
    return (
        ledger.equals(made.ledger)
        and np.array_equal(ids, made.table.ids)
        and np.array_equal(lengths, np.diff(made.table.offsets))
    )


if __name__ == "__main__":
    for size in [int(text) for text in sys.argv[1:]] or SIZES:
        print(timing.table(list(compare(size))))
