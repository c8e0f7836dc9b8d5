"""`instag evaluate --compare A B`: two evaluated runs by paired tests, of grades and of held-out losses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from instag.bootstrap import RESAMPLES
from instag.errors import ArtifactError, DataError
from instag.evaluate_summary import tell_agreement
from instag.progress import counted
from instag.run import Run

if TYPE_CHECKING:
    import polars as pl

    from instag.progress import Talk

_TIE_DELTA = 0.1  # scores no further apart are a tie, as in FastChat
# What must be the same of two evaluations for their scores to be of one scale.
_SAME = {"prompts": "the judge's prompts", "judge_max_tokens": "the length of judgments"}


def compare_command(
    path_a: str | Path,
    path_b: str | Path,
    talk: Talk,
    *,
    people: str | Path | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Compares judgments and held-out losses of two runs, tells the tables, and gives what `--json` prints.

    With `people`, a file of their votes, also how far they agree with which of two grades is higher. Raises
    `ArtifactError` where the two have neither in common, `DataError` where they were judged differently (another judge,
    other prompts, other questions or references, other samples held out) or share no question.
    """
    names = (str(path_a), str(path_b))
    runs = Run(path_a), Run(path_b)
    a, b = (run.need("evaluate") for run in runs)
    found: dict[str, Any] = {"stage": "compare", "runs": list(names)}
    talk.line("compare:")
    if all(run.has("evaluate", "judgments") for run in runs):
        _compare_grades(runs, (a, b), names, talk, found, people, resamples, seed)
    elif people is not None or not all(run.has("evaluate", "heldout_samples") for run in runs):
        lacking = next(run for run in runs if not run.has("evaluate", "judgments"))
        raise ArtifactError(
            f"`{lacking.path}` has no grades of single answers",
            hint="`--mt-bench QUESTIONS --judge J` makes them, `--holdout FOLDER` losses that can be compared, too",
        )
    if all(run.has("evaluate", "heldout_samples") for run in runs):
        _compare_losses(runs, (a, b), names, talk, found, resamples, seed)
    return found


Pair = tuple[dict[str, Any], dict[str, Any]]


def _compare_grades(
    runs: tuple[Run, Run],
    manifests: Pair,
    names: tuple[str, str],
    talk: Talk,
    found: dict[str, Any],
    people: str | Path | None,
    resamples: int,
    seed: int,
) -> None:
    from instag.comparing import compare
    from instag.human_agreement import human_agreement, read_people

    _check_same(*manifests, names)
    a, b = (run.table("evaluate", "judgments") for run in runs)
    table = compare(a, b, names, resamples=resamples, seed=seed)
    for side, manifest, name in zip("AB", manifests, names, strict=True):
        counts = manifest["counts"]
        talk.line(f"  {side}: {counts['model']} ({name}), judged by {counts['judge']}")
    _tell(table, talk)
    models = str(manifests[0]["counts"]["model"]), str(manifests[1]["counts"]["model"])
    found |= {"models": list(models), "table": table.to_dicts()}
    if people is not None:
        agreement = human_agreement(_verdicts(a, b), read_people(people, models), resamples=resamples, seed=seed)
        found["human_agreement"] = agreement.to_dicts()
        tell_agreement(found["human_agreement"], talk)


def _compare_losses(
    runs: tuple[Run, Run],
    manifests: Pair,
    names: tuple[str, str],
    talk: Talk,
    found: dict[str, Any],
    resamples: int,
    seed: int,
) -> None:
    from instag.comparing import compare_losses

    if _digests(manifests[0], "held out") != _digests(manifests[1], "held out"):
        raise DataError(
            f"`{names[0]}` and `{names[1]}` were evaluated on other samples",
            hint="evaluate both with the same `--holdout`",
        )
    a, b = (run.table("evaluate", "heldout_samples") for run in runs)
    table = compare_losses(a, b, names, resamples=resamples, seed=seed)
    found["heldout"] = table.to_dicts()
    rows = []
    for row in found["heldout"]:
        kind = {None: "all", True: "every tag seen", False: "a tag unseen"}[row["seen"]]
        if row["difference"] is None:
            rows.append([kind, 0, *[None] * 6])
            continue
        figures = [f"{row['loss_a']:.4f}", f"{row['loss_b']:.4f}", f"{row['difference']:+.4f}"]
        between = "-" if row["low"] is None else f"{row['low']:+.4f} to {row['high']:+.4f}"
        rows.append([kind, row["samples"], *figures, between, f"{row['p']:.4f}", row["wins"]])
    talk.table(["held-out loss, A - B", "samples", "A", "B", "difference", "95 %", "p", "A lower"], rows)


def _check_same(a: dict[str, Any], b: dict[str, Any], names: tuple[str, str]) -> None:
    told = [{**each["settings"], "judge": each["counts"]["judge"]} for each in (a, b)]
    for name, what in {"judge": "the judge", **_SAME}.items():
        if told[0].get(name) != told[1].get(name):
            raise DataError(
                f"`{names[0]}` and `{names[1]}` were judged differently: {what} is another one",
                hint="judge both in the same way; answers that stand are not paid for again",
            )
    for what in ("questions", "references"):
        if _digests(a, what) != _digests(b, what):
            raise DataError(
                f"`{names[0]}` and `{names[1]}` were judged differently: the {what} are others",
                hint="judge both with the same files",
            )


def _digests(manifest: dict[str, Any], what: str) -> list[str]:
    return [file["digest"] for file in manifest["inputs"].get("files", []) if file.get("what") == what]


def _verdicts(a: pl.DataFrame, b: pl.DataFrame) -> pl.DataFrame:
    """What grades say of each question and turn: whose mean over the repeats is higher, a tie where they are near.

    Answers of which one has no grade are left out.
    """
    import polars as pl

    key = ["question_id", "turn"]
    left, right = (each.group_by(*key, maintain_order=True).agg(pl.col("score").mean()) for each in (a, b))
    both = left.join(right, on=key, suffix="_b", maintain_order="left").drop_nulls(["score", "score_b"])
    apart = pl.col("score") - pl.col("score_b")
    winner = pl.when(apart > _TIE_DELTA).then(pl.lit("model_1")).when(apart < -_TIE_DELTA).then(pl.lit("model_2"))
    return both.select(*key, winner.otherwise(pl.lit("tie")).alias("winner"))


def _tell(table: pl.DataFrame, talk: Talk) -> None:
    header = ["A - B", "pairs", "A", "B", "difference", "95 %", "p", "wins", "ties", "losses"]
    talk.table(header, [_row(row) for row in table.to_dicts()])
    if unpaired := table["unpaired"][0]:
        talk.line(f"  {counted(unpaired, 'answer')} without a grade on one side left out")


def _row(row: dict[str, Any]) -> list[Any]:
    name = row["category"] or ("all" if row["turn"] is None else f"turn {row['turn']}")
    figures = [name, row["pairs"], row["mean_a"], row["mean_b"]]
    if row["difference"] is None:
        return [*figures, None, None, None, 0, 0, 0]
    between = "-" if row["low"] is None else f"{row['low']:+.2f} to {row['high']:+.2f}"
    told = [f"{row['difference']:+.2f}", between, f"{row['p']:.4f}"]
    return [*figures, *told, row["wins"], row["ties"], row["losses"]]
