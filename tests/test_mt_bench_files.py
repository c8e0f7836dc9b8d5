"""FastChat's files: read, written, read again; what is none of them is refused with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from instag import DataError
from instag.judge_prompts import MODES, REFERENCE_CATEGORIES, judge_prompts
from instag.judging import read_references
from instag.mt_bench_files import answer_line, pair_line, read_answers, read_judgments, read_questions, single_line

JUDGE = Path("instructions", "fastchat", "llm_judge")
QUESTION = {"question_id": 1, "category": "math", "turns": ["1 + 1?", "And twice that?"]}


def written(path: Path, *lines: Any) -> Path:
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines), "utf-8")
    return path


def single(question: int, turn: int, score: float, model: str = "m", judge: str = "gpt-4") -> dict[str, Any]:
    told = {"question_id": question, "model": model, "judge": [judge, "single-v1"], "user_prompt": "?"}
    return told | {"judgment": "Rating", "score": score, "turn": turn, "tstamp": 1.5}


def test_the_questions_of_mt_bench_and_their_references(data: Path) -> None:
    questions = read_questions(data / JUDGE / "mt_bench" / "question.jsonl")
    assert len(questions) == 80
    assert [question.id for question in questions] == list(range(81, 161))
    assert {len(question.turns) for question in questions} == {2}
    references, files = read_references(questions, data / JUDGE / "mt_bench" / "question.jsonl")
    assert len(references) == sum(question.category in REFERENCE_CATEGORIES for question in questions) == 30
    assert [file.name for file in files] == ["gpt-4.jsonl"]
    assert references[101][1].startswith("If you have just overtaken the last person")
    assert {len(q.turns) for q in read_questions(data / JUDGE / "vicuna_bench" / "question.jsonl")} == {1}


def test_fastchats_judge_prompts_are_read_and_filled(data: Path) -> None:
    path = data / JUDGE / "judge_prompts.jsonl"
    told = {each["name"]: each for each in map(json.loads, path.read_text("utf-8").splitlines())}
    prompts = judge_prompts("single", path)
    assert not prompts.notes
    assert prompts.choose("writing", 1).name == "single-v1"
    assert prompts.choose("coding", 2).name == "single-math-v1-multi-turn"
    fields = {"question": "{why}?", "answer": "so {", "ref_answer_1": "thus"}
    system, user = prompts.choose("math", 1).messages(fields)
    assert system["content"] == told["single-math-v1"]["system_prompt"]
    assert user["content"] == told["single-math-v1"]["prompt_template"].format(**fields)
    assert judge_prompts("pairwise", path).choose("stem", 2).name == "pair-v2-multi-turn"


@pytest.mark.parametrize("mode", MODES)
def test_our_prompts_have_every_part_and_say_what_they_are(mode: str) -> None:
    prompts = judge_prompts(mode)
    assert "not comparable with published MT-Bench" in prompts.notes[0]
    for (turn, referenced), prompt in prompts.prompts.items():
        assert ("{ref_answer_1}" in prompt.template) == referenced
        assert ("{question_2}" in prompt.template) == (turn == 2)
        assert ("[[C]]" in prompt.system) == (mode == "pairwise")
    assert len({prompt.name for prompt in prompts.prompts.values()}) == 4


def test_a_file_of_prompts_that_lacks_one_or_has_a_strange_field(tmp_path: Path) -> None:
    prompt = {"name": "single-v1", "type": "single", "output_format": "[[rating]]", "system_prompt": "s"}
    path = written(tmp_path / "p.jsonl", {**prompt, "prompt_template": "{question} {answer}"})
    with pytest.raises(DataError, match=r"has no prompt `single-math-v1`"):
        judge_prompts("single", path)
    written(path, {**prompt, "prompt_template": "{question} {answer.__class__}"})
    with pytest.raises(DataError, match=r"has the field `answer.__class__`"):
        judge_prompts("single", path)
    written(path, {**prompt, "prompt_template": "{question!r} {answer}"})
    with pytest.raises(DataError, match=r"has the field `question`"):
        judge_prompts("single", path)
    written(path, {**prompt, "prompt_template": "{question} {"})
    with pytest.raises(DataError, match=r"the template of `single-v1` is broken"):
        judge_prompts("single", path)
    written(path, "", {"name": "single-v1"})
    with pytest.raises(DataError, match=r"p\.jsonl:2: not a judge prompt"):
        judge_prompts("single", path)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([QUESTION, QUESTION], r"q\.jsonl:2: the question id 1 stands in line 1 already"),
        (["", '{"question_id": 1'], r"q\.jsonl:2: not JSON"),
        ([[1]], r"q\.jsonl:1: not an object"),
        ([{**QUESTION, "question_id": "81"}], r"q\.jsonl:1: `question_id` is '81', must be a whole number"),
        ([{**QUESTION, "question_id": True}], r"q\.jsonl:1: `question_id` is True"),
        ([{**QUESTION, "turns": []}], r"q\.jsonl:1: question 1 has 0 turns"),
        ([{**QUESTION, "turns": ["a", "b", "c"]}], r"q\.jsonl:1: question 1 has 3 turns"),
        ([{**QUESTION, "turns": "a"}], r"q\.jsonl:1: `turns` is not a list of texts"),
        ([{**QUESTION, "category": 3}], r"q\.jsonl:1: `category` is 3"),
        ([], "holds no question"),
    ],
)
def test_what_is_no_question_is_told_with_its_line(tmp_path: Path, lines: list[Any], said: str) -> None:
    with pytest.raises(DataError, match=said) as raised:
        read_questions(written(tmp_path / "q.jsonl", *lines))
    assert raised.value.hint


def test_half_a_surrogate_is_replaced(tmp_path: Path) -> None:
    (question,) = read_questions(written(tmp_path / "q.jsonl", {**QUESTION, "turns": ["\ud800 1 + 1?"]}))
    assert question.turns == ("\ufffd 1 + 1?",)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="can't be read: no such file"):
        read_questions(tmp_path / "none.jsonl")


def test_answers_go_round(tmp_path: Path) -> None:
    line = answer_line(1, "m", ["two", None], "2026-01-01T00:00:00+00:00")
    assert line == answer_line(1, "m", ["two", None], "2026-01-01T00:00:00+00:00")
    told = json.loads(line)
    assert list(told) == ["question_id", "answer_id", "model_id", "choices", "tstamp"]
    assert told["tstamp"] == 1767225600.0
    path = tmp_path / "a.jsonl"
    path.write_text(line)
    assert read_answers(path).turns == {1: ("two", None)}
    path.write_text(line + line)
    with pytest.raises(DataError, match=r"a\.jsonl:2: question 1 is answered by an earlier line"):
        read_answers(path)
    path.write_text(line + answer_line(2, "other", ["x"], None))
    with pytest.raises(DataError, match=r"a\.jsonl:2: this answer is of `other`"):
        read_answers(path)


def test_judgments_go_round_and_repeats_are_counted(tmp_path: Path) -> None:
    questions = read_questions(written(tmp_path / "q.jsonl", QUESTION, {**QUESTION, "question_id": 2}))
    common: dict[str, Any] = {"model": "m", "judge": ("gpt-4", "single-v1"), "prompt": "?", "judgment": "j"}
    lines = [
        single_line(question=question, score=score, turn=1, finished=None, repeat=0, reason=reason, **common)
        for question, score, reason in ((2, 7.5, None), (1, None, "two_numbers"), (2, 8.0, None))
    ]
    path = tmp_path / "j.jsonl"
    path.write_text("".join(lines))
    assert [json.loads(line)["score"] for line in lines] == [7.5, -1, 8]
    found = read_judgments(path, questions)
    assert (found.model, found.judge) == ("m", "gpt-4")
    assert found.judgments.rows() == [
        (1, "math", 1, 0, None, "two_numbers"),
        (2, "math", 1, 0, 7.5, None),
        (2, "math", 1, 1, 8.0, None),
    ]


def test_fastchats_show_result_reads_ours(tmp_path: Path) -> None:
    """What its `show_result` does: columns by name, -1 left out, means by model and turn."""
    common: dict[str, Any] = {"model": "m", "judge": ("gpt-4", "x"), "prompt": "?", "judgment": "j", "finished": None}
    lines = [single_line(question=1, score=s, turn=t, **common) for s, t in ((7.0, 1), (None, 1), (8.0, 1), (3.0, 2))]
    (tmp_path / "j.jsonl").write_text("".join(lines))
    frame = pl.read_ndjson(tmp_path / "j.jsonl").select("model", "score", "turn").filter(pl.col("score") != -1)
    assert frame.group_by("model", "turn").agg(pl.col("score").mean()).sort("turn").rows() == [
        ("m", 1, 7.5),
        ("m", 2, 3.0),
    ]
    pair = json.loads(
        pair_line(
            question=1,
            models=("m", "n"),
            judge=("gpt-4", "pair-v2"),
            winners=("model_1", "tie"),
            prompts=("?", "?"),
            judgments=("A", "C"),
            turn=1,
            finished=None,
        )
    )
    named = {"question_id", "model_1", "model_2", "g1_winner", "g2_winner", "judge", "g1_user_prompt", "g1_judgment"}
    assert set(pair) == named | {"g2_user_prompt", "g2_judgment", "turn", "tstamp"}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([single(9, 1, 5)], r"j\.jsonl:1: no question has the id 9"),
        ([single(1, 1, 5), single(1, 1, 5, model="n")], "holds judgments of 2 models"),
        ([single(1, 1, 5), single(1, 1, 5, judge="g")], "holds judgments of 2 judges"),
        ([single(1, 3, 5)], r"j\.jsonl:1: turn 3 has the score 5"),
        ([{**single(1, 1, 5), "score": "5"}], r"j\.jsonl:1: turn 1 has the score '5'"),
        ([{**single(1, 1, 5), "judge": "gpt-4"}], r"j\.jsonl:1: not a judgment of a single answer"),
        ([], "holds no judgment"),
    ],
)
def test_what_is_no_judgment_is_told_with_its_line(tmp_path: Path, lines: list[Any], said: str) -> None:
    questions = read_questions(written(tmp_path / "q.jsonl", QUESTION))
    with pytest.raises(DataError, match=said):
        read_judgments(written(tmp_path / "j.jsonl", *lines), questions)


def test_a_file_of_several_models_is_read_by_name(tmp_path: Path) -> None:
    questions = read_questions(written(tmp_path / "q.jsonl", QUESTION))
    path = written(tmp_path / "j.jsonl", single(1, 1, 5), single(1, 1, 9, model="n"))
    assert read_judgments(path, questions, "n").judgments["score"].to_list() == [9.0]
    with pytest.raises(DataError, match="holds no judgment of `o`"):
        read_judgments(path, questions, "o")


def test_references_are_needed_for_every_turn_and_can_be_corrected(tmp_path: Path) -> None:
    path = written(tmp_path / "q.jsonl", QUESTION, {**QUESTION, "question_id": 2, "reference": ["2", "4"]})
    questions = read_questions(path)
    with pytest.raises(DataError, match="no reference answer to every turn of 1 question: 1"):
        read_references(questions, path)
    corrected = tmp_path / "r.jsonl"
    corrected.write_text(answer_line(1, "people", ["two", "four"], None))
    found, files = read_references(questions, path, corrected)
    assert found == {1: ["two", "four"], 2: ["2", "4"]}
    assert files == [corrected]
    corrected.write_text(answer_line(1, "people", ["two"], None))
    with pytest.raises(DataError, match="no reference answer to every turn of 1 question: 1"):
        read_references(questions, path, corrected)
