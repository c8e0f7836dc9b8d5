"""`instag agree`: two runs are read, compared, and told about."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instag.agreement import Agreement, AgreeSettings, agree, read_tagging
from instag.config import settings_from
from instag.errors import ArtifactError
from instag.progress import counted, shown
from instag.run import Run
from instag.staging import label_of

if TYPE_CHECKING:
    import polars as pl

    from instag.progress import Talk

_WIDEST = 60  # characters of a query, or of its tags, in a table
_APART = ("failed_in_a", "failed_in_b", "failed_in_both", "both_empty", "only_in_a", "only_in_b")


def agree_command(
    path_a: str | Path,
    path_b: str | Path,
    said: Mapping[str, Any],
    talk: Talk,
    *,
    limit: int = 10,
    out: str | None = None,
) -> dict[str, Any]:
    """Compares the runs, tells the figures and the worst of it, and gives the summary that `--json` prints."""
    from instag.embedders import EmbedderAccess, resolve

    settings, access = settings_from(AgreeSettings, said), settings_from(EmbedderAccess, said)
    embedder = None
    if settings.embedder is not None:
        embedder = resolve(
            settings.embedder,
            base_url=access.embedder_base_url,
            key_file=access.embedder_key_file,
            answers=access.answers,
            talk=talk,
        )
    names = (str(path_a), str(path_b))
    a, b = (read_tagging(name, settings) for name in names)
    found = agree(a, b, settings, embedder=embedder, names=names)
    labels = [label_of(Run(path)) for path in names]
    worst = {"tags": _parted(found.tags).head(limit), "queries": _parted(found.queries).head(limit)}
    talk.line("agree:")
    _tell(found, settings, labels, names, worst, talk)
    outputs = [] if out is None else _written(found, Path(out))
    for output in outputs:
        talk.line(f"  in {output}")
    return {
        "stage": "agree",
        "runs": list(names),
        "labels": labels,
        "settings": dataclasses.asdict(settings)
        | {"embedder": None if embedder is None else embedder.identity, "min_cosine": settings.limit},
        "counts": found.counts,
        "exact": found.exact,
        "fuzzy": found.fuzzy,
        "worst": {name: frame.to_dicts() for name, frame in worst.items()},
        "outputs": outputs,
    }


def _parted(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows of which not all agrees, in their order: the worst first."""
    import polars as pl

    last = [name for name in frame.columns if name.endswith("_f1")][-1]
    return frame.filter(pl.col(last) < 1)


def _tell(
    found: Agreement,
    settings: AgreeSettings,
    labels: list[str],
    names: tuple[str, str],
    worst: Mapping[str, pl.DataFrame],
    talk: Talk,
) -> None:
    for side, name, label in zip("ab", names, labels, strict=True):
        talk.line(f"  {side}: {name} ({label}){', taken to be right' if side == 'a' else ''}")
    unit = "query" if settings.by == "query" else "sample"
    counts = found.counts
    talk.line(f"  {counted(counts['compared'], unit)} compared, of {counted(counts['samples'], 'sample')}")
    if apart := [f"{counts[name]:,} {name.replace('_', ' ')}" for name in _APART if counts[name]]:
        talk.line(f"  not compared: {', '.join(apart)}")
    rows = [["exact", *_row(found.exact)]]
    if found.fuzzy is not None:
        how = "equal keys" if settings.limit is None else f"cosine > {settings.limit:g}"
        rows.append([f"fuzzy ({how}, {settings.matching})", *_row(found.fuzzy)])
    talk.table([f"{settings.average}, {settings.tags} tags", "precision", "recall", "F1", "95 % of F1"], rows)
    if found.fuzzy is None:
        talk.line("  no embedder is named, so no fuzzy F1: `--embedder NAME`")
    if len(worst["tags"]):
        kind = "exact_f1" if found.fuzzy is None else "fuzzy_f1"
        columns = ["tag", "in_a", "in_b", "both", kind]
        talk.table(
            ["agreed on least", "in a", "in b", "in both", "F1"],
            [list(row) for row in worst["tags"].select(columns).iter_rows()],
        )
    for row in worst["queries"].iter_rows(named=True):
        name = row["query"] if row["query"] is not None else f"{row['id']}, turn {row['turn']}"
        talk.line(f"  {_cut(name)}")
        for side in "ab":
            talk.line(f"    {side}: {_cut(', '.join(row[f'tags_{side}']) or '(none)')}")


def _row(figures: Mapping[str, Mapping[str, float | None]]) -> list[str]:
    low, high = figures["f1"]["low"], figures["f1"]["high"]
    between = "-" if low is None or high is None else f"{low:.1%} to {high:.1%}"
    return [*(f"{figures[name]['value']:.1%}" for name in ("precision", "recall", "f1")), between]


def _cut(text: str) -> str:
    text = shown(" ".join(text.split()))
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _written(found: Agreement, folder: Path) -> list[str]:
    paths = [folder / "tags.parquet", folder / "queries.parquet"]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, frame in zip(paths, (found.tags, found.queries), strict=True):
            frame.write_parquet(path, compression="zstd", statistics=False)
    except OSError as error:
        hint = "name a folder that can be written"
        raise ArtifactError(f"`{folder}` could not be written: {error.strerror or error}", hint=hint) from None
    return [str(path) for path in paths]
