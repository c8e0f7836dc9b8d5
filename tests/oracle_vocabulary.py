"""New tags through an old ledger again, slow and obvious: each raw tag against each known one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

Key = Callable[[str], object]
Old = tuple[int, str, str | None]  # count, step, final tag


def fate(
    raw: str, old: Mapping[str, Old], tags: Sequence[str], keys: Mapping[str, Sequence[Key]]
) -> tuple[str, str | None]:
    """(step, tag or none) of a raw tag; `keys` has those of each step, the finest first."""
    if raw in tags and old.get(raw, (0, "", None))[2] != raw:
        return "kept", raw
    if raw in old:
        return old[raw][1:]
    for step, finest in keys.items():
        for key in finest:
            same = [
                known
                for known, (_, how, into) in old.items()
                if into is not None and key(known) == key(raw) and not (step == "semantic" and how == "rule")
            ]
            if same:
                best = min(same, key=lambda known: (-old[known][0], len(known), known.encode()))
                return step, old[best][2]
    return "unseen", None


def map_to_vocabulary(
    rows: list[list[str]], old: Mapping[str, Old], tags: Sequence[str], keys: Mapping[str, Sequence[Key]]
) -> tuple[list[set[str]], dict[str, tuple[str, str | None]]]:
    """(rows of final tags, raw tag -> (step, final tag))."""
    fates = {raw: fate(raw, old, tags, keys) for row in rows for raw in row}
    return [{into for raw in row if (into := fates[raw][1]) is not None} for row in rows], fates


def drift(
    rows: list[list[str]], fates: Mapping[str, tuple[str, str | None]], old: Mapping[str, Old], min_count: int
) -> dict[str, float]:
    """Shares, and how many tags would come in."""
    held = [set(row) for row in rows]
    counts = Counter(raw for row in held for raw in row)
    unseen = {raw for raw, (step, _) in fates.items() if step == "unseen"}
    lost = {raw for raw, (_, into) in fates.items() if into is None}
    return {
        "unseen_tags": len(unseen),
        "unseen_occurrences": sum(counts[raw] for raw in unseen) / max(sum(counts.values()), 1),
        "dropped_occurrences": sum(counts[raw] for raw in lost - unseen) / max(sum(counts.values()), 1),
        "queries_with_unseen": sum(bool(row & unseen) for row in held) / max(len(held), 1),
        "queries_left_without_tags": sum(bool(row) and row <= lost for row in held) / max(len(held), 1),
        "new_frequent": sum(counts[raw] >= min_count for raw in unseen),
        "rare_before": sum(
            old[raw][1] == "rare" and old[raw][0] + counts[raw] >= min_count for raw in set(counts) & set(old)
        ),
    }
