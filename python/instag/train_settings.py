"""What decides a training, and what decides only how fast it goes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from instag.config import settings_from
from instag.errors import ConfigError
from instag.templates import MODEL, TEMPLATES, VICUNA

TOO_LONG = ("cut", "drop")
PRECISIONS = ("auto", "bf16", "fp32")
SCHEDULES = ("cosine", "linear", "constant")
DEVICES = ("auto", "cpu")
# What a preset says otherwise than the defaults below, which are the paper's.
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "chat-template": {"template": MODEL},
    "instagger": {"epochs": 1, "batch": 512},
}


@dataclass(frozen=True)
class TrainSettings:
    """What decides a training; the defaults are the paper's recipe (TagLM), of which the schedule is FastChat's.

    `batch` is that of one step on all devices together, `learning_rate` and `warmup` (a share of the steps) those of
    AdamW without weight decay, gradients clipped at norm 1. `token_budget` takes the place of `epochs`: samples are
    taken, all of them in a new order each time, until their tokens (what the model reads, padding apart) are at least
    as many. `lora` is a rank, 0 for all weights; `quantized` keeps the others in 4 bits (QLoRA).
    """

    preset: str = "paper"
    template: str = VICUNA
    epochs: int = 5
    token_budget: int | None = None
    batch: int = 128
    learning_rate: float = 2e-5
    warmup: float = 0.1
    schedule: str = "cosine"
    max_tokens: int = 2048
    too_long: str = "cut"
    lora: int = 0
    lora_alpha: int | None = None
    quantized: bool = False
    precision: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        choices = (("preset", PRESETS), ("template", TEMPLATES), ("too_long", TOO_LONG), ("precision", PRECISIONS))
        for name, known in (*choices, ("schedule", SCHEDULES)):
            if getattr(self, name) not in known:
                raise ConfigError(f"`{name}` is {getattr(self, name)!r}, which is none", hint=f"one of {_named(known)}")
        for name, least in (("epochs", 1), ("token_budget", 1), ("batch", 1), ("max_tokens", 8), ("lora", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"`{name}` is {value}, must be at least {least}")
        if self.seed < 0 or (self.lora_alpha is not None and self.lora_alpha < 1):
            raise ConfigError(f"`seed` is {self.seed}, `lora_alpha` {self.lora_alpha}: must be at least 0 and 1")
        if not 0 < self.learning_rate < 1:
            raise ConfigError(f"`learning_rate` is {self.learning_rate}, must be above 0 and below 1")
        if not 0 <= self.warmup < 1:
            raise ConfigError(f"`warmup` is {self.warmup}, must be a share of the steps: at least 0 and below 1")
        if (self.quantized or self.lora_alpha) and not self.lora:
            name = "quantized" if self.quantized else "lora_alpha"
            raise ConfigError(f"`{name}` is for LoRA, and `lora` is 0", hint="give a rank: `--lora 16`")


def _named(known: Any) -> str:
    return ", ".join(known)


def train_settings(said: Mapping[str, Any], preset: str = "paper") -> TrainSettings:
    """The settings of a training: what was said, then what its preset (by default `preset`) says, then the paper's.

    >>> train_settings({"epochs": 2, "preset": "chat-template"}).template
    'model'
    """
    name = said.get("preset") or preset
    known = PRESETS.get(name) if isinstance(name, str) else None
    return settings_from(TrainSettings, said, known or {}, {"preset": name})


@dataclass(frozen=True)
class TrainSpeed:
    """What decides how fast a training goes and what memory it takes, not what is learned (up to rounding).

    `device_batch` conversations go through a device at once, by default at most 4; what is left of a step's batch is
    accumulated. `checkpoint_every` is in steps, by default a tenth of them and at least 10, 0 for none.
    """

    device: str = "auto"
    device_batch: int | None = None
    gradient_checkpointing: bool = False
    checkpoint_every: int | None = None

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise ConfigError(f"`device` is {self.device!r}, which is none", hint=f"one of {_named(DEVICES)}")
        if self.device_batch is not None and self.device_batch < 1:
            raise ConfigError(f"`device_batch` is {self.device_batch}, must be at least 1")
        if self.checkpoint_every is not None and self.checkpoint_every < 0:
            raise ConfigError(f"`checkpoint_every` is {self.checkpoint_every}, must be at least 0")


def accumulation(batch: int, device_batch: int | None, devices: int) -> tuple[int, int]:
    """How many conversations go through a device at once, and how often before a step, so that a step has `batch`.

    >>> accumulation(128, None, 8), accumulation(6, None, 1), accumulation(128, 16, 1)
    ((4, 4), (3, 2), (16, 8))
    """
    if batch % devices:
        raise ConfigError(
            f"a batch of {batch} does not go evenly onto {devices} devices", hint=f"a multiple: `--batch {devices}`"
        )
    share = batch // devices
    if device_batch is None:
        device_batch = next(size for size in (4, 3, 2, 1) if share % size == 0)
    if share % device_batch:
        near = next(size for size in range(min(device_batch, share), 0, -1) if share % size == 0)
        raise ConfigError(
            f"a batch of {batch} on {devices} devices is not made of {device_batch} at once",
            hint=f"what divides {share}: `--device-batch {near}`",
        )
    return device_batch, share // device_batch


KNOWN = {each.name for kind in (TrainSettings, TrainSpeed) for each in dataclasses.fields(kind)} | {"model"}
