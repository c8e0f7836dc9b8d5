"""Settings from flags, a TOML file and defaults, in that order; a key that nobody knows is refused by name."""

from __future__ import annotations

import dataclasses
import difflib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from instag.errors import ConfigError

T = TypeVar("T")


def read_config(path: Path) -> dict[str, Any]:
    """A TOML file as a dictionary, dashes in keys read as underscores.

    Raises `ConfigError` with the file (and line and column, where the TOML is broken).
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        parsed = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no such config file: `{path}`") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"`{path}` could not be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"`{path}` is not TOML: {error}") from None
    return _underscored(parsed)


def _underscored(value: dict[str, Any]) -> dict[str, Any]:
    return {k.replace("-", "_"): _underscored(v) if isinstance(v, dict) else v for k, v in value.items()}


def check_keys(found: Mapping[str, Any], known: set[str], where: str) -> None:
    """Refuses a key that is not known, with the closest that is.

    >>> check_keys({"min_cuont": 3}, {"min_count"}, "demo.toml: [normalize]")
    Traceback (most recent call last):
    instag.errors.ConfigError: demo.toml: [normalize]: unknown key `min_cuont`
    hint: did you mean `min_count`?
    """
    for key in found:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean `{close[0]}`?" if close else f"known keys: {', '.join(sorted(known))}"
            raise ConfigError(f"{where}: unknown key `{key}`", hint=hint)


def settings_from(kind: type[T], *layers: Mapping[str, Any]) -> T:
    """The settings dataclass `kind` with the first layer that has a value for a field, else its default.

    A None in a layer means that nothing was said. Fields a layer does not know are left alone.
    """
    fields = [f.name for f in dataclasses.fields(kind)]  # type: ignore[arg-type]
    chosen: dict[str, Any] = {}
    for name in fields:
        for layer in layers:
            if layer.get(name) is not None:
                value = layer[name]
                chosen[name] = tuple(value) if isinstance(value, list) else value
                break
    try:
        return kind(**chosen)
    except TypeError as error:
        raise ConfigError(f"settings of `{kind.__name__}`: {error}") from None
