"""`instag evaluate --compare A B`: two evaluated runs, question by question, by a paired test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from instag.bootstrap import RESAMPLES
from instag.errors import ArtifactError, DataError
from instag.run import Run

if TYPE_CHECKING:
    import polars as pl

    from instag.progress import Talk

# What must be the same of two evaluations for their scores to be of one scale.
_SAME = {"prompts": "the judge's prompts", "judge_max_tokens": "the length of judgments"}


def compare_command(
    path_a: str | Path, path_b: str | Path, talk: Talk, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Any]:
    """Compares the judgments of two runs, tells the table, and gives the summary that `--json` prints.

    Raises `ArtifactError` where one of them was not judged answer by answer, `DataError` where they were judged
    differently (another judge, other prompts, other questions or references) or share no question.
    """
    from instag.comparing import compare

    a, b = (_judged(Run(path)) for path in (path_a, path_b))
    _check_same(a, b, (str(path_a), str(path_b)))
    names = (str(path_a), str(path_b))
    table = compare(a["judgments"], b["judgments"], names, resamples=resamples, seed=seed)
    talk.line("compare:")
    for side, each, name in zip("AB", (a, b), names, strict=True):
        talk.line(f"  {side}: {each['counts']['model']} ({name}), judged by {each['counts']['judge']}")
    _tell(table, talk)
    models = [each["counts"]["model"] for each in (a, b)]
    return {"stage": "compare", "runs": list(names), "models": models, "table": table.to_dicts()}


def _judged(run: Run) -> dict[str, Any]:
    manifest = run.need("evaluate")
    if not run.has("evaluate", "judgments"):
        raise ArtifactError(
            f"`{run.path}` has no grades of single answers",
            hint="`instag evaluate RUN --mt-bench QUESTIONS --judge J` makes them",
        )
    return {**manifest, "judgments": run.table("evaluate", "judgments")}


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


def _tell(table: pl.DataFrame, talk: Talk) -> None:
    rows = [[_cell(name, value) for name, value in row.items()] for row in table.to_dicts()]
    talk.table(table.columns, rows)


def _cell(name: str, value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.4f}" if name == "p" or name.startswith("p_") else f"{value:+.2f}" if "diff" in name else value
    return value
