"""Guards and the guarded merge: what never merges, what does, and both as their slow twins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

import oracle_guarded
from instag import DataError, TagTable, _core, normalize
from instag.embedders import Lexical
from instag.guarded import Guarded, merge_guarded
from instag.guards import differences
from instag.semantic import SemanticMerge, merge_semantic

WORDS = (
    "photo image picture editing editor edit recorder recording app application cloud storage cloudstorage server "
    "client servers tag tagging java javascript dhcp dhcpd json csv to from vs without non-linear linear un unlock "
    "lock locked encode decode decoding 2 3 python2 win10 windows c c++ .net v1.2 1 12 the of for and in pan pane "
    "fluxer fluxzero 数学 学数 é project projection email mail french german 3d-printer blender3d serverless "
    "frontend front-end"
).split()
tags = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join) | st.text(
    st.sampled_from("ab c12-.'&+#ofst学é🎉"), max_size=10
)


class Meaning:
    """An embedder that makes vectors up from the letters of a text, so that some are near; or looks them up."""

    identity = "meaning"
    max_cosine_distance = 0.05

    def __init__(self, known: Mapping[str, Sequence[float]] | None = None, multilingual: bool = False) -> None:
        self.known, self.multilingual = known or {}, multilingual
        self.asked: list[list[str]] = []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked.append(list(texts))
        made = [
            self.known.get(text) or [1 + byte % 3 for byte in blake2b(text.encode()).digest()[:3]] for text in texts
        ]
        return np.array(made, dtype=np.float32)


def guarded(surfaces: Sequence[str], embedder: Any, distance: float = 0.1, differing: float = 0.9) -> Guarded:
    counts = np.ones(len(surfaces), dtype=np.int64)
    settings: dict[str, Any] = {"max_cosine_distance": distance, "min_differing_cosine": differing}
    return merge_guarded(surfaces, counts, embedder, **settings)


@given(st.lists(st.tuples(tags, tags), max_size=8), st.lists(tags, max_size=4))
def test_differences_equal_the_oracle(pairs: list[tuple[str, str]], more: list[str]) -> None:
    a, b = [one for one, _ in pairs], [other for _, other in pairs]
    told = differences(a, b, vocabulary=more)
    known = oracle_guarded.known([*a, *b, *more])
    expected = [oracle_guarded.difference(one, other, known) for one, other in pairs]
    assert list(zip(told.veto, told.left, told.right, strict=True)) == expected


@given(tags, tags)
def test_a_veto_does_not_depend_on_the_side(a: str, b: str) -> None:
    here, there = differences([a], [b]), differences([b], [a])
    assert (here.veto[0], here.left[0], here.right[0]) == (there.veto[0], there.right[0], there.left[0])


@given(st.lists(tags, unique=True, max_size=14).map(lambda some: sorted(some, key=str.encode)))
@example(["locked", "photo", "unlock unlock servers mail"])  # two cosines that are equal but for rounding
def test_the_merge_equals_the_oracle(surfaces: list[str]) -> None:
    embedder = Meaning(multilingual=True)
    found = guarded(surfaces, embedder)
    expected = oracle_guarded.merge(surfaces, Lexical().keys(surfaces), embedder.embed, 0.1, 0.9)
    assert {tuple(np.flatnonzero(found.groups == group)) for group in found.groups} == expected


@given(st.lists(tags, unique=True, max_size=12), st.randoms())
def test_groups_do_not_depend_on_the_order_of_tags_and_never_fall_below_lexical(names: list[str], random: Any) -> None:
    shuffled = list(names)
    random.shuffle(shuffled)

    def groups(order: list[str]) -> set[frozenset[str]]:
        made = merge_semantic(order, np.ones(len(order), dtype=np.int64), embedder=Meaning())
        return {frozenset(np.array(order, dtype=object)[made.groups == group]) for group in made.groups}

    assert groups(names) == groups(shuffled)
    by_key: dict[str, set[str]] = {}
    for name, key in zip(names, Lexical().keys(names), strict=True):
        by_key.setdefault(key, set()).add(name)
    assert all(any(same <= group for group in groups(names)) for same in by_key.values())


@pytest.mark.parametrize(
    ("a", "b", "veto"),
    [
        ("json to csv", "csv to json", "reversal"),
        ("语音转文本", "文本转语音", "reversal"),
        ("file system", "system file", "reversal"),
        ("lossy", "lossless", "antonym"),
        ("sort ascending", "sort descending", "antonym"),
        ("positive feedback", "negative feedback", "antonym"),
        ("frontend development", "backend development", "antonym"),
        ("encode", "decode", "antonym"),
        ("linear", "non-linear", "negation"),
        ("python 2", "python 3", "number"),
        ("c", "c++", "symbol"),
        ("java", "javascript", "sibling"),
        ("security", "national security", "containment"),
        ("jellyfin", "jellyseerr", "look-alike"),
        ("universe", "university", "look-alike"),
        ("history", "histology", "look-alike"),
        ("writing for children", "writing about children", "direction"),
    ],
)
def test_what_a_guard_keeps_apart_no_model_merges(a: str, b: str, veto: str) -> None:
    assert differences([a], [b]).veto[0] == veto
    found = guarded(sorted([a, b]), Meaning({text: [1.0, 1.0] for text in (a, b)}), distance=0.0)
    assert found.groups.tolist() == [0, 1]
    assert found.vetoed in ({veto: 1}, {})  # other numbers are not even compared


def test_what_differs_decides() -> None:
    near = {"photo editing": [1.0, 0.0], "image editing": [1.0, 0.1], "photo": [1.0, 0.0], "image": [1.0, 0.2]}
    embedder = Meaning(near)
    assert guarded(["image editing", "photo editing"], embedder).groups.tolist() == [0, 0]
    assert embedder.asked == [["image editing", "photo editing"], ["image", "photo"]]
    far = Meaning(near | {"image": [0.0, 1.0]})
    assert guarded(["image editing", "photo editing"], far).groups.tolist() == [0, 1]


def test_a_vetoed_pair_is_never_in_one_group_however_near_the_others_are() -> None:
    names = ["big photo", "large photo", "small photo"]
    found = guarded(names, Meaning({text: [1.0, 1.0] for text in [*names, "big", "large", "small"]}))
    assert found.groups.tolist() == [0, 0, 1]
    assert found.vetoed == {"antonym": 2}


def test_other_scripts_stay_as_lexical_leaves_them_unless_the_model_knows_them() -> None:
    names = sorted(["数学题", "算术题", "maths exam"], key=str.encode)
    vectors = {name: [1.0, 1.0] for name in names}
    by_rules = merge_semantic(names, np.ones(3, dtype=np.int64), embedder=Meaning(vectors))
    assert by_rules.groups.tolist() == [0, 1, 2]
    assert any("2 tags are not in Latin script" in note for note in by_rules.notes)
    assert guarded(names, Meaning(vectors, multilingual=True)).by_rules == 0


def test_what_lexical_merges_stays_merged_and_the_ledger_says_which_of_the_two_it_was() -> None:
    import polars as pl

    rows = pl.Series([["front-end app", "front end apps", "picture app", "photo app"], ["photo app", "front-end app"]])
    vectors = {text: [1.0, 1.0, 0.0] for text in ("picture app", "photo app", "picture", "photo")}
    embedder = Meaning(vectors | {"front-end app": [0.0, 0.0, 1.0]})
    made = normalize(TagTable.from_series(rows), min_count=1, embedder=embedder, skip=["rule", "association"])
    ledger = {row["raw"]: (row["into"], row["reason"], row["evidence"]) for row in made.ledger.iter_rows(named=True)}
    assert ledger["picture app"] == ("photo app", "cosine", pytest.approx(1.0))
    assert ledger["front end apps"] == ("front-end app", "separators+plural", 1.0)
    assert ledger["photo app"] == ("photo app", None, None)


def test_numbered_tags_need_no_vector_and_no_pairs() -> None:
    embedder = Meaning()
    found = guarded(sorted(f"tag {number}" for number in range(200_000)), embedder)  # minutes if it were quadratic
    assert embedder.asked == []
    assert len(set(found.groups.tolist())) == 200_000


def test_few_and_many_of_the_same_numbers_are_compared_alike() -> None:
    """Blocks up to 64 tags are compared one by one, larger ones by `pairs_within`."""
    words = ["".join(chr(97 + n // 26**place % 26) * 3 for place in range(2)) for n in range(80)]
    for size in (64, 65):
        names = sorted(f"{word} 7" for word in words[:size])
        embedder = Meaning()
        told = oracle_guarded.merge(names, Lexical().keys(names), embedder.embed, 0.1, 0.9)
        found = guarded(names, embedder)
        assert {tuple(np.flatnonzero(found.groups == group)) for group in found.groups} == told


def test_the_default_is_guarded_but_for_the_model_of_the_paper() -> None:
    class PhraseBert(Meaning):
        identity = "sentence-transformers:whaleloops/phrase-bert"

    def notes(embedder: Any, **settings: Any) -> str:
        made: SemanticMerge = merge_semantic(["a", "b"], np.array([1, 1]), embedder=embedder, **settings)
        return made.notes[0]

    assert "guarded" in notes(Meaning())
    assert "as the paper merges" in notes(PhraseBert())
    assert "guarded" in notes(PhraseBert(), merge="guarded")
    assert any("decides nothing" in note for note in merge_semantic(["a"], np.array([1]), merge="paper").notes)


def test_thresholds_are_said_to_be_measured_or_not() -> None:
    made = merge_semantic(["a b", "c d"], np.array([1, 1]), embedder=Meaning())
    assert any("none are measured for this model" in note for note in made.notes)


def test_sides_of_other_lengths_and_hostile_arrays_are_refused() -> None:
    import polars as pl

    with pytest.raises(DataError, match="`b` has 0 tags"):
        differences(["a"], [])
    with pytest.raises(ValueError, match="id 3"):
        _core.guard_pairs(pl.Series(["a"]), np.array([0], np.uint32), np.array([3], np.uint32))
