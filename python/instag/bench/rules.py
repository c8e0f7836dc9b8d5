"""Rules and itemsets beside mlxtend, PyFIM, scipy's X^T X and a loop in C (`bare.c`: one thread; ours may use all).

Support is 40 rows, the rules' confidence 0.99. `kernels` are the ones that `association_rules` calls, on a table whose
tags are not counted yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import polars as pl

from instag import TagTable, _core, association_rules, frequent_itemsets
from instag.bench import bare, generate
from instag.bench.racing import Contender, Course
from instag.bench.timing import Comparison
from instag.progress import Talk

if TYPE_CHECKING:
    from numpy.typing import NDArray

Rows: TypeAlias = "tuple[NDArray[np.int64], NDArray[np.uint32], int]"  # offsets, ids, size of the vocabulary

MIN_COUNT, MIN_CONFIDENCE = 40, 0.99


def table(folder: Path) -> TagTable:
    offsets, ids, size = generate.rows(folder)
    return TagTable(pl.Series([str(tag) for tag in range(size)]), offsets, ids, _checked=True)


def tuples(folder: Path) -> list[tuple[int, ...]]:
    """Rows as PyFIM likes them, with one int object a tag."""
    offsets, ids, size = generate.rows(folder)
    shared, step = list(range(size)), 1_000_000
    rows: list[tuple[int, ...]] = []
    for start in range(0, len(offsets) - 1, step):
        bounds = offsets[start : start + step + 1]
        block = [shared[tag] for tag in ids[bounds[0] : bounds[-1]].tolist()]
        rows += [tuple(block[a:b]) for a, b in pairwise((bounds - bounds[0]).tolist())]
    return rows


def kernels(rows: Rows) -> tuple[Any, ...]:
    counts, limits = _core.tag_counts(*rows), (MIN_COUNT, MIN_CONFIDENCE)
    pairs = _core.rule_candidates(*rows, counts, np.ones(rows[2], np.uint8), *limits)
    return _core.pair_rules(counts, *pairs, _core.count_pairs(*rows, *pairs), *limits)[:3]


def pair_rules_in_c(rows: Rows) -> tuple[Any, ...]:
    return bare.pair_rules(*rows, MIN_COUNT, MIN_CONFIDENCE)


def rules(made: TagTable) -> tuple[Any, ...]:
    fresh = TagTable(made.vocabulary, made.offsets, made.ids, _checked=True)  # with tags not counted yet
    found = association_rules(fresh, min_count=MIN_COUNT, min_confidence=MIN_CONFIDENCE)
    sides = (found["antecedent"].list.first(), found["consequent"])
    return *(side.cast(pl.String).cast(pl.UInt32).to_numpy() for side in sides), found["count"].to_numpy()


def itemsets(made: TagTable, min_count: int) -> pl.DataFrame:
    return frequent_itemsets(made, min_count=min_count)


def scipy_form(folder: Path) -> Any:
    from scipy.sparse import csr_matrix

    offsets, ids, size = generate.rows(folder)
    return csr_matrix((np.ones(len(ids), np.int32), ids.astype(np.int32), offsets), shape=(len(offsets) - 1, size))


def scipy_rules(matrix: Any) -> tuple[Any, ...]:
    joint = (matrix.T @ matrix).tocoo()
    counts = np.asarray(matrix.sum(axis=0)).ravel()
    keep = (joint.row != joint.col) & (joint.data >= MIN_COUNT) & (joint.data / counts[joint.row] >= MIN_CONFIDENCE)
    return joint.row[keep], joint.col[keep], joint.data[keep]


def mlxtend_form(folder: Path) -> Any:
    import pandas as pd

    frame = pd.DataFrame.sparse.from_spmatrix(scipy_form(folder).astype(bool))
    frame.columns = frame.columns.astype(str)
    return frame


def mlxtend_rules(frame: Any) -> tuple[Any, ...]:
    from mlxtend.frequent_patterns import association_rules as theirs
    from mlxtend.frequent_patterns import fpgrowth

    sets = fpgrowth(frame, min_support=MIN_COUNT / len(frame), max_len=2)
    found = theirs(sets, metric="confidence", min_threshold=MIN_CONFIDENCE)
    sides = ([int(min(tags)) for tags in found[side]] for side in ("antecedents", "consequents"))
    return *sides, (found["support"] * len(frame)).round().astype(int)


def fim_rules(rows: list[tuple[int, ...]]) -> tuple[Any, ...]:
    import fim

    limits = {"supp": -MIN_COUNT, "zmin": 2, "zmax": 2, "conf": 100 * MIN_CONFIDENCE}
    found = fim.apriori(rows, "r", report="a", **limits)  # its fastest for rules of two
    return [tag for _, (tag,), _ in found], [tag for tag, _, _ in found], [count for _, _, count in found]


def fim_itemsets(rows: list[tuple[int, ...]], min_count: int) -> list[tuple[tuple[int, ...], int]]:
    import fim

    found: list[tuple[tuple[int, ...], int]] = fim.fpgrowth(rows, "s", supp=-min_count, zmin=1, report="a")
    return found


CONTENDERS: dict[str, Contender] = {
    "pair rules": Contender(table, rules),
    "pair rules, kernels": Contender(generate.rows, kernels),
    "pair rules in C": Contender(generate.rows, pair_rules_in_c, ("cc",)),
    "X^T X in scipy": Contender(scipy_form, scipy_rules, ("scipy",)),
    "mlxtend": Contender(mlxtend_form, mlxtend_rules, ("mlxtend", "pandas", "scipy")),
    "PyFIM rules": Contender(tuples, fim_rules, ("fim",)),
    "pair rules, one thread": Contender(table, rules, threads=1),
    "itemsets of any length": Contender(table, itemsets),
    "itemsets, one thread": Contender(table, itemsets, threads=1),
    "PyFIM": Contender(tuples, fim_itemsets, ("fim",)),
}


def same_rules(ours: Any, theirs: Any) -> bool:
    one, other = (sorted(zip(*(np.asarray(side).tolist() for side in sides), strict=True)) for sides in (ours, theirs))
    return one == other


def same_itemsets(rows: int, ours: pl.DataFrame, theirs: list[tuple[tuple[int, ...], int]]) -> bool:
    """Every set with its count."""
    mine = {tuple(sorted(map(int, tags))): count for tags, count in ours.rows()}
    everywhere = {tags: count for tags, count in mine.items() if len(tags) == 1 and count == rows}
    return mine == {tuple(sorted(tags)): count for tags, count in theirs} | everywhere


def make(folder: Path, samples: int) -> None:
    """The input: rows of the generated pool."""
    generate.save_rows(folder, *generate.tag_table(samples))


SIZES = (100_000, 500_000, 1_000_000, 10_000_000)  # mlxtend holds the second, not the third


def compare(samples: int, *, peers: bool, talk: Talk) -> Iterator[Comparison]:
    """The generated pool."""
    big = samples >= 10_000_000
    with Course(__name__, CONTENDERS, samples, partial(make, samples=samples), talk, remake=str(samples)) as course:
        if big:
            bare.say_scaled("pair rules", 0.75, course.folder, talk)
        race = partial(course.race, same=same_rules)
        target = 1 / 1.5 if big else None
        yield race("pair rules, kernels", "pair rules in C", target=target)
        yield race("pair rules", "pair rules in C", target=target)
        target = 1.5 if samples >= 1_000_000 else None
        yield race("pair rules", "pair rules, one thread", target=target)
        yield course.race(
            "itemsets of any length", "itemsets, one thread", MIN_COUNT, same=pl.DataFrame.equals, runs=3, target=target
        )
        if not peers:
            return
        peer_runs = 1 if big else None
        yield race("pair rules", "X^T X in scipy", peer_runs=peer_runs, target=12 if big else None)
        if not big:
            yield race("pair rules", "mlxtend", peer_runs=1, target=100 if samples == 100_000 else None)
        target = 8 if samples >= 1_000_000 else None
        yield race("pair rules", "PyFIM rules", runs=3, peer_runs=peer_runs, target=target)
        yield course.race(
            "itemsets of any length",
            "PyFIM",
            MIN_COUNT,
            same=partial(same_itemsets, samples),
            runs=3,
            peer_runs=peer_runs,
            target=2 if samples >= 1_000_000 else None,
        )
