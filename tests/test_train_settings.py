"""What is settled before a model is trained: presets, the order of samples, the extra that is not there."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import Instag
from instag import ConfigError
from instag.cli_train import SPEED, TRAIN
from instag.model_files import base_model
from instag.train_data import longest_first, training_order
from instag.train_settings import KNOWN, accumulation, train_settings


def test_what_a_preset_says() -> None:
    paper = train_settings({})
    told = (paper.epochs, paper.batch, paper.learning_rate, paper.warmup, paper.max_tokens, paper.template)
    assert told == (5, 128, 2e-5, 0.1, 2048, "vicuna-v1.1")
    assert train_settings({}, "instagger").batch == 512
    assert train_settings({"preset": "chat-template", "batch": 16}).template == "model"
    with pytest.raises(ConfigError, match="`preset` is 'best'"):
        train_settings({"preset": "best"})
    with pytest.raises(ConfigError, match="does not go evenly onto 3 devices"):
        accumulation(128, None, 3)
    with pytest.raises(ConfigError, match="hint: what divides 64: `--device-batch 16`"):
        accumulation(128, 20, 2)
    for wrong in ({"lora_alpha": 2}, {"quantized": True}, {"epochs": 0}, {"warmup": 1.0}, {"learning_rate": 0.0}):
        with pytest.raises(ConfigError):
            train_settings(wrong)


def test_its_flags_are_its_settings() -> None:
    assert set(TRAIN) | set(SPEED) == KNOWN


def test_an_order_ends_with_its_budget_and_meets_all_before_one_again() -> None:
    tokens = np.array([3, 50, 7])
    for budget in (1, 3, 60, 61, 1000):
        order = training_order(tokens, epochs=1, token_budget=budget, seed=1)
        read = np.cumsum(tokens[order])
        assert read[-1] >= budget
        assert len(order) == 1 or read[-2] < budget
        for start in range(0, len(order) - 2, 3):
            assert sorted(order[start : start + 3]) == [0, 1, 2]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30), st.integers(1, 8), st.integers(0, 3))
def test_within_a_step_the_longer_come_first(lengths: list[int], batch: int, seed: int) -> None:
    tokens = np.array(lengths)
    order = training_order(tokens, epochs=2, token_budget=None, seed=seed)
    found = longest_first(order, tokens, batch)
    for start in range(0, len(order), batch):
        step = found[start : start + batch].tolist()
        assert step == sorted(order[start : start + batch].tolist(), key=lambda at: -lengths[at])


def test_without_the_extra_it_says_what_to_install(
    instag: Instag, chats: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, model = tmp_path / "run", tmp_path / "model"
    assert instag("run", chats, "--run", run, "--tagger", "keyphrase", "--min-count", 2, "--k", 5).code == 0
    model.mkdir()
    said = instag("train", run, "--model", model)
    assert (said.code, "there is no `config.json`" in said.err) == (1, True)
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (model / name).write_text("{}")
    digest = base_model(str(model)).digest
    (model / "README.md").write_text("not what decides")
    assert base_model(str(model)).digest == digest
    monkeypatch.setitem(sys.modules, "transformers", None)
    said = instag("train", run, "--model", model)
    assert said.code == 1
    assert 'hint: pip install "instag[train]"' in said.err
    assert "no model to begin from is named" in instag("train", run).err
    assert instag("train", run, "--model", model, "--tags", "raw").code == 2
    assert not (run / "train" / "manifest.json").exists()


def test_a_config_is_refused_before_anything_is_paid_for(
    instag: Instag, chats: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from instag import later_stages

    job = tmp_path / "job.toml"
    begin = f'files = ["{chats}"]\nrun = "run"\ntag.tagger = "keyphrase"\n'
    for text, message in (
        ("train = 3", "job.toml: `train` is 3, must be a table"),
        ("[train]\nmodel = 'm'\nepoch = 1", "job.toml: [train]: unknown key `epoch`"),
        ("[train]\nepochs = 1", "job.toml: [train]: no model to begin from is named"),
        ("[evaluate]\nmt_bench = 'q'", "job.toml: [evaluate]: no judge is named"),
        ("[evaluate]\nmodel = 'm'\nmt_bench = 'q'\njudge = 'j'", "job.toml: [evaluate]: unknown key `model`"),
    ):
        job.write_text(begin + text)
        said = instag("run", job)
        assert said.code == 1
        assert message in said.err, said.err
    job.write_text(begin + "[train]\nmodel = 'm'")
    monkeypatch.setattr(later_stages, "find_spec", lambda name: None)
    assert "training needs `torch`" in instag("run", job).err
    monkeypatch.setattr(later_stages, "find_spec", lambda name: name)
    (tmp_path / "m").mkdir()
    assert "there is no `config.json`" in instag("run", job).err
    assert not (tmp_path / "run").exists()
