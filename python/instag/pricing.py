"""What tokens cost: a small dated table of prices, and one of your own before it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from instag.config import check_keys, read_toml
from instag.errors import ConfigError

_DATED = re.compile(r"-\d{4}-?\d{2}-?\d{2}$")
_MILLION = 1_000_000


@dataclass(frozen=True)
class Price:
    """US dollars a million tokens of one model; what is cached costs as any input where nothing else is said.

    >>> price = Price(input_usd=0.15, output_usd=0.6, as_of="2025-08-07")
    >>> price.cost_usd(1_000_000, 100_000), price.cost_usd(1_000_000, 0, batch=True)
    (0.21, 0.075)
    """

    input_usd: float
    output_usd: float = 0.0
    cached_input_usd: float | None = None
    batch_factor: float = 0.5
    as_of: str = ""

    def cost_usd(
        self, prompt_tokens: int, completion_tokens: int, *, cached_tokens: int = 0, batch: bool = False
    ) -> float:
        """What a request costs; `cached_tokens` are part of `prompt_tokens`."""
        cached_usd = self.input_usd if self.cached_input_usd is None else self.cached_input_usd
        input_usd = (prompt_tokens - cached_tokens) * self.input_usd + cached_tokens * cached_usd
        usd = (input_usd + completion_tokens * self.output_usd) / _MILLION
        return usd * self.batch_factor if batch else usd


def find_price(model: str, path: str | Path | None = None) -> Price | None:
    """The price of a model: of its very name, else without its maker's prefix and its date; None where none is known.

    `path` is a table of your own, in the form of `prices.toml`, which goes before ours. Raises `ConfigError` where it
    can't be read, has a key that nobody knows, or a price that is none.

    >>> find_price("openai/gpt-4o-mini-2024-07-18").input_usd, find_price("my-own-model")
    (0.15, None)
    """
    tables = [] if path is None else [_read(Path(path))]
    tables.append(_read(Path(str(files("instag").joinpath("prices.toml")))))
    bare = model.rsplit("/", 1)[-1]
    for name in dict.fromkeys([model, bare, _DATED.sub("", bare)]):
        for table in tables:
            if name in table:
                return table[name]
    return None


def _read(path: Path) -> dict[str, Price]:
    found = read_toml(path, "table of prices")
    check_keys(found, {"as_of", "models"}, str(path))
    models = found.get("models", {})
    if not isinstance(models, dict) or not all(isinstance(prices, dict) for prices in models.values()):
        raise ConfigError(f"{path}: `models` must be tables", hint='write `[models."NAME"]` and `input_usd = ...`')
    return {
        name: _price(prices, f'{path}: [models."{name}"]', str(found.get("as_of", "")))
        for name, prices in models.items()
    }


def _price(prices: Mapping[str, Any], where: str, as_of: str) -> Price:
    known = {field.name for field in dataclasses.fields(Price)} - {"as_of"}
    check_keys(prices, known, where)
    for name, value in prices.items():
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < float("inf"):
            raise ConfigError(f"{where}: `{name}` is {value!r}, must be a number of at least 0")
    if "input_usd" not in prices:
        raise ConfigError(f"{where}: `input_usd` is missing", hint="dollars a million tokens of the prompt")
    return Price(**prices, as_of=as_of)
