"""Peers measured once and quoted with a date in the README: `python benches/once.py [PEER...] [--samples N,N]`.

Each goes up in size until it fails or passes a limit, which is then its last row; seconds are of the task alone, the
peak is the process's. Their packages are in `requirements-once.txt`, apart from those that `make bench` installs. Pair
rules have count >= 40 and confidence >= 0.99; itemsets of any length a support of 40; coverage is greedy, k = 1,000.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from instag.bench import generate, timing
from instag.bench.racing import Contender, Failed, Process
from instag.bench.selection import make

MIN_COUNT, MIN_CONFIDENCE = 40, 0.99
SIZES = (100_000, 1_000_000, 10_000_000)


def lists(folder: Path) -> list[tuple[int, ...]]:
    offsets, ids, _ = generate.rows(folder)
    values, bounds = ids.tolist(), offsets.tolist()
    return [tuple(values[a:b]) for a, b in pairwise(bounds)]


def long_form(folder: Path) -> dict[str, Any]:
    offsets, ids, _ = generate.rows(folder)
    return {"row": np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)), "tag": ids}


def matrix_of(folder: Path, dtype: Any) -> Any:
    from scipy.sparse import csr_matrix

    offsets, ids, size = generate.rows(folder)
    return csr_matrix((np.ones(len(ids), dtype), ids.astype(np.int32), offsets), shape=(len(offsets) - 1, size))


def pandas(folder: Path) -> Callable[[], int]:
    """Pair rules by a self-join."""
    import pandas as pd

    frame = pd.DataFrame(long_form(folder))

    def run() -> int:
        pairs = frame.merge(frame, on="row").query("tag_x != tag_y").groupby(["tag_x", "tag_y"]).size().reset_index()
        counts = frame["tag"].value_counts()
        pairs = pairs[pairs[0] >= MIN_COUNT]
        return int((pairs[0] / pairs["tag_x"].map(counts) >= MIN_CONFIDENCE).sum())

    return run


def duckdb(folder: Path) -> Callable[[], int]:
    """Pair rules by a self-join."""
    import duckdb
    import pandas as pd

    connection = duckdb.connect()
    connection.register("given", pd.DataFrame(long_form(folder)))
    connection.execute("create table t as select * from given")
    query = """
        with counts as (select tag, count(*) n from t group by tag),
             pairs as (select a.tag x, b.tag y, count(*) n from t a join t b using (row)
                       where a.tag != b.tag group by all)
        select count(*) from pairs join counts on x = tag where pairs.n >= ? and pairs.n / counts.n >= ?
    """
    return lambda: connection.execute(query, [MIN_COUNT, MIN_CONFIDENCE]).fetchone()[0]


def efficient_apriori(folder: Path) -> Callable[[], int]:
    """Pair rules."""
    from efficient_apriori import apriori

    rows = lists(folder)
    support = MIN_COUNT / len(rows)
    return lambda: len(apriori(rows, min_support=support, min_confidence=MIN_CONFIDENCE, max_length=2)[1])


def rusket(folder: Path) -> Callable[[], int]:
    """Itemsets of any length."""
    import rusket

    matrix = matrix_of(folder, np.uint8)
    names = [str(tag) for tag in range(generate.TAGS)]
    support = MIN_COUNT / matrix.shape[0]
    return lambda: len(rusket.fpgrowth(matrix, min_support=support, column_names=names))


def pyspark(folder: Path) -> Callable[[], int]:
    """Itemsets of any length, in local mode; the memory of the JVM is not in the peak."""
    from pyspark.ml.fpm import FPGrowth
    from pyspark.sql import SparkSession

    session = SparkSession.builder.master("local[2]").config("spark.driver.memory", "6g").getOrCreate()
    frame = session.createDataFrame([(list(row),) for row in lists(folder)], ["items"]).cache()
    support = MIN_COUNT / frame.count()
    return lambda: FPGrowth(minSupport=support, minConfidence=0.99).fit(frame).freqItemsets.count()


def apricot(folder: Path) -> Callable[[], int]:
    """Greedy coverage."""
    from apricot import MaxCoverageSelection

    matrix = matrix_of(folder, np.float64)
    return lambda: len(MaxCoverageSelection(1_000, optimizer="lazy").fit(matrix).ranking)


PEERS = {
    pandas: ("pandas",),
    duckdb: ("duckdb", "pandas"),
    efficient_apriori: ("efficient_apriori",),
    rusket: ("rusket", "scipy"),
    pyspark: ("pyspark",),
    apricot: ("apricot", "scipy"),
}
CONTENDERS = {peer.__name__: Contender(peer, lambda run: run(), needs) for peer, needs in PEERS.items()}


def cells(name: str, folder: Path) -> tuple[bool, str, str, str]:
    """Whether it ran; then seconds or the error, the peak, and the size of the answer."""
    contender = CONTENDERS[name]
    if contender.missing is not None:
        return False, contender.missing, "", ""
    try:
        with contextlib.closing(Process("once", name, contender, folder, ())) as process:
            seconds, peak = process.run()
            return True, f"{seconds:.3g}", "" if peak is None else f"{peak / 2**20:,.0f}", f"{process.answer():,}"
    except Failed as failed:
        return False, str(failed), "", ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"{', '.join(CONTENDERS)} (all)")
    parser.add_argument("--samples", default=",".join(map(str, SIZES)), help="pool sizes, comma-separated, rising")
    options = parser.parse_args()
    left = list(options.peers or CONTENDERS)
    print(f"{timing.told_machine()}\n\n| peer | task | samples | seconds | MiB | found |\n|---|---|--:|--:|--:|--:|")
    for samples in map(int, options.samples.split(",")):
        with tempfile.TemporaryDirectory(prefix="instag-bench-") as folder:
            make(Path(folder), samples)
            for name in list(left):
                ran, seconds, peak, found = cells(name, Path(folder))
                if not ran:
                    left.remove(name)
                    seconds += f" (`python benches/once.py {name} --samples {samples}`)"
                task = (CONTENDERS[name].prepare.__doc__ or "").partition(".")[0]
                print(f"| {versioned(name)} | {task} | {samples:,} | {seconds} | {peak} | {found} |", flush=True)


def versioned(name: str) -> str:
    """The package with its version, as pip knows it."""
    package = CONTENDERS[name].packages[0]
    with contextlib.suppress(PackageNotFoundError):
        return f"{package} {version(package)}"
    return package


if __name__ == "__main__":
    main()
