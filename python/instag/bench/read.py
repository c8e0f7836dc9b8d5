"""Reading: `instag.read` beside `scan_ndjson` that does less, one thread, parts, and an `orjson` loop doing the same.

The records are made up, or those of files, repeated up to the size asked for, each repeat with a serial number in its
first text, so that none is a duplicate, and written as plain JSONL to a temporary folder. The loop takes the queries
and a 128-bit hash of the turns of each record and keeps the first of equal ones; `scan_ndjson` merely reads the columns
that hold the text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import xxhash

import instag
from instag.bench import generate
from instag.bench.racing import Contender, Course
from instag.errors import DataError, InstagError
from instag.opening import Raw, decompressed, file_kind

if TYPE_CHECKING:
    from instag.bench.timing import Comparison
    from instag.progress import Talk

TEXTS = ("prompt", "question", "instruction")  # where the serial number goes
CHATS = {"messages": "content", "conversations": "value"}
COLUMNS = (*TEXTS, *CHATS, "completion", "answer", "input", "output")
MARK, DUMPED = "\x00", b"\\u0000"  # stands for the serial number


def records(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON lines file, plain or compressed."""
    try:
        with Raw(str(path)) as raw:
            data = b"".join(decompressed(raw, file_kind(str(path), None)[1], 1 << 24))
    except InstagError as error:
        raise DataError(f"`{path}` {error}") from None
    except OSError as error:
        raise DataError(f"`{path}` cannot be read: {error.strerror or error}") from None
    found: list[dict[str, Any]] = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            found.append(json.loads(line))
            numbered(found[-1])
        except (ValueError, LookupError, TypeError):
            raise DataError(
                f"`{path}`, line {number}: no record that could be repeated",
                hint=f"name JSON lines whose objects have one of {', '.join((*TEXTS, *CHATS))}",
            ) from None
    if not found:
        raise DataError(f"`{path}` holds no records", hint="name JSON lines")
    return found


def numbered(row: dict[str, Any]) -> dict[str, Any]:
    """The record with a mark in its first text."""
    for key in TEXTS:
        if key in row:
            return {**row, key: f"{row[key]} {MARK}"}
    (key, text), *_ = [(key, text) for key, text in CHATS.items() if key in row]
    first, *rest = row[key]
    return {**row, key: [{**first, text: f"{first[text]} {MARK}"}, *rest]}


def made_up(count: int = 20_000) -> list[dict[str, Any]]:
    """Prompts and completions of made-up words, about a kilobyte each."""
    rng = np.random.default_rng([0, 8])
    words = np.array(generate.words())
    ends = rng.integers(25, 85, count).cumsum()
    drawn = words[rng.integers(0, len(words), ends[-1])].tolist()
    return [
        {"prompt": " ".join(drawn[start : start + 20]), "completion": " ".join(drawn[start + 20 : end])}
        for start, end in pairwise([0, *ends.tolist()])
    ]


def repeat(rows: Sequence[dict[str, Any]], samples: int, out: Path) -> None:
    """Writes `samples` records: the rows as they are, then again and again with a serial number."""

    def dump(row: dict[str, Any]) -> bytes:
        return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode(errors="replace") + b"\n"

    halves = [dump(numbered(row)).split(DUMPED) for row in rows]
    with open(out, "wb", buffering=1 << 20) as file:
        file.writelines(dump(row) for row in rows[:samples])
        for serial in range(len(rows), samples):
            head, *tail = halves[serial % len(rows)]
            file.write(head + b"%d" % serial + DUMPED.join(tail))


