"""The comparisons of `instag.bench` on real data: tables of tags, classic files of itemsets, instruction files.

Where `INSTAG_DATA` (default `../shared/data`) has them: tags of Ask Ubuntu and winget, mushroom, and t0, gsm8k and sgd
repeated to as many records as asked for. Data after the description of IBM Quest's
T10I4D100K is made up. PyFIM leaves out a tag that stands in every row.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from instag import TagTable
from instag.bench import generate, read, rules, selection
from instag.bench.racing import Course
from instag.bench.timing import Comparison
from instag.progress import Talk

DATA = Path(os.environ.get("INSTAG_DATA", Path(__file__).parents[2] / "shared" / "data"))

SIZES = (1_000_000,)  # of the files that are repeated; 5,000,000 take 8 GB of disk, and of memory


def compare(samples: int, *, peers: bool, talk: Talk) -> Iterator[Comparison]:
    """Selection, then itemsets, then reading."""
    if not DATA.is_dir():
        talk.warn(f"no real data at {DATA} (set INSTAG_DATA): those rows are missing")
    for name, rows in tables():
        with course(selection, rows, talk) as races:
            for ours, peer in (
                ("complexity-first select", "one pass in C"),
                ("complexity-first select", "Python sets"),
                ("coverage select", "bucket greedy in C"),
                ("coverage select", "Python heap"),
            ):
                task, peer_runs = f"{name}: {ours}, k = 6,000", 1 if "Python" in peer else None
                yield races.race(ours, peer, 6_000, task=task, same=selection.equal, peer_runs=peer_runs)
    for name, rows, counts in classics():
        with course(rules, rows, talk) as races:
            for count in counts:
                yield races.race(
                    "itemsets of any length",
                    "PyFIM",
                    count,
                    task=f"{name}: itemsets, support {count:,}",
                    same=partial(rules.same_itemsets, len(rows[0]) - 1),
                    runs=3,
                    target=1,
                )
    folder = DATA / "instructions"
    for name, records in (
        ("self_instruct/t0_prompts.jsonl.zst", samples),
        ("gsm8k/train.jsonl", samples),
        ("sgd/messages.jsonl.gz", samples),
    ):
        if (folder / name).is_file():
            yield from read.compare(records, peers=peers, talk=talk, inputs=[folder / name])


def course(module: Any, rows: selection.Rows, talk: Talk) -> Course:
    """The contenders of a module on these rows."""

    def make(folder: Path) -> None:
        generate.save_rows(folder, *rows)

    return Course(module.__name__, module.CONTENDERS, len(rows[0]) - 1, make, talk)


def tables() -> Iterator[tuple[str, selection.Rows]]:
    """Ask Ubuntu and winget."""
    if (DATA / "tags").is_dir():
        with gzip.open(DATA / "tags" / "ask_ubuntu" / "tags.jsonl.gz", "rt") as file:
            yield "Ask Ubuntu", csr([json.loads(line)["tags"] for line in file])
        index = json.loads((DATA / "tags" / "winget" / "index.v2.json").read_text())
        yield "winget", csr([package["Tags"] or [] for package in index])


def classics() -> Iterator[tuple[str, selection.Rows, tuple[int, ...]]]:
    """T10I4D100K-like data and mushroom, with the supports they are mined at."""
    yield "T10I4D100K-like", generate.quest(), (100, 10)
    path = DATA / "itemsets" / "mushroom.dat"
    if path.is_file():
        yield "mushroom", csr([line.split() for line in path.read_text().split("\n") if line]), (1_625, 406)


def csr(lists: list[list[str]]) -> selection.Rows:
    return TagTable.from_series(pl.Series(lists, dtype=pl.List(pl.String))).csr
