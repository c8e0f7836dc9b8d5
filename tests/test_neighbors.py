"""Pairs within a radius and the groups they make: equal to the slow twins, whatever finds the pairs."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import oracle
from instag import ConfigError, DataError, _core, neighbors
from instag.neighbors import pairs_within
from instag.progress import Advance, Talk

F32 = NDArray[np.float32]
coordinates = st.floats(-100, 100, width=32).map(lambda x: x if abs(x) > 1e-3 else 1.0)
matrices = st.integers(1, 19).flatmap(lambda d: st.lists(st.lists(coordinates, min_size=d, max_size=d), max_size=12))
edges = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.sampled_from([0.7, 0.8, 0.9, 1.0])), max_size=40)


def crowd(rows: int, dimension: int = 64, seed: int = 0) -> F32:
    """Vectors in tight bunches of about ten, as near-synonyms lie."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(rows // 10 + 1, dimension))
    noise = rng.normal(size=(rows, dimension)) * 0.15
    return np.asarray(centers[rng.integers(0, len(centers), rows)] + noise, dtype=np.float32)


@given(matrices, st.sampled_from([0.0, 0.05, 0.5]))
def test_exact_pairs_equal_the_oracle(rows: list[list[float]], distance: float) -> None:
    vectors = np.array(rows, dtype=np.float32).reshape(len(rows), -1 if rows else 1)
    expected = {(a, b): oracle.cosine(rows[a], rows[b]) for a in range(len(rows)) for b in range(a + 1, len(rows))}
    found = pairs_within(vectors, distance, method="exact")
    sure = {pair for pair, cosine in expected.items() if cosine > 1 - distance}
    maybe = {pair for pair, cosine in expected.items() if cosine >= 1 - distance - 1e-9}
    pairs = list(zip(found.a.tolist(), found.b.tolist(), strict=True))
    assert sure <= set(pairs) <= maybe
    assert pairs == sorted(set(pairs))
    for pair, cosine in zip(pairs, found.cosines.tolist(), strict=True):
        assert cosine == pytest.approx(expected[pair], abs=1e-12)


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = crowd(500)
    whole = pairs_within(vectors, 0.05)
    monkeypatch.setattr(neighbors, "BLOCK_VALUES", 3 * 500)
    blocks = pairs_within(vectors, 0.05)
    assert np.array_equal(np.array(whole), np.array(blocks))


def test_scale_does_not_show() -> None:
    vectors = crowd(200)
    scales = np.float32(10.0) ** np.random.default_rng(1).integers(-30, 30, (200, 1)).astype(np.float32)
    plain, scaled = pairs_within(vectors, 0.05), pairs_within(vectors * scales, 0.05)
    assert plain.a.tolist() == scaled.a.tolist()
    np.testing.assert_allclose(plain.cosines, scaled.cosines, atol=1e-6)


def test_hnsw_finds_what_exact_finds() -> None:
    pytest.importorskip("hnswlib", reason="the extra `hnsw` is not installed")
    vectors = crowd(6000)
    exact, hnsw = (set(zip(*pairs_within(vectors, 0.05, method=m)[:2], strict=True)) for m in ("exact", "hnsw"))
    assert hnsw <= exact
    assert len(hnsw) >= 0.995 * len(exact) > 10_000
    again = pairs_within(vectors, 0.05, method="hnsw")
    assert set(zip(*again[:2], strict=True)) == hnsw


def test_progress_is_told_where_many_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    class Heard(Talk):
        @contextlib.contextmanager
        def bar(self, label: str, *, total: int | None = None, unit: str = "it") -> Iterator[Advance]:
            heard.append(total)
            yield lambda n: heard.append(n)

    for method in ("exact", "hnsw") if importlib.util.find_spec("hnswlib") else ("exact",):
        heard: list[int | None] = []
        pairs_within(crowd(200), 0.05, method=method, talk=Heard())
        assert heard == []
        with monkeypatch.context() as small:
            small.setattr(neighbors, "SHOWN_ROWS", 100)
            small.setattr(neighbors, "BLOCK_VALUES", 30 * 200)
            small.setattr(neighbors, "HNSW_ROWS", 30)
            pairs_within(crowd(200), 0.05, method=method, talk=Heard())
        assert heard == [200, *[30] * 6, 20]


def test_rows_in_parts_make_the_same_index(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("hnswlib", reason="the extra `hnsw` is not installed")
    vectors = crowd(3000)
    whole = pairs_within(vectors, 0.05, method="hnsw")
    monkeypatch.setattr(neighbors, "HNSW_ROWS", 70)
    parts = pairs_within(vectors, 0.05, method="hnsw")
    assert np.array_equal(np.array(whole), np.array(parts))


def test_hnsw_widens_until_a_row_has_all_its_neighbors() -> None:
    pytest.importorskip("hnswlib", reason="the extra `hnsw` is not installed")
    vectors = np.tile(crowd(1), (70, 1))  # every row is a neighbor of every other
    assert len(pairs_within(vectors, 0.05, method="hnsw").a) == 70 * 69 // 2


def test_without_hnswlib_hnsw_is_refused_with_the_command_that_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    with pytest.raises(ConfigError, match=r'pip install "instag\[hnsw\]"'):
        pairs_within(crowd(10), 0.05, method="hnsw")


@pytest.mark.parametrize("method", ["exact", "hnsw"])
def test_too_many_pairs_end_in_an_error(method: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if method == "hnsw":
        pytest.importorskip("hnswlib", reason="the extra `hnsw` is not installed")
    monkeypatch.setattr(neighbors, "MAX_PAIRS", 100)
    with pytest.raises(DataError, match="lower `max_cosine_distance`"):
        pairs_within(np.ones((50, 3), dtype=np.float32), 0.05, method=method)


@given(edges)
def test_groups_equal_the_oracles(edges: list[tuple[int, int, float]]) -> None:
    lowest: dict[tuple[int, int], float] = {}
    for a, b, cosine in edges:
        if a != b:
            pair = (min(a, b), max(a, b))
            lowest[pair] = min(cosine, lowest.get(pair, 1.0))
    ends = np.array([edge[:2] for edge in edges], dtype=np.uint32).reshape(-1, 2).T.copy()
    cosines = np.array([edge[2] for edge in edges])
    assert _core.single_linkage(10, ends[0], ends[1]).tolist() == oracle.single_linkage(10, list(lowest))
    groups = _core.complete_linkage(10, ends[0], ends[1], cosines).tolist()
    assert groups == oracle.complete_linkage(10, lowest)
    together = [(x, y) for y in range(10) for x in range(y) if groups[x] == groups[y]]
    assert set(together) <= set(lowest)


def test_arrays_that_do_not_fit_are_refused() -> None:
    none, one = np.zeros(0, dtype=np.uint32), np.array([7], dtype=np.uint32)
    with pytest.raises(ValueError, match="7"):
        _core.single_linkage(3, one, one)
    with pytest.raises(ValueError, match="`b`"):
        _core.complete_linkage(3, one, none, np.zeros(1))
    with pytest.raises(ValueError, match="`cosines`"):
        _core.complete_linkage(9, one, one, np.array([np.nan]))
    with pytest.raises(ValueError, match="`dimension`"):
        _core.cosines(np.ones(3, dtype=np.float32), 2, none, none)
    with pytest.raises(ValueError, match="id 7"):
        _core.cosines(np.ones(4, dtype=np.float32), 2, one, one)
