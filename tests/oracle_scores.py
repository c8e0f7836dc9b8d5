"""Scores, comparisons and agreement of judgments again, slow and obvious."""

from __future__ import annotations

import itertools
import statistics
from typing import Any

Row = dict[str, Any]  # question_id, category, turn, repeat, score


def score(rows: list[Row]) -> Row:
    """The figures of one group of judgments, but for the bootstrap."""
    read = [row for row in rows if row["score"] is not None]
    told: Row = {"samples": len(read), "unread": len(rows) - len(read)}
    told |= dict.fromkeys(("mean", "se", "repeats_sd"))
    if not read:
        return told
    repeats = [
        statistics.fmean(row["score"] for row in read if row["repeat"] == repeat)
        for repeat in sorted({row["repeat"] for row in read})
    ]
    told["mean"] = statistics.fmean(repeats)
    if len(repeats) > 1:
        told["repeats_sd"] = statistics.stdev(repeats)
    questions = [
        statistics.fmean(row["score"] for row in read if row["question_id"] == question)
        for question in {row["question_id"] for row in read}
    ]
    if len(questions) > 1:
        told["se"] = statistics.stdev(questions) / len(questions) ** 0.5
    return told


def groups(rows: list[Row]) -> list[tuple[str | None, int | None, list[Row]]]:
    """All, turns, categories as they come first."""
    told: list[tuple[str | None, int | None, list[Row]]] = [(None, None, rows)]
    for turn in sorted({row["turn"] for row in rows}):
        told.append((None, turn, [row for row in rows if row["turn"] == turn]))
    for category in dict.fromkeys(row["category"] for row in rows):
        told.append((category, None, [row for row in rows if row["category"] == category]))
    return told


def pairs(a: list[Row], b: list[Row]) -> dict[tuple[int, int], float]:
    """A's mean less B's of every turn of a question that both have a grade for."""

    def means(rows: list[Row]) -> dict[tuple[int, int], float]:
        places = {(row["question_id"], row["turn"]) for row in rows if row["score"] is not None}
        return {
            place: statistics.fmean(
                row["score"] for row in rows if (row["question_id"], row["turn"]) == place and row["score"] is not None
            )
            for place in places
        }

    ours, theirs = means(a), means(b)
    return {place: ours[place] - theirs[place] for place in ours.keys() & theirs.keys()}


def sign_flip_p(differences: list[float]) -> float:
    """Every way to flip the signs, counted."""
    far = abs(sum(differences)) - 1e-9
    every = [
        abs(sum(sign * value for sign, value in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    return sum(total >= far - 1e-9 for total in every) / len(every)


def same_verdicts(ours: list[Row], people: list[Row], *, ties: bool) -> tuple[int, int]:
    """How many pairs of verdicts were compared, and how many are the same."""
    compared = same = 0
    for mine in ours:
        for theirs in people:
            if (mine["question_id"], mine["turn"]) != (theirs["question_id"], theirs["turn"]):
                continue
            if mine["winner"] is None or (not ties and "tie" in (mine["winner"], theirs["winner"])):
                continue
            compared += 1
            same += mine["winner"] == theirs["winner"]
    return compared, same
