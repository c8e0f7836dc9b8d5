"""The stages of a run: read what stands, call the API, write tables, say what happened.

Every stage asks first whether what it would make stands already. A summary is always told from the manifest, so it
reads the same for a stage made now and for one made last week.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from instag import _core, summary
from instag.config import blame, read_run_config, settings_from
from instag.errors import ConfigError, DataError
from instag.progress import Talk
from instag.run import Output, Run, file_digest
from instag.table import TagTable

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray


def tag_stage(path: str | Path, files: Sequence[str], said: Mapping[str, Any], talk: Talk) -> dict[str, Any]:
    """`tag/`: reads the files, tags every query."""
    from instag.endpoint import redact
    from instag.inputs import expand
    from instag.reading import ReadSettings
    from instag.tagger import TagSettings, TagSpeed
    from instag.tagging import open_tagger

    run = Run(path)
    speed = settings_from(TagSpeed, said, {"answers": str(run.path / "answers.sqlite")})
    tagger = open_tagger(settings_from(TagSettings, said), speed)
    reading = dataclasses.asdict(settings_from(ReadSettings, said))
    inputs = [{"source": file.source, **_file_input(file.path)} for file in expand(files)]

    def make(out: Output) -> None:
        from instag.reading import read
        from instag.tagging import tag

        total = sum(file["bytes"] or 0 for file in inputs)
        with talk.bar("reading", total=total, unit="B") as advance:
            pool = read(files, **reading, progress=advance)
        for line in pool.refused:
            talk.warn(f"nothing was taken from {line}")
        run.path.mkdir(parents=True, exist_ok=True)
        with talk.progress("tagging") as hook:
            tagging = tag(pool, tagger=tagger, progress=hook)
        write_rows(out, tagging.queries, tagging.rows, tagging.table)
        out.table("failures", tagging.failures)
        out.counts |= tagging.counts | _write_records(out, pool.records, pool.rejected, pool.files, len(pool.samples))
        out.notes.append(tagging.label)

    settings = {"tagger": dict(tagger.identity), **reading}
    told = dataclasses.asdict(speed) | {"base_url": redact(speed.base_url) if speed.base_url else None}
    return _stage(run, "tag", settings, {"files": inputs}, make, talk, told)


def import_stage(
    path: str | Path,
    names: Sequence[str],
    talk: Talk,
    *,
    column: str = "tags",
    id_column: str | None = None,
    source_column: str | None = None,
) -> dict[str, Any]:
    """`tag/`, from data that is tagged already: a row is one query."""
    from instag.importing import find_shards, read_tagged

    run = Run(path)
    shards = find_shards(names)
    inputs = [{"source": shard.source, **_file_input(shard.path)} for shard in shards]

    def make(out: Output) -> None:
        import polars as pl

        with talk.bar("reading", total=sum(file["bytes"] or 0 for file in inputs), unit="B") as advance:
            read = read_tagged(shards, column, id_column=id_column, source_column=source_column, progress=advance)
        table = _without_blanks(TagTable.from_series(read.tags))
        queries = read.rows.select(
            "id",
            pl.lit(0, pl.Int32).alias("turn"),
            pl.lit(None, pl.String).alias("query"),
            pl.lit(None, pl.List(pl.String)).alias("explanations"),
            pl.lit("ok").alias("status"),
        )
        write_rows(out, queries, read.rows.with_columns(turns=pl.lit(1, pl.Int32)), table)
        label = "imported: tagged elsewhere"
        out.counts |= {
            "label": label,
            "samples": len(table),
            "queries": len(table),
            "distinct_queries": None,
            "failed": 0,
            "failed_by_reason": {},
            "untagged": int((np.diff(table.offsets) == 0).sum()),
            "tags": len(table.vocabulary),
            "mean_tags": round(len(table.ids) / max(len(table), 1), 4),
        } | _write_records(out, read.records, read.rejected, read.files, len(table))
        out.notes.append(label)

    settings = {"tagger": "import", "column": column, "id_column": id_column, "source_column": source_column}
    return _stage(run, "tag", settings, {"files": inputs}, make, talk)


def _without_blanks(table: TagTable) -> TagTable:
    """The table without tags of white space alone, which name nothing."""
    blank = table.vocabulary.str.strip_chars() == ""
    if not blank.any():
        return table
    into = np.where(blank.to_numpy(), 2**32 - 1, blank.not_().cum_sum().to_numpy() - 1).astype(np.uint32)
    offsets, ids = _core.remap(table.offsets, table.ids, into, int(blank.not_().sum()))
    return TagTable.from_arrays(table.vocabulary.filter(~blank), offsets, ids)


def _write_records(
    out: Output, records: pl.DataFrame, rejected: pl.DataFrame, files: pl.DataFrame, samples: int
) -> dict[str, Any]:
    """Writes where each record stands and what could not be read; returns the counts of both, and the files."""
    out.table("records", records)
    out.table("rejected", rejected)
    return {
        "files": [{**file, "path": _absolute(file["path"])} for file in files.to_dicts()],
        "records": len(records),
        "duplicates": len(records) - samples,
        "rejected": len(rejected),
    }


def normalize_stage(path: str | Path, said: Mapping[str, Any], talk: Talk) -> dict[str, Any]:
    """`normalize/`: queries, rows, ledger, tags. Reads `tag/`."""
    from instag.embedders import resolve
    from instag.normalization import NormalizeSettings, normalize

    run = Run(path)
    settings = dataclasses.asdict(settings_from(NormalizeSettings, said))
    embedder = resolve(settings["embedder"])

    def make(out: Output) -> None:
        import polars as pl

        queries = run.table("tag", "queries")
        result = normalize(TagTable.from_series(queries["tags"]), **settings | {"embedder": embedder})
        table = result.table
        rows = sample_rows(run, "tag")
        write_rows(out, queries.select("id", "turn", "status"), rows, table)
        out.table("ledger", result.ledger)
        out.table("tags", pl.DataFrame({"tag": table.vocabulary, "count": table.counts}))
        merged = result.ledger.filter(pl.col("step").is_in(["rule", "semantic", "association"]))
        examples = merged.group_by("step", maintain_order=True).head(4).select("step", "raw", "into").to_dicts()
        out.counts |= {
            "steps": result.steps.to_dicts(),
            "ledger": dict(result.ledger["step"].value_counts().sort("step").rows()),
            "examples": examples,
        }
        out.notes += [_label(run), *result.notes]

    # A folder with another model in it is another embedder: its identity enters the key, not the name it was called by.
    whole = settings | {"embedder": embedder.identity}
    return _stage(run, "normalize", whole, _inputs(run, "tag"), make, talk)


def analyze_stage(path: str | Path, talk: Talk) -> dict[str, Any]:
    """`analyze/`: sources, overlap, curve. Reads `normalize/`, and `tag/records` for samples that many sources hold."""
    from instag.analysis import analyze

    run = Run(path)

    def make(out: Output) -> None:
        rows = sample_rows(run, "normalize")
        source: Any = rows["source"]
        if run.has("tag", "records"):
            source = run.table("tag", "records", ["row", "source"]).unique(maintain_order=True)
        table = TagTable.from_series(rows["tags"])
        result = analyze(table, source, turns=rows["turns"], complete=rows["failed_turns"] == 0)
        for name in ("sources", "overlap", "curve"):
            out.table(name, getattr(result, name))
        out.counts |= {
            "sources": result.sources.to_dicts(),
            "pool": result.pool.to_dicts()[0],
            "recall": _recall(result.overlap),
            "top": result.top().to_dicts(),
            "rare": result.rare().to_dicts(),
            "zipf": dataclasses.asdict(result.zipf),
            "incomplete": result.incomplete,
        }
        out.notes.append(_label(run))

    return _stage(run, "analyze", {}, _inputs(run, "tag", "normalize"), make, talk)


def select_stage(path: str | Path, said: Mapping[str, Any], talk: Talk) -> dict[str, Any]:
    """`select/`: picks, curve, selected.jsonl. Reads `normalize/`, and the source files by `tag/records`."""
    from instag.selection import SelectSettings, select
    from instag.writing import WriteSettings, write_selected

    run = Run(path)
    settings, writes = settings_from(SelectSettings, said), settings_from(WriteSettings, said)

    def make(out: Output) -> None:
        import polars as pl

        rows = sample_rows(run, "normalize")
        result = select(
            TagTable.from_series(rows["tags"]),
            settings.k,
            settings.method,
            settings.seed,
            complexity=None if settings.complexity == "union" else _turn_complexity(run, rows, settings.complexity),
            eligible=None if settings.allow_partial else rows["failed_turns"] == 0,
            turns=rows["turns"],
        )
        picked = rows.select("id", "source")[result.rows]
        rank = pl.int_range(len(picked), dtype=pl.Int64, eager=True).alias("rank")
        rounds, gains = pl.lit(result.rounds, pl.Int32), pl.lit(result.gains, pl.Int64)
        out.table(
            "picks",
            picked.select(
                rank, pl.Series("row", result.rows), "id", "source", rounds.alias("round"), gains.alias("gain")
            ),
        )
        random = result.random
        samples = (rank + 1).alias("samples")
        coverage = pl.Series("coverage", result.coverage)
        out.table("curve", pl.DataFrame([samples, coverage, pl.Series("random_coverage", random.coverage)]))
        schema = run.need("tag")["settings"].get("schema")
        with out.file("selected.jsonl") as file:
            write_selected(file, *source_records(run), result.rows, format=writes.format, schema=schema)
        out.counts |= {
            "method": settings.method,
            "pool": len(rows),
            "incomplete": int((rows["failed_turns"] > 0).sum()),
            "allow_partial": settings.allow_partial,
            "selected": len(result),
            "coverage": float(result.coverage[-1]) if len(result) else 0.0,
            "mean_tags": result.mean_tags,
            "mean_turns": result.mean_turns,
            "random": {
                "seeds": random.seeds,
                "coverage": float(random.coverage[-1]) if len(result) else 0.0,
                "coverage_std": float(random.coverage_std[-1]) if len(result) else 0.0,
                "mean_tags": random.mean_tags,
                "mean_tags_std": random.mean_tags_std,
                "mean_turns": random.mean_turns,
                "mean_turns_std": random.mean_turns_std,
            },
        }
        out.notes += [_label(run), *result.notes]

    whole = dataclasses.asdict(settings) | dataclasses.asdict(writes)
    return _stage(run, "select", whole, _inputs(run, "tag", "normalize"), make, talk)


def run_all(
    files: Sequence[str],
    path: str | None,
    said: Mapping[str, Mapping[str, Any]],
    known: Mapping[str, set[str]],
    talk: Talk,
) -> dict[str, Any]:
    """All stages. `said` holds what the command line says for each; one `CONFIG.toml` for files says the rest."""
    stages: Mapping[str, Mapping[str, Any]] = said
    if len(files) == 1 and files[0].endswith(".toml"):
        config = read_run_config(Path(files[0]), known)
        for stage, table in config.stages.items():
            with blame(f"{files[0]}: [{stage}]"):
                _check_settings(stage, table)
        files, path = config.files, path or config.run
        stages = {stage: {**config.stages[stage], **said[stage]} for stage in said}
    if path is None:
        raise ConfigError("no run folder is named", hint='give `--run RUN`, or `run = "..."` in the config')
    # A typing error in the last stage must show before the first one is paid for.
    for stage, settings in stages.items():
        _check_settings(stage, settings)
    made = [
        tag_stage(path, files, stages["tag"], talk),
        normalize_stage(path, stages["normalize"], talk),
        analyze_stage(path, talk),
        select_stage(path, stages["select"], talk),
    ]
    return {"run": str(path), "stages": {stage["stage"]: stage for stage in made}}


def _check_settings(stage: str, said: Mapping[str, Any]) -> None:
    """Refuses what a stage would refuse, before any stage runs."""
    from instag.normalization import NormalizeSettings
    from instag.reading import ReadSettings
    from instag.selection import SelectSettings
    from instag.tagger import TagSettings, TagSpeed
    from instag.writing import WriteSettings

    kinds: dict[str, tuple[type, ...]] = {
        "tag": (TagSettings, TagSpeed, ReadSettings),
        "normalize": (NormalizeSettings,),
        "select": (SelectSettings, WriteSettings),
    }
    for kind in kinds[stage]:
        settings_from(kind, said)


def sample_rows(run: Run, stage: str) -> pl.DataFrame:
    """One row a sample: id, source, turns, failed_turns, tags; from `rows`, or `queries` where a sample is a query."""
    import polars as pl

    wanted = ["id", "source", "turns", "failed_turns", "tags"]
    if run.has(stage, "rows"):
        return run.table(stage, "rows", wanted)
    one = pl.lit(1, pl.Int32).alias("turns")
    failed = (pl.col("status") == "failed").cast(pl.Int32).alias("failed_turns")
    return run.table(stage, "queries").with_columns(one, failed).select(wanted)


def sample_tags(rows: pl.DataFrame, table: TagTable) -> TagTable:
    """The union of each sample's queries: `table` has one row a query, `rows` one a sample with its `turns`."""
    offsets, ids = _core.union_rows(table.offsets, table.ids, query_groups(rows), len(table.vocabulary))
    return TagTable.from_arrays(table.vocabulary, offsets, ids)


