"""What a person is told about an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from instag.progress import Talk, counted, shown


def tell_evaluate(counts: Mapping[str, Any], talk: Talk) -> None:
    """Who judged whom, the scores by turn and category, what could not be read, and the loss on what was held out."""
    if "questions" in counts:
        _tell_judging(counts, talk)
    if "scores" in counts:
        _tell_scores(counts, talk)
    if "pairwise" in counts:
        _tell_pairs(counts, talk)
    if "human_agreement" in counts:
        tell_agreement(counts["human_agreement"], talk)
    if "heldout" in counts:
        _tell_held_out(counts["heldout"], talk)


def _tell_judging(counts: Mapping[str, Any], talk: Talk) -> None:
    days = "" if not counts.get("judged") else f", {' to '.join(dict.fromkeys(counts['judged']))}"
    whom = _replied(counts["model"], counts.get("answered_by"))
    whom += f" against {shown(counts['against'])}" if "against" in counts else ""
    talk.line(f"  {whom}, judged by {_replied(counts['judge'], counts.get('judge_model'))}{days}")
    talk.line(
        f"  {counted(counts['questions'], 'question')}, {counted(counts['judgments'], 'judgment')}: "
        f"{counts['unread']:,} could not be read"
    )
    for reason, count in counts.get("unread_by_reason", {}).items():
        talk.line(f"    {reason}: {count:,}")
    if counts.get("failed"):
        talk.line("  the same command asks again for what got no reply")
    elif counts["unread"] and "asked" in counts:
        talk.line("  `--retry-unread` asks again for those; see unread.parquet")
    if "asked" in counts:
        tokens = counts["prompt_tokens"] + counts["completion_tokens"]
        usd = "" if not counts["cost_usd"] else f", ${counts['cost_usd']:,.4f}"
        stood = f"{counted(counts['reused'], 'answer')} stood already"
        talk.line(f"  {counted(counts['asked'], 'request')} ({tokens:,} tokens{usd}); {stood}")


def _replied(asked: str, replied: str | None) -> str:
    """A model by the name it was asked by, and the one in its replies where that is another."""
    other = replied and replied != asked and not replied.startswith("folder:")
    return f"{shown(asked)} (replies are by {shown(str(replied))})" if other else shown(asked)


def _tell_scores(counts: Mapping[str, Any], talk: Talk) -> None:
    rows = []
    for row in counts["scores"]:
        told = [row["samples"], row["unread"], row["mean"], row["se"], _between(row), row["repeats_sd"]]
        rows.append([_name(row), *told])
    header = ["score, 1 to 10", "judgments", "unread", "mean", "standard error", "95 %", "sd of repeats"]
    talk.table(header, rows)


def _tell_pairs(counts: Mapping[str, Any], talk: Talk) -> None:
    names = ("games", "unread", "wins", "ties", "losses", "inconsistent")
    rows = [[_name(row), *(row[name] for name in names), _share(row), _between(row)] for row in counts["pair_scores"]]
    talk.table(["both orders", *names, "win rate, ties half", "95 %"], rows)


def tell_agreement(rows: Sequence[Mapping[str, Any]], talk: Talk) -> None:
    """How far the judge agrees with people, and they with each other."""
    told = []
    for row in rows:
        share = "-" if row["share"] is None else f"{row['share']:.1%}"
        told.append([row["between"], row["setup"], row["compared"], share, _between(row)])
    talk.table(["agreement", "setup", "compared", "the same", "95 %"], told)


def _tell_held_out(held: Mapping[str, Any], talk: Talk) -> None:
    rows = [["all", held], ["every tag seen", held["seen"]], ["a tag unseen", held["unseen"]]]
    talk.table(
        [f"held-out loss of {shown(held['model'])}", "samples", "tokens", "nats a token", "95 %"],
        [[name, row["samples"], row["tokens"], _figure(row["loss"], 4), _between(row, 4)] for name, row in rows],
    )


def _name(row: Mapping[str, Any]) -> str:
    if row["category"] is not None:
        return str(row["category"])
    return "all" if row["turn"] is None else f"turn {row['turn']}"


def _share(row: Mapping[str, Any]) -> str:
    return "-" if row["win_rate"] is None else f"{row['win_rate']:.1%}"


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _between(row: Mapping[str, Any], digits: int = 2) -> str:
    """An interval, to the right of what it is of."""
    if row["low"] is None:
        return "-"
    return f"{row['low']:.{digits}f} to {row['high']:.{digits}f}"
