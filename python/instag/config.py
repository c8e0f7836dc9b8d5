"""Settings from flags, a TOML file and defaults, in that order; a key that nobody knows is refused by name."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from instag.errors import ConfigError

T = TypeVar("T")


def read_config(path: Path) -> dict[str, Any]:
    """A TOML file of settings as a dictionary, dashes in keys read as underscores; errors as `read_toml`."""
    return _underscored(read_toml(path))


def read_toml(path: Path, what: str = "config file") -> dict[str, Any]:
    """A TOML file as a dictionary; `what` it is to be, for messages.

    Raises `ConfigError` with the file (and line and column, where the TOML is broken).
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"the {what} `{path}` can't be read: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"the {what} `{path}` is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}",
            hint="save the file as UTF-8",
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the {what} `{path}` is not TOML: {error}") from None


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
    """The settings dataclass `kind`, each field from the first layer that has it, else its default.

    None in a layer means that nothing was said; keys that `kind` has no field for belong to somebody else. Raises
    `ConfigError` for a value of the wrong type (the dataclass itself checks domains).

    >>> from instag.selection import SelectSettings
    >>> settings_from(SelectSettings, {"k": 10}, {"k": 20, "seed": 3}).seed
    3
    """
    chosen: dict[str, Any] = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        value = next((layer[field.name] for layer in layers if layer.get(field.name) is not None), None)
        if value is None:
            continue
        value = tuple(value) if isinstance(value, list) else value
        # Annotations are strings: `float | None`, `tuple[str, ...]`; any other name stands for a choice of strings.
        types = {part.split("[")[0] for part in str(field.type).split(" | ")}
        types = {part if part in _PLAIN else "str" for part in types - {"None"}}
        found = type(value).__name__
        if found not in types and not (found == "int" and "float" in types):
            wanted = " or ".join(sorted(_PLAIN[part] for part in types))
            raise ConfigError(f"`{field.name}` is {value!r}, must be {wanted}")
        chosen[field.name] = value
    return kind(**chosen)


@contextlib.contextmanager
def blame(where: str) -> Iterator[None]:
    """Says in which file and table the setting stands that a `ConfigError` is about.

    >>> with blame("demo.toml: [select]"):
    ...     raise ConfigError("`k` is 0, must be a whole number of at least 1")
    Traceback (most recent call last):
    instag.errors.ConfigError: demo.toml: [select]: `k` is 0, must be a whole number of at least 1
    """
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{where}: {error.message}", hint=error.hint) from None


_PLAIN = {
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "str": "a string",
    "tuple": "a list of strings",
}


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """A whole run as a TOML file says it: `files` and `run` are paths from here, `stages` what is said for each.

    `train` and `evaluate` are None where these stages are not asked for.
    """

    files: list[str]
    run: str | None
    stages: dict[str, dict[str, Any]]
    train: dict[str, Any] | None = None
    evaluate: dict[str, Any] | None = None


_PATHS = [("tag", name) for name in ("answers", "prompt", "labels", "redact", "key_file", "prices")]
_PATHS += [
    ("normalize", "answers"),
    ("normalize", "embedder_key_file"),
    ("normalize", "overrides"),
    ("normalize", "vocabulary"),
]
_PATHS_OR_NAMES = ("prompt", "redact")
_OF_FOLDERS = ("sentence-transformers", "model2vec")


def read_run_config(path: Path, known: Mapping[str, set[str]]) -> RunConfig:
    """A config of `instag run`: `files`, `run` and a table a stage; its paths are relative to the file.

    `known` has the keys of each stage. Raises `ConfigError` naming the file and the key.
    """
    from instag.later_stages import read_stages

    config = read_config(path)
    later = {name: config.pop(name, None) for name in ("train", "evaluate")}
    check_keys(config, {"files", "run", *known, *later}, str(path))
    train, evaluate = read_stages(path, later)
    for stage, keys in known.items():
        table = config.setdefault(stage, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: `{stage}` is {table!r}, must be a table", hint=f"write `[{stage}]`")
        check_keys(table, keys, f"{path}: [{stage}]")
    files = config.get("files", [])
    if not isinstance(files, list) or not all(isinstance(file, str) for file in files) or not files:
        raise ConfigError(f"{path}: `files` is {files!r}, must be a list of paths", hint='files = ["data/*.jsonl"]')
    if not isinstance(config.get("run"), str | None):
        raise ConfigError(f"{path}: `run` is {config['run']!r}, must be a path")

    def here(name: str) -> str:
        source, equals, file = name.partition("=")
        if "://" in name:
            return name
        if not equals or "/" in source or os.path.lexists(path.parent / name):
            return os.path.normpath(path.parent / name)
        return f"{source}={os.path.normpath(path.parent / file)}"

    stages = {stage: dict(config[stage]) for stage in known}
    for stage, name in _PATHS:
        value = stages[stage].get(name)
        if isinstance(value, str) and (name not in _PATHS_OR_NAMES or (path.parent / value).is_file()):
            stages[stage][name] = str(path.parent / value)
    embedder = stages["normalize"].get("embedder") if "normalize" in stages else None
    if isinstance(embedder, str):
        kind, _, name = embedder.partition(":")
        if kind in _OF_FOLDERS and name and (path.parent / name).is_dir():
            stages["normalize"]["embedder"] = f"{kind}:{path.parent / name}"
    run = os.path.normpath(path.parent / config["run"]) if "run" in config else None
    return RunConfig([here(file) for file in files], run, stages, train, evaluate)
