"""Rules and itemsets beside mlxtend, PyFIM, scipy's X^T X and a loop in C (`bare.c`: one thread; ours may use all).

Support is 40 rows, the rules' confidence 0.99. `kernels` are the ones that `association_rules` calls, on a table whose
tags are not counted yet. At the first size also the classic files (mushroom, where `INSTAG_DATA` has it, and data after
the description of IBM Quest's T10I4D100K), at low supports. PyFIM leaves out a tag that stands in every row.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

import bare
import generate
import timing
from instag import TagTable, _core, association_rules, frequent_itemsets

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from timing import Rows

DATA = Path(os.environ.get("INSTAG_DATA", Path(__file__).parents[2] / "shared" / "data")) / "itemsets"
MIN_COUNT, MIN_CONFIDENCE = 40, 0.99


def arrays(*rows: Any) -> Rows:
    return rows


def table(offsets: NDArray[np.int64], ids: NDArray[np.uint32], size: int) -> TagTable:
    return TagTable(pl.Series([str(tag) for tag in range(size)]), offsets, ids, _checked=True)


def tuples(offsets: NDArray[np.int64], ids: NDArray[np.uint32], size: int) -> list[tuple[int, ...]]:
    """Rows as PyFIM likes them, with one int object a tag."""
    shared, rows, step = list(range(size)), [], 1_000_000
    for start in range(0, len(offsets) - 1, step):
        bounds = offsets[start : start + step + 1]
        block = [shared[tag] for tag in ids[bounds[0] : bounds[-1]].tolist()]
        rows += [tuple(block[a:b]) for a, b in pairwise((bounds - bounds[0]).tolist())]
    return rows


def kernels(rows: Rows) -> tuple[Any, ...]:
    counts, limits = _core.tag_counts(*rows), (MIN_COUNT, MIN_CONFIDENCE)
    pairs = _core.rule_candidates(*rows, counts, np.ones(rows[2], np.uint8), *limits)
    return _core.pair_rules(counts, *pairs, _core.count_pairs(*rows, *pairs), *limits)[:3]


def rules(made: TagTable) -> tuple[Any, ...]:
    fresh = TagTable(made.vocabulary, made.offsets, made.ids, _checked=True)  # with tags not counted yet
    found = association_rules(fresh, min_count=MIN_COUNT, min_confidence=MIN_CONFIDENCE)
    sides = (found["antecedent"].list.first(), found["consequent"])
    return *(side.cast(pl.String).cast(pl.UInt32).to_numpy() for side in sides), found["count"].to_numpy()


def scipy_form(offsets: NDArray[np.int64], ids: NDArray[np.uint32], size: int) -> Any:
    from scipy.sparse import csr_matrix

    return csr_matrix((np.ones(len(ids), np.int32), ids.astype(np.int32), offsets), shape=(len(offsets) - 1, size))


def scipy_rules(matrix: Any) -> tuple[Any, ...]:
    joint = (matrix.T @ matrix).tocoo()
    counts = np.asarray(matrix.sum(axis=0)).ravel()
    keep = (joint.row != joint.col) & (joint.data >= MIN_COUNT) & (joint.data / counts[joint.row] >= MIN_CONFIDENCE)
    return joint.row[keep], joint.col[keep], joint.data[keep]


def mlxtend_form(offsets: NDArray[np.int64], ids: NDArray[np.uint32], size: int) -> Any:
    import pandas as pd

    frame = pd.DataFrame.sparse.from_spmatrix(scipy_form(offsets, ids, size).astype(bool))
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

    return fim.fpgrowth(rows, "s", supp=-min_count, zmin=1, report="a")


CONTENDERS: dict[str, timing.Contender] = {
    "pair rules": (table, rules),
    "pair rules, kernels": (arrays, kernels),
    "X^T X in scipy": (scipy_form, scipy_rules),
    "mlxtend": (mlxtend_form, mlxtend_rules),
    "pair rules in C": (arrays, lambda rows: bare.pair_rules(*rows, MIN_COUNT, MIN_CONFIDENCE)),
    "PyFIM rules": (tuples, fim_rules),
    "itemsets of any length": (table, lambda made, count: frequent_itemsets(made, min_count=count)),
    "PyFIM": (tuples, fim_itemsets),
}


def same_rules(ours: Any, theirs: Any) -> bool:
    return (
        len(
            {
                tuple(sorted(zip(*(np.asarray(side).tolist() for side in rules), strict=True)))
                for rules in (ours, theirs)
            }
        )
        == 1
    )


def same_itemsets(rows: int, ours: pl.DataFrame, theirs: list[tuple[tuple[int, ...], int]]) -> bool:
    """Every set with its count."""
    mine = {tuple(sorted(map(int, tags))): count for tags, count in ours.rows()}
    everywhere = {tags: count for tags, count in mine.items() if len(tags) == 1 and count == rows}
    return mine == {tuple(sorted(tags)): count for tags, count in theirs} | everywhere


SIZES = (100_000, 1_000_000, 10_000_000)


def compare(samples: int) -> Iterator[timing.Comparison]:
    """The generated pool, and at the first size the classic files."""
    rows = (*generate.tag_table(samples), generate.TAGS)
    big = samples >= 10_000_000
    with timing.saved(rows) as folder:

        def race(ours: str, peer: str, *settings: int, **options: Any) -> timing.Comparison:
            return timing.race(__file__, CONTENDERS, (ours, peer), ours, rows, folder, *settings, **options)

        if big:
            scaled = f"{bare.scaled(0.75, rows[1]):.2f}"
            print(f"association: the design's pair rules in C (0.75 s) would take {scaled} s here", file=sys.stderr)
        if samples >= 1_000_000:
            target = 1 / 1.5 if big else None
            yield race("pair rules, kernels", "pair rules in C", same=same_rules, target=target)
            yield race("pair rules", "pair rules in C", same=same_rules, target=target)
            once = 1 if big else None
            yield race("pair rules", "X^T X in scipy", same=same_rules, peer_runs=once, target=12 if big else None)
        else:
            yield race("pair rules", "mlxtend", same=same_rules, peer_runs=1, target=100)
        if not big:
            target = 8 if samples == 1_000_000 else None
            yield race("pair rules", "PyFIM rules", same=same_rules, runs=3, target=target)
        target = 2 if samples >= 1_000_000 else None
        same, runs = partial(same_itemsets, samples), {"runs": 3, "peer_runs": 1 if big else 3}
        yield race("itemsets of any length", "PyFIM", MIN_COUNT, same=same, target=target, **runs)
    if samples == SIZES[0]:
        yield from _classic()


def _classic() -> Iterator[timing.Comparison]:
    files = {"T10I4D100K-like": (generate.quest(), (100, 10))}
    if (DATA / "mushroom.dat").is_file():
        lines = (DATA / "mushroom.dat").read_text().split("\n")
        made = TagTable.from_series(pl.Series([line.split() for line in lines if line]))
        files["mushroom"] = (made.csr, (1_625, 406))
    for name, (rows, counts) in files.items():
        with timing.saved(rows) as folder:
            for count in counts:
                task, sides = f"{name}: itemsets, support {count:,}", ("itemsets of any length", "PyFIM")
                same = partial(same_itemsets, len(rows[0]) - 1)
                yield timing.race(__file__, CONTENDERS, sides, task, rows, folder, count, same=same, runs=3, target=1)


if __name__ == "__main__":
    timing.run_alone(CONTENDERS)
