"""The steps of normalization on one vocabulary: which tag each raw tag is after each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from instag import _core
from instag.association import merge_associations
from instag.embedders import Lexical
from instag.errors import ConfigError
from instag.normalize_settings import STEPS, NormalizeSettings
from instag.overrides import Overrides
from instag.overriding import Sides, find, merged_sides, parted, parted_with_variants
from instag.rule_reasons import rule_reasons
from instag.semantic import merge_semantic
from instag.shards import DROPPED, TagShards
from instag.table import TagTable, by_count, places

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

Rows = TypeVar("Rows", TagTable, TagShards)

LEDGER_STEPS = (*STEPS, "override")
RULE_COUNT_RATIO = 2  # the paper's 40 / 20: `min_rule_count` for a `min_count`
USABLE_TAGS = 100


class Steps(Generic[Rows]):
    """The vocabulary while the steps run: which tag each raw tag is now, and by which raw tag each is called.

    Tags are numbered by the order of their names (`by_surface`), so nothing depends on the order of the input. What is
    told of raw tags is told of those that are not dropped: of 50 million there may be few.
    """

    def __init__(self, table: Rows, overrides: Overrides | None = None) -> None:
        size = len(table.vocabulary)
        self.raw, self.counts = table.vocabulary, table.counts
        self.source: Rows = table
        self.rows: Rows | None = table  # None: to be renamed
        self._keep(np.arange(size))
        self.by: dict[str, str] = {}  # the stemmer of `rule`, the embedder of `semantic`
        self.limits: dict[str, float] = {}  # as `Normalization` has them
        self.steps: list[tuple[str, int, int]] = [("raw", size, int(table.counts.sum()))]
        self.overrides = find(overrides or Overrides(), self.raw, self.counts)
        self.notes: list[str] = [*self.overrides.notes]

    def drop(self) -> None:
        """Leaves out the raw tags that a person dropped."""
        if len(self.overrides.dropped):
            self._keep(np.setdiff1d(self.alive, self.overrides.dropped))
            self.rows = None
            self.steps.append(("drop", len(self.names), int(self.tag_counts.sum())))

    def _keep(self, alive: NDArray[np.int64]) -> None:
        """Every raw tag of `alive` is a tag of its own, all others are dropped."""
        self.alive = self.names = alive  # tag -> raw tag
        self.at = np.arange(len(alive))  # raw tag that is alive -> tag
        self.tag_counts = self.counts[alive]
        self.step = np.zeros(len(alive), np.int8)  # 0: kept, else 1 + the position in LEDGER_STEPS
        self.round = np.zeros(len(alive), np.int32)
        self.evidence = np.zeros(len(alive))  # NaN where moved without any
        self.reason = np.zeros(len(alive), np.uint32)  # the place in `_reason_places`
        self._reason_places: dict[str | None, int] = {None: 0}

    def frequency(self, settings: NormalizeSettings) -> None:
        """Drops raw strings that occur too rarely; says so where that takes most of the pool."""
        keep = self.counts >= settings.min_count
        for group in self.overrides.united:
            if not keep[group].all():  # what a person merges is counted as one
                one = np.full(len(self.raw), DROPPED, np.uint32)
                one[group] = 0
                keep[group] = self.source.renamed_counts(one, 1)[0] >= settings.min_count
        keep[self.overrides.dropped] = False
        self._keep(np.flatnonzero(keep))
        self.rows = None
        self.steps.append(("frequency", len(self.names), int(self.tag_counts.sum())))
        self.notes += _small_pool(self.counts, settings.min_count)

    def rule(self, settings: NormalizeSettings) -> None:
        """Merges tags of one rule form."""
        import polars as pl

        names = self.raw.gather(self.names)
        table, numbers = _core.rule_forms(names, settings.stemmer, settings.paper_rules)
        if not settings.paper_rules:
            words = pl.DataFrame(table)["form"].str.split(" ").list.set_intersection(_core.protected_names())
            kept = words.explode(empty_as_null=False).unique(maintain_order=True)
            if len(kept):
                self.notes.append(f"rule: names that keep their symbols: {', '.join(kept)}")
        self.by["rule"] = "paper's rules" if settings.paper_rules else settings.stemmer
        groups, left = numbers.astype(np.int64), list[int]()
        if sides := self._sides():
            # What leaves takes along its other spellings: what is one tag to the rules without a stemmer too.
            unstemmed = _core.rule_forms(names, "none", False)[1].astype(np.int64)
            variants = np.unique(groups * (int(unstemmed.max(initial=0)) + 1) + unstemmed, return_inverse=True)[1]
            groups, left = parted_with_variants(groups, variants.ravel(), sides, self._surface_places())
        reasons = rule_reasons(names, self._leaders(groups)[groups], settings.paper_rules)
        self._merge("rule", groups, reasons=reasons, left=left)

    def semantic(self, settings: NormalizeSettings) -> None:
        """Merges names that mean the same to the embedder."""
        merged = merge_semantic(
            self.raw.gather(self.names).to_list(),
            self.tag_counts,
            embedder=settings.embedder,
            max_cosine_distance=settings.max_cosine_distance,
            merge=settings.merge,
            linkage=settings.linkage,
            neighbors=settings.neighbors,
        )
        self.by["semantic"] = merged.embedder
        distance = f", max_cosine_distance {merged.max_cosine_distance:g}" if merged.max_cosine_distance else ""
        self.notes.append(f"semantic: embedder `{merged.embedder}`{distance}")
        self.notes += [f"semantic: {note}" for note in merged.notes]
        groups, left = parted(np.asarray(merged.groups, np.int64), self._sides(), self._surface_places())
        if merged.embedder != Lexical.identity:
            self.limits["cosine"] = 1 - merged.max_cosine_distance
        if merged.min_differing_cosine is not None:
            self.limits["differing_cosine"] = merged.min_differing_cosine
        evidence, reasons = merged.told(self.raw.gather(self.names).to_list(), self._leaders(groups)[groups])
        self._merge("semantic", groups, evidence=evidence, reasons=reasons, left=left)

    def merge(self) -> None:
        """Makes one tag of what a person merged, called by the last name of the list."""
        united = [group[self._is_alive(group)] for group in self.overrides.united]
        united = [group for group in united if len(group) > 1]
        if not united:
            return
        tags = [self._tags(group) for group in united]
        ends = np.repeat([group[-1] for group in tags], [len(group) for group in tags])
        size = len(self.names)
        joined = _core.single_linkage(size, np.concatenate(tags).astype(np.uint32), ends.astype(np.uint32))
        groups, left = parted(joined, self._sides(), self._surface_places())
        for group, own in zip(united, tags, strict=True):
            if len(set(groups[own])) > 1:
                told = " and ".join(f"`{name}`" for name in self.raw.gather(group))
                self.notes.append(
                    f"overrides: merge: {told} stay apart: what they are made of is kept apart by `apart`"
                )
        names = self.names[self._leaders(groups)]
        targets = np.array([group[-1] for group in united])
        for at in np.argsort(-by_surface(self.raw.gather(targets), self.counts[targets])):
            together = groups[tags[at]] == groups[tags[at][-1]]
            if together.sum() > 1:  # the most frequent last, where one tag is called in several ways
                names[groups[tags[at][-1]]] = targets[at]
        self._merge("override", groups, names=names, reasons=["merge"] * size, left=left, told="merge")

    def association(self, settings: NormalizeSettings) -> None:
        """Merges a tag into the one that nearly always comes with it, to the fixed point."""
        bytewise = places(np.asarray(self.raw.gather(self.names).arg_sort(), np.uint32))
        limits = settings.min_rule_count, settings.min_rule_confidence
        self.limits |= {"confidence": settings.min_rule_confidence, "rule_count": settings.min_rule_count}
        try:
            merged = merge_associations(self._renamed(), bytewise, *limits, self._sides())
        except ValueError as error:
            raise ConfigError(f"association: {error}") from None
        into, rounds, confidence, stayed = merged
        moved, last = int((rounds > 0).sum()), int(rounds.max(initial=0))
        self.notes.append(f"association: {moved:,} tags merged in {last} round{'' if last == 1 else 's'}")
        if len(self.tag_counts) and self.tag_counts.max() < settings.min_rule_count:
            self.notes.append(
                f"association: no tag is in {settings.min_rule_count} queries, so no rule can hold; "
                f"the paper's ratio gives min_rule_count={RULE_COUNT_RATIO * settings.min_count}"
            )
        roots, groups = np.unique(into, return_inverse=True)
        left = [tag for tag in stayed if into[tag] == tag]
        names = self.names[roots]
        self._merge("association", groups.ravel(), names=names, rounds=rounds, evidence=confidence, left=left)

    def _merge(
        self,
        step: str,
        groups: NDArray[np.int64],
        *,
        names: NDArray[np.int64] | None = None,
        rounds: NDArray[np.int32] | None = None,
        evidence: NDArray[np.float64] | None = None,
        reasons: list[str] | None = None,
        left: Sequence[int] = (),
        told: str | None = None,
    ) -> None:
        """Makes `groups` (one entry a tag) the tags; without `names` a group is called by its best surface.

        `left` are tags that a person's `apart` took out of a group: what they are called by bears that as its reason.
        """
        if names is None:
            names = self.names[self._leaders(groups)]
        order = np.argsort(by_surface(self.raw.gather(names), self.counts[names]))
        groups, names = places(order)[groups], names[order]

        after, leaving = groups[self.at], groups[list(left)]
        moved = np.flatnonzero(self.names[self.at] != names[after])
        moved_from = self.at[moved]
        self.step[moved] = 1 + LEDGER_STEPS.index(step)
        self.evidence[moved] = np.nan if evidence is None else evidence[moved_from]
        self.round[moved] = 0 if rounds is None else rounds[moved_from]
        self.reason[moved] = 0
        if reasons is not None:
            self.reason[moved] = np.array([self._reason(reason) for reason in reasons], np.uint32)[moved_from]
        self.at, self.names, self.rows = after, names, None
        if len(leaving):
            self._overridden(names[leaving], "apart")
        self.tag_counts = self.source.renamed_counts(self._codes(self.at), len(names))
        self.steps.append((told or step, len(names), int(self.tag_counts.sum())))

    def _reason(self, reason: str) -> int:
        """The place of a reason among `reasons`."""
        return self._reason_places.setdefault(reason, len(self._reason_places))

    def _overridden(self, raw: NDArray[np.int64], reason: str) -> None:
        """A person decided what these raw tags, which are alive, are called."""
        at = np.searchsorted(self.alive, raw)
        self.step[at] = 1 + LEDGER_STEPS.index("override")
        self.evidence[at], self.round[at], self.reason[at] = np.nan, 0, self._reason(reason)

    def _is_alive(self, raw: NDArray[np.int64]) -> NDArray[np.bool_]:
        at = np.searchsorted(self.alive, raw)
        return np.asarray(np.append(self.alive, -1)[at] == raw, np.bool_)

    def _tags(self, raw: NDArray[np.int64]) -> NDArray[np.int64]:
        """The tags that raw tags, which are alive, are now."""
        return self.at[np.searchsorted(self.alive, raw)]

    def _sides(self) -> dict[int, Sides]:
        """What each tag of now must not meet."""
        if not self.overrides.sides:
            return {}
        named = np.fromiter(self.overrides.sides, np.int64, len(self.overrides.sides))
        alive = named[self._is_alive(named)]
        of_alive = {raw: self.overrides.sides[raw] for raw in alive.tolist()}
        return merged_sides(of_alive, dict(zip(alive.tolist(), self._tags(alive).tolist(), strict=True)))

    def _surface_places(self) -> NDArray[np.int64]:
        return by_surface(self.raw.gather(self.names), self.counts[self.names])

    def _leaders(self, groups: NDArray[np.int64]) -> NDArray[np.int64]:
        """The tag that each group is called by: the best surface."""
        place = self._surface_places()
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

    def _final_names(self) -> pl.Series:
        """What the tags are called, once a person has named them anew."""
        names = self.raw.gather(self.names).alias("tag")
        changed: dict[int, str] = {}
        for raw, new in self.overrides.renamed.items():
            old, own = self.raw[raw], np.array([raw])
            if not self._is_alive(own)[0]:
                self.notes.append(f"overrides: rename: `{old}` is rare, and dropped: nothing is called `{new}`")
                continue
            tag = int(self._tags(own)[0])
            if self.names[tag] != raw:
                self.notes.append(f"overrides: rename: `{old}` is part of `{names[tag]}` now, which keeps its name")
                continue
            taken = np.flatnonzero((self.raw == new).to_numpy())
            alive = taken[self._is_alive(taken)]
            if len(alive) and (other := int(self._tags(alive)[0])) != tag:
                what = "is a tag already" if names[other] == new else f"is part of the tag `{names[other]}`"
                raise ConfigError(
                    f"overrides: `rename`: `{old}` can't be called `{new}`, which {what}",
                    hint=f'to make one tag of the two: merge = [["{old}", "{new}"]]',
                )
            if len(taken) and not len(alive):
                self.notes.append(
                    f"overrides: rename: the raw tag `{new}` ({self.counts[taken[0]]:,}) stays dropped; "
                    f'merge = [["{old}", "{new}"]] would take it in'
                )
            self._overridden(np.append(alive, raw), "rename")
            changed[tag] = new
        if not changed:
            return names
        return names.scatter(list(changed), list(changed.values()))

    def finish(self) -> tuple[Rows, pl.DataFrame, pl.DataFrame]:
        """The table in its final order, the ledger, and what each step left."""
        import polars as pl

        names = self._final_names()
        order = by_count(names, self.tag_counts)
        place = places(order)
        vocabulary = names.gather(order)
        codes = self._codes(place[self.at])
        table = self.source.renamed(vocabulary, codes, self.tag_counts[order])
        # A ledger may be 50 million rows: texts of few kinds are codes, and rows are moved only where they must be.
        step = self._spread((self.step + 1).astype(np.uint32), 0)
        reason = self._spread(self.reason, 0)
        dropped = self.overrides.dropped
        step[dropped], reason[dropped] = 2 + LEDGER_STEPS.index("override"), self._reason("drop") if len(dropped) else 0
        evidence = np.where(self.step > 0, self.evidence, np.nan)
        by = [None, None, *map(self.by.get, LEDGER_STEPS)]
        into = pl.concat([vocabulary, pl.Series("tag", [None], dtype=pl.String)])
        reasons = pl.Series(list(self._reason_places), dtype=pl.Categorical)
        ledger = pl.DataFrame(
            {
                "raw": self.raw,
                "count": self.counts,
                "step": pl.Series(["rare", "kept", *LEDGER_STEPS], dtype=pl.Categorical).gather(step),
                "by": pl.Series(by, dtype=pl.Categorical).gather(step),
                "into": into.gather(np.minimum(codes, len(vocabulary))),
                "round": pl.Series(self._spread(self.round, 0)).replace(0, None),
                "evidence": pl.Series(self._spread(evidence, np.nan)).fill_nan(None),
                "reason": reasons.gather(reason),
            }
        )
        rows = _core.by_count(self.raw, self.counts)
        if (rows[1:] < rows[:-1]).any():
            ledger = ledger[rows]
        steps = pl.DataFrame(self.steps, schema=["step", "tags", "occurrences"], orient="row")
        return table, ledger, steps


def by_surface(words: pl.Series, counts: NDArray[np.int64]) -> NDArray[np.int64]:
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
