"""`read` and the core under it: every schema, every layout, every compression, and whatever is broken."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

import instag
import oracle_reading as oracle
from instag import _core
from reading_cases import CASES, REJECTED, write_jsonl

Tables = tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]


def blockwise(data: bytes, layout: str, size: int, schema: str | None = None) -> Tables:
    """Feeds `data` in blocks of `size` bytes, as `read` does."""
    place, rest = (0, 0, 0), b""
    parts: list[tuple[Any, Any, Any]] = []
    for start in range(0, max(len(data), 1), size):
        block, last = data[start : start + size], start + size >= len(data)
        tables, used, place, layout = _core.read_block(block, layout, place, last, schema, rest=rest)
        rest = (rest + block)[used:]
        parts.append(tables)
    records, queries, rejected = (pl.concat([pl.DataFrame(part[i]) for part in parts]) for i in range(3))
    return records, queries, rejected


def read_one(text: str, schema: str | None = None) -> tuple[str, list[str], str] | None:
    """One record through the core, in the form of the oracle."""
    records, queries, _ = blockwise(text.encode("utf-8", "surrogatepass"), "values", 1 << 20, schema)
    if not len(records):
        return None
    ids = pl.DataFrame(_core.hex_ids(records["high"].to_numpy(), records["low"].to_numpy()))["id"]
    return _core.schema_names()[records["schema"][0]], queries["query"].to_list(), ids[0]


def expected(text: str, schema: str | None = None) -> tuple[str, list[str], str] | None:
    try:
        return oracle.read(text, schema)
    except oracle.RejectedError:
        return None


# ---- schemas ----


@pytest.mark.parametrize(("record", "schema", "queries"), CASES)
def test_each_schema_is_known_and_its_queries_found(record: Any, schema: str, queries: list[str]) -> None:
    for text in (json.dumps(record), json.dumps(record, ensure_ascii=False, indent=1)):
        found = read_one(text)
        assert found == expected(text)
        assert found is not None
        assert found[:2] == (schema, queries)


@pytest.mark.parametrize(("record", "reason"), REJECTED)
def test_what_cannot_be_read_is_rejected_with_its_reason(record: Any, reason: str) -> None:
    text = json.dumps(record)
    assert expected(text) is None
    _, _, rejected = blockwise(text.encode(), "lines", 1 << 20)
    assert reason in rejected["reason"][0]


KEYS = [
    *"messages conversations turns data instances instructions instruction input context query prompt question".split(),
    *"system history text content chosen rejected response output answer answer1 answer2 images id label".split(),
    *"custom_id prompt_template Instruction TEXT unknown".split(),
]
texts = st.sampled_from(["", " ", "a", "b c", "\n\nHuman: x\n\nAssistant: y", "é\u2028", "\0", "\U0001f600", "\ud800"])
scalars = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.floats(), texts)
turn_keys = ["role", "from", "speaker", "content", "value", "utterance", "tool_calls", "type", "text", "name"]
turn_values = st.one_of(scalars, st.sampled_from(["user", "USER", "system", "gpt", "tool", "text", "image_url"]))
parts = st.dictionaries(st.sampled_from(turn_keys), turn_values, max_size=3)
turns = st.dictionaries(st.sampled_from(turn_keys), st.one_of(turn_values, st.lists(parts, max_size=2)), max_size=4)
values = st.one_of(scalars, turns, st.lists(st.one_of(scalars, turns, st.lists(texts, max_size=2)), max_size=3))
records_of_any_kind = st.one_of(st.dictionaries(st.sampled_from(KEYS), values, max_size=5), values)


@settings(max_examples=600, deadline=None)
@given(records_of_any_kind, st.sampled_from([None, *_core.schema_names()]))
def test_any_record_is_read_as_the_oracle_reads_it(record: Any, schema: str | None) -> None:
    text = json.dumps(record)
    assert read_one(text, schema) == expected(text, schema)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(CASES), st.randoms(use_true_random=False))
def test_mutated_bytes_never_crash_and_agree_with_the_oracle(case: Any, rng: random.Random) -> None:
    data = bytearray(json.dumps(case[0], ensure_ascii=False).encode())
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data))
        kind = rng.randrange(4)
        if kind == 0:
            data[at] = rng.randrange(256)
        elif kind == 1:
            del data[at : at + rng.randint(1, 8)]
        elif kind == 2:
            data[at:at] = rng.choice(
                [b'"', b"\\", b"{", b"]", b",", b"\\ud800", b"\x00", b"\xff", b"1e5", b"NaN", b" "]
            )
        else:
            data[at:at] = data[: rng.randrange(len(data) + 1)]
        data = data or bytearray(b"0")
    line = bytes(data).replace(b"\n", b" ")
    records, queries, rejected = blockwise(line, "lines", 1 << 20)
    assert len(records) + len(rejected) <= 1
    again = blockwise(line, "lines", 1 << 20)
    assert records.equals(again[0])
    try:
        text = line.decode()
    except UnicodeDecodeError:
        assert "UTF-8" in rejected["reason"][0]
        return
    found = expected(text)
    assert (found is None) == (len(records) == 0)
    if found is not None:
        assert queries["query"].to_list() == found[1]
    _core.detect_layout(line)
    for layout in ("array", "values"):
        blockwise(line, layout, 7)


# ---- identity ----


def test_one_conversation_has_one_id_in_every_schema() -> None:
    same = [
        {"instruction": "Sort it.", "input": "3 1", "output": "1 3"},
        {"messages": [{"role": "user", "content": "Sort it.\n3 1"}, {"role": "assistant", "content": "1 3"}]},
        {"conversations": [{"from": "human", "value": "Sort it.\n3 1"}, {"from": "gpt", "value": "1 3"}], "id": 7},
        {"prompt": "Sort it.\n3 1", "completion": "1 3", "score": 0.5},
        {"question": "Sort it.\n3 1", "answer": "1 3"},
        {"prompt": "Sort it.\n3 1", "chosen": "1 3", "rejected": "3 1"},
        {"instruction": "Sort it.", "instances": [{"input": "3 1", "output": "1 3"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Sort it.\n3 1"}], "name": None},
                      {"role": "assistant", "content": "1 3", "tool_calls": None}]},
    ]  # fmt: skip
    assert len({(read_one(json.dumps(record)) or ("", [], ""))[2] for record in same}) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]},
        {"messages": [{"role": "user", "content": "HiHo"}]},
        {"messages": [{"role": "system", "content": "Hi"}, {"role": "user", "content": "Hi"}]},
        {"messages": [{"role": "user", "content": "Hi"}], "images": ["a.png"]},
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "tool_calls": [{"name": "f"}]}]},
        {"messages": [{"role": "user", "content": ["Hi", {"type": "image_url", "image_url": {"url": "a.png"}}]}]},
    ],
)
def test_roles_answers_calls_and_parts_make_another_id(other: Any) -> None:
    plain = read_one(json.dumps({"messages": [{"role": "user", "content": "Hi"}]}))
    found = read_one(json.dumps(other))
    assert plain is not None
    assert found is not None
    assert plain[2] != found[2]


def test_the_id_is_fixed_for_ever() -> None:
    found = read_one('{"prompt": "Hi", "completion": "Ho"}')
    assert found is not None
    assert found[2] == "559d2a4761baad9e02c24877f55694e4"


# ---- layouts and blocks ----


def layouts(records: list[Any]) -> list[tuple[str, bytes]]:
    lines = "".join(json.dumps(record) + "\n" for record in records)
    return [
        ("lines", lines.encode()),
        ("lines", lines.replace("\n", "\r\n\n").encode()),
        ("array", json.dumps(records).encode()),
        ("array", ("\n " + json.dumps(records, indent=2, ensure_ascii=False)).encode()),
        ("values", "\n".join(json.dumps(record, indent=1) for record in records).encode()),
    ]


objects = [case for case in CASES if isinstance(case[0], dict)]


def test_layouts_and_blocks_do_not_matter() -> None:
    expected_ids: list[tuple[int, int]] | None = None
    for layout, data in layouts([case[0] for case in objects]):
        assert _core.detect_layout(data) == layout
        whole = blockwise(data, layout, len(data))
        ids = whole[0].select("high", "low").rows()
        expected_ids = expected_ids or ids
        assert ids == expected_ids
        assert whole[1]["query"].to_list() == [query for case in objects for query in case[2]]
        starts, ends = whole[0]["start"].to_list(), whole[0]["end"].to_list()
        assert [json.loads(data[a:b]) for a, b in zip(starts, ends, strict=True)] == [case[0] for case in objects]
        for size in (1, 7, 64, 1000):
            for one, other in zip(whole, blockwise(data, layout, size), strict=True):
                assert one.equals(other)


def test_many_pieces_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    with open(path, "w") as file:
        for at in range(30_000):
            file.write(
                "{bad\n" if at % 9_999 == 5 else json.dumps({"id": at, "prompt": f"Count to {at} " + "x" * 40}) + "\n"
            )
    pool = instag.read(path)
    good = [at for at in range(30_000) if at % 9_999 != 5]
    assert pool.records["own_id"].to_list() == [str(at) for at in good]
    assert pool.records["record"].to_list() == good
    assert pool.rejected["line"].to_list() == [6, 10_005, 20_004]
    assert pool.queries["query"][-1].startswith("Count to 29999 ")


def test_rejected_rows_name_their_line_in_every_layout() -> None:
    good = json.dumps({"prompt": "p"}, indent=1)
    data = f'[{good},\n{{"prompt": nope}},\n{good}\n,{{"prompt": 1}}]'.encode()
    for size in (5, 1000):
        records, _, rejected = blockwise(data, "array", size)
        assert records["record"].to_list() == [0, 2]
        assert rejected["line"].to_list() == [4, 8]
        assert "expected a value" in rejected["reason"][0]


# ---- files ----


def test_a_pool_of_many_files(tmp_path: Path) -> None:
    first = write_jsonl(tmp_path / "b.jsonl", [{"prompt": "One", "id": "x"}, {"prompt": "Two"}, {"prompt": "One"}])
    second = write_jsonl(tmp_path / "a.jsonl", [{"prompt": "Two"}, {"prompt": "Three", "origin": "web"}, "oops", 3])
    pool = instag.read([first, f"named={second}"], source_column="origin")
    assert pool.queries.rows() == [(0, 0, "One"), (1, 0, "Two"), (2, 0, "Three"), (3, 0, "oops")]
    assert pool.samples["source"].to_list() == ["b", "b", "web", "named"]
    assert pool.records.select("row", "file", "record").rows() == [
        (0, 0, 0), (1, 0, 1), (0, 0, 2), (1, 1, 0), (2, 1, 1), (3, 1, 2),
    ]  # fmt: skip
    assert pool.records["own_id"].to_list() == ["x", None, None, None, None, None]
    assert pool.records["source"].to_list() == ["b", "b", "b", "named", "web", "named"]
    assert pool.rejected.rows() == [(str(second), 4, "expected an object, found a number")]
    assert pool.files.select("source", "format", "rows", "samples", "queries", "rejected").rows() == [
        ("b", "jsonl", 3, 2, 2, 0), ("named", "jsonl", 4, 3, 3, 1),
    ]  # fmt: skip
    assert repr(pool) == "Pool(4 samples, 4 queries, 2 files, 2 duplicates, 1 rejected)"
    by_glob = instag.read(str(tmp_path / "*.jsonl"))
    assert by_glob.files["source"].to_list() == ["a", "b"]


def test_compressed_files_are_told_by_content(tmp_path: Path) -> None:
    plain = write_jsonl(tmp_path / "x.jsonl", [case[0] for case in CASES])
    data = plain.read_bytes()
    (tmp_path / "y.jsonl.gz").write_bytes(gzip.compress(data[:1000]) + gzip.compress(data[1000:]))
    frames = zstandard.ZstdCompressor().compress(data[:1000]) + zstandard.ZstdCompressor().compress(data[1000:])
    (tmp_path / "z.dat").write_bytes(frames)
    whole = instag.read(plain)
    for name, kind in (("y.jsonl.gz", "jsonl.gz"), ("z.dat", "jsonl.zst")):
        pool = instag.read(tmp_path / name)
        assert pool.files["format"].item() == kind
        assert pool.files["source"].item() == name[0]
        assert pool.samples["id"].equals(whole.samples["id"])
        assert pool.records.drop("source").equals(whole.records.drop("source"))


def test_tables_and_text(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "messages": [[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": None}], None],
            "image": [{"bytes": b"\x00\xff", "path": None}, None],
        }
    )
    frame.write_parquet(tmp_path / "t.parquet")
    pool = instag.read(tmp_path / "t.parquet")
    assert pool.queries["query"].to_list() == ["Hi"]
    assert pool.rejected.select("line", "reason").rows() == [(2, "no schema fits the members `messages`, `image`")]
    assert pool.records.select("start", "end").rows() == [(None, None)]
    pictured = {"messages": [{"role": "user", "content": "Hi"}], "image": {"bytes": "AP8="}}
    assert pool.samples["id"].item() == (read_one(json.dumps(pictured)) or ("", [], ""))[2]

    long = "x" * 144_260
    (tmp_path / "p.csv").write_text(f'act,prompt,n\na,"Line one\nline ""two""",1.50\nb,{long},\nc,,3\n')
    pool = instag.read(tmp_path / "p.csv")
    assert pool.queries["query"].to_list() == ['Line one\nline "two"', long]
    assert pool.rejected["line"].to_list() == [3]
    (tmp_path / "q.csv.gz").write_bytes(gzip.compress(b"question,answer\nwhy,so\n"))
    assert instag.read(tmp_path / "q.csv.gz").queries["query"].to_list() == ["why"]

    (tmp_path / "w.txt").write_text("First text.\r\n\n  \nSecond text.")
    pool = instag.read(tmp_path / "w.txt")
    assert pool.queries["query"].to_list() == ["First text.", "Second text."]


