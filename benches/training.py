"""Does the selection make a better model? `python benches/training.py OUT [FILES ...]`, with the extra `train`.

Prints the table of docs/training.md, "On real data". Nothing is fetched, so the model to begin from is made here: a
LLaMA of a million parameters and its tokenizer, trained as a language model on a fifth of the pool's conversations,
which no cell ever sees again. The rest is tagged by `keyphrase`, 20 tags and 500 samples are held out (`instag split`),
and every cell trains from that model on one budget of tokens. Judged by the held-out loss alone: no endpoint is asked.
About an hour on two cores; what stands is not made again.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from instag import cli
from instag.model_files import base_model
from instag.progress import Talk
from instag.train_data import TrainData, longest_first
from instag.train_settings import TrainSpeed, train_settings
from instag.training import Places, train

DATA = Path(os.environ.get("INSTAG_DATA", Path(__file__).parents[2] / "shared" / "data")) / "instructions"
FILES = [  # of the pool in docs/walkthrough.md: no test set
    "llama_factory/*",
    "gsm8k/train.jsonl",
    "gpteacher/*.json",
    "fastchat/dummy_conversation.json",
    "sgd/messages.jsonl.gz",
    "self_instruct/*.jsonl*",
]
VOCABULARY, MAX_TOKENS, BASE_TOKENS, BUDGET = 4096, 512, 3_000_000, 600_000
EXPERIMENT = """run = "pool"
out = "cells"
k = [1000]
methods = ["base", "complexity-first", "complexity", "coverage", "random", "whole"]
random_seeds = 3
token_budget = {budget}
[train]
model = "base"
batch = 32
learning_rate = 1e-3
max_tokens = {max_tokens}
[evaluate]
holdout = "world/split"
heldout_tokens = {max_tokens}
"""


def instag(*said: object) -> None:
    """Runs a command of the tool; its errors end it."""
    try:
        cli.main([str(part) for part in said])
    except SystemExit as ended:
        if ended.code:
            raise


def parted(out: Path, files: list[str]) -> None:
    """`base.jsonl`, what the base model reads, and `world.jsonl`, the rest, drawn from all samples with a seed."""
    instag("run", *files, "--run", out / "all", "--tagger", "keyphrase", "--k", 10**9)
    instag("select", out / "all", "--k", 10**9, "--method", "random", "--format", "messages")
    with open(out / "all/select/selected.jsonl", "rb") as lines:
        told = list(lines)
    fifth = len(told) // 5
    (out / "base.jsonl").write_bytes(b"".join(told[:fifth]))
    (out / "world.jsonl").write_bytes(b"".join(told[fifth:]))


def texts(path: Path) -> Iterator[str]:
    """Each conversation as one text: what a language model reads, without a word about who is who."""
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            yield "\n".join(str(message["content"]) for message in json.loads(line)["messages"])


def made_base(out: Path, folder: Path) -> None:
    """The model to begin from: made of random weights, then trained to go on with the text of `base.jsonl`."""
    import tokenizers
    import torch
    import transformers

    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=VOCABULARY, initial_alphabet=alphabet, special_tokens=["<s>", "</s>"], show_progress=False
    )
    made.train_from_iterator(texts(out / "base.jsonl"), trainer)
    made.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=MAX_TOKENS,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
    )
    random = out / "random"
    transformers.LlamaForCausalLM(config).save_pretrained(random)
    tokenizer.save_pretrained(random)
    ids: list[np.ndarray[Any, np.dtype[np.int32]]] = []
    left = BASE_TOKENS
    for text in itertools.cycle(texts(out / "base.jsonl")):
        ids.append(np.array([*tokenizer(text)["input_ids"], 1][:MAX_TOKENS], np.int32))
        left -= len(ids[-1])
        if left <= 0:
            break
    import polars as pl

    data = TrainData(ids, ids, pl.DataFrame(schema={"number": pl.Int64, "reason": pl.String}), 0)
    settings = train_settings({"batch": 32, "learning_rate": 3e-3, "max_tokens": MAX_TOKENS})
    order = longest_first(np.arange(len(ids)), data.tokens, settings.batch)
    places = Places(out / "base-checkpoints", folder, folder)
    trained = train(base_model(str(random)), tokenizer, data, order, settings, TrainSpeed(), places, Talk())
    print(f"base: {trained.counts['parameters']:,} parameters, loss {trained.counts['last_loss']:.3f}")


def main() -> None:
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    out = Path(sys.argv[1])
    files = sys.argv[2:] or [str(DATA / name) for name in FILES]
    if not (out / "world.jsonl").exists():
        parted(out, files)
    if not (out / "base/config.json").exists():
        made_base(out, out / "base")
    instag("run", out / "world.jsonl", "--run", out / "world", "--tagger", "keyphrase", "--k", 1000)
    split = ("--holdout-tags", 20, "--min-count", 20, "--max-share", 0.02, "--eval", 500)
    instag("split", out / "world", *split)
    instag("run", out / "world/split/pool.jsonl", "--run", out / "pool", "--tagger", "keyphrase", "--k", 1000)
    (out / "experiment.toml").write_text(EXPERIMENT.format(budget=BUDGET, max_tokens=MAX_TOKENS))
    instag("experiment", out / "experiment.toml")
    print((out / "cells/cells.md").read_text())


if __name__ == "__main__":
    main()
