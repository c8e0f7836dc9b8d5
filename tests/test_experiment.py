"""Experiments: every cell made once, a failure is a row, a cut goes on from there, ranks as SciPy would have them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import Instag
from instag.errors import ConfigError, ProviderError
from instag.experiment import run_experiment
from instag.experiment_config import Experiment, read_experiment
from instag.experiment_table import as_markdown, spearman
from instag.progress import Talk
from instag.run import Run

QUIET = Talk(quiet=True)


@pytest.fixture
def pool(instag: Instag, chats: Path, tmp_path: Path) -> Path:
    """A whole run over the fixture `chats`, offline."""
    flags = ("--min-count", 2, "--min-rule-count", 3, "--k", 8)
    assert instag("run", chats, "--run", tmp_path / "pool", "--tagger", "keyphrase", *flags).code == 0
    return tmp_path / "pool"


def config(folder: Path, text: str) -> Path:
    path = folder / "exp.toml"
    path.write_text(f'run = "pool"\nout = "exp"\nk = 5\nrandom_seeds = 2\n{text}')
    return path


def read(folder: Path, text: str = "") -> Experiment:
    return read_experiment(config(folder, text))


def scored(path: str | Path, said: Mapping[str, Any], talk: Talk) -> dict[str, Any]:
    """In place of `evaluate`: the score is the coverage of the selection."""
    mean = Run(path).need("select")["counts"]["coverage"]
    return {"counts": {"score": {"mean": mean, "se": 0.1, "low": mean - 0.2, "high": mean + 0.2}}}


def test_selections_alone_are_a_table(instag: Instag, pool: Path, tmp_path: Path) -> None:
    before = Run(pool).digest("select")
    said = instag("experiment", config(tmp_path, 'skip = [[], ["rule"]]'), "--json")
    assert said.code == 0
    assert len(said.json["cells"]) == 12
    table = pl.read_parquet(tmp_path / "exp" / "cells.parquet")
    assert table["reason"].null_count() == 12
    assert table.filter(method="random", seed=1, k=5)["selected"].to_list() == [5, 5]
    assert table.filter(method="whole")["coverage"].to_list() == [1.0, 1.0]
    assert "mean of 2" in (tmp_path / "exp" / "cells.md").read_text()
    assert Run(pool).digest("select") == before
    assert Run(tmp_path / "exp" / "normalized" / "pool-without-rule").state("normalize") == "current"
    written = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "exp" / "cells").rglob("*.parquet"))
    assert instag("experiment", tmp_path / "exp.toml").code == 0
    assert written == sorted(
        (path, path.stat().st_mtime_ns) for path in (tmp_path / "exp" / "cells").rglob("*.parquet")
    )


def test_a_failed_cell_is_a_row_and_the_others_go_on(pool: Path, tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []

    def train(path: str | Path, said: Mapping[str, Any], talk: Talk) -> dict[str, Any]:
        told.append(dict(said))
        if "coverage" in Path(path).name:
            raise ProviderError("the judge is gone")
        return {}

    made = run_experiment(
        read(tmp_path, 'token_budget = 9\n[train]\nmodel = "m"\n[evaluate]\nholdout = "h"\n'),
        QUIET,
        train=train,
        evaluate=scored,
    )
    assert made["failed"] == 1
    assert told == [{"model": "m", "token_budget": 9}] * 6
    failed = next(row for row in made["cells"] if row["reason"])
    assert (failed["method"], failed["reason"], failed["score"]) == ("coverage", "the judge is gone", None)
    assert failed["coverage"] > 0
    assert {told["of"]: told["rho"] for told in made["correlations"] if told["with"] == "score"}[
        "coverage"
    ] == pytest.approx(1.0)
    assert "the judge is gone" in as_markdown(made["cells"])


def test_an_experiment_that_was_cut_goes_on_from_there(pool: Path, tmp_path: Path) -> None:
    made: list[str] = []

    def cut(path: str | Path, said: Mapping[str, Any], talk: Talk) -> dict[str, Any]:
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(Path(path).name)
        return {}

    experiment = read(tmp_path, '[train]\nmodel = "m"\n')
    with pytest.raises(KeyboardInterrupt):
        run_experiment(experiment, QUIET, train=cut)
    assert len(pl.read_parquet(tmp_path / "exp" / "cells.parquet")) == 2
    made.append("goes on")
    assert run_experiment(experiment, QUIET, train=cut)["failed"] == 0


def test_the_model_before_its_training_is_a_cell_and_losses_are_columns(pool: Path, tmp_path: Path) -> None:
    asked: list[tuple[str, object]] = []

    def evaluate(path: str | Path, said: Mapping[str, Any], talk: Talk) -> dict[str, Any]:
        asked.append((Path(path).name, said.get("model_folder")))
        loss = {"loss": 2.5, "low": 2.25, "high": 2.75, "seen": {"loss": 2.0}, "unseen": {"loss": None}}
        return {"counts": {"heldout": loss}}

    (tmp_path / "m").mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (tmp_path / "m" / name).write_text("{}")
    text = 'methods = ["base", "coverage"]\n[train]\nmodel = "m"\n[evaluate]\nholdout = "world/split"\n'
    experiment = read(tmp_path, text)
    assert experiment.evaluate == {"holdout": str(tmp_path / "world" / "split")}
    assert experiment.train == {"model": str(tmp_path / "m")}
    made = run_experiment(experiment, QUIET, train=lambda *_: {}, evaluate=evaluate)
    assert made["failed"] == 0
    assert asked == [("pool-base", str(tmp_path / "m")), ("pool-coverage-k5-seed0", None)]
    told = as_markdown(made["cells"])
    assert "| pool-base | - | - | - | - | 2.500 | 2.250 to 2.750 | 2.000 | - |" in told
    assert "score" not in told


def test_a_dry_run_makes_nothing(instag: Instag, pool: Path, tmp_path: Path) -> None:
    said = instag("experiment", config(tmp_path, 'sweeps = ["coverage"]'), "--dry-run", "--json")
    assert said.code == 0
    assert {cell["select"] for cell in said.json["cells"]} == {"absent"}
    assert len(said.json["cells"]) == 13
    assert not (tmp_path / "exp").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('methods = ["best"]', "`methods` has 'best'"),
        ('methods = ["controlled"]', "`methods` has 'controlled'\nhint: say `sweeps`"),
        ('sweeps = ["size"]', "`sweeps` has 'size'"),
        ('skip = ["semantic"]', "`skip` has 'semantic'"),
        ('skip = [["stems"]]', "`skip` has "),
        ("random_seed = 3", "unknown key `random_seed`\nhint: did you mean `random_seeds`?"),
        ("token_budget = 3", "there is no `\\[train\\]`"),
        ('runs = ["a"]', "`run` or `runs`"),
        ('train = "a"', "must be a table"),
        ("[select]\nk = 3", "unknown key `k`"),
        ('methods = ["base"]', "`methods` has 'base'"),
        ("[train]\nepochs = 3", r"\[train\]: no model to begin from"),
        ("[train]\nepoch = 3", r"\[train\]: unknown key `epoch`\nhint: did you mean `epochs`"),
        ('[train]\nmodel = "m"\nbatch = 0', r"\[train\]: `batch` is 0"),
        ("[evaluate]", r"\[evaluate\]: there is nothing to evaluate on"),
        ('[evaluate]\nmodel = "m"', r"\[evaluate\]: unknown key `model`"),
    ],
)
def test_a_config_that_can_not_be_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        read(tmp_path, text)
    assert "exp.toml" in str(error.value)


pairs = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), max_size=12)


@given(pairs)
def test_spearman_is_pearson_on_mean_ranks(drawn: list[tuple[int, int]]) -> None:
    def ranks(values: list[int]) -> list[float]:
        return [sum(w < v for w in values) + (sum(w == v for w in values) + 1) / 2 for v in values]

    a, b = [pair[0] for pair in drawn], [pair[1] for pair in drawn]
    found = spearman(a, b)
    if len(drawn) < 3 or len(set(a)) < 2 or len(set(b)) < 2:
        assert found is None
        return
    x, y, middle = ranks(a), ranks(b), (len(drawn) + 1) / 2
    cross = sum((p - middle) * (q - middle) for p, q in zip(x, y, strict=True))
    spread = sum((p - middle) ** 2 for p in x) * sum((q - middle) ** 2 for q in y)
    assert found == pytest.approx(cross / spread**0.5)
