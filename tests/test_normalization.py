"""The four steps: the oracle's answer, the ledger's promises, settings, and real tag corpora."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import instag
import oracle
import oracle_english
from instag import Normalization, NormalizeSettings, TagTable, normalize

WORDS = ["Web Development", "web-developments", "WEB", "C", "c++", "C#", "数学", "x_y", "X Y", "x y", "+", "", "é", "É"]
rows_of_tags = st.lists(st.lists(st.sampled_from(WORDS), max_size=6), max_size=30)
UP_TO_RULES = ("semantic", "association")


def table_of(rows: list[list[str]]) -> TagTable:
    return TagTable.from_series(pl.Series("tags", rows, dtype=pl.List(pl.String)))


def fates(made: Normalization[TagTable]) -> dict[str, oracle.Fate]:
    return {row["raw"]: (row["step"], row["into"]) for row in made.ledger.iter_rows(named=True)}


@given(rows_of_tags, st.integers(1, 4), st.booleans())
def test_frequency_and_rule_equal_the_oracle(rows: list[list[str]], min_count: int, paper: bool) -> None:
    made = normalize(table_of(rows), min_count=min_count, paper_rules=paper, skip=UP_TO_RULES)
    form = oracle.paper_form if paper else oracle.rule_form
    expected, expected_fates = oracle.normalize(rows, min_count, {"rule": form})
    assert made.table.to_series().cast(pl.List(pl.String)).to_list() == expected
    assert fates(made) == expected_fates
    assert made.table.vocabulary.to_list() == oracle.intern(expected)[0]
    check_promises(made, table_of(rows))


class FirstLetter:
    """An embedder for which tags of one first letter mean the same."""

    identity = "first-letter"
    max_cosine_distance = 0.05

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        letters = sorted({text[:1].lower() for text in texts})
        return np.eye(max(2, len(letters)), dtype=np.float32)[[letters.index(text[:1].lower()) for text in texts]]


@given(st.lists(st.lists(st.sampled_from(["aa", "ab", "Ab", "b", "ba", "c", "d"]), max_size=4), max_size=25))
def test_all_four_steps_equal_the_oracle(rows: list[list[str]]) -> None:
    settings: dict[str, Any] = {"min_count": 2, "min_rule_count": 2, "min_rule_confidence": 0.75, "stemmer": "none"}
    made = normalize(table_of(rows), embedder=FirstLetter(), merge="paper", **settings)
    keys = {"rule": str.lower, "semantic": lambda name: name[:1].lower()}
    before, _ = oracle.normalize(rows, 2, keys)
    merges = oracle.merge_associations(before, 2, 0.75)
    expected, expected_fates = oracle.normalize(rows, 2, keys, {tag: end for tag, (end, _, _) in merges.items()})
    assert [sorted(row) for row in made.table.to_series().to_list()] == [sorted(row) for row in expected]
    assert fates(made) == expected_fates
    check_promises(made, table_of(rows))
    by_tag = made.ledger.filter(pl.col("step") == "association")
    for round_, evidence in by_tag.select("round", "evidence").iter_rows():
        assert (round_, evidence) in {(moved, confidence) for _, moved, confidence in merges.values()}
    assert made.steps["step"].to_list() == ["raw", "frequency", "rule", "semantic", "association"]


def test_lexical_merges_bear_their_reason() -> None:
    rows = [["optimize code", "APIs"], ["code optimization", "user interfaces"], ["code optimization", "api", "UI"]]
    made = normalize(table_of([*rows, ["UI"], ["api"]]), min_count=1, stemmer="none", skip=["association"])
    reasons = {raw: reason for raw, reason in made.ledger.select("raw", "reason").iter_rows() if reason}
    assert reasons == {"APIs": "plural", "optimize code": "verb and noun+word order", "user interfaces": "alias"}


def check_promises(made: Normalization[TagTable], table: TagTable) -> None:
    """What holds for every normalization, whatever its settings."""
    ledger, tags = made.ledger, made.table.vocabulary.to_list()
    assert ledger.columns == ["raw", "count", "step", "by", "into", "round", "evidence", "reason"]
    assert ledger.dtypes == [
        pl.String,
        pl.Int64,
        pl.Categorical,
        pl.Categorical,
        pl.String,
        pl.Int32,
        pl.Float64,
        pl.Categorical,
    ]
    assert sorted(ledger["raw"]) == sorted(table.vocabulary)
    assert ledger["count"].sum() == len(table.ids)
    keys = [(-count, raw.encode()) for raw, count in ledger.select("raw", "count").iter_rows()]
    assert keys == sorted(keys)
    kept = ledger.filter(pl.col("step") == "kept")
    assert kept["raw"].to_list() == kept["into"].to_list()
    assert set(kept["raw"]) == set(tags) == set(ledger["into"].drop_nulls())
    changed = ledger.filter(~pl.col("step").is_in(["kept", "rare"]))
    assert (changed["raw"] != changed["into"]).all()
    assert (ledger["into"].is_null() == (ledger["step"] == "rare")).all()
    assert (ledger["round"].is_not_null() == (ledger["step"] == "association")).all()
    assert (ledger["by"].is_not_null() == ledger["step"].is_in(["rule", "semantic"])).all()
    order = [(-count, tag.encode()) for tag, count in zip(tags, made.table.counts.tolist(), strict=True)]
    assert order == sorted(order)
    assert len(made.table) == len(table)
    assert made.steps["tags"].to_list()[-1] == len(tags)
    assert made.steps["occurrences"].to_list()[-1] == len(made.table.ids)
    assert made.steps["tags"].is_sorted(descending=True)


@given(rows_of_tags)
def test_the_order_of_rows_and_of_the_vocabulary_does_not_matter(rows: list[list[str]]) -> None:
    table = table_of(rows)
    turned = TagTable.from_arrays(
        table.vocabulary.reverse(), table.offsets, len(table.vocabulary) - 1 - table.ids.astype("int64")
    )
    made = normalize(table, min_count=2, skip=UP_TO_RULES)
    for other in (turned, table_of(rows[::-1])):
        again = normalize(other, min_count=2, skip=UP_TO_RULES)
        assert again.ledger.equals(made.ledger)
        assert again.steps.equals(made.steps)
        assert again.table.vocabulary.to_list() == made.table.vocabulary.to_list()


def test_a_setting_of_a_skipped_step_is_named_as_unused() -> None:
    made = normalize(table_of([["a"]]), skip=["rule", "semantic"], stemmer="english", linkage="complete", min_count=1)
    assert made.notes[:2] == ["rule: skipped, and `stemmer` with it", "semantic: skipped, and `linkage` with it"]


def test_skipping_everything_changes_nothing() -> None:
    table = table_of([["A", "a"], ["b"], []])
    made = normalize(table, skip=("frequency", "rule", "semantic", "association"))
    assert made.table.to_series().to_list() == table.to_series().to_list()
    assert made.ledger["step"].unique().to_list() == ["kept"]
    assert made.steps.rows() == [("raw", 3, 3)]
    assert made.notes == [f"{step}: skipped" for step in ("frequency", "rule", "semantic", "association")]


def test_an_empty_table_stays_empty() -> None:
    empty: list[list[list[str]]] = [[], [[]], [["rare"]]]
    for rows in empty:
        made = normalize(table_of(rows), skip=UP_TO_RULES)
        assert len(made.table) == len(rows)
        assert len(made.table.vocabulary) == 0
        assert len(made.ledger) == len({tag for row in rows for tag in row})


def test_a_pool_too_small_is_told_the_values_that_would_do() -> None:
    rows = [[f"tag {n}"] for n in range(300) for _ in range(1 + n % 7)]
    note = normalize(table_of(rows), skip=UP_TO_RULES).notes[0]
    assert note == (
        "frequency: the pool is too small for min_count=20: 0 of 300 tags are left, with 0 % of the tag occurrences; "
        "min_count=5, min_rule_count=10 would keep 128 tags, with 64 %"
    )
    assert "too small" not in normalize(table_of(rows), min_count=5, skip=UP_TO_RULES).notes[0]
    assert "too small" in normalize(table_of(rows), min_count=6, skip=UP_TO_RULES).notes[0]


def test_names_that_keep_their_symbols_are_named() -> None:
    rows = [["C++", "C#", "C", "c++ basics"]]
    assert (
        "rule: names that keep their symbols: c#, c++" in normalize(table_of(rows), min_count=1, skip=UP_TO_RULES).notes
    )
    assert len(normalize(table_of(rows), min_count=1, paper_rules=True, skip=UP_TO_RULES).table.vocabulary) == 2


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"min_count": 0}, "`min_count` is 0, must be 1 or more"),
        ({"min_count": 2.5}, "a whole number"),
        ({"min_rule_count": True}, "`min_rule_count` is True"),
        ({"min_rule_confidence": 99}, "hint: the paper's 99 % is 0.99"),
        ({"max_cosine_distance": float("nan")}, "must be from 0 to 0.5"),
        ({"skip": ("rules",)}, "`skip` does not know 'rules'\nhint: one of frequency, rule, semantic, association"),
        ({"linkage": "average"}, "one of single, complete"),
        ({"neighbors": "fast"}, "one of auto, exact, hnsw"),
        ({"embedder": "tf-idf"}, "`embedder` is `tf-idf`, which is none"),
        ({"stemmer": "klingon"}, "one of inflection, porter, none, arabic"),
        ({"paper_rules": True, "stemmer": "none"}, "`paper_rules` stems with Porter"),
    ],
)
def test_settings_outside_their_domain_are_refused(setting: dict[str, Any], message: str) -> None:
    for make in (lambda: NormalizeSettings(**setting), lambda: normalize(table_of([]), **setting)):
        with pytest.raises(instag.ConfigError) as refused:
            make()
        assert message in str(refused.value)


def ask_ubuntu(data: Path) -> TagTable:
    with gzip.open(data / "tags" / "ask_ubuntu" / "tags.jsonl.gz") as lines:
        return table_of([json.loads(line)["tags"] for line in lines])


def winget(data: Path) -> TagTable:
    records = json.loads((data / "tags" / "winget" / "index.v2.json").read_text(encoding="utf-8"))
    return table_of([record["Tags"] or [] for record in records])


def test_real_tags_through_all_four_steps(data: Path) -> None:
    table = winget(data)
    made = normalize(table)
    check_promises(made, table)
    steps = dict(zip(made.steps["step"], made.steps["tags"], strict=True))
    assert (steps["raw"], steps["frequency"], steps["rule"]) == (20_827, 714, 680)
    assert steps["association"] < steps["semantic"] <= steps["rule"]
    porter = normalize(table, stemmer="porter", skip=UP_TO_RULES).steps
    assert porter["tags"].to_list() == [20_827, 714, 663]
    into = dict(made.ledger.filter(pl.col("step") == "association").select("raw", "into").iter_rows())
    assert into["人工智能"] == "ai"


@pytest.mark.parametrize(("read", "min_count"), [(ask_ubuntu, 20), (ask_ubuntu, 1), (winget, 20), (winget, 1)])
def test_real_tags_merge_only_within_a_rule_form(data: Path, read: Any, min_count: int) -> None:
    table = read(data)
    made = normalize(table, min_count=min_count, skip=UP_TO_RULES)
    check_promises(made, table)
    alive = made.ledger.filter(pl.col("into").is_not_null())
    assert alive["count"].min() == min_count or min_count > 1
    forms = {raw: oracle.rule_form(raw, oracle_english.inflection) for raw in alive["raw"]}
    groups: dict[str, set[str]] = {}
    for raw, into in alive.select("raw", "into").iter_rows():
        assert forms[raw] == forms[into]
        groups.setdefault(forms[raw], set()).add(into)
    assert all(len(names) == 1 for names in groups.values())
    assert len(groups) == len(made.table.vocabulary)
    if read is winget:
        assert {"c", "c++", "c#"} <= {name.lower() for name in made.table.vocabulary}
