"""The misreadings of the paper that unofficial scripts are known for, each with a test that it is not ours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

import instag
from instag import NormalizeSettings, TagTable, normalize

UP_TO_RULES = ("semantic", "association")


def table_of(rows: list[list[str]]) -> TagTable:
    return TagTable.from_series(pl.Series("tags", rows, dtype=pl.List(pl.String)))


def final(rows: list[list[str]], **settings: object) -> list[list[str]]:
    return normalize(table_of(rows), min_count=1, **settings).table.to_series().to_list()  # type: ignore[arg-type]


# ---- frequency and rule ----


def test_the_representative_is_the_most_frequent_surface_not_the_first_of_the_alphabet() -> None:
    rows = [["zebras"], ["zebras"], ["zebra"], ["Zebra"]]
    assert final(rows, skip=UP_TO_RULES) == [["zebras"]] * 4


def test_ties_go_to_the_shorter_then_to_the_bytewise_smaller_surface() -> None:
    assert final([["models"], ["model"], ["Model"]], skip=UP_TO_RULES) == [["Model"]] * 3


def test_people_see_surfaces_never_stems() -> None:
    assert final([["history"], ["histories"], ["history"]], skip=UP_TO_RULES) == [["history"]] * 3


def test_underscores_are_special_characters() -> None:
    for paper in (False, True):
        rows = [["data_analysis"], ["data analysis"], ["data analysis"], ["_data__analysis_"]]
        assert final(rows, paper_rules=paper, skip=UP_TO_RULES) == [["data analysis"]] * 4


def test_frequency_filtering_counts_raw_strings_before_lower_casing() -> None:
    rows = [["Python"]] * 19 + [["python"]] * 19 + [["rust"]] * 20
    made = normalize(table_of(rows), skip=UP_TO_RULES)
    assert made.table.vocabulary.to_list() == ["rust"]


def test_frequency_filtering_counts_a_tag_once_a_query() -> None:
    made = normalize(table_of([["a", "a", "a"], ["b"], ["b"], ["b"]]), min_count=2, skip=UP_TO_RULES)
    assert made.ledger.select("raw", "count", "step").rows() == [("b", 3, "kept"), ("a", 1, "rare")]


# ---- semantic ----


class Angles:
    """An embedder that knows each tag's cosine to one tag; beyond that, each has a dimension of its own."""

    identity = "angles"
    max_cosine_distance = 0.05

    def __init__(self, cosines: dict[str, float]) -> None:
        self.cosines = cosines

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        cosines = np.array([self.cosines[text] for text in texts])
        own = np.diag(np.sqrt(1 - cosines**2))
        return np.column_stack([cosines, own]).astype(np.float32)


def test_the_radius_is_a_distance_not_a_similarity() -> None:
    with pytest.raises(instag.ConfigError, match=r"the paper's similarity of 0\.95 is a distance of 0\.05"):
        NormalizeSettings(max_cosine_distance=0.95)
    embedder = Angles({"root": 1.0, "near": 0.96, "far": 0.94})
    rows = [["root"], ["root"], ["near"], ["far"]]
    assert final(rows, embedder=embedder, skip=["association"]) == [["root"], ["root"], ["root"], ["far"]]


def test_tags_without_neighbors_are_not_one_cluster_of_noise() -> None:
    rows = [["a"], ["b"], ["c"], ["d"]]
    embedder = Angles({"a": 1.0, "b": 0.1, "c": 0.2, "d": 0.3})
    assert final(rows, embedder=embedder, skip=["association"]) == rows


def test_no_other_embedder_takes_its_place_in_silence() -> None:
    for name in ("tf-idf", "random", "phrasebert"):
        with pytest.raises(instag.ConfigError, match="which is none"):
            NormalizeSettings(embedder=name)
    notes = "\n".join(normalize(table_of([["a"]]), min_count=1).notes)
    assert "embedder `lexical" in notes
    assert "no model" in notes
    assert "--embedder" in notes


# ---- association ----


def test_the_minimum_support_is_a_number_of_queries_not_a_fraction() -> None:
    assert NormalizeSettings().min_rule_count == 40
    with pytest.raises(instag.ConfigError, match="whole number"):
        NormalizeSettings(min_rule_count=0.4)  # type: ignore[arg-type]
    rows = [["pandas", "python"]] * 40 + [["python"]] * 1_000  # a support of 4 %
    assert final(rows, skip=["semantic"]) == [["python"]] * 1_040
    assert final(rows[1:], skip=["semantic"]) == rows[1:]


def test_of_two_tags_that_imply_each_other_the_more_frequent_survives() -> None:
    rows = [["a", "z"]] * 199 + [["z"]]
    assert final(rows, skip=["semantic"]) == [["z"]] * 200


# ---- select ----
