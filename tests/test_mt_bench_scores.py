"""Scores of judgments by hand, their intervals beside a plain bootstrap, and what is said of a judge."""

from __future__ import annotations

import random
import statistics

import numpy as np
import polars as pl
import pytest

from instag.mt_bench_files import judgments_frame
from instag.mt_bench_scores import notes, scores

Row = tuple[int, str, int, int, float | None, str | None]


def drawn(questions: int = 40, repeats: int = 3, unread: float = 0.1) -> list[Row]:
    chance = random.Random(1)
    rows: list[Row] = []
    for question in range(questions):
        level = chance.gauss(6, 1.5)
        for turn in (1, 2):
            for repeat in range(repeats):
                score = None if chance.random() < unread else float(min(10, max(1, round(chance.gauss(level, 1)))))
                category = ("writing", "math", "stem")[question % 3]
                rows.append((question, category, turn, repeat, score, "no_number" if score is None else None))
    return rows


def test_means_and_spreads_by_hand() -> None:
    rows = drawn()
    found = scores(judgments_frame(rows), resamples=50)
    assert found["category"].to_list() == [None, None, None, "writing", "math", "stem"]
    assert found["turn"].to_list() == [None, 1, 2, None, None, None]
    for row in found.iter_rows(named=True):
        part = [r for r in rows if row["category"] in (None, r[1]) and row["turn"] in (None, r[2])]
        read = [(r[0], r[3], r[4]) for r in part if r[4] is not None]
        by_repeat = [statistics.fmean(score for _, at, score in read if at == repeat) for repeat in range(3)]
        own = [[score for at, _, score in read if at == question] for question in range(40)]
        means = [statistics.fmean(each) for each in own if each]
        assert (row["samples"], row["unread"]) == (len(read), len(part) - len(read))
        assert row["mean"] == pytest.approx(statistics.fmean(by_repeat))
        assert row["repeats_sd"] == pytest.approx(statistics.stdev(by_repeat))
        assert row["se"] == pytest.approx(statistics.stdev(means) / len(means) ** 0.5)


def test_the_interval_is_that_of_a_plain_bootstrap_over_questions() -> None:
    rows = drawn(unread=0.0)
    whole = scores(judgments_frame(rows), resamples=4000).row(0, named=True)
    own = [statistics.fmean(r[4] for r in rows if r[0] == question and r[4] is not None) for question in range(40)]
    chance = np.random.default_rng(5)
    means = np.array(own)[chance.integers(0, 40, (4000, 40))].mean(axis=1)
    assert (whole["low"], whole["high"]) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.06)
    assert whole["low"] < whole["mean"] < whole["high"]


def test_the_order_of_rows_decides_no_figure() -> None:
    rows = drawn()
    mixed = sorted(rows, key=lambda row: hash((row[0] * 7919) % 101))
    a, b = (scores(judgments_frame(each), resamples=50).sort("category", "turn") for each in (rows, mixed))
    assert a.drop("category").equals(b.drop("category"))


def test_few_judgments_have_no_spread() -> None:
    one = scores(judgments_frame([(1, "math", 1, 0, 7.0, None)])).row(0, named=True)
    assert (one["mean"], one["se"], one["low"], one["high"], one["repeats_sd"]) == (7.0, None, None, None, None)
    none = scores(judgments_frame([(1, "math", 1, 0, None, "empty")])).row(0, named=True)
    assert (none["samples"], none["unread"], none["mean"]) == (0, 1, None)
    assert notes(judgments_frame([(1, "math", 1, 0, None, "empty")]))[-1].startswith("no judgment has a score")


def test_what_is_said_of_a_judge() -> None:
    same = [(q, "math", 1, r, 7.0, None) for q in (1, 2) for r in (0, 1)]
    assert notes(judgments_frame(same)) == [
        "the judge gave every answer the same score (7): it tells nothing apart",
    ]
    deterministic = [(q, "math", 1, r, float(q), None) for q in (1, 2) for r in (0, 1)]
    assert "every repeat gave the same scores" in notes(judgments_frame(deterministic))[0]
    fine = [(q, "math", 1, r, float(q + r), None) for q in (1, 2) for r in (0, 1)]
    assert notes(judgments_frame(fine)) == []
    broken = judgments_frame([*fine, (3, "math", 1, 0, None, "two_numbers"), (3, "math", 1, 1, None, "empty")])
    assert notes(broken) == ["2 of 6 judgments without a score, counted nowhere: empty 1, two_numbers 1"]
    assert isinstance(scores(broken), pl.DataFrame)
