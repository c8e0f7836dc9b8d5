"""People's votes beside a judge's: by hand, beside FastChat's way of counting, and through the command line."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from conftest import Instag, Served
from instag import DataError
from instag.human_agreement import agreement, read_people, verdicts_of_scores
from instag.mt_bench_files import answer_line, judgments_frame

COLUMNS = ["question_id", "turn", "model_a", "model_b", "winner"]
Votes = list[tuple[int, int, str, str, str | None]]


def frame(votes: Votes) -> pl.DataFrame:
    return pl.DataFrame(votes, schema=COLUMNS, orient="row")


def test_shares_by_hand() -> None:
    ours: Votes = [(1, 1, "m", "n", "model_a"), (2, 1, "n", "m", "model_a"), (3, 1, "m", "n", "tie")]
    ours += [(4, 1, "m", "n", None), (1, 2, "m", "n", "model_a")]
    people: Votes = [(1, 1, "m", "n", "model_a"), (1, 1, "n", "m", "model_b"), (1, 1, "m", "n", "tie")]
    people += [(2, 1, "m", "n", "model_a"), (3, 1, "m", "n", "tie"), (4, 1, "m", "n", "model_a")]
    people += [(1, 2, "m", "x", "model_a"), (9, 1, "m", "n", "model_b")]
    found = agreement(frame(ours), frame(people), resamples=50)
    told = {
        (row["who"], row["setup"], row["turn"]): (row["agree"], row["votes"]) for row in found.iter_rows(named=True)
    }
    assert told == {
        ("judge and people", "S1", None): (3, 5),
        ("judge and people", "S1", 1): (3, 5),
        ("judge and people", "S2", None): (2, 3),
        ("judge and people", "S2", 1): (2, 3),
        ("people and people", "S1", None): (1, 3),
        ("people and people", "S1", 1): (1, 3),
        ("people and people", "S2", None): (1, 1),
        ("people and people", "S2", 1): (1, 1),
    }
    assert found["share"][0] == 0.6
    assert found.filter(who="people and people")["low"].to_list() == [None] * 4  # votes on one question alone
    low, high = found.select("low", "high").row(0)
    assert 0 <= low <= 0.6 <= high <= 1


def test_it_counts_as_fastchat_does() -> None:
    chance = random.Random(3)
    kinds = ("model_a", "model_b", "tie")
    ours: Votes = [(q, t, "m", "n", chance.choice(kinds)) for q in range(20) for t in (1, 2)]
    people: Votes = [(q, t, "m", "n", chance.choice(kinds)) for q in range(20) for t in (1, 2) for _ in range(q % 4)]
    found = agreement(frame(ours), frame(people), resamples=2)
    for turn in (1, 2):
        for setup, banned in (("S1", ()), ("S2", ("tie",))):
            stats = [0, 0]
            for q, t, _, _, verdict in ours:
                for q2, t2, _, _, vote in people:
                    if (q, t) == (q2, t2) and t == turn and verdict not in banned and vote not in banned:
                        stats[1] += 1
                        stats[0] += verdict == vote
            row = found.filter(who="judge and people", setup=setup, turn=turn)
            assert row.select("agree", "votes").row(0) == tuple(stats)


def test_grades_become_verdicts() -> None:
    a = judgments_frame([(1, "x", 1, 0, 7.0, None), (1, "x", 1, 1, 8.0, None), (2, "x", 1, 0, 5.0, None)])
    b = judgments_frame([(1, "x", 1, 0, 7.0, None), (2, "x", 1, 0, 5.05, None), (3, "x", 1, 0, 5.0, None)])
    assert verdicts_of_scores(a, b, ("m", "n")).rows() == [(1, 1, "m", "n", "model_a"), (2, 1, "m", "n", "tie")]


def vote(**more: Any) -> dict[str, Any]:
    told = {"question_id": 1, "model_a": "ours", "model_b": "theirs", "winner": "model_a", "judge": "expert_0"}
    return told | {"turn": 1} | more


def test_votes_are_read_in_every_form(tmp_path: Path) -> None:
    told = [vote(), vote(winner="tie (inconsistent)", question_id=2)]
    (tmp_path / "a.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in told))
    (tmp_path / "b.json").write_text(json.dumps(told))
    pl.DataFrame(told).write_parquet(tmp_path / "c.parquet")
    for name in ("a.jsonl", "b.json", "c.parquet"):
        assert read_people(tmp_path / name).rows() == [
            (1, 1, "ours", "theirs", "model_a"),
            (2, 1, "ours", "theirs", "tie"),
        ]
    (tmp_path / "a.jsonl").write_text(json.dumps(vote(winner="ours")))
    with pytest.raises(DataError, match="has a vote for 'ours', on question 1"):
        read_people(tmp_path / "a.jsonl")
    (tmp_path / "a.jsonl").write_text("{")
    with pytest.raises(DataError, match="can't be read"):
        read_people(tmp_path / "a.jsonl")
    pl.DataFrame({"question_id": [1]}).write_parquet(tmp_path / "c.parquet")
    with pytest.raises(DataError, match="has no column `turn`"):
        read_people(tmp_path / "c.parquet")
    with pytest.raises(DataError, match="can't be read"):
        read_people(tmp_path / "none.jsonl")


def test_nothing_in_common_names_the_models() -> None:
    with pytest.raises(DataError, match="of `m` and `n`") as raised:
        agreement(frame([(1, 1, "m", "n", "tie")]), frame([(1, 1, "m", "x", "tie")]))
    assert "people voted on m, x" in str(raised.value.hint)


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
    assert said.json["counts"]["people"][0] | {"low": 0, "high": 0} == {
        "who": "judge and people",
        "setup": "S1",
        "turn": None,
        "votes": 12,
        "agree": wins,
        "share": wins / 12,
        "low": 0,
        "high": 0,
    }
    assert "judge and people" in said.err
    compared = instag("evaluate", "--compare", tmp_path / "ours", tmp_path / "theirs", "--people", people, "--json")
    assert compared.code == 0, compared.err
    assert compared.json["people"][0]["agree"] == compared.json["table"][0]["wins"]
    single = instag("evaluate", tmp_path / "x", *common, "--answers-file", tmp_path / "ours.jsonl", "--people", people)
    assert single.code == 1
    assert "`people` chose between two answers" in single.err
