"""Vocabularies that no tagger should make, through `instag import` and `instag normalize`: stated rules, no error."""

from __future__ import annotations

import json
import random
from pathlib import Path

import polars as pl
import pytest

from conftest import Instag

SEED = random.Random(0)
SIGNS = "+-*/#.,:;!?()[]{}<>=~^|&%$@_"
EMOJI = ["🎉", "🎈", "❤️", "☕️", "👍🏽", "👩\u200d💻", "🇩🇪"]


def drawn(parts: list[str], most: int, tags: int, gap: str = "") -> list[str]:
    return sorted({gap.join(SEED.choices(parts, k=SEED.randint(1, most))) for _ in range(tags)})


def ledger(instag: Instag, tmp_path: Path, tags: list[str]) -> pl.DataFrame:
    lines = [json.dumps({"tags": [tag]}) for tag in tags]
    (tmp_path / "tags.jsonl").write_text("\n".join(lines), "utf-8")
    imported = instag("import", tmp_path / "tags.jsonl", "--run", tmp_path / "run")
    assert imported.code == 0, imported.err
    normalized = instag("normalize", tmp_path / "run", "--min-count", 1)
    assert normalized.code == 0, normalized.err
    assert "Traceback" not in normalized.err
    return pl.read_parquet(tmp_path / "run" / "normalize" / "ledger.parquet")


@pytest.mark.parametrize(
    "tags",
    [
        ["python"],
        [f"tag {number}" for number in range(20_000)],
        [f"v{number}.{number % 7}" for number in range(2_000)],
        drawn(["a", "b", "c"], 500, 300),
        drawn(list(SIGNS), 6, 3_000),
        drawn(EMOJI, 4, 2_000),
    ],
    ids=["one tag", "near-equal", "versions", "500 characters", "symbols", "emoji"],
)
def test_nothing_merges(instag: Instag, tmp_path: Path, tags: list[str]) -> None:
    found = ledger(instag, tmp_path, tags)
    assert len(found) == len(set(tags))
    assert found["step"].unique().to_list() == ["kept"]


def test_sentences_of_500_characters_keep_their_order(instag: Instag, tmp_path: Path) -> None:
    words = ["model", "of", "data", "and", "language", "optimize", "speech", "to", "text"]
    long = [" ".join(SEED.choices(words, k=80))[:500].strip() for _ in range(200)]
    turned = [" ".join([*tag.split(" ")[1:], tag.split(" ")[0]]) for tag in long]
    found = ledger(instag, tmp_path, long + turned)
    assert found["step"].unique().to_list() == ["kept"]


def test_mixed_directions(instag: Instag, tmp_path: Path) -> None:
    found = ledger(
        instag, tmp_path, ["كتاب python", "\u200fكتاب python\u200e", "\u202eكتاب python\u202c", "python كتاب"]
    )
    into = dict(found["raw", "into"].rows())
    assert len({into[tag] for tag in into if not tag.startswith("python")}) == 1
    assert into["python كتاب"] == "python كتاب"
    assert into["\u202eكتاب python\u202c"] == "كتاب python"
