"""Reading: `instag.read` against an `orjson` loop that does the same, `scan_ndjson` that does less, and one thread.

A real file's records are repeated up to the size asked for, each repeat with a serial number in its first text, so that
none is a duplicate, and written as plain JSONL to a temporary folder. The loop takes the queries and a 128-bit hash of
the turns of each record and keeps the first of equal ones; `scan_ndjson` merely reads the columns that hold the text.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
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


class OneThread:
    """`instag.read` in a process of its own with one thread, warm, timed from here."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "by_instag"],
            env={**os.environ, "RAYON_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, path: Path) -> tuple[int, ...]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(path, file=self._process.stdin, flush=True)
        return tuple(map(int, self._process.stdout.readline().split()[:2]))

    def close(self) -> None:
        self._process.communicate()


def peak_mib(name: str, path: Path) -> float:
    """The most memory that one reading takes in a fresh process: a warm one would fill what the last one freed."""
    done = subprocess.run(
        [sys.executable, __file__, name], input=f"{path}\n", capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[2])


SIZES = (1_000_000,)  # and 5,000,000 by `--samples`: the files then take 6 GB, the loop 9 GB of memory


def compare(samples: int) -> Iterator[timing.Comparison]:
    """Single prompts (t0), questions (gsm8k), and a fifth as many chats (sgd), each against three."""
    if not DATA.is_dir():
        print(f"read: no real data at {DATA} (set INSTAG_DATA)", file=sys.stderr)
        return
    files = {
        "self_instruct/t0_prompts.jsonl.zst": samples,
        "gsm8k/train.jsonl": samples,
        "sgd/messages.jsonl.gz": samples // 5,
    }
    for name, records in files.items():
        with tempfile.TemporaryDirectory() as folder, contextlib.closing(OneThread()) as one_thread:
            path = Path(folder, "repeated.jsonl")
            repeated(DATA / name, records, path)
            megabytes = path.stat().st_size / 1e6
            one_thread(path)
            for peer_name, peer, target in (
                ("orjson + Python loop", by_orjson, 4),
                ("polars.scan_ndjson, columns only", by_polars, 1),
                ("instag, one thread", one_thread, 1.5),
            ):
                done = timing.compare(
                    f"read {megabytes:,.0f} MB of {name.split('/')[0]}",
                    records,
                    partial(by_instag, path),
                    partial(peer, path),
                    peer_name=peer_name,
                    same=lambda ours, theirs: theirs[1] == 0 or ours == theirs,
                    runs=3,
                    peer_runs=1 if peer is by_orjson else 3,
                    target=target,
                )
                ours, theirs = (f"{megabytes / timed.median:,.0f}" for timed in (done.ours, done.peer))
                peaks = [peak_mib(call, path) for call in ("by_instag", getattr(peer, "__name__", "by_instag"))]
                yield dataclasses.replace(
                    done,
                    task=f"{done.task}: {ours} MB/s, peer {theirs}",
                    ours=dataclasses.replace(done.ours, peak_mib=peaks[0]),
                    peer=dataclasses.replace(done.peer, peak_mib=peaks[1]),
                )


if __name__ == "__main__":  # reads each path named on stdin, and tells what it found and the most memory it took
    for line in sys.stdin:
        before = timing._reset_peak() or 0
        samples, queries = {"by_instag": by_instag, "by_polars": by_polars, "by_orjson": by_orjson}[sys.argv[1]](
            Path(line.rstrip("\n"))
        )
        print(samples, queries, timing._memory("VmHWM") - before, flush=True)
