"""`read_parts`: put end to end the parts are what `read` gives, whatever their size, and memory is that of a part."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import instag
from instag import _core, pooling
from instag.reading import Pool
from reading_cases import CASES, write_jsonl

TABLES = ("samples", "queries", "records", "rejected", "files")


def joined(parts: list[Pool]) -> Pool:
    return Pool(*(pl.concat([getattr(part, name) for part in parts]) for name in TABLES))


def check(files: Any, part_rows: int, **asked: Any) -> list[Pool]:
    """Holds the parts equal to the whole, and each to the size asked for; both fail alike."""
    failed = ""
    try:
        whole = instag.read(files, **asked)
    except instag.DataError as error:
        failed = str(error)
    if failed:
        with pytest.raises(instag.DataError, match=re.escape(failed)):
            list(instag.read_parts(files, part_rows=part_rows, **asked))
        return []
    parts = list(instag.read_parts(files, part_rows=part_rows, **asked))
    for name in TABLES:
        found, expected = getattr(joined(parts), name), getattr(whole, name)
        assert found.schema == expected.schema
        assert found.equals(expected), (name, found, expected)
    assert all(len(part.records) == part_rows for part in parts[:-1] if "limit" not in asked)
    assert all(len(part.records) <= part_rows for part in parts)
    return parts


# What stands in a line of a file: a sample by its number, two kinds of broken ones, a blank.
lines = st.one_of(st.integers(0, 6), st.sampled_from(["{broken", '{"prompt": 1}', ""]))
a_file = st.tuples(
    st.sampled_from(["jsonl", "json", "jsonl.gz", "half.gz", "csv", "parquet"]), st.lists(lines, max_size=12)
)


def write(folder: Path, at: int, kind: str, rows: list[Any]) -> Path:
    path = folder / f"{at}.{kind}"
    turns = [[f"q{row}", f"again {row}"][: 1 + row % 2] if isinstance(row, int) else row for row in rows]
    if kind in ("csv", "parquet"):
        frame = pl.DataFrame(
            {"prompt": [None if isinstance(row, str) else row[0] for row in turns]}, {"prompt": pl.String}
        )
        frame.write_csv(path) if kind == "csv" else frame.write_parquet(path, row_group_size=3)
        return path
    text = [
        row if isinstance(row, str) else json.dumps({"turns": row, "origin": "web" if len(row) > 1 else None})
        for row in turns
    ]
    if kind == "json":
        path.write_text("[" + ",\n".join(row for row in text if row) + "]")
        return path
    data = "".join(f"{row}\n" for row in text).encode()
    half = len(gzip.compress(data)) - 9 if kind == "half.gz" else None
    path.write_bytes(data if kind == "jsonl" else gzip.compress(data, mtime=0)[:half])
    return path


def test_samples_beyond_a_limit_need_room_too(tmp_path: Path) -> None:
    check([write(tmp_path, 0, "csv", [0, 1, 2, 3, 4])], 3, limit=1)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(a_file, min_size=1, max_size=4),
    st.integers(1, 9),
    st.sampled_from([None, None, 1, 3, 6]),
    st.sampled_from([None, "origin"]),
    st.sampled_from([40, 1 << 24]),
)
def test_parts_put_end_to_end_are_the_pool(
    tmp_path: Path, files: list[Any], part_rows: int, limit: int | None, source_column: str | None, block: int
) -> None:
    with blocks_of(block):
        paths = [write(tmp_path, at, kind, rows) for at, (kind, rows) in enumerate(files)]
        if limit is not None:  # a damaged file may show its damage before the limit or after
            paths = [path for path, (kind, _) in zip(paths, files, strict=True) if kind != "half.gz"] or [
                write(tmp_path, 9, "jsonl", [1])
            ]
        check(paths, part_rows, source_column=source_column, **({"limit": limit} if limit else {}))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(lines, max_size=12), st.sampled_from(["jsonl", "json", "jsonl.gz"]), st.booleans(), st.integers(1, 90))
def test_blocks_do_not_matter(tmp_path: Path, rows: list[Any], kind: str, begun: bool, block: int) -> None:
    path = write(tmp_path, 0, kind, [0, *rows] if kind == "json" or begun else ["", "", *rows, 0])
    whole = instag.read(path)
    with blocks_of(block):
        found = instag.read(path)
    for name in TABLES:
        assert getattr(found, name).equals(getattr(whole, name))


@contextlib.contextmanager
def blocks_of(size: int) -> Iterator[None]:
    """Files are read in blocks of so many bytes."""
    from instag import opening

    kept = opening.blocks.__defaults__
    opening.blocks.__defaults__ = (size,)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("instag.lines.BLOCK", size)
            yield
    finally:
        opening.blocks.__defaults__ = kept


def test_parts_of_every_schema_and_of_the_real_files(tmp_path: Path, data: Path) -> None:
    path = write_jsonl(tmp_path / "cases.jsonl", [case[0] for case in CASES] * 2)
    check(path, 5)
    files = sorted(path for path in (data / "instructions").rglob("*") if path.is_file())
    for part_rows in (9_973, 50_000):
        parts = check(files, part_rows)
    assert len(parts) == 2


def test_a_damaged_file_gives_nothing_out_and_the_next_ones_go_on(tmp_path: Path) -> None:
    rows = [{"prompt": str(at)} for at in range(5000)]
    good = write_jsonl(tmp_path / "good.jsonl", rows[:7])
    bad = tmp_path / "bad.jsonl.gz"
    bad.write_bytes(gzip.compress(good.read_bytes() + write_jsonl(tmp_path / "x", rows).read_bytes())[:-20])
    with blocks_of(100):
        parts = check([bad, good, bad, good], 3)
    assert [part.refused for part in parts if part.refused] == [[f"`{bad}` {reason}"] for reason in REASONS]


REASONS = [
    "is damaged: compressed file ended before the end-of-stream marker was reached\nhint: fetch or compress it again"
]


def test_a_file_that_fails_after_records_of_it_were_given_out_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [{"prompt": str(at)} for at in range(100)])
    whole = _core.Lines

    class Failing:
        def __init__(self, *settings: Any) -> None:
            self.lines, self.asked = whole(*settings), 0

        def read(self, blocks: int) -> Any:
            self.asked += 1
            if self.asked > 9:
                raise OSError(5, "Input/output error")
            return self.lines.read(1)

    monkeypatch.setattr("instag._core.Lines", Failing)
    with blocks_of(100):
        parts = instag.read_parts(path, part_rows=10)
        assert len(next(parts)) == 10
        with pytest.raises(
            instag.DataError, match="cannot be read: Input/output error\nhint: records of it were given"
        ):
            list(parts)
    with pytest.raises(instag.ConfigError, match="`part_rows` is 0"):
        instag.read_parts(path, part_rows=0)


def test_long_records_make_parts_of_fewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("instag.reading.PART_BYTES", 1000)
    path = write_jsonl(tmp_path / "a.jsonl", [{"prompt": "x" * 90 + str(at)} for at in range(50)])
    with blocks_of(300):
        parts = list(instag.read_parts([path, path]))
    assert max(len(part.records) for part in parts) <= 1000 // 90
    assert joined(parts).samples.equals(instag.read(path).samples)


def test_memory_is_that_of_a_part(tmp_path: Path) -> None:
    path = tmp_path / "large.jsonl"
    with open(path, "w") as file:
        file.writelines(f'{{"prompt": "{at} {"x" * 1000}"}}\n' for at in range(200_000))
    program = (
        "import sys, resource, polars, instag\n"
        "next(iter(instag.read_parts(sys.argv[2])))\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10\n"
        "before = peak()\n"
        "rows = sum(len(part) for part in instag.read_parts(sys.argv[1], part_rows=20_000))\n"
        "print(rows, peak() - before)"
    )
    small = write_jsonl(tmp_path / "small.jsonl", [{"prompt": "p"}])
    done = subprocess.run([sys.executable, "-c", program, path, small], capture_output=True, text=True, check=True)
    rows, mib = map(int, done.stdout.split())
    assert rows == 200_000
    assert mib < 160  # of 200 MB: two parts of 20, some blocks of 16


# ---- what is known from part to part ----


@given(st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 9)), max_size=9), max_size=6))
def test_known_rows_are_those_of_a_dict(parts: list[list[tuple[int, int, int]]]) -> None:
    known, twin = pooling.Known(), dict[tuple[int, int], list[int]]()
    top = 2**64 - 1
    for part in parts:
        ids = {(high * (top // 3), low): file for high, low, file in part}

        first = len(twin)
        expected = []
        for pair, file in ids.items():
            row, before = twin.setdefault(pair, [len(twin), 2**32 - 1])
            expected.append((row, before))
            twin[pair] = [row, file]
        high, low = (np.array([pair[half] for pair in ids], dtype=np.uint64) for half in (0, 1))
        rows, files = known.rows(high, low, np.array(list(ids.values()), dtype=np.uint32), first)
        assert list(zip(rows.tolist(), files.tolist(), strict=True)) == expected


def test_a_full_table_and_arrays_of_unequal_lengths_are_refused() -> None:
    one, files = np.ones(1, dtype=np.uint64), np.zeros(1, dtype=np.uint32)
    with pytest.raises(ValueError, match="`slots` has 0 entries"):
        _core.known_rows(np.zeros(0, dtype=np.uint64), one, one, files, 0)
    with pytest.raises(ValueError, match="`files` has 0 entries"):
        _core.known_rows(np.zeros(3, dtype=np.uint64), one, one, files[:0], 0)
    with pytest.raises(ValueError, match="more than 4,294,967,295 samples"):
        _core.known_rows(np.zeros(3, dtype=np.uint64), one, one, files, 2**32)
    with pytest.raises(ValueError, match="`slots` has 0 entries"):
        _core.enlarged(np.ones(3, dtype=np.uint64), 0)


def test_small_parts_are_read_in_small_pieces(tmp_path: Path) -> None:
    path = tmp_path / "large.jsonl"
    with open(path, "w") as file:
        file.writelines(f'{{"prompt": "{at} {"x" * 1000}"}}\n' for at in range(100_000))
    program = (
        "import sys, polars, instag\n"
        "from instag.memory import peak_memory_bytes\n"
        "next(iter(instag.read_parts(sys.argv[2])))\n"
        "before = peak_memory_bytes()\n"
        "rows = sum(len(part) for part in instag.read_parts(sys.argv[1], part_rows=2_500))\n"
        "print(rows, peak_memory_bytes() - before >> 20)"
    )
    small = write_jsonl(tmp_path / "small.jsonl", [{"prompt": "p"}])
    done = subprocess.run([sys.executable, "-c", program, path, small], capture_output=True, text=True, check=True)
    rows, mib = map(int, done.stdout.split())
    assert rows == 100_000
    assert mib < 70  # of 100 MB: two parts of 2.5, some blocks of 1, and what allocators keep
