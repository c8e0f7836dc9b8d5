"""Shards that are broken, change or vanish, rows out of all proportion: one clear error each, and nothing is lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import instag
from conftest import Instag
from instag import DataError, TagTable
from instag.run import Run

TAGS = pl.List(pl.String)


def write(path: Path, rows: Any, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame({"tags": pl.Series(rows, dtype=TAGS), **columns}).write_parquet(path)
    return path


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    for at in range(3):
        write(tmp_path / "pool" / f"{at}.parquet", [["a", "b"], ["a"]] * 5)
    return tmp_path / "pool"


BROKEN: list[tuple[str, Callable[[Path], object], str]] = [
    ("text", lambda path: path.write_text("not a table"), "cannot be read"),
    ("empty", lambda path: path.write_bytes(b""), "cannot be read"),
    ("cut off", lambda path: path.write_bytes(path.read_bytes()[:-20]), "cannot be read"),
    ("another column", lambda path: pl.DataFrame({"labels": [["a"]]}).write_parquet(path), "has no column `tags`"),
    ("strings", lambda path: pl.DataFrame({"tags": ["a, b"]}).write_parquet(path), "must hold lists of strings"),
    ("numbers", lambda path: pl.DataFrame({"tags": [[1, 2]]}).write_parquet(path), "must hold lists of strings"),
    ("gone", lambda path: path.unlink(), "no such file"),
]


@pytest.mark.parametrize(("name", "spoil", "message"), BROKEN, ids=[name for name, _, _ in BROKEN])
def test_a_broken_shard_is_told_by_name(
    instag: Instag, pool: Path, tmp_path: Path, name: str, spoil: Callable[[Path], object], message: str
) -> None:
    paths = sorted(pool.iterdir())
    assert instag("import", pool, "--run", tmp_path / "run").code == 0
    before = Run(tmp_path / "run").digest("tag")
    spoil(paths[1])
    with pytest.raises(DataError, match=message) as told:
        scan_tags(paths)
    assert str(paths[1]) in str(told.value)
    said = instag("import", *paths, "--run", tmp_path / "run")
    assert said.code == 1
    assert str(paths[1]) in said.err
    # What stood before stands, and nothing half-written is left.
    assert Run(tmp_path / "run").digest("tag") == before
    assert not list((tmp_path / "run").rglob("*.part"))


def scan_tags(paths: list[Path]) -> instag.TagShards:
    return instag.scan_tags(paths)


def test_a_shard_that_changes_while_it_is_read_is_refused(
    instag: Instag, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from instag import tagged

    read = tagged.TaggedReader._parquet

    def change_first(self: tagged.TaggedReader, given: Any) -> Any:
        if given.path.endswith("1.parquet"):
            write(Path(given.path), [["x"]] * 3)
        return read(self, given)

    monkeypatch.setattr(tagged.TaggedReader, "_parquet", change_first)
    said = instag("import", pool, "--run", tmp_path / "run")
    assert said.code == 1
    assert "1.parquet` changed while it was read" in said.err
    assert Run(tmp_path / "run").state("tag") == "unfinished"


def test_a_part_of_a_stage_that_vanishes_or_changes_is_damage(
    instag: Instag, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("instag.tagged.SHARD_ROWS", 10)
    run = tmp_path / "run"
    assert instag("import", pool, "--run", run).code == 0
    part = run / "tag" / "queries" / "part-00001.parquet"
    held = part.read_bytes()
    for spoil in (lambda: part.unlink(), lambda: write(part, [["a"]])):
        spoil()
        said = instag("normalize", run)
        assert said.code == 1
        assert "part-00001.parquet" in said.err
        assert "damaged" in instag("show", run).err
        part.write_bytes(held)
    assert instag("normalize", run, "--min-count", 1).code == 0


def test_a_part_that_changes_between_two_passes_is_refused(
    instag: Instag, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from instag import normalization

    monkeypatch.setattr("instag.tagged.SHARD_ROWS", 10)
    run = tmp_path / "run"
    assert instag("import", pool, "--run", run).code == 0
    part, normalize = run / "tag" / "queries" / "part-00001.parquet", normalization.normalize

    def change_after(*arguments: Any, **settings: Any) -> Any:
        made = normalize(*arguments, **settings)
        pl.read_parquet(part).head(4).write_parquet(part)
        return made

    monkeypatch.setattr(normalization, "normalize", change_after)
    said = instag("normalize", run, "--min-count", 1)
    assert said.code == 1
    assert "changed while it was read: 4 rows, not 10" in said.err
    assert not list(run.rglob("*.part"))


def test_a_sample_of_100_000_tags_and_a_tag_1_000_times() -> None:
    wide = [f"tag {at}" for at in range(100_000)]
    table = TagTable.from_series(pl.Series([wide, ["tag 7"] * 1_000, ["tag 7", "tag 8"]] * 2, dtype=TAGS))
    assert table.counts[:2].tolist() == [6, 4]
    assert np.diff(table.offsets).tolist() == [100_000, 1, 2] * 2
    made = instag.normalize(table, min_count=2, min_rule_count=3)
    assert len(made.ledger) == 100_000
    with pytest.raises(instag.ConfigError, match="more than 100000000 pairs of tags may be rules\nhint: raise"):
        instag.normalize(table, min_count=2, min_rule_count=2)
    assert instag.select(table, 3).rows.tolist() == [0, 3, 2]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, a disk that is always full")
def test_a_disk_that_fills_up_ends_an_import_and_leaves_what_stood(
    instag: Instag, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("instag.tagged.SHARD_ROWS", 10)
    run = tmp_path / "run"
    assert instag("import", pool, "--run", run).code == 0
    before = Run(run).digest("tag")
    for name in ("queries-00001", "records-00002"):
        (run / "tag" / f".{name}.parquet.part").symlink_to("/dev/full")
        said = instag("import", pool / "0.parquet", pool / "1.parquet", pool / "2.parquet", "--run", run)
        assert said.code == 1
        assert "could not be written" in said.err
        assert Run(run).digest("tag") == before
        assert not list(run.rglob("*.part"))
