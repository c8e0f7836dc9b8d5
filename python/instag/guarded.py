"""`--merge guarded`: what a model finds near merges only where no guard objects and what differs means the same.

A plain threshold is safe with no model (docs/semantics.md). Here tags of one `lexical` key are one item, called by its
most frequent tag; items are compared where they hold the same numbers; a pair within the model's radius goes through
the guards (`instag.guards`), then the cosine of the words in which the two differ decides. Complete linkage over the
pairs that are left: what a guard or that cosine keeps apart is at an infinite distance, so no chain leads around it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from instag import _core
from instag.embedders import Embedder, Lexical, embed
from instag.guards import differences_of
from instag.neighbors import Method, Pairs, check_total, pairs_within
from instag.table import places

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Items of the same numbers up to this many are compared one by one, without a matrix product for each few of them.
FEW = 64
# Letters of Latin script, and whatever is no letter; checked letter by letter only where a tag is not plain ASCII.
LETTERS = r"\u0000-\u024f\u1d00-\u1d7f\u1e00-\u1eff\u2c60-\u2c7f\ua720-\ua7ff\ufb00-\ufb06\uff21-\uff5a"
LATIN = re.compile(rf"(?:[{LETTERS}]|\W|\d)*")


class Guarded(NamedTuple):
    """Groups of surfaces.

    `groups` (int64) is each surface's group; `keys` (int64) the group that `lexical` alone would give it; `evidence`
    its item's highest cosine to another item of the group, 1 where `lexical` merged it alone, NaN where nothing did.
    `compared` are the pairs within the radius, `vetoed` those that a guard kept apart, by guard; `by_rules` the items
    left to `lexical` for their script.
    """

    groups: NDArray[np.int64]
    keys: NDArray[np.int64]
    evidence: NDArray[np.float64]
    compared: int
    vetoed: dict[str, int]
    by_rules: int


def merge_guarded(
    surfaces: Sequence[str],
    counts: NDArray[np.int64],
    embedder: Embedder,
    *,
    max_cosine_distance: float,
    min_differing_cosine: float,
    neighbors: Method = "auto",
) -> Guarded:
    """Groups surfaces (bytewise ascending, distinct) by `lexical`, then by a model and the guards.

    An item is embedded by its most frequent surface (ties: shorter in characters, then bytewise), and only where
    another item holds the same numbers: a million tags `tag 1`, `tag 2`, ... need no vector. Tags in other scripts than
    Latin stay as `lexical` leaves them unless the embedder says that it is `multilingual`. The differing words are
    embedded by a second call, each once. Complete linkage: the pair of groups with the highest lowest cosine merges
    first, ties go to the pair whose first member comes first. Cost: that of `pairs_within` on the items of the same
    numbers, then linear in the pairs. Raises as `embed` and `pairs_within` do.
    """
    keys, items = _items(surfaces, counts)
    tags = [surfaces[at] for at in items.tolist()]
    speaks = getattr(embedder, "multilingual", False)
    open_to_model = np.array([speaks or bool(LATIN.fullmatch(tag)) for tag in tags], dtype=bool)
    pairs = _near(embedder, tags, open_to_model, max_cosine_distance, neighbors)
    told = differences_of(tags, pairs.a, pairs.b)
    free = (told.veto == "").to_numpy()
    left, right = told.left.filter(free).to_list(), told.right.filter(free).to_list()
    near = _only(pairs, free)
    same = differing_cosines(embedder, left, right) >= min_differing_cosine
    merged = _only(near, same)
    group = _core.complete_linkage(len(tags), *merged)
    inside = group[merged.a] == group[merged.b]
    highest = np.full(len(tags), -np.inf)
    for ends in (merged.a, merged.b):
        np.maximum.at(highest, ends[inside], merged.cosines[inside])
    alone = np.bincount(keys, minlength=len(tags))[keys] == 1
    evidence = np.where(np.isfinite(highest)[keys], highest[keys], np.where(alone, np.nan, 1.0))
    kinds = told.veto.filter(told.veto != "").value_counts().sort("count", "veto", descending=[True, False])
    return Guarded(group[keys], keys, evidence, len(free), dict(kinds.rows()), int((~open_to_model).sum()))


def _items(surfaces: Sequence[str], counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The item of each surface, and the surface that each item is called by; items in the order of those."""
    keys = _numbered(Lexical().keys(surfaces))
    length = np.array([len(surface) for surface in surfaces], dtype=np.int64)
    order = np.lexsort((np.arange(len(surfaces)), length, -counts))
    best = np.full(int(keys.max(initial=-1)) + 1, len(surfaces))
    np.minimum.at(best, keys, places(order))
    items = order[best]
    by_surface = np.argsort(items)
    return places(by_surface)[keys], items[by_surface]


