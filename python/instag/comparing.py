"""Two models judged on the same questions: the difference of their scores, and whether chance alone would give it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from instag.bootstrap import RESAMPLES, interval, resampled_sums
from instag.errors import DataError

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

EXACT = 16  # questions that differ, up to which every way to flip their signs is counted
FLIPS = 10_000  # drawn where there are more
_ROUNDING = 1e-9


def compare(
    a: pl.DataFrame,
    b: pl.DataFrame,
    names: tuple[str, str] = ("A", "B"),
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    flips: int = FLIPS,
) -> pl.DataFrame:
    """Judgments of two models (as `mt_bench_scores.scores` takes them), question by question: all, turns, categories.

    A pair is a turn of a question that both have a grade for, the mean over repeats; `unpaired` have one side alone.
    `difference` is A's mean less B's, `low` and `high` the middle 95 % of the bootstrap over questions; `wins`, `ties`,
    `losses` count pairs, for A. `p` is of the paired permutation test: how often a difference as far from 0 comes about
    where each question's sign is a coin's; two-sided, the turns of a question together. Up to 16 questions that differ
    it is exact, else of `flips` draws, (hits + 1) / (draws + 1). Rows are tests of their own: of ten categories one has
    p below 0.1 by chance. Raises `DataError` where the two share no question, or hold one twice.

    >>> import polars as pl
    >>> told = {"question_id": [1, 2, 3], "category": "math", "turn": 1, "repeat": 0}
    >>> a, b = (pl.DataFrame(told | {"score": [base + 1.0, base + 2.0, base + 3.0]}) for base in (3, 1))
    >>> compare(a, b).select("pairs", "difference", "wins", "p").row(0)
    (3, 2.0, 3, 0.25)
    """
    import polars as pl

    pairs = _paired(a, b, names)
    both = pairs.drop_nulls(["a", "b"])
    if not len(both):
        raise DataError(
            f"`{names[0]}` and `{names[1]}` have no graded question in common", hint="judge both on the same questions"
        )
    groups: list[tuple[str | None, int | None, pl.DataFrame]] = [(None, None, pairs)]
    for turn in sorted(pairs["turn"].unique().to_list()):
        groups.append((None, turn, pairs.filter(pl.col("turn") == turn)))
    for category in pairs["category"].unique(maintain_order=True).to_list():
        groups.append((category, None, pairs.filter(pl.col("category") == category)))
    schema: dict[str, Any] = {"category": pl.String, "turn": pl.Int8, "pairs": pl.Int64, "unpaired": pl.Int64}
    schema |= dict.fromkeys(("mean_a", "mean_b", "difference", "low", "high"), pl.Float64)
    schema |= dict.fromkeys(("wins", "ties", "losses"), pl.Int64) | {"p": pl.Float64}
    rows = [(category, turn, *_row(group, resamples, seed, flips)) for category, turn, group in groups]
    return pl.DataFrame(rows, schema=schema, orient="row")


def _paired(a: pl.DataFrame, b: pl.DataFrame, names: tuple[str, str]) -> pl.DataFrame:
    """`question_id, category, turn, a, b`: the mean grade of each side, null where it has none; A's order, then B's."""
    import polars as pl

    by = ["question_id", "category", "turn"]
    sides = []
    for frame, name, side in zip((a, b), names, "ab", strict=True):
        twice = frame.filter(frame.select(*by, "repeat").is_duplicated())
        if len(twice):
            raise DataError(f"`{name}` holds question {twice['question_id'][0]} twice", hint="judge it anew")
        sides.append(frame.group_by(by, maintain_order=True).agg(pl.col("score").mean().alias(side)))
    told: pl.DataFrame = sides[0].join(sides[1], on=by, how="full", coalesce=True, maintain_order="left_right")
    return told


def _row(pairs: pl.DataFrame, resamples: int, seed: int, flips: int) -> tuple[Any, ...]:
    both = pairs.drop_nulls(["a", "b"])
    counts = (len(both), len(pairs) - len(both))
    if not len(both):
        return (*counts, None, None, None, None, None, 0, 0, 0, None)
    a, b = both["a"].to_numpy(), both["b"].to_numpy()
    questions, question = np.unique(both["question_id"].to_numpy(), return_inverse=True)
    sums, held = (np.bincount(question, weights, len(questions)) for weights in (a - b, None))
    units: NDArray[np.float64] = np.stack([sums, held], axis=1).astype(np.float64)
    difference = float(units[:, 0].sum() / units[:, 1].sum())
    low = high = None
    if len(questions) > 1:
        drawn = resampled_sums(units, resamples=resamples, seed=seed)
        low, high = interval(drawn[:, 0] / drawn[:, 1])
    wins, losses = int((a - b > _ROUNDING).sum()), int((b - a > _ROUNDING).sum())
    told = (*counts, float(a.mean()), float(b.mean()), difference, low, high, wins, len(both) - wins - losses, losses)
    return (*told, sign_flip_p(units[:, 0], flips=flips, seed=seed))


def compare_losses(
    a: pl.DataFrame,
    b: pl.DataFrame,
    names: tuple[str, str] = ("A", "B"),
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    flips: int = FLIPS,
) -> pl.DataFrame:
    """Held-out losses of two models, sample by sample: all, those of seen tags alone, those with an unseen one.

    A frame has a row a sample, the same ones in the same order: `tokens` that were learned, `loss` (the sum over them,
    nats), `seen`. `loss_a`, `loss_b` are means a token, `difference` A's less B's (below 0: A is better), `low` and
    `high` the middle 95 % of the bootstrap over samples, `wins` the samples that A has the lower loss of; `p` as of
    `compare`, the sign of a sample's difference flipped. Figures are null where there are no samples. Raises
    `DataError` where the samples or their tokens are others: a loss a token says nothing across tokenizers.

    >>> import polars as pl
    >>> a, b = (pl.DataFrame({"tokens": [2, 2], "loss": loss, "seen": True}) for loss in ([2.0, 4.0], [3.0, 5.0]))
    >>> compare_losses(a, b).select("seen", "samples", "difference", "wins", "p").row(0)
    (None, 2, -0.5, 2, 0.5)
    """
    import polars as pl

    if not a.select("tokens", "seen").equals(b.select("tokens", "seen")):
        raise DataError(
            f"`{names[0]}` and `{names[1]}` have other samples held out, or other tokens of them",
            hint="evaluate both with the same `--holdout` and `--heldout-tokens`, models of one tokenizer and template",
        )
    both = a.select("tokens", "seen", pl.col("loss").alias("a")).with_columns(b["loss"].alias("b"))
    both = both.filter(pl.col("tokens") > 0)
    rows = [(None, *_losses(both, resamples, seed, flips))]
    rows += [(kind, *_losses(both.filter(pl.col("seen") == kind), resamples, seed, flips)) for kind in (True, False)]
    schema: dict[str, Any] = {"seen": pl.Boolean, "samples": pl.Int64}
    schema |= dict.fromkeys(("loss_a", "loss_b", "difference", "low", "high"), pl.Float64)
    return pl.DataFrame(rows, schema=schema | {"wins": pl.Int64, "p": pl.Float64}, orient="row")


def _losses(both: pl.DataFrame, resamples: int, seed: int, flips: int) -> tuple[Any, ...]:
    if not len(both):
        return (0, None, None, None, None, None, 0, None)
    units = np.ascontiguousarray(both.select("a", "b", "tokens").to_numpy().astype(np.float64))
    apart = units[:, 0] - units[:, 1]
    total_a, total_b, tokens = (float(total) for total in units.sum(axis=0))
    low = high = None
    if len(units) > 1:
        drawn = resampled_sums(units, resamples=resamples, seed=seed)
        low, high = interval((drawn[:, 0] - drawn[:, 1]) / drawn[:, 2])
    wins = int((apart < -_ROUNDING).sum())
    told = (len(units), total_a / tokens, total_b / tokens, (total_a - total_b) / tokens, low, high, wins)
    return (*told, sign_flip_p(apart, flips=flips, seed=seed))


def sign_flip_p(differences: NDArray[np.float64], *, flips: int = FLIPS, seed: int = 0) -> float:
    """How often the sum of differences is as far from 0 as it is, where the sign of each is a coin's; two-sided.

    Exact for up to 16 that are not 0 (those that are change nothing), else of `flips` draws from `seed`, one added to
    hits and draws so that it is never 0 (Phipson and Smyth 2010).

    >>> sign_flip_p(np.array([1.0, 2.0, 0.0, 3.0])), sign_flip_p(np.array([1.0, -1.0]))
    (0.25, 1.0)
    """
    values = differences[np.abs(differences) > _ROUNDING]
    far = abs(values.sum()) - _ROUNDING * max(len(values), 1)
    if len(values) <= EXACT:
        sums = np.zeros(1)
        for value in values:
            sums = np.concatenate([sums + value, sums - value])
        return float(np.mean(np.abs(sums) >= far))
    random = np.random.default_rng(seed)
    signs = random.integers(0, 2, (flips, len(values)), dtype=np.int8) * 2 - 1
    sums = np.einsum("fq,q->f", signs.astype(np.float64), values)  # no BLAS: one order whatever the threads
    return float((np.count_nonzero(np.abs(sums) >= far) + 1) / (flips + 1))
