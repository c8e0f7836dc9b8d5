"""The stages of a run: read what stands, call the API, write tables, say what happened.

Every stage asks first whether what it would make stands already. A summary is always told from the manifest, so it
reads the same for a stage made now and for one made last week.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from instag.config import blame, read_run_config, settings_from
from instag.errors import ConfigError
from instag.output import Output
from instag.progress import Talk
from instag.rows import (
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
from instag.run import Run
from instag.shards import beside
from instag.staging import file_input, label_of, ledger_counts, make_stage, stage_inputs
from instag.tag_stages import tag_stage

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from instag.overrides import Overrides

OVERRIDES = "overrides.toml"  # in a run folder


def normalize_stage(path: str | Path, said: Mapping[str, Any], talk: Talk) -> dict[str, Any]:
    """`normalize/`: queries, rows, ledger, tags. Reads `tag/`."""
    if said.get("vocabulary") is not None:
        from instag.vocabulary_stage import vocabulary_stage

        return vocabulary_stage(path, said, talk)
    from instag import thresholds
    from instag.embedders import EmbedderAccess, resolve
    from instag.network import redact
    from instag.normalization import normalize
    from instag.normalize_settings import NormalizeSettings

    run = Run(path)
    overrides, files = _overrides(run, said)
    settings = dataclasses.asdict(settings_from(NormalizeSettings, said))
    access = settings_from(EmbedderAccess, said, {"answers": str(run.path / "answers.sqlite")})
    embedder = resolve(
        settings["embedder"],
        base_url=access.embedder_base_url,
        key_file=access.embedder_key_file,
        answers=access.answers,
        talk=talk,
    )

    def make(out: Output) -> None:
        import polars as pl

        rows: Any = tag_rows(run, "tag", "queries")
        result = normalize(rows, **settings | {"embedder": embedder}, overrides=overrides)
        table = result.table
        write_rows(out, renamed_parts(run, "tag", table), single=not run.has("tag", "rows"))
        out.table("ledger", result.ledger)
        out.table("tags", pl.DataFrame({"tag": table.vocabulary, "count": table.counts}))
        out.counts |= ledger_counts(result.ledger, result.steps) | {"limits": result.limits}
        out.notes += [label_of(run), *result.notes]

    # A folder with another model in it is another embedder: its identity enters the key, not the name it was called by.
    whole = settings | {"embedder": embedder.identity} | thresholds.key_of(embedder.identity)
    url = access.embedder_base_url
    # The name it was called by: another stage may want it again.
    speed = dataclasses.asdict(access) | {"embedder_base_url": redact(url) if url else None}
    speed["embedder"] = settings["embedder"]
    return make_stage(run, "normalize", whole, stage_inputs(run, "tag") | files, make, talk, speed)


def _overrides(run: Run, said: Mapping[str, Any]) -> tuple[Overrides, dict[str, Any]]:
    """A person's overrides: those of the file named, else of `RUN/overrides.toml` where it stands; and as inputs."""
    from instag.overrides import Overrides

    named = said.get("overrides")
    if named is None:
        digest = run.beside_digest(OVERRIDES)
        return Overrides.of(run.path / OVERRIDES if digest else None), {"beside": {OVERRIDES: digest}}
    if not isinstance(named, str):
        raise ConfigError(f"`overrides` is {named!r}, must be a path")
    return Overrides.read(named), {"files": [file_input(named)]}


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
            known = run.need("normalize")["counts"].get("vocabulary")
            size = None if known is None else known["tags"]
            result = analyze(table(), source, turns=turns, complete=complete, vocabulary_size=size)
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
        out.notes.append(label_of(run))

    return make_stage(run, "analyze", {}, stage_inputs(run, "tag", "normalize"), make, talk)


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
            target_coverage=settings.target_coverage,
            target_mean_tags=settings.target_mean_tags,
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
        out.notes += [label_of(run), *result.notes]

    decided = {name: value for name, value in dataclasses.asdict(settings).items() if value is not None}
    whole = decided | dataclasses.asdict(writes)
    return make_stage(run, "select", whole, stage_inputs(run, "tag", "normalize"), make, talk)


