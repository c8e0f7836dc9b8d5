"""Step 3 of normalization: tags that mean the same become one group, by an embedder's cosines or by words alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from instag import _core
from instag.embedders import PHRASE_BERT, Embedder, Lexical, embed, resolve
from instag.errors import ConfigError, DataError
from instag.neighbors import Pairs, pairs_within

if TYPE_CHECKING:
    from numpy.typing import NDArray

Linkage = Literal["single", "complete"]
Neighbors = Literal["auto", "exact", "hnsw"]

# A distance above this is a similarity typed by mistake: the paper's 0.05 is a distance, the similarity is 0.95.
WIDEST_DISTANCE = 0.5


@dataclass(frozen=True, repr=False, eq=False)
class SemanticMerge:
    """Which tags mean the same.

    `groups` (int64) is each surface's group, numbered by first member; `evidence` (float64) its highest cosine to
    another member of its group, NaN where it stands alone; `notes` are lines for people; `embedder` is the identity
    that enters the stage's key; `max_cosine_distance` is the one used.
    """

    groups: NDArray[np.int64]
    evidence: NDArray[np.float64]
    notes: list[str]
    embedder: str
    max_cosine_distance: float

    def __repr__(self) -> str:
        groups = int(self.groups.max()) + 1 if len(self.groups) else 0
        return f"SemanticMerge({len(self.groups):,} tags, {groups:,} groups, {self.embedder})"


def merge_semantic(
    surfaces: list[str],
    counts: NDArray[np.int64],
    *,
    embedder: str | Embedder = "lexical",
    max_cosine_distance: float | None = None,
    linkage: Linkage = "single",
    neighbors: Neighbors = "auto",
) -> SemanticMerge:
    """Groups surface forms (never stems) whose cosine distance is at most `max_cosine_distance`.

    `counts` are the surfaces' occurrences (they show in the notes and decide nothing). `embedder` is `lexical` (no
    model: exact keys, evidence 1.0, no distance), `openai:MODEL`, `sentence-transformers:NAME_OR_FOLDER`, or an
    `Embedder`. `single` linkage is DBSCAN with one sample a cluster, the paper's: an isolated tag is its own group,
    never noise; `complete` asks every pair of a group to be within the distance, and equal cosines merge in bytewise
    order of the surfaces. The groups do not depend on the order of the surfaces, on threads or on BLAS. Raises
    `ConfigError` for a setting outside its domain, `ProviderError` or `DataError` where an embedder fails. Cost: linear
    for `lexical`, that of `pairs_within` otherwise. Source: arXiv 2308.07074, section 3.2.

    >>> merge = merge_semantic(["code optimization", "history", "optimize code"], np.array([9, 5, 2]))
    >>> merge.groups.tolist(), merge.evidence.tolist()
    ([0, 1, 0], [1.0, nan, 1.0])
    """
    if linkage not in get_args(Linkage):
        raise ConfigError(f"`linkage` is {linkage!r}", hint="`single` or `complete`")
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
    notes: list[str] = []
    if isinstance(found, Lexical):
        groups, evidence, distance = *_by_key(found, surfaces), 0.0
        notes.append(
            "same words only, no model: synonyms stay apart (`--embedder openai:MODEL` or `sentence-transformers:NAME` "
            "would merge by meaning)"
        )
        if max_cosine_distance is not None:
            notes.append("`max_cosine_distance` decides nothing with `lexical`, whose keys are equal or not")
    else:
        distance = float(found.max_cosine_distance if max_cosine_distance is None else max_cosine_distance)
        groups, evidence = _by_cosine(found, surfaces, distance, linkage, neighbors)
        notes.append(f"by the cosines of `{found.identity}`, {linkage} linkage")
        if max_cosine_distance is None and PHRASE_BERT not in found.identity:
            notes.append(
                f"{distance:g} is the embedder's own distance, and thresholds belong to a model: look at the merges of "
                "lowest evidence, then set `--max-cosine-distance`"
            )
        if neighbors == "auto":
            notes.append("`--neighbors auto` is `exact`: every pair was compared")
    notes.append(_summary(groups, np.asarray(counts)))
    return SemanticMerge(groups, evidence, notes, found.identity, distance)


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
    distinct = sorted(set(surfaces), key=str.encode)
    place = {surface: at for at, surface in enumerate(distinct)}
    at = np.array([place[surface] for surface in surfaces], dtype=np.int64)
    if not distinct:
        return at, np.zeros(0)
    pairs = pairs_within(embed(embedder, distinct), distance, method=neighbors)
    size = len(distinct)
    if linkage == "single":
        groups = _core.single_linkage(size, pairs.a, pairs.b)
    else:
        groups = _core.complete_linkage(size, *pairs)
    evidence = _highest_in_group(groups, pairs)
    repeated = np.bincount(at, minlength=size) > 1
    evidence[repeated] = 1.0  # the same surface twice
    _, first, renumbered = np.unique(groups[at], return_index=True, return_inverse=True)
    by_first_member = np.argsort(np.argsort(first))
    return by_first_member[renumbered].astype(np.int64), evidence[at]


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
