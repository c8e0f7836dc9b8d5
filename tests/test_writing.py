"""Writing records again: byte for byte, compact or as messages; never from a source that changed."""

from __future__ import annotations

import gzip
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

import instag
import oracle_reading
import oracle_writing as oracle
from instag import Pool, _core
from instag.writing import write_annotated, write_selected
from reading_cases import CASES
from test_reading import records_of_any_kind

OBJECTS = [record for record, _, _ in CASES if isinstance(record, dict)]
ODD = '{"prompt" :  "n\\u00e9 \\/", "n": [1.50, 1e5 ,-0], "nan": NaN, "own": null}'
ODD_COMPACT = '{"prompt":"n\\u00e9 \\/","n":[1.50,1e5,-0],"nan":NaN,"own":null}'


def select(pool: Pool, out: Path, rows: list[int], **more: Any) -> list[str]:
    write_selected(out, pool.files, pool.records, np.array(rows, dtype=np.int64), **more)
    text = out.read_bytes().decode()
    assert text == "" or text.endswith("\n")
    return text.split("\n")[:-1]


def lines_of(records: list[Any]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
def test_lines_come_back_byte_for_byte_in_pick_order(tmp_path: Path, ending: str) -> None:
    lines = [ODD, *(f'{{"prompt":  "p{at}", "pad": "{"x" * at}"}}' for at in range(200))]
    data = "\r\n".join(lines).encode()
    data = gzip.compress(data) if ending == ".gz" else zstandard.compress(data) if ending == ".zst" else data
    path = tmp_path / f"x.jsonl{ending}"
    path.write_bytes(data)
    pool = instag.read([path, path])
    rows = list(range(200, -1, -7))
    assert select(pool, tmp_path / "out.jsonl", rows) == [lines[row] for row in rows]


def test_everything_else_becomes_one_compact_line(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(f"[\n {ODD},\n {json.dumps(OBJECTS[0], indent=3)}\n]")
    (tmp_path / "b.txt").write_text('Say "hi"\tnow.\nAgain.')
    (tmp_path / "c.csv").write_text("act,prompt\nx,1.50\ny,2e5\n")
    pl.DataFrame({"text": ["t"], "n": [1], "raw": [b"\x00\xff"]}).write_parquet(tmp_path / "d.parquet")
    pool = instag.read([str(tmp_path / name) for name in ("a.json", "b.txt", "c.csv", "d.parquet")])
    assert select(pool, tmp_path / "out", [6, 5, 4, 3, 2, 1, 0]) == [
        '{"text":"t","n":1,"raw":"AP8="}',
        '{"act":"y","prompt":"2e5"}',
        '{"act":"x","prompt":"1.50"}',
        '{"text":"Again."}',
        r'{"text":"Say \"hi\"\tnow."}',
        json.dumps(OBJECTS[0], separators=(",", ":")),
        ODD_COMPACT,
    ]
    assert select(pool, tmp_path / "out", []) == []


def test_messages_are_one_shape_for_every_schema(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(lines_of([record for record, _, _ in CASES]))
    pool = instag.read(path)
    lines = select(pool, tmp_path / "out", list(range(len(pool))), format="messages")
    for line in lines:
        for message in json.loads(line)["messages"]:
            assert isinstance(message["role"], str)
            assert isinstance(message["content"], str)
    queries = pool.queries.group_by("row", maintain_order=True).agg("query")["query"].to_list()
    users = [[m["content"] for m in json.loads(line)["messages"] if m["role"] == "user"] for line in lines]
    assert users == queries
    again = tmp_path / "again.jsonl"
    again.write_text("\n".join(lines))
    assert instag.read(again).queries["query"].to_list() == pool.queries["query"].to_list()


def test_messages_keep_tools_calls_parts_and_one_answer(tmp_path: Path) -> None:
    records = [
        next(r for r in OBJECTS if r.get("tools") == "[]"),
        next(r for r in OBJECTS if "messages" in r and isinstance(r["messages"][0]["content"], list)),
        {"instruction": "Say.", "responses": ["one", "two"], "images": ["a.png"]},
        {"conversations": [{"from": "human", "value": "Q"}], "chosen": {"from": "gpt", "value": "A"}, "rejected": "B"},
    ]
    path = tmp_path / "x.jsonl"
    path.write_text(lines_of(records))
    lines = [json.loads(line) for line in select(instag.read(path), tmp_path / "out", [0, 1, 2, 3], format="messages")]
    book, look, say, prefer = lines
    call = {"type": "function", "function": {"name": "book", "arguments": '{"n":1}'}}
    assert book["messages"][1] == {"role": "assistant", "content": "", "tool_calls": [call]}
    assert book["messages"][2]["role"] == "tool"
    assert book["tools"] == "[]"
    assert json.loads(look["messages"][0]["attachments"]) == [{"type": "image_url", "image_url": {"url": "a.png"}}]
    assert look["messages"][1]["tool_calls"][0]["function"]["arguments"] == '{"at": 1.50}'
    assert say == {
        "messages": [{"role": "user", "content": "Say."}, {"role": "assistant", "content": "one"}],
        "images": ["a.png"],
    }
    assert [message["content"] for message in prefer["messages"]] == ["Q", "A"]


def test_a_forced_schema_holds_for_messages_too(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"prompt": "p", "text": "t"}')
    pool = instag.read(path, schema="text")
    assert select(pool, tmp_path / "out", [0], format="messages", schema="text") == [
        '{"messages":[{"role":"user","content":"t"}]}'
    ]


def test_annotated_holds_every_record_with_its_notes(tmp_path: Path) -> None:
    records: list[Any] = [{"prompt": "a"}, {"prompt": "b", "instag": {"old": 1}}, {"prompt": "a", "copy": True}, "bare"]
    path = tmp_path / "x.jsonl"
    path.write_text(lines_of(records))
    (tmp_path / "y.csv").write_text("prompt\nb\n")
    pool = instag.read([path, tmp_path / "y.csv"])
    notes = pl.DataFrame(
        {"row": [0, 1, 2], "id": ["A", "B", "C"], "tags": [["x"], [], ["y", "é"]], "rank": [None, 0, 1]}
    )
    write_annotated(tmp_path / "out", pool.files, pool.records, notes)
    assert [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()] == [
        {"prompt": "a", "instag": {"id": "A", "tags": ["x"], "rank": None}},
        {"prompt": "b", "instag": {"id": "B", "tags": [], "rank": 0}},
        {"prompt": "a", "copy": True, "instag": {"id": "A", "tags": ["x"], "rank": None}},
        {"record": "bare", "instag": {"id": "C", "tags": ["y", "é"], "rank": 1}},
        {"prompt": "b", "instag": {"id": "B", "tags": [], "rank": 0}},
    ]


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.csv", "x.parquet", "x.jsonl.gz"])
def test_a_changed_source_is_refused(tmp_path: Path, name: str) -> None:
    path, out = tmp_path / name, tmp_path / "out"

    def write(prompts: list[str]) -> None:
        frame = pl.DataFrame({"prompt": prompts})
        lines = lines_of(frame.to_dicts()).encode()
        match name:
            case "x.csv":
                frame.write_csv(path)
            case "x.parquet":
                frame.write_parquet(path)
            case "x.json":
                path.write_text(json.dumps(frame.to_dicts()))
            case "x.jsonl":
                path.write_bytes(lines)
            case _:
                path.write_bytes(gzip.compress(lines, mtime=0))

    write(["a", "b", "c"])
    pool = instag.read(path)
    assert len(select(pool, out, [0, 2])) == 2
    out.unlink()
    for other in (["a", "b", "C"], ["a", "b"], ["a"], ["longer than before", "b", "c", "d"]):
        write(other)
        with pytest.raises(instag.ArtifactError, match="changed since it was read"):
            select(pool, out, [0, 2])
        assert [p.name for p in tmp_path.iterdir()] == [name]
    path.unlink()
    with pytest.raises(instag.ArtifactError, match=r"cannot be read: No such file|cannot be read"):
        select(pool, out, [0])


def test_what_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"prompt": "p"}')
    pool = instag.read(path)
    with pytest.raises(instag.ArtifactError, match="could not be written"):
        select(pool, tmp_path / "none" / "out", [0])
    with pytest.raises(instag.ConfigError, match="`format` is 'csv'"):
        select(pool, tmp_path / "out", [0], format="csv")
    with pytest.raises(instag.ArtifactError, match="1 picks have no record"):
        select(pool, tmp_path / "out", [5])
    if Path("/dev/full").exists():
        full = tmp_path / ".full.part"
        full.symlink_to("/dev/full")
        with pytest.raises(instag.ArtifactError, match="could not be written: No space left"):
            select(pool, tmp_path / "full", [0])


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
)

calls = st.dictionaries(
    st.sampled_from(["id", "name", "arguments", "parameters", "function", "type"]),
    st.sampled_from(["f", "", None, 1.5, "{}", {"x": [1, '"é']}, {"name": "g", "arguments": {}}, {"parameters": 1}]),
)
calling = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "function_call", "tool", "critic"])},
    optional={
        "content": st.sampled_from(["a", "", None, '{"name": "f", "arguments": {"n": 1}}', "[1]", '"b"', "{"]),
        "tool_calls": calls | st.lists(calls, max_size=2) | st.just("call"),
        "function_call": calls,
        "images": st.sampled_from(["a.png", [], ["a", {"b": None}]]),
    },
)
records_with_calls: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"messages": st.lists(calling, max_size=3).map(lambda turns: [{"role": "user", "content": "Q"}, *turns])},
    optional={
        "tools": st.sampled_from(["[]", [], [{"name": "f"}], None]),
        "functions": st.just([1.50]),
        "image": st.sampled_from(["a", None, {"b": []}]),
        "videos": st.just([]),
        "responses": st.just(["one", "two"]),
    },
)


