"""A judge grades answers one by one, or says which of two is better; every turn, as often as is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instag.answering import Spoken
from instag.answers import Answer
from instag.asking import Failure
from instag.completions import Ask, ChatModel
from instag.errors import DataError
from instag.judge_prompts import REFERENCE_CATEGORIES, JudgePrompt, JudgePrompts
from instag.mt_bench_files import Question, judgments_frame, pair_line, read_answers, single_line
from instag.progress import counted
from instag.tagger import ProgressHook
from instag.verdicts import NO_ANSWER, read_choice, read_score

if TYPE_CHECKING:
    import polars as pl

REFERENCE_FILE = Path("reference_answer", "gpt-4.jsonl")  # beside the questions, as FastChat has it
_LISTED = 9
# What a verdict on (A, B) says in each order of showing: the first model is A in the first game, B in the second.
_WINNERS = ({"A": "model_1", "B": "model_2", "C": "tie"}, {"A": "model_2", "B": "model_1", "C": "tie"})

References = Mapping[int, Sequence[str]]


@dataclass(frozen=True)
class Asked:
    """One request to the judge, or None where there was no answer to judge, and what came of it."""

    prompt: JudgePrompt
    ask: Ask | None
    reply: Answer | Failure | None = None

    @property
    def user_prompt(self) -> str | None:
        return None if self.ask is None else self.ask.messages[-1]["content"]

    @property
    def text(self) -> str | None:
        """The judge's words; without them what the endpoint said."""
        if isinstance(self.reply, Failure):
            return self.reply.message
        return None if self.reply is None else self.reply.answer or self.reply.refusal

    @property
    def finished(self) -> str | None:
        return self.reply.finished if isinstance(self.reply, Answer) else None


@dataclass(frozen=True)
class Judgment:
    """One grade: `score` is null where `reason` says why there is none."""

    question: Question
    turn: int
    repeat: int
    asked: Asked
    score: float | None
    reason: str | None


@dataclass(frozen=True)
class PairJudgment:
    """One comparison in both orders.

    `winners` are of `PAIR_WINNERS`; `winner` is that of both games, `tie` where they disagree, and null where one of
    them could not be read.
    """

    question: Question
    turn: int
    repeat: int
    games: tuple[Asked, Asked]
    winners: tuple[str, str]
    reason: str | None

    @property
    def winner(self) -> str | None:
        if self.reason is not None:
            return None
        return self.winners[0] if self.winners[0] == self.winners[1] else "tie"

    @property
    def finished(self) -> str | None:
        return max((game.finished for game in self.games if game.finished), default=None)


def read_references(
    questions: Sequence[Question], beside: str | Path, corrected: str | Path | None = None
) -> tuple[dict[int, Sequence[str]], list[Path]]:
    """The reference answers of the questions whose category wants one, and the files that they are from.

    Of a question the first of these: the file of `corrected` ones, `reference_answer/gpt-4.jsonl` beside the
    questions, what the question itself came with. Raises `DataError` where one has none, or one for its first turn
    alone.
    """
    files = [Path(corrected)] if corrected is not None else []
    if (default := Path(beside).parent / REFERENCE_FILE).is_file():
        files.append(default)
    known = [read_answers(path).turns for path in files]
    found: dict[int, Sequence[str]] = {}
    lacking = []
    for question in questions:
        if question.category not in REFERENCE_CATEGORIES:
            continue
        turns = next((told[question.id] for told in known if question.id in told), question.reference)
        if len(turns) < len(question.turns) or any(text is None for text in turns[: len(question.turns)]):
            lacking.append(question.id)
        else:
            found[question.id] = [text for text in turns if text is not None]
    if lacking:
        shown = ", ".join(map(str, lacking[:_LISTED])) + (", ..." if len(lacking) > _LISTED else "")
        raise DataError(
            f"there is no reference answer to every turn of {counted(len(lacking), 'question')}: {shown}",
            hint=f"`--references FILE`, or put FastChat's beside the questions, as {REFERENCE_FILE}",
        )
    return found, files


def judge_answers(
    questions: Sequence[Question],
    spoken: Mapping[int, Spoken],
    references: References,
    prompts: JudgePrompts,
    judge: ChatModel,
    *,
    repeats: int,
    max_tokens: int,
    again: bool = False,
    progress: ProgressHook | None = None,
) -> list[Judgment]:
    """A grade of every turn, `repeats` times, in the order of the questions, their turns and repeats.

    Where there is no answer the judge is not asked, and the reason is `no_answer`. `again` asks once more for what
    stands in the store and could not be read. Errors as of `ChatModel.answers`.
    """
    places = list(_places(questions, repeats))
    planned = []
    for question, turn, repeat in places:
        prompt = prompts.choose(question.category, turn)
        said = spoken[question.id].texts[:turn]
        fields = _fields(question, turn, references.get(question.id), {"answer": said})
        planned.append(_planned(prompt, fields, said, repeat, max_tokens))
    unread = (lambda reply: read_score(reply).reason is not None) if again else None
    found = []
    for (question, turn, repeat), asked in zip(places, _asked(planned, judge, unread, progress), strict=True):
        score, reason = (None, _failed(asked)) if not isinstance(asked.reply, Answer) else read_score(asked.reply)
        found.append(Judgment(question, turn, repeat, asked, score, reason))
    return found


