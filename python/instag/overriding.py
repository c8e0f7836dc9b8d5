"""Overrides on the vocabulary of a pool: which raw tags they name, and how groups are parted by them."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from instag import _core

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from instag.overrides import Overrides

# Of a tag: each `apart` list that names it -> the side it is on. One list has every side in one tag at most.
Sides = dict[int, int]

TOLD = 10  # names that no raw tag has: the first are told with what comes near
LOOKED_THROUGH = 20_000  # most frequent raw tags among which that is looked for


@dataclass(frozen=True, eq=False)
class Found:
    """Overrides by the places of raw tags; names that the pool does not have are left out, and told in `notes`.

    `dropped`: raw tags to leave out. `united`: raw tags that become one tag, the one it is called by last. `sides`:
    what each raw tag named by `apart` must not meet. `renamed`: raw tag -> what its tag is called in the end.
    """

    dropped: NDArray[np.int64]
    united: Sequence[NDArray[np.int64]] = ()
    sides: Mapping[int, Sides] = field(default_factory=dict)
    renamed: Mapping[int, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


def find(overrides: Overrides, raw: pl.Series, counts: NDArray[np.int64]) -> Found:
    """Which raw tags the names are. Linear in the raw tags, in no time where there are no overrides."""
    import polars as pl

    if not overrides:
        return Found(np.zeros(0, np.int64))
    told = {"merge": overrides.merge, "apart": overrides.apart, "drop": [overrides.drop], "rename": [overrides.rename]}
    named = {
        key: list(dict.fromkeys(overrides.known_as(name) for group in groups for name in group))
        for key, groups in told.items()
    }
    wanted = pl.Series(list({name for names in named.values() for name in names}), dtype=pl.String)
    at = np.flatnonzero(raw.is_in(wanted.implode()).to_numpy())
    place = dict(zip(raw.gather(at), at.tolist(), strict=True))
    dropped = np.array(sorted(place[name] for name in named["drop"] if name in place), np.int64)
    united = [[place[name] for name in names if name in place] for names in overrides.united]
    renamed = {place[old]: new for old, new in overrides.rename.items() if old in place}
    return Found(
        dropped,
        [np.array(group, np.int64) for group in united if len(group) > 1],
        _sides(overrides, place),
        renamed,
        [*_missing(named, place, raw, counts), *_left_over(overrides, raw, dropped)],
    )


def _sides(overrides: Overrides, place: Mapping[str, int]) -> dict[int, Sides]:
    """A name stands for all that it is merged with: what is apart from one is apart from each of them."""
    side: dict[str, int] = {}
    together: dict[str, Sequence[str]] = {name: names for names in overrides.united for name in names}
    sides: dict[int, Sides] = defaultdict(dict)
    for number, group in enumerate(overrides.apart):
        for name in map(overrides.known_as, group):
            members = together.get(name, (name,))
            own = side.setdefault(members[0], len(side))
            for member in members:
                if member in place:
                    sides[place[member]][number] = own
    return dict(sides)


def _missing(
    named: Mapping[str, Sequence[str]], place: Mapping[str, int], raw: pl.Series, counts: NDArray[np.int64]
) -> list[str]:
    """Says which names no raw tag has, and which raw tags come near."""
    missing = [(key, name) for key, names in named.items() for name in names if name not in place]
    if not missing:
        return []
    frequent = np.sort(np.argsort(-counts, kind="stable")[:LOOKED_THROUGH])
    known = raw.gather(frequent).to_list()
    folded = {name.casefold(): name for name in reversed(known)}
    notes = []
    for key, name in missing[:TOLD]:
        close = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.75)
        near = f"; near: {', '.join(f'`{folded[other]}`' for other in close)}" if close else ""
        notes.append(f"overrides: {key}: no raw tag is `{name}`{near}")
    more = len(missing) - TOLD
    return [*notes, f"overrides: {more:,} more names are no raw tags"] if more > 0 else notes


def _left_over(overrides: Overrides, raw: pl.Series, dropped: NDArray[np.int64]) -> list[str]:
    """Says which raw tags differ from dropped ones in case alone, and stay."""
    if not len(dropped):
        return []
    folded = raw.gather(dropped).str.to_lowercase().unique()
    same = np.flatnonzero(raw.str.to_lowercase().is_in(folded.implode()).to_numpy())
    left = raw.gather(np.setdiff1d(same, dropped)).sort()
    if not len(left):
        return []
    told = ", ".join(f"`{name}`" for name in left.head(TOLD)) + (", ..." if len(left) > TOLD else "")
    return [f"overrides: drop: other spellings stay: {told}"]


def merged_sides(sides: Mapping[int, Sides], into: NDArray[Any] | Mapping[int, int]) -> dict[int, Sides]:
    """The sides of tags from those of what they are made of: `into` says which tag each becomes."""
    merged: dict[int, Sides] = defaultdict(dict)
    for tag, own in sides.items():
        merged[int(into[tag])].update(own)
    return dict(merged)


def parted(
    groups: NDArray[np.int64], sides: Mapping[int, Sides], place: NDArray[np.int64]
) -> tuple[NDArray[np.int64], list[int]]:
    """Groups (one entry a tag) in which no two tags are that must be apart, and the tags that left theirs.

    The tags of a group that have sides go, those of smaller `place` first, each into the first part where nothing
    stands against it; all others of the group stay with the first of them.

    >>> sides = {0: {7: 1}, 2: {7: 2}, 3: {7: 2}}
    >>> parted(np.zeros(4, np.int64), sides, np.arange(4))
    (array([0, 0, 1, 1]), [2, 3])
    """
    by_group: dict[int, list[int]] = defaultdict(list)
    for tag in sorted(sides, key=lambda tag: int(place[tag])):
        by_group[int(groups[tag])].append(tag)
    groups, left, new = groups.copy(), [], int(groups.max(initial=-1)) + 1
    for group, tags in by_group.items():
        parts: list[tuple[int, Sides]] = [(group, {})]
        for tag in tags:
            fitting = next((part for part in parts if not _against(sides[tag], part[1])), None)
            if fitting is None:
                parts.append(fitting := (new, {}))
                new += 1
            number, held = fitting
            held.update(sides[tag])
            if number != group:
                groups[tag] = number
                left.append(tag)
    return groups, left


def parted_with_variants(
    groups: NDArray[np.int64], variants: NDArray[np.int64], sides: Mapping[int, Sides], place: NDArray[np.int64]
) -> tuple[NDArray[np.int64], list[int]]:
    """As `parted`, but a tag that leaves takes along those of its `variants`, which are groups within the groups."""
    finer, _ = parted(variants, sides, place)
    units, first, finer = np.unique(finer, return_index=True, return_inverse=True)
    finer = finer.ravel()
    best = np.full(len(units), len(place))
    np.minimum.at(best, finer, place)
    made = parted(groups[first], merged_sides(sides, finer), best)[0][finer]
    return made, [tag for tag in sides if made[tag] != groups[tag]]


def apart_round(
    rules: tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.float64]],
    counts: NDArray[np.int64],
    ranks: NDArray[np.uint32],
    sides: Mapping[int, Sides],
) -> tuple[NDArray[np.uint32], NDArray[np.float64], set[int]]:
    """One round of association in which no tags meet that must be apart: (ends, confidences, tags that stay for it).

    Tags are numbered, the more frequent first. Where a group would hold two that must be apart, those that `parted`
    takes out lose their rules for this round; where none of them has any, those lose theirs that must not come to them.
    """
    antecedents, consequents, confidences = rules
    barred: set[int] = set()
    while True:
        kept = ~np.isin(antecedents, np.fromiter(barred, np.uint32, len(barred)))
        ends, moved_by = _core.merge_round(antecedents[kept], consequents[kept], confidences[kept], counts, ranks)
        _, left = parted(ends.astype(np.int64), sides, np.arange(len(ends)))
        if not left:
            return ends, moved_by, barred
        moving = {tag for tag in left if ends[tag] != tag}
        barred |= moving or {tag for tag in sides if ends[tag] in left and _against(sides[tag], sides[ends[tag]])}


def _against(a: Sides, b: Sides) -> bool:
    return any(b.get(apart, side) != side for apart, side in a.items())
