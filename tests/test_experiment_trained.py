"""A whole experiment on a tiny decoder: selected, trained, judged by the held-out loss, one table (marker `train`)."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from conftest import Instag
from tiny_model import tiny_model

pytestmark = pytest.mark.train
pytest.importorskip("transformers", reason="the extra `train` is not installed")
pytest.importorskip("trl", reason="the extra `train` is not installed")

SUBJECTS = "rain snow hail wind fog dew frost sun".split()
CONFIG = """run = "pool"
out = "made"
k = [24]
methods = ["base", "coverage", "random", "whole"]
random_seeds = 2
token_budget = 6000
[train]
model = "tiny"
batch = 8
learning_rate = 0.02
max_tokens = 256
device = "cpu"
[evaluate]
holdout = "world/split"
heldout_tokens = 256
device = "cpu"
"""


def write_poems(path: Path, count: int) -> None:
    told = []
    for at in range(count):
        one, two = SUBJECTS[at % 8], SUBJECTS[at % 5]
        asked = {"role": "user", "content": f"Write a poem about {one} and {two}, the {at}th."}
        told.append({"messages": [asked, {"role": "assistant", "content": f"O {one}, O {two}."}]})
    path.write_text("".join(json.dumps(each) + "\n" for each in told))


def test_every_cell_is_trained_and_judged(instag: Instag, tmp_path: Path) -> None:
    write_poems(tmp_path / "told.jsonl", 120)
    world, pool = tmp_path / "world", tmp_path / "pool"
    flags = ("--tagger", "keyphrase", "--min-count", 2)
    assert instag("run", tmp_path / "told.jsonl", "--run", world, *flags, "--k", 9).code == 0
    split = instag("split", world, "--holdout-tags", 1, "--min-count", 3, "--max-share", 0.4, "--eval", 10)
    assert split.code == 0, split.err
    assert instag("run", world / "split" / "pool.jsonl", "--run", pool, *flags, "--k", 9).code == 0
    tiny_model(tmp_path / "tiny")
    (tmp_path / "exp.toml").write_text(CONFIG)
    said = instag("experiment", tmp_path / "exp.toml", "--json")
    assert said.code == 0, said.err
    assert said.json["failed"] == 0, said.err
    table = pl.read_parquet(tmp_path / "made" / "cells.parquet")
    assert table["method"].to_list() == ["base", "whole", "coverage", "random", "random"]
    assert table["loss"].null_count() == table["loss_seen"].null_count() == table["loss_unseen"].null_count() == 0
    base = table.filter(method="base")["loss"][0]
    assert base == pytest.approx(6.0, abs=0.2), "as good as chance among 400 tokens"
    assert (table.filter(pl.col("method") != "base")["loss"] < base - 1).all()
    assert (table["loss_low"] < table["loss"]).all()
    assert {told["with"] for told in said.json["correlations"]} <= {"loss"}
    assert "held-out loss" in (tmp_path / "made" / "cells.md").read_text()
    cells = tmp_path / "made" / "cells"
    pair = cells / "pool-coverage-k24-seed0", cells / "pool-base"
    compared = instag("evaluate", "--compare", *pair, "--json")
    assert compared.code == 0, compared.err
    row = compared.json["heldout"][0]
    assert row["difference"] == pytest.approx(row["loss_a"] - row["loss_b"])
    assert row["high"] < -1
    assert row["p"] < 0.01
    again = instag("experiment", tmp_path / "exp.toml")
    assert "training" not in again.err, "what stands is not made again"
    assert pl.read_parquet(tmp_path / "made" / "cells.parquet").equals(table)


def test_the_whole_chain_runs_from_one_file(instag: Instag, tmp_path: Path) -> None:
    write_poems(tmp_path / "told.jsonl", 60)
    world = tmp_path / "world"
    assert instag("run", tmp_path / "told.jsonl", "--run", world, "--tagger", "keyphrase", "--min-count", 1).code == 0
    split = instag("split", world, "--holdout-tags", 1, "--min-count", 3, "--max-share", 0.4, "--eval", 4)
    assert split.code == 0, split.err
    tiny_model(tmp_path / "tiny")
    (tmp_path / "job.toml").write_text(
        """files = ["told.jsonl"]
run = "run"
tag.tagger = "keyphrase"
normalize.min_count = 1
select.k = 20
[train]
model = "tiny"
batch = 4
epochs = 1
max_tokens = 256
device = "cpu"
[evaluate]
holdout = "world/split"
heldout_tokens = 256
device = "cpu"
"""
    )
    said = instag("run", tmp_path / "job.toml", "--json")
    assert said.code == 0, said.err
    assert list(said.json["stages"]) == ["tag", "normalize", "analyze", "select", "train", "evaluate"]
    assert said.json["stages"]["evaluate"]["counts"]["heldout"]["loss"] > 0
    again = instag("run", tmp_path / "job.toml", "--json")
    assert not any(stage["fresh"] for stage in again.json["stages"].values())
