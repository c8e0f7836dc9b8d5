"""Thresholds belong to a model: those that `instag calibrate` stored, those that were measured, and where from.

Stored ones stand in one file of TOML, `instag-thresholds.toml` in the current folder unless `INSTAG_THRESHOLDS` names
another; docs/format.md tells what is in it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instag.errors import ConfigError

# The paper's distance, chosen for PhraseBERT; the careful choice where none is known: at a similarity of 0.95 sentence
# models join little beyond inflections.
PHRASE_BERT = "whaleloops/phrase-bert"
PHRASE_BERT_DISTANCE = 0.05

FILE = "instag-thresholds.toml"
VARIABLE = "INSTAG_THRESHOLDS"
FORMAT = 1
_HEAD = """\
# Thresholds of embedders, one table each. `instag calibrate` writes this file and keeps the tables of other embedders;
# `instag normalize` reads it in its current folder, or where INSTAG_THRESHOLDS names it.
"""


@dataclass(frozen=True)
class Thresholds:
    """How near tags must be to merge by one embedder, and where that is known from.

    `max_cosine_distance` is that of the two tags, `min_differing_cosine` the least cosine of the words by which they
    differ (-1: whatever it is), `source` a line for people.
    """

    max_cosine_distance: float
    min_differing_cosine: float
    source: str

    def __post_init__(self) -> None:
        for name, low, high in (("max_cosine_distance", 0.0, 0.5), ("min_differing_cosine", -1.0, 1.0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
                raise ConfigError(f"`{name}` is {value!r}, must be from {low:g} to {high:g}")
            object.__setattr__(self, name, float(value))


_MEASURED = {
    PHRASE_BERT: Thresholds(PHRASE_BERT_DISTANCE, -1.0, "the paper's, for PhraseBERT"),
    "all-MiniLM-L6-v2": Thresholds(0.35, 0.85, "measured on real tags, docs/semantics.md"),
}
# A folder tells a model by the sha256 of its weights (the first 16 digits), wherever it was copied to.
_WEIGHTS = {"53aa51172d142c89": "all-MiniLM-L6-v2"}

# Where nothing is known of a model: stricter than what was measured for any.
CAREFUL = Thresholds(0.20, 0.85, "careful ones: none are measured for this model (`instag calibrate` does)")


def of(identity: str) -> Thresholds | None:
    """The thresholds known for the embedder of this identity: stored ones, else measured ones, else None.

    >>> of("sentence-transformers:sentence-transformers/all-MiniLM-L6-v2").max_cosine_distance
    0.35
    >>> of("openai:somebody's")
    """
    path = stored_at()
    if path is not None and (entry := read_stored(path).get(identity)) is not None:
        return entry
    return _MEASURED.get(model_of(identity) or "")


def key_of(identity: str) -> dict[str, Any]:
    """What of the thresholds enters a stage's key: the numbers where they are known, not the place they are from."""
    known = of(identity)
    return {} if known is None else {"thresholds": [known.max_cosine_distance, known.min_differing_cosine]}


def model_of(identity: str) -> str | None:
    """The model behind a local embedder's identity, by its name or its weights; None where it is none we know.

    >>> model_of("sentence-transformers:53aa51172d142c89.0123456789abcdef")
    'all-MiniLM-L6-v2'
    """
    kind, _, name = identity.partition(":")
    if kind != "sentence-transformers":
        return None
    if weights := re.fullmatch(r"([0-9a-f]{16})\.[0-9a-f]{16}", name):
        return _WEIGHTS.get(weights[1])
    name = name.removeprefix("sentence-transformers/")
    return name if name in _MEASURED else None


def multilingual_by_name(model: str) -> bool:
    """Whether a model's name says that it knows other scripts than Latin.

    >>> [multilingual_by_name(name) for name in ("intfloat/multilingual-e5-small", "all-MiniLM-L6-v2")]
    [True, False]
    """
    return re.search(r"multilingual|labse|bge-m3|\bxlm|text-embedding-3-", model, re.IGNORECASE) is not None


def stored_at() -> Path | None:
    """The file of stored thresholds, where there is one; raises `ConfigError` where one is named that is not there."""
    named = os.environ.get(VARIABLE)
    if named and not Path(named).is_file():
        raise ConfigError(f"`{VARIABLE}` names `{named}`, which is no file", hint="`instag calibrate --out` writes it")
    path = Path(named or FILE)
    return path if path.is_file() else None


def read_stored(path: Path) -> dict[str, Thresholds]:
    """The thresholds in a file by the embedder's identity; raises `ConfigError` with the place of what is wrong."""
    found: dict[str, Thresholds] = {}
    for number, table in enumerate(_tables(path), 1):
        place = f"`{path}`, embedder {number}"
        identity = table.get("embedder")
        if not isinstance(identity, str):
            raise ConfigError(f"{place}: no `embedder`", hint="remove the table, or run `instag calibrate` again")
        if identity in found:
            raise ConfigError(f"{place}: `{identity}` stands twice", hint="remove one of the two tables")
        try:
            pairs, held_out = table.get("pairs"), table.get("held_out_precision")
            of_pairs = f" on {pairs:,} pairs" if isinstance(pairs, int) else ""
            by = f", precision {held_out:.3f} on held-out ones" if isinstance(held_out, float) else ""
            found[identity] = Thresholds(
                table["max_cosine_distance"], table["min_differing_cosine"], f"`{path}`: calibrated{of_pairs}{by}"
            )
        except KeyError as error:
            raise ConfigError(f"{place}: no `{error.args[0]}`", hint="run `instag calibrate` again") from None
        except ConfigError as error:
            raise ConfigError(f"{place}: {error.message}", hint="run `instag calibrate` again") from None
    return found


def store(path: Path, embedder: str, entry: Mapping[str, str | int | float]) -> None:
    """Puts the table of one embedder into the file, in place of its old one; the file is made where there is none.

    Tables are ordered by embedder; comments of one's own do not stay. Raises `ConfigError` where the file is another
    one or can't be written.
    """
    read_stored(path) if path.exists() else None  # one that is broken is told, and not written over
    tables = {str(table["embedder"]): table for table in (_tables(path) if path.exists() else [])}
    tables[embedder] = {"embedder": embedder, **entry}
    lines = [_HEAD, f"format = {FORMAT}"]
    for identity in sorted(tables):
        lines += ["", "[[embedders]]", *(f"{name} = {_toml(value)}" for name, value in tables[identity].items())]
    beside = path.with_name(f"{path.name}.new")
    try:
        beside.write_text("\n".join(lines) + "\n", encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise ConfigError(
            f"`{path}` can't be written: {(error.strerror or str(error)).lower()}", hint="name another with `--out`"
        ) from None


def _tables(path: Path) -> list[dict[str, Any]]:
    from instag.config import read_toml

    told = read_toml(path, "file of thresholds")
    tables: Any = told.get("embedders", [])
    plain = isinstance(tables, list) and all(isinstance(table, dict) for table in tables)
    plain = plain and all(isinstance(value, (str, int, float)) for table in tables for value in table.values())
    if told.get("format") != FORMAT or not plain:
        raise ConfigError(
            f"`{path}` is no file of thresholds (`format = {FORMAT}`, then `[[embedders]]`)",
            hint="`instag calibrate --out FILE` writes one",
        )
    return list(tables)


def _toml(value: str | int | float) -> str:
    # JSON's strings are TOML's, but for DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
