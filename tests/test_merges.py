"""`instag merges`: which merges are doubtful, in which order, in a terminal, as Parquet, JSON and TOML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from conftest import Instag
from instag import ConfigError, Overrides, normalize
from instag.merges import MERGED_BY, SORTS, as_table, as_toml, list_merges
from instag.progress import shown_width
from test_normalization import FirstLetter, table_of, winget

ROWS = [["window", "windows", "Windows"], ["windows", "optimize code"], ["windows", "window", "code optimization"]] * 2
ROWS += [["universe", "university", "university"], ["university"], ["code optimization"]]


def ledger_of(*rows: tuple[str, str | None, int, str, str | None, float | None]) -> pl.DataFrame:
    names = ["raw", "into", "count", "step", "reason", "evidence"]
    frame = pl.DataFrame(list(rows), schema=names, orient="row", schema_overrides={"evidence": pl.Float64})
    return frame.with_columns(pl.lit(None, pl.String).alias("by"), pl.col("reason").cast(pl.String))


def doubts(*rows: tuple[str, str | None, int, str, str | None, float | None], **limits: float) -> dict[str, float]:
    tags = pl.DataFrame({"tag": ["x"], "count": [1]})
    return dict(list_merges(ledger_of(*rows), tags, limits).select("raw", "doubt").iter_rows())


def test_the_closest_calls_come_first() -> None:
    merged = normalize(table_of(ROWS), min_count=1, stemmer="porter", skip=["association"]).merges()
    assert merged.select("raw", "into", "step", "doubt").rows() == [
        ("optimize code", "code optimization", "semantic", 0.7),
        ("universe", "university", "rule", 0.5),
        ("window", "windows", "rule", 0.15),
        ("Windows", "windows", "rule", 0.0),
    ]
    assert merged["into_count"].to_list() == [5, 2, 6, 6]


def test_doubt_is_full_at_a_limit_and_none_far_from_it() -> None:
    found = doubts(
        ("at the cosine", "x", 9, "semantic", None, 0.9),
        ("half way", "x", 9, "semantic", None, 0.95),
        ("the same", "x", 9, "semantic", None, 1.0),
        ("guarded", "x", 5, "semantic", "cosine", 0.95),
        ("at the confidence", "x", 1000, "association", None, 0.99),
        ("at the count", "x", 40, "association", None, 1.0),
        ("far from both", "x", 4000, "association", None, 1.0),
        ("decided", "x", 4000, "override", "merge", None),
        cosine=0.9,
        confidence=0.99,
        rule_count=40,
    )
    assert found == {
        "at the cosine": 1,
        "at the confidence": 1,
        "at the count": 1,
        "half way": 0.5,
        "guarded": 0.5,
        "far from both": 0.01,
        "decided": 0,
        "the same": 0,
    }
    assert doubts(("always", "x", 50, "association", None, 1.0), confidence=1.0, rule_count=5) == {"always": 0.1}


def test_only_merges_are_listed() -> None:
    rows = [["k8s", "misc", "java"], ["kubernetes", "javas", "rare"]] * 2
    said = Overrides(merge=[["k8s", "kubernetes"]], drop=["misc"], rename={"java": "Java"})
    made = normalize(table_of(rows), min_count=2, overrides=said).merges("step")
    # What a new name hides is compared as it was.
    assert made.select("raw", "into", "step", "doubt").rows() == [
        ("javas", "Java", "rule", 0.15),
        ("k8s", "kubernetes", "override", 0.0),
    ]
    assert len(normalize(table_of([])).merges()) == 0


@pytest.mark.parametrize("sort", SORTS)
def test_every_order_is_total(data: Path, sort: Any) -> None:
    made = normalize(winget(data), min_count=2, min_rule_count=10)
    found = made.merges(sort)
    first = {"doubt": "doubt", "stake": "stake", "count": "count", "step": None}[sort]
    keys = [
        (
            MERGED_BY.index(row["step"]) if first is None else -row[first],
            -row["doubt"],
            -row["count"],
            row["raw"].encode(),
        )
        for row in found.iter_rows(named=True)
    ]
    assert keys == sorted(keys)
    assert found["doubt"].is_between(0, 1).all()
    moved = made.ledger.filter(pl.col("into").is_not_null() & (pl.col("raw") != pl.col("into")))
    assert sorted(found["raw"]) == sorted(moved["raw"])
    assert set(
        found.filter(pl.col("raw").str.to_lowercase() == pl.col("into").str.to_lowercase(), step="rule")["doubt"]
    ) <= {0}


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(ConfigError, match="hint: one of doubt, stake, count, step"):
        normalize(table_of([])).merges("size")  # type: ignore[arg-type]


def test_by_a_model_the_farthest_cosine_comes_first() -> None:
    settings: dict[str, Any] = {"min_count": 1, "skip": ["association"], "embedder": FirstLetter(), "merge": "paper"}
    made = normalize(table_of([["ab", "ac", "b"]]), **settings)
    assert made.merges().select("raw", "by", "evidence", "doubt").rows() == [("ac", "first-letter", 1.0, 0.0)]
    assert made.limits == {"cosine": 0.95}


@pytest.mark.parametrize("width", [200, 80, 62])
def test_a_table_fits_the_width(data: Path, width: int) -> None:
    lines = as_table(normalize(winget(data), min_count=2).merges("count"), width)
    assert max(map(shown_width, lines)) <= width
    assert len({len(line.split("  ")[0]) for line in lines}) == 1


def test_a_toml_list_can_be_pasted(tmp_path: Path) -> None:
    names = ['a "quoted" tag', "a 'quoted' tag", "tab\there", "del\x7f"]
    found = list_merges(
        ledger_of(*((name, "x", 9, "rule", None, None) for name in names)),
        pl.DataFrame({"tag": ["x"], "count": [1]}),
        {},
    )
    (tmp_path / "overrides.toml").write_text("\n".join(as_toml(found)), encoding="utf-8")
    assert {group[0] for group in Overrides.read(tmp_path / "overrides.toml").apart} == set(names)


def test_the_command_lists_them(instag: Instag, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "merges.parquet"
    (tmp_path / "tagged.jsonl").write_text("\n".join(json.dumps({"tags": row}) for row in ROWS))
    assert instag("import", tmp_path / "tagged.jsonl", "--run", run).code == 0
    assert "hint: run `instag normalize` first" in instag("merges", run).err
    assert instag("normalize", run, "--min-count", 1, "--min-rule-count", 40, "--stemmer", "porter").code == 0
    told = instag("merges", run)
    assert [line.split()[0] for line in told.out.splitlines()] == ["doubt", "0.70", "0.50", "0.15", "0.00"]
    assert "universe" in instag("merges", run, "--step", "rule", "--limit", 1).out
    assert "2 more" in instag("merges", run, "--step", "rule", "--limit", 1).err
    listed = instag("merges", run, "--json", "--limit", 2).json
    assert (listed["total"], [merge["raw"] for merge in listed["merges"]]) == (4, ["optimize code", "universe"])
    assert instag("merges", run, "--out", out).code == 0
    assert pl.read_parquet(out)["raw"].to_list() == ["optimize code", "universe", "window", "Windows"]
    assert '["universe", "university"],  # doubt 0.50: rule, stem' in instag("merges", run, "--toml", "--limit", 2).out
    assert instag("merges", run, "--toml", "--json").code == 2
    assert "could not be written" in instag("merges", run, "--out", tmp_path / "no" / "folder.parquet").err
