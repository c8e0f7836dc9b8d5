"""From judgments to scores: means with their spread, by turn and category; and what of the judging is worth a word."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from instag.bootstrap import RESAMPLES, interval, resampled_sums
from instag.progress import counted

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

_LEAST = 2  # questions that a standard error takes, repeats that a deviation takes


def scores(judgments: pl.DataFrame, *, resamples: int = RESAMPLES, seed: int = 0) -> pl.DataFrame:
    """Scores of `judgments` (see `mt_bench_files.judgments_frame`): all first, then turns, then categories.

    `category` and `turn` are null where a row is of all of them. `samples` are the judgments that were read, `unread`
    the others. `mean` is the mean over the repeats of the mean of what each of them read. The unit of all that follows
    is the question, with both its turns and all repeats: two turns of one question are not two samples. `se` is the
    standard deviation over questions of their means, by the square root of their number; `low` and `high` are the
    middle 95 % of the bootstrap over questions; both are null for a single question. `repeats_sd` is the standard
    deviation among the means of the repeats, null for one repeat: what the paper gives as its +-.

    Categories come in the order in which they are met first.

    >>> import polars as pl
    >>> told = {"question_id": [1, 1, 2, 2], "category": "math", "turn": 1, "repeat": [0, 1, 0, 1]}
    >>> judged = pl.DataFrame(told | {"score": [4.0, 6.0, 8.0, None], "reason": [None] * 3 + ["no_number"]})
    >>> scores(judged).select("category", "turn", "samples", "unread", "mean").row(0)
    (None, None, 3, 1, 6.0)
    """
    import polars as pl

    groups: list[tuple[str | None, int | None, pl.DataFrame]] = [(None, None, judgments)]
    for turn in sorted(judgments["turn"].unique().to_list()):
        groups.append((None, turn, judgments.filter(pl.col("turn") == turn)))
    for category in judgments["category"].unique(maintain_order=True).to_list():
        groups.append((category, None, judgments.filter(pl.col("category") == category)))
    schema: dict[str, Any] = {"category": pl.String, "turn": pl.Int8, "samples": pl.Int64, "unread": pl.Int64}
    schema |= dict.fromkeys(("mean", "se", "low", "high", "repeats_sd"), pl.Float64)
    rows = [(category, turn, *_row(part, resamples, seed)) for category, turn, part in groups]
    return pl.DataFrame(rows, schema=schema, orient="row")


def notes(judgments: pl.DataFrame) -> list[str]:
    """What a person should know before believing the scores; nothing where all is well."""
    told = []
    read = judgments.drop_nulls("score")
    unread = len(judgments) - len(read)
    if unread:
        reasons = Counter(judgments.filter(judgments["score"].is_null())["reason"].to_list())
        named = ", ".join(f"{reason} {count:,}" for reason, count in sorted(reasons.items()))
        told.append(f"{unread:,} of {counted(len(judgments), 'judgment')} without a score, counted nowhere: {named}")
    if not len(read):
        return [*told, "no judgment has a score: nothing is known of the model"]
    if read["score"].n_unique() == 1 and read["question_id"].n_unique() > 1:
        told.append(f"the judge gave every answer the same score ({read['score'][0]:g}): it tells nothing apart")
    elif read["repeat"].n_unique() > 1 and read.group_by("question_id", "turn").n_unique()["score"].max() == 1:
        told.append("every repeat gave the same scores: the judge is deterministic, or its server gives kept replies")
    return told


def _row(judgments: pl.DataFrame, resamples: int, seed: int) -> tuple[Any, ...]:
    read = judgments.drop_nulls("score")
    unread = len(judgments) - len(read)
    if not len(read):
        return 0, unread, None, None, None, None, None
    sums, counts = _by_question(read)
    repeats = sums.sum(axis=0) / counts.sum(axis=0)
    mean = float(repeats.mean())
    spread = float(repeats.std(ddof=1)) if len(repeats) >= _LEAST else None
    if len(sums) < _LEAST:
        return len(read), unread, mean, None, None, None, spread
    own = sums.sum(axis=1) / counts.sum(axis=1)
    error = float(own.std(ddof=1) / np.sqrt(len(own)))
    drawn = resampled_sums(np.concatenate([sums, counts], axis=1), resamples=resamples, seed=seed)
    width = sums.shape[1]
    with np.errstate(invalid="ignore"):  # a repeat of which nothing that was read is drawn has no mean
        means = drawn[:, :width] / drawn[:, width:]
    told = np.isfinite(means)
    number = told.sum(axis=1)
    drawn_means = np.where(told, means, 0.0).sum(axis=1)[number > 0] / number[number > 0]
    return len(read), unread, mean, error, *interval(drawn_means), spread


def _by_question(read: pl.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums of scores, and their numbers: a row a question, a column a repeat that has any."""
    questions, row = np.unique(read["question_id"].to_numpy(), return_inverse=True)
    repeats, column = np.unique(read["repeat"].to_numpy(), return_inverse=True)
    sums, counts = np.zeros((len(questions), len(repeats))), np.zeros((len(questions), len(repeats)))
    np.add.at(sums, (row, column), read["score"].to_numpy())
    np.add.at(counts, (row, column), 1.0)
    return sums, counts
