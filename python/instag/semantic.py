"""Step 3 of normalization: tags that mean the same become one group, by an embedder's cosines or by words alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from instag import _core, thresholds
from instag.embedders import PHRASE_BERT, Embedder, Lexical, embed, resolve
from instag.errors import ConfigError, DataError
from instag.guarded import Guarded, merge_guarded
from instag.neighbors import Pairs, pairs_within

if TYPE_CHECKING:
    from numpy.typing import NDArray

Linkage = Literal["single", "complete"]
Neighbors = Literal["auto", "exact", "hnsw"]
Merge = Literal["paper", "guarded"]

# A distance above this is a similarity typed by mistake: the paper's 0.05 is a distance, the similarity is 0.95.
WIDEST_DISTANCE = 0.5


@dataclass(frozen=True, repr=False, eq=False)
class SemanticMerge:
    """Which tags mean the same.

    `groups` (int64) is each surface's group, numbered by first member; `evidence` (float64) its highest cosine to
    another member of its group, NaN where it stands alone; `notes` are lines for people; `embedder` is the identity
    that enters the stage's key; `max_cosine_distance` is the one used, `min_differing_cosine` too (None where nothing
    is guarded). `keys` (int64) are the groups of `lexical` alone, None where a model alone decided.
    """

    groups: NDArray[np.int64]
    evidence: NDArray[np.float64]
    notes: list[str]
    embedder: str
    max_cosine_distance: float
    keys: NDArray[np.int64] | None = None
    min_differing_cosine: float | None = None

    def __repr__(self) -> str:
        groups = int(self.groups.max()) + 1 if len(self.groups) else 0
        return f"SemanticMerge({len(self.groups):,} tags, {groups:,} groups, {self.embedder})"

    def told(self, surfaces: Sequence[str], into: NDArray[np.int64]) -> tuple[NDArray[np.float64], list[str] | None]:
        """The evidence and the reason of each surface that is merged into `surfaces[into[i]]`.

        By `lexical`: 1 and its rules; by a model that ran with guards: its highest cosine and `cosine`. None for the
        reasons where a model alone decided.
        """
        if self.keys is None:
            return self.evidence, None
        reasons = Lexical().reasons(surfaces, into)
        by_words = (self.keys == self.keys[into]) & np.isfinite(self.evidence)
        moved = into != np.arange(len(into))
        by_cosine = moved & ~by_words
        reasons = ["cosine" if cosine else reason for cosine, reason in zip(by_cosine, reasons, strict=True)]
        return np.where(by_words, 1.0, self.evidence), reasons


def merge_semantic(
    surfaces: list[str],
    counts: NDArray[np.int64],
    *,
    embedder: str | Embedder = "lexical",
    max_cosine_distance: float | None = None,
    merge: Merge | None = None,
    linkage: Linkage = "single",
    neighbors: Neighbors = "auto",
) -> SemanticMerge:
    """Groups surface forms (never stems) whose cosine distance is at most `max_cosine_distance`.

    `counts` are the surfaces' occurrences. `embedder` is `lexical` (no model: exact keys, evidence 1.0, no distance),
    `openai:MODEL`, `sentence-transformers:NAME_OR_FOLDER`, or an `Embedder`. `merge` is how a model merges: `guarded`
    (`instag.guarded`; the default but for PhraseBERT) begins with the groups of `lexical` and goes beyond them where no
    guard objects, `paper` takes the distance alone, linked by `linkage`. `single` linkage is DBSCAN with one sample a
    cluster, the paper's: an isolated tag is its own group, never noise; `complete` asks every pair of a group to be
    within the distance, and equal cosines merge in bytewise order of the surfaces. The groups do not depend on the
    order of the surfaces, on threads or on BLAS. Raises `ConfigError` for a setting outside its domain, `ProviderError`
    or `DataError` where an embedder fails. Cost: linear for `lexical`, that of `pairs_within` otherwise. Source: arXiv
    2308.07074, section 3.2.

    >>> merge = merge_semantic(["code optimization", "history", "optimize code"], np.array([9, 5, 2]))
    >>> merge.groups.tolist(), merge.evidence.tolist()
    ([0, 1, 0], [1.0, nan, 1.0])
    """
    if linkage not in get_args(Linkage):
        raise ConfigError(f"`linkage` is {linkage!r}", hint="`single` or `complete`")
    if merge is not None and merge not in get_args(Merge):
        raise ConfigError(f"`merge` is {merge!r}", hint="`paper` or `guarded`")
    if neighbors not in get_args(Neighbors):
        raise ConfigError(f"`neighbors` is {neighbors!r}", hint="`auto`, `exact` or `hnsw`")
    if len(counts) != len(surfaces):
        raise DataError(f"`counts` has {len(counts)} entries for {len(surfaces)} surfaces")
    found = resolve(embedder)
    if max_cosine_distance is not None and not 0.0 <= max_cosine_distance <= WIDEST_DISTANCE:
        raise ConfigError(
            f"`max_cosine_distance` is {max_cosine_distance}, not within 0 and {WIDEST_DISTANCE}",
            hint="it is a distance: 0.05 joins tags of cosine similarity 0.95 and above",
        )
    counts = np.asarray(counts)
    if isinstance(found, Lexical):
        made = _words_alone(found, surfaces, max_cosine_distance, merge)
    elif merge_of(merge, found.identity) == "guarded":
        made = _guarded(found, surfaces, counts, max_cosine_distance, linkage, neighbors)
    else:
        distance = float(found.max_cosine_distance if max_cosine_distance is None else max_cosine_distance)
        groups, evidence = _by_cosine(found, surfaces, distance, linkage, neighbors)
        notes = [f"by the cosines of `{found.identity}`, as the paper merges: {linkage} linkage"]
        if max_cosine_distance is None and PHRASE_BERT not in found.identity:
            notes.append(
                f"{distance:g} is the embedder's own distance, and thresholds belong to a model: look at the merges of "
                "lowest evidence, then set `--max-cosine-distance`"
            )
        if neighbors == "auto":
            notes.append("`--neighbors auto` is `exact`: every pair was compared")
        made = SemanticMerge(groups, evidence, notes, found.identity, distance)
    made.notes.append(_summary(made.groups, counts))
    return made


def merge_of(merge: Merge | None, identity: str) -> Merge:
    """How an embedder of this identity merges: the paper's way is the default of the paper's model alone."""
    return merge or ("paper" if PHRASE_BERT in identity else "guarded")


def _words_alone(
    lexical: Lexical, surfaces: list[str], max_cosine_distance: float | None, merge: Merge | None
) -> SemanticMerge:
    groups, evidence = _by_key(lexical, surfaces)
    notes = [
        "same words only, no model: synonyms stay apart (`--embedder openai:MODEL` or `sentence-transformers:NAME` "
        "would merge by meaning)"
    ]
    if max_cosine_distance is not None:
        notes.append("`max_cosine_distance` decides nothing with `lexical`, whose keys are equal or not")
    if merge is not None:
        notes.append("`merge` decides nothing with `lexical`, which asks no model")
    return SemanticMerge(groups, evidence, notes, lexical.identity, 0.0, groups)


def _guarded(
    embedder: Embedder,
    surfaces: list[str],
    counts: NDArray[np.int64],
    max_cosine_distance: float | None,
    linkage: Linkage,
    neighbors: Neighbors,
) -> SemanticMerge:
    """`merge_guarded` on the distinct surfaces in bytewise order, and what to tell of it."""
    known = thresholds.of(embedder.identity)
    fitted = known or thresholds.CAREFUL
    distance = float(fitted.max_cosine_distance if max_cosine_distance is None else max_cosine_distance)
    distinct, at = _distinct(surfaces)
    summed = np.zeros(len(distinct), np.int64)
    np.add.at(summed, at, counts)
    found = merge_guarded(
        distinct,
        summed,
        embedder,
        max_cosine_distance=distance,
        min_differing_cosine=fitted.min_differing_cosine,
        neighbors=neighbors,
    )
    repeated = np.bincount(at, minlength=len(distinct)) > 1
    evidence = np.where(repeated & np.isnan(found.evidence), 1.0, found.evidence)[at]
    notes = _told_of_guards(found, embedder.identity, distance, fitted.min_differing_cosine)
    notes.append(f"thresholds: {fitted.source}")
    if known is None:
        notes.append("thresholds belong to a model: look at the merges of lowest evidence (`instag merges`)")
    if linkage != "single":
        notes.append("`linkage` is for `--merge paper`: a guarded merge is complete linkage")
    groups, keys, differing = _by_first(found.groups[at]), found.keys[at], fitted.min_differing_cosine
    return SemanticMerge(groups, evidence, notes, embedder.identity, distance, keys, differing)


def _told_of_guards(found: Guarded, identity: str, distance: float, differing: float) -> list[str]:
    apart = ", ".join(f"{veto} {count:,}" for veto, count in found.vetoed.items())
    notes = [
        f"by words, then guarded by the cosines of `{identity}`: at least {1 - distance:g} between two tags, and "
        f"{differing:g} between the words in which they differ",
        f"{found.compared:,} pairs were that near; guards kept apart: {apart or 'none'}",
    ]
    if found.by_rules:
        notes.append(
            f"{found.by_rules:,} tags are not in Latin script: merged by words alone, since the model is not known to "
            "be multilingual"
        )
    return notes


def _distinct(surfaces: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """The distinct surfaces in bytewise order, and the place of each surface among them."""
    distinct = sorted(set(surfaces), key=str.encode)
    place = {surface: at for at, surface in enumerate(distinct)}
    return distinct, np.array([place[surface] for surface in surfaces], dtype=np.int64)


def _by_first(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Groups numbered by first member."""
    _, first, renumbered = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[renumbered].astype(np.int64)


