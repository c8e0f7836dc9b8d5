"""`instag calibrate` from the command line: what it stores and tells, and that it stores nothing where it refuses."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import Instag
from instag import thresholds
from instag.calibrating import calibrated
from instag.labelled_pairs import read_labelled_pairs

# Made-up words in twos: the two of an even place mean nearly the same, the two of an odd one hardly.
WORDS = """
import numpy as np

letters = np.random.default_rng(0).integers(26, size=(700, 9)) + ord("a")
words = ["".join(map(chr, row)) for row in letters]
place = {word: at for at, word in enumerate(words)}

def of(word):
    at = place.get(word, 10_000 + sum(map(ord, word)))
    apart = 0.1 if at // 2 % 2 == 0 else 3.0
    return np.random.default_rng(at // 2).normal(size=64) + apart * np.random.default_rng(9999 + at).normal(size=64)

class Words:
    identity = "1"
    def embed(self, texts):
        return [sum(of(word) for word in text.split()) for text in texts]
"""


def word(at: int) -> str:
    """The word of a place, as in the module."""
    letters = np.random.default_rng(0).integers(26, size=(700, 9)) + ord("a")
    return "".join(map(chr, letters[at]))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(thresholds.VARIABLE, raising=False)
    path = list(sys.path)
    (tmp_path / "words.py").write_text(WORDS)
    rows = [{"a": word(2 * n), "b": word(2 * n + 1), "same": n % 2 == 0} for n in range(300)]
    rows += [{"a": word(n), "b": f"{word(n)} more", "same": n % 2 == 0} for n in range(600, 620)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    yield tmp_path
    sys.path[:] = path
    sys.modules.pop("words", None)


def test_thresholds_are_fitted_stored_told_and_used(instag: Instag, here: Path) -> None:
    said = instag("calibrate", "--embedder", "words:Words", "--pairs", "pairs.jsonl", "--json")
    assert said.code == 0, said.err
    told: dict[str, Any] = said.json
    assert told["pairs"] == 320
    assert told["forbidden"] >= 20  # containment
    assert told["fitted"]["right"] >= told["held_out"]["right"] > 120
    assert told["held_out_precision"] == 1.0
    assert "on held-out pairs (5 folds): precision 1.000" in said.err
    stored = thresholds.of("words:Words/1")
    assert stored is not None
    assert stored.max_cosine_distance == told["max_cosine_distance"]
    assert "320 pairs" in stored.source
    before = (here / thresholds.FILE).read_bytes()
    assert instag("calibrate", "--embedder", "words:Words", "--pairs", "pairs.jsonl", "--quiet").err == ""
    assert (here / thresholds.FILE).read_bytes() == before
    (here / "tags.jsonl").write_text(
        "".join(json.dumps({"tags": [tag]}) + "\n" for tag in ("zebra", "photo editing", "image editing"))
    )
    assert instag("import", "tags.jsonl", "--run", "run").code == 0
    said = instag("normalize", "run", "--embedder", "words:Words", "--min-count", 1)
    assert "thresholds: `instag-thresholds.toml`: calibrated on 320 pairs, precision 1.000" in said.err


def test_the_place_of_the_thresholds_may_be_named(instag: Instag, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = ["--embedder", "words:Words", "--pairs", "pairs.jsonl", "--out", "of-mine.toml", "--answers", "kept.sqlite"]
    assert instag("calibrate", *flags, "--precision", 0.9, "--folds", 3).code == 0
    assert (here / "kept.sqlite").exists()
    assert thresholds.of("words:Words/1") is None
    monkeypatch.setenv(thresholds.VARIABLE, "of-mine.toml")
    assert thresholds.of("words:Words/1") is not None


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--precision", "0.99"], "too few pairs: a precision of 0.99 takes 381 right merges to tell"),
        (["--precision", "1"], "`precision` is 1.0, must be at least 0.5 and below 1"),
        (["--folds", "1"], "`folds` is 1, must be from 2 to 100"),
        (["--folds", "90"], "too few pairs: a fold holds"),
        (["--embedder", "lexical"], "`lexical` has no threshold"),
        (["--embedder", "nowhere:embed"], "there is no module `nowhere`"),
        (["--pairs", "absent.jsonl"], "no such file"),
        (["--pairs", "words.py"], "is not JSON"),
        (["--out", "absent/x.toml"], "can't be written"),
        (["--out", "pairs.jsonl"], "is not TOML"),
    ],
)
def test_where_it_refuses_nothing_is_stored(instag: Instag, here: Path, flags: list[str], message: str) -> None:
    said = instag("calibrate", "--embedder", "words:Words", "--pairs", "pairs.jsonl", *flags)
    assert said.code == 1
    assert message in said.err
    assert "Traceback" not in said.err
    assert not (here / thresholds.FILE).exists()


def test_the_help_shows_a_file_and_a_command(instag: Instag) -> None:
    said = instag("calibrate", "--help").out
    assert '{"a": "json to csv", "b": "csv to json", "same": false}' in said
    assert "--pairs pairs.jsonl" in said


def test_each_text_is_embedded_once(here: Path) -> None:
    sys.path.insert(0, str(here))
    from words import Words  # type: ignore[import-not-found]

    class Counting(Words):  # type: ignore[misc]
        max_cosine_distance = 0.05
        asked: list[str] = []  # noqa: RUF012

        def embed(self, texts: list[str]) -> Any:
            self.asked += texts
            return super().embed(texts)

    counting = Counting()
    calibrated(counting, read_labelled_pairs("pairs.jsonl"))
    assert len(set(counting.asked)) >= 600
    assert len(counting.asked) - len(set(counting.asked)) == (len(counting.asked) - 1) // 1025
