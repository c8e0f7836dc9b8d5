"""What came out of an experiment, as one table; rank correlation of what was controlled with the score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import ArrayLike, NDArray

SCORES = ("score", "score_se", "score_low", "score_high")
LOSSES = ("loss", "loss_low", "loss_high", "loss_seen", "loss_unseen")
_HEADER = ["cell", "samples", "coverage", "tags a sample", "turns a sample"]
_OF_SCORE = ["score", "95 % interval"]
_OF_LOSS = ["held-out loss", "95 % interval", "seen tags", "unseen tags"]


def mean_ranks(values: ArrayLike) -> NDArray[np.float64]:
    """The ranks of numbers, from 1; equal ones have the mean of theirs.

    >>> mean_ranks([3.0, 1.0, 3.0]).tolist()
    [2.5, 1.0, 2.5]
    """
    _, which, counts = np.unique(np.asarray(values, np.float64), return_inverse=True, return_counts=True)
    ends = counts.cumsum()
    ranks: NDArray[np.float64] = (ends - (counts - 1) / 2)[which]
    return ranks


def spearman(a: ArrayLike, b: ArrayLike) -> float | None:
    """Spearman's rank correlation, ties by mean ranks; None for fewer than 3 pairs, or where one side never differs.

    >>> spearman([1, 2, 3, 4], [10, 20, 40, 30])
    0.8
    """
    x, y = mean_ranks(a), mean_ranks(b)
    if len(x) < 3 or len(set(x.tolist())) < 2 or len(set(y.tolist())) < 2:
        return None
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()))


def correlations(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of mean tags and coverage with score and held-out loss, as far as there are any, over all cells and each sweep.

    Cells without a selection (the model before it was trained) have neither, and are left out.
    """
    told = []
    for what in ("score", "loss"):
        judged = [row for row in rows if row[what] is not None and row["coverage"] is not None]
        for sweep in (None, *dict.fromkeys(row["sweep"] for row in judged if row["sweep"])):
            cells = [row for row in judged if sweep in (None, row["sweep"])]
            for of in ("mean_tags", "coverage"):
                rho = spearman([row[of] for row in cells], [row[what] for row in cells])
                if rho is not None:
                    told.append({"of": of, "with": what, "sweep": sweep, "cells": len(cells), "rho": rho})
    return told


def correlation_line(told: dict[str, Any]) -> str:
    """One correlation, as a person reads it."""
    what = "the score" if told["with"] == "score" else "the held-out loss"
    where = f"sweep `{told['sweep']}`" if told["sweep"] else "all"
    return f"Spearman's correlation of {told['of']} with {what} ({where}, {told['cells']} cells): {told['rho']:.3f}"


def frame_of(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """One row a cell, in the order they were made."""
    import polars as pl

    schema: dict[str, Any] = {"cell": pl.String, "run": pl.String, "skip": pl.List(pl.String), "method": pl.String}
    schema |= {"k": pl.Int64, "seed": pl.Int64, "sweep": pl.String, "target_coverage": pl.Float64}
    schema |= {"target_mean_tags": pl.Float64, "selected": pl.Int64, "coverage": pl.Float64, "mean_tags": pl.Float64}
    schema |= dict.fromkeys(("mean_turns", *SCORES, *LOSSES), pl.Float64)
    return pl.DataFrame(list(rows), schema=schema | {"reason": pl.String})


def shown_rows(rows: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[object]]]:
    """Header and rows for people; after the seeds of one method their mean and standard deviation (n - 1)."""
    scored = any(row["score"] is not None for row in rows)
    lost = any(row["loss"] is not None for row in rows)
    header = _HEADER + (_OF_SCORE if scored else []) + (_OF_LOSS if lost else [])
    shown: list[list[object]] = []
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["cell"].rpartition("-seed")[0] or row["cell"], []).append(row)
    for name, members in groups.items():
        shown += [_shown(row, scored=scored, lost=lost) for row in members]
        whole = [row for row in members if row["reason"] is None]
        if len(whole) > 1:
            spread = _spread(whole, scored=scored, lost=lost)
            shown.append([f"{name}, mean of {len(whole)} +- std", whole[0]["selected"], *spread])
    return header, shown


def as_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The same as a table in Markdown, correlations and reasons of failures after it."""
    header, shown = shown_rows(rows)
    lines = [header, ["---"] * len(header), *([_text(value) for value in row] for row in shown)]
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"
    text += "".join(f"\n{correlation_line(told)}.\n" for told in correlations(rows))
    failed = [f"- `{row['cell']}`: {row['reason']}\n" for row in rows if row["reason"]]
    return text + ("\nFailed:\n\n" + "".join(failed) if failed else "")


def _shown(row: dict[str, Any], *, scored: bool, lost: bool) -> list[object]:
    coverage = None if row["coverage"] is None else f"{row['coverage']:.1%}"
    cell = f"{row['cell']} (failed)" if row["reason"] else row["cell"]
    told: list[object] = [cell, row["selected"], coverage, row["mean_tags"], row["mean_turns"]]
    told += [row["score"], _interval(row, "score", 2)] if scored else []
    if lost:
        told += [_digits(row["loss"], 3), _interval(row, "loss", 3)]
        told += [_digits(row[name], 3) for name in ("loss_seen", "loss_unseen")]
    return told


def _interval(row: dict[str, Any], what: str, digits: int) -> str | None:
    low, high = row[f"{what}_low"], row[f"{what}_high"]
    return None if low is None or high is None else f"{low:.{digits}f} to {high:.{digits}f}"


def _digits(value: float | None, digits: int) -> str | None:
    return None if value is None else f"{value:.{digits}f}"


def _spread(rows: Sequence[dict[str, Any]], *, scored: bool, lost: bool) -> list[object]:
    def of(name: str, digits: int = 2, scale: int = 1) -> str | None:
        values = [row[name] for row in rows if row[name] is not None]
        if len(values) < 2:
            return None
        unit = " %" if scale == 100 else ""
        return f"{scale * np.mean(values):.{digits}f} +- {scale * np.std(values, ddof=1):.{digits}f}{unit}"

    told: list[object] = [of("coverage", scale=100), of("mean_tags"), of("mean_turns")]
    told += [of("score"), None] if scored else []
    return told + ([of("loss", 3), None, of("loss_seen", 3), of("loss_unseen", 3)] if lost else [])


def _text(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
