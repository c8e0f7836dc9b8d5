"""From raw tags to a consistent vocabulary: the paper's four steps, and a ledger of what became of every raw tag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic

from instag.errors import DataError
from instag.memory import require
from instag.normalize_settings import STEPS, NormalizeSettings
from instag.normalize_steps import Rows, Steps
from instag.overrides import Overrides
from instag.semantic import Linkage, Merge, Neighbors
from instag.shards import TagShards
from instag.table import FROM_SERIES, TagTable

if TYPE_CHECKING:
    import polars as pl

    from instag.embedders import Embedder
    from instag.merges import Sort

LEDGER_BYTES = 44  # a row, its strings aside

# What a skipped step leaves unused: named in its note where it was said.
_DEFAULTS = NormalizeSettings()
_SETTINGS_OF = {
    "frequency": ("min_count",),
    "rule": ("stemmer", "paper_rules"),
    "semantic": ("embedder", "max_cosine_distance", "merge", "linkage", "neighbors"),
    "association": ("min_rule_count", "min_rule_confidence"),
}


@dataclass(frozen=True, repr=False, eq=False)
class Normalization(Generic[Rows]):
    """What `normalize` made.

    `table`: the same rows over the final vocabulary (by count descending, then bytewise). `ledger`: one row a raw tag,
    by count descending, then bytewise: `raw`, `count`, `step` (the last step that changed its name: `rule`, `semantic`,
    `association`, `override`; `kept` where it has its own name, `rare` where it was dropped), `into` (the final tag,
    null where dropped), `by` (the stemmer of `rule`, the embedder of `semantic`), `round` (association), `evidence`
    (the cosine or the confidence), `reason` (of `rule`: `case`, `separators` or `stem`; of `lexical`: the rules without
    which the tag would have stayed, joined by +; of a guarded model `cosine`, see docs/semantics.md; of an `override`
    `merge`, `apart`, `drop` or `rename`). `steps`: one row a step that ran: `step`, `tags` (distinct, left after it),
    `occurrences` (left in all rows). `notes`: lines for people.
    `limits`: the least `cosine` of a model's merges and, guarded, the least `differing_cosine` of the words by which
    two tags differ; the least `confidence` and `rule_count` of an association.
    """

    table: Rows
    ledger: pl.DataFrame
    steps: pl.DataFrame
    notes: list[str]
    limits: dict[str, float] = field(default_factory=dict)

    def merges(self, sort: Sort = "doubt") -> pl.DataFrame:
        """The raw tags that were given another name, the closest calls first (see `instag.merges.list_merges`)."""
        import polars as pl

        from instag.merges import list_merges

        tags = pl.DataFrame({"tag": self.table.vocabulary, "count": self.table.counts})
        return list_merges(self.ledger, tags, self.limits, sort=sort)

    def __repr__(self) -> str:
        tags = f"{len(self.ledger):,} raw tags -> {len(self.table.vocabulary):,} tags"
        return f"Normalization({tags}, {len(self.table):,} rows)"


def normalize(
    table: Rows,
    *,
    min_count: int = 20,
    max_cosine_distance: float | None = None,
    min_rule_count: int = 40,
    min_rule_confidence: float = 0.99,
    embedder: str | Embedder = "lexical",
    merge: Merge | None = None,
    linkage: Linkage = "single",
    neighbors: Neighbors = "auto",
    stemmer: str = "inflection",
    paper_rules: bool = False,
    skip: Sequence[str] = (),
    overrides: Overrides | str | Path | None = None,
) -> Normalization[Rows]:
    """Makes raw tags consistent by the paper's four steps, in this order; `skip` leaves steps out by name.

    `frequency` drops raw strings in fewer than `min_count` rows (give one row a query). `rule` merges tags of one rule
    form (see `stemmer`, `paper_rules` and docs/method.md). `semantic` merges names within `max_cosine_distance` (None:
    the embedder's own), with guards beside the model unless `merge` is `paper` (`merge_semantic`). `association` merges
    A into B where at least `min_rule_count` rows hold both and they are `min_rule_confidence` of A's rows, round after
    round. A group is called by its most frequent raw surface (ties: shorter, then bytewise), after an association by
    the consequent. `overrides`, a file or an object, are a person's word before all of these (docs/overrides.md). Rows
    keep their order; a row may end empty.
    Linear in the ids for each step, string work once a distinct tag. Raises `ConfigError` for a setting outside its
    domain and `ProviderError` where a remote embedder fails. Source: section 2.2 of the paper (arXiv 2308.07074).

    >>> import polars as pl
    >>> rows = pl.Series([["Web Development", "c++"], ["web developments", "C"], ["Web Development", "typo"]])
    >>> made = normalize(TagTable.from_series(rows), min_count=1, skip=["semantic", "association"])
    >>> made.table.to_series().to_list()
    [['Web Development', 'c++'], ['Web Development', 'C'], ['Web Development', 'typo']]
    >>> made.steps.rows()
    [('raw', 5, 6), ('frequency', 5, 6), ('rule', 4, 6)]
    """
    if not isinstance(table, (TagTable, TagShards)):
        raise DataError(f"`table` is a {type(table).__name__}, must be a TagTable", hint=FROM_SERIES)
    settings = NormalizeSettings(
        min_count=min_count,
        max_cosine_distance=max_cosine_distance,
        min_rule_count=min_rule_count,
        min_rule_confidence=min_rule_confidence,
        embedder=embedder,
        merge=merge,
        linkage=linkage,
        neighbors=neighbors,
        stemmer=stemmer,
        paper_rules=paper_rules,
        skip=tuple(skip) if not isinstance(skip, str) else (skip,),
    )
    size = len(table.vocabulary)
    require(
        LEDGER_BYTES * size, f"a ledger of {size:,} raw tags", hint="drop tags that occur once before, shard by shard"
    )
    work = Steps(table, Overrides.of(overrides))
    work.drop()
    for step in STEPS:
        if step == "association":
            work.merge()
        if step in settings.skip:
            unused = [name for name in _SETTINGS_OF[step] if getattr(settings, name) != getattr(_DEFAULTS, name)]
            said = f", and {', '.join(f'`{name}`' for name in unused)} with it" if unused else ""
            work.notes.append(f"{step}: skipped{said}")
        else:
            getattr(work, step)(settings)
    return Normalization(*work.finish(), work.notes, work.limits)