def test_a_name_of_prose_is_no_reason_to_refuse_data(tmp_path: Path) -> None:
    assert len(instag.read(write_jsonl(tmp_path / "license_questions.jsonl", [{"prompt": "MIT?"}]))) == 1
    (tmp_path / "NOTICE").write_text("All rights.")
    assert len(instag.read(tmp_path / "NOTICE", schema="text")) == 1


def test_a_file_that_wraps_its_records(tmp_path: Path) -> None:
    path = tmp_path / "wrapped.json"
    path.write_text(json.dumps({"count": 2, "entries": [{"prompt": "One"}, {"prompt": 2}]}, indent=1))
    pool = instag.read(path)
    assert pool.queries["query"].to_list() == ["One"]
    assert pool.rejected["line"].to_list() == [7]
    path.write_text(json.dumps({"train": [{"prompt": "One"}], "test": [{"prompt": "Two"}]}))
    with pytest.raises(instag.DataError, match="several lists of records: `train`, `test`"):
        instag.read(path)


def test_hf_reads_the_train_split_through_polars(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def scan(path: str, **_: Any) -> pl.LazyFrame:
        seen.append(path)
        return pl.LazyFrame({"question": ["Why?"], "answer": ["So."]})

    monkeypatch.setattr(pl, "scan_parquet", scan)
    pool = instag.read(["hf://org/name", "mine=hf://datasets/org/name/data/x.parquet"])
    assert seen == ["hf://datasets/org/name@~parquet/*/train/*.parquet", "hf://datasets/org/name/data/x.parquet"]
    assert pool.records["source"].to_list() == ["name", "mine"]
    assert pool.queries["query"].to_list() == ["Why?"]


def test_a_limit_counts_samples(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "l.jsonl", [{"prompt": str(at // 2)} for at in range(100)])
    later = write_jsonl(tmp_path / "m.jsonl", [{"prompt": "later"}])
    pool = instag.read([path, later], limit=7)
    assert pool.queries["query"].to_list() == [str(at) for at in range(7)]
    assert len(pool.records) == 14
    assert len(pool.files) == 1


# ---- real data ----


def test_the_same_dialogues_in_two_schemas_have_the_same_ids(data: Path) -> None:
    native = instag.read(data / "instructions/sgd/dialogues_001.json")
    messages = instag.read(data / "instructions/sgd/messages.jsonl.gz")
    assert len(native) == 128
    assert set(native.samples["id"]) <= set(messages.samples["id"])


def test_real_records_are_read_as_the_oracle_reads_them(data: Path) -> None:
    names = ["llama_factory/*.json*", "fastchat/*.json", "self_instruct/*.jsonl", "toolalpaca/eval*", "magpie/*.json*"]
    for path in sorted(path for name in names for path in (data / "instructions").glob(name)):
        if path.stem == "dataset_info":
            continue
        text = path.read_text(encoding="utf-8")
        records = (
            json.loads(text)
            if text.startswith("[")
            else [json.loads(line) for line in text.splitlines() if line.strip()]
        )
        pool = instag.read(path)
        found = [expected(json.dumps(record)) for record in records]
        kept = [sample for sample in found if sample is not None]
        assert list(dict.fromkeys(sample[2] for sample in kept)) == pool.samples["id"].to_list()
        assert len(pool.rejected) == found.count(None)
        queries = {sample[2]: sample[1] for sample in kept}
        assert pool.queries["query"].to_list() == [query for key in pool.samples["id"] for query in queries[key]]


# ---- the pool ----


@given(st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=9), max_size=4))
def test_equal_ids_are_one_sample_and_told_within_each_file(files: list[list[tuple[int, int]]]) -> None:
    ids = [pair for file in files for pair in file]
    high, low = (np.array([pair[half] for pair in ids], dtype=np.uint64) for half in (0, 1))
    ends = np.cumsum([len(file) for file in files], dtype=np.int64)
    rows, firsts, fresh = _core.unique_rows(high, low, ends)
    samples = list(dict.fromkeys(ids))
    assert rows.tolist() == [samples.index(pair) for pair in ids]
    assert firsts.tolist() == [ids.index(pair) for pair in samples]
    assert fresh.tolist() == [pair not in file[:at] for file in files for at, pair in enumerate(file)]
    hexes = pl.DataFrame(_core.hex_ids(high, low))["id"].to_list()
    assert hexes == [f"{high:016x}{low:016x}" for high, low in ids]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=20))
def test_queries_of_a_sample_are_those_of_its_first_record(records: list[tuple[bool, int]]) -> None:
    firsts = np.array([at for at, (first, _) in enumerate(records) if first], dtype=np.int64)
    turns = np.array([turns for _, turns in records], dtype=np.int32)
    row, turn, kept = _core.query_rows(firsts, turns)
    expected = [(sample, turn) for sample, at in enumerate(firsts) for turn in range(turns[at])]
    assert list(zip(row.tolist(), turn.tolist(), strict=True)) == expected
    assert kept.tolist() == [first for first, turns in records for _ in range(turns)]
