"""`instag split`: some tags kept out of the pool, to try a model on kinds of instructions that it never saw."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from instag.config import settings_from
from instag.errors import ConfigError, DataError
from instag.rows import complete_samples, sample_rows, source_records
from instag.run import Run
from instag.staging import label_of, make_stage, stage_inputs
from instag.table import TagTable
from instag.tagger_data import seeded

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl
    from numpy.typing import NDArray

    from instag.output import Output
    from instag.progress import Talk

PARTS = ("pool", "heldout", "seen", "left out")  # of the samples, by their number in `Split.part`
POOL, HELD_OUT, SEEN, LEFT_OUT = range(4)


@dataclass(frozen=True)
class SplitSettings:
    """What decides a split: how many tags are held out, which may be, and how many samples of seen tags go apart."""

    holdout_tags: int = 20
    seed: int = 0
    min_count: int = 20
    max_share: float = 0.2
    eval: int = 0

    def __post_init__(self) -> None:
        for name, least in (("holdout_tags", 1), ("seed", 0), ("min_count", 1), ("eval", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"`{name}` is {getattr(self, name)}, must be at least {least}")
        if not 0 < self.max_share < 1:
            raise ConfigError(f"`max_share` is {self.max_share}, must be above 0 and below 1")


@dataclass(frozen=True)
class Split:
    """`part` of each sample (see `PARTS`), and `tags`: the ids of those held out, in the order they were drawn."""

    part: NDArray[np.uint8]
    tags: NDArray[np.int64]

    def __repr__(self) -> str:
        sizes = np.bincount(self.part, minlength=len(PARTS))
        return f"Split({', '.join(f'{size} {name}' for name, size in zip(PARTS, sizes, strict=True))})"


def split(
    table: TagTable,
    settings: SplitSettings | None = None,
    *,
    ids: Sequence[str],
    eligible: NDArray[np.bool_] | None = None,
) -> Split:
    """Holds tags out of a pool: every sample that has one of them leaves it, the rest never shows them.

    Tags are drawn in the order of a hash of seed and name, from those that at least `min_count` samples have; one that
    would take the samples held out above `max_share` of the pool is passed over. Then `eval` samples (by a hash of seed
    and id) are set apart whose every tag stays in the pool: what a model has seen. Samples that are not `eligible` (a
    turn failed, so they may have a tag that nobody knows of) are left out. `ConfigError` where there is not as much as
    was asked for.

    >>> table = TagTable.from_arrays(["maths", "poem"], [0, 1, 2, 4], [0, 1, 0, 1])
    >>> split(table, SplitSettings(holdout_tags=1, min_count=1, max_share=0.9), ids=["a", "b", "c"])
    Split(1 pool, 2 heldout, 0 seen, 0 left out)
    """
    settings = settings or SplitSettings()
    offsets, tags, size = table.csr
    usable = np.ones(len(table), bool) if eligible is None else eligible
    sample = np.repeat(np.arange(len(table)), np.diff(offsets))
    sample, tags = sample[usable[sample]], tags[usable[sample]].astype(np.int64)
    order = np.argsort(tags, kind="stable")
    groups = np.searchsorted(tags[order], np.arange(size + 1))
    counts = np.diff(groups)
    held = np.zeros(len(table), bool)
    most, taken = settings.max_share * int(usable.sum()), 0
    chosen: list[int] = []
    names = table.vocabulary.to_list()
    frequent = [int(tag) for tag in np.flatnonzero(counts >= settings.min_count)]
    for tag in sorted(frequent, key=lambda tag: (seeded(settings.seed, names[tag]), names[tag])):
        if len(chosen) == settings.holdout_tags:
            break
        rows = sample[order[groups[tag] : groups[tag + 1]]]
        more = int((~held[rows]).sum())
        if taken + more <= most:
            held[rows] = True
            taken += more
            chosen.append(tag)
    if len(chosen) < settings.holdout_tags:
        raise ConfigError(
            f"`holdout_tags` is {settings.holdout_tags}, but only {len(chosen)} can be held out: {len(frequent):,} "
            f"tags have {settings.min_count} samples or more, and at most {int(most):,} samples may go",
            hint="hold fewer out, lower `--min-count` or raise `--max-share`",
        )
    part = np.where(usable, np.where(held, HELD_OUT, POOL), LEFT_OUT).astype(np.uint8)
    for row in _seen(part, offsets, table.ids, counts - np.bincount(tags[held[sample]], minlength=size), ids, settings):
        part[row] = SEEN
    return Split(part, np.array(chosen, np.int64))


def _seen(
    part: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    tags: NDArray[np.uint32],
    left: NDArray[np.int64],
    ids: Sequence[str],
    settings: SplitSettings,
) -> list[int]:
    """Samples of the pool to set apart; of each of their tags one more sample stays at least."""
    if not settings.eval:
        return []
    found: list[int] = []
    pool = [int(row) for row in np.flatnonzero((part == POOL) & (np.diff(offsets) > 0))]
    for row in sorted(pool, key=lambda row: (seeded(settings.seed, ids[row]), row)):
        own = tags[offsets[row] : offsets[row + 1]]
        if (left[own] > 1).all():
            left[own] -= 1
            found.append(row)
            if len(found) == settings.eval:
                return found
    raise ConfigError(
        f"`eval` is {settings.eval}, but only {len(found):,} samples of the pool can go without a tag going with them",
        hint="set fewer apart: `--eval N`",
    )


def split_stage(path: str | Path, said: Mapping[str, Any], talk: Talk) -> dict[str, Any]:
    """`split/`: pool, heldout and seen as JSON lines, tags, samples. Reads `normalize/`, and the source files."""
    run, settings = Run(path), settings_from(SplitSettings, said)

    def make(out: Output) -> None:
        import polars as pl

        _need_text(run)
        rows = sample_rows(run, "normalize").with_columns(pl.col("tags").cast(pl.List(pl.String)))
        table = TagTable.from_series(rows["tags"])
        found = split(table, settings, ids=rows["id"].to_list(), eligible=complete_samples(run, "normalize"))
        for number, name in enumerate(PARTS[:LEFT_OUT]):
            chosen = np.flatnonzero(found.part == number)
            if len(chosen):
                _write(out, name, run, rows, chosen)
        tags = _by_tag(table, found)
        part = pl.Series("part", [PARTS[at] for at in found.part], pl.Categorical)
        out.table("tags", tags)
        out.table("samples", rows.select(pl.int_range(pl.len(), dtype=pl.Int64).alias("row"), "id", part))
        sizes = np.bincount(found.part, minlength=len(PARTS))
        out.counts |= {name.replace(" ", "_"): int(count) for name, count in zip(PARTS, sizes, strict=True)}
        out.counts |= {
            "tags": len(tags),
            "held_out": tags.filter("held_out").select("tag", "heldout").to_dicts(),
            "gone_with_them": int(((tags["pool"] == 0) & ~tags["held_out"] & (tags["heldout"] > 0)).sum()),
        }
        out.notes.append(label_of(run))

    return make_stage(run, "split", dataclasses.asdict(settings), stage_inputs(run, "tag", "normalize"), make, talk)


def _need_text(run: Run) -> None:
    if run.need("tag")["settings"].get("tagger") == "import":
        raise DataError(
            f"`{run.path}` holds imported tags, not conversations that could be split",
            hint="split a run of `instag tag`",
        )


def _write(out: Output, name: str, run: Run, rows: pl.DataFrame, chosen: NDArray[np.int64]) -> None:
    """One `{"messages": [...], "instag": {"id", "tags"}}` a sample, in the order of the pool."""
    from instag.writing import write_selected

    schema = run.need("tag")["settings"].get("schema")
    notes = rows[chosen].select("id", "tags").iter_rows()
    with out.file(f"{name}.jsonl") as file:
        plain = file.with_name(f".{name}-plain.part")
        write_selected(plain, *source_records(run, chosen), chosen, format="messages", schema=schema)
        with (
            open(plain, encoding="utf-8", newline="\n") as lines,
            open(file, "w", encoding="utf-8", newline="\n") as to,
        ):
            for line, (own, tags) in zip(lines, notes, strict=True):
                note = json.dumps({"id": own, "tags": tags}, ensure_ascii=False)
                to.write(f'{line.removesuffix(chr(10)).removesuffix("}")},"instag":{note}}}\n')
        plain.unlink()


def _by_tag(table: TagTable, found: Split) -> pl.DataFrame:
    """One row a tag: how many samples of each part have it, whether it was held out."""
    import polars as pl

    part = np.repeat(found.part, np.diff(table.offsets))
    size = len(table.vocabulary)
    columns = {
        name: np.bincount(table.ids[part == number], minlength=size).astype(np.int64)
        for number, name in enumerate(PARTS[:LEFT_OUT])
    }
    held = np.zeros(size, bool)
    held[found.tags] = True
    frame = pl.DataFrame({"tag": table.vocabulary.cast(pl.String), **columns, "held_out": held})
    return frame.sort(-pl.sum_horizontal(PARTS[:LEFT_OUT]), "tag")
