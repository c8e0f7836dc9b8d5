"""Every kernel again, slow and obvious: plain Python over lists, no numpy. Tests hold the fast ones equal to these."""

from __future__ import annotations

from collections import Counter

# ---- tag tables ----


def intern(rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """(vocabulary by count descending, then bytewise; rows without repeats)."""
    rows = [list(dict.fromkeys(row)) for row in rows]
    counts = Counter(tag for row in rows for tag in row)
    return sorted(counts, key=lambda tag: (-counts[tag], tag.encode())), rows
