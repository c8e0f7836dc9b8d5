"""Reading: `instag.read` against an `orjson` loop that does the same, and `polars.scan_ndjson` that does less.

A real file's records are repeated up to the size asked for, each repeat with a serial number in its first text, so that
none is a duplicate, and written as plain JSONL to a temporary folder. The loop takes the queries and a 128-bit hash of
the turns of each record and keeps the first of equal ones; `scan_ndjson` merely reads the columns that hold the text.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import xxhash

import instag
import timing
from instag.opening import Raw, decompressed, file_kind

DATA = Path(os.environ.get("INSTAG_DATA", Path(__file__).parents[2] / "shared" / "data")) / "instructions"


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


SIZES = (300_000,)


def compare(samples: int) -> Iterator[timing.Comparison]:
    """Single prompts (t0), and a fifth as many chats (sgd), each against both peers."""
    if not DATA.is_dir():
        print(f"read: no real data at {DATA} (set INSTAG_DATA)", file=sys.stderr)
        return
    files = {"self_instruct/t0_prompts.jsonl.zst": samples, "sgd/messages.jsonl.gz": samples // 5}
    for name, records in files.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "repeated.jsonl")
            repeated(DATA / name, records, path)
            task = f"read {path.stat().st_size / 1e6:,.0f} MB of {name.split('/')[1].split('.')[0]}"
            for peer_name, peer in (
                ("orjson + Python loop", by_orjson),
                ("polars.scan_ndjson, columns only", by_polars),
            ):
                yield timing.compare(
                    task,
                    records,
                    partial(by_instag, path),
                    partial(peer, path),
                    peer_name=peer_name,
                    same=lambda ours, theirs: theirs[1] == 0 or ours == theirs,
                    runs=3,
                )
