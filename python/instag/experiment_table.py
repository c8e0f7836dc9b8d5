"""What came out of an experiment, as one table; rank correlation of what was controlled with the score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import ArrayLike, NDArray

_HEADER = ["cell", "samples", "coverage", "tags a sample", "turns a sample", "score", "95 % interval"]


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
    """Of mean tags and of coverage with the score, over all cells and over each sweep; only where there is one."""
    told = []
    scored = [row for row in rows if row["score"] is not None]
    for sweep in (None, *dict.fromkeys(row["sweep"] for row in scored if row["sweep"])):
        cells = [row for row in scored if sweep in (None, row["sweep"])]
        for of in ("mean_tags", "coverage"):
            rho = spearman([row[of] for row in cells], [row["score"] for row in cells])
            if rho is not None:
                told.append({"of": of, "sweep": sweep, "cells": len(cells), "rho": rho})
    return told


def frame_of(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """One row a cell, in the order they were made."""
    import polars as pl

    schema: dict[str, Any] = {"cell": pl.String, "run": pl.String, "skip": pl.List(pl.String), "method": pl.String}
    schema |= {"k": pl.Int64, "seed": pl.Int64, "sweep": pl.String, "target_coverage": pl.Float64}
    schema |= {"target_mean_tags": pl.Float64, "selected": pl.Int64, "coverage": pl.Float64, "mean_tags": pl.Float64}
    schema |= dict.fromkeys(("mean_turns", "score", "score_se", "score_low", "score_high"), pl.Float64)
    return pl.DataFrame(list(rows), schema=schema | {"reason": pl.String})


def shown_rows(rows: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[object]]]:
    """Header and rows for people; after the seeds of one method their mean and standard deviation (n - 1)."""
    shown: list[list[object]] = []
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["cell"].rpartition("-seed")[0], []).append(row)
    for name, members in groups.items():
        shown += [_shown(row) for row in members]
        whole = [row for row in members if row["reason"] is None]
        if len(whole) > 1:
            shown.append([f"{name}, mean of {len(whole)} +- std", whole[0]["selected"], *_spread(whole), None])
    return _HEADER, shown


def as_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The same as a table in Markdown, correlations and reasons of failures after it."""
    header, shown = shown_rows(rows)
    lines = [header, ["---"] * len(header), *([_text(value) for value in row] for row in shown)]
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"
    for told in correlations(rows):
        where = f"sweep `{told['sweep']}`" if told["sweep"] else "all"
        text += f"\nSpearman's correlation of {told['of']} with the score ({where}): {told['rho']:.3f}, "
        text += f"{told['cells']} cells.\n"
    failed = [f"- `{row['cell']}`: {row['reason']}\n" for row in rows if row["reason"]]
    return text + ("\nFailed:\n\n" + "".join(failed) if failed else "")


def _shown(row: dict[str, Any]) -> list[object]:
    coverage = None if row["coverage"] is None else f"{row['coverage']:.1%}"
    interval = None if row["score_low"] is None else f"{row['score_low']:.2f} to {row['score_high']:.2f}"
    cell = f"{row['cell']} (failed)" if row["reason"] else row["cell"]
    return [cell, row["selected"], coverage, row["mean_tags"], row["mean_turns"], row["score"], interval]


def _spread(rows: Sequence[dict[str, Any]]) -> list[object]:
    told: list[object] = []
    for name, scale in (("coverage", 100), ("mean_tags", 1), ("mean_turns", 1), ("score", 1)):
        values = [row[name] for row in rows if row[name] is not None]
        if len(values) < 2:
            told.append(None)
            continue
        unit = " %" if scale == 100 else ""
        told.append(f"{scale * np.mean(values):.2f} +- {scale * np.std(values, ddof=1):.2f}{unit}")
    return told


def _text(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
