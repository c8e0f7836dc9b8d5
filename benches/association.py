"""Rules and itemsets beside mlxtend (up to 100,000 samples: it takes minutes) and PyFIM (up to a million)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

import generate
import timing
from instag import TagTable, association_rules, frequent_itemsets

MIN_COUNT, MIN_CONFIDENCE = 40, 0.99


SIZES = (100_000, 1_000_000)


def compare(samples: int) -> Iterator[timing.Comparison]:
    """All pair rules, and itemsets of any length; both peers get their own input form ready-made."""
    offsets, ids = generate.tag_table(samples)
    table = TagTable.from_arrays([str(tag) for tag in range(generate.TAGS)], offsets, ids)
    rules = partial(association_rules, table, min_count=MIN_COUNT, min_confidence=MIN_CONFIDENCE)
    itemsets = partial(frequent_itemsets, table, min_count=MIN_COUNT)
    against = partial(timing.compare, samples=samples)
    if samples <= 100_000 and (theirs := _mlxtend(samples, offsets, ids)):
        yield against(
            "pair rules", ours=rules, peer=theirs, peer_name="mlxtend", same=_same_rules, peer_runs=1, target=100
        )
    if samples <= 1_000_000 and (fim := _pyfim()):
        values = ids.tolist()
        rows = [values[start:end] for start, end in pairwise(offsets.tolist())]

        def fim_rules() -> set[tuple[int, int, int]]:
            limits = {"supp": -MIN_COUNT, "zmin": 2, "zmax": 2, "conf": 100 * MIN_CONFIDENCE}
            found = fim.apriori(rows, "r", report="a", **limits)  # its fastest for rules of two
            return {(antecedent, consequent, count) for consequent, (antecedent,), count in found}

        target = 8 if samples == 1_000_000 else None
        yield against("pair rules", ours=rules, peer=fim_rules, peer_name="PyFIM", same=_same_rules, target=target)
        target = 1 if samples == 1_000_000 else None
        yield against(
            "itemsets of any length",
            ours=itemsets,
            peer=partial(fim.fpgrowth, rows, "s", supp=-MIN_COUNT, zmin=1, report="a"),
            peer_name="PyFIM",
            same=_same_itemsets,
            target=target,
        )


def _same_rules(ours: Any, theirs: set[tuple[int, int, int]]) -> bool:
    columns = (ours["antecedent"].list.first(), ours["consequent"], ours["count"])
    return {(int(a), int(b), n) for a, b, n in zip(*columns, strict=True)} == theirs


def _same_itemsets(ours: Any, theirs: list[tuple[tuple[int, ...], int]]) -> bool:
    columns = (ours["itemset"], ours["count"])
    mine = {tuple(sorted(map(int, tags))): count for tags, count in zip(*columns, strict=True)}
    return mine == {tuple(sorted(tags)): count for tags, count in theirs}


def _mlxtend(samples: int, offsets: Any, ids: Any) -> Any:
    try:
        import pandas as pd
        from mlxtend.frequent_patterns import association_rules as theirs
        from mlxtend.frequent_patterns import fpgrowth
        from scipy.sparse import csr_matrix
    except ImportError as error:
        return print(f"association: no mlxtend ({error})", file=sys.stderr)
    matrix = csr_matrix((np.ones(len(ids), bool), ids.astype(np.int64), offsets), shape=(samples, generate.TAGS))
    frame = pd.DataFrame.sparse.from_spmatrix(matrix)
    frame.columns = frame.columns.astype(str)

    def rules() -> set[tuple[int, int, int]]:
        found = theirs(
            fpgrowth(frame, min_support=MIN_COUNT / samples, max_len=2),
            metric="confidence",
            min_threshold=MIN_CONFIDENCE,
        )
        counts = (found["support"] * samples).round().astype(int)
        sides = zip(found["antecedents"], found["consequents"], counts, strict=True)
        return {(min(antecedent), min(consequent), count) for antecedent, consequent, count in sides}

    return rules


def _pyfim() -> Any:
    try:
        import fim
    except ImportError as error:
        return print(f"association: no PyFIM ({error})", file=sys.stderr)
    return fim
