"""Tags in Parquet files, read and written by their codes: equal to what Polars reads, whatever the file is."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from instag import DataError, TagTable, _core, scan_tags
from instag.importing import read_tags, row_groups

TAGS = pl.List(pl.String)
WORDS = st.sampled_from(["math", "art", "", "history of art", "数学", "a longer tag than a view holds", "é" * 40])
ROWS = st.lists(st.none() | st.lists(st.none() | WORDS, max_size=5), max_size=40)
SOME = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def same(a: TagTable, b: TagTable) -> bool:
    return (
        a.vocabulary.to_list() == b.vocabulary.to_list()
        and a.offsets.tolist() == b.offsets.tolist()
        and a.ids.tolist() == b.ids.tolist()
        and a.counts.tolist() == b.counts.tolist()
    )


def as_object(tag: str | None) -> dict[str, str] | None:
    return None if tag is None else {"explanation": "x", "tag": tag}


@SOME
@given(
    ROWS,
    st.sampled_from(["zstd", "snappy", "gzip", "lz4", "brotli", "uncompressed"]),
    st.sampled_from(["str", "cat", "object"]),
    st.integers(1, 50),
    st.tuples(st.integers(0, 40), st.integers(0, 40)),
)
def test_rows_of_a_file_are_those_that_polars_reads(
    tmp_path: Path, rows: Any, compression: Any, kind: str, group: int, span: tuple[int, int]
) -> None:
    column = pl.Series("tags", rows, dtype=TAGS)
    written = column
    if kind == "cat":
        written = column.cast(pl.List(pl.Categorical))
    elif kind == "object":
        made = pl.List(pl.Struct({"explanation": pl.String, "tag": pl.String}))
        objects = [
            None if r is None else [None if t is None else {"explanation": "x", "tag": t} for t in r] for r in rows
        ]
        written = pl.Series("tags", objects, dtype=made)
    path = tmp_path / "rows.parquet"
    other = pl.int_range(len(rows), eager=True).alias("number")
    frame = pl.DataFrame([other, written, other.alias("after")])
    frame.write_parquet(path, compression=compression, row_group_size=group, data_page_size=64)
    assert sum(row_groups(str(path))) == len(rows)
    start, end = sorted(min(at, len(rows)) for at in span)
    read = read_tags([(str(path), start, end), (str(path), 0, len(rows))], "tags")
    assert same(read, TagTable.from_series(pl.concat([column[start:end], column])))
    shards = scan_tags(path, shard_rows=group)
    assert same(shards.whole(), TagTable.from_series(column))


@SOME
@given(ROWS)
def test_what_is_written_is_what_polars_reads(tmp_path: Path, rows: Any) -> None:
    table = TagTable.from_series(pl.Series("tags", rows, dtype=TAGS))
    numbers = pl.int_range(len(rows), eager=True)
    frame = pl.DataFrame(
        {"number": numbers, "text": numbers.cast(pl.String), "lists": [[str(n)] * (n % 3) for n in numbers]},
        schema_overrides={"lists": TAGS},
    )
    path = tmp_path / "rows.parquet"
    _core.write_tagged(str(path), frame, "tags", table.vocabulary, table.offsets, table.ids)
    read = pl.read_parquet(path)
    assert read.schema["tags"] == pl.List(pl.Categorical)
    assert read.drop("tags").equals(frame)
    assert read["tags"].to_list() == table.to_series().to_list()
    assert same(read_tags([(str(path), 0, len(rows))], "tags"), table)


@pytest.mark.parametrize("rows", [65_536, 65_537, 150_000])
def test_a_column_of_several_pages(tmp_path: Path, rows: int) -> None:
    rng = np.random.default_rng(rows)
    lengths = rng.integers(0, 5, rows)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = rng.integers(0, 3_000, offsets[-1]).astype(np.uint32)
    table = TagTable.from_arrays([f"tag {i}" for i in range(5_000)], offsets, ids)  # 2,000 of them in no row
    path = tmp_path / "rows.parquet"
    frame = pl.DataFrame({"id": pl.int_range(rows, eager=True)})
    _core.write_tagged(str(path), frame, "tags", table.vocabulary, table.offsets, table.ids)
    assert pl.read_parquet(path)["tags"].cast(TAGS).equals(table.to_series().cast(TAGS))
    assert same(read_tags([(str(path), 0, rows)], "tags"), TagTable.from_series(table.to_series()))


def test_a_row_of_more_tags_than_a_page(tmp_path: Path) -> None:
    sizes = [3, 1_500_000, 0, 700_000, 700_000, 2]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    ids = np.concatenate([np.arange(size) for size in sizes]).astype(np.uint32)
    words = pl.int_range(1_500_000, eager=True).cast(pl.String)
    table = TagTable.from_arrays(words, offsets, ids)
    path = str(tmp_path / "rows.parquet")
    _core.write_tagged(path, pl.DataFrame({"id": range(6)}), "tags", *table_parts(table))
    read = read_tags([(path, 0, 6)], "tags")
    assert read.offsets.tolist() == offsets.tolist()
    assert pl.read_parquet(path)["tags"].list.len().to_list() == sizes
    assert same(read, TagTable.from_series(table.to_series()))


def test_rows_and_columns_must_fit(tmp_path: Path) -> None:
    table = TagTable.from_series(pl.Series([["a"], ["b"]]))
    path = str(tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match="`offsets` has 3 entries, but 4 are needed"):
        _core.write_tagged(path, pl.DataFrame({"id": [1, 2, 3]}), "tags", *table_parts(table))
    with pytest.raises(ValueError, match="there is a column `tags` already"):
        _core.write_tagged(path, pl.DataFrame({"tags": [1, 2]}), "tags", *table_parts(table))
    with pytest.raises(ValueError, match="No such file or directory"):
        _core.write_tagged(path + ".d/x", pl.DataFrame({"id": [1, 2]}), "tags", *table_parts(table))
    _core.write_tagged(path, pl.DataFrame({"id": [1, 2]}), "tags", *table_parts(table))
    with pytest.raises(DataError, match="there are 2 rows, not 3"):
        read_tags([(path, 0, 3)], "tags")
    with pytest.raises(DataError, match="there is no column `labels`"):
        read_tags([(path, 0, 2)], "labels")
    with pytest.raises(DataError, match="expected a column of strings or of lists of strings"):
        read_tags([(path, 0, 2)], "id")


def table_parts(table: TagTable) -> tuple[pl.Series, Any, Any]:
    return table.vocabulary, table.offsets, table.ids


@pytest.mark.parametrize("kind", ["coded", "plain", "objects"])
def test_bytes_changed_anywhere_give_an_error_or_a_table(tmp_path: Path, kind: str) -> None:
    rng = random.Random(kind)
    rows: Any = [[f"tag {rng.randrange(30)}" for _ in range(rng.randrange(4))] for _ in range(200)]
    if kind == "objects":
        rows = [[{"tag": tag} for tag in row] for row in rows]
    elif kind == "plain":
        rows = [[f"{tag} {rng.random()}" for tag in row] for row in rows]
    path = tmp_path / "rows.parquet"
    pl.DataFrame({"tags": rows}).write_parquet(path, compression="uncompressed", row_group_size=120)
    good = path.read_bytes()
    outcomes = set()
    for _ in range(400):
        bad = bytearray(good)
        for _ in range(rng.choice([1, 1, 2, 8])):
            at = rng.randrange(len(bad)) if rng.random() < 0.5 else len(bad) - 1 - rng.randrange(min(900, len(bad)))
            bad[at] = rng.choice([0, 1, 127, 255, rng.randrange(256)])
        path.write_bytes(bad)
        try:
            table = read_tags([(str(path), 0, 200)], "tags")
            assert len(table) == 200
            outcomes.add("read")
        except DataError as error:
            outcomes.add("refused" if str(path) in error.message else error.message)
    assert outcomes == {"read", "refused"}
