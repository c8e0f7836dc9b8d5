"""`instag train`: a model trained on the selection, or on the tagging answers."""

from __future__ import annotations

from typing import Any

import click

from instag.cli_agree import TAGGER
from instag.commands import cli, finish
from instag.flags import said, with_flags
from instag.progress import Talk
from instag.train_settings import DEVICES, PRECISIONS, PRESETS, SCHEDULES, TOO_LONG

TRAIN: dict[str, dict[str, Any]] = {
    "model": {"metavar": "NAME|FOLDER", "help": "The model to begin from: a folder, or a name on Hugging Face's hub."},
    "preset": {
        "type": click.Choice(list(PRESETS)),
        "help": "`paper` (default), `chat-template` (the same, with the model's own), `instagger` (of `--as-tagger`).",
    },
    "template": {
        "metavar": "NAME",
        "help": "`vicuna-v1.1` (default), or `model`: the chat template of its tokenizer.",
    },
    "epochs": {"type": click.IntRange(1), "metavar": "N", "help": "How often each sample is met (default 5)."},
    "token_budget": {
        "type": click.IntRange(1),
        "metavar": "N",
        "help": "In place of epochs: train until so many tokens are read.",
    },
    "batch": {
        "type": click.IntRange(1),
        "metavar": "N",
        "help": "Samples a step, all devices together (default 128): what one does not hold is accumulated.",
    },
    "learning_rate": {"type": float, "metavar": "R", "help": "The highest (default 2e-5)."},
    "warmup": {"type": float, "metavar": "P", "help": "Share of the steps that it rises in (default 0.1)."},
    "schedule": {"type": click.Choice(SCHEDULES), "help": "How it falls then (default cosine)."},
    "max_tokens": {"type": click.IntRange(8), "metavar": "N", "help": "Longest conversation (default 2048)."},
    "too_long": {"type": click.Choice(TOO_LONG), "help": "Longer ones are cut there (default), or dropped."},
    "lora": {"type": click.IntRange(0), "metavar": "RANK", "help": "Train an adapter of this rank (default 0: all)."},
    "lora_alpha": {"type": click.IntRange(1), "metavar": "N", "help": "Its scale (default twice the rank)."},
    "quantized": {"is_flag": True, "default": None, "help": "Hold the other weights in 4 bits (QLoRA; a GPU)."},
    "precision": {"type": click.Choice(PRECISIONS), "help": "Default auto: bf16 on a GPU that has it, else fp32."},
    "seed": {"type": click.IntRange(0), "metavar": "S", "help": "Of the order, and of an adapter (default 0)."},
}
SPEED: dict[str, dict[str, Any]] = {
    "device": {"type": click.Choice(DEVICES), "help": "Default auto: a GPU where there is one."},
    "device_batch": {"type": click.IntRange(1), "metavar": "N", "help": "Samples at once on a device (default <= 4)."},
    "gradient_checkpointing": {"is_flag": True, "default": None, "help": "Less memory, a fifth more time."},
    "checkpoint_every": {
        "type": click.IntRange(0),
        "metavar": "N",
        "help": "Steps between checkpoints (default a tenth of all, 0 for none).",
    },
}
_TAGGER = {name: TAGGER[name] for name in ("tags", "held_out", "prompt")}


@cli.command()
@click.argument("run", metavar="RUN")
@click.option("--as-tagger", is_flag=True, help="Train on the tagging answers: RUN/train_tagger.")
@click.option("--replace", is_flag=True, help="Train anew where a model stands that was trained otherwise.")
@with_flags(TRAIN, SPEED, _TAGGER)
def train(run: str, as_tagger: bool, replace: bool, as_json: bool, quiet: bool, **options: Any) -> None:
    """Train a model on the selection (pip install "instag[train]").

    By default the paper's recipe: 5 epochs, 128 samples a step, learning rate 2e-5 after a warm-up of 0.1, 2,048
    tokens, the template of Vicuna v1.1, the loss on what the assistant says alone. RUN/train gets the whole `model`,
    the loss `curve`, and `skipped`: the samples with nothing to learn, with the reasons.

    \b
      instag train RUN --model meta-llama/Llama-2-13b-hf
      instag train RUN --model models/small --preset chat-template --lora 16
      accelerate launch -m instag.cli train RUN --model models/base      # on several GPUs, the same steps

    A training that was cut is taken up by the same command. With --as-tagger the tags that were paid for become a
    tagger of your own, as the paper's InsTagger: RUN/train_tagger.
    """  # noqa: D301 - click reads the backspace
    if not as_tagger and (given := [name for name in _TAGGER if options[name] is not None]):
        raise click.UsageError(f"`--{given[0].replace('_', '-')}` is for `--as-tagger`")
    from instag.train_stage import train_stage
    from instag.training import is_first

    told = said(options, TRAIN | SPEED | _TAGGER)
    made = train_stage(run, told, Talk(quiet=quiet), as_tagger=as_tagger, replace=replace)
    finish(made, as_json and is_first())
