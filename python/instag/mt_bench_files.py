"""The files of MT-Bench in FastChat's formats: questions, answers, judgments, read and written.

What is read comes from anywhere, so every line is checked and an error names file and line. What is written has the
members that FastChat's `gen_judgment` and `show_result` look for, and some more that they pass over.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instag.errors import DataError
from instag.replies import clean

if TYPE_CHECKING:
    import polars as pl

TURNS = 2  # that the protocol knows; a question may have one
UNREAD = -1  # FastChat's score of a judgment that can't be read; `show_result` leaves it out
PAIR_WINNERS = ("model_1", "model_2", "tie", "error")  # the last one where a verdict can't be read

_QUESTION_HINT = '{"question_id": 81, "category": "writing", "turns": ["...", "..."]}'
_ANSWER_HINT = '{"question_id": 81, "model_id": "NAME", "choices": [{"index": 0, "turns": ["...", "..."]}]}'
_JUDGMENT_HINT = '{"question_id": 81, "model": "NAME", "judge": ["gpt-4", "single-v1"], "score": 7, "turn": 1}'


@dataclass(frozen=True)
class Question:
    """One question: what is asked turn by turn, and the reference answers that came with it (none: empty)."""

    id: int
    category: str
    turns: tuple[str, ...]
    reference: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answered:
    """One model's answers, by question id; a turn without an answer is None."""

    model: str
    turns: dict[int, tuple[str | None, ...]]


def read_questions(path: str | Path) -> list[Question]:
    """The questions of a `question.jsonl`, in its order.

    Raises `DataError` with file and line for what is no question, has no turn or more than two, or an id that an
    earlier line has; a file without any question is one, too.
    """
    found: list[Question] = []
    lines: dict[int, int] = {}
    for number, told in _objects(path, "questions", _QUESTION_HINT):
        where = f"{path}:{number}"
        own, category = _whole(told, "question_id", where, _QUESTION_HINT), told.get("category", "general")
        if not isinstance(category, str):
            raise DataError(f"{where}: `category` is {category!r}, must be a name", hint=_QUESTION_HINT)
        turns = _texts(told.get("turns"), "turns", where, _QUESTION_HINT)
        if not 1 <= len(turns) <= TURNS:
            raise DataError(
                f"{where}: question {own} has {len(turns)} turns, must have one or two", hint="take it out of the file"
            )
        if own in lines:
            raise DataError(
                f"{where}: the question id {own} stands in line {lines[own]} already",
                hint="answers and judgments are kept by it: give each question its own",
            )
        lines[own] = number
        reference = told.get("reference")
        known = _texts(reference, "reference", where, _QUESTION_HINT) if reference is not None else ()
        found.append(Question(own, clean(category), turns, known))
    if not found:
        raise DataError(f"`{path}` holds no question", hint=f"a line of it looks like {_QUESTION_HINT}")
    return found


def read_answers(path: str | Path) -> Answered:
    """The answers of one model, the first choice of each; errors as of `read_questions`.

    A null among the turns is an answer that is not there: `instag` writes it where a request failed.
    """
    model: str | None = None
    turns: dict[int, tuple[str | None, ...]] = {}
    for number, told in _objects(path, "answers", _ANSWER_HINT):
        where = f"{path}:{number}"
        own = _whole(told, "question_id", where, _ANSWER_HINT)
        try:
            name, first = told["model_id"], told["choices"][0]["turns"]
        except (KeyError, IndexError, TypeError):
            raise DataError(f"{where}: not a model's answer", hint=f"a line looks like {_ANSWER_HINT}") from None
        if not isinstance(name, str):
            raise DataError(f"{where}: `model_id` is {name!r}, must be a name", hint=_ANSWER_HINT)
        if model is not None and name != model:
            raise DataError(
                f"{where}: this answer is of `{name}`, those before of `{model}`", hint="a file has one model's answers"
            )
        if own in turns:
            raise DataError(f"{where}: question {own} is answered by an earlier line already")
        model, turns[own] = name, _texts(first, "turns", where, _ANSWER_HINT, nulls=True)
    if model is None:
        raise DataError(f"`{path}` holds no answer", hint=f"a line of it looks like {_ANSWER_HINT}")
    return Answered(clean(model), turns)


def answer_line(question: int, model: str, turns: Sequence[str | None], finished: str | None) -> str:
    """An answer as FastChat writes it, its id a digest of it: the same answer is the same line."""
    told = {"question_id": question, "model_id": model, "choices": [{"index": 0, "turns": list(turns)}]}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:22]
    line = {"question_id": question, "answer_id": digest, "model_id": model, "choices": told["choices"]}
    return _line(line | {"tstamp": seconds_of(finished)})


def single_line(
    *,
    question: int,
    model: str,
    judge: tuple[str, str],
    prompt: str | None,
    judgment: str | None,
    score: float | None,
    turn: int,
    finished: str | None,
    **more: Any,
) -> str:
    """A judgment of one answer as FastChat writes it; `more` stands behind, for `instag` and for people."""
    told = UNREAD if score is None else int(score) if score.is_integer() else score
    line = {"question_id": question, "model": model, "judge": list(judge), "user_prompt": prompt}
    line |= {"judgment": judgment, "score": told, "turn": turn, "tstamp": seconds_of(finished)}
    return _line(line | more)


