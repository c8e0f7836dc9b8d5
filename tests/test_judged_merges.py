"""Merges of real vocabularies by `lexical`, drawn at random and judged by hand, one by one: the share still right.

`judged_merges.jsonl`: every merge of ask_ubuntu and 200 of winget (those of lowest CRC-32), a tag and the first one
of its key; judged by what the rows that hold them are about. The rules were not changed for what is wrong among them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from instag.embedders import Lexical
from test_lexical import ask_ubuntu, winget

JUDGED = [json.loads(line) for line in Path(__file__).with_name("judged_merges.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.parametrize(
    ("vocabulary", "least_right", "judged"), [(ask_ubuntu, 0.8, 11), (winget, 0.95, 200)], ids=["ask_ubuntu", "winget"]
)
def test_the_share_of_judged_merges_that_are_right(
    vocabulary: Callable[[Path], Iterator[str]], least_right: float, judged: int, data: Path
) -> None:
    tags = sorted(set(vocabulary(data)))
    key = dict(zip(tags, Lexical().keys(tags), strict=True))
    mine = [pair for pair in JUDGED if pair["corpus"] == vocabulary.__name__]
    merged = [pair["right"] for pair in mine if key[pair["a"]] == key[pair["b"]]]
    assert len(mine) == judged
    assert len(merged) >= 0.9 * judged  # else the sample says little about the rules of today: judge another
    assert sum(merged) / len(merged) >= least_right


def test_no_pair_is_judged_twice() -> None:
    pairs = [(pair["corpus"], frozenset((pair["a"], pair["b"]))) for pair in JUDGED]
    assert len(pairs) == len(set(pairs))
