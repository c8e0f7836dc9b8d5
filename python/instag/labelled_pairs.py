"""Pairs of tags with a label, from JSON lines, CSV or Parquet: `a`, `b`, and whether they mean the same."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from instag.errors import DataError
from instag.opening import Raw, decompressed, file_kind, new_digest
from instag.progress import shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HINT = 'a line a pair: {"a": "front-end", "b": "frontend", "same": true}; in CSV the columns a, b, same'
_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character: JSON can say it, UTF-8 cannot
_LABELS = {"true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True, repr=False, eq=False)
class LabelledPairs:
    """Pairs as a file has them, each once: `a[i]` and `b[i]` mean the same where `same[i]`.

    `digest` is that of the pairs, in their order.
    """

    a: list[str]
    b: list[str]
    same: NDArray[np.bool_]
    digest: str

    def __repr__(self) -> str:
        return f"LabelledPairs({len(self.a):,} pairs, {int(self.same.sum()):,} the same)"


def read_labelled_pairs(path: str) -> LabelledPairs:
    """The pairs of a file (JSON lines, CSV or Parquet; `.gz`, `.zst` too), in its order.

    `same` is true, false, 1 or 0, as text too; other columns are let be. A pair may stand twice, in either order, and
    counts once. Raises `DataError` with file and line (in CSV and Parquet the row, from 1) for anything else: a value
    that lacks or is none, two labels for one pair, a tag with itself.
    """
    first_at: dict[tuple[str, str], tuple[int, bool]] = {}
    a: list[str] = []
    b: list[str] = []
    labels: list[bool] = []
    digest = new_digest()
    for line, row in _rows(path):
        one, other, label = (_value(row, name, f"`{path}`, line {line}") for name in ("a", "b", "same"))
        for name, value in (("a", one), ("b", other)):
            if not isinstance(value, str) or not value.strip() or _SURROGATE.search(value):
                raise DataError(f"`{path}`, line {line}: `{name}` is {_told(value)}, must be a tag", hint=_HINT)
        if one == other:
            raise DataError(
                f"`{path}`, line {line}: `a` and `b` are both `{shown(one)}`", hint="such a pair tells nothing"
            )
        same = _label(label, f"`{path}`, line {line}")
        key = (one, other) if one < other else (other, one)
        if key in first_at:
            before, said = first_at[key]
            if said != same:
                raise DataError(
                    f"`{path}`, line {line}: `{shown(one)}` and `{shown(other)}` are {_same(same)} here and "
                    f"{_same(said)} in line {before}",
                    hint="remove one of the two",
                )
            continue
        first_at[key] = line, same
        a.append(one)
        b.append(other)
        labels.append(same)
        digest.update(json.dumps([one, other, same]).encode())
    return LabelledPairs(a, b, np.array(labels, dtype=bool), digest.hexdigest())


def _rows(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    from instag.tabular import csv_lines, parquet_lines

    try:
        kind, compression = file_kind(path, None)
        if kind == "parquet":
            blocks = parquet_lines(path)
        elif kind == "csv":
            blocks = csv_lines(path, compression)
        elif kind == "json":
            blocks = _plain(path, compression)
        else:
            raise DataError("is text", hint=_HINT)
        number = 0
        for block in blocks:
            for line in block.split(b"\n"):
                number += 1
                if not line.strip():
                    number -= kind != "json"  # rows that were written as lines end with one
                    continue
                yield number, _row(line, path, number)
    except DataError as error:
        raise error if error.message.startswith("`") else DataError(f"`{path}` {error.message}", hint=_HINT) from None
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise DataError(f"`{path}` can't be read: {why}", hint="name a file of labelled pairs") from None


def _plain(path: str, compression: str | None) -> Iterator[bytes]:
    """Blocks that end where a line does, without its end."""
    with Raw(os.fspath(path)) as raw:
        rest = b""
        for block in decompressed(raw, compression, 1 << 20):
            whole, newline, after = (rest + block).rpartition(b"\n")
            if newline:
                yield whole
            rest = after
        if rest:
            yield rest


def _row(line: bytes, path: str, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)
    except ValueError as error:
        raise DataError(f"`{path}`, line {number}: no JSON: {str(error).lower()}", hint=_HINT) from None
    if not isinstance(row, dict):
        raise DataError(f"`{path}`, line {number}: {_told(row)}, must be an object", hint=_HINT)
    return row


def _value(row: dict[str, Any], name: str, place: str) -> Any:
    if name not in row:
        found = ", ".join(f"`{shown(str(key))}`" for key in row) or "nothing"
        raise DataError(f"{place}: no `{name}`; found {found}", hint=_HINT)
    return row[name]


def _label(value: Any, place: str) -> bool:
    known = _LABELS.get(value.strip().lower()) if isinstance(value, str) else None
    if known is None and isinstance(value, (bool, int, float)) and value in (0, 1):
        known = bool(value)
    if known is None:
        raise DataError(f"{place}: `same` is {_told(value)}, must be true, false, 1 or 0", hint=_HINT)
    return known


def _same(same: bool) -> str:
    return "the same" if same else "not the same"


def _told(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=isinstance(value, str) and bool(_SURROGATE.search(value)))
    return shown(text if len(text) <= 60 else text[:59] + "…")
