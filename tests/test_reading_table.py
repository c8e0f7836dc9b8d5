"""The table of docs/reading.md over every real file, held true. Prints it anew: python tests/test_reading_table.py."""

from __future__ import annotations

from pathlib import Path

import instag

DOC = Path(__file__).parents[1] / "docs" / "reading.md"
HEADER = "| file | format | schema | rows | samples | queries | rejected | refused |"


def table(folder: Path) -> list[str]:
    """One line a file below `folder`, in bytewise order of the paths."""
    lines = [HEADER, "|---|---|---|--:|--:|--:|--:|---|"]
    anchor = folder / "gsm8k" / "train.jsonl"  # a refused file is listed among others, and an error alone
    for path in sorted((path for path in folder.rglob("*") if path.is_file()), key=bytes):
        pool = instag.read([str(anchor), str(path)] if path != anchor else str(path))
        row = pool.files.row(-1, named=True)
        counts = " | ".join(f"{row[name]:,}" for name in ("rows", "samples", "queries", "rejected"))
        refused = (row["refused"] or "").split("\n")[0]
        name = path.relative_to(folder).as_posix()
        lines.append(f"| {name} | {row['format']} | {row['schema'] or ''} | {counts} | {refused} |")
    return lines


def test_the_table_of_real_files_is_true(data: Path) -> None:
    text = DOC.read_text(encoding="utf-8")
    assert text[text.index(HEADER) :].splitlines() == table(data / "instructions")


if __name__ == "__main__":
    from conftest import DATA

    kept = DOC.read_text(encoding="utf-8").partition(HEADER)[0]
    DOC.write_text(kept + "\n".join(table(DATA / "instructions")) + "\n", encoding="utf-8")
