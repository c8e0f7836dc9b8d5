"""How far merges by a model can be trusted, guarded and not: `python benches/guarded.py [DATA] [EMBEDDER ...]`.

Prints the tables of docs/semantics.md, "With a model". EMBEDDER is a name as `--embedder` takes it, such as
`sentence-transformers:FOLDER` (default: those in `INSTAG_BENCH_EMBEDDERS`, parted by spaces; none of them there is said
and skipped). Pairs are parted by a hash as in semantic.py; thresholds may be chosen on the even half (`tuned`) alone,
and so `fitted_figures` does, as `instag calibrate` would.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

import instag
from instag import _core, thresholds
from instag.calibrating import calibrated
from instag.embedders import Lexical, embed, resolve
from instag.guards import differences
from instag.labelled_pairs import LabelledPairs
from instag.thresholds import Thresholds
from semantic import DATA, corpora, held_out, interval, rules

DISTANCES, DIFFERING = (0.2, 0.25, 0.3, 0.35, 0.4), (0.7, 0.75, 0.8, 0.85)
PAPER = (0.05, 0.1, 0.2, 0.25)


class Remembering:
    """An embedder whose vectors are kept, so that one table costs one pass through the model."""

    max_cosine_distance = 0.05

    def __init__(self, name: str) -> None:
        self.inner = resolve(name)
        self.identity = self.inner.identity
        self.multilingual = bool(getattr(self.inner, "multilingual", False))
        self.known: dict[str, np.ndarray] = {}

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        new = [text for text in dict.fromkeys(texts) if text not in self.known]
        if new:
            self.known.update(zip(new, embed(self.inner, new), strict=True))
        return np.stack([self.known[text] for text in texts])


def cosines(embedder: Remembering, a: Sequence[str], b: Sequence[str]) -> np.ndarray:
    """The cosine of each pair of texts; 1 where one of them is empty."""
    told = np.ones(len(a))
    at = np.array([bool(one and other) for one, other in zip(a, b, strict=True)])
    vectors = embedder.embed([text for side in (a, b) for text, both in zip(side, at, strict=True) if both])
    half = np.arange(at.sum(), dtype=np.uint32)
    told[at] = _core.cosines(vectors.ravel(), vectors.shape[1], half, half + np.uint32(len(half)))
    return told


def pair_figures(data: Path, embedder: Remembering) -> None:
    """Merged pairs and their precision by both thresholds, then by kind, on each half of the labelled pairs."""
    for source in ("stackoverflow", "github_topics"):
        pairs = [json.loads(line) for line in (data / "tag_pairs" / f"{source}.jsonl").open()]
        tags = sorted({pair[side] for pair in pairs for side in "ab"})
        a, b = ([pair[side] for pair in pairs] for side in "ab")
        key, stem = (dict(zip(tags, made, strict=True)) for made in (Lexical().keys(tags), rules(tags, "semantic")))
        told = differences(a, b)
        near, same = cosines(embedder, a, b), cosines(embedder, told.left.to_list(), told.right.to_list())
        free = (told.veto == "").to_numpy()
        equal = np.array([key[one] == key[other] for one, other in zip(a, b, strict=True)])
        stems = np.array([stem[one] == stem[other] for one, other in zip(a, b, strict=True)])
        right = np.array([pair["same"] for pair in pairs])
        odd = np.array([held_out(one, other) for one, other in zip(a, b, strict=True)])
        for name, half in (("tuned", ~odd), ("held out", odd)):
            print(f"\n{source}, {name}: {half.sum():,} pairs, merged and precision %")
            ways = {"rules": stems, "lexical": equal, "rules, then lexical": stems | equal}
            for distance in DISTANCES:
                for differing in DIFFERING:
                    way = stems | equal | (free & (near >= 1 - distance) & (same >= differing))
                    ways[f"rules, then guarded {1 - distance:.2f} {differing:.2f}"] = way
            ways |= {f"paper {distance:g}": near >= 1 - distance for distance in PAPER}
            for way, merged in ways.items():
                made = half & merged
                print(f"  {way}: {made.sum()}, {interval((made & right).sum(), made.sum())}")
            kinds: dict[str, Counter[bool]] = defaultdict(Counter)
            default = ways["rules, then guarded 0.65 0.85"]
            for at in np.flatnonzero(half):
                kinds[f"{'same' if right[at] else 'NOT same'}, {pairs[at]['kind']}"][bool(default[at])] += 1
            print("    " + "; ".join(f"{label} {kind[True]}/{kind.total()}" for label, kind in sorted(kinds.items())))


def corpus_figures(data: Path, embedder: Remembering) -> None:
    """Merges and the largest group on the real vocabularies, by guards and by distance alone."""
    for corpus, tags in corpora(data):
        table = instag.TagTable.from_series(pl.Series([[tag] for tag in tags], dtype=pl.List(pl.String)))
        print(f"\n{corpus}: {len(tags):,} tags, merges and largest group")
        ways = {"rules": {"skip": ["semantic", "association"]}, "rules, then lexical": {"skip": ["association"]}}
        model = {"embedder": embedder, "skip": ["association"]}
        ways |= {f"guarded {1 - d:.2f}": model | {"merge": "guarded", "max_cosine_distance": d} for d in DISTANCES}
        ways |= {f"paper {d:g}": model | {"merge": "paper", "max_cosine_distance": d} for d in PAPER}
        same_words = 0
        for way, settings in ways.items():
            made = instag.normalize(table, min_count=1, **settings)
            largest = made.ledger["into"].value_counts()["count"].max()
            merged = len(tags) - len(made.table.vocabulary)
            same_words = merged if way == "rules, then lexical" else same_words
            print(f"  {way}: {merged:,} merged, {largest:,}")
        with TemporaryDirectory() as folder, stored(Path(folder) / thresholds.FILE) as path:
            for differing in DIFFERING:
                thresholds.store(
                    path, embedder.identity, {"max_cosine_distance": 0.35, "min_differing_cosine": differing}
                )
                made = instag.normalize(table, min_count=1, **model)
                merged = len(tags) - len(made.table.vocabulary)
                print(f"  guarded 0.65 {differing:.2f}: {merged:,} merged, {merged - same_words:,} by the model")


def fitted_figures(data: Path, embedder: Remembering) -> None:
    """What `calibrate` makes of the even half; how that and the careful thresholds do on the odd half and on tags."""
    even, odd = halves(data)
    ways = {"careful": thresholds.CAREFUL}
    for precision in (0.95, 0.9):
        print(f"\ncalibrated {precision:g}, {even}")
        try:
            fit, _ = calibrated(embedder, even, precision=precision)
        except instag.DataError as error:
            print(f"  refused: {error.message}")
            continue
        print(f"  fitted: {fit.fitted}\n  held out in folds: {fit.held_out}")
        ways[f"calibrated {precision:g}"] = Thresholds(fit.max_cosine_distance, fit.min_differing_cosine, "")

    tags = sorted({*odd.a, *odd.b})
    into = dict(zip(tags, rules(tags), strict=True))
    words = np.array([into[one] == into[other] for one, other in zip(odd.a, odd.b, strict=True)])
    told = differences(odd.a, odd.b)
    near, same = cosines(embedder, odd.a, odd.b), cosines(embedder, told.left.to_list(), told.right.to_list())
    free = (told.veto == "").to_numpy()
    print(f"\nheld out, {odd}: merged and precision %")
    print(f"  rules, then lexical: {words.sum()}, {interval((words & odd.same).sum(), words.sum())}")
    for name, way in ways.items():
        model = free & (near >= 1 - way.max_cosine_distance) & (same >= way.min_differing_cosine)
        for label, merged in (("rules, lexical and the model", words | model), ("the model's own", model & ~words)):
            print(f"  {name}, {label}: {merged.sum()}, {interval((merged & odd.same).sum(), merged.sum())}")

    for corpus, tags in corpora(data):
        table = instag.TagTable.from_series(pl.Series([[tag] for tag in tags], dtype=pl.List(pl.String)))
        same_words = len(set(rules(tags)))
        for name, way in ways.items():
            numbers = {
                "max_cosine_distance": way.max_cosine_distance,
                "min_differing_cosine": way.min_differing_cosine,
            }
            with TemporaryDirectory() as folder, stored(Path(folder) / thresholds.FILE) as path:
                thresholds.store(path, embedder.identity, numbers)
                made = instag.normalize(table, min_count=1, embedder=embedder, skip=["association"])
            kept = len(made.table.vocabulary)
            print(f"  {corpus}, {name} {numbers}: {len(tags) - kept:,} merged, {same_words - kept:,} by the model")


def halves(data: Path) -> Iterator[LabelledPairs]:
    """The pairs of both lists, the even half, then the odd one, but for those that the two label differently."""
    labels: dict[tuple[str, str], set[bool]] = defaultdict(set)
    for source in ("stackoverflow", "github_topics"):
        for line in (data / "tag_pairs" / f"{source}.jsonl").open():
            pair = json.loads(line)
            labels[min(pair["a"], pair["b"]), max(pair["a"], pair["b"])].add(pair["same"])
    for odd in (False, True):
        kept = [pair for pair, label in labels.items() if len(label) == 1 and held_out(*pair) == odd]
        same = np.array([True in labels[pair] for pair in kept])
        yield LabelledPairs([a for a, _ in kept], [b for _, b in kept], same, "")


@contextmanager
def stored(path: Path) -> Iterator[Path]:
    """Thresholds are those of this file, as a user would store them."""
    before = os.environ.get(thresholds.VARIABLE)
    os.environ[thresholds.VARIABLE] = str(path)
    try:
        yield path
    finally:
        os.environ.pop(thresholds.VARIABLE) if before is None else os.environ.__setitem__(thresholds.VARIABLE, before)


if __name__ == "__main__":
    named = sys.argv[1:]
    folder = Path(named.pop(0)) if named and ":" not in named[0] else DATA
    embedders = named or os.environ.get("INSTAG_BENCH_EMBEDDERS", "").split()
    if not embedders:
        print("guarded: skipped, no embedder is named: INSTAG_BENCH_EMBEDDERS='sentence-transformers:FOLDER ...'")
    for name in embedders:
        print(f"\n== {name}")
        asked = Remembering(name)
        pair_figures(folder, asked)
        fitted_figures(folder, asked)
        corpus_figures(folder, asked)
