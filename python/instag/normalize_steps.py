"""The steps of normalization on one vocabulary: which tag each raw tag is after each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from instag import _core
from instag.association import merge_associations
from instag.embedders import Lexical, resolve
from instag.errors import ConfigError
from instag.normalize_settings import STEPS, NormalizeSettings
from instag.semantic import merge_semantic
from instag.shards import DROPPED, TagShards
from instag.table import TagTable, by_count, places

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

Rows = TypeVar("Rows", TagTable, TagShards)

RULE_COUNT_RATIO = 2  # the paper's 40 / 20: `min_rule_count` for a `min_count`
USABLE_TAGS = 100


class Steps(Generic[Rows]):
    """The vocabulary while the steps run: which tag each raw tag is now, and by which raw tag each is called.

    Tags are numbered by the order of their names (`_by_surface`), so nothing depends on the order of the input. What is
    told of raw tags is told of those that are not dropped: of 50 million there may be few.
    """

    def __init__(self, table: Rows) -> None:
        size = len(table.vocabulary)
        self.raw, self.counts = table.vocabulary, table.counts
        self.source: Rows = table
        self.rows: Rows | None = table  # None: to be renamed
        self._keep(np.arange(size))
        self.by: dict[str, str] = {}  # the stemmer of `rule`, the embedder of `semantic`
        self.steps: list[tuple[str, int, int]] = [("raw", size, int(table.counts.sum()))]
        self.notes: list[str] = []

    def _keep(self, alive: NDArray[np.int64]) -> None:
        """Every raw tag of `alive` is a tag of its own, all others are dropped."""
        self.alive = self.names = alive  # tag -> raw tag
        self.at = np.arange(len(alive))  # raw tag that is alive -> tag
        self.tag_counts = self.counts[alive]
        self.step = np.zeros(len(alive), np.int8)  # 0: kept, else 1 + the position in STEPS
        self.round = np.zeros(len(alive), np.int32)
        self.evidence = np.zeros(len(alive))  # NaN where moved without any
        self.reason = np.zeros(len(alive), np.uint32)  # the place in `reasons`
        self.reasons: list[str | None] = [None]

    def frequency(self, settings: NormalizeSettings) -> None:
        """Drops raw strings that occur too rarely; says so where that takes most of the pool."""
        keep = self.counts >= settings.min_count
        self._keep(np.flatnonzero(keep))
        self.rows = None
        self.steps.append(("frequency", len(self.names), int(self.tag_counts.sum())))
        self.notes += _small_pool(self.counts, settings.min_count)

    def rule(self, settings: NormalizeSettings) -> None:
        """Merges tags of one rule form."""
        import polars as pl

        names = self.raw.gather(self.names)
        table, groups = _core.rule_forms(names, settings.stemmer, settings.paper_rules)
        if not settings.paper_rules:
            words = pl.DataFrame(table)["form"].str.split(" ").list.set_intersection(_core.protected_names())
            kept = words.explode(empty_as_null=False).unique(maintain_order=True)
            if len(kept):
                self.notes.append(f"rule: names that keep their symbols: {', '.join(kept)}")
        self.by["rule"] = "paper's rules" if settings.paper_rules else settings.stemmer
        self._merge("rule", groups.astype(np.int64))

    def semantic(self, settings: NormalizeSettings) -> None:
        """Merges names that mean the same to the embedder."""
        merged = merge_semantic(
            self.raw.gather(self.names).to_list(),
            self.tag_counts,
            embedder=settings.embedder,
            max_cosine_distance=settings.max_cosine_distance,
            linkage=settings.linkage,
            neighbors=settings.neighbors,
        )
        self.by["semantic"] = merged.embedder
        distance = f", max_cosine_distance {merged.max_cosine_distance:g}" if merged.max_cosine_distance else ""
        self.notes.append(f"semantic: embedder `{merged.embedder}`{distance}")
        self.notes += [f"semantic: {note}" for note in merged.notes]
        groups, reasons = np.asarray(merged.groups, np.int64), None
        embedder = resolve(settings.embedder)
        if isinstance(embedder, Lexical):
            into = self._leaders(groups)[groups]
            reasons = embedder.reasons(self.raw.gather(self.names).to_list(), into)
        self._merge("semantic", groups, evidence=np.asarray(merged.evidence), reasons=reasons)

    def association(self, settings: NormalizeSettings) -> None:
        """Merges a tag into the one that nearly always comes with it, to the fixed point."""
        names = self.raw.gather(self.names)
        bytewise = places(np.asarray(names.arg_sort(), np.uint32))
        limits = settings.min_rule_count, settings.min_rule_confidence
        try:
            into, rounds, confidence = merge_associations(self._renamed(), bytewise, *limits)
        except ValueError as error:
            raise ConfigError(f"association: {error}") from None
        moved, last = int((rounds > 0).sum()), int(rounds.max(initial=0))
        self.notes.append(f"association: {moved:,} tags merged in {last} round{'' if last == 1 else 's'}")
        if len(self.tag_counts) and self.tag_counts.max() < settings.min_rule_count:
            self.notes.append(
                f"association: no tag is in {settings.min_rule_count} queries, so no rule can hold; "
                f"the paper's ratio gives min_rule_count={RULE_COUNT_RATIO * settings.min_count}"
            )
        roots, groups = np.unique(into, return_inverse=True)
        self._merge("association", groups.ravel(), names=self.names[roots], rounds=rounds, evidence=confidence)

    def _merge(
        self,
        step: str,
        groups: NDArray[np.int64],
        *,
        names: NDArray[np.int64] | None = None,
        rounds: NDArray[np.int32] | None = None,
        evidence: NDArray[np.float64] | None = None,
        reasons: list[str] | None = None,
    ) -> None:
        """Makes `groups` (one entry a tag) the tags; without `names` a group is called by its best surface."""
        if names is None:
            names = self.names[self._leaders(groups)]
        order = np.argsort(_by_surface(self.raw.gather(names), self.counts[names]))
        groups, names = places(order)[groups], names[order]

        after = groups[self.at]
        moved = np.flatnonzero(self.names[self.at] != names[after])
        moved_from = self.at[moved]
        self.step[moved] = 1 + STEPS.index(step)
        self.evidence[moved] = np.nan if evidence is None else evidence[moved_from]
        self.round[moved] = 0 if rounds is None else rounds[moved_from]
        self.reason[moved] = 0
        if reasons is not None:
            distinct = sorted(set(reasons))
            place = {reason: at for at, reason in enumerate(distinct, len(self.reasons))}
            self.reasons += distinct
            self.reason[moved] = np.array([place[reason] for reason in reasons], np.uint32)[moved_from]
        self.at, self.names, self.rows = after, names, None
        self.tag_counts = self.source.renamed_counts(self._codes(self.at), len(names))
        self.steps.append((step, len(names), int(self.tag_counts.sum())))

    def _leaders(self, groups: NDArray[np.int64]) -> NDArray[np.int64]:
        """The tag that each group is called by: the best surface."""
        place = _by_surface(self.raw.gather(self.names), self.counts[self.names])
        best = np.full(int(groups.max(initial=-1)) + 1, len(self.names))
        np.minimum.at(best, groups, place)
        return np.asarray(np.argsort(place)[best], np.int64)

    def _renamed(self) -> Rows:
        """The rows in the tags of now."""
        if self.rows is None:
            self.rows = self.source.renamed(self.raw.gather(self.names), self._codes(self.at))
        return self.rows

    def _codes(self, at: NDArray[np.int64]) -> NDArray[np.uint32]:
        """Tags as `renamed` takes them, all raw tags that are not alive dropped."""
        return self._spread(at.astype(np.uint32), np.uint32(DROPPED))

    def _spread(self, values: NDArray[Any], fill: Any) -> NDArray[Any]:
        """What is told of raw tags that are alive, as one of all raw tags."""
        whole = np.full(len(self.raw), fill, values.dtype)
        whole[self.alive] = values
        return whole

    def finish(self) -> tuple[Rows, pl.DataFrame, pl.DataFrame]:
        """The table in its final order, the ledger, and what each step left."""
        import polars as pl

        order = by_count(self.raw.gather(self.names), self.tag_counts)
        place = places(order)
        vocabulary = self.raw.gather(self.names[order]).alias("tag")
        codes = self._codes(place[self.at])
        table = self.source.renamed(vocabulary, codes, self.tag_counts[order])
        # A ledger may be 50 million rows: texts of few kinds are codes, and rows are moved only where they must be.
        step = self._spread((self.step + 1).astype(np.uint32), 0)
        evidence = np.where(self.step > 0, self.evidence, np.nan)
        by = [None, None, *map(self.by.get, STEPS)]
        into = pl.concat([vocabulary, pl.Series("tag", [None], dtype=pl.String)])
        ledger = pl.DataFrame(
            {
                "raw": self.raw,
                "count": self.counts,
                "step": pl.Series(["rare", "kept", *STEPS], dtype=pl.Categorical).gather(step),
                "by": pl.Series(by, dtype=pl.Categorical).gather(step),
                "into": into.gather(np.minimum(codes, len(vocabulary))),
                "round": pl.Series(self._spread(self.round, 0)).replace(0, None),
                "evidence": pl.Series(self._spread(evidence, np.nan)).fill_nan(None),
                "reason": pl.Series(self.reasons, dtype=pl.Categorical).gather(self._spread(self.reason, 0)),
            }
        )
        rows = _core.by_count(self.raw, self.counts)
        if (rows[1:] < rows[:-1]).any():
            ledger = ledger[rows]
        steps = pl.DataFrame(self.steps, schema=["step", "tags", "occurrences"], orient="row")
        return table, ledger, steps


def _by_surface(words: pl.Series, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each word: more frequent first, then shorter (in characters), then bytewise."""
    import polars as pl

    frame = pl.DataFrame({"word": words, "count": counts, "length": words.str.len_chars()}).with_row_index()
    order = frame.sort("count", "length", "word", descending=[True, False, False])["index"]
    return places(np.asarray(order, np.int64))


def _small_pool(counts: NDArray[np.int64], min_count: int) -> list[str]:
    """Says that frequency filtering leaves no usable vocabulary, and which values would.

    Usable: half of the tag occurrences and `USABLE_TAGS` tags survive (half of the tags, where there are fewer than
    twice that). Told is the largest `min_count` that keeps both, and `min_rule_count` at the paper's ratio to it.
    """
    kept = counts[counts >= min_count]
    total, least = int(counts.sum()), min(USABLE_TAGS, len(counts) // 2)
    if 2 * int(kept.sum()) >= total and len(kept) >= least:
        return []
    falling = np.sort(counts)[::-1]
    half = int(np.searchsorted(2 * np.cumsum(falling), total)) + 1
    usable = int(falling[max(half, least) - 1])
    would_keep = counts[counts >= usable]
    return [
        f"frequency: the pool is too small for min_count={min_count}: {len(kept):,} of {len(counts):,} tags are left, "
        f"with {100 * int(kept.sum()) / total:.0f} % of the tag occurrences; min_count={usable}, "
        f"min_rule_count={RULE_COUNT_RATIO * usable} would keep {len(would_keep):,} tags, "
        f"with {100 * int(would_keep.sum()) / total:.0f} %"
    ]
