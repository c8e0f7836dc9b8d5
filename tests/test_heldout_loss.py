"""Held-out loss: by tag from losses by hand, and of a tiny model with random weights (marker `train`)."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from conftest import Instag
from instag import ConfigError, DataError
from instag.bootstrap import interval, resampled_sums
from instag.heldout_loss import heldout_loss, loss_by_tag, read_held_out, sample_losses
from instag.masking import NOT_LEARNED, masked

WORDS = "hi there what is rain it falls bye now a b c".split()


def test_losses_by_tag_by_hand() -> None:
    measured = pl.DataFrame({"tokens": [2, 4, 0, 10], "loss": [3.0, 12.0, 0.0, 10.0]})
    tags = [["poem"], ["poem", "maths"], ["poem", "gone"], []]
    found = loss_by_tag(measured, tags, seen={"poem"})
    assert found.drop("low", "high").rows() == [
        (None, None, 3, 16, 25 / 16),
        (None, True, 2, 12, 13 / 12),
        (None, False, 1, 4, 3.0),
        ("maths", False, 1, 4, 3.0),
        ("poem", True, 2, 6, 2.5),
    ]
    assert found.filter(tag="maths").select("low", "high").row(0) == (None, None)
    low, high = found.filter(tag="poem").select("low", "high").row(0)
    assert (low, high) == (1.5, 3.0)
    with pytest.raises(DataError, match="losses of 4 samples, but tags of 1"):
        loss_by_tag(measured, [[]], seen=set())


def test_where_there_are_no_samples_there_is_no_loss() -> None:
    found = loss_by_tag(pl.DataFrame({"tokens": [], "loss": []}), [], seen=set())
    assert found["loss"].to_list() == [None] * 3
    assert found["samples"].to_list() == [0] * 3


def test_the_bootstrap_is_the_spread_of_a_mean() -> None:
    values = np.random.default_rng(7).normal(5, 2, 400)
    sums = resampled_sums(np.stack([values, np.ones(400)], axis=1), resamples=4000)
    low, high = interval(sums[:, 0] / sums[:, 1])
    assert low is not None
    assert high is not None
    error = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - error, abs=0.03)
    assert high == pytest.approx(values.mean() + error, abs=0.03)
    assert (sums[:, 1] == 400).all()
    coins = np.stack([np.arange(400) % 2, np.ones(400)], axis=1).astype(
        np.float64
    )  # two kinds of rows: drawn as counts
    sums = resampled_sums(coins, resamples=4000)
    assert interval(sums[:, 0] / sums[:, 1]) == pytest.approx((0.451, 0.549), abs=0.005)
    assert (sums[:, 1] == 400).all()
    assert interval(np.array([math.nan])) == (None, None)
    with pytest.raises(ConfigError, match="`resamples` is 0"):
        resampled_sums(np.ones((1, 1)), resamples=0)


def test_what_split_wrote_is_read(instag: Instag, chats: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    instag("tag", chats, "--run", run, "--tagger", "keyphrase")
    instag("normalize", run, "--min-count", 1)
    ask = ("split", run, "--holdout-tags", 2, "--min-count", 3, "--max-share", 0.5, "--eval", 4, "--json")
    counts = instag(*ask).json["counts"]
    found = read_held_out(run / "split")
    assert len(found.conversations) == len(found.tags) == counts["heldout"] + 4
    held = {tag["tag"] for tag in counts["held_out"]}
    assert not held & found.seen
    assert all(held & set(tags) for tags in found.tags[: counts["heldout"]])
    assert all(found.seen.issuperset(tags) for tags in found.tags[counts["heldout"] :])
    assert len(read_held_out(run / "split" / "seen.jsonl").tags) == 4
    file = run / "split" / "seen.jsonl"
    file.write_text(file.read_text() + "{}\n")
    with pytest.raises(DataError, match=r"seen\.jsonl:5: not a conversation with its tags"):
        read_held_out(run / "split")
    with pytest.raises(DataError, match="hint: make it with `instag split`"):
        read_held_out(tmp_path)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no `config\.json`"):
        sample_losses(tmp_path, [])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A decoder with random weights and a tokenizer of twelve words; nothing is downloaded."""
    torch: Any = pytest.importorskip("torch", reason="the extra `train` is not installed")
    transformers: Any = pytest.importorskip("transformers", reason="the extra `train` is not installed")
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({word: at for at, word in enumerate(["[UNK]", *WORDS])}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    folder = tmp_path / "model"
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]").save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(WORDS) + 1,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=32,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def encode(messages: Any) -> tuple[list[int], list[int]]:
    ids: list[int] = []
    labels: list[int] = []
    for message in messages:
        own = [1 + WORDS.index(word) for word in message["content"].split()]
        ids += own
        labels += own if message["role"] == "assistant" else [NOT_LEARNED] * len(own)
    return ids, labels


CHATS = [
    [{"role": "user", "content": "what is rain"}, {"role": "assistant", "content": "it falls"}],
    [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hi there"}] * 2,
    [{"role": "user", "content": "hi"}],
]


@pytest.mark.train
def test_the_loss_is_that_of_the_assistant_alone(model: Path) -> None:
    found = sample_losses(model, CHATS, encode=encode, device="cpu")
    assert found["tokens"].to_list() == [2, 4, 0]
    import torch
    from transformers import AutoModelForCausalLM

    net = AutoModelForCausalLM.from_pretrained(str(model))
    for chat, loss in zip(CHATS, found["loss"], strict=True):
        ids, labels = encode(chat)
        with torch.no_grad():
            chances = net(torch.tensor([ids])).logits[0].log_softmax(-1)
        plain = -sum(float(chances[at - 1, ids[at]]) for at in range(1, len(ids)) if labels[at] != NOT_LEARNED)
        assert loss == pytest.approx(plain, abs=1e-4)
    assert found.equals(sample_losses(model, CHATS, encode=encode, device="cpu"))
    whole = heldout_loss(model, CHATS, [["rain"], ["hello"], []], seen={"hello"}, encode=encode)
    assert whole["samples"].to_list() == [2, 1, 1, 1, 1]
    assert whole["loss"][0] == pytest.approx(math.log(len(WORDS) + 1), abs=0.5)  # it knows nothing


@pytest.mark.train
def test_by_default_it_is_told_as_in_training(model: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(model))
    tokenizer.eos_token = "bye"
    tokenizer.save_pretrained(str(model))
    found = sample_losses(model, [*CHATS, [{"role": "assistant", "content": "bye"}]], max_tokens=32)
    assert found["tokens"].to_list()[2:] == [0, 0]  # no answer, and a text that holds the end token
    ids, labels, _ = masked(CHATS[0], tokenizer, max_tokens=32)
    own = sample_losses(model, CHATS[:1], encode=lambda _: (ids, labels))
    assert found[:1].equals(own)
    assert own["tokens"].item() == sum(label != NOT_LEARNED for label in labels)


@pytest.mark.train
def test_what_a_model_cannot_do_is_said(model: Path) -> None:
    long = [{"role": "assistant", "content": "a b c " * 11}]
    with pytest.raises(
        ConfigError, match="conversation 1 has 33 tokens, the model takes 32\nhint: lower `max_tokens` to 32"
    ):
        sample_losses(model, [CHATS[0], long], encode=encode)
    for file in model.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(ConfigError, match="holds no tokenizer"):
        sample_losses(model, CHATS, encode=encode)
    (model / "config.json").write_text(json.dumps({"model_type": "none of these"}))
    with pytest.raises(ConfigError, match="holds no"):
        sample_losses(model, CHATS, encode=encode)
