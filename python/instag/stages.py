"""The stages of a run: read what stands, call the API, write tables, say what happened.

Every stage asks first whether what it would make stands already. A summary is always told from the manifest, so it
reads the same for a stage made now and for one made last week.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from instag import summary
from instag.config import blame, read_run_config, settings_from
from instag.errors import ConfigError, DataError
from instag.memory import MemoryWarning
from instag.progress import Talk
from instag.rows import (
    Part,
    by_sample,
    complete_samples,
    picked_samples,
    query_groups,
    renamed_parts,
    sample_column,
    source_records,
    tag_rows,
    write_rows,
)
from instag.run import Output, Run, file_digest
from instag.shards import beside

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from instag.reading import Pool
    from instag.tagging import Tagging

_PART_ROWS = 10_000  # records of a part that is tagged while the next is read


def tag_stage(path: str | Path, files: Sequence[str], said: Mapping[str, Any], talk: Talk) -> dict[str, Any]:
    """`tag/`: reads the files, tags every query."""
    from instag.chat import Usage
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
        import polars as pl

        from instag.chat import ChatTagger
        from instag.counting import TagCounts
        from instag.planning import plan
        from instag.reading import read, read_parts
        from instag.tagging import tag_parts

        run.path.mkdir(parents=True, exist_ok=True)
        pools: Iterable[Pool]
        distinct = None
        with talk.bar("reading", total=sum(file["bytes"] or 0 for file in inputs), unit="B") as advance:
            if isinstance(tagger, ChatTagger):
                planned = plan(read_parts(files, **reading, part_rows=_PART_ROWS, progress=advance), tagger)
                single, distinct = planned.single, planned.distinct
                pools = read_parts(files, **reading, part_rows=_PART_ROWS)
            else:
                pool = read(files, **reading, progress=advance)
                single, pools = bool((pool.samples["turns"] == 1).all()), [pool]
        counts = TagCounts()
        told: list[tuple[pl.DataFrame, pl.DataFrame]] = []  # files and rejected records
        records = 0

        def heard() -> Iterator[Pool]:
            nonlocal records
            for pool in pools:
                for line in pool.refused:
                    talk.warn(f"nothing was taken from {line}")
                write_records(pool.records)
                records += len(pool.records)
                told.append((pool.files, pool.rejected))
                yield pool

        def tagged(part: Tagging) -> Part:
            if len(part.failures) or not counts.samples:
                write_failures(part.failures)
            counts.add(part.queries, len(part.rows), part.failures, part.table)
            return part.queries, part.rows, part.table

        with (
            talk.progress("tagging") as hook,
            out.parts("failures") as write_failures,
            out.parts("records") as write_records,
        ):
            parts = tag_parts(heard(), tagger=tagger, progress=hook, total=distinct)
            write_rows(out, map(tagged, parts), single=single)
        read_files, rejected = (pl.concat(frames, rechunk=True) for frames in zip(*told, strict=True))
        out.table("rejected", rejected)
        usage = dataclasses.asdict(getattr(tagger, "usage", Usage()))
        read_counts = _read_counts(inputs, read_files, rejected, records, counts.samples)
        out.counts |= {"label": tagger.label, **counts.told(), **usage, **read_counts}
        out.notes.append(tagger.label)

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
    from instag.importing import find_shards
    from instag.shards import Gathering
    from instag.tagged import TaggedPart, TaggedReader

    run = Run(path)
    shards = find_shards(names)
    inputs = [{"source": shard.source, **_file_input(shard.path)} for shard in shards]

    def make(out: Output) -> None:
        import polars as pl

        found, tags, untagged, written = Gathering(rows=False), 0, 0, 0

        def queries(part: TaggedPart) -> Part:
            nonlocal tags, untagged, written
            write_records(part.records)
            found.add(part.table)
            tags += len(part.table.ids)
            untagged += int((np.diff(part.table.offsets) == 0).sum())
            written += len(part.table)
            frame = part.rows.select(
                "id",
                pl.lit(0, pl.Int32).alias("turn"),
                pl.lit(None, pl.String).alias("query"),
                pl.lit(None, pl.List(pl.String)).alias("explanations"),
                pl.lit("ok").alias("status"),
            )
            return frame, part.rows, part.table

        with (
            talk.bar("reading", total=sum(file["bytes"] or 0 for file in inputs), unit="B") as advance,
            out.parts("records") as write_records,
        ):
            read = TaggedReader(shards, column, id_column=id_column, source_column=source_column, progress=advance)
            write_rows(out, map(queries, read.parts()), single=True)
        out.table("rejected", read.rejected)
        label = "imported: tagged elsewhere"
        out.counts |= {
            "label": label,
            "samples": written,
            "queries": written,
            "distinct_queries": None,
            "failed": 0,
            "failed_by_reason": {},
            "untagged": untagged,
            "tags": len(found.finish().vocabulary),
            "mean_tags": round(tags / max(written, 1), 4),
            **_read_counts(inputs, read.files, read.rejected, written, written),
        }
        out.notes.append(label)

    settings = {"tagger": "import", "column": column, "id_column": id_column, "source_column": source_column}
    return _stage(run, "tag", settings, {"files": inputs}, make, talk)


def _read_counts(
    inputs: Sequence[Mapping[str, Any]], files: pl.DataFrame, rejected: pl.DataFrame, records: int, samples: int
) -> dict[str, Any]:
    """What a summary tells of the files that were read; refuses a file that changed meanwhile."""
    digests = {file["path"]: file["digest"] for file in inputs}
    for path, digest in files.select("path", "digest").rows():
        before = digests.get(_absolute(path))
        if before is not None and digest not in (None, before):
            raise DataError(f"`{path}` changed while it was read", hint="run the same command again once it is whole")
    return {
        "files": [{**file, "path": _absolute(file["path"])} for file in files.to_dicts()],
        "records": records,
        "duplicates": records - samples,
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

        rows: Any = tag_rows(run, "tag", "queries")
        result = normalize(rows, **settings | {"embedder": embedder})
        table = result.table
        write_rows(out, renamed_parts(run, "tag", table), single=not run.has("tag", "rows"))
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
        with beside(lambda: tag_rows(run, "normalize", by_sample(run, "normalize"))) as table:
            source: Any = sample_column(run, "normalize", "source")
            if run.need("tag")["counts"]["duplicates"]:  # a sample may stand in several sources
                source = run.table("tag", "records", ["row", "source"]).unique(maintain_order=True)
            turns, complete = sample_column(run, "normalize", "turns"), complete_samples(run, "normalize")
            result = analyze(table(), source, turns=turns, complete=complete)
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

        rows = by_sample(run, "normalize")
        turns = sample_column(run, "normalize", "turns") if rows == "rows" else None  # None: each has one
        complete, table = complete_samples(run, "normalize"), tag_rows(run, "normalize", rows)
        result = select(
            table,
            settings.k,
            settings.method,
            settings.seed,
            complexity=None if settings.complexity == "union" else _turn_complexity(run, settings.complexity),
            eligible=None if settings.allow_partial else complete,
            turns=turns,
        )
        with beside(lambda: result.random) as subsets:
            picked = picked_samples(run, "normalize", result.rows)
            records = source_records(run, result.rows)
            random = subsets()
        rank = pl.int_range(len(picked), dtype=pl.Int64, eager=True).alias("rank")
        rounds, gains = pl.lit(result.rounds, pl.Int32), pl.lit(result.gains, pl.Int64)
        out.table(
            "picks",
            picked.select(
                rank, pl.Series("row", result.rows), "id", "source", rounds.alias("round"), gains.alias("gain")
            ),
        )
        picks = (rank + 1).alias("samples")
        coverage = pl.Series("coverage", result.coverage)
        out.table("curve", pl.DataFrame([picks, coverage, pl.Series("random_coverage", random.coverage)]))
        schema = run.need("tag")["settings"].get("schema")
        with out.file("selected.jsonl") as file:
            write_selected(file, *records, result.rows, format=writes.format, schema=schema)
        out.counts |= {
            "method": settings.method,
            "pool": len(table),
            "incomplete": 0 if complete is None else int(np.count_nonzero(~complete)),
            "allow_partial": settings.allow_partial,
            "selected": len(result),
            "coverage": float(result.coverage[-1]) if len(result) else 0.0,
            "mean_tags": result.mean_tags,
            "mean_turns": float(len(result) > 0) if turns is None else result.mean_turns,
            "random": {
                "seeds": random.seeds,
                "coverage": float(random.coverage[-1]) if len(result) else 0.0,
                "coverage_std": float(random.coverage_std[-1]) if len(result) else 0.0,
                "mean_tags": random.mean_tags,
                "mean_tags_std": random.mean_tags_std,
                "mean_turns": float(len(result) > 0) if turns is None else random.mean_turns,
                "mean_turns_std": 0.0 if turns is None else random.mean_turns_std,
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


def _turn_complexity(run: Run, mode: str) -> NDArray[np.float64]:
    """Tags of each sample's queries, the mean or the most of them."""
    import polars as pl

    from instag.selection import turn_complexity

    parts = run.parts("normalize", "queries", ["tags", "status"])
    counted = pl.concat(part.select(pl.col("tags").list.len(), pl.col("status") == "ok") for part in parts)
    groups = query_groups(sample_column(run, "normalize", "turns"))
    return turn_complexity(counted["tags"], groups, mode, ok=counted["status"])


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
        with talk.hearing(MemoryWarning), run.write(stage, settings=settings, inputs=inputs, speed=speed) as out:
            make(out)
    manifest = run.need(stage)
    summary.tell(manifest, run.path / stage, talk, fresh=fresh)
    told = {name: manifest[name] for name in ("stage", "counts", "notes", "seconds", "cost_usd")}
    outputs = [str(run.path / stage / output["name"]) for output in manifest["outputs"]]
    return {"run": str(run.path), **told, "fresh": fresh, "outputs": outputs}
