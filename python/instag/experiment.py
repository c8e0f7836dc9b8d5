"""Experiments: one child run a cell, each selected, trained on and judged; one table of them all.

Each stage of a cell is made unless it stands, as any stage is: an experiment that was cut goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from instag.errors import ArtifactError, InstagError
from instag.experiment_config import BASE, Cell, Experiment, said_of
from instag.experiment_table import LOSSES, SCORES, as_markdown, correlation_line, correlations, frame_of, shown_rows
from instag.progress import Talk
from instag.run import Run

Stage = Callable[[str | Path, Mapping[str, Any], Talk], dict[str, Any]]


def run_experiment(
    experiment: Experiment, talk: Talk, *, train: Stage | None = None, evaluate: Stage | None = None
) -> dict[str, Any]:
    """Makes every cell and `OUT/cells.parquet`, `OUT/cells.md`; gives what `--json` prints.

    A cell that fails is a row with its reason, and the others go on. `train` and `evaluate` are the stages of these
    names unless others are given. What was made stays where the experiment is cut; the table has what there is.
    """
    out, rows = Path(experiment.out), []
    try:
        for at, cell in enumerate(experiment.cells, 1):
            talk.line(f"cell {at} of {len(experiment.cells)}: {cell.name}")
            rows.append(_made(experiment, cell, talk, train, evaluate))
            if rows[-1]["reason"]:
                talk.warn(f"`{cell.name}` failed: {rows[-1]['reason']}")
    finally:
        if rows:
            _write(out, rows)
    told = correlations(rows)
    talk.table(*shown_rows(rows))
    for line in told:
        talk.line(f"  {correlation_line(line)}")
    failed = sum(row["reason"] is not None for row in rows)
    talk.line(f"  in {out}: cells.parquet, cells.md; {failed:,} of {len(rows):,} cells failed")
    return {"experiment": str(out), "cells": rows, "correlations": told, "failed": failed}


def plan(experiment: Experiment, talk: Talk) -> dict[str, Any]:
    """What `--dry-run` tells: each cell, and what stands of it. Makes nothing."""
    rows = []
    for cell in experiment.cells:
        run = Run(_folder(experiment, cell))
        rows.append({"cell": cell.name, **{stage: run.state(stage) for stage in ("select", "train", "evaluate")}})
    talk.table(list(rows[0]) if rows else ["cell"], [list(row.values()) for row in rows])
    return {"experiment": experiment.out, "cells": rows}


def _folder(experiment: Experiment, cell: Cell) -> Path:
    return Path(experiment.out) / "cells" / cell.name


def _made(
    experiment: Experiment, cell: Cell, talk: Talk, train: Stage | None, evaluate: Stage | None
) -> dict[str, Any]:
    """A cell's row: what it is, what its selection has, its score, or why there is none."""
    from instag.stages import select_stage

    row: dict[str, Any] = {"cell": cell.name, "run": cell.run, "skip": list(cell.skip), "method": cell.method}
    row |= {"k": cell.k, "seed": cell.seed, "sweep": cell.sweep, "target_coverage": cell.target_coverage}
    row |= {"target_mean_tags": cell.target_mean_tags}
    names = ("selected", "coverage", "mean_tags", "mean_turns")
    row |= dict.fromkeys((*names, *SCORES, *LOSSES, "reason"))
    quiet = Talk(quiet=True)
    try:
        path, told = _folder(experiment, cell), dict(experiment.evaluate or {})
        if cell.method == BASE:
            told["model_folder"] = str(_base(experiment))
        else:
            parent = _parent(experiment, cell, quiet)
            pool = int(sum(len(part) for part in parent.parts("normalize", _table(parent), ["id"])))
            path = Run.child(path, parent).path
            counts = select_stage(path, said_of(cell, experiment.select, pool), quiet)["counts"]
            row |= {name: counts[name] for name in names}
            if experiment.train is not None:
                _stage("train", train)(path, experiment.train, talk)
        if experiment.evaluate is not None:
            row |= _judged(_stage("evaluate", evaluate)(path, told, talk)["counts"])
    except InstagError as error:
        row["reason"] = error.message
    return row


def _base(experiment: Experiment) -> Path:
    """The folder of the model that every cell begins from."""
    from instag.model_files import base_model

    return base_model(str((experiment.train or {})["model"])).folder


def _judged(counts: Mapping[str, Any]) -> dict[str, Any]:
    """Score and held-out loss of an evaluation, as far as it has them."""
    score, loss = counts.get("score") or {}, counts.get("heldout") or {}
    seen, unseen = loss.get("seen") or {}, loss.get("unseen") or {}
    row = {f"score_{name}" if name != "mean" else "score": score.get(name) for name in ("mean", "se", "low", "high")}
    row |= {"loss" if name == "loss" else f"loss_{name}": loss.get(name) for name in ("loss", "low", "high")}
    for kind, told in (("seen", seen), ("unseen", unseen)):
        row |= {f"loss_{kind}": told.get("loss")}
    return row


def _table(run: Run) -> str:
    return "rows" if run.has("normalize", "rows") else "queries"


def _parent(experiment: Experiment, cell: Cell, talk: Talk) -> Run:
    """The run that holds the cell's tags: the tagged pool, or a child of it that leaves steps out."""
    from instag.stages import OVERRIDES, normalize_stage

    pool = Run(cell.run)
    manifest = pool.need("normalize")
    if not cell.skip:
        return pool
    if "vocabulary" in manifest["settings"]:
        raise ArtifactError(
            f"`{cell.run}` was normalized by another run's vocabulary, which has no steps to leave out",
            hint="leave `skip` out, or normalize that pool by itself",
        )
    from dataclasses import fields

    from instag.embedders import EmbedderAccess
    from instag.normalize_settings import NormalizeSettings

    known = {each.name for each in fields(NormalizeSettings)}
    said = {name: value for name, value in manifest["settings"].items() if name in known}
    said |= {each.name: manifest["speed"].get(each.name) for each in fields(EmbedderAccess)}
    said["embedder"] = manifest["speed"].get("embedder")  # by its name: the settings have its identity
    overrides = {"overrides": str(pool.path / OVERRIDES)} if (pool.path / OVERRIDES).exists() else {}
    child = Run.child(Path(experiment.out) / "normalized" / cell.variant, pool)
    normalize_stage(child.path, {**said, **overrides, "skip": list(cell.skip)}, talk)
    return child


def _stage(name: str, given: Stage | None) -> Stage:
    if given is not None:
        return given
    from importlib import import_module

    module = f"instag.{name}_stage"
    try:
        stage: Stage = getattr(import_module(module), f"{name}_stage")
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ArtifactError(
            f"this version of instag has no stage `{name}`", hint=f"leave `[{name}]` out of the config"
        ) from None
    return stage


def _write(out: Path, rows: list[dict[str, Any]]) -> None:
    frame = frame_of(rows)
    aside = out / ".cells.part"
    try:
        out.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(aside)
        aside.replace(out / "cells.parquet")
        aside.write_text(as_markdown(rows), encoding="utf-8")
        aside.replace(out / "cells.md")
    except OSError as error:
        hint = "name a folder on a disk that has room and can be written"
        raise ArtifactError(f"`{out}` could not be written: {error.strerror or error}", hint=hint) from None