def _numbered(texts: Sequence[str]) -> NDArray[np.int64]:
    """Equal texts as equal numbers: 0, 1, ... by first appearance."""
    number: dict[str, int] = {}
    return np.array([number.setdefault(text, len(number)) for text in texts], dtype=np.int64)


def _near(
    embedder: Embedder, tags: Sequence[str], allowed: NDArray[np.bool_], distance: float, neighbors: Method
) -> Pairs:
    """Pairs of allowed tags of the same numbers within a distance."""
    import polars as pl

    numbers = pl.DataFrame(_core.tag_numbers(pl.Series("tag", tags, dtype=pl.String)))["numbers"]
    block = np.where(allowed, 1 + _numbered(numbers.to_list()), 0)  # 0: left out
    sizes = np.bincount(block, minlength=1)
    sizes[0] = 0
    asked = np.flatnonzero(sizes[block] > 1)
    asked = asked[np.argsort(block[asked], kind="stable")]  # a block lies together, in bytewise order
    if not len(asked):
        return _joined([])
    vectors = embed(embedder, [tags[at] for at in asked.tolist()])
    block = block[asked]
    few = sizes[block] <= FEW
    found = [_in_few(vectors, block, few, distance)]
    for start in np.flatnonzero(np.diff(block, prepend=-1) != 0):
        if not few[start]:
            end = start + sizes[block[start]]
            a, b, cosines = pairs_within(
                vectors[start:end], distance, method=neighbors, talk=getattr(embedder, "talk", None)
            )
            found.append(Pairs(a + np.uint32(start), b + np.uint32(start), cosines))
            check_total(sum(len(pairs.a) for pairs in found))
    a, b, cosines = _joined(found)
    a, b = asked[a].astype(np.uint32), asked[b].astype(np.uint32)
    order = np.lexsort((b, a))
    return Pairs(a[order], b[order], cosines[order])


def _in_few(vectors: NDArray[np.float32], block: NDArray[np.int64], few: NDArray[np.bool_], distance: float) -> Pairs:
    """Pairs within small blocks: the rows that are 1, 2, ... apart and of one block, by their exact cosines."""
    found = []
    for apart in range(1, FEW):
        a = np.flatnonzero((block[:-apart] == block[apart:]) & few[:-apart]).astype(np.uint32)
        if not len(a):
            break
        b = a + np.uint32(apart)
        cosines = _core.cosines(np.ascontiguousarray(vectors).ravel(), vectors.shape[1], a, b)
        within = cosines >= 1.0 - distance - 1e-12
        found.append(_only(Pairs(a, b, cosines), within))
        check_total(sum(len(pairs.a) for pairs in found))
    return _joined(found)


def _only(pairs: Pairs, which: NDArray[np.bool_]) -> Pairs:
    return Pairs(pairs.a[which], pairs.b[which], pairs.cosines[which])


def _joined(found: Sequence[Pairs]) -> Pairs:
    none = np.zeros(0, np.uint32)
    every = [Pairs(none, none, np.zeros(0)), *found]
    a, b = (np.concatenate([pairs[side] for pairs in every]).astype(np.uint32) for side in (0, 1))
    return Pairs(a, b, np.concatenate([pairs.cosines for pairs in every]))


def differing_cosines(embedder: Embedder, left: Sequence[str], right: Sequence[str]) -> NDArray[np.float64]:
    """The cosine of what differs, 1 where nothing does; each text is embedded once, in bytewise order."""
    texts = sorted({*left, *right} - {""}, key=str.encode)
    if not texts:
        return np.ones(len(left))
    vectors = embed(embedder, texts)
    place = {text: at for at, text in enumerate(texts, 1)} | {"": 0}
    a, b = (np.array([place[text] for text in side], dtype=np.int64) for side in (left, right))
    differs = (a > 0) & (b > 0)
    cosines = np.ones(len(left))
    ends = ((side[differs] - 1).astype(np.uint32) for side in (a, b))
    cosines[differs] = _core.cosines(np.ascontiguousarray(vectors).ravel(), vectors.shape[1], *ends)
    return cosines
