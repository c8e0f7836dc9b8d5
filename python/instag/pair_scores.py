"""Comparisons of two models as shares: how often ours is better, equal, worse, by category and turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from instag.bootstrap import RESAMPLES, interval, resampled_sums

if TYPE_CHECKING:
    import polars as pl

    from instag.judging import PairJudgment

# What a comparison is worth to ours; a tie is half a win and half a loss, as FastChat's `win_rate_adjusted` has it.
_POINTS = {"model_1": 1.0, "tie": 0.5, "model_2": 0.0}


def pairs_frame(judgments: Sequence[PairJudgment]) -> pl.DataFrame:
    """Comparisons as a frame: `question_id, category, turn, repeat, g1_winner, g2_winner, winner, reason`.

    `winner` is `model_1` (ours), `model_2` or `tie` (also where the two orders disagree); it is null, and `reason` is
    not, where one of the two verdicts could not be read.
    """
    import polars as pl

    schema: dict[str, Any] = {"question_id": pl.Int64, "category": pl.String, "turn": pl.Int8, "repeat": pl.Int32}
    schema |= dict.fromkeys(("g1_winner", "g2_winner", "winner", "reason"), pl.String)
    rows = [
        (each.question.id, each.question.category, each.turn, each.repeat, *each.winners, each.winner, each.reason)
        for each in judgments
    ]
    return pl.DataFrame(rows, schema=schema, orient="row")


def pair_scores(pairs: pl.DataFrame, *, resamples: int = RESAMPLES, seed: int = 0) -> pl.DataFrame:
    """Shares by category and turn, of `pairs_frame`: `category, turn` (null: all), counts, and `win_rate`.

    `games` were read, of these `wins`, `losses`, `ties`, and among the ties `inconsistent`: each order another winner.
    `win_rate` is the share of wins, ties by half; `low` and `high` are the middle 95 % of the bootstrap over questions,
    null for a single one. Rows: all, then turns, then categories as they come first.

    >>> import polars as pl
    >>> games = {"question_id": [1, 2], "category": "math", "turn": 1, "winner": ["model_1", "tie"]}
    >>> told = pl.DataFrame(games | {"g1_winner": "model_1", "g2_winner": ["model_1", "model_2"]})
    >>> pair_scores(told).select("games", "wins", "inconsistent", "win_rate").row(0)
    (2, 1, 1, 0.75)
    """
    import polars as pl

    rows: list[tuple[str | None, int | None, pl.DataFrame]] = [(None, None, pairs)]
    rows += [(None, turn, pairs.filter(pl.col("turn") == turn)) for turn in sorted(pairs["turn"].unique().to_list())]
    for category in pairs["category"].unique(maintain_order=True).to_list():
        rows.append((category, None, pairs.filter(pl.col("category") == category)))
    schema: dict[str, Any] = {"category": pl.String, "turn": pl.Int8}
    schema |= dict.fromkeys(("games", "unread", "wins", "losses", "ties", "inconsistent"), pl.Int64)
    schema |= dict.fromkeys(("win_rate", "low", "high"), pl.Float64)
    made = [(category, turn, *_row(part, resamples, seed)) for category, turn, part in rows]
    return pl.DataFrame(made, schema=schema, orient="row")


def _row(pairs: pl.DataFrame, resamples: int, seed: int) -> tuple[Any, ...]:
    import polars as pl

    read = pairs.filter(pl.col("winner").is_not_null())
    count = {name: int((read["winner"] == name).sum()) for name in _POINTS}
    disagreed = int((read["g1_winner"] != read["g2_winner"]).sum())
    counts = (len(read), len(pairs) - len(read), count["model_1"], count["model_2"], count["tie"], disagreed)
    if not len(read):
        return (*counts, None, None, None)
    points = pl.col("winner").replace_strict(_POINTS, return_dtype=pl.Float64)
    questions = read.group_by("question_id", maintain_order=True).agg(points.sum(), pl.len().cast(pl.Float64))
    units = questions.select("winner", "len").to_numpy()
    rate = float(units[:, 0].sum() / units[:, 1].sum())
    if len(units) < 2:
        return (*counts, rate, None, None)
    sums = resampled_sums(np.ascontiguousarray(units), resamples=resamples, seed=seed)
    return (*counts, rate, *interval(sums[:, 0] / sums[:, 1]))