def pair_line(
    *,
    question: int,
    models: tuple[str, str],
    judge: tuple[str, str],
    winners: tuple[str, str],
    prompts: tuple[str | None, str | None],
    judgments: tuple[str | None, str | None],
    turn: int,
    finished: str | None,
    **more: Any,
) -> str:
    """A judgment of two answers in both orders as FastChat writes it; `winners` are of `PAIR_WINNERS`."""
    line: dict[str, Any] = {"question_id": question, "model_1": models[0], "model_2": models[1]}
    line |= {"g1_winner": winners[0], "g2_winner": winners[1], "judge": list(judge)}
    for game, (prompt, judgment) in enumerate(zip(prompts, judgments, strict=True), 1):
        line |= {f"g{game}_user_prompt": prompt, f"g{game}_judgment": judgment}
    return _line(line | {"turn": turn, "tstamp": seconds_of(finished)} | more)


def seconds_of(finished: str | None) -> float | None:
    """FastChat's `tstamp`, seconds since 1970, of a time in ISO form.

    >>> seconds_of("1970-01-01T00:01:00+00:00"), seconds_of(None)
    (60.0, None)
    """
    return None if finished is None else datetime.datetime.fromisoformat(finished.replace("Z", "+00:00")).timestamp()


@dataclass(frozen=True)
class Judged:
    """Judgments that stand in a file: of which model, by which judge, as the frame that everything else reads."""

    model: str
    judge: str
    judgments: pl.DataFrame


def judgments_frame(rows: Iterable[tuple[int, str, int, int, float | None, str | None]]) -> pl.DataFrame:
    """Judgments as a frame: `question_id, category, turn` (1 or 2), `repeat` (from 0), `score`, `reason`.

    The score is null where a judgment could not be read, the reason null where it could.
    """
    import polars as pl

    schema: dict[str, Any] = {"question_id": pl.Int64, "category": pl.String, "turn": pl.Int8, "repeat": pl.Int32}
    return pl.DataFrame(
        list(rows), schema=schema | {"score": pl.Float64, "reason": pl.String}, orient="row", strict=False
    )


def read_judgments(path: str | Path, questions: Sequence[Question], model: str | None = None) -> Judged:
    """Single-answer judgments of one model, as FastChat and `instag` write them.

    `model` is needed where the file has those of several. Of lines with the same question and turn the second is the
    repeat 1, and so on. The score -1 is a judgment that could not be read. Raises `DataError` with file and line.
    """
    categories = {question.id: question.category for question in questions}
    told_models: Counter[str] = Counter()
    judges: dict[str, None] = {}
    seen: Counter[tuple[int, int]] = Counter()
    rows: list[tuple[int, str, int, int, float | None, str | None]] = []
    for number, told in _objects(path, "judgments", _JUDGMENT_HINT):
        where = f"{path}:{number}"
        own, turn = (_whole(told, name, where, _JUDGMENT_HINT) for name in ("question_id", "turn"))
        name, judge, score = told.get("model"), told.get("judge"), told.get("score")
        if not isinstance(name, str) or not isinstance(judge, list) or not judge or not isinstance(judge[0], str):
            raise DataError(f"{where}: not a judgment of a single answer", hint=f"a line looks like {_JUDGMENT_HINT}")
        told_models[name] += 1
        if model is not None and name != model:
            continue
        number_told = isinstance(score, int | float) and not isinstance(score, bool)
        if score is None or not number_told or not math.isfinite(score) or turn not in (1, TURNS):
            raise DataError(f"{where}: turn {turn!r} has the score {score!r}", hint=_JUDGMENT_HINT)
        if own not in categories:
            raise DataError(f"{where}: no question has the id {own}", hint="name the questions it was made with")
        repeat = seen[own, turn]
        seen[own, turn] += 1
        judges[judge[0]] = None
        reason = None if score != UNREAD else clean(str(told.get("reason") or "unread"))
        rows.append((own, categories[own], turn, repeat, float(score) if reason is None else None, reason))
    names = list(told_models)
    if not rows or (model is None and len(names) > 1):
        what = f"no judgment of `{model}`" if model is not None and names else "no judgment"
        what = what if not rows else f"judgments of {len(names)} models"
        named = f"name one with `--model`: {', '.join(names[:9])}"
        hint = named if names else f"a line of it looks like {_JUDGMENT_HINT}"
        raise DataError(f"`{path}` holds {what}", hint=hint)
    if len(judges) > 1:
        raise DataError(f"`{path}` holds judgments of {len(judges)} judges", hint="a file has one judge's: part them")
    order = {question.id: at for at, question in enumerate(questions)}
    rows.sort(key=lambda row: (order[row[0]], row[2], row[3]))
    return Judged(clean(model or names[0]), clean(next(iter(judges))), judgments_frame(rows))


def _line(told: dict[str, Any]) -> str:
    return json.dumps(told, ensure_ascii=False) + "\n"


def _objects(path: str | Path, what: str, hint: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file of JSON lines, with the numbers of their lines; blank lines are passed over."""
    try:
        with open(path, "rb") as file:
            lines = file.read().split(b"\n")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DataError(f"the {what} `{path}` can't be read: {reason}", hint="name a file of JSON lines") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            told = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}:{number}: not JSON: {error}", hint=f"a line looks like {hint}") from None
        if not isinstance(told, dict):
            raise DataError(f"{path}:{number}: not an object", hint=f"a line looks like {hint}")
        yield number, told


def _whole(told: dict[str, Any], name: str, where: str, hint: str) -> int:
    value = told.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63:
        return value
    raise DataError(f"{where}: `{name}` is {value!r}, must be a whole number", hint=f"a line looks like {hint}")


def _texts(value: Any, name: str, where: str, hint: str, *, nulls: bool = False) -> tuple[Any, ...]:
    if isinstance(value, list) and all(isinstance(text, str) or (nulls and text is None) for text in value):
        return tuple(None if text is None else clean(text) for text in value)
    raise DataError(f"{where}: `{name}` is not a list of texts", hint=f"a line looks like {hint}")
