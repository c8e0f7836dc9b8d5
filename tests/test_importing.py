"""Data that is tagged already: one answer whatever form it comes in, and clear errors for what has none."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard

from instag import TagTable
from instag.errors import DataError
from instag.importing import find_shards
from instag.inputs import Input
from instag.tagged import TaggedReader

ROWS = [
    {"id": 7, "who": "x", "tags": ["a", "b"]},
    {"id": 8, "who": None, "tags": []},
    {"id": None, "who": "y", "tags": None},
    {"id": 9, "who": "x", "tags": ["b", None, "b", "数学"]},
]


@dataclass
class Read:
    """All parts together."""

    rows: pl.DataFrame
    tags: pl.Series
    records: pl.DataFrame
    rejected: pl.DataFrame
    files: pl.DataFrame


def read_tagged(names: list[Input], column: str = "tags", *, part_rows: int = 100_000, **columns: Any) -> Read:
    reader = TaggedReader(names, column, **columns)
    parts = list(reader.parts(part_rows))
    rows, records = (pl.concat(getattr(part, name) for part in parts) for name in ("rows", "records"))
    tags = pl.concat(part.table.to_series() for part in parts)
    return Read(rows, tags, records, reader.rejected, reader.files)


def write(folder: Path, form: str) -> Path:
    text = "\n".join(json.dumps(row) for row in ROWS)
    path = folder / f"t.{form}"
    match form:
        case "parquet":
            pl.DataFrame(ROWS).write_parquet(path)
        case "cat.parquet":
            pl.DataFrame(ROWS).with_columns(pl.col("tags").cast(pl.List(pl.Categorical))).write_parquet(path)
        case "json":
            path.write_text(json.dumps(ROWS, indent=1))
        case "jsonl.gz":
            path.write_bytes(gzip.compress(text.encode()))
        case "jsonl.zst":
            path.write_bytes(zstandard.compress(text.encode()))
        case _:
            path.write_text(text)
    return path


@pytest.mark.parametrize("part_rows", [1, 3, 100])
@pytest.mark.parametrize("form", ["jsonl", "json", "jsonl.gz", "jsonl.zst", "parquet", "cat.parquet"])
def test_every_form_gives_the_same_rows(tmp_path: Path, form: str, part_rows: int) -> None:
    path = write(tmp_path, form)
    read = read_tagged(find_shards([str(path)]), id_column="id", source_column="who", part_rows=part_rows)
    assert read.rows["id"].to_list() == ["7", "8", f"t.{form}:2", "9"]
    stem = "t.cat" if form == "cat.parquet" else "t"
    assert read.rows["source"].to_list() == ["x", stem, "y", "x"]
    assert TagTable.from_series(read.tags).to_series().to_list() == [["a", "b"], [], [], ["b", "数学"]]
    assert read.records["record"].to_list() == [0, 1, 2, 3]
    assert len(read.rejected) == 0


def test_a_folder_is_one_source_its_shards_in_bytewise_order(tmp_path: Path) -> None:
    folder = tmp_path / "pool"
    (folder / "sub").mkdir(parents=True)
    for name, tag in (("b.jsonl", "2"), ("a.jsonl", "1"), ("sub/c.jsonl", "3"), (".hidden", "4")):
        (folder / name).write_text(json.dumps({"tags": [tag]}))
    read = read_tagged(find_shards([str(folder)]))
    assert [tags[0] for tags in read.tags.to_list()] == ["1", "2", "3"]
    assert set(read.rows["source"]) == {"pool"}
    assert read.records["file"].to_list() == [0, 1, 2]


def test_answers_in_the_form_of_taggers_are_tags_too(tmp_path: Path) -> None:
    answers = [{"tags": [{"tag": "Math", "explanation": "sums"}, {"tag": "Logic", "explanation": ""}]}]
    lines, table = tmp_path / "a.jsonl", tmp_path / "a.parquet"
    lines.write_text(json.dumps(answers[0]))
    pl.DataFrame(answers).write_parquet(table)
    for path in (lines, table):
        assert read_tagged(find_shards([str(path)])).tags.to_list() == [["Math", "Logic"]]


def test_a_broken_row_is_listed_with_its_line_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(
        '{"tags": ["a"]}\n{"tags": "a, b"}\n{"tags": [1]}\n{"tag": []}\n[\n{"tags": ["\\ud800"]}\n{"tags": ["b"]}'
    )
    read = read_tagged(find_shards([str(path)]))
    assert read.tags.to_list() == [["a"], ["b"]]
    assert read.rejected["line"].to_list() == [2, 3, 4, 5, 6]
    assert read.rejected["reason"][0] == "`tags` is a string, must be a list of strings"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.jsonl", b"", "is empty"),
        ("t.jsonl", b"\x00\x01\x02\x00\x00", "is binary"),
        ("t.jsonl", b'{"labels": []}\n{"labels": []}', "no member `tags`"),
        ("t.parquet", b"PAR1 but not really", "t.parquet"),
        ("t.csv", b"tags\na", "is csv"),
    ],
)
def test_what_holds_no_tags_is_one_error_with_the_file_and_a_hint(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        read_tagged(find_shards([str(tmp_path)]))
    assert name in str(error.value)


@pytest.mark.parametrize(
    ("tags", "message"), [([1], "holds Int64"), ([[1]], "lists of strings"), (["a"], "holds String")]
)
def test_a_parquet_column_of_another_type_is_refused(tmp_path: Path, tags: list[object], message: str) -> None:
    path = tmp_path / "t.parquet"
    pl.DataFrame({"tags": tags}).write_parquet(path)
    with pytest.raises(DataError, match=message):
        read_tagged(find_shards([str(path)]))
    with pytest.raises(DataError, match="no column `labels`"):
        read_tagged(find_shards([str(path)]), "labels")


def test_real_tag_corpora_have_their_known_counts(data: Path) -> None:
    asked = read_tagged(find_shards([str(data / "tags/ask_ubuntu/tags.jsonl.gz")]), id_column="id")
    table = TagTable.from_series(asked.tags)
    assert (len(table), len(table.vocabulary)) == (271_233, 3_029)
    winget = read_tagged(find_shards([str(data / "tags/winget/index.v2.json")]), "Tags", id_column="PackageId")
    table = TagTable.from_series(winget.tags)
    assert (len(table), len(table.vocabulary)) == (14_585, 20_827)


def test_ids_stay_apart_where_shards_share_a_name(tmp_path: Path) -> None:
    for folder in ("en", "zh"):
        (tmp_path / "pool" / folder).mkdir(parents=True)
        (tmp_path / "pool" / folder / "part-0.jsonl").write_text(json.dumps({"tags": [folder]}))
    read = read_tagged(find_shards([str(tmp_path / "pool")]))
    assert read.rows["id"].to_list() == ["en/part-0.jsonl:0", "zh/part-0.jsonl:0"]


def test_a_column_that_no_record_has_is_an_error(tmp_path: Path) -> None:
    shards = find_shards([str(write(tmp_path, "jsonl"))])
    with pytest.raises(DataError, match="`zz`"):
        read_tagged(shards, id_column="zz")
    with pytest.raises(DataError, match="`zz`"):
        read_tagged(shards, source_column="zz")
