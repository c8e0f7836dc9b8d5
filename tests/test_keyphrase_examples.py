"""The 60 examples of docs/keyphrase.md hold what the tagger gives.

`python tests/test_keyphrase_examples.py` writes them anew. The queries of the table are tagged as one pool.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from instag import KeyphraseTagger

PAGE = Path(__file__).parents[1] / "docs" / "keyphrase.md"
HEADING = "## Sixty examples"
LANGUAGES = ["English", "Chinese", "Spanish", "French", "German", "Japanese"]


def table(page: str) -> list[list[str]]:
    """Language, query and tags of each row under the heading."""
    part = page.split(HEADING, 1)[1].split("\n## ", 1)[0]
    rows = [line for line in part.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def tagged(queries: list[str]) -> list[str]:
    return [", ".join(tags) for tags in KeyphraseTagger().tag(pl.Series(queries))["tags"].to_list()]


def test_the_table_is_what_the_tagger_gives() -> None:
    rows = table(PAGE.read_text(encoding="utf-8"))
    assert [language for language, _, _ in rows] == [language for language in LANGUAGES for _ in range(10)]
    assert [tags for _, _, tags in rows] == tagged([query for _, query, _ in rows])


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    head, rest = page.split(HEADING, 1)
    rows = table(page)
    for (language, query, old), new in zip(rows, tagged([query for _, query, _ in rows]), strict=True):
        rest = rest.replace(f"| {language} | {query} | {old} |", f"| {language} | {query} | {new} |", 1)
    PAGE.write_text(head + HEADING + rest, encoding="utf-8")