def exported(text: str, form: str, **more: Any) -> str:
    """One record through the core."""
    block = text.encode()
    bounds = np.array([0], dtype=np.int64), np.array([len(block)], dtype=np.int64)
    line: str = pl.DataFrame(_core.export_records(block, *bounds, form, **more))["line"].item()
    return line


@given(values, st.sampled_from([None, 1, "\t"]))
def test_compact_is_what_python_would_write(value: Any, indent: Any) -> None:
    assert exported(json.dumps(value, indent=indent), "compact") == json.dumps(value, separators=(",", ":"))


@given(values, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_compact_lines_equal_the_oracle(value: Any, indent: Any, escaped: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=escaped)
    assert exported(text, "compact") == oracle.compact(text)
    assert exported(text, "verbatim") == text
    note = '{"id":"A","tags":["é"],"n":1.50}'
    assert oracle_reading.parse(exported(text, "compact", notes=pl.Series([note])) or "") == oracle_reading.parse(
        oracle.annotated(text, note)
    )


@settings(max_examples=400)
@given(records_of_any_kind | records_with_calls, st.sampled_from([None, None, *_core.schema_names()]))
def test_messages_equal_the_oracle(record: Any, schema: str | None) -> None:
    text = json.dumps(record)
    try:
        expected = oracle.messages(text, schema)
    except oracle_reading.RejectedError:
        with pytest.raises(ValueError, match="`starts`"):
            exported(text, "messages", schema=schema)
        return
    assert oracle_reading.parse(exported(text, "messages", schema=schema)) == expected


def opened(value: Any) -> Any:
    """JSON that stands in a text, parsed: how the text of a call escapes what is not ASCII is its own affair."""
    if oracle_reading.is_text(value):
        with suppress(oracle_reading.RejectedError):
            return oracle_reading.parse(value)
    if isinstance(value, oracle_reading.Members):
        return oracle_reading.Members([(key, opened(inner)) for key, inner in value])
    return [opened(inner) for inner in value] if isinstance(value, list) else value


def test_messages_of_real_records_equal_the_oracle(data: Path) -> None:
    folder = data / "instructions" / "llama_factory"
    compared = 0
    for path in sorted(folder.glob("*.json")):
        for record in json.loads(path.read_text("utf-8")):
            text = json.dumps(record)
            with suppress(oracle_reading.RejectedError):
                expected = oracle.messages(text)
                assert opened(oracle_reading.parse(exported(text, "messages"))) == opened(expected)
                compared += 1
    assert compared > 3_500


@given(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])))
def test_plain_lines_become_objects(line: str) -> None:
    assert json.loads(exported(line, "compact", plain=True)) == {"text": line}


def test_ranges_outside_the_block_are_refused() -> None:
    for start, end in ((-1, 2), (0, 99), (3, 1)):
        with pytest.raises(ValueError, match="no record there"):
            _core.export_records(b'{"a": 1}', np.array([start]), np.array([end]), "compact")
    with pytest.raises(ValueError, match="`form` is `x`"):
        _core.export_records(b"", np.array([0]), np.array([0]), "x")
    notes = pl.Series("n", [], dtype=pl.String)
    with pytest.raises(ValueError, match="`notes` has 0 entries"):
        _core.export_records(b"{}", np.array([0]), np.array([2]), "compact", notes=notes)


def test_real_records_come_back(data: Path, tmp_path: Path) -> None:
    names = ["llama_factory/*.json*", "sgd/*.json*", "gsm8k/*.jsonl", "human_eval/*.gz", "awesome_prompts/*.csv"]
    pool = instag.read([str(data / "instructions" / name) for name in names])
    rows = list(range(len(pool) - 1, -1, -31))
    lines = select(pool, tmp_path / "out", rows)
    again = instag.read([tmp_path / "out"])
    assert again.samples["id"].to_list() == pool.samples["id"].gather(rows).to_list()
    assert len(lines) == len(rows)
