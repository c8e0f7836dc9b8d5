"""`instag agree`: F1 by hand, the choices the paper leaves open, what is not compared, and runs as a user has them."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import Instag
from instag import ConfigError, DataError
from instag.agreement import Agreement, AgreeSettings, agree
from instag.embedders import Lexical
from instag.matching import matched

Row = tuple[str, list[str] | None]


def tagging(*rows: Row, turn: list[int] | None = None) -> pl.DataFrame:
    columns = {
        "id": [name for name, _ in rows],
        "turn": turn or [0] * len(rows),
        "failed": [tags is None for _, tags in rows],
        "tags": pl.Series([tags or [] for _, tags in rows], dtype=pl.List(pl.String)),
    }
    return pl.DataFrame(columns, schema_overrides={"id": pl.String, "failed": pl.Boolean})


def values(figures: Any) -> list[float]:
    return [round(figures[name]["value"], 4) for name in ("precision", "recall", "f1")]


class Angles:
    """Tags are angles in degrees."""

    identity, max_cosine_distance = "angles", 0.05

    def embed(self, texts: Any) -> Any:
        angles = np.radians([float(text) for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_micro_and_macro_by_hand() -> None:
    a = tagging(("x", ["poem", "rain", "rain"]), ("y", ["maths"]), ("z", []))
    b = tagging(("x", ["poem"]), ("y", ["history", "maths", "war"]), ("z", ["new"]))
    assert values(agree(a, b).exact) == [round(2 / 5, 4), round(2 / 3, 4), 0.5]
    macro = agree(a, b, AgreeSettings(average="macro"))
    assert values(macro.exact) == [round((1 + 1 / 3) / 3, 4), 0.5, round((2 / 3 + 0.5) / 3, 4)]
    assert macro.fuzzy is None


def test_case_parts_tags_unless_told() -> None:
    a, b = tagging(("x", ["API", "Api", "Poem"])), tagging(("x", ["api", "poem"]))
    assert values(agree(a, b).exact) == [0, 0, 0]
    assert values(agree(a, b, AgreeSettings(case="fold")).exact) == [1, 1, 1]


def test_fuzzy_needs_a_cosine_above_the_limit() -> None:
    a, b = tagging(("x", ["0", "90"])), tagging(("x", ["30", "180"]))
    for degrees, found in ((31, [0.5, 0.5, 0.5]), (29, [0, 0, 0])):
        settings = AgreeSettings(embedder="mine:Angles", min_cosine=float(np.cos(np.radians(degrees))))
        assert values(agree(a, b, settings, embedder=Angles()).fuzzy) == found
    assert AgreeSettings(embedder="mine:Angles").limit == 0.8
    assert AgreeSettings(embedder="mine:Angles", min_cosine=0.0).limit == 0


def test_what_is_equal_is_near_whatever_the_vectors() -> None:
    settings = AgreeSettings(embedder="mine:Angles", min_cosine=0.99999)
    found = agree(tagging(("x", ["0"])), tagging(("x", ["0"])), settings, embedder=Angles())
    assert found.fuzzy is not None
    assert values(found.fuzzy) == [1, 1, 1]


def test_matchings_differ_where_one_tag_is_near_several() -> None:
    a, b = (
        tagging(("x", ["0", "40"])),
        tagging(("x", ["5", "-30"])),
    )  # 0 and 5 are the nearest; then none is left for 40
    found = {
        how: agree(a, b, AgreeSettings(matching=how, embedder="mine:Angles"), embedder=Angles()).fuzzy
        for how in ("optimal", "greedy", "any")
    }
    assert {how: values(figures) for how, figures in found.items()} == {
        "optimal": [1, 1, 1],
        "greedy": [0.5, 0.5, 0.5],
        "any": [1, 1, 1],
    }


PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), unique=True, max_size=12)


@given(PAIRS, st.randoms())
def test_optimal_finds_as_many_as_any_choice(pairs: list[tuple[int, int]], random: Any) -> None:
    frame = pl.DataFrame(
        {
            "query": [0] * len(pairs),
            "a": [a for a, _ in pairs],
            "b": [b for _, b in pairs],
            "cosine": [random.random() for _ in pairs],
        },
        schema={"query": pl.Int64, "a": pl.Int64, "b": pl.Int64, "cosine": pl.Float64},
    )
    most = 0
    for size in range(min(len(pairs), 5) + 1):
        for chosen in itertools.combinations(pairs, size):
            if len({a for a, _ in chosen}) == len({b for _, b in chosen}) == size:
                most = size
                break
    sizes = {how: [len(side) for side in matched(frame, how)] for how in ("optimal", "greedy", "any")}
    assert sizes["optimal"] == [most, most]
    assert sizes["greedy"][0] == sizes["greedy"][1] <= most <= 2 * sizes["greedy"][0]
    assert sizes["any"] == [len({a for a, _ in pairs}), len({b for _, b in pairs})]


def test_lexical_matches_equal_keys() -> None:
    a, b = tagging(("x", ["code optimization", "json to csv"])), tagging(("x", ["optimise code", "csv to json"]))
    found = agree(a, b, AgreeSettings(embedder="lexical"), embedder=Lexical())
    assert values(found.exact) == [0, 0, 0]
    assert found.fuzzy is not None
    assert values(found.fuzzy) == [0.5, 0.5, 0.5]
    assert found.tags.filter(tag="code optimization").rows() == [("code optimization", 1, 0, 0, 1, 0, 0.0, 1.0)]


def test_failed_and_empty_queries_are_counted_apart() -> None:
    a = tagging(("1", ["x"]), ("2", None), ("3", ["x"]), ("4", None), ("5", []), ("6", []), ("7", ["x"]))
    b = tagging(("1", ["x"]), ("2", ["x"]), ("3", None), ("4", None), ("5", []), ("6", ["x"]), ("8", ["x"]))
    found = agree(a, b)
    assert found.counts == {
        "queries": 6,
        "only_in_a": 1,
        "only_in_b": 1,
        "compared": 2,
        "both_empty": 1,
        "failed_in_a": 1,
        "failed_in_b": 1,
        "failed_in_both": 1,
        "samples": 2,
    }
    assert values(found.exact) == [0.5, 1, round(2 / 3, 4)]
    assert found.queries["status"].to_list()[:2] == ["compared", "compared"]
    assert sorted(found.queries["status"].to_list()[2:]) == [
        "both empty",
        "failed in a",
        "failed in b",
        "failed in both",
    ]


def test_the_worst_come_first() -> None:
    a = tagging(("1", ["often", "fine"]), ("2", ["often", "fine"]), ("3", ["once", "fine"]))
    b = tagging(("1", ["fine"]), ("2", ["fine"]), ("3", ["fine"]))
    found = agree(a, b)
    assert found.tags.select("tag", "in_a", "in_b", "both").rows() == [
        ("often", 2, 0, 0),
        ("once", 1, 0, 0),
        ("fine", 3, 3, 3),
    ]
    assert found.queries["id"].to_list() == ["1", "2", "3"]


def test_intervals_are_of_samples_and_of_the_seed() -> None:
    rows: list[Row] = [(str(at // 4), ["x"] if at // 4 % 2 else ["y"]) for at in range(80)]
    turns = [at % 4 for at in range(80)]
    a, b = tagging(*rows, turn=turns), tagging(*[(name, ["x"]) for name, _ in rows], turn=turns)

    def told(**settings: Any) -> dict[str, float | None]:
        return agree(a, b, AgreeSettings(**settings)).exact["f1"]

    assert told() == told()
    assert len({told(seed=seed, resamples=7)["low"] for seed in range(9)}) > 1
    figure = told()
    assert figure["low"] is not None
    assert figure["high"] is not None
    # Twenty coins, not eighty: 95 % of their mean is 0.28 to 0.72.
    assert figure["low"] == pytest.approx(0.28, abs=0.05)
    assert figure["high"] == pytest.approx(0.72, abs=0.05)
    one = agree(a.head(4), b.head(4)).exact["f1"]
    assert (one["low"], one["high"]) == (None, None)


def test_runs_that_cannot_be_compared_are_refused() -> None:
    one = tagging(("1", ["x"]))
    with pytest.raises(DataError, match="`A` and `B` share no samples"):
        agree(one, tagging(("2", ["x"])))
    with pytest.raises(DataError, match="have other queries in samples that they share: the first is `1`, turn 1"):
        agree(one, tagging(("1", ["x"]), ("1", ["y"]), turn=[0, 1]))
    first, second = (one.with_columns(query=pl.lit(text)) for text in "ab")
    with pytest.raises(DataError, match="other queries"):
        agree(first, second)
    with pytest.raises(DataError, match="`B` has 2 rows that share their id with another, the first `1`"):
        agree(one, tagging(("1", ["x"]), ("1", ["y"])))
    with pytest.raises(DataError, match="is left to compare: 1 failed in b"):
        agree(one, tagging(("1", None)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"average": "mean"}, "`average` is 'mean', which is none\nhint: one of micro, macro"),
        ({"min_cosine": 0.8}, "no embedder is named"),
        ({"min_cosine": 0.8, "embedder": "lexical"}, "`lexical` compares keys, not cosines"),
        ({"min_cosine": 1.0, "embedder": "openai"}, "must be from -1 to below 1"),
        ({"resamples": 0}, "must be at least 1 and 0"),
    ],
)
def test_settings_outside_their_domain_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AgreeSettings(**settings)


def test_two_runs_of_one_pool(instag: Instag, chats: Path, tmp_path: Path) -> None:
    whole, half = tmp_path / "whole", tmp_path / "half"
    assert instag("tag", chats, "--run", whole, "--tagger", "keyphrase").code == 0
    assert instag("tag", chats, "--run", half, "--tagger", "keyphrase", "--limit", 20).code == 0
    out = tmp_path / "out"
    said = instag("agree", whole, half, "--embedder", "lexical", "--out", out, "--json", "--limit", 3)
    assert said.code == 0
    told = said.json
    assert told["counts"]["compared"] == 20
    assert told["counts"]["only_in_a"] == 20
    assert 0 < told["exact"]["f1"]["value"] <= told["fuzzy"]["f1"]["value"] <= 1
    assert told["settings"]["embedder"] == "lexical/3"
    assert len(told["worst"]["queries"]) <= 3
    assert pl.read_parquet(out / "queries.parquet")["query"].null_count() == 0
    assert "fuzzy (equal keys, optimal)" in said.err
    assert instag("agree", whole, whole, "--json").json["exact"]["f1"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert "no embedder is named, so no fuzzy F1" in instag("agree", whole, half).err
    assert "run `instag normalize` first" in instag("agree", whole, half, "--tags", "normalized").err


def test_imported_tags_are_joined_by_their_ids(instag: Instag, chats: Path, tmp_path: Path) -> None:
    run, labels = tmp_path / "run", tmp_path / "labels.jsonl"
    instag("tag", chats, "--run", run, "--tagger", "keyphrase")
    ids = pl.read_parquet(run / "tag" / "queries.parquet")["id"]
    labels.write_text("".join(json.dumps({"id": name, "tags": ["poem"]}) + "\n" for name in ids))
    instag("import", labels, "--run", tmp_path / "people", "--id-column", "id")
    told = instag("agree", tmp_path / "people", run, "--json").json
    assert told["counts"]["compared"] == 40
    assert told["worst"]["queries"][0]["query"]
    instag("import", labels, "--run", tmp_path / "other")
    said = instag("agree", tmp_path / "other", run)
    assert said.code == 1
    assert "share no samples" in said.err
    assert "--id-column" in said.err


def test_whole_samples_on_real_chats(instag: Instag, data: Path, tmp_path: Path) -> None:
    chats, run, people = data / "instructions" / "sgd" / "messages.jsonl.gz", tmp_path / "run", tmp_path / "people"
    instag("tag", chats, "--run", run, "--tagger", "keyphrase", "--limit", 50)
    ids = pl.read_parquet(run / "tag" / "rows.parquet")["id"]
    labels = tmp_path / "labels.jsonl"
    labels.write_text("".join(json.dumps({"id": name, "tags": ["FindRestaurants"]}) + "\n" for name in ids))
    instag("import", labels, "--run", people, "--id-column", "id")
    assert "have other queries" in instag("agree", people, run).err
    told = instag("agree", people, run, "--by", "sample", "--json").json
    assert told["counts"]["compared"] == told["counts"]["samples"] == 50


def test_labels_made_elsewhere_join_by_the_ids_of_the_source(instag: Instag, data: Path, tmp_path: Path) -> None:
    chats, run, people = data / "instructions" / "sgd" / "messages.jsonl.gz", tmp_path / "run", tmp_path / "people"
    instag("tag", chats, "--run", run, "--tagger", "keyphrase", "--limit", 200)
    instag("import", chats, "--run", people, "--column", "intents", "--id-column", "id")
    assert "`--join own-id`" in instag("agree", people, run).err
    told = instag("agree", people, run, "--by", "sample", "--join", "own-id", "--json").json
    assert told["counts"]["compared"] == 200
    lines = [json.loads(line) for line in gzip.decompress(chats.read_bytes()).splitlines()[:200]]
    rows = pl.read_parquet(run / "tag" / "rows.parquet", columns=["tags"]).cast(pl.List(pl.String))["tags"].to_list()
    hits = sum(len(set(line["intents"]) & set(tags)) for line, tags in zip(lines, rows, strict=True))
    whole = sum(len(set(line["intents"])) for line in lines)
    assert told["exact"]["recall"]["value"] == pytest.approx(hits / whole)


def test_records_without_ids_of_their_own_are_refused(instag: Instag, chats: Path, tmp_path: Path) -> None:
    instag("tag", chats, "--run", tmp_path / "run", "--tagger", "keyphrase")
    said = instag("agree", tmp_path / "run", tmp_path / "run", "--join", "own-id")
    assert "40 samples of" in said.err
    assert "have no id of their own" in said.err


def test_an_agreement_shows_what_it_found() -> None:
    found = agree(tagging(("1", ["x"])), tagging(("1", ["x"])))
    assert isinstance(found, Agreement)
    assert repr(found) == "Agreement(1 queries, exact F1 1.000)"
