"""The binding as an enemy would call it: whatever arrays come in, a kernel answers or raises `ValueError`."""

from __future__ import annotations

import ast
import random
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from instag import _core

STUB = Path(_core.__file__).with_name("_core.pyi")
FUNCTIONS = [node for node in ast.parse(STUB.read_text("utf-8")).body if isinstance(node, ast.FunctionDef)]
ARRAYS = {"I64": "int64", "U32": "uint32", "F64": "float64", "F32": "float32", "U64": "uint64", "U8": "uint8"}
TEXTS = ["", "a", "C++", "web dev", "\0", "é", "数学 题", "x" * 500, "😀", "json to csv", "'\"{}[", None]
BLOCKS = [b"", b'{"instruction": "a"}\n', b'[{"text": "a"},', b"\xff\xfe\n{}", b'{"a":' * 2000, b'{"tags": ["a", 1]}']
WORDS = ["porter", "none", "english", "lines", "array", "elements", "text", "compact", "original", "messages", "nope"]


def array(rng: random.Random, dtype: str) -> Any:
    """A short array; now and then with a value that no caller means, or one that rises as row bounds do."""
    size = rng.choice([0, 1, 2, 3, 8, 20])
    if dtype.startswith("float"):
        odd = [float("nan"), float("inf"), -1.0]
        return np.array([rng.choice(odd) if rng.random() < 0.1 else rng.random() for _ in range(size)], dtype)
    values = np.array([rng.randrange(6) for _ in range(size)], dtype)
    if size and rng.random() < 0.3:
        limits = np.iinfo(dtype)
        values[rng.randrange(size)] = rng.choice([limits.min, limits.max])
    elif dtype == "int64" and rng.random() < 0.5:
        values = np.concatenate([[0], np.cumsum(values % 3)]).astype(dtype)
    return values


def argument(rng: random.Random, hint: str) -> Any:
    """Something of the type that the stub names; the wrong thing now and then."""
    if "None" in hint and rng.random() < 0.4:
        return None
    if hint[:3] in ARRAYS:
        return array(rng, ARRAYS[hint[:3]])
    if hint.startswith("pl.Series"):
        lists = pl.Series([["a", None], None, ["b", "a"]], dtype=pl.List(pl.String))
        texts = pl.Series([rng.choice(TEXTS) for _ in range(rng.choice([0, 1, 9]))], dtype=pl.String)
        return rng.choice([texts, texts, texts, lists, pl.Series([1, 2])])
    if hint.startswith("tuple[int"):
        return (rng.randrange(3), 0, 0)
    if hint.startswith("tuple[float"):
        return rng.choice([0.0, 1.0, 2.0, float("-inf"), float("nan")]), rng.randrange(9)
    choices: dict[str, list[Any]] = {
        "int": [0, 1, 2, 5, 6, 20],
        "float": [0.0, 0.5, 0.99, 1.0, -1.0, float("nan")],
        "bool": [False, True],
        "bytes": BLOCKS,
        "str": WORDS,
    }
    return rng.choice(choices.get(hint.split(" ")[0], [None]))


@pytest.mark.parametrize("size", [2**32, 2**40, 2**62])
@pytest.mark.parametrize(
    "name", ["tag_counts", "frequent_itemsets", "count_pairs", "rounds_reached", "complexity_first", "max_coverage"]
)
def test_a_vocabulary_that_ids_cannot_number_is_refused_before_memory_is_taken(name: str, size: int) -> None:
    more = {
        "tag_counts": (),
        "frequent_itemsets": (1, 3, 10),
        "count_pairs": (np.array([], np.uint32), np.array([], np.uint32)),
        "rounds_reached": (1,),
        "complexity_first": (1, None, None),
        "max_coverage": (1, None, None),
    }
    with pytest.raises(ValueError, match="more than 32-bit ids"):
        getattr(_core, name)(np.array([0]), np.array([], np.uint32), size, *more[name])


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_no_arguments_make_a_kernel_panic(function: ast.FunctionDef) -> None:
    rng = random.Random(function.name)
    hints = [(arg.arg, ast.unparse(arg.annotation)) for arg in function.args.args if arg.annotation]
    for _ in range(300):
        arguments = {name: argument(rng, hint) for name, hint in hints}
        if "offsets" in arguments and rng.random() < 0.7:
            bounds = np.cumsum([0, *(rng.randrange(4) for _ in range(rng.randrange(8)))]).astype(np.int64)
            arguments["offsets"] = bounds
            arguments["ids"] = np.array([rng.randrange(6) for _ in range(bounds[-1])], np.uint32)
        # A panic of the core is a `BaseException` of its own, and would end the test.
        try:
            getattr(_core, function.name)(*arguments.values())
        except (ValueError, TypeError, OverflowError):
            continue
