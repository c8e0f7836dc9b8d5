"""The semantic step: what merges, what never does, and what a bad embedder is told."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from instag import ConfigError, DataError, ProviderError
from instag.embedders import Lexical
from instag.local_models import SentenceTransformersEmbedder
from instag.semantic import SemanticMerge, merge_semantic


def merge(surfaces: Sequence[str], **settings: Any) -> SemanticMerge:
    return merge_semantic(list(surfaces), np.ones(len(surfaces), dtype=np.int64), **settings)


def same(*surfaces: str) -> bool:
    return not merge(surfaces).groups.any()


@dataclass
class Table:
    """An embedder that looks its vectors up."""

    vectors: dict[str, list[float]]
    identity: str = "table"
    max_cosine_distance: float = 0.05

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([self.vectors[text] for text in texts], dtype=np.float32)


@dataclass
class Broken:
    """An embedder that answers with whatever `answer` makes of the texts."""

    answer: Callable[[Sequence[str]], Any]
    identity: str = "broken"
    max_cosine_distance: float = 0.05

    def embed(self, texts: Sequence[str]) -> Any:
        return self.answer(texts)


def angle(degrees: float) -> list[float]:
    return [float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))]


@pytest.mark.parametrize(
    "tags",
    [
        ("code optimization", "optimize code", "optimization of code", "Optimizing the code", "code optimisation"),
        ("front-end", "frontend", "front end", "Front_Ends"),
        ("colour", "color"),
        ("travelling", "traveling"),
        ("python 3", "python3", "Python-3"),
        ("spelling and grammar check", "grammar and spelling check"),
        ("python web scraping", "web scraping python"),
        ("children's books", "child book"),
        ("APIs", "api"),
        ("convert json to csv", "json to csv conversion"),
    ],
)
def test_the_same_words_merge(tags: tuple[str, ...]) -> None:
    assert same(*tags)


@pytest.mark.parametrize(
    "tags",
    [
        ("json to csv", "csv to json"),
        ("english to spanish", "spanish to english"),
        ("python vs java", "java vs python"),
        ("python 2", "python 3"),
        ("version 1.1", "version 11"),
        ("java", "javascript"),
        ("security", "national security"),
        ("linear", "non-linear"),
        ("supervised learning", "unsupervised learning"),
        ("lossy", "lossless"),
        ("ascending", "descending"),
        ("university", "universe"),
        ("project", "projection"),
        ("history", "histology"),
        ("file system", "system file"),
        ("c", "c++"),
        ("c++", "c#"),
        ("windows", "window"),
        ("news", "new"),
        ("with sugar", "without sugar"),
        ("writing for children", "writing about children"),
        ("test data", "data testing"),
    ],
)
def test_other_meanings_never_merge(tags: tuple[str, str]) -> None:
    assert not same(*tags)


@given(st.lists(st.text(st.sampled_from("ab c12-.'&+#of学é🎉"), max_size=12), unique=True, max_size=12), st.randoms())
def test_groups_do_not_depend_on_the_order_of_tags(tags: list[str], random: Any) -> None:
    shuffled = list(tags)
    random.shuffle(shuffled)
    here, there = (dict(zip(order, Lexical().keys(order), strict=True)) for order in (tags, shuffled))
    assert here == there


@given(st.text(max_size=40))
def test_any_text_has_a_key_and_case_does_not_matter(tag: str) -> None:
    assert same(tag, tag)
    assert len(Lexical().keys([tag])) == 1


def test_lexical_says_what_it_is_and_what_a_model_would_add() -> None:
    found = merge(["one", "two"])
    assert found.embedder == "lexical/3"
    assert found.max_cosine_distance == 0.0
    assert "--embedder" in found.notes[0]
    assert np.isnan(found.evidence).all()
    assert repr(found) == "SemanticMerge(2 tags, 2 groups, lexical/3)"


@pytest.mark.parametrize("embedder", ["lexical", Table({"one": [1.0, 0.0]})])
def test_no_tag_and_one_tag(embedder: Any) -> None:
    nothing = merge([], embedder=embedder)
    assert (nothing.groups.tolist(), nothing.evidence.tolist()) == ([], [])
    one = merge(["one"], embedder=embedder)
    assert one.groups.tolist() == [0]
    assert np.isnan(one.evidence).all()


def test_long_symbolic_and_emoji_tags_stay_apart() -> None:
    tags = ["x" * 500, "x " * 250, "x" * 499, "+++", "---", "🎉", "🎉🎉", "", " ", "\0", "‮abc", "ا ب"]
    assert merge(tags).groups.tolist() == list(range(len(tags)))


def test_numbered_tags_are_never_quadratic() -> None:
    found = merge([f"tag {number}" for number in range(200_000)])  # minutes if it were
    assert int(found.groups[-1]) == 199_999


# Known misreadings of the paper, from our side.


def test_the_radius_is_a_distance_and_not_a_similarity() -> None:
    near_and_far = Table({"a": angle(0), "b": angle(15), "c": angle(30)})  # cosines 0.966, 0.966, 0.866
    assert merge(["a", "b"], embedder=near_and_far, merge="paper").groups.tolist() == [0, 0]
    assert merge(["a", "c"], embedder=near_and_far, merge="paper").groups.tolist() == [0, 1]
    with pytest.raises(ConfigError, match=r"it is a distance: 0.05 joins"):
        merge(["a", "b"], embedder=near_and_far, max_cosine_distance=0.95)


def test_isolated_tags_are_groups_of_their_own_and_not_one_cluster_of_noise() -> None:
    alone = Table({"a": [1, 0, 0], "b": [0, 1, 0], "c": [0, 0, 1]})
    assert merge(["a", "b", "c"], embedder=alone, merge="paper").groups.tolist() == [0, 1, 2]


def test_single_chains_as_dbscan_does_and_complete_does_not() -> None:
    chain = Table({"a": angle(0), "b": angle(15), "c": angle(30), "z": angle(90)})
    found = merge(["z", "a", "b", "c"], embedder=chain, merge="paper")
    assert found.groups.tolist() == [0, 1, 1, 1]
    assert found.evidence[1:].tolist() == pytest.approx([np.cos(np.radians(15))] * 3)
    assert np.isnan(found.evidence[0])
    assert merge(["a", "b", "c"], embedder=chain, merge="paper", linkage="complete").groups.max() == 1


def test_vectors_are_named_and_never_made_up_in_silence() -> None:
    found = merge(["a"], embedder=Table({"a": [1.0]}), merge="paper")
    assert found.embedder == "table"
    assert "`table`" in found.notes[0]
    assert any("`--neighbors auto` is `exact`" in note for note in found.notes)
    for unknown in ("tfidf", "random", "openai:", "sentence-transformers:", "phrase-bert"):
        with pytest.raises(ConfigError, match="one of `lexical`"):
            merge(["a"], embedder=unknown)


def test_repeats_and_order_do_not_change_the_groups() -> None:
    rng = np.random.default_rng(0)
    vectors = Table({f"t{n}": rng.normal(size=3).tolist() for n in range(60)})
    tags = list(vectors.vectors)
    for linkage in ("single", "complete"):
        there, back = (
            merge(order, embedder=vectors, merge="paper", linkage=linkage).groups for order in (tags, tags[::-1])
        )
        assert (there[:, None] == there).tolist() == (back[::-1, None] == back[::-1]).tolist()
    twice = merge(["t1", "t2", "t1"], embedder=Table({"t1": [1, 0], "t2": [0, 1]}), merge="paper")
    assert twice.groups.tolist() == [0, 1, 0]
    assert twice.evidence[[0, 2]].tolist() == [1.0, 1.0]


# Bad embedders and bad settings.


def fails_half_way(texts: Sequence[str]) -> Any:
    raise ConnectionResetError("gone after 2 of 3")


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (lambda texts: np.full((3, 2), np.nan), DataError, "row 0 is not finite"),
        (lambda texts: np.full((3, 2), 1e300), DataError, "row 0 is not finite"),
        (lambda texts: np.eye(3) * [1, 0, 1], DataError, "row 1 is all zeros"),
        (lambda texts: np.ones((2, 4)), DataError, "expected 3 rows"),
        (lambda texts: np.ones((3, 0)), DataError, "expected 3 rows"),
        (lambda texts: np.ones(3), DataError, "expected 3 rows"),
        (lambda texts: [[1.0, 2.0], [1.0], [2.0, 1.0]], DataError, "one length"),
        (lambda texts: None, DataError, "found an array|one length"),
        (lambda texts: [["a"]] * 3, DataError, "one length"),
        (fails_half_way, ProviderError, "gone after 2 of 3"),
    ],
)
@pytest.mark.parametrize("way", ["paper", "guarded"])
def test_a_broken_embedder_is_told_where(way: Any, answer: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        merge(["a", "b", "c"], embedder=Broken(answer), merge=way)


@pytest.mark.parametrize(
    "settings",
    [
        {"linkage": "average"},
        {"merge": "careful"},
        {"neighbors": "faiss"},
        {"max_cosine_distance": -0.1},
        {"max_cosine_distance": float("nan")},
        {"embedder": 3},
    ],
)
def test_settings_outside_their_domain_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        merge(["a", "b"], **settings)


def test_counts_of_another_length_are_refused() -> None:
    with pytest.raises(DataError, match="2 entries for 1"):
        merge_semantic(["a"], np.array([1, 2]))


def test_without_sentence_transformers_the_command_that_helps_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ConfigError, match=r'pip install "instag\[sentence-transformers\]"'):
        merge(["a", "b"], embedder="sentence-transformers:any")


def test_a_sentence_transformers_model_is_asked_for_surfaces(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """A stand-in for the package: the real one is a gigabyte, and only its constructor and `encode` are used."""

    class Model:
        def __init__(self, name: str, **_: Any) -> None:
            if name == "absent":
                raise OSError("absent is not a local folder")

        def encode(self, texts: list[str], **settings: Any) -> NDArray[np.float32]:
            assert settings["convert_to_numpy"]
            return np.array([[len(text), 1.0] for text in texts], dtype=np.float32)

    module = types.ModuleType("sentence_transformers")
    module.SentenceTransformer = Model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    assert merge(["aa", "bb", ""], embedder="sentence-transformers:a/model", merge="paper").groups.tolist() == [0, 0, 1]
    with pytest.raises(ConfigError, match="embedder `sentence-transformers:absent`: no model"):
        merge(["a", "b"], embedder="sentence-transformers:absent")
    (tmp_path / "weights").write_bytes(b"1")
    before = SentenceTransformersEmbedder(str(tmp_path)).identity
    (tmp_path / "weights").write_bytes(b"2")
    assert SentenceTransformersEmbedder(str(tmp_path)).identity != before
