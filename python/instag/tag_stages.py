"""The stages that make `tag/`: queries are tagged, or tags are taken from data that has them; and the dry run."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from instag.config import settings_from
from instag.errors import ConfigError, DataError
from instag.output import Output
from instag.progress import Advance, Talk
from instag.rows import Part, write_rows
from instag.run import Run
from instag.staging import absolute, file_input, make_stage
from instag.summary import sent_told

if TYPE_CHECKING:
    import polars as pl

    from instag.chat import ChatTagger
    from instag.planning import Plan
    from instag.reading import Pool
    from instag.tagger import Tagger, TagSpeed
    from instag.tagging import Tagging

PART_ROWS = 2_500  # records of a part that is tagged while the next is read


def tag_plan(path: str | Path, files: Sequence[str], said: Mapping[str, Any], talk: Talk) -> dict[str, Any]:
    """What `tag_stage` would ask for, and what that would cost; asks and writes nothing."""
    from instag.chat import ChatTagger
    from instag.planning import plan

    tagger, _, reading, inputs = _settled(Run(path), files, said)
    if not isinstance(tagger, ChatTagger):
        raise ConfigError("this tagger asks for nothing", hint="`--dry-run` is for `--tagger openai`")
    with _reading(talk, inputs) as advance:
        planned = plan(_parts(files, reading, advance), tagger, cost=True)
    talk.line(
        f"{planned.samples:,} samples, {planned.queries:,} queries, {planned.distinct:,} of them distinct; "
        f"{planned.answered:,} are answered already, {planned.to_ask:,} would be asked"
    )
    talk.line(
        f"  about {planned.prompt_tokens:,} tokens of prompts ({planned.tokens_by}) "
        f"and {planned.completion_tokens:,} of replies"
    )
    for told in sent_told(planned.cut_queries, planned.redacted_queries):
        talk.line(f"  {told}")
    if planned.cost_usd is None:
        talk.line(f"  no price of `{tagger.model}` is known (`--prices FILE` gives one)")
    else:
        batch = tagger.price.batch_factor * planned.cost_usd if tagger.price else 0.0
        as_of = f", prices of {planned.price_as_of}" if planned.price_as_of else ""
        talk.line(f"  about ${planned.cost_usd:,.2f}{as_of}; ${batch:,.2f} with `--batch`")
    return {"run": str(path), "stage": "tag", "dry_run": True, **planned.as_dict()}


def tag_batches(path: str | Path, files: Sequence[str], said: Mapping[str, Any], talk: Talk) -> dict[str, Any]:
    """How the batches are that the run's store knows of; asks the endpoint and changes nothing."""
    from instag.batches import batch_states
    from instag.chat import ChatTagger

    tagger, *_ = _settled(Run(path), files, said)
    if not isinstance(tagger, ChatTagger):
        raise ConfigError("this tagger makes no batches", hint="`--batch-status` is for `--tagger openai`")
    states = batch_states(tagger)
    if states:
        header = ["batch", "model", "state", "status", "requests", "completed", "failed"]
        names = ["id", *header[1:]]
        talk.table(header, [[row[name] for name in names] for row in states])
    else:
        talk.line("no batches were made")
    return {"run": str(path), "stage": "tag", "batches": states}


def _by_batches(tagger: ChatTagger, pools: Callable[[], Iterable[Pool]], planned: Plan, talk: Talk) -> None:
    """Has batches answer what they can, and says how it goes."""
    from instag.batches import BatchWarning, answer_by_batches

    def texts() -> Iterator[list[str]]:
        return (pool.queries["query"].unique(maintain_order=True).to_list() for pool in pools())

    with talk.hearing(BatchWarning), talk.progress("tagging by batches") as hook:
        answer_by_batches(tagger, texts, planned=planned, progress=hook, tell=talk.line)


