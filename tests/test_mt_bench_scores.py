"""Scores of judgments, paired tests, agreement with people: as the slow twins have them, and known figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracle_scores
from instag import DataError
from instag.comparing import EXACT, compare, compare_losses, sign_flip_p
from instag.human_agreement import human_agreement, read_people
from instag.mt_bench_scores import notes, scores
from instag.radar import radar_picture

SCHEMA: dict[str, Any] = {"question_id": pl.Int64, "category": pl.String, "turn": pl.Int8, "repeat": pl.Int32}
SCHEMA |= {"score": pl.Float64, "reason": pl.String}
Row = dict[str, Any]


def rows_of(draw: st.DrawFn) -> list[Row]:
    grades = st.one_of(st.none(), st.integers(1, 10).map(float))
    rows = []
    for question in range(draw(st.integers(1, 6))):
        for turn in range(1, draw(st.integers(1, 2)) + 1):
            for repeat in range(draw(st.integers(1, 3))):
                told = {"question_id": question, "category": "ab"[question % 2], "turn": turn, "repeat": repeat}
                grade = draw(grades)
                rows.append({**told, "score": grade, "reason": "no_number" if grade is None else None})
    return rows


judged = st.composite(rows_of)()


def frame(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA)


@given(judged)
def test_scores_are_those_of_the_twin(rows: list[Row]) -> None:
    found = scores(frame(rows), resamples=5).to_dicts()
    groups = oracle_scores.groups(rows)
    assert [(row["category"], row["turn"]) for row in found] == [(category, turn) for category, turn, _ in groups]
    for row, (_, _, group) in zip(found, groups, strict=True):
        told = oracle_scores.score(group)
        assert {name: row[name] for name in told} == {
            name: pytest.approx(value) if isinstance(value, float) else value for name, value in told.items()
        }
        assert (row["low"] is None) == (row["se"] is None)


@given(judged, judged)
def test_comparisons_are_those_of_the_twin(a: list[Row], b: list[Row]) -> None:
    pairs = oracle_scores.pairs(a, b)
    if not pairs:
        with pytest.raises(DataError, match="no graded question in common"):
            compare(frame(a), frame(b))
        return
    found = compare(frame(a), frame(b), resamples=5).row(0, named=True)
    assert found["pairs"] == len(pairs)
    assert found["difference"] == pytest.approx(sum(pairs.values()) / len(pairs))
    told = (sum(d > 1e-9 for d in pairs.values()), sum(d < -1e-9 for d in pairs.values()))
    assert (found["wins"], found["losses"], found["ties"]) == (*told, len(pairs) - sum(told))
    by_question = [sum(d for (q, _), d in pairs.items() if q == question) for question in {q for q, _ in pairs}]
    assert found["p"] == pytest.approx(oracle_scores.sign_flip_p(by_question))
    back = compare(frame(b), frame(a), resamples=5).row(0, named=True)
    assert (back["difference"], back["p"]) == (pytest.approx(-found["difference"]), found["p"])


def test_many_questions_are_drawn_and_come_near_the_normal() -> None:
    values = np.random.default_rng(3).normal(0.3, 1, 80)
    assert len(values) > EXACT
    z = abs(values.sum()) / np.sqrt((values**2).sum())
    from math import erfc, sqrt

    assert sign_flip_p(values, flips=20_000) == pytest.approx(erfc(z / sqrt(2)), abs=0.01)
    assert sign_flip_p(values, seed=4) == sign_flip_p(values, seed=4)
    assert sign_flip_p(np.full(40, 1.0), flips=999) == 1 / 1000, "never 0"
    assert sign_flip_p(np.zeros(40)) == 1.0


def test_the_interval_of_a_score_is_of_its_questions() -> None:
    random = np.random.default_rng(1)
    rows = [
        {"question_id": q, "category": "a", "turn": t, "repeat": r, "score": float(random.integers(1, 11))}
        for q in range(80)
        for t in (1, 2)
        for r in range(3)
    ]
    told = scores(frame(rows), resamples=4000).row(0, named=True)
    assert told["low"] == pytest.approx(told["mean"] - 1.96 * told["se"], abs=0.05)
    assert told["high"] == pytest.approx(told["mean"] + 1.96 * told["se"], abs=0.05)


def test_notes_of_a_judge_that_says_little() -> None:
    same = [{"question_id": q, "category": "a", "turn": 1, "repeat": 0, "score": 7.0} for q in range(3)]
    assert "the same score (7)" in notes(frame(same))[0]
    unread = [{**same[0], "question_id": 9, "score": None, "reason": "two_numbers"}]
    assert notes(frame([*same, {**same[0], "question_id": 8, "score": 3.0}, *unread])) == [
        "1 judgment could not be read, and count nowhere: two_numbers 1; see unread.parquet"
    ]
    empty = scores(frame(unread)).row(0, named=True)
    assert (empty["samples"], empty["unread"], empty["mean"]) == (0, 1, None)


def test_what_is_judged_twice_or_on_one_side_alone() -> None:
    one = [{"question_id": q, "category": "a", "turn": 1, "repeat": 0, "score": 5.0 + q} for q in range(3)]
    with pytest.raises(DataError, match="`mine` holds question 1 twice"):
        compare(frame([*one, one[1]]), frame(one), ("mine", "theirs"))
    told = compare(frame(one), frame(one[:2])).row(0, named=True)
    assert (told["pairs"], told["unpaired"], told["p"]) == (2, 1, 1.0)


def test_losses_are_compared_sample_by_sample() -> None:
    random = np.random.default_rng(2)
    tokens = random.integers(0, 50, 200)
    hard = random.normal(3, 1, 200)  # samples differ far more than models do
    seen = pl.Series("seen", [at % 3 > 0 for at in range(200)])
    a, b = (
        pl.DataFrame({"tokens": tokens, "loss": tokens * (hard + shift + random.normal(0, 0.1, 200))}).with_columns(
            seen
        )
        for shift in (0.0, 0.05)
    )
    told = compare_losses(a, b, resamples=2000)
    assert told["seen"].to_list() == [None, True, False]
    assert told["samples"][0] == int((tokens > 0).sum()) == told["samples"][1] + told["samples"][2]
    row = told.row(0, named=True)
    assert row["difference"] == pytest.approx(float((a["loss"] - b["loss"]).to_numpy().sum() / tokens.sum()))
    assert row["low"] < -0.05 < row["high"] < -0.02
    assert row["p"] < 0.001
    none = compare_losses(a.with_columns(seen=True), b.with_columns(seen=True)).row(2, named=True)
    assert (none["samples"], none["difference"], none["p"]) == (0, None, None)
    with pytest.raises(DataError, match="other samples held out, or other tokens"):
        compare_losses(a, b.with_columns(pl.col("tokens") + 1))


verdicts = st.lists(
    st.fixed_dictionaries(
        {
            "question_id": st.integers(1, 3),
            "turn": st.integers(1, 2),
            "winner": st.sampled_from(["model_1", "model_2", "tie"]),
        }
    ),
    min_size=1,
    max_size=8,
)


@given(verdicts, verdicts)
def test_agreement_is_that_of_the_twin(ours: list[Row], people: list[Row]) -> None:
    votes = pl.DataFrame([{**vote, "judge": "x"} for vote in people]).with_columns(pl.col("turn").cast(pl.Int8))
    found = human_agreement(pl.DataFrame(ours), votes, resamples=3)
    for at, ties in enumerate((True, False)):
        told = oracle_scores.same_verdicts(ours, people, ties=ties)
        assert found.row(at)[2:4] == told
        assert found["share"][at] == (pytest.approx(told[1] / told[0]) if told[0] else None)
    among = sum(
        (people[i]["question_id"], people[i]["turn"]) == (people[j]["question_id"], people[j]["turn"])
        for i in range(len(people))
        for j in range(i)
    )
    assert found["compared"][2] == among


def test_votes_are_read_from_every_form_and_errors_have_a_place(tmp_path: Path) -> None:
    vote = {"question_id": 81, "model_a": "x", "model_b": "y", "winner": "model_a", "judge": "ann", "turn": 1}
    told = [
        vote,
        {**vote, "model_a": "y", "model_b": "x", "judge": ["bob", "p"]},
        {**vote, "winner": "tie", "turn": 2},
        {**vote, "model_b": "z"},
    ]
    lines, whole, table = (tmp_path / f"votes.{form}" for form in ("jsonl", "json", "parquet"))
    lines.write_text("\n".join(map(json.dumps, told)))
    whole.write_text(json.dumps(told))
    pl.DataFrame([{**each, "judge": "ann"} for each in told]).write_parquet(table)
    for file in (lines, whole, table):
        assert read_people(file, ("x", "y"))["winner"].to_list() == ["model_1", "model_2", "tie"]
        assert read_people(file, ("y", "x"))["winner"].to_list() == ["model_2", "model_1", "tie"]
    for wrong, message in (
        ({**vote, "winner": "x"}, r"votes\.jsonl:2: `winner` is 'x'"),
        ({"question_id": 1}, r"votes\.jsonl:2: not a vote: KeyError"),
        ([1], r"votes\.jsonl:2: not a vote"),
    ):
        lines.write_text(json.dumps(vote) + "\n" + json.dumps(wrong))
        with pytest.raises(DataError, match=message):
            read_people(lines, ("x", "y"))
    lines.write_text(json.dumps(vote) + "\n{")
    with pytest.raises(DataError, match=r"votes\.jsonl:2: no JSON"):
        read_people(lines, ("x", "y"))
    with pytest.raises(DataError, match="no vote about `x` and `q`\nhint: its models: x, y, z"):
        read_people(whole, ("x", "q"))


def test_a_radar_is_a_picture(tmp_path: Path) -> None:
    drawn = radar_picture(tmp_path / "radar.png", ["a $", "b", "c"], {"m": [1.0, 5.0, 10.0]}, title="x")
    try:
        import matplotlib  # noqa: F401 - whether it is there
    except ImportError:
        assert not drawn
        assert not (tmp_path / "radar.png").exists()
    else:
        assert (tmp_path / "radar.png").read_bytes()[:4] == b"\x89PNG"