def by_orjson(path: Path) -> tuple[int, int]:
    """(distinct samples, their queries)."""
    import orjson

    seen: set[bytes] = set()
    queries: list[str] = []
    found: list[tuple[bytes, int, int, Any]] = []
    start = 0
    with open(path, "rb") as file:
        for line in file:
            row = orjson.loads(line)
            if "messages" in row:
                turns = [(turn["role"], turn["content"]) for turn in row["messages"]]
            elif "conversations" in row:
                turns = [(turn["from"], turn["value"]) for turn in row["conversations"]]
            elif "question" in row:
                turns = [("user", row["question"]), ("assistant", row["answer"])]
            elif "instruction" in row:
                turns = [("user", row["instruction"] + row.get("input", "")), ("assistant", row["output"])]
            else:
                turns = [("user", row["prompt"]), ("assistant", row["completion"])]
            digest = xxhash.xxh3_128_digest("\0".join(f"{role}\0{text}" for role, text in turns).encode())
            found.append((digest, start, start + len(line), row.get("id")))
            start += len(line)
            if digest not in seen:
                seen.add(digest)
                queries.extend(text for role, text in turns if role in ("user", "human"))
    return len(seen), len(queries)


def by_polars(path: Path) -> tuple[int, int]:
    names = pl.scan_ndjson(path).collect_schema().names()
    return pl.scan_ndjson(path).select([name for name in names if name in COLUMNS]).collect().height, 0


def by_instag(path: Path) -> tuple[int, int]:
    pool = instag.read(path)
    return len(pool), len(pool.queries)


def in_parts(path: Path) -> tuple[int, int]:
    pools = [(len(pool), len(pool.queries)) for pool in instag.read_parts(path)]
    return sum(samples for samples, _ in pools), sum(queries for _, queries in pools)


def file_of(folder: Path) -> Path:
    return folder / "repeated.jsonl"


CONTENDERS = {
    "instag.read": Contender(file_of, by_instag),
    "instag.read_parts": Contender(file_of, in_parts),
    "instag.read, one thread": Contender(file_of, by_instag, threads=1),
    "polars.scan_ndjson, columns only": Contender(file_of, by_polars),
    "orjson + Python loop": Contender(file_of, by_orjson, ("orjson",)),
}


def make(folder: Path, samples: int, path: Path | None = None) -> None:
    """The input: records made up, or those of a file, repeated."""
    repeat(made_up() if path is None else records(path), samples, file_of(folder))


SIZES = (1_000_000,)  # and 5,000,000 by `--samples`: the files then take 6 GB, the loop 9 GB of memory


def compare(samples: int, *, peers: bool, talk: Talk, inputs: Sequence[Path] = ()) -> Iterator[Comparison]:
    """Records made up, or each of the `inputs`, beside merely reading; with `peers` beside the loop too."""
    paths: Sequence[Path | None] = inputs or [None]
    for path in paths:
        name = "made-up records" if path is None else f"{path.resolve().parent.name}/{path.name}"
        remake = str(samples) if path is None else None
        made = partial(make, samples=samples, path=path)
        with Course(__name__, CONTENDERS, samples, made, talk, remake=remake) as course:
            megabytes = file_of(course.folder).stat().st_size / 1e6
            yield from _races(course, f"read {megabytes:,.0f} MB of {name}", megabytes, peers, samples >= 200_000)


def _races(course: Course, task: str, megabytes: float, peers: bool, promised: bool) -> Iterator[Comparison]:
    loop = [("instag.read", "orjson + Python loop", 4.0)] if peers else []
    for ours, peer, target in (
        *loop,
        ("instag.read", "polars.scan_ndjson, columns only", 1.0),
        ("instag.read", "instag.read, one thread", 1.5),
        ("instag.read_parts", "instag.read", None),
    ):
        done = course.race(
            ours,
            peer,
            task=task if ours == "instag.read" else f"{task} in parts",
            same=lambda ours, theirs: theirs[1] == 0 or ours == theirs,
            runs=3,
            peer_runs=1 if "orjson" in peer else 3,
            target=target if promised else None,
        )
        speeds = [f"{megabytes / timed.median:,.0f}" for timed in (done.ours, done.peer) if timed.seconds]
        yield replace(
            done, task=f"{done.task}: {', peer '.join([f'{speeds[0]} MB/s', *speeds[1:]])}" if speeds else task
        )