def tag_stage(path: str | Path, files: Sequence[str], said: Mapping[str, Any], talk: Talk) -> dict[str, Any]:
    """`tag/`: reads the files, tags every query."""
    from instag.chat import ChatTagger, Usage
    from instag.network import redact

    run = Run(path)
    tagger, speed, reading, inputs = _settled(run, files, said)

    def make(out: Output) -> None:
        import polars as pl

        from instag.counting import TagCounts
        from instag.planning import plan
        from instag.reading import read
        from instag.tagging import tag_parts

        run.path.mkdir(parents=True, exist_ok=True)
        pools: Iterable[Pool]
        distinct = None
        with _reading(talk, inputs) as advance:
            if isinstance(tagger, ChatTagger):
                planned = plan(
                    _parts(files, reading, advance), tagger, cost=speed.batch and speed.budget_usd is not None
                )
                single, distinct, pools = planned.single, planned.distinct, _parts(files, reading)
            else:
                pool = read(files, **reading, progress=advance)
                single, pools = bool((pool.samples["turns"] == 1).all()), [pool]
        if isinstance(tagger, ChatTagger) and speed.batch:
            _by_batches(tagger, lambda: _parts(files, reading), planned, talk)
        elif isinstance(tagger, ChatTagger) and planned.in_batches:
            raise ConfigError(
                f"{planned.in_batches:,} queries are out in batches: asked live now they would be paid twice",
                hint="`--batch` waits for them; a batch that is cancelled at the endpoint ends at once",
            )
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
        out.cost_usd = usage["cost_usd"]
        out.notes += [tagger.label, *(tagger.requests.form.told() if isinstance(tagger, ChatTagger) else ())]

    settings = {"tagger": dict(tagger.identity), **reading}
    told = dataclasses.asdict(speed) | {"base_url": redact(speed.base_url) if speed.base_url else None}
    return make_stage(run, "tag", settings, {"files": inputs}, make, talk, told, again=speed.retry_failed is not None)


def _settled(
    run: Run, files: Sequence[str], said: Mapping[str, Any]
) -> tuple[Tagger, TagSpeed, dict[str, Any], list[dict[str, Any]]]:
    """The tagger, its speed, how files are read, and what they are."""
    from instag.inputs import expand
    from instag.reading import ReadSettings
    from instag.tagger import TagSettings, TagSpeed
    from instag.tagging import open_tagger

    speed = settings_from(TagSpeed, said, {"answers": str(run.path / "answers.sqlite")})
    tagger = open_tagger(settings_from(TagSettings, said), speed)
    reading = dataclasses.asdict(settings_from(ReadSettings, said))
    return tagger, speed, reading, [{"source": file.source, **file_input(file.path)} for file in expand(files)]


def _reading(talk: Talk, inputs: Sequence[Mapping[str, Any]]) -> contextlib.AbstractContextManager[Advance]:
    return talk.bar("reading", total=sum(file["bytes"] or 0 for file in inputs), unit="B")


def _parts(files: Sequence[str], reading: Mapping[str, Any], advance: Advance | None = None) -> Iterator[Pool]:
    from instag.reading import read_parts

    return read_parts(files, **reading, part_rows=PART_ROWS, progress=advance)


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
    inputs = [{"source": shard.source, **file_input(shard.path)} for shard in shards]

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
    return make_stage(run, "tag", settings, {"files": inputs}, make, talk)


def _read_counts(
    inputs: Sequence[Mapping[str, Any]], files: pl.DataFrame, rejected: pl.DataFrame, records: int, samples: int
) -> dict[str, Any]:
    """What a summary tells of the files that were read; refuses a file that changed meanwhile."""
    digests = {file["path"]: file["digest"] for file in inputs}
    for path, digest in files.select("path", "digest").rows():
        before = digests.get(absolute(path))
        if before is not None and digest not in (None, before):
            raise DataError(f"`{path}` changed while it was read", hint="run the same command again once it is whole")
    return {
        "files": [{**file, "path": absolute(file["path"])} for file in files.to_dicts()],
        "records": records,
        "duplicates": records - samples,
        "rejected": len(rejected),
    }
