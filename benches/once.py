"""Peers that were measured once and are quoted with a date in the README: `python benches/once.py PEER SAMPLES`.

Prints the seconds of the task alone, the peak memory of the process, and the size of the answer. Their packages are in
`requirements-once.txt`, apart from those that `make bench` installs. Pair rules have count >= 40 and confidence >=
0.99; itemsets of any length a support of 40; coverage is greedy, k = 1,000.
"""

from __future__ import annotations

import resource
import sys
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import generate
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Arrays = tuple[NDArray[np.int64], NDArray[np.uint32]]

MIN_COUNT, MIN_CONFIDENCE = 40, 0.99


def lists(offsets: NDArray[np.int64], ids: NDArray[np.uint32]) -> list[tuple[int, ...]]:
    values, bounds = ids.tolist(), offsets.tolist()
    return [tuple(values[a:b]) for a, b in pairwise(bounds)]


def long_form(offsets: NDArray[np.int64], ids: NDArray[np.uint32]) -> dict[str, Any]:
    return {"row": np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)), "tag": ids}


def pandas(offsets: NDArray[np.int64], ids: NDArray[np.uint32]) -> Callable[[], int]:
    """Pair rules by a self-join."""
    import pandas as pd

    frame = pd.DataFrame(long_form(offsets, ids))

    def run() -> int:
        pairs = frame.merge(frame, on="row").query("tag_x != tag_y").groupby(["tag_x", "tag_y"]).size().reset_index()
        counts = frame["tag"].value_counts()
        pairs = pairs[pairs[0] >= MIN_COUNT]
        return int((pairs[0] / pairs["tag_x"].map(counts) >= MIN_CONFIDENCE).sum())

    return run


def duckdb(offsets: NDArray[np.int64], ids: NDArray[np.uint32]) -> Callable[[], int]:
    """Pair rules by a self-join."""
    import duckdb
    import pandas as pd

    connection = duckdb.connect()
    connection.register("given", pd.DataFrame(long_form(offsets, ids)))
    connection.execute("create table t as select * from given")
    query = """
        with counts as (select tag, count(*) n from t group by tag),
             pairs as (select a.tag x, b.tag y, count(*) n from t a join t b using (row)
                       where a.tag != b.tag group by all)
        select count(*) from pairs join counts on x = tag where pairs.n >= ? and pairs.n / counts.n >= ?
    """
    return lambda: connection.execute(query, [MIN_COUNT, MIN_CONFIDENCE]).fetchone()[0]


def efficient_apriori(offsets: NDArray[np.int64], ids: NDArray[np.uint32]) -> Callable[[], int]:
    """Pair rules."""
    from efficient_apriori import apriori

    rows = lists(offsets, ids)
    support = MIN_COUNT / len(rows)
    return lambda: len(apriori(rows, min_support=support, min_confidence=MIN_CONFIDENCE, max_length=2)[1])


def rusket(offsets: NDArray[np.int64], ids: NDArray[np.uint32]) -> Callable[[], int]:
    """Itemsets of any length."""
    import rusket
    from scipy.sparse import csr_matrix

    shape = (len(offsets) - 1, generate.TAGS)
    matrix = csr_matrix((np.ones(len(ids), np.uint8), ids.astype(np.int32), offsets), shape=shape)
    names = [str(tag) for tag in range(generate.TAGS)]
    support = MIN_COUNT / shape[0]
    return lambda: len(rusket.fpgrowth(matrix, min_support=support, column_names=names))


def pyspark(offsets: NDArray[np.int64], ids: NDArray[np.uint32]) -> Callable[[], int]:
    """Itemsets of any length, in local mode; the memory of the JVM is not in the peak."""
    from pyspark.ml.fpm import FPGrowth
    from pyspark.sql import SparkSession

    session = SparkSession.builder.master("local[2]").config("spark.driver.memory", "6g").getOrCreate()
    frame = session.createDataFrame([(list(row),) for row in lists(offsets, ids)], ["items"]).cache()
    frame.count()
    support = MIN_COUNT / (len(offsets) - 1)
    return lambda: FPGrowth(minSupport=support, minConfidence=0.99).fit(frame).freqItemsets.count()


def apricot(offsets: NDArray[np.int64], ids: NDArray[np.uint32]) -> Callable[[], int]:
    """Greedy coverage."""
    from apricot import MaxCoverageSelection
    from scipy.sparse import csr_matrix

    shape = (len(offsets) - 1, generate.TAGS)
    matrix = csr_matrix((np.ones(len(ids)), ids.astype(np.int32), offsets), shape=shape)
    return lambda: len(MaxCoverageSelection(1_000, optimizer="lazy").fit(matrix).ranking)


PEERS = {made.__name__: made for made in (pandas, duckdb, efficient_apriori, rusket, pyspark, apricot)}

if __name__ == "__main__":
    run = PEERS[sys.argv[1]](*generate.tag_table(int(sys.argv[2])))
    start = time.perf_counter()
    answer = run()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{sys.argv[1]}, {int(sys.argv[2]):,} samples: {seconds:.3g} s, {peak:,.0f} MiB, {answer:,} found")
