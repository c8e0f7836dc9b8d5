"""What a run tells beyond its stages: what stands in it, and every record with what was found out about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from instag import summary
from instag.errors import ArtifactError
from instag.run import STAGES, Run
from instag.stages import sample_rows, source_records

if TYPE_CHECKING:
    from instag.progress import Talk


def show(path: str | Path, talk: Talk) -> dict[str, Any]:
    """What stands in a run, what is stale, the counts, and what failed."""
    run = Run(path)
    if not run.path.is_dir():
        raise ArtifactError(f"`{path}` is not a run folder", hint="make one with `instag run` or `instag tag`")
    told: dict[str, Any] = {}
    for stage in STAGES:
        state, manifest = run.state(stage), run.manifest(stage)
        told[stage] = {
            "state": state,
            **{name: (manifest or {}).get(name) for name in ("counts", "settings", "seconds")},
        }
        if manifest is None:
            talk.line(f"{stage}: {state}")
            continue
        if state != "current":
            talk.warn(f"`{stage}` is {state}: `instag {stage}` makes it again")
        summary.tell(manifest, run.path / stage, talk, fresh=False)
    return {"run": str(run.path), "stages": told}


def export_annotated(path: str | Path, out: str | None, talk: Talk) -> dict[str, Any]:
    """Every record as compact JSON with a member `instag`: id, tags, count and rank (null where it was not picked).

    `out` is a file, by default `RUN/annotated.jsonl`.
    """
    import polars as pl

    from instag.writing import write_annotated

    run = Run(path)
    run.need("normalize")
    run.need("select")
    picks = run.table("select", "picks", ["row", "rank"])
    rows = sample_rows(run, "normalize").with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias("row"))
    rows = rows.join(picks, on="row", how="left", maintain_order="left")
    notes = rows.select(
        "row",
        "id",
        pl.col("tags").cast(pl.List(pl.String)),
        pl.col("tags").list.len().alias("count"),
        "rank",
    )
    target = Path(out) if out else run.path / "annotated.jsonl"
    write_annotated(target, *source_records(run), notes)
    talk.line(f"export: {len(rows):,} samples with their tags in {target}")
    return {"run": str(run.path), "stage": "export", "samples": len(rows), "outputs": [str(target)]}
