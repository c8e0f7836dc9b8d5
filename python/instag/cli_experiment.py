"""`instag experiment`: many selections of one pool, each trained on and judged."""

from __future__ import annotations

from pathlib import Path

import click

from instag.commands import cli, finish
from instag.flags import with_flags
from instag.progress import Talk


@cli.command()
@click.argument("config", metavar="CONFIG.toml")
@click.option("--dry-run", is_flag=True, help="List the cells and what stands of each; make nothing.")
@with_flags()
def experiment(config: str, dry_run: bool, as_json: bool, quiet: bool) -> None:
    """Compare selections: one child run a cell, one table of them all.

    \b
    CONFIG.toml, whose paths are relative to it:
      run = "pool"                  # tagged and normalized; or runs = ["by-gpt", "by-keyphrase"]
      out = "experiment"
      k = [1000, 6000]
      methods = ["complexity-first", "complexity", "coverage", "random", "whole"]
      random_seeds = 3
      sweeps = ["mean-tags", "coverage"]
      skip = [[], ["semantic"]]     # steps of `normalize` left out
      token_budget = 1_000_000      # of each training
      [train]                       # as `instag train`; without it: selections alone
      [evaluate]                    # as `instag evaluate`

    A cell that stands is not made again, a cell that fails is a row with its reason.
    """  # noqa: D301 - click reads the backspace
    from instag.experiment import plan, run_experiment
    from instag.experiment_config import read_experiment

    read, talk = read_experiment(Path(config)), Talk(quiet=quiet)
    finish(plan(read, talk) if dry_run else run_experiment(read, talk), as_json)
