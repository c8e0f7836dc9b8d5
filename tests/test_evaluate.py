"""`instag evaluate` against an endpoint: scripted and broken judges, resume, FastChat's files, what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from conftest import Instag, Said, Served
from instag.mt_bench_files import answer_line

CATEGORIES = ("writing", "stem", "humanities", "roleplay")
Serve = Callable[..., Served]


def questions_file(path: Path, count: int = 12, **more: Any) -> Path:
    told = [
        {"question_id": at, "category": CATEGORIES[at % 4], "turns": [f"Question {at}?", f"And {at}?"]} | more
        for at in range(1, count + 1)
    ]
    path.write_text("".join(f"{json.dumps(each)}\n" for each in told))
    return path


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    return questions_file(tmp_path / "question.jsonl")


@pytest.fixture
def evaluate(instag: Instag, serve: Serve, questions: Path, tmp_path: Path) -> Callable[..., Said]:
    """Evaluates a model behind one server by a judge behind another, into tmp_path/run."""
    model = serve(role="model")

    def call(judge: Served, *more: object, run: str = "run", on: Path = questions) -> Said:
        where = ["--model", "M", "--base-url", model.base_url, "--judge", "J", "--judge-base-url", judge.base_url]
        return instag("evaluate", tmp_path / run, "--mt-bench", on, *where, "--json", *more)

    call.model = model  # type: ignore[attr-defined]
    return call


def table(tmp_path: Path, name: str, run: str = "run") -> pl.DataFrame:
    return pl.read_parquet(tmp_path / run / "evaluate" / f"{name}.parquet")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_model_is_judged_and_nothing_is_asked_twice(evaluate: Any, serve: Serve, tmp_path: Path) -> None:
    judge = serve(role="judge")
    first = evaluate(judge)
    assert first.code == 0, first.err
    counts = first.json["counts"]
    assert (counts["questions"], counts["judgments"], counts["unread"], counts["asked"]) == (12, 72, 0, 96)
    assert (counts["judge"], counts["judge_model"]) == ("J", "J-2024-07-18")
    assert len(counts["judged"]) == 2
    assert set(counts["score"]) == {"mean", "se", "low", "high", "repeats_sd"}
    assert "not comparable with published MT-Bench" in first.err
    judgments = table(tmp_path, "judgments")
    assert counts["score"]["mean"] == pytest.approx(judgments["score"].mean())
    assert judgments.columns == ["question_id", "category", "turn", "repeat", "score", "reason"]
    told = lines(tmp_path / "run" / "evaluate" / "judgments.jsonl")
    assert [(line["question_id"], line["turn"], line["repeat"], line["score"]) for line in told] == [
        row[:1] + row[2:5] for row in judgments.iter_rows()
    ]
    stood = evaluate(judge)
    assert (stood.json["fresh"], judge.requests(), evaluate.model.requests()) == (False, 72, 24)
    more = evaluate(judge, "--repeats", 4)
    assert (more.json["counts"]["asked"], more.json["counts"]["reused"]) == (24, 96)
    assert judge.requests() == 96
    before = (tmp_path / "run" / "evaluate" / "judgments.jsonl").read_bytes()
    again = evaluate(judge, "--repeats", 4, "--answers", tmp_path / "run" / "answers.sqlite", run="other")
    assert again.json["counts"]["asked"] == 0
    assert (tmp_path / "other" / "evaluate" / "judgments.jsonl").read_bytes() == before


def test_show_tells_of_it(evaluate: Any, serve: Serve, instag: Instag, tmp_path: Path) -> None:
    evaluate(serve(role="judge"))
    said = instag("show", tmp_path / "run")
    assert said.code == 0
    assert "M, judged by J (replies are by J-2024-07-18), 20" in said.err
    assert "12 questions, 72 judgments: 0 could not be read" in said.err


def test_a_broken_judge_is_listed_reason_by_reason(evaluate: Any, serve: Serve, tmp_path: Path) -> None:
    kinds = ("no-number", "two-numbers", "eleven", "refusal", "refused-text", "empty", "truncated", "single-brackets")
    judge = serve(role="judge", replies=dict.fromkeys(kinds, 0.1))
    said = evaluate(judge, "--repeats", 1)
    assert said.code == 0, said.err
    counts = said.json["counts"]
    unread, judgments = table(tmp_path, "unread"), table(tmp_path, "judgments")
    assert 0 < counts["unread"] == len(unread) == judgments["score"].null_count() < 24
    assert sum(counts["unread_by_reason"].values()) == len(unread)
    known = {"no_number", "two_numbers", "out_of_range", "refused", "empty", "truncated"}
    assert set(unread["reason"]) <= known
    assert len(set(unread["reason"])) >= 4
    assert judgments.filter(pl.col("score").is_null())["reason"].to_list() == unread["reason"].to_list()
    scores = [line["score"] for line in lines(tmp_path / "run" / "evaluate" / "judgments.jsonl")]
    assert scores.count(-1) == len(unread)
    assert "could not be read" in said.err
    judge.set(replies={})
    assert evaluate(judge, "--repeats", 1).json["fresh"] is False
    retried = evaluate(judge, "--repeats", 1, "--retry-unread").json["counts"]
    assert (retried["unread"], retried["asked"]) == (0, len(unread))


def test_a_judge_that_always_says_the_same_is_told_of(evaluate: Any, serve: Serve) -> None:
    said = evaluate(serve(role="judge", replies={"always-seven": 1.0}))
    assert said.json["counts"]["score"]["mean"] == 7.0
    assert "same score" in said.err


def test_a_judge_that_times_out_is_asked_again_by_the_next_run(evaluate: Any, serve: Serve, tmp_path: Path) -> None:
    judge = serve(role="judge", faults={"timeout": 0.2}, times=1_000)
    said = evaluate(judge, "--repeats", 1, "--timeout", 0.3)
    assert said.code == 0, said.err
    counts = said.json["counts"]
    assert 0 < counts["failed"] == counts["unread"] < 24
    assert set(counts["unread_by_reason"]) == {"timeout"}
    assert "no answer within 0.3 s" in table(tmp_path, "unread")["judgment"][0]
    assert "the same command asks again" in said.err
    judge.set(faults={})
    again = evaluate(judge, "--repeats", 1).json
    assert again["fresh"] is True
    assert (again["counts"]["failed"], again["counts"]["asked"]) == (0, counts["failed"])


def test_an_answer_that_fails_is_not_judged(evaluate: Any, serve: Serve, tmp_path: Path) -> None:
    evaluate.model.set(faults={"timeout": 0.2}, times=1_000)
    judge = serve(role="judge")
    said = evaluate(judge, "--repeats", 1, "--timeout", 0.3)
    assert said.code == 0, said.err
    counts = said.json["counts"]
    assert counts["unread_by_reason"] == {"no_answer": sum(counts["answers_failed"].values())}
    assert judge.requests() == 24 - counts["unread"]
    assert "the model gave no answer to" in said.err
    turns = [line["choices"][0]["turns"] for line in lines(tmp_path / "run" / "evaluate" / "answers.jsonl")]
    assert sum(texts.count(None) for texts in turns) == counts["unread"]
    evaluate.model.set(faults={})
    assert evaluate(judge, "--repeats", 1).json["counts"]["unread"] == 0


def test_a_judge_that_is_gone_ends_it_and_nothing_is_lost(evaluate: Any, serve: Serve, tmp_path: Path) -> None:
    judge = serve(role="judge", status=401)
    said = evaluate(judge)
    assert said.code == 3
    assert "error: the judge: " in said.err
    assert "sk-for-tests" not in said.err
    assert not (tmp_path / "run" / "evaluate" / "manifest.json").exists()
    judge.set(status=0)
    assert evaluate(judge).json["counts"]["asked"] == 72
    assert evaluate.model.requests() == 24


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_kill_repeats_at_most_what_was_in_flight(
    serve: Serve, questions: Path, tmp_path: Path, how: signal.Signals
) -> None:
    model, judge = serve(role="model", latency=0.05), serve(role="judge", latency=0.1, capacity=4)
    command = [sys.executable, "-m", "instag.cli", "evaluate", tmp_path / "run", "--mt-bench", questions]
    command += ["--model", "M", "--base-url", model.base_url, "--judge", "J", "--judge-base-url", judge.base_url]
    command += ["--concurrency", "4", "--json"]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    until = time.monotonic() + 30
    while judge.requests() < 12 and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(started.pid, how)
    started.communicate()
    assert started.returncode == (130 if how == signal.SIGINT else -how)
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    counts = json.loads(ended.stdout)["counts"]
    assert (counts["judgments"], counts["unread"]) == (72, 0)
    assert counts["reused"] >= 24 + 4
    assert model.requests() == 24
    assert judge.requests() <= 72 + 4


def test_the_order_of_replies_changes_nothing(evaluate: Any, serve: Serve, tmp_path: Path) -> None:
    evaluate(serve(role="judge"), run="a")
    evaluate(serve(role="judge", latency=0.02, spread=1.0, faults={"500": 0.2, "429": 0.2}), run="b")
    for name in ("judgments", "scores", "unread"):
        assert table(tmp_path, name, "a").equals(table(tmp_path, name, "b"))


def test_questions_of_one_turn_are_judged_on_it_alone(evaluate: Any, serve: Serve, tmp_path: Path) -> None:
    path = questions_file(tmp_path / "one.jsonl", 4, turns=["Only this?"])
    said = evaluate(serve(role="judge"), on=path)
    assert said.code == 0, said.err
    assert said.json["counts"]["judgments"] == 12
    assert "4 questions with one turn: judged on that turn alone" in said.err
    assert table(tmp_path, "judgments")["turn"].unique().to_list() == [1]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "there is nothing to evaluate on"),
        (["--mt-bench", "Q"], "no judge is named"),
        (["--judge", "J"], "there is nothing to evaluate on"),
        (["--mt-bench", "Q", "--judge", "J"], "holds no trained model, and none is named"),
        (["--mt-bench", "Q", "--judge", "J", "--model", "M", "--model-folder", "F"], "are two models"),
        (["--mt-bench", "Q", "--judge", "J", "--model", "M", "--mode", "pairwise"], "belong together"),
        (["--mt-bench", "Q", "--judge", "J", "--model", "M", "--answers-file", "A"], "`answers_file` has answers"),
        (["--mt-bench", "Q", "--judge", "J", "--judgments-file", "A"], "so `judge` decides nothing"),
        (
            ["--mt-bench", "Q", "--judge", "J", "--model", "M", "--key-file", "none"],
            "the key file `none` can't be read",
        ),
        (["--mt-bench", "Q", "--judge", "J", "--model", "M", "--budget", "1"], "no price of `J` is known"),
        (["--mt-bench", "Q", "--judge", "J", "--model-folder", "nowhere/at/all"], "`nowhere/at/all` is no folder"),
    ],
)
def test_what_does_not_go_together_is_refused(instag: Instag, questions: Path, flags: list[str], said: str) -> None:
    told = instag("evaluate", questions.parent / "run", *[str(questions) if flag == "Q" else flag for flag in flags])
    assert told.code == 1
    assert said in told.err
    assert not (questions.parent / "run" / "evaluate").exists()


def test_duplicate_question_ids_are_refused_before_anything_is_asked(
    evaluate: Any, serve: Serve, tmp_path: Path
) -> None:
    path = questions_file(tmp_path / "twice.jsonl", 3, question_id=81)
    said = evaluate(serve(role="judge"), on=path)
    assert said.code == 1
    assert f"{path}:2: the question id 81 stands in line 1 already" in said.err
    assert evaluate.model.requests() == 0


def test_answers_that_stand_are_judged_and_compared(
    instag: Instag, serve: Serve, questions: Path, tmp_path: Path
) -> None:
    judge = serve(role="judge", replies={"no-number": 0.1})
    for name in ("ours", "theirs"):
        told = [answer_line(at, name, [f"{name} {at}", f"{name} {at}b"], None) for at in range(1, 13)]
        (tmp_path / f"{name}.jsonl").write_text("".join(told))
    command = ["evaluate", tmp_path / "run", "--mt-bench", questions, "--judge", "J", "--json"]
    command += ["--judge-base-url", judge.base_url, "--answers-file", tmp_path / "ours.jsonl", "--repeats", 1]
    single = instag(*command)
    assert single.code == 0, single.err
    assert (single.json["counts"]["model"], single.json["counts"]["judgments"]) == ("ours", 24)
    pairs = instag(*command, "--mode", "pairwise", "--against", tmp_path / "theirs.jsonl")
    assert pairs.code == 0, pairs.err
    counts = pairs.json["counts"]
    assert (counts["against"], counts["judgments"]) == ("theirs", 24)
    told = counts["pairwise"]
    assert told["games"] + told["unread"] == 24
    assert told["wins"] + told["losses"] + told["ties"] == told["games"]
    assert judge.requests() == 24 + 48
    frame, written = table(tmp_path, "pairs"), lines(tmp_path / "run" / "evaluate" / "judgments.jsonl")
    assert [(line["g1_winner"], line["g2_winner"]) for line in written] == frame.select("g1_winner", "g2_winner").rows()
    errors = sum("error" in (line["g1_winner"], line["g2_winner"]) for line in written)
    assert errors == told["unread"] > 0
    (tmp_path / "theirs.jsonl").write_text(answer_line(1, "theirs", ["x", "y"], None))
    short = instag(*command, "--mode", "pairwise", "--against", tmp_path / "theirs.jsonl")
    assert short.code == 1
    assert "does not answer 11 of 12 questions in every turn: 2, 3" in short.err


def test_judgments_that_stand_are_scored(instag: Instag, questions: Path, tmp_path: Path) -> None:
    told = [
        {"question_id": at, "model": "m", "judge": ["gpt-4", "single-v1"], "judgment": "", "score": score, "turn": turn}
        for at in range(1, 13)
        for turn, score in ((1, 8), (2, -1 if at == 3 else 4))
    ]
    path = tmp_path / "gpt-4_single.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in told))
    said = instag("evaluate", tmp_path / "run", "--mt-bench", questions, "--judgments-file", path, "--json")
    assert said.code == 0, said.err
    counts = said.json["counts"]
    assert (counts["model"], counts["judge"], counts["judgments"], counts["unread"]) == ("m", "gpt-4", 24, 1)
    assert not (tmp_path / "run" / "answers.sqlite").exists()


def test_an_endpoint_that_takes_no_temperature(evaluate: Any, serve: Serve) -> None:
    said = evaluate(serve(role="judge", rejects=["temperature", "max_tokens"]))
    assert said.code == 0, said.err
    assert "the judge: the endpoint takes no `temperature`" in said.err


def test_secrets_stay_out_of_files_and_the_budget_is_kept(
    evaluate: Any, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-model-000")
    key, prices = tmp_path / "judge.key", tmp_path / "prices.toml"
    key.write_text("sk-of-the-judge-000\n")
    prices.write_text("[models.M]\ninput_usd = 1.0\noutput_usd = 1.0\n[models.J]\ninput_usd = 1.0\noutput_usd = 1.0\n")
    judge = serve(role="judge", key="sk-of-the-judge-000")
    money = ["--judge-key-file", key, "--prices", prices, "--repeats", 1, "--max-tokens", 10, "--judge-max-tokens", 20]
    poor = evaluate(judge, *money, "--budget", 0.003)
    assert poor.code == 3
    assert "the budget of $0.00 would be passed" in poor.err
    rich = evaluate(judge, *money, "--budget", 1.0)
    assert rich.code == 0, rich.err
    assert rich.json["cost_usd"] > 0
    for path in (tmp_path / "run").rglob("*"):
        if path.is_file():
            assert b"sk-of-the" not in path.read_bytes(), path
    assert judge.stats()["keys_seen"] == ["Bearer sk-of-the-judge-000"]


def test_the_eighty_questions_by_fastchats_prompts(data: Path, evaluate: Any, serve: Serve, tmp_path: Path) -> None:
    folder = data / "instructions" / "fastchat" / "llm_judge"
    judge = serve(role="judge", replies={"no-number": 0.02, "eleven": 0.02})
    prompts = ["--judge-prompts", folder / "judge_prompts.jsonl"]
    said = evaluate(judge, *prompts, on=folder / "mt_bench" / "question.jsonl")
    assert said.code == 0, said.err
    counts = said.json["counts"]
    assert (counts["questions"], counts["judgments"], counts["asked"]) == (80, 480, 640)
    assert "not comparable" not in said.err
    told = lines(tmp_path / "run" / "evaluate" / "judgments.jsonl")
    names = {(line["question_id"] in range(101, 131), line["turn"]): line["judge"][1] for line in told}
    assert names == {
        (False, 1): "single-v1",
        (False, 2): "single-v1-multi-turn",
        (True, 1): "single-math-v1",
        (True, 2): "single-math-v1-multi-turn",
    }
    assert all("[The Start of Reference Answer]" in t["user_prompt"] for t in told if t["judge"][1] == "single-math-v1")
    stated = [row["category"] for row in counts["scores"] if row["category"] is not None]
    assert stated == ["writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities"]


def test_its_flags_are_its_settings() -> None:
    import dataclasses

    from instag.cli_evaluate import EVALUATE
    from instag.evaluate_settings import EvaluateSettings, EvaluateSpeed

    fields = {each.name for kind in (EvaluateSettings, EvaluateSpeed) for each in dataclasses.fields(kind)}
    assert set(EVALUATE) == fields - {"max_attempts"}


def test_a_setting_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    from instag import ConfigError
    from instag.evaluate_stage import evaluate_stage
    from instag.progress import Talk

    with pytest.raises(ConfigError, match="unknown key `judgee`"):
        evaluate_stage(tmp_path, {"judgee": "x"}, Talk(quiet=True))
