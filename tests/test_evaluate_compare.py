"""Two evaluated runs beside each other, and people beside a judge, through the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from conftest import Instag, Served
from instag.comparing import compare
from instag.mt_bench_files import answer_line


def vote(**more: Any) -> dict[str, Any]:
    told = {"question_id": 1, "model_a": "ours", "model_b": "theirs", "winner": "model_a", "judge": "expert_0"}
    return told | {"turn": 1} | more


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


def test_people_beside_comparisons_and_beside_grades(
    instag: Instag, serve: Callable[..., Served], tmp_path: Path
) -> None:
    judge = serve(role="judge")
    told = [{"question_id": at, "category": "stem", "turns": ["a?"]} for at in range(1, 13)]
    questions, people = tmp_path / "q.jsonl", tmp_path / "people.jsonl"
    questions.write_text("".join(f"{json.dumps(each)}\n" for each in told))
    people.write_text("".join(f"{json.dumps(vote(question_id=at))}\n" for at in range(1, 13)))
    common = ["--mt-bench", questions, "--judge", "J", "--judge-base-url", judge.base_url, "--repeats", 1, "--json"]
    for name in ("ours", "theirs"):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(answer_line(at, name, [f"{name} {at}"], None) for at in range(1, 13)))
        assert instag("evaluate", tmp_path / name, *common, "--answers-file", path).code == 0
    pairs = ["--answers-file", tmp_path / "ours.jsonl", "--mode", "pairwise", "--against", tmp_path / "theirs.jsonl"]
    said = instag("evaluate", tmp_path / "pair", *common, *pairs, "--people", people)
    assert said.code == 0, said.err
    wins = said.json["counts"]["pairwise"]["wins"]
    first = said.json["counts"]["human_agreement"][0]
    assert [first[name] for name in ("between", "setup", "compared", "same")] == ["judge and people", "ties", 12, wins]
    assert "judge and people" in said.err
    compared = instag("evaluate", "--compare", tmp_path / "ours", tmp_path / "theirs", "--people", people, "--json")
    assert compared.code == 0, compared.err
    assert compared.json["human_agreement"][0]["same"] == compared.json["table"][0]["wins"]
    asked = judge.requests()
    people.write_text(json.dumps(vote(winner="nobody")))
    wrong = instag("evaluate", tmp_path / "pair", *common, *pairs, "--people", people, "--repeats", 5)
    assert wrong.code == 1
    assert "people.jsonl:1: `winner` is 'nobody'" in wrong.err
    assert judge.requests() == asked
    single = instag("evaluate", tmp_path / "x", *common, "--answers-file", tmp_path / "ours.jsonl", "--people", people)
    assert single.code == 1
    assert "`people` chose between two answers" in single.err
