"""Reading: `instag.read` against an `orjson` loop that does the same, and `polars.scan_ndjson` that does less.

Run: python benches/read.py FILE.jsonl[.gz|.zst] [--records 1000000] [--repeats 5]

The file's records are repeated up to `--records`, each repeat with a serial number in its first text, so that none is
a duplicate, and written as plain JSONL to a temporary folder. The loop takes the queries and a 128-bit hash of the
turns of each record and keeps the first of equal ones; `scan_ndjson` merely reads the columns that hold the text.
All in one process, in turn, median of the repeats; the counts must agree.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import xxhash

import instag
from instag.opening import Raw, decompressed, file_kind


def repeated(source: Path, records: int, out: Path) -> None:
    with Raw(str(source)) as raw:
        data = b"".join(decompressed(raw, file_kind(str(source), None)[1], 1 << 24))
    rows = [orjson.loads(line) for line in data.splitlines() if line.strip()]
    with open(out, "wb") as file:
        for serial in range(records):
            row = rows[serial % len(rows)]
            if serial >= len(rows):
                row = with_serial(row, serial)
            file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))


def with_serial(row: dict[str, Any], serial: int) -> dict[str, Any]:
    for key in ("prompt", "question", "instruction"):
        if key in row:
            return {**row, key: f"{row[key]} {serial}"}
    first, *rest = row["messages"]
    return {**row, "messages": [{**first, "content": f"{first['content']} {serial}"}, *rest]}


def by_orjson(path: Path) -> tuple[int, int]:
    seen: set[bytes] = set()
    queries: list[str] = []
    records: list[tuple[bytes, int, int, Any]] = []
    start = 0
    with open(path, "rb") as file:
        for line in file:
            row = orjson.loads(line)
            if "messages" in row:
                turns = [(turn["role"], turn["content"]) for turn in row["messages"]]
            elif "question" in row:
                turns = [("user", row["question"]), ("assistant", row["answer"])]
            elif "instruction" in row:
                turns = [("user", row["instruction"] + row["input"]), ("assistant", row["output"])]
            else:
                turns = [("user", row["prompt"]), ("assistant", row["completion"])]
            digest = xxhash.xxh3_128_digest("\0".join(f"{role}\0{text}" for role, text in turns).encode())
            records.append((digest, start, start + len(line), row.get("id")))
            start += len(line)
            if digest not in seen:
                seen.add(digest)
                queries.extend(text for role, text in turns if role == "user")
    return len(seen), len(queries)


def by_polars(path: Path) -> tuple[int, int]:
    names = pl.scan_ndjson(path).collect_schema().names()
    wanted = [
        name for name in names if name in ("prompt", "completion", "question", "answer", "messages", "instruction")
    ]
    return pl.scan_ndjson(path).select(wanted).collect().height, 0


def by_instag(path: Path) -> tuple[int, int]:
    pool = instag.read(path)
    return len(pool), len(pool.queries)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    ways: dict[str, Callable[[Path], tuple[int, int]]] = {
        "instag.read": by_instag,
        "orjson loop": by_orjson,
        "polars.scan_ndjson": by_polars,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "repeated.jsonl")
        repeated(options.file, options.records, path)
        size = path.stat().st_size
        taken: dict[str, list[float]] = {name: [] for name in ways}
        counts: dict[str, tuple[int, int]] = {}
        for _ in range(options.repeats):
            for name, way in ways.items():
                begun = time.perf_counter()
                counts[name] = way(path)
                taken[name].append(time.perf_counter() - begun)
    assert counts["instag.read"] == counts["orjson loop"], counts
    ours = statistics.median(taken["instag.read"])
    print(
        f"{options.file.name}: {options.records:,} records, {size / 1e6:,.0f} MB, {counts['instag.read'][1]:,} queries"
    )
    for name, seconds in taken.items():
        median = statistics.median(seconds)
        speed = f"{size / median / 1e6:8,.0f} MB/s {options.records / median:12,.0f} rows/s"
        spread = f"{min(seconds):.2f}-{max(seconds):.2f}"
        print(f"  {name:20} {median:8.2f} s ({spread}) {speed}   {median / ours:6.2f} x instag")


if __name__ == "__main__":
    main()
