"""What was merged, the closest calls first: a view of the ledger, for people to look through and take back."""

from __future__ import annotations

import json
import re
import shutil
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from instag.errors import ArtifactError, ConfigError
from instag.normalize_settings import STEPS
from instag.progress import shown, shown_width, table_lines
from instag.run import Run

if TYPE_CHECKING:
    from typing import Literal

    import polars as pl

    from instag.progress import Talk

    Sort = Literal["doubt", "stake", "count", "step"]

SORTS = ("doubt", "stake", "count", "step")
SHOWN = 40  # merges, where no limit was given
NARROWEST = 4  # of a column of names
MERGED_BY = (*STEPS[1:], "override")

# How far each rule of `lexical` can be trusted, the most first; of a rule that is not here as much as of the middle.
REASON_DOUBT = {
    "case": 0.0,
    "separators": 0.02,
    "script": 0.1,
    "spelling": 0.1,
    "compound": 0.15,
    "plural": 0.15,
    "function word": 0.3,
    "word order": 0.4,
    "verb and noun": 0.5,
    "adjective and noun": 0.5,
    "alias": 0.6,
}
UNKNOWN_REASON = 0.5
STEM_DOUBT = 0.2  # of words that only their stems join, beside the share of letters that differ
_SEPARATORS = re.compile(r"[\W_]+")


def list_merges(
    ledger: pl.DataFrame, tags: pl.DataFrame, limits: Mapping[str, float], *, sort: Sort = "doubt"
) -> pl.DataFrame:
    """The raw tags that a ledger gives another name, with `doubt`: from 0 (no question) to 1 (the closest call).

    `ledger` and `tags` (`tag`, `count`) are those of a normalization, `limits` the least evidence of a step. Columns:
    `raw`, `into`, `count`, `into_count` (rows with the final tag), `step`, `by`, `reason`, `evidence`, `doubt` (to two
    digits), `stake` (doubt times count). `sort`: by doubt, by stake, by count, or by step in their order, then doubt;
    ties go to more occurrences, then bytewise. What a name from `rename` hides is compared as it was before.

    - `rule`: 0 where case, marks and separators alone differ; 0.15 for a plural in -s; else 0.2 and the share of
      letters of the longer word (of the word that differs most) which the shorter does not begin with.
    - `semantic` by `lexical`: 1 - the product of (1 - doubt) over the rules in `reason` (see `REASON_DOUBT`).
    - `semantic` by a model: 1 where the cosine is at its limit, 0 where it is 1, a straight line between.
    - `association`: the same line over the confidence, or, if that is more, `min_rule_count` by the rows with both
      tags: the call is close at either limit.
    - `override`: 0, a person has decided.
    """
    import polars as pl

    if sort not in SORTS:
        raise ConfigError(f"`sort` is {sort!r}", hint=f"one of {', '.join(SORTS)}")
    renamed = ledger.filter((pl.col("reason") == "rename") & (pl.col("raw") != pl.col("into")))
    before = dict(renamed.select("into", "raw").iter_rows())
    merged = ledger.filter(
        (pl.col("raw") != pl.col("into")) & (pl.col("reason").is_null() | (pl.col("reason") != "rename"))
    )
    counts = tags.select(pl.col("tag").alias("into"), pl.col("count").alias("into_count"))
    merged = merged.join(counts, on="into", how="left", maintain_order="left")
    columns = ["raw", "into", "count", "step", "reason", "evidence"]
    doubts = [
        _doubt(raw, before.get(into, into), count, step, reason, evidence, limits)
        for raw, into, count, step, reason, evidence in merged.select(columns).iter_rows()
    ]
    doubt = pl.Series("doubt", np.round(np.array(doubts, np.float64), 2))
    merged = merged.with_columns(doubt, (doubt * merged["count"]).round(2).alias("stake"))
    place = pl.col("step").cast(pl.String).replace_strict(MERGED_BY, range(len(MERGED_BY)), return_dtype=pl.Int8)
    first = {"doubt": [], "stake": [-pl.col("stake")], "count": [-pl.col("count")], "step": [place]}[sort]
    merged = merged.sort(*first, -pl.col("doubt"), -pl.col("count"), "raw")
    return merged.select(*columns[:3], "into_count", "step", "by", "reason", "evidence", "doubt", "stake")


def _doubt(
    raw: str,
    into: str,
    count: int,
    step: str,
    reason: str | None,
    evidence: float | None,
    limits: Mapping[str, float],
) -> float:
    if step == "override":
        return 0.0
    if step == "rule":
        return _of_stems(raw, into)
    if reason and reason != "cosine":  # by `lexical`
        trust = 1.0
        for rule in reason.split("+"):
            trust *= 1 - REASON_DOUBT.get(rule, UNKNOWN_REASON)
        return 1 - trust
    limit = limits.get("confidence" if step == "association" else "cosine")
    if limit is None or evidence is None:
        return UNKNOWN_REASON
    doubt = (1 - evidence) / (1 - limit) if limit < 1 else float(evidence < 1)
    if step == "association":
        doubt = max(doubt, limits.get("rule_count", 0) / max(evidence * count, 1))
    return min(max(doubt, 0.0), 1.0)


