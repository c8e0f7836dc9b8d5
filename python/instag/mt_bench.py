"""MT-Bench from questions to scores: answers, judgments and tables, written into the stage `evaluate`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instag.answering import Spoken, answer_questions, read_spoken
from instag.answers import Answer, AnswerStore
from instag.asking import Failure
from instag.completions import JUDGE, MODEL, ChatModel, EndpointModel, Usage
from instag.endpoint import Endpoint, read_key
from instag.errors import ConfigError
from instag.evaluate_settings import EvaluateSettings, EvaluateSpeed
from instag.human_agreement import human_agreement, read_people
from instag.judge_prompts import JudgePrompts, judge_prompts
from instag.judging import (
    Asked,
    Judgment,
    PairJudgment,
    as_frame,
    as_lines,
    judge_answers,
    judge_pairs,
    pairs_as_lines,
    read_references,
)
from instag.mt_bench_files import Judged, Question, answer_line, read_judgments, read_questions
from instag.pacing import Pacer
from instag.pricing import find_price
from instag.progress import counted
from instag.spending import Spending

if TYPE_CHECKING:
    import polars as pl

    from instag.model_files import BaseModel
    from instag.output import Output
    from instag.progress import Talk

_MAY_PASS = ("timeout", "provider")  # why a request has no reply, where another attempt may help
_FEWEST_CORNERS = 3  # of a radar picture


@dataclass(frozen=True)
class Subject:
    """Who is judged: a model behind an endpoint by its `name`, one in a `folder`, or neither where answers stand."""

    name: str | None
    folder: BaseModel | None = None
    template: str | None = None

    @property
    def identity(self) -> str | None:
        """What decides its answers."""
        return self.name if self.folder is None else f"folder:{self.folder.digest}"


@dataclass(frozen=True)
class Bench:
    """All that is read before anything is asked: an error in a file costs no answer."""

    questions: list[Question]
    files: list[tuple[str, Path]]  # with what each is
    prompts: JudgePrompts | None = None
    references: Mapping[int, Sequence[str]] = field(default_factory=dict)
    spoken: tuple[str, dict[int, Spoken]] | None = None  # answers that stand already
    against: tuple[str, dict[int, Spoken]] | None = None
    judged: Judged | None = None  # judgments that stand already


def read_bench(settings: EvaluateSettings) -> Bench:
    """The files that an evaluation by MT-Bench begins with. Raises `DataError` with file and line."""
    assert settings.mt_bench is not None, "another evaluation"
    questions = read_questions(settings.mt_bench)
    files = [("questions", Path(settings.mt_bench))]
    if settings.judgments_file is not None:
        files.append(("judgments", Path(settings.judgments_file)))
        judged = read_judgments(settings.judgments_file, questions, settings.model)
        return Bench(questions, files, judged=judged)
    prompts = judge_prompts(settings.mode, settings.judge_prompts)
    references, beside = read_references(questions, settings.mt_bench, settings.references)
    files += [("references", path) for path in beside]
    spoken, against = (
        None if path is None else read_spoken(path, questions) for path in (settings.answers_file, settings.against)
    )
    for what, path in (
        ("judge prompts", settings.judge_prompts),
        ("answers", settings.answers_file),
        ("answers against", settings.against),
        ("people", settings.people),
    ):
        files += [] if path is None else [(what, Path(path))]
    return Bench(questions, files, prompts, references, spoken, against)


def make_mt_bench(
    out: Output,
    bench: Bench,
    subject: Subject,
    settings: EvaluateSettings,
    speed: EvaluateSpeed,
    store_path: Path,
    talk: Talk,
) -> None:
    """Has everything answered and judged, and writes answers, judgments, what could not be read, and scores."""
    one_turn = sum(len(question.turns) == 1 for question in bench.questions)
    out.counts |= {"mode": settings.mode, "questions": len(bench.questions), "one_turn": one_turn}
    if one_turn:
        out.notes.append(f"{counted(one_turn, 'question')} with one turn: judged on that turn alone")
    if bench.judged is not None:
        out.counts |= {"model": bench.judged.model, "judge": bench.judged.judge, "failed": 0}
        _write_scores(out, bench.judged.judgments, bench.judged.model, settings)
        return
    assert bench.prompts is not None, "without judgments that stand there is a judge"
    assert settings.judge is not None
    out.notes += bench.prompts.notes
    with AnswerStore(store_path) as store:
        model = _model(subject, settings, speed, store) if bench.spoken is None else None
        judge = _connected(settings.judge, store, speed, settings.judge_max_tokens, JUDGE, model)
        name, spoken = (model.name, {}) if model is not None else bench.spoken or ("", {})
        people = None
        if settings.people is not None and bench.against is not None:
            people = read_people(settings.people, (name, bench.against[0]))  # an error in it before anything is asked
        if model is not None:
            with talk.progress("answering") as hook:
                spoken = answer_questions(bench.questions, model, max_tokens=settings.max_tokens, progress=hook)
            _write_answers(out, bench.questions, spoken, name)
        out.counts |= {"model": name, "judge": settings.judge, "repeats": settings.repeats}
        with talk.progress("judging") as hook:
            how: dict[str, Any] = {"repeats": settings.repeats, "max_tokens": settings.judge_max_tokens}
            how |= {"again": speed.retry_unread, "progress": hook}
            told = (bench.references, bench.prompts, judge)
            if bench.against is None:
                grades = judge_answers(bench.questions, spoken, *told, **how)
                _write_grades(out, grades, name, settings)
            else:
                other, said = bench.against
                pairs = judge_pairs(bench.questions, spoken, said, *told, **how)
                _write_pairs(out, pairs, (name, other), people, settings)
        _tell_cost(out, [each for each in (model, judge) if each is not None])
    out.notes += [note for each in (model, judge) if isinstance(each, EndpointModel) for note in each.notes]


def check_keys_and_prices(settings: EvaluateSettings, speed: EvaluateSpeed, subject: Subject) -> None:
    """Refuses a key file that holds no key, and a budget for what has no price, before anything is read or asked."""
    for path in (speed.key_file, speed.judge_key_file):
        if path is not None:
            read_key(path)
    asked = [settings.judge, subject.name if subject.folder is None and settings.answers_file is None else None]
    for name in asked:
        if name is not None and speed.budget_usd is not None and find_price(name, speed.prices) is None:
            raise ConfigError(
                f"no price of `{name}` is known, so no budget can be kept",
                hint="give its price in a table of your own: `--prices FILE`",
            )


def _model(subject: Subject, settings: EvaluateSettings, speed: EvaluateSpeed, store: AnswerStore) -> ChatModel:
    if subject.folder is not None:
        from instag.local_answers import FolderModel

        assert subject.template is not None, "a folder is talked to by a template"
        device = None if speed.device == "auto" else speed.device
        return FolderModel(subject.folder, store, template=subject.template, device=device)
    assert subject.name is not None, "somebody is judged"
    return _connected(subject.name, store, speed, settings.max_tokens, MODEL, None)


def _connected(
    name: str, store: AnswerStore, speed: EvaluateSpeed, max_tokens: int, role: str, before: ChatModel | None
) -> EndpointModel:
    """A model behind its endpoint; what `before` it was spent is taken from the budget when it is first asked."""
    url, key_file = (speed.base_url, speed.key_file) if role == MODEL else (speed.judge_base_url, speed.judge_key_file)
    spending = Spending(find_price(name, speed.prices), budget_usd=speed.budget_usd, max_tokens=max_tokens)

    def connect() -> Endpoint:
        if speed.budget_usd is not None and before is not None:
            spending.budget_usd = speed.budget_usd - (before.usage.cost_usd or 0.0)
        return Endpoint(
            url,
            key_file=key_file,
            concurrency=speed.concurrency,
            timeout_s=speed.timeout_s,
            max_attempts=speed.max_attempts,
            pacer=Pacer(speed.requests_per_minute, speed.tokens_per_minute),
            offline="--holdout FOLDER",
        )

    counts = speed.budget_usd is not None or speed.tokens_per_minute is not None
    rate = speed.max_failure_rate
    return EndpointModel(
        name, store, connect, role=role, spending=spending, counts_tokens=counts, max_failure_rate=rate
    )


def _write_answers(out: Output, questions: Sequence[Question], spoken: Mapping[int, Spoken], name: str) -> None:
    with out.file("answers.jsonl") as path, open(path, "w", encoding="utf-8", newline="\n") as file:
        for question in questions:
            said = spoken[question.id]
            file.write(answer_line(question.id, name, said.texts, said.finished))
    failed = Counter(reason for said in spoken.values() for reason in said.reasons if reason is not None)
    cut = sum(sum(said.cut) for said in spoken.values())
    by = ", ".join(sorted({model for said in spoken.values() for model in said.by}))
    out.counts |= {"answered_by": by, "answers_failed": dict(sorted(failed.items())), "answers_cut": cut}
    if failed:
        told = ", ".join(f"{reason} {count:,}" for reason, count in sorted(failed.items()))
        out.notes.append(f"the model gave no answer to {counted(failed.total(), 'turn')}: {told}")
    if cut:
        out.notes.append(f"{counted(cut, 'answer')} cut at the limit of tokens (`--max-tokens`), and judged like that")


def _write_grades(out: Output, grades: Sequence[Judgment], name: str, settings: EvaluateSettings) -> None:
    _write_lines(out, as_lines(grades, name, str(settings.judge)))
    _tell_judge(out, [each.asked for each in grades])
    _write_unread(out, [(each, each.asked, each.reason, None) for each in grades if each.reason is not None])
    _write_scores(out, as_frame(grades), name, settings)


def _write_scores(out: Output, judgments: pl.DataFrame, name: str, settings: EvaluateSettings) -> None:
    import polars as pl

    from instag.mt_bench_scores import notes, scores

    out.table("judgments", judgments)
    table = scores(judgments, resamples=settings.resamples, seed=settings.seed)
    out.table("scores", table)
    figures = ("mean", "se", "low", "high", "repeats_sd")
    whole = table.row(0, named=True)
    out.counts |= {
        "judgments": len(judgments),
        "unread": int(judgments["score"].null_count()),
        "score": {figure: whole[figure] for figure in figures},
        "scores": table.to_dicts(),
    }
    out.notes += notes(judgments)
    corners = table.filter(pl.col("category").is_not_null(), pl.col("mean").is_not_null())
    if len(corners) >= _FEWEST_CORNERS:
        from instag.pictures import MISSING
        from instag.radar import radar_picture

        with out.file("radar.png") as path:
            series = {name: corners["mean"].to_list()}
            drawn = radar_picture(path, corners["category"].to_list(), series, title=f"MT-Bench of {name}")
        if not drawn:
            del out.written["radar.png"]
            out.notes.append(MISSING)


def _write_pairs(
    out: Output,
    pairs: Sequence[PairJudgment],
    names: tuple[str, str],
    people: pl.DataFrame | None,
    settings: EvaluateSettings,
) -> None:
    from instag.pair_scores import pair_scores, pairs_frame

    _write_lines(out, pairs_as_lines(pairs, names, str(settings.judge)))
    _tell_judge(out, [game for each in pairs for game in each.games])
    unread = []
    for each in pairs:
        for number, (game, winner) in enumerate(zip(each.games, each.winners, strict=True), 1):
            if winner == "error":
                unread.append((each, game, each.reason, number))
    _write_unread(out, unread)
    frame = pairs_frame(pairs)
    out.table("pairs", frame)
    table = pair_scores(frame, resamples=settings.resamples, seed=settings.seed)
    out.table("pair_scores", table)
    told = table.to_dicts()
    whole = {name: value for name, value in told[0].items() if name not in ("category", "turn")}
    out.counts |= {"against": names[1], "judgments": len(frame), "unread": whole["unread"]}
    out.counts |= {"pairwise": whole, "pair_scores": told}
    if people is not None:
        agreement = human_agreement(frame, people, resamples=settings.resamples, seed=settings.seed)
        out.table("human_agreement", agreement)
        out.counts["human_agreement"] = agreement.to_dicts()
    if whole["unread"]:
        out.notes.append(f"{counted(whole['unread'], 'comparison')} without two verdicts: see unread.parquet")


def _write_lines(out: Output, lines: Iterator[str]) -> None:
    with out.file("judgments.jsonl") as path, open(path, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines)


def _write_unread(out: Output, unread: Sequence[tuple[Judgment | PairJudgment, Asked, str | None, int | None]]) -> None:
    """What the judge said where no verdict could be read, or the endpoint where there is no reply."""
    import polars as pl

    schema: dict[str, Any] = {"question_id": pl.Int64, "category": pl.String, "turn": pl.Int8, "repeat": pl.Int32}
    schema |= {"game": pl.Int8, "reason": pl.String, "judgment": pl.String}
    rows = [
        (each.question.id, each.question.category, each.turn, each.repeat, game, reason, asked.text)
        for each, asked, reason, game in unread
    ]
    out.table("unread", pl.DataFrame(rows, schema=schema, orient="row"))
    reasons = Counter(str(reason) for *_, reason, _ in rows)
    out.counts["unread_by_reason"] = dict(sorted(reasons.items()))


def _tell_judge(out: Output, asked: Sequence[Asked]) -> None:
    """Who judged, by the names in the replies, and when; how many requests are worth another attempt."""
    replies = [each.reply for each in asked if isinstance(each.reply, Answer)]
    models = Counter(reply.model or "unnamed" for reply in replies)
    dates = sorted(reply.finished[:10] for reply in replies)
    out.counts |= {
        "judge_model": ", ".join(sorted(models)),
        "judged": [dates[0], dates[-1]] if dates else None,
        "failed": sum(isinstance(each.reply, Failure) and each.reply.reason in _MAY_PASS for each in asked)
        + sum(count for reason, count in out.counts.get("answers_failed", {}).items() if reason in _MAY_PASS),
    }
    if len(models) > 1:
        told = ", ".join(f"`{model}` {count:,}" for model, count in sorted(models.items()))
        out.notes.append(f"more than one model judged: {told}")


def _tell_cost(out: Output, models: Sequence[ChatModel]) -> None:
    usages: list[Usage] = [model.usage for model in models]
    for name in ("asked", "reused", "prompt_tokens", "completion_tokens"):
        out.counts[name] = sum(getattr(usage, name) for usage in usages)
    costs = [usage.cost_usd for usage in usages if usage.cost_usd is not None or usage.asked]
    out.cost_usd = None if None in costs else sum(cost for cost in costs if cost is not None)
    out.counts["cost_usd"] = out.cost_usd