def _by_key(lexical: Lexical, surfaces: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Groups of equal keys; the cosine of two keys as one-hot vectors is 1 or 0, so the evidence is 1."""
    number: dict[str, int] = {}
    groups = np.array([number.setdefault(key, len(number)) for key in lexical.keys(surfaces)], dtype=np.int64)
    alone = np.bincount(groups, minlength=1)[groups] == 1
    return groups, np.where(alone, np.nan, 1.0)


def _by_cosine(
    embedder: Embedder, surfaces: Sequence[str], distance: float, linkage: Linkage, neighbors: Neighbors
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Embeds the distinct surfaces in bytewise order, so that neither input order nor repeats can change an index."""
    distinct, at = _distinct(surfaces)
    if not distinct:
        return at, np.zeros(0)
    vectors, talk = embed(embedder, distinct), getattr(embedder, "talk", None)
    pairs = pairs_within(vectors, distance, method=neighbors, talk=talk)
    size = len(distinct)
    if linkage == "single":
        groups = _core.single_linkage(size, pairs.a, pairs.b)
    else:
        groups = _core.complete_linkage(size, *pairs)
    evidence = _highest_in_group(groups, pairs)
    repeated = np.bincount(at, minlength=size) > 1
    evidence[repeated] = 1.0  # the same surface twice
    return _by_first(groups[at]), evidence[at]


def _highest_in_group(groups: NDArray[np.int64], pairs: Pairs) -> NDArray[np.float64]:
    highest = np.full(len(groups), -np.inf)
    inside = groups[pairs.a] == groups[pairs.b]
    for ends in (pairs.a, pairs.b):
        np.maximum.at(highest, ends[inside], pairs.cosines[inside])
    return np.where(np.isinf(highest), np.nan, highest)


def _summary(groups: NDArray[np.int64], counts: NDArray[np.int64]) -> str:
    sizes = np.bincount(groups, minlength=1)
    merged = sizes[groups] > 1
    left = int((sizes > 0).sum())
    widest = f", largest group {int(sizes.max())} tags" if merged.any() else ""
    return f"{len(groups):,} tags -> {left:,}; {int(counts[merged].sum()):,} occurrences in merged groups{widest}"
