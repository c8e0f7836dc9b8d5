"""Two evaluations beside each other: by hand, the test of signs beside all flips, and through the command line."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from conftest import Instag, Served
from instag import DataError
from instag.comparing import compare
from instag.mt_bench_files import answer_line, judgments_frame


def drawn(questions: int, shift: float, seed: int, turns: int = 2) -> pl.DataFrame:
    chance = random.Random(seed)
    return judgments_frame(
        (q, ("writing", "math")[q % 2], turn, repeat, min(10.0, max(1.0, round(chance.gauss(5 + shift, 2)))), None)
        for q in range(questions)
        for turn in range(1, turns + 1)
        for repeat in range(2)
    )


def test_differences_and_p_by_hand() -> None:
    a, b = drawn(9, 0, 1), drawn(9, 0.7, 2)
    found = compare(a, b, resamples=50)
    assert found["category"].to_list() == [None, None, None, "writing", "math"]
    assert found["turn"].to_list() == [None, 1, 2, None, None]
    means = [
        {(q, t): each.filter(question_id=q, turn=t)["score"].mean() for q in range(9) for t in (1, 2)}
        for each in (a, b)
    ]
    differences = {key: float(means[0][key]) - float(means[1][key]) for key in means[0]}  # type: ignore[arg-type]
    whole = found.row(0, named=True)
    assert whole["difference"] == pytest.approx(sum(differences.values()) / 18)
    assert whole["difference"] == pytest.approx(whole["mean_a"] - whole["mean_b"])
    assert whole["wins"] == sum(d > 0 for d in differences.values())
    assert whole["wins"] + whole["ties"] + whole["losses"] == whole["pairs"] == 18
    sums = [differences[q, 1] + differences[q, 2] for q in range(9)]
    flips = [
        abs(sum(s * d for s, d in zip(signs, sums, strict=True))) for signs in itertools.product((1, -1), repeat=9)
    ]
    assert whole["p"] == pytest.approx(sum(each >= abs(sum(sums)) - 1e-9 for each in flips) / 2**9)


def test_many_questions_are_tossed_and_say_what_is_so() -> None:
    apart = compare(drawn(60, 2, 1), drawn(60, 0, 2)).row(0, named=True)
    assert apart["p"] < 0.001
    assert 0 < apart["low"] < apart["difference"] < apart["high"]
    same = compare(drawn(60, 0, 1), drawn(60, 0, 2)).row(0, named=True)
    assert same["p"] > 0.05
    assert same["low"] < 0 < same["high"]
    assert compare(drawn(60, 0, 1), drawn(60, 0, 1)).row(0, named=True)["p"] == 1.0
    assert compare(drawn(20, 0, 1), drawn(20, 0, 2)).equals(compare(drawn(20, 0, 1), drawn(20, 0, 2)))


def test_under_chance_p_is_small_as_often_as_it_says() -> None:
    found = [compare(drawn(20, 0, 2 * at), drawn(20, 0, 2 * at + 1), resamples=2)["p"][0] for at in range(150)]
    assert 0.01 < sum(p <= 0.1 for p in found) / 150 < 0.2


def test_what_was_not_read_is_left_out_and_counted() -> None:
    a = judgments_frame([(1, "math", 1, 0, 7.0, None), (2, "math", 1, 0, None, "empty"), (3, "math", 1, 0, 5.0, None)])
    b = judgments_frame([(1, "math", 1, 0, 5.0, None), (2, "math", 1, 0, 9.0, None), (4, "math", 1, 0, 5.0, None)])
    assert compare(a, b).select("pairs", "left_out", "difference", "low").row(0) == (1, 1, 2.0, None)
    with pytest.raises(DataError, match="`x` and `y` have no question in common"):
        compare(a, b.filter(question_id=4), ("x", "y"))
    with pytest.raises(DataError, match="question 1 is of another category"):
        compare(a, b.with_columns(pl.lit("stem").alias("category")))


def test_two_runs_are_compared_by_the_command(instag: Instag, serve: Callable[..., Served], tmp_path: Path) -> None:
    judge = serve(role="judge")
    told = [{"question_id": at, "category": "stem", "turns": ["a?", "b?"]} for at in range(1, 21)]
    questions = tmp_path / "q.jsonl"
    questions.write_text("".join(f"{json.dumps(each)}\n" for each in told))
    for name in "ab":
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(answer_line(at, name, [f"{name} {at}", f"{name}{at}"], None) for at in range(1, 21)))
        command = ["evaluate", tmp_path / name, "--mt-bench", questions, "--answers-file", path, "--judge", "J"]
        command += ["--judge-base-url", judge.base_url, "--repeats", 1]
        assert instag(*command).code == 0
    said = instag("evaluate", "--compare", tmp_path / "a", tmp_path / "b", "--json")
    assert said.code == 0, said.err
    frames = [pl.read_parquet(tmp_path / name / "evaluate" / "judgments.parquet") for name in "ab"]
    names = (str(tmp_path / "a"), str(tmp_path / "b"))
    assert said.json["table"] == compare(frames[0], frames[1], names).to_dicts()
    assert "difference" in said.err
    assert f"A: a ({tmp_path / 'a'}), judged by J" in said.err
    other = instag("evaluate", tmp_path / "b", *command[2:-4], "--judge", "K", *command[-4:])
    assert other.code == 0, other.err
    refused = instag("evaluate", "--compare", tmp_path / "a", tmp_path / "b")
    assert refused.code == 1
    assert "were judged differently: the judge is another one" in refused.err
    assert instag("evaluate", "--compare", tmp_path / "a", tmp_path / "none").code == 1
    assert instag("evaluate", tmp_path / "a", "--compare", tmp_path / "a", tmp_path / "b").code == 2
    assert instag("evaluate").code == 2