def judge_pairs(
    questions: Sequence[Question],
    ours: Mapping[int, Spoken],
    theirs: Mapping[int, Spoken],
    references: References,
    prompts: JudgePrompts,
    judge: ChatModel,
    *,
    repeats: int,
    max_tokens: int,
    again: bool = False,
    progress: ProgressHook | None = None,
) -> list[PairJudgment]:
    """Which of two answers is better, shown in both orders; otherwise as `judge_answers`."""
    places = list(_places(questions, repeats))
    planned = []
    for question, turn, repeat in places:
        prompt = prompts.choose(question.category, turn)
        said = ours[question.id].texts[:turn], theirs[question.id].texts[:turn]
        for first, second in (said, said[::-1]):
            shown = {"answer_a": first, "answer_b": second}
            fields = _fields(question, turn, references.get(question.id), shown)
            planned.append(_planned(prompt, fields, (*first, *second), repeat, max_tokens))
    unread = (lambda reply: read_choice(reply).reason is not None) if again else None
    games = _asked(planned, judge, unread, progress)
    found = []
    for at, (question, turn, repeat) in enumerate(places):
        pair = games[2 * at], games[2 * at + 1]
        winners, reasons = zip(*(_winner(game, order) for order, game in enumerate(pair)), strict=True)
        reason = next((reason for reason in reasons if reason is not None), None)
        found.append(PairJudgment(question, turn, repeat, pair, (winners[0], winners[1]), reason))
    return found


def as_frame(judgments: Sequence[Judgment]) -> pl.DataFrame:
    """Judgments as `mt_bench_files.judgments_frame` has them."""
    return judgments_frame(
        (each.question.id, each.question.category, each.turn, each.repeat, each.score, each.reason)
        for each in judgments
    )


def as_lines(judgments: Sequence[Judgment], model: str, judge: str) -> Iterator[str]:
    """Judgments as FastChat writes them."""
    for each in judgments:
        yield single_line(
            question=each.question.id,
            model=model,
            judge=(judge, each.asked.prompt.name),
            prompt=each.asked.user_prompt,
            judgment=each.asked.text,
            score=each.score,
            turn=each.turn,
            finished=each.asked.finished,
            repeat=each.repeat,
            reason=each.reason,
            judge_model=each.asked.reply.model if isinstance(each.asked.reply, Answer) else None,
        )


def pairs_as_lines(judgments: Sequence[PairJudgment], models: tuple[str, str], judge: str) -> Iterator[str]:
    """Comparisons as FastChat writes them."""
    for each in judgments:
        yield pair_line(
            question=each.question.id,
            models=models,
            judge=(judge, each.games[0].prompt.name),
            winners=each.winners,
            prompts=(each.games[0].user_prompt, each.games[1].user_prompt),
            judgments=(each.games[0].text, each.games[1].text),
            turn=each.turn,
            finished=each.finished,
            repeat=each.repeat,
            reason=each.reason,
        )


def _places(questions: Sequence[Question], repeats: int) -> Iterator[tuple[Question, int, int]]:
    for question in questions:
        for turn in range(1, len(question.turns) + 1):
            for repeat in range(repeats):
                yield question, turn, repeat


def _fields(
    question: Question, turn: int, reference: Sequence[str] | None, said: Mapping[str, Sequence[str | None]]
) -> dict[str, str]:
    """What stands in the braces of a template, by FastChat's names."""
    fields = {}
    for at in range(turn):
        end = "" if turn == 1 else f"_{at + 1}"
        fields[f"question{end}"] = question.turns[at]
        for name, texts in said.items():
            fields[f"{name}{end}"] = texts[at] or ""
        if reference is not None:
            fields[f"ref_answer_{at + 1}"] = reference[at]
    return fields


def _planned(
    prompt: JudgePrompt, fields: Mapping[str, str], said: Sequence[str | None], repeat: int, max_tokens: int
) -> Asked:
    if any(text is None for text in said):
        return Asked(prompt, None)
    return Asked(prompt, Ask(tuple(prompt.messages(fields)), 0.0, max_tokens, repeat))


def _asked(planned: Sequence[Asked], judge: ChatModel, unread: Any, progress: ProgressHook | None) -> list[Asked]:
    """The same with their replies."""
    replies = iter(judge.answers([each.ask for each in planned if each.ask], again=unread, progress=progress))
    return [Asked(each.prompt, each.ask, next(replies) if each.ask else None) for each in planned]


def _failed(asked: Asked) -> str:
    return asked.reply.reason if isinstance(asked.reply, Failure) else NO_ANSWER


def _winner(game: Asked, order: int) -> tuple[str, str | None]:
    """Who won a game, and why nobody did."""
    if not isinstance(game.reply, Answer):
        return "error", _failed(game)
    choice, reason = read_choice(game.reply)
    return ("error", reason) if choice is None else (_WINNERS[order][choice], None)
