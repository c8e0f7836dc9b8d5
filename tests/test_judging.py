"""A judge's replies read or refused, answers and comparisons of a scripted one; everything through the store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instag.answering import OTHER_TEMPERATURE, TEMPERATURES, Spoken, answer_questions
from instag.answers import Answer, request_key
from instag.asking import Failure
from instag.completions import Again, Ask, Usage
from instag.judge_prompts import judge_prompts
from instag.judging import as_frame, as_lines, judge_answers, judge_pairs, pairs_as_lines
from instag.mt_bench_files import Question
from instag.pair_scores import pair_scores, pairs_frame
from instag.verdicts import read_choice, read_score

QUESTIONS = [Question(1, "writing", ("Q1", "Q1b")), Question(2, "math", ("Q2", "Q2b")), Question(3, "stem", ("Q3",))]
REFERENCES = {2: ["R2", "R2b"]}


def reply(text: str | None, finish: str = "stop", refusal: str | None = None) -> Answer:
    return Answer(b"", text, refusal, finish, "judge-2026", 1, 1, "2026-01-01T00:00:00+00:00")


class Scripted:
    """Answers what a function of the request says: a text, a whole answer, or a failure."""

    name = identity = "scripted"
    usage = Usage()

    def __init__(self, script: Any) -> None:
        self.script, self.asked = script, list[Ask]()

    def answers(self, asks: Sequence[Ask], *, again: Again | None = None, progress: Any = None) -> list[Any]:
        self.asked += asks
        said = [self.script(ask) for ask in asks]
        return [reply(each) if isinstance(each, str) else each for each in said]


def spoken(*texts: str | None) -> Spoken:
    return Spoken(texts, tuple(None if text is not None else "timeout" for text in texts), (False,) * len(texts))


SPOKEN = {1: spoken("A1", "A1b"), 2: spoken("A2", "A2b"), 3: spoken("A3")}


@pytest.mark.parametrize(
    ("said", "score", "reason"),
    [
        (reply("Good.\nRating: [[7]]"), 7.0, None),
        (reply("[[7.5]]"), 7.5, None),
        (reply("Rating: [8]"), 8.0, None),
        (reply("[[10]] and so [[10]]"), 10.0, None),
        (reply("See [1] and [2]. Rating: [[3]]"), 3.0, None),
        (reply("<think>[[2]] or [[9]]?</think>[[4]]"), 4.0, None),
        (reply("[[6]] and then it was cut", "length"), 6.0, None),
        (reply("I'm sorry, but this is poor: [[1]]"), 1.0, None),
        (reply("[[7]] ... [[8]]"), None, "two_numbers"),
        (reply("See [1] and [2]. Rating: 3"), None, "two_numbers"),
        (reply("[[11]]"), None, "out_of_range"),
        (reply("[[0]]"), None, "out_of_range"),
        (reply("[[-3]]"), None, "out_of_range"),
        (reply("Rating: 7"), None, "no_number"),
        (reply("[[rating]]"), None, "no_number"),
        (reply("[[7/10]]"), None, "no_number"),
        (reply("It begins", "length"), None, "truncated"),
        (reply(""), None, "empty"),
        (reply(None), None, "empty"),
        (reply(None, refusal="No."), None, "refused"),
        (reply("I'm sorry, but I can't assist with that request."), None, "refused"),
        (reply("", "content_filter"), None, "content_filter"),
    ],
)
def test_a_grade_is_read_or_there_is_a_reason(said: Answer, score: float | None, reason: str | None) -> None:
    assert tuple(read_score(said)) == (score, reason)


@pytest.mark.parametrize(
    ("text", "choice", "reason"),
    [
        ("[[A]]", "A", None),
        ("so [[C]]", "C", None),
        ("[[A]] but also [[B]]", None, "two_verdicts"),
        ("A is better", None, "no_verdict"),
        ("[[D]]", None, "no_verdict"),
        ("", None, "empty"),
    ],
)
def test_a_choice_is_read_or_there_is_a_reason(text: str, choice: str | None, reason: str | None) -> None:
    assert tuple(read_choice(reply(text))) == (choice, reason)


@given(st.text(), st.sampled_from(["stop", "length", "content_filter"]))
def test_any_text_has_a_grade_or_a_reason(text: str, finish: str) -> None:
    score, reason = read_score(reply(text, finish))
    assert (score is None) == (reason is not None)
    assert score is None or 1 <= score <= 10
    assert (read_choice(reply(text, finish)).choice is None) == (read_choice(reply(text, finish)).reason is not None)


def test_the_second_turn_is_asked_in_the_light_of_the_first_answer() -> None:
    model = Scripted(lambda ask: f"re: {ask.messages[-1]['content']}")
    said = answer_questions(QUESTIONS, model, max_tokens=9)
    assert said[1].texts == ("re: Q1", "re: Q1b")
    assert said[3].texts == ("re: Q3",)
    assert [len(ask.messages) for ask in model.asked] == [1, 1, 1, 3, 3]
    assert [message["content"] for message in model.asked[3].messages] == ["Q1", "re: Q1", "Q1b"]
    assert [message["role"] for message in model.asked[3].messages] == ["user", "assistant", "user"]
    assert [ask.temperature for ask in model.asked] == [TEMPERATURES[c] for c in ("writing", "math", "stem")] + [0.7, 0]
    assert {ask.max_tokens for ask in model.asked} == {9}
    assert OTHER_TEMPERATURE == 0.7


def test_a_turn_that_failed_has_a_reason_and_so_has_the_next() -> None:
    def script(ask: Ask) -> Any:
        last = ask.messages[-1]["content"]
        if last == "Q1":
            return Failure("timeout", "no answer within 1 s")
        if last == "Q2b":
            return reply("", "content_filter")
        return reply("cut he", "length") if last == "Q3" else "fine"

    said = answer_questions(QUESTIONS, Scripted(script), max_tokens=9)
    assert said[1] == Spoken((None, None), ("timeout", "turn_before"), (False, False))
    assert (said[2].texts, said[2].reasons) == (("fine", None), (None, "content_filter"))
    assert said[3].cut == (True,)
    judge = Scripted(lambda ask: "[[5]]")
    grades = judge_answers(QUESTIONS, said, REFERENCES, judge_prompts("single"), judge, repeats=2, max_tokens=9)
    assert [(g.question.id, g.turn, g.score, g.reason) for g in grades if g.repeat == 1] == [
        (1, 1, None, "no_answer"),
        (1, 2, None, "no_answer"),
        (2, 1, 5.0, None),
        (2, 2, None, "no_answer"),
        (3, 1, 5.0, None),
    ]
    assert len(judge.asked) == 4


def test_the_judge_sees_what_it_should() -> None:
    judge = Scripted(lambda ask: "[[5]]")
    grades = judge_answers(QUESTIONS, SPOKEN, REFERENCES, judge_prompts("single"), judge, repeats=1, max_tokens=77)
    assert [(grade.question.id, grade.turn) for grade in grades] == [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1)]
    assert {(ask.temperature, ask.max_tokens) for ask in judge.asked} == {(0.0, 77)}
    texts = [ask.messages[1]["content"] for ask in judge.asked]
    assert all(part in texts[3] for part in ("Q2", "Q2b", "R2", "R2b", "A2", "A2b"))
    assert "R2b" not in texts[2]
    assert "A2b" not in texts[2]
    assert grades[3].asked.prompt.name == "instag-single-reference-multi-turn/1"
    frame = as_frame(grades)
    assert frame.columns == ["question_id", "category", "turn", "repeat", "score", "reason"]
    line = json.loads(next(as_lines(grades, "m", "j")))
    assert line["judge"] == ["j", "instag-single/1"]
    assert (line["judge_model"], line["score"]) == ("judge-2026", 5)


def test_only_repeats_have_a_key_of_their_own() -> None:
    judge = Scripted(lambda ask: "[[5]]")
    judge_answers(QUESTIONS[2:], SPOKEN, {}, judge_prompts("single"), judge, repeats=3, max_tokens=7)
    first, *others = [ask.key(model="J") for ask in judge.asked]
    assert first == request_key({"model": "J", **judge.asked[0].request()})
    assert len({first, *others}) == 3
    assert [ask.request() for ask in judge.asked] == [judge.asked[0].request()] * 3


def test_two_answers_are_compared_in_both_orders() -> None:
    better = {"A1": "ours", "A1b": "first", "A2": "theirs", "A2b": "broken", "A3": "tie"}

    def script(ask: Ask) -> Any:
        text = ask.messages[1]["content"]
        ours = next(name for name in sorted(better, key=len, reverse=True) if f"\n{name}\n" in text)
        ours_first = text.index(f"\n{ours}\n") < text.index(f"\nX{ours[1:]}\n")
        who = better[ours]
        if who == "broken" and ours_first:
            return Failure("timeout", "no answer within 1 s")
        wins = {"ours": "A" if ours_first else "B", "theirs": "B" if ours_first else "A", "first": "A"}
        return f"[[{wins.get(who, 'C')}]]"

    theirs = {own: spoken(*(f"X{str(text)[1:]}" for text in said.texts)) for own, said in SPOKEN.items()}
    judge, prompts = Scripted(script), judge_prompts("pairwise")
    pairs = judge_pairs(QUESTIONS, SPOKEN, theirs, REFERENCES, prompts, judge, repeats=1, max_tokens=9)
    assert [pair.winners for pair in pairs] == [
        ("model_1", "model_1"),
        ("model_1", "model_2"),
        ("model_2", "model_2"),
        ("error", "tie"),
        ("tie", "tie"),
    ]
    assert [pair.winner for pair in pairs] == ["model_1", "tie", "model_2", None, "tie"]
    assert pairs[3].reason == "timeout"
    lines = [json.loads(line) for line in pairs_as_lines(pairs, ("m", "n"), "j")]
    assert [(line["g1_winner"], line["g2_winner"]) for line in lines] == [pair.winners for pair in pairs]
    scores = pair_scores(pairs_frame(pairs), resamples=50)
    counts = scores.select("games", "unread", "wins", "losses", "ties", "inconsistent", "win_rate")
    assert counts.row(0) == (4, 1, 1, 1, 2, 1, 0.5)
    assert scores["turn"].to_list() == [None, 1, 2, None, None, None]
    assert scores["category"].to_list() == [None, None, None, "writing", "math", "stem"]
    assert counts.row(4) == (1, 1, 0, 1, 0, 0, 0.0)


def test_where_nothing_could_be_read_there_is_no_rate() -> None:
    judge = Scripted(lambda ask: "who knows")
    pairs = judge_pairs(
        QUESTIONS, SPOKEN, SPOKEN, REFERENCES, judge_prompts("pairwise"), judge, repeats=1, max_tokens=9
    )
    assert pair_scores(pairs_frame(pairs)).select("games", "unread", "win_rate", "low").row(0) == (0, 5, None, None)
