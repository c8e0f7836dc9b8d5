"""The Python API on data that is tagged already: `python examples/quickstart.py`. Offline, in about a second."""

from pathlib import Path

import polars as pl

import instag

HERE = Path(__file__).parent


def main() -> None:
    """Normalizes, analyzes and selects from the 62 tagged rows of tagged.jsonl."""
    rows = pl.read_ndjson(HERE / "tagged.jsonl")

    # One data model: rows of tags. A Polars column of lists goes in, and comes back with `.to_series()`.
    table = instag.TagTable.from_series(rows["tags"])
    print(table)

    # The paper's four steps. Its thresholds (20 and 40) are meant for half a million queries, not for 62.
    normalization = instag.normalize(table, min_count=2, min_rule_count=4)
    print("\nTags left after each step:", normalization.steps)
    print("\nWhat became of some raw tags, and by which step:")
    print(normalization.ledger.filter(pl.col("step") != "kept").head(10))

    # How much of the pool's tags each source holds, and how many tags a row has.
    analysis = instag.analyze(normalization.table, source=rows["source"])
    print("\nSources:")
    print(analysis.sources)

    # The ten rows that cover the most: row numbers in pick order, and the share of all tags covered so far.
    selection = instag.select(normalization.table, k=10)
    picked = rows[selection.rows.tolist()].with_columns(coverage=pl.Series(selection.coverage).round(2))
    print("\nSelected:")
    print(picked)

    # What occurs together, and what mostly comes with what. (What always does was merged by the fourth step.)
    print("\nSets of two tags and more that three rows share:")
    itemsets = instag.frequent_itemsets(normalization.table, min_count=3)
    print(itemsets.filter(pl.col("itemset").list.len() >= 2))
    print("\nRules that hold in three of four rows:")
    print(instag.association_rules(normalization.table, min_count=3, min_confidence=0.75))


if __name__ == "__main__":
    main()
