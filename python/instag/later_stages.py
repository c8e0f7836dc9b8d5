"""The tables `[train]` and `[evaluate]` of a config: their keys, and paths that are relative to the file."""

from __future__ import annotations

import dataclasses
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from instag.config import blame, check_keys, settings_from
from instag.errors import ConfigError
from instag.evaluate_settings import EvaluateSettings, EvaluateSpeed
from instag.train_settings import KNOWN, TrainSpeed, train_settings

_FILES = ["mt_bench", "holdout", "model_folder", "judge_prompts", "references", "against", "people"]
_FILES += ["key_file", "judge_key_file", "answers", "prices"]
_OF_ANOTHER = ("answers_file", "judgments_file", "model")  # a config judges the model that it trains
_NEEDED = ("torch", "transformers", "trl", "datasets")


def read_stages(path: Path, tables: dict[str, Any]) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """What the stages `train` and `evaluate` are told; None for one that is not asked for.

    Refuses now what a stage would refuse once the first cell is there. Raises `ConfigError` naming the file.
    """
    train, evaluate = tables["train"], tables["evaluate"]
    for name, table in (("train", train), ("evaluate", evaluate)):
        if not isinstance(table, dict | None):
            raise ConfigError(f"{path}: `{name}` is {table!r}, must be a table", hint=f"write `[{name}]`")
    if train is not None:
        check_keys(train, KNOWN, f"{path}: [train]")
        with blame(f"{path}: [train]"):
            train_settings(train)
            settings_from(TrainSpeed, train)
            if not isinstance(train.get("model"), str):
                raise ConfigError("no model to begin from is named", hint='model = "FOLDER", or a name on the hub')
        train = _placed(path, train, ["model"])
    if evaluate is not None:
        known = {each.name for kind in (EvaluateSettings, EvaluateSpeed) for each in dataclasses.fields(kind)}
        check_keys(evaluate, known - set(_OF_ANOTHER), f"{path}: [evaluate]")
        with blame(f"{path}: [evaluate]"):
            settings_from(EvaluateSettings, evaluate)
            settings_from(EvaluateSpeed, evaluate)
        evaluate = _placed(path, evaluate, _FILES)
    return train, evaluate


def _placed(path: Path, told: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Paths from here on; a model's name that is no folder beside the file stays as it is."""
    placed = dict(told)
    for name in names:
        value = told.get(name)
        if isinstance(value, str) and (name != "model" or (path.parent / value).is_dir()):
            placed[name] = os.path.normpath(path.parent / value)
    return placed


def check_train(said: dict[str, Any]) -> None:
    """Refuses a training that can't begin, before anything is paid for: no packages, no model in the folder."""
    for name in _NEEDED:
        if find_spec(name) is None:
            raise ConfigError(f"training needs `{name}`", hint='pip install "instag[train]"')
    if Path(said["model"]).exists():
        from instag.model_files import base_model

        base_model(said["model"])
