"""Two models judged on the same questions: is one better than the other, or is it chance?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from instag.bootstrap import RESAMPLES, interval, resampled_sums
from instag.errors import DataError

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

_EXACT_UP_TO = 16  # questions: 65,536 ways to flip their signs
_DRAWN = 20_000  # ways to flip them where there are more
_EQUAL = 1e-9  # scores of means that are one number but for rounding


def compare(
    a: pl.DataFrame,
    b: pl.DataFrame,
    names: tuple[str, str] = ("A", "B"),
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pl.DataFrame:
    """The scores of two judgments frames beside each other: all, then by turn, then by category.

    Answers are paired by question and turn; the score of each is its mean over the repeats that were read, and a pair
    of which one side has none is left out (`left_out`). `difference` is the mean of A - B over the `pairs`; `low` and
    `high` are the middle 95 % of the bootstrap over questions; `p` is of the two-sided test that flips the sign of a
    question's differences (both turns together): exact up to 16 questions, else by 20,000 draws, of which the observed
    one is one. `wins` of A, `ties`, `losses` count pairs. Raises `DataError` where no question and turn is in both, or
    where one question has two categories.

    >>> import polars as pl
    >>> one = pl.DataFrame({"question_id": [1, 2], "category": "math", "turn": 1, "repeat": 0, "score": [4.0, 6.0]})
    >>> compare(one, one.with_columns(pl.col("score") + 1)).select("pairs", "difference", "p", "losses").row(0)
    (2, -1.0, 0.5, 2)
    """
    import polars as pl

    key = ["question_id", "turn"]
    left, right = (
        frame.group_by(*key, maintain_order=True).agg(pl.col("category").first(), pl.col("score").mean())
        for frame in (a, b)
    )
    pairs = left.join(right, on=key, how="inner", suffix="_b", maintain_order="left")
    if not len(pairs):
        raise DataError(
            f"`{names[0]}` and `{names[1]}` have no question in common", hint="judge both on the same questions"
        )
    if len(other := pairs.filter(pl.col("category") != pl.col("category_b"))):
        raise DataError(
            f"question {other['question_id'][0]} is of another category in `{names[1]}` than in `{names[0]}`",
            hint="judge both on the same questions",
        )
    groups: list[tuple[str | None, int | None, pl.DataFrame]] = [(None, None, pairs)]
    groups += [(None, turn, pairs.filter(pl.col("turn") == turn)) for turn in sorted(pairs["turn"].unique().to_list())]
    for category in pairs["category"].unique(maintain_order=True).to_list():
        groups.append((category, None, pairs.filter(pl.col("category") == category)))
    schema: dict[str, Any] = {"category": pl.String, "turn": pl.Int8, "pairs": pl.Int64, "left_out": pl.Int64}
    schema |= dict.fromkeys(("mean_a", "mean_b", "difference", "low", "high", "p"), pl.Float64)
    schema |= dict.fromkeys(("wins", "ties", "losses"), pl.Int64)
    rows = [(category, turn, *_row(part, resamples, seed)) for category, turn, part in groups]
    return pl.DataFrame(rows, schema=schema, orient="row")


def _row(pairs: pl.DataFrame, resamples: int, seed: int) -> tuple[Any, ...]:
    read = pairs.drop_nulls(["score", "score_b"])
    left_out = len(pairs) - len(read)
    if not len(read):
        return 0, left_out, None, None, None, None, None, None, 0, 0, 0
    ours, theirs = read["score"].to_numpy(), read["score_b"].to_numpy()
    differences = ours - theirs
    differences[np.abs(differences) < _EQUAL] = 0.0
    _, question = np.unique(read["question_id"].to_numpy(), return_inverse=True)
    sums, counts = (np.bincount(question, weights).astype(np.float64) for weights in (differences, None))
    low, high = None, None
    if len(sums) > 1:
        drawn = resampled_sums(np.stack([sums, counts], axis=1), resamples=resamples, seed=seed)
        low, high = interval(drawn[:, 0] / drawn[:, 1])
    signs = np.sign(differences)
    told = [int((signs == sign).sum()) for sign in (1, 0, -1)]
    means = float(ours.mean()), float(theirs.mean()), float(differences.mean())
    return len(read), left_out, *means, low, high, _p_value(sums, seed), *told


def _p_value(sums: NDArray[np.float64], seed: int) -> float:
    """How often the sum is as far from 0 as it is, when each question's sign is tossed."""
    observed = abs(float(sums.sum())) - _EQUAL
    if len(sums) <= _EXACT_UP_TO:
        flipped = np.zeros(1)
        for value in sums:
            flipped = np.concatenate([flipped + value, flipped - value])
        return float((np.abs(flipped) >= observed).mean())
    tossed = np.random.default_rng(seed).integers(0, 2, (_DRAWN - 1, len(sums)), dtype=np.int8)
    flipped = np.where(tossed == 1, sums, -sums).sum(axis=1)
    return float(((np.abs(flipped) >= observed).sum() + 1) / _DRAWN)