def _of_stems(raw: str, into: str) -> float:
    """The doubt of two tags of one rule form.

    >>> pairs = ("Front-End", "front end"), ("apis", "API"), ("universe", "university")
    >>> [round(_of_stems(*pair), 2) for pair in pairs]
    [0.0, 0.15, 0.5]
    """
    a, b = (_SEPARATORS.sub(" ", unicodedata.normalize("NFKC", tag).casefold()).split() for tag in (raw, into))
    if "".join(a) == "".join(b):
        return 0.0
    if len(a) != len(b):
        a, b = [" ".join(a)], [" ".join(b)]
    furthest = 0.0
    for one, other in zip(a, b, strict=True):
        short, long = sorted((one, other), key=len)
        begins = next((at for at, pair in enumerate(zip(short, long, strict=False)) if pair[0] != pair[1]), len(short))
        share = 1 - begins / max(len(long), 1)
        plural = long in (f"{short}s", f"{short}es")
        furthest = max(furthest, 0.0 if one == other else REASON_DOUBT["plural"] if plural else STEM_DOUBT + share)
    return min(furthest, 1.0)


def show_merges(
    path: str | Path,
    talk: Talk,
    *,
    sort: Sort = "doubt",
    steps: Sequence[str] = (),
    limit: int | None = None,
    out: str | None = None,
) -> tuple[dict[str, Any], pl.DataFrame]:
    """The merges of a run: a summary of them, and those asked for. `out` is a Parquet file to write these to."""
    import polars as pl

    run = Run(path)
    manifest = run.need("normalize")
    if run.state("normalize") != "current":
        talk.warn(f"`normalize` of `{path}` is stale: `instag normalize` makes it again")
    tables = run.table("normalize", "ledger"), run.table("normalize", "tags", ["tag", "count"])
    found = list_merges(*tables, manifest["counts"].get("limits", {}), sort=sort)
    if steps:
        found = found.filter(pl.col("step").is_in(list(steps)))
    chosen = found if limit is None else found.head(limit)
    told = {"run": str(path), "stage": "merges", "total": len(found), "sort": sort, "out": out}
    if out is not None:
        try:
            chosen.write_parquet(out, compression="zstd", statistics=False)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise ArtifactError(f"`{out}` could not be written: {error}", hint="name a file that can be") from None
        talk.line(f"merges: {len(chosen):,} of {len(found):,} in {out}")
    return told, chosen


def as_table(merges: pl.DataFrame, width: int | None = None) -> list[str]:
    """Merges as lines of a table, names cut to fit `width` (by default that of the terminal; else nothing is cut)."""
    if width is None and sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
    header = ["doubt", "raw", "into", "count", "of", "step", "why", "evidence"]
    columns = ["doubt", "raw", "into", "count", "into_count", "step", "reason", "by", "evidence"]
    rows: list[list[object]] = []
    for doubt, raw, into, count, whole, step, reason, by, evidence in merges.select(columns).iter_rows():
        found = "-" if evidence is None else f"{evidence:.4f}"
        rows.append([doubt, raw, into, count, whole, step, reason or by or "-", found])
    if width is not None and rows:
        over = max(map(shown_width, table_lines(header, rows))) - width
        widths = {at: max(shown_width(str(row[at])) for row in rows) for at in (1, 2, 6)}
        while over > 0 and max(widths.values()) > NARROWEST:  # what is widest gives first
            widths[max(widths, key=lambda at: widths[at])] -= 1
            over -= 1
        for row in rows:
            for at, most in widths.items():
                row[at] = _cut(shown(str(row[at])), most)
    return table_lines(header, rows)


def as_toml(merges: pl.DataFrame) -> list[str]:
    """Merges as an `apart` list for `overrides.toml`, the reason behind each."""
    columns = ["raw", "into", "doubt", "step", "reason", "by"]
    lines = [
        f"  [{_toml(raw)}, {_toml(into)}],  # doubt {doubt:.2f}: {step}{f', {why}' if (why := reason or by) else ''}"
        for raw, into, doubt, step, reason, by in merges.select(columns).iter_rows()
    ]
    return [
        "# Keep the lines of what is not the same, in RUN/overrides.toml; then `instag normalize RUN`.",
        "apart = [",
        *lines,
        "]",
    ]


def _toml(name: str) -> str:
    return json.dumps(name, ensure_ascii=False).replace("\x7f", "\\u007f")


def _cut(text: str, width: int) -> str:
    if shown_width(text) <= width:
        return text
    while text and shown_width(text) > width - 1:
        text = text[:-1]
    return f"{text}…"
