"""Grades as scores: means over questions, how sure they are, by turn and category."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from instag.bootstrap import RESAMPLES, interval, resampled_sums
from instag.progress import counted

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray


def scores(judgments: pl.DataFrame, *, resamples: int = RESAMPLES, seed: int = 0) -> pl.DataFrame:
    """Scores of judgments (`question_id, category, turn, repeat, score`), a row for all, each turn, each category.

    `category` and `turn` are null where all are meant. `samples` judgments were read, `unread` were not and count
    nowhere. `mean` is the mean over repeats of the mean over what was read: of one repeat what FastChat's
    `show_result` prints. `se` is the standard error over questions, each averaged over its turns and repeats (n - 1);
    `low` and `high` the middle 95 % of the bootstrap over questions: what other questions of the kind might give.
    `repeats_sd` is the standard deviation (n - 1) of the repeats' own means, the paper's +-: how steady the judge is,
    which is less than how sure the score is. All are null where there is too little to tell. Order: all, turns, then
    categories as they come first. Cost: linear in resamples times questions.

    >>> import polars as pl
    >>> told = {"question_id": [1, 1, 2, 2], "category": "math", "turn": [1, 2, 1, 2], "repeat": 0}
    >>> scores(pl.DataFrame(told | {"score": [8.0, 6.0, None, 4.0]})).select("samples", "unread", "mean", "se").row(0)
    (3, 1, 6.0, 1.5)
    """
    import polars as pl

    groups: list[tuple[str | None, int | None, pl.DataFrame]] = [(None, None, judgments)]
    for turn in sorted(judgments["turn"].unique().to_list()):
        groups.append((None, turn, judgments.filter(pl.col("turn") == turn)))
    for category in judgments["category"].unique(maintain_order=True).to_list():
        groups.append((category, None, judgments.filter(pl.col("category") == category)))
    schema: dict[str, Any] = {"category": pl.String, "turn": pl.Int8, "samples": pl.Int64, "unread": pl.Int64}
    schema |= dict.fromkeys(("mean", "se", "low", "high", "repeats_sd"), pl.Float64)
    rows = [(category, turn, *_row(group, resamples, seed)) for category, turn, group in groups]
    return pl.DataFrame(rows, schema=schema, orient="row")


def _row(judgments: pl.DataFrame, resamples: int, seed: int) -> tuple[Any, ...]:
    read = judgments.drop_nulls("score")
    counts = (len(read), len(judgments) - len(read))
    if not len(read):
        return (*counts, None, None, None, None, None)
    questions, question = np.unique(read["question_id"].to_numpy(), return_inverse=True)
    repeats, repeat = np.unique(read["repeat"].to_numpy(), return_inverse=True)
    grade = read["score"].to_numpy().astype(np.float64)
    # A row a question: for each repeat the sum of its grades, then for each how many there are.
    cells, shape = question * len(repeats) + repeat, (len(questions), len(repeats))
    sums, held = (np.bincount(cells, weights, shape[0] * shape[1]).reshape(shape) for weights in (grade, None))
    units = np.concatenate([sums, held], axis=1).astype(np.float64)
    of_repeats = _means(units.sum(axis=0)[None])[0]
    mean = float(of_repeats.mean())
    spread = float(of_repeats.std(ddof=1)) if len(repeats) > 1 else None
    if len(questions) < 2:
        return (*counts, mean, None, None, None, spread)
    of_questions = units[:, : len(repeats)].sum(axis=1) / units[:, len(repeats) :].sum(axis=1)
    error = float(np.sqrt(of_questions.var(ddof=1) / len(questions)))
    drawn = resampled_sums(units, resamples=resamples, seed=seed)
    return (*counts, mean, error, *interval(np.nanmean(_means(drawn), axis=1)), spread)


def _means(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of the repeats, of rows of sums and counts; NaN for one without a grade."""
    half = sums.shape[1] // 2
    with np.errstate(invalid="ignore"):
        return sums[:, :half] / sums[:, half:]


def notes(judgments: pl.DataFrame) -> list[str]:
    """What a reader of the scores must know: judgments that were not read, a judge that always says the same.

    >>> import polars as pl
    >>> told = {"question_id": [1, 2], "category": "math", "turn": 1, "repeat": 0, "score": 7.0, "reason": None}
    >>> notes(pl.DataFrame(told))
    ['the judge gave every one of the 2 answers the same score (7): it tells nothing about them']
    """
    read = judgments["score"].drop_nulls()
    found = []
    if unread := len(judgments) - len(read):
        reasons = Counter(judgments.filter(judgments["score"].is_null())["reason"].to_list()).most_common()
        told = ", ".join(f"{reason} {count:,}" for reason, count in reasons)
        found.append(f"{counted(unread, 'judgment')} could not be read, and count nowhere: {told}; see unread.parquet")
    if len(read) > 1 and read.n_unique() == 1:
        found.append(
            f"the judge gave every one of the {len(read):,} answers the same score ({read[0]:g}): "
            "it tells nothing about them"
        )
    return found
