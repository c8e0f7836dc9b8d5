"""A model answers the questions of MT-Bench, turn by turn, at the temperature of each category."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from instag.answers import Answer
from instag.asking import Failure
from instag.completions import Ask, ChatModel, Message
from instag.errors import DataError
from instag.mt_bench_files import TURNS, Answered, Question, read_answers
from instag.tagger import ProgressHook

# As FastChat has them: where there is one right answer nothing is drawn.
TEMPERATURES = {
    "writing": 0.7,
    "roleplay": 0.7,
    "extraction": 0.0,
    "math": 0.0,
    "coding": 0.0,
    "reasoning": 0.0,
    "stem": 0.1,
    "humanities": 0.1,
    "arena-hard-200": 0.0,
}
OTHER_TEMPERATURE = 0.7  # of a category that is none of these
_LISTED = 9


@dataclass(frozen=True)
class Spoken:
    """A model's answers to one question: a text a turn, or None and the reason why there is none.

    `cut` tells which were cut at the limit of tokens; `finished` when the last one was given; `by` who gave them, as
    the replies say.
    """

    texts: tuple[str | None, ...]
    reasons: tuple[str | None, ...]
    cut: tuple[bool, ...]
    finished: str | None = None
    by: tuple[str, ...] = ()


def answer_questions(
    questions: Sequence[Question], model: ChatModel, *, max_tokens: int, progress: ProgressHook | None = None
) -> dict[int, Spoken]:
    """What a model says to every question; the second turn is asked in the light of its first answer.

    A turn whose request failed has no text and a reason, and so has the turn behind it, which can't be asked. All first
    turns are asked together, then all second ones. Errors as of `ChatModel.answers`.
    """
    replies: dict[int, list[Answer | Failure]] = {question.id: [] for question in questions}
    for turn in range(TURNS):
        asks: list[tuple[int, Ask]] = []
        for question in questions:
            before = replies[question.id]
            if turn < len(question.turns) and all(isinstance(reply, Answer) for reply in before):
                messages = _chat(question.turns[: turn + 1], [_text(reply) for reply in before])
                temperature = TEMPERATURES.get(question.category, OTHER_TEMPERATURE)
                asks.append((question.id, Ask(messages, temperature, max_tokens)))
        told = model.answers([ask for _, ask in asks], progress=progress)
        for (own, _), reply in zip(asks, told, strict=True):
            replies[own].append(_withheld(reply))
    return {question.id: _spoken(question, replies[question.id]) for question in questions}


def read_spoken(path: str | Path, questions: Sequence[Question]) -> tuple[str, dict[int, Spoken]]:
    """The model and its answers from a file of FastChat's; questions that nobody asks are left out.

    Raises `DataError` where the file has no answer to a question, or to its second turn.
    """
    found = read_answers(path)
    lacking = [q.id for q in questions if len(found.turns.get(q.id, ())) < len(q.turns)]
    if lacking:
        shown = ", ".join(map(str, lacking[:_LISTED])) + (", ..." if len(lacking) > _LISTED else "")
        raise DataError(
            f"`{path}` does not answer {len(lacking):,} of {len(questions):,} questions in every turn: {shown}",
            hint="make the answers with the questions that they are judged with",
        )
    return found.model, {question.id: _read(question, found) for question in questions}


def _read(question: Question, found: Answered) -> Spoken:
    texts = found.turns[question.id][: len(question.turns)]
    return Spoken(texts, tuple(None if text is not None else "missing" for text in texts), (False,) * len(texts))


def _chat(asked: Sequence[str], said: Sequence[str]) -> tuple[Message, ...]:
    messages: list[Message] = []
    for at, question in enumerate(asked):
        messages.append({"role": "user", "content": question})
        if at < len(said):
            messages.append({"role": "assistant", "content": said[at]})
    return tuple(messages)


def _withheld(reply: Answer | Failure) -> Answer | Failure:
    """What the endpoint kept back is no answer of the model's."""
    if isinstance(reply, Answer) and reply.finish_reason == "content_filter" and not reply.answer:
        return Failure("content_filter", "the endpoint withheld the answer")
    return reply


def _text(reply: Answer | Failure) -> str:
    """What was said; a refusal in its own field is what the model says, too."""
    assert isinstance(reply, Answer), "a failure has no text"
    return reply.answer or reply.refusal or ""


def _spoken(question: Question, replies: Sequence[Answer | Failure]) -> Spoken:
    texts: list[str | None] = []
    reasons: list[str | None] = []
    for turn in range(len(question.turns)):
        reply = replies[turn] if turn < len(replies) else None
        texts.append(_text(reply) if isinstance(reply, Answer) else None)
        reasons.append(reply.reason if isinstance(reply, Failure) else "turn_before" if reply is None else None)
    cut = [turn < len(replies) and _is_cut(replies[turn]) for turn in range(len(question.turns))]
    finished = max((reply.finished for reply in replies if isinstance(reply, Answer)), default=None)
    by = tuple(sorted({reply.model for reply in replies if isinstance(reply, Answer) and reply.model}))
    return Spoken(tuple(texts), tuple(reasons), tuple(cut), finished, by)


def _is_cut(reply: Answer | Failure) -> bool:
    return isinstance(reply, Answer) and reply.finish_reason == "length"
