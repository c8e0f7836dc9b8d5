"""How far a judge agrees with people who chose between the same two answers, and people with each other."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from instag.bootstrap import RESAMPLES, interval, resampled_sums
from instag.errors import DataError

if TYPE_CHECKING:
    import polars as pl

_TIE_DELTA = 0.1  # scores no further apart are a tie, as in FastChat
_WINNERS = ("model_a", "model_b", "tie")
_OTHER = {"model_a": "model_b", "model_b": "model_a"}
_HINT = '{"question_id": 81, "model_a": "M", "model_b": "N", "winner": "model_a", "judge": "expert_0", "turn": 1}'
_COLUMNS = ("question_id", "turn", "model_a", "model_b", "winner")
JUDGE, PEOPLE = "judge and people", "people and people"

Answer = tuple[int, int, str, str]  # question, turn, the two models by name


def read_people(path: str | Path) -> pl.DataFrame:
    """People's votes, as MT-Bench's human judgments have them: Parquet, a list in JSON, or JSON lines.

    Columns: `question_id, turn, model_a, model_b, winner` (`model_a`, `model_b` or `tie`; FastChat's
    `tie (inconsistent)` is one). Raises `DataError` where a column is missing or a vote is for nobody.
    """
    import polars as pl

    try:
        if Path(path).suffix == ".parquet":
            frame = pl.read_parquet(path, glob=False)
        else:
            text = Path(path).read_text("utf-8")
            rows = json.loads(text) if text.lstrip().startswith("[") else _lines(text)
            frame = pl.DataFrame([{name: row.get(name) for name in _COLUMNS} for row in rows])
    except (OSError, ValueError, AttributeError, pl.exceptions.PolarsError) as error:
        raise DataError(f"people's votes `{path}` can't be read: {error}", hint=f"a line looks like {_HINT}") from None
    if missing := [name for name in _COLUMNS if name not in frame.columns]:
        raise DataError(f"`{path}` has no column `{missing[0]}`", hint=f"a line of it looks like {_HINT}")
    votes = frame.select(_COLUMNS).with_columns(
        pl.when(pl.col("winner").str.starts_with("tie")).then(pl.lit("tie")).otherwise("winner").alias("winner")
    )
    if len(strange := votes.filter(~pl.col("winner").is_in(_WINNERS).fill_null(False))):
        raise DataError(
            f"`{path}` has a vote for {strange['winner'][0]!r}, on question {strange['question_id'][0]}",
            hint=f"`winner` is one of {', '.join(_WINNERS)}",
        )
    return votes


def verdicts_of_scores(a: pl.DataFrame, b: pl.DataFrame, names: tuple[str, str]) -> pl.DataFrame:
    """What grades of two models say of each question and turn: whose mean over the repeats is higher by more than 0.1.

    Answers of which one has no grade are left out.
    """
    import polars as pl

    key = ["question_id", "turn"]
    left, right = (each.group_by(*key, maintain_order=True).agg(pl.col("score").mean()) for each in (a, b))
    both = left.join(right, on=key, suffix="_b", maintain_order="left").drop_nulls(["score", "score_b"])
    apart = pl.col("score") - pl.col("score_b")
    winner = pl.when(apart > _TIE_DELTA).then(pl.lit("model_a")).when(apart < -_TIE_DELTA).then(pl.lit("model_b"))
    named = (pl.lit(name).alias(f"model_{side}") for side, name in zip("ab", names, strict=True))
    return both.select(*key, *named, winner.otherwise(pl.lit("tie")).alias("winner"))


def agreement(ours: pl.DataFrame, people: pl.DataFrame, *, resamples: int = RESAMPLES, seed: int = 0) -> pl.DataFrame:
    """How often a verdict of `ours` and a person's vote on the same two answers are the same; rows by `who`.

    Both frames have `question_id, turn, model_a, model_b, winner`; which model comes first does not matter. A verdict
    of null (it could not be read) is left out; repeats are verdicts of their own. `setup` is one of MT-Bench's
    (arXiv 2306.05685, section 4.2): `S1` with ties (an inconsistent verdict is one), where a guess is right once in
    three times, `S2` without them, once in two. `votes` are pairs of a verdict and a vote, as FastChat counts them,
    `agree` those that are the same, `share` their share; `low` and `high` are the middle 95 % of the bootstrap over
    questions, null for a single one. The rows `people and people` are of pairs of votes on the answers that `ours` has
    a verdict on: no judge need be better. Raises `DataError` where nothing was judged by both.
    """
    import polars as pl

    verdicts, votes = _by_answers(ours), _by_answers(people)
    if not verdicts.keys() & votes.keys():
        known = sorted({name for *_, one, other in votes for name in (one, other)})
        named = sorted({name for *_, one, other in verdicts for name in (one, other)})
        raise DataError(
            f"people voted on no answers that were judged here, of {' and '.join(f'`{name}`' for name in named)}",
            hint=f"models go by their names; people voted on {', '.join(known[:9])}",
        )

    def beside(answer: Answer) -> Iterator[tuple[str, str]]:
        return itertools.product(verdicts[answer], votes[answer])

    def among(answer: Answer) -> Iterator[tuple[str, str]]:
        return itertools.combinations(votes[answer], 2)

    common = sorted(verdicts.keys() & votes.keys())
    rows = [
        (who, setup, turn, *_share(common, pairs, setup == "S2", turn, resamples, seed))
        for who, pairs in ((JUDGE, beside), (PEOPLE, among))
        for setup in ("S1", "S2")
        for turn in (None, *sorted({answer[1] for answer in common}))
    ]
    schema: dict[str, Any] = {"who": pl.String, "setup": pl.String, "turn": pl.Int8, "votes": pl.Int64}
    schema |= {"agree": pl.Int64} | dict.fromkeys(("share", "low", "high"), pl.Float64)
    return pl.DataFrame(rows, schema=schema, orient="row")


def _lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def _by_answers(frame: pl.DataFrame) -> dict[Answer, list[str]]:
    """Winners by what was judged, the two models in the order of their names."""
    found: dict[Answer, list[str]] = defaultdict(list)
    for question, turn, one, other, winner in frame.select(_COLUMNS).drop_nulls("winner").iter_rows():
        if one <= other:
            found[question, turn, one, other].append(winner)
        else:
            found[question, turn, other, one].append(_OTHER.get(winner, winner))
    return found


def _share(
    answers: Iterable[Answer],
    pairs: Callable[[Answer], Iterator[tuple[str, str]]],
    without_ties: bool,
    turn: int | None,
    resamples: int,
    seed: int,
) -> tuple[Any, ...]:
    counts: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for answer in answers:
        if turn in (None, answer[1]):
            for one, other in pairs(answer):
                if not (without_ties and "tie" in (one, other)):
                    counts[answer[0]][0] += one == other
                    counts[answer[0]][1] += 1
    if not counts:
        return 0, 0, None, None, None
    units = np.array([counts[question] for question in sorted(counts)])
    agree, votes = units.sum(axis=0)
    low, high = None, None
    if len(units) > 1:
        sums = resampled_sums(units, resamples=resamples, seed=seed)
        low, high = interval(sums[:, 0] / sums[:, 1])
    return int(votes), int(agree), float(agree / votes), low, high
