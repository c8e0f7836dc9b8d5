"""What an experiment is: the settings in its TOML file, and the cells that they make."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from instag.config import blame, check_keys, read_config, settings_from
from instag.controlled import SWEEPS
from instag.errors import ConfigError
from instag.later_stages import read_stages
from instag.selection import METHODS, SelectSettings

WHOLE = "whole"  # the name of the cell of the whole pool, among the methods
BASE = "base"  # that of the model before it was trained
_STEPS = ("frequency", "rule", "semantic", "association")


@dataclass(frozen=True)
class Cell:
    """One child run: which tagging, which steps left out, what `instag select` is told (`k` None: the whole pool)."""

    run: str
    skip: tuple[str, ...]
    method: str
    k: int | None
    seed: int = 0
    target_coverage: float | None = None
    target_mean_tags: float | None = None
    sweep: str | None = None

    @property
    def variant(self) -> str:
        """The tagging and what is left out of its normalization, as a name."""
        return "-".join([Path(self.run).name, *(f"without-{step}" for step in self.skip)])

    @property
    def name(self) -> str:
        """The folder's name: all that makes the cell another one."""
        if self.method == BASE:
            return f"{Path(self.run).name}-{BASE}"
        parts = [self.variant, self.method, "all" if self.k is None else f"k{self.k}"]
        if self.target_coverage is not None:
            parts.append(f"coverage{self.target_coverage:g}")
        if self.target_mean_tags is not None:
            parts.append(f"tags{self.target_mean_tags:g}")
        return "-".join([*parts, f"seed{self.seed}"])


@dataclass(frozen=True)
class Experiment:
    """A whole experiment: `out` is its folder, `train` and `evaluate` None where these stages are not asked for."""

    out: str
    cells: tuple[Cell, ...]
    select: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] | None = None
    evaluate: dict[str, Any] | None = None


@dataclass(frozen=True)
class _Axes:
    """What the top of the file may say."""

    out: str
    run: str | None = None
    runs: tuple[str, ...] = ()
    k: tuple[int, ...] = (6000,)
    methods: tuple[str, ...] = ("complexity-first", "complexity", "coverage", "random", WHOLE)
    random_seeds: int = 3
    sweeps: tuple[str, ...] = ()
    skip: tuple[Any, ...] = ((),)
    token_budget: int | None = None


def read_experiment(path: Path) -> Experiment:
    """An experiment from its file; paths are relative to it. Raises `ConfigError` naming the file and the key."""
    config = read_config(path)
    tables = {name: config.pop(name, None) for name in ("select", "train", "evaluate")}
    check_keys(config, {each.name for each in dataclasses.fields(_Axes)} | set(tables), str(path))
    if not isinstance(tables["select"], dict | None):
        raise ConfigError(f"{path}: `select` is {tables['select']!r}, must be a table", hint="write `[select]`")
    if not isinstance(config.get("out"), str):
        raise ConfigError(f"{path}: `out` is {config.get('out')!r}, must be a path", hint='out = "experiment"')
    if isinstance(config.get("k"), int):
        config["k"] = [config["k"]]
    with blame(str(path)):
        axes = settings_from(_Axes, config)
        _check(axes)
    select = tables["select"] or {}
    check_keys(select, {"complexity", "allow_partial", "format"}, f"{path}: [select]")

    def here(name: str) -> str:
        return os.path.normpath(path.parent / name)

    named = [here(run) for run in (axes.runs or [axes.run or ""])]
    if len({Path(run).name for run in named}) < len(named):
        raise ConfigError(f"{path}: two of `runs` have one name", hint="rename a folder: cells are named after them")
    cells = tuple(dict.fromkeys(cell for run in named for skip in axes.skip for cell in _cells(axes, run, skip)))
    with blame(str(path)):
        for cell in (cell for cell in cells if cell.method != BASE):
            settings_from(SelectSettings, said_of(cell, select, 1))
    train, evaluate = read_stages(path, tables)
    if BASE in axes.methods and (train is None or evaluate is None):
        raise ConfigError(
            f"{path}: `methods` has '{BASE}'", hint="it needs `[train]`, whose model it is, and `[evaluate]`"
        )
    if axes.token_budget is not None:
        if train is None:
            raise ConfigError(f"{path}: `token_budget` is given, but there is no `[train]`", hint="write `[train]`")
        train = {**train, "token_budget": axes.token_budget}
    return Experiment(here(axes.out), cells, select, train, evaluate)


def said_of(cell: Cell, select: dict[str, Any], pool: int) -> dict[str, Any]:
    """What `instag select` is told for a cell of a pool of so many samples; the whole pool is drawn in random order."""
    ranked = cell.method in ("complexity-first", "complexity")
    shared = {name: value for name, value in select.items() if name != "complexity" or ranked}
    method = "random" if cell.method == WHOLE else cell.method
    targets = {"target_coverage": cell.target_coverage, "target_mean_tags": cell.target_mean_tags}
    return {**shared, "k": pool if cell.k is None else cell.k, "method": method, "seed": cell.seed, **targets}


def _check(axes: _Axes) -> None:
    if (axes.run is None) == (not axes.runs):
        raise ConfigError("`run` or `runs` must name the tagged pool: one of them", hint='run = "pool"')
    for name, known in (("methods", (*METHODS, WHOLE, BASE)), ("sweeps", tuple(SWEEPS))):
        for value in getattr(axes, name):
            if value not in known or value == "controlled":
                hint = "say `sweeps`" if value == "controlled" else f"known: {', '.join(known)}"
                raise ConfigError(f"`{name}` has {value!r}", hint=hint)
    for k in axes.k:
        SelectSettings(k=k)
    if axes.random_seeds < 1:
        raise ConfigError(f"`random_seeds` is {axes.random_seeds}, must be at least 1")
    if axes.token_budget is not None and axes.token_budget < 1:
        raise ConfigError(f"`token_budget` is {axes.token_budget}, must be at least 1")
    for skip in axes.skip:
        if not isinstance(skip, list | tuple) or any(step not in _STEPS for step in skip):
            hint = f'skip = [[], ["semantic"]]; the steps are {", ".join(_STEPS)}'
            raise ConfigError(f"`skip` has {skip!r}, must have lists of steps", hint=hint)


def _cells(axes: _Axes, run: str, skip: Any) -> list[Cell]:
    place = (run, tuple(skip))
    cells = [Cell(run, (), BASE, None)] if BASE in axes.methods else []
    cells += [Cell(*place, WHOLE, None)] if WHOLE in axes.methods else []
    for k in axes.k:
        for method in axes.methods:
            seeds = axes.random_seeds if method == "random" else 1
            cells += [Cell(*place, method, k, seed) for seed in range(seeds) if method not in (WHOLE, BASE)]
        for sweep in axes.sweeps:
            cells += [Cell(*place, "controlled", k, 0, coverage, mean, sweep) for coverage, mean in SWEEPS[sweep]]
    return cells
