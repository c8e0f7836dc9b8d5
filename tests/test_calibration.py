"""Fitted thresholds: equal to a slow search, no tag on both sides of a fold, and refusals where pairs cannot tell."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from conftest import Instag
from instag import ConfigError, DataError, thresholds
from instag.calibration import (
    Calibration,
    Figures,
    _best,
    _cells,
    calibrate,
    folds_of,
    interval,
    least_merges,
)
from instag.labelled_pairs import read_labelled_pairs
from instag.thresholds import Thresholds

Pairs = list[tuple[float, float, bool, bool]]  # cosine, of differing words, same, allowed


def slow_best(pairs: Pairs, precision: float, least: int, weight: float = 1.0) -> tuple[int, int] | None:
    """Every pair of thresholds, each tried on every pair of tags."""
    good = []
    for distance in range(51):
        for differing in range(101):
            merged = [
                same
                for cosine, words, same, allowed in pairs
                if allowed and cosine >= 1 - distance / 100 - 1e-12 and words >= differing / 100 - 1e-12
            ]
            right, wrong = sum(merged), len(merged) - sum(merged)
            if len(merged) >= least and right >= precision * (right + weight * wrong) - 1e-9:
                good.append((right, wrong, distance, -differing))
    if not good:
        return None
    most = max(right for right, *_ in good)
    _, distance, differing = min(rest for right, *rest in good if right >= 0.99 * most)
    return distance, -differing


def as_arrays(pairs: Pairs) -> tuple[NDArray[Any], ...]:
    kinds = np.float64, np.float64, np.bool_, np.bool_
    return tuple(np.array([pair[at] for pair in pairs], dtype=kind) for at, kind in enumerate(kinds))


hundredths = st.integers(30, 100).map(lambda n: n / 100) | st.floats(-1, 1)


@given(
    st.lists(st.tuples(hundredths, hundredths, st.booleans(), st.booleans()), max_size=25),
    st.sampled_from([0.5, 0.75, 0.9, 0.95]),
    st.integers(1, 5),
    st.sampled_from([1.0, 3.5]),
)
def test_the_fit_is_that_of_a_slow_search(pairs: Pairs, precision: float, least: int, weight: float) -> None:
    cosines, differing, same, allowed = as_arrays(pairs)
    found = _best(_cells(cosines, differing), same, allowed, precision, least, weight)
    assert found == slow_best(pairs, precision, least, weight)


def drawn(size: int, seed: int = 0, overlap: float = 0.05) -> tuple[NDArray[Any], ...]:
    """Pairs whose cosines are higher where they are the same, and folds."""
    rng = np.random.default_rng(seed)
    same = rng.random(size) < 0.5
    cosines = np.clip(np.where(same, 0.9, 0.6) + rng.normal(size=size) * overlap, -1, 1)
    differing = np.clip(np.where(same, 0.8, 0.5) + rng.normal(size=size) * overlap, -1, 1)
    return cosines, differing, same, rng.random(size) < 0.9, np.arange(size) % 5


def test_held_out_figures_are_those_of_folds_fitted_without_them() -> None:
    cosines, differing, same, allowed, folds = drawn(600, overlap=0.12)
    made = calibrate(cosines, differing, same, allowed, folds, precision=0.9)
    weight = max(1.0, int((same & allowed).sum()) / int((~same & allowed).sum()))
    merged = right = 0
    for fold in range(5):
        rest = list(zip(cosines, differing, same, allowed & (folds != fold), strict=True))
        chosen = slow_best(rest, 0.9, 1, weight)
        assert chosen is not None
        hit = (folds == fold) & allowed & (cosines >= 1 - chosen[0] / 100) & (differing >= chosen[1] / 100)
        merged, right = merged + int(hit.sum()), right + int((hit & same).sum())
    assert made.held_out == Figures(merged, right, int(same.sum()), weight)
    assert made.fitted.precision >= 0.9
    assert made.fitted.right >= made.held_out.right * 0.9
    everything = list(zip(cosines, differing, same, allowed, strict=True))
    assert (round(100 * made.max_cosine_distance), round(100 * made.min_differing_cosine)) == slow_best(
        everything, 0.9, least_merges(0.9), weight
    )


def test_the_order_of_pairs_decides_nothing() -> None:
    arrays = drawn(400)
    turned = [array[::-1] for array in arrays]
    assert calibrate(*arrays) == calibrate(*turned)


@given(st.lists(st.tuples(*[st.sampled_from("abcdefghijklmn")] * 2), min_size=1, max_size=30), st.integers(1, 6))
def test_no_tag_is_in_two_folds(pairs: list[tuple[str, str]], count: int) -> None:
    a, b = ([pair[side] for pair in pairs] for side in (0, 1))
    folds = folds_of(a, b, count).tolist()
    fold_of: dict[str, int] = {}
    for one, other, fold in zip(a, b, folds, strict=True):
        assert fold_of.setdefault(one, fold) == fold_of.setdefault(other, fold) == fold
    assert set(folds) <= set(range(count))
    turned = folds_of(b[::-1], a[::-1], count).tolist()
    assert turned[::-1] == folds


def test_folds_are_of_one_size_where_tags_allow() -> None:
    folds = folds_of([f"a{n}" for n in range(100)], [f"b{n}" for n in range(100)], 5)
    assert np.bincount(folds).tolist() == [20] * 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c, d, s, a, f: (c, d, s | True, a, f), "no pair is labelled not the same: all 400 are the same"),
        (lambda c, d, s, a, f: (c, d, s & False, a, f), "no pair is labelled the same: all 400 are not the same"),
        (lambda c, d, s, a, f: (c[:0], d[:0], s[:0], a[:0], f[:0]), "no pair is given"),
        (lambda c, d, s, a, f: (c[:90], d[:90], s[:90], a[:90], f[:90]), "too few pairs: a precision of 0.95 takes 73"),
        (lambda c, d, s, a, f: (c, d, s, a & False, f), "and 0 pairs are labelled the same and not forbidden"),
        (lambda c, d, s, a, f: (c, d, s, a, f * 0 + (np.arange(400) < 8)), "too few pairs: a fold holds"),
        (lambda c, d, s, a, f: (d * 0 + 0.9, d * 0 + 0.9, s, a, f), "no thresholds reach a precision of 0.95"),
        (lambda c, d, s, a, f: (c, d * 0 - 1, s, a, f), "no thresholds reach a precision of 0.95"),
        (lambda c, d, s, a, f: (np.where(s, 0.3, 0.9), d, s, a, f), "no thresholds reach"),
    ],
)
def test_pairs_that_cannot_tell_are_refused(change: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as told:
        calibrate(*change(*drawn(400)))
    assert told.value.hint


def test_a_precision_that_does_not_hold_on_held_out_pairs_is_refused() -> None:
    # Only the last fold knows of wrong pairs at 0.9; the others would go on to their few right ones at 0.85.
    kinds = [(0.95, True, fold, 100) for fold in range(5)] + [(0.3, False, fold, 10) for fold in range(5)]
    kinds += [(0.9, False, 4, 200)] + [(0.85, True, fold, 5) for fold in range(4)]
    cosines, same, folds = (np.repeat([kind[at] for kind in kinds], [kind[3] for kind in kinds]) for at in range(3))
    with pytest.raises(DataError, match=r"a precision of 0.95 does not hold: on pairs that were held out it is 0\.546"):
        calibrate(cosines, cosines, same > 0, same >= 0, folds)


@pytest.mark.parametrize("precision", [0.0, 0.49, 1.0, 1.5, float("nan")])
def test_a_precision_outside_its_domain_is_refused(precision: float) -> None:
    with pytest.raises(ConfigError, match=r"must be at least 0.5 and below 1"):
        calibrate(*drawn(400), precision=precision)


@given(st.integers(0, 500), st.integers(0, 500))
def test_the_interval_holds_the_share_and_narrows(hits: int, misses: int) -> None:
    low, high = interval(hits, hits + misses)
    assert 0 <= low <= high <= 1
    if hits + misses:
        assert low - 1e-12 <= hits / (hits + misses) <= high + 1e-12
        wider = interval(hits * 4, (hits + misses) * 4)
        assert wider[1] - wider[0] <= high - low + 1e-12


def test_the_interval_is_wilsons() -> None:
    assert interval(95, 100) == pytest.approx((0.88825, 0.97846), abs=1e-4)
    assert interval(0, 0) == (0.0, 1.0)
    assert least_merges(0.95) == 73
    assert interval(72, 72)[0] < 0.95 <= interval(73, 73)[0]


# Labelled pairs from files.


def lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


GOOD: list[dict[str, Any]] = [
    {"a": "front-end", "b": "frontend", "same": True, "kind": "x"},
    {"a": "a b", "b": "学习", "same": False},
    {"a": "frontend", "b": "front-end", "same": 1},
    {"a": "c", "b": "d", "same": "0"},
    {"a": "e", "b": "f", "same": "True"},
]


def test_pairs_are_read_from_json_lines_csv_and_parquet(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text("\ufeff" + lines(*GOOD).replace("\n", "\r\n\n"), encoding="utf-8")
    table = pl.DataFrame([{**row, "same": str(row["same"]).lower(), "kind": ""} for row in GOOD])
    table.write_csv(tmp_path / "p.csv")
    table.write_parquet(tmp_path / "p.parquet")
    typed = table.with_columns(pl.col("same").is_in(["true", "1"]))
    typed.write_parquet(tmp_path / "q.parquet")
    read = [read_labelled_pairs(str(tmp_path / name)) for name in ("p.jsonl", "p.csv", "p.parquet", "q.parquet")]
    for found in read:
        assert found.a == ["front-end", "a b", "c", "e"]
        assert found.b == ["frontend", "学习", "d", "f"]
        assert found.same.tolist() == [True, False, False, True]
        assert repr(found) == "LabelledPairs(4 pairs, 2 the same)"
    assert len({found.digest for found in read}) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (lines(GOOD[0], {"a": "x", "b": "y"}), "line 2: no `same`; found `a`, `b`"),
        (lines(GOOD[0], {"a": "x", "b": "y", "same": None}), "line 2: `same` is null, must be true, false, 1 or 0"),
        (lines(GOOD[0], {"a": "x", "b": "y", "same": "maybe"}), 'line 2: `same` is "maybe"'),
        (lines({"a": "x", "b": "y", "same": 0.5}), "line 1: `same` is 0.5"),
        (lines({"a": "x", "b": "y", "same": [1]}), r"line 1: `same` is \[1\]"),
        (lines({"a": "", "b": "y", "same": 1}), 'line 1: `a` is "", must be a tag'),
        (lines({"a": 3, "b": "y", "same": 1}), "line 1: `a` is 3, must be a tag"),
        (lines({"a": "x", "b": "\ud800", "same": 1}), "line 1: `b` is .*must be a tag"),
        (lines({"a": "x", "b": "x", "same": 1}), "line 1: `a` and `b` are both `x`"),
        (lines(GOOD[0], {"a": "frontend", "b": "front-end", "same": 0}), "not the same here and the same in line 1"),
        (lines(GOOD[0]) + "\n" + '{"a": "x", ', "line 3: no JSON"),
        (lines(GOOD[0], ["a", "b", True]), r'line 2: \["a", "b", true\], must be an object'),
        ("", "is empty"),
        ("not pairs at all", "is not JSON"),
    ],
)
def test_a_bad_row_is_told_with_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.jsonl").write_text(text)
    with pytest.raises(DataError, match=message) as told:
        read_labelled_pairs(str(tmp_path / "bad.jsonl"))
    assert "bad.jsonl" in told.value.message
    assert told.value.hint


def test_a_bad_row_of_csv_is_told_by_its_number(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("a,b,same\nx,y,true\nz,w,perhaps\n")
    with pytest.raises(DataError, match=r'bad.csv`, line 2: `same` is "perhaps"'):
        read_labelled_pairs(str(tmp_path / "bad.csv"))
    with pytest.raises(DataError, match="no such file"):
        read_labelled_pairs(str(tmp_path / "absent.csv"))


# Stored thresholds.


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(thresholds.VARIABLE, raising=False)
    return tmp_path


MINI = "sentence-transformers:all-MiniLM-L6-v2"


def test_a_model_is_known_by_its_name_and_by_its_weights(here: Path) -> None:
    known = thresholds.of(MINI)
    assert known == thresholds.of("sentence-transformers:sentence-transformers/all-MiniLM-L6-v2")
    assert known == thresholds.of("sentence-transformers:53aa51172d142c89.0123456789abcdef")
    paper = thresholds.of("sentence-transformers:whaleloops/phrase-bert")
    assert paper is not None
    assert paper.max_cosine_distance == 0.05
    assert "paper" in paper.source
    for unknown in ("openai:all-MiniLM-L6-v2", "sentence-transformers:other", "lexical/3", "mine:embed", ""):
        assert thresholds.of(unknown) is None


def test_what_was_stored_goes_before_what_was_measured(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = here / thresholds.FILE
    thresholds.store(path, 'mine:embed/"x" \x7fé', {"max_cosine_distance": 0.2, "min_differing_cosine": 0.5})
    entry = {"max_cosine_distance": 0.12, "min_differing_cosine": 0.8, "pairs": 2741, "held_out_precision": 0.951}
    thresholds.store(path, MINI, {"max_cosine_distance": 0.5, "min_differing_cosine": 0.0})
    thresholds.store(path, MINI, entry)
    found = thresholds.of(MINI)
    source = "`instag-thresholds.toml`: calibrated on 2,741 pairs, precision 0.951 on held-out ones"
    assert found == Thresholds(0.12, 0.8, source)
    other = thresholds.of('mine:embed/"x" \x7fé')
    assert other is not None
    assert other.max_cosine_distance == 0.2
    assert not list(here.glob("*.new"))
    (here / "sub").mkdir()
    monkeypatch.chdir(here / "sub")
    assert thresholds.of("mine:embed") is None
    monkeypatch.setenv(thresholds.VARIABLE, str(path))
    again = thresholds.of(MINI)
    assert again is not None
    assert again.max_cosine_distance == 0.12
    monkeypatch.setenv(thresholds.VARIABLE, "absent.toml")
    with pytest.raises(ConfigError, match=r"`INSTAG_THRESHOLDS` names `absent.toml`, which is no file"):
        thresholds.of(MINI)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("format = 2\n", "is no file of thresholds"),
        ("files = []\n", "is no file of thresholds"),
        ("format = 1\nembedders = 3\n", "is no file of thresholds"),
        ("format = 1\n[[embedders]]\nembedder = 'm'\npairs = 1979-05-27\n", "is no file of thresholds"),
        ("format = 1\n[[embedders]]\nmax_cosine_distance = 0.1\n", "embedder 1: no `embedder`"),
        ("format = 1\n[[embedders]]\nembedder = 'm'\nmax_cosine_distance = 0.1\n", "no `min_differing_cosine`"),
        (
            "format = 1\n[[embedders]]\nembedder = 'm'\nmax_cosine_distance = 0.95\nmin_differing_cosine = 1\n",
            "embedder 1: `max_cosine_distance` is 0.95, must be from 0 to 0.5",
        ),
        (
            "format = 1\n" + "[[embedders]]\nembedder = 'm'\nmax_cosine_distance = 0\nmin_differing_cosine = 1\n" * 2,
            "embedder 2: `m` stands twice",
        ),
        ("format = ", "is not TOML"),
    ],
)
def test_a_broken_file_of_thresholds_is_told_and_not_written_over(here: Path, text: str, message: str) -> None:
    path = here / thresholds.FILE
    path.write_text(text)
    uses: list[Callable[[], object]] = [lambda: thresholds.of(MINI), lambda: thresholds.store(path, MINI, {})]
    for use in uses:
        with pytest.raises(ConfigError, match=message) as told:
            use()
        assert thresholds.FILE in told.value.message
    assert path.read_text() == text


def test_a_calibration_reads_as_its_figures() -> None:
    made = Calibration(0.1, 0.8, Figures(100, 95, 200), Figures(0, 0, 200))
    assert str(made.fitted) == "precision 0.950 (0.888 - 0.978; 95 of 100), recall 0.475 (0.407 - 0.544; 95 of 200)"
    assert str(made.held_out) == "precision - (of none), recall 0.000 (0.000 - 0.019; 0 of 200)"
    assert np.isnan(made.held_out.precision)


def test_wrong_merges_weigh_more_where_most_pairs_are_the_same() -> None:
    """In 900 pairs that are the same and 100 that are not, 20 wrong merges are a fifth of what is not the same."""
    same = np.arange(1000) % 10 > 0
    cosines = np.where(same, 0.9, np.where(np.arange(1000) % 50 == 0, 0.95, 0.2))
    allowed, folds = np.ones(1000, dtype=bool), np.arange(1000) // 10 % 5
    with pytest.raises(DataError, match=r"no thresholds reach a precision of 0.95 .* have 0.833 \(0.763 - 0.886\)"):
        calibrate(cosines, cosines, same, allowed, folds)
    made = calibrate(cosines, cosines, same, allowed, folds, precision=0.8)
    assert (made.fitted.merged, made.fitted.right, made.fitted.weight) == (920, 900, 9.0)
    assert made.fitted.precision == pytest.approx(900 / 1080)


def test_stored_thresholds_enter_the_key_of_normalize(instag: Instag, here: Path) -> None:
    (here / "few.jsonl").write_text(lines(*({"tags": [tag]} for tag in ("a", "b", "c"))))
    (here / "by_length.py").write_text(
        "class Model:\n    identity = '1'\n    def embed(self, texts): return [[1, 2]] * len(texts)"
    )
    assert instag("import", "few.jsonl", "--run", "run").code == 0

    def fresh() -> bool:
        return bool(
            instag("normalize", "run", "--embedder", "by_length:Model", "--min-count", 1, "--json").json["fresh"]
        )

    assert [fresh(), fresh()] == [True, False]
    thresholds.store(
        Path(thresholds.FILE), "by_length:Model/1", {"max_cosine_distance": 0.1, "min_differing_cosine": 0.5}
    )
    assert [fresh(), fresh()] == [True, False]
    thresholds.store(Path(thresholds.FILE), "another", {"max_cosine_distance": 0.1, "min_differing_cosine": 0.5})
    assert not fresh()
    Path(thresholds.FILE).write_text("format = 0")
    assert instag("normalize", "run", "--embedder", "by_length:Model").code == 1