def run_all(
    files: Sequence[str],
    path: str | None,
    said: Mapping[str, Mapping[str, Any]],
    known: Mapping[str, set[str]],
    talk: Talk,
) -> dict[str, Any]:
    """All stages. `said` holds what the command line says for each; one `CONFIG.toml` for files says the rest.

    `train` and `evaluate` are made where the config has a table for them.
    """
    stages: Mapping[str, Mapping[str, Any]] = said
    train: dict[str, Any] | None = None
    evaluate: dict[str, Any] | None = None
    config_path = files[0] if len(files) == 1 and files[0].endswith(".toml") else None
    if config_path is not None:
        from instag.own_embedder import names_own, search_last

        config = read_run_config(Path(config_path), known)
        if names_own(str(config.stages["normalize"].get("embedder"))):
            search_last(Path(config_path).parent)  # `mine.py` may lie beside the config, as its files do
        for stage, table in config.stages.items():
            with blame(f"{config_path}: [{stage}]"):
                _check_settings(stage, table)
        files, path = config.files, path or config.run
        train, evaluate = config.train, config.evaluate
        stages = {stage: {**config.stages[stage], **said[stage]} for stage in said}
    if path is None:
        raise ConfigError("no run folder is named", hint='give `--run RUN`, or `run = "..."` in the config')
    # A typing error in the last stage must show before the first one is paid for.
    for stage, settings in stages.items():
        _check_settings(stage, settings)
    if stages["normalize"].get("vocabulary") is None:
        _overrides(Run(path), stages["normalize"])
    else:
        from instag.embedders import EmbedderAccess
        from instag.vocabulary_stage import vocabulary_settings

        vocabulary_settings(Run(path), stages["normalize"], settings_from(EmbedderAccess, stages["normalize"]))
    with blame(f"{config_path}: [tag]") if config_path and not said["tag"] else contextlib.nullcontext():
        _check_tagger(stages["tag"])
    if train is not None:
        from instag.later_stages import check_train

        check_train(train)
    made = [
        tag_stage(path, files, stages["tag"], talk),
        normalize_stage(path, stages["normalize"], talk),
        analyze_stage(path, talk),
        select_stage(path, stages["select"], talk),
    ]
    if train is not None:
        from instag.train_stage import train_stage

        made.append(train_stage(path, train, talk))
    if evaluate is not None:
        from instag.evaluate_stage import evaluate_stage

        made.append(evaluate_stage(path, evaluate, talk))
    return {"run": str(path), "stages": {stage["stage"]: stage for stage in made}}


def _check_tagger(said: Mapping[str, Any]) -> None:
    """Refuses a prompt, labels, patterns, prices or a key file that can't be used, before anything is read."""
    from instag.tagger import TagSettings, TagSpeed
    from instag.tagging import open_tagger

    open_tagger(settings_from(TagSettings, said), settings_from(TagSpeed, said))


def _check_settings(stage: str, said: Mapping[str, Any]) -> None:
    """Refuses what a stage would refuse, before any stage runs."""
    from instag.embedders import EmbedderAccess
    from instag.normalize_settings import NormalizeSettings
    from instag.reading import ReadSettings
    from instag.selection import SelectSettings
    from instag.tagger import TagSettings, TagSpeed
    from instag.writing import WriteSettings

    kinds: dict[str, tuple[type, ...]] = {
        "tag": (TagSettings, TagSpeed, ReadSettings),
        "normalize": (NormalizeSettings, EmbedderAccess),
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


def _recall(overlap: pl.DataFrame) -> list[dict[str, Any]]:
    """How much of the other sources' tags each source holds, on average; the widest first."""
    import polars as pl

    others = overlap.filter(pl.col("a") != pl.col("b")).group_by("a", maintain_order=True).agg(pl.mean("recall"))
    return others.sort("recall", descending=True, maintain_order=True).rename({"a": "source"}).to_dicts()
