"""What every stage does: make it unless it stands, tell about it, name its inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instag import summary
from instag.errors import DataError
from instag.memory import MemoryWarning
from instag.output import Output
from instag.progress import Talk
from instag.run import Run, file_digest

if TYPE_CHECKING:
    import polars as pl


def file_input(path: str) -> dict[str, Any]:
    """Where a file is and what it holds; a remote one is told by its name alone."""
    if path.startswith("hf://"):
        return {"path": path, "bytes": None, "digest": None}
    file = Path(absolute(path))
    try:
        return {"path": str(file), "bytes": file.stat().st_size, "digest": file_digest(file)}
    except OSError as error:
        raise DataError(f"`{path}` cannot be read: {(error.strerror or str(error)).lower()}") from None


def absolute(path: str) -> str:
    """A path that holds from any folder: a later stage may be started elsewhere."""
    return path if path.startswith("hf://") else str(Path(path).absolute())


def stage_inputs(run: Run, *stages: str) -> dict[str, Any]:
    return {"stages": {stage: run.digest(stage) for stage in stages}}


def label_of(run: Run) -> str:
    """Who tagged: said wherever results show."""
    return str(run.need("tag")["counts"]["label"])


def make_stage(
    run: Run,
    stage: str,
    settings: Mapping[str, Any],
    inputs: Mapping[str, Any],
    make: Callable[[Output], None],
    talk: Talk,
    speed: Mapping[str, Any] | None = None,
    *,
    again: bool = False,
) -> dict[str, Any]:
    """Makes a stage unless it stands (or `again`), tells about it, and gives the summary that `--json` prints."""
    fresh = again or not run.is_current(stage, settings=settings, inputs=inputs)
    if fresh:
        with talk.hearing(MemoryWarning), run.write(stage, settings=settings, inputs=inputs, speed=speed) as out:
            make(out)
    manifest = run.need(stage)
    summary.tell(manifest, run.folder(stage), talk, fresh=fresh)
    told = {name: manifest[name] for name in ("stage", "counts", "notes", "seconds", "cost_usd")}
    outputs = [str(run.folder(stage) / output["name"]) for output in manifest["outputs"]]
    return {"run": str(run.path), **told, "fresh": fresh, "outputs": outputs}


def ledger_counts(ledger: pl.DataFrame, steps: pl.DataFrame) -> dict[str, Any]:
    """What a manifest tells of a ledger: tags left after each step, raw tags by step, four that each renamed."""
    import polars as pl

    merged = ledger.filter(pl.col("step").is_in(["rule", "semantic", "association", "override"]))
    examples = merged.group_by("step", maintain_order=True).head(4)
    return {
        "steps": steps.to_dicts(),
        "ledger": dict(ledger["step"].value_counts().sort("step").rows()),
        "examples": examples.select("step", "raw", "into", "reason").to_dicts(),
    }
