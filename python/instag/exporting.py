"""What a run tells beyond its stages: what stands in it, and every record with what was found out about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from instag import summary
from instag.errors import ArtifactError, ConfigError
from instag.rows import sample_rows, source_records
from instag.run import LATER, STAGES, Run

if TYPE_CHECKING:
    from instag.progress import Talk

_VERBS = {
    "tagger": "split --as-tagger",
    "train_tagger": "train --as-tagger",
}  # stages that are not called as their command


def show(path: str | Path, talk: Talk) -> dict[str, Any]:
    """What stands in a run, what is stale, the counts, and what failed."""
    run = Run(path)
    if not run.path.is_dir():
        raise ArtifactError(f"`{path}` is not a run folder", hint="make one with `instag run` or `instag tag`")
    told: dict[str, Any] = {}
    if run.parent is not None:
        talk.line(f"a child run of `{run.parent.path}`")
    for stage in STAGES:
        if stage in LATER and not (run.path / stage).is_dir():
            continue  # a selection is a result of its own: not everybody trains on it here
        state, manifest = run.state(stage), run.manifest(stage)
        told[stage] = {
            "state": state,
            **{name: (manifest or {}).get(name) for name in ("counts", "settings", "seconds")},
        }
        if manifest is None:
            talk.line(f"{stage}: {state}")
            continue
        if state != "current":
            waits = [source for source in manifest["inputs"].get("stages", {}) if run.state(source) != "current"]
            verb = "import" if manifest["settings"].get("tagger") == "import" else _VERBS.get(stage, stage)
            todo = f"it waits for `{waits[0]}`" if waits else f"`instag {verb}` makes it again"
            if (owner := run.owner(stage)) is not run:
                todo = f"`instag show {owner.path}` tells why"
            talk.warn(f"`{stage}` is {state}: {todo}")
        summary.tell(manifest, run.folder(stage), talk, fresh=False)
    return {"run": str(run.path), "parent": str(run.parent.path) if run.parent else None, "stages": told}


def export_annotated(path: str | Path, out: str | None, talk: Talk) -> dict[str, Any]:
    """Every record as compact JSON with a member `instag`: id, tags, count and rank (null where it was not picked).

    `out` is a file, by default `RUN/annotated.jsonl`, or `-` for stdout. A sample of which no turn was tagged has null
    for tags and count.
    """
    import polars as pl

    from instag.writing import write_annotated

    run = Run(path)
    run.need("normalize")
    run.need("select")
    picks = run.table("select", "picks", ["row", "rank"])
    rows = sample_rows(run, "normalize").with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias("row"))
    rows = rows.join(picks, on="row", how="left", maintain_order="left")
    # Where no turn was tagged there are no tags to count: null, which is not the same as none.
    known = pl.when(pl.col("failed_turns") < pl.col("turns"))
    notes = rows.select(
        "row",
        "id",
        known.then(pl.col("tags").cast(pl.List(pl.String))).alias("tags"),
        known.then(pl.col("tags").list.len()).alias("count"),
        "failed_turns",
        "rank",
    )
    target = None if out == "-" else Path(out) if out else run.path / "annotated.jsonl"
    if target is not None:
        _refuse_own(target, run)
    write_annotated(target, *source_records(run), notes)
    talk.line(f"export: {len(rows):,} samples with their tags in {target or 'stdout'}")
    outputs = [] if target is None else [str(target)]
    return {"run": str(run.path), "stage": "export", "samples": len(rows), "outputs": outputs}


def _refuse_own(target: Path, run: Run) -> None:
    """An export never goes over what it was made from: a source, a stage of the run, the answers that were paid for."""
    manifest = run.need("tag")
    sources = [Path(file["path"]) for file in manifest["inputs"]["files"]]
    kept = [*sources, Path(manifest["speed"].get("answers") or run.path / "answers.sqlite")]
    in_stage = any(target.resolve().is_relative_to((run.path / stage).resolve()) for stage in STAGES)
    if in_stage or any(path.exists() and target.exists() and target.samefile(path) for path in kept):
        raise ConfigError(f"`{target}` is a source or a part of the run", hint="name another file with `--out`")