def query_groups(rows: pl.DataFrame) -> NDArray[np.int64]:
    """Where the queries of each sample begin, and where the last ones end."""
    groups = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum(rows["turns"].to_numpy(), out=groups[1:])
    return groups


def write_rows(out: Output, queries: pl.DataFrame, rows: pl.DataFrame, table: TagTable) -> None:
    """Writes `queries` with its tags and, unless every sample is one query, `rows` with the unions.

    `queries` and `table` have one row a query, `rows` one a sample; all in the same order.
    """
    tagged = queries.with_columns(table.to_series())
    if (rows["turns"] == 1).all():
        out.table("queries", tagged.with_columns(rows["source"]))
        return
    out.table("queries", tagged)
    out.table("rows", rows.with_columns(sample_tags(rows, table).to_series()))


def _turn_complexity(run: Run, rows: pl.DataFrame, mode: str) -> NDArray[np.float64]:
    """Tags of each sample's queries, the mean or the most of them."""
    from instag.selection import turn_complexity

    queries = run.table("normalize", "queries", ["tags", "status"])
    return turn_complexity(queries["tags"].list.len(), query_groups(rows), mode, ok=queries["status"] == "ok")


def source_records(run: Run) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The source files of a run as they were read, and where in them each record stands."""
    import polars as pl

    files = run.need("tag")["counts"]["files"]
    return pl.DataFrame(files, infer_schema_length=None), run.table("tag", "records")


def _file_input(path: str) -> dict[str, Any]:
    """Where a file is and what it holds; a remote one is told by its name alone."""
    if path.startswith("hf://"):
        return {"path": path, "bytes": None, "digest": None}
    file = Path(_absolute(path))
    try:
        return {"path": str(file), "bytes": file.stat().st_size, "digest": file_digest(file)}
    except OSError as error:
        raise DataError(f"`{path}` cannot be read: {(error.strerror or str(error)).lower()}") from None


def _absolute(path: str) -> str:
    """A path that holds from any folder: a later stage may be started elsewhere."""
    return path if path.startswith("hf://") else str(Path(path).absolute())


def _inputs(run: Run, *stages: str) -> dict[str, Any]:
    return {"stages": {stage: run.digest(stage) for stage in stages}}


def _recall(overlap: pl.DataFrame) -> list[dict[str, Any]]:
    """How much of the other sources' tags each source holds, on average; the widest first."""
    import polars as pl

    others = overlap.filter(pl.col("a") != pl.col("b")).group_by("a", maintain_order=True).agg(pl.mean("recall"))
    return others.sort("recall", descending=True, maintain_order=True).rename({"a": "source"}).to_dicts()


def _label(run: Run) -> str:
    """Who tagged: said wherever results show."""
    return str(run.need("tag")["counts"]["label"])


def _stage(
    run: Run,
    stage: str,
    settings: Mapping[str, Any],
    inputs: Mapping[str, Any],
    make: Callable[[Output], None],
    talk: Talk,
    speed: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Makes a stage unless it stands, tells about it, and gives the summary that `--json` prints."""
    fresh = not run.is_current(stage, settings=settings, inputs=inputs)
    if fresh:
        with run.write(stage, settings=settings, inputs=inputs, speed=speed) as out:
            make(out)
    manifest = run.need(stage)
    summary.tell(manifest, run.path / stage, talk, fresh=fresh)
    told = {name: manifest[name] for name in ("stage", "counts", "notes", "seconds", "cost_usd")}
    outputs = [str(run.path / stage / output["name"]) for output in manifest["outputs"]]
    return {"run": str(run.path), **told, "fresh": fresh, "outputs": outputs}
