"""Reading what is broken: one clear error, or a listed row, and nothing else lost."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard

import instag
from instag import _core
from reading_cases import write_jsonl


def test_what_is_no_file(tmp_path: Path) -> None:
    named: list[tuple[Any, str]] = [
        (tmp_path / "none.jsonl", "no such file"),
        (tmp_path / "*.jsonl", "matches no file"),
        (tmp_path, "is a folder"),
        ([], "no files are named"),
    ]
    for name, message in named:
        with pytest.raises(instag.DataError, match=message):
            instag.read(str(name) if isinstance(name, Path) else name)
    with pytest.raises(instag.ConfigError, match="`schema` is 'nope'"):
        instag.read(tmp_path, schema="nope")
    with pytest.raises(instag.ConfigError, match="at least 1"):
        instag.read(tmp_path, limit=0)


BAD_FILES = [
    ("empty.jsonl", b"", "is empty"),
    ("blank.jsonl", b" \n\n", "is empty"),
    ("binary.jsonl", bytes(range(256)) * 20, "binary"),
    ("image.json", b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "binary"),
    ("utf16.json", '{"prompt": "a"}'.encode("utf-16"), "UTF-16"),
    ("x.zip", b"PK\x03\x04" + b"0" * 40, "zip"),
    ("prose.md", b"# Title\n\nSome words.", "is not JSON"),
    ("README.txt", b"Words.", "README"),
    ("half.jsonl.gz", gzip.compress(b'{"prompt": "a"}\n' * 5000)[:-20], "damaged"),
    (
        "half.jsonl.zst",
        zstandard.ZstdCompressor().compress(random.Random(0).randbytes(5000).hex().encode())[:-9],
        "early",
    ),
    ("wrong.jsonl.zst", b"\x28\xb5\x2f\xfd" + b"\xff" * 40, "damaged"),
    ("wrong.parquet", b"PAR1" + b"\0" * 40 + b"PAR1", "cannot be read"),
    ("config.json", b'{"model": {"layers": 2}}', "a configuration"),
    ("replies.jsonl", b'{"custom_id": "1", "response": {}}', "a reply to a batch request"),
    ("broken.jsonl", b'{"prompt": "a\n{"prompt": "b\n', "line 1: not JSON: ends inside a value"),
]


@pytest.mark.parametrize(("name", "data", "message"), BAD_FILES)
def test_a_bad_file_is_refused_alone_and_listed_among_others(
    tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(instag.DataError, match=message) as caught:
        instag.read(tmp_path / name)
    assert name in str(caught.value)
    good = write_jsonl(tmp_path / "good.jsonl", [{"prompt": "p"}])
    pool = instag.read([good, tmp_path / name])
    assert len(pool) == 1
    assert len(pool.refused) == 1
    assert message in pool.refused[0]
    assert not len(pool.rejected)


BAD_RECORDS = [
    (b'{"prompt": "a', "ends inside a value"),
    (b'{"prompt": "\xff"}', "invalid UTF-8 at byte 13"),
    (b'{"prompt": "\\ud800 alone"}', "lone surrogate"),
    (b'{"prompt": "a\x00b"}', "control character"),
    (b'{"prompt": "a",}', "a key in quotes"),
    (b'{"prompt": "a"} {"prompt": "b"}', "nothing more"),
    (b'{"prompt": "\\x"}', "an escape that JSON has"),
    (b'{"prompt": 01}', "`,` or `}`"),
    (b"[" * 100_000, "nested more than 1024 levels"),
    (b'{"a":' * 100_000, "nested more than 1024 levels"),
    (b'{"prompt": [["a"]]}', "turn 1 of `prompt`: is a list"),
]


@pytest.mark.parametrize(("line", "reason"), BAD_RECORDS)
def test_a_bad_record_is_one_row(tmp_path: Path, line: bytes, reason: str) -> None:
    path = tmp_path / "x.jsonl"
    good = b'{"prompt": "p"}'
    path.write_bytes(b"\n".join([good, line, good.replace(b'p"}', b'q"}'), b""]))
    pool = instag.read(path)
    assert pool.queries["query"].to_list() == ["p", "q"]
    assert pool.rejected["line"].to_list() == [2]
    assert reason in pool.rejected["reason"][0]


def test_odd_but_valid_records(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(
        b'\xef\xbb\xbf{"prompt": "\\u0000 \\ud83d\\ude00", "score": NaN, "n": 1e999, "x": "\\ud800"}\r\n'
        b'{"prompt": "first", "prompt": "last", "other": null}\n'
    )
    pool = instag.read(path)
    assert pool.queries["query"].to_list() == ["\0 \U0001f600", "last"]
    assert pool.records["start"].to_list()[0] == 3


def test_a_truncated_array_keeps_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    data = json.dumps([{"prompt": str(at)} for at in range(5)], indent=1)
    path.write_text(data[:-12])
    pool = instag.read(path)
    assert pool.queries["query"].to_list() == ["0", "1", "2", "3"]
    assert "ends inside" in pool.rejected["reason"][0]


def test_one_bad_line_among_many(tmp_path: Path) -> None:
    check_bad_line(tmp_path / "many.jsonl", 50_000)


@pytest.mark.slow
def test_one_bad_line_in_a_million(tmp_path: Path) -> None:
    check_bad_line(tmp_path / "million.jsonl", 1_000_000)


def check_bad_line(path: Path, count: int) -> None:
    with open(path, "w") as file:
        file.writelines('{"prompt": nope}\n' if at == count // 3 else f'{{"prompt": "p{at}"}}\n' for at in range(count))
    pool = instag.read(path)
    assert len(pool) == len(pool.queries) == count - 1
    assert pool.rejected["line"].to_list() == [count // 3 + 1]


def test_ids_of_unequal_halves_are_refused() -> None:
    with pytest.raises(ValueError, match="`low` has 1 entries"):
        _core.unique_rows(np.zeros(2, np.uint64), np.zeros(1, np.uint64), np.zeros(0, np.int64))
    with pytest.raises(ValueError, match="`layout` is `x`"):
        _core.read_block(b"", "x", (0, 0, 0), True)


def test_a_source_column_that_no_record_has_is_an_error(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [{"instruction": "Sort it.", "output": "1", "set": "x"}])
    assert instag.read(path, source_column="set").samples["source"].to_list() == ["x"]
    with pytest.raises(instag.DataError, match="no record has a source in `sett`"):
        instag.read(path, source_column="sett")
