"""From a judge's reply to its verdict: a number from 1 to 10, or which of two answers is better; or why there is none.

FastChat takes the first number in double brackets, whatever follows it and however large it is, else the first in
single ones. Here the same brackets are read, but a reply that says two different things, or a number that is no grade,
says nothing: it is listed with its reason, and stands in no mean.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from instag.answers import Answer
from instag.replies import is_refusal, without_thought

LEAST, MOST = 1.0, 10.0  # grades
READER = 1  # enters the stage's key: what is read from the same replies changes with it

# Why a reply holds no verdict. A request without a reply has one of `replies.REASONS` instead.
NO_NUMBER, TWO_NUMBERS, OUT_OF_RANGE = "no_number", "two_numbers", "out_of_range"
NO_VERDICT, TWO_VERDICTS = "no_verdict", "two_verdicts"
REFUSED, EMPTY, TRUNCATED, CONTENT_FILTER = "refused", "empty", "truncated", "content_filter"
NO_ANSWER = "no_answer"  # the model gave none, so the judge was not asked

_DOUBLE = re.compile(r"\[\[\s*(-?\d+(?:\.\d+)?)\s*\]\]")
_SINGLE = re.compile(r"\[\s*(-?\d+(?:\.\d+)?)\s*\]")
_PAIR = re.compile(r"\[\[\s*([ABC])\s*\]\]")


class Score(NamedTuple):
    """A grade, or why there is none."""

    score: float | None
    reason: str | None = None


class Choice(NamedTuple):
    """`A`, `B` or `C` (a tie), or why there is none."""

    choice: str | None
    reason: str | None = None


def read_score(reply: Answer) -> Score:
    """The grade in a judge's reply.

    >>> from instag.answers import Answer
    >>> def reply(text): return Answer(b"", text, None, "stop", "m", 1, 1, "")
    >>> [tuple(read_score(reply(text))) for text in ("Rating: [[7]]", "[[7]] or [[8]]", "[[11]]", "Rating: 7")]
    [(7.0, None), (None, 'two_numbers'), (None, 'out_of_range'), (None, 'no_number')]
    """
    text = _text(reply)
    found = {float(number) for number in _DOUBLE.findall(text) or _SINGLE.findall(text)}
    if not found:
        return Score(None, _why(reply, text, NO_NUMBER))
    if len(found) > 1:
        return Score(None, TWO_NUMBERS)
    (score,) = found
    return Score(score) if LEAST <= score <= MOST else Score(None, OUT_OF_RANGE)


def read_choice(reply: Answer) -> Choice:
    """The verdict of a judge that was shown two answers."""
    text = _text(reply)
    found = set(_PAIR.findall(text))
    if len(found) == 1:
        return Choice(found.pop())
    return Choice(None, TWO_VERDICTS if found else _why(reply, text, NO_VERDICT))


def _text(reply: Answer) -> str:
    return without_thought(reply.answer or "")


def _why(reply: Answer, text: str, nothing: str) -> str:
    if reply.refusal:
        return REFUSED
    if reply.finish_reason == "content_filter":
        return CONTENT_FILTER
    if reply.finish_reason == "length":
        return TRUNCATED
    if not text.strip():
        return EMPTY
    return REFUSED if is_refusal(text) else nothing
