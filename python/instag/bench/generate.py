"""A synthetic pool: Zipf tags in correlated topics, and raw strings with the noise that normalization is for.

Every block of rows has its own random stream, so the first million samples of ten million are the million samples.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

TAGS = 12_000
TOPICS = 150
BLOCK = 250_000  # rows a random stream
ON_TOPIC = 0.6  # share of draws from the sample's topic; topics follow the mass of their tags, so all of it stays Zipf
DRAWS = 4.01  # mean draws beyond the first; what repeats take away and parents add leaves 4.5 tags a sample
PARENT_EVERY, PARENT_KEPT = 12, 0.997  # every 12th tag implies a more frequent one: rules at 99 % confidence exist

# Lookup tables in place of a binary search a draw: entry i of 2**22 is the tag at the i-th quantile.
QUANTILES, TOPIC_QUANTILES = 1 << 22, 1 << 14


def tag_table(samples: int, *, tags: int = TAGS, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """(offsets int64, ids uint32) of `samples` rows over `tags` tags: mean 4.5 distinct tags a row, ids rising in it.

    Tag `t` has weight 1 / (t + 3); the number of tags is 1 + a negative binomial (a long tail, as tagged chats have).
    Some 0.5 s a million rows.
    """
    rng = np.random.default_rng([seed, 1])
    weights = 1.0 / (np.arange(tags) + 3.0)
    topic_of = rng.integers(0, TOPICS, tags)
    any_tag = _quantiles(weights, QUANTILES)
    any_topic = _quantiles(np.bincount(topic_of, weights, TOPICS), QUANTILES)
    masses = [np.where(topic_of == topic, weights, 0.0) for topic in range(TOPICS)]
    tag_in_topic = np.stack([_quantiles(mass, TOPIC_QUANTILES) for mass in masses])
    parent = np.arange(tags, dtype=np.uint32)
    children = np.arange(PARENT_EVERY, tags, PARENT_EVERY)
    parent[children] = (children * rng.random(len(children)) / 4).astype(np.uint32)

    def block(start: int) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        rows = min(BLOCK, samples - start)
        rng = np.random.default_rng([seed, 2, start // BLOCK])
        draws = 1 + rng.poisson(rng.gamma(3.0, DRAWS / 3.0, BLOCK))
        row = np.repeat(np.arange(BLOCK, dtype=np.uint32), draws)
        topic = any_topic[rng.integers(0, QUANTILES, BLOCK, np.uint32)][row]
        own = tag_in_topic[topic, rng.integers(0, TOPIC_QUANTILES, len(row), np.uint32)]
        other = any_tag[rng.integers(0, QUANTILES, len(row), np.uint32)]
        tag = np.where(rng.random(len(row), np.float32) < ON_TOPIC, own, other)
        implied = (parent[tag] != tag) & (rng.random(len(row), np.float32) < PARENT_KEPT)
        keys = np.concatenate([row * np.uint32(tags) + tag, row[implied] * np.uint32(tags) + parent[tag[implied]]])
        keys.sort()
        keys = keys[: np.searchsorted(keys, rows * tags)]
        keys = keys[np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)]]
        return np.bincount(keys // np.uint32(tags), minlength=rows), keys % np.uint32(tags)

    if BLOCK * tags >= 1 << 32:
        raise ValueError(f"at most {(1 << 32) // BLOCK} tags: a block's keys are 32-bit")
    with ThreadPoolExecutor() as threads:
        blocks = list(threads.map(block, range(0, samples, BLOCK)))
    offsets = np.concatenate([np.zeros(1, np.int64), *(lengths for lengths, _ in blocks)]).cumsum()
    return offsets, np.concatenate([np.empty(0, np.uint32), *(ids for _, ids in blocks)])


def rows(folder: Path) -> tuple[NDArray[np.int64], NDArray[np.uint32], int]:
    """(offsets, ids, size of the vocabulary) that `save_rows` left in a folder."""
    offsets, ids, size = (np.load(folder / f"{part}.npy") for part in ("offsets", "ids", "size"))
    return offsets, ids, int(size)


def save_rows(folder: Path, offsets: NDArray[np.int64], ids: NDArray[np.uint32], size: int = TAGS) -> None:
    """Leaves rows in a folder for the processes of `racing`."""
    for name, array in (("offsets", offsets), ("ids", ids), ("size", size)):
        np.save(folder / f"{name}.npy", array)


def quest(
    transactions: int = 100_000, *, mean_items: int = 10, mean_pattern: int = 4, items: int = 1000, seed: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.uint32], int]:
    """(offsets, ids, size) after the description of IBM Quest's data (Agrawal and Srikant, VLDB 1994): T10I4D100K.

    2,000 patterns of Poisson length, each taking an exponential share (mean one half) of its items from the one before,
    weighted exponentially; transactions of Poisson length are filled with patterns that lose items, each with a
    corruption of its own (normal, mean one half, variance 0.1). The original program's random numbers are not these.
    """
    rng = np.random.default_rng([seed, 7])
    patterns: list[NDArray[np.int64]] = [rng.choice(items, 1)]
    for length in np.maximum(rng.poisson(mean_pattern, 2_000), 1):
        kept = min(round(min(rng.exponential(0.5), 1.0) * length), len(patterns[-1]))
        old = rng.choice(patterns[-1], kept, replace=False)
        new = rng.choice(items, length - kept, replace=False)
        patterns.append(np.unique(np.concatenate([old, new])))
    del patterns[0]
    weights = rng.exponential(1.0, len(patterns)).cumsum()
    corruption = rng.normal(0.5, 0.1**0.5, len(patterns)).clip(0.0, 1.0)
    rows, left = [], np.empty(0, np.int64)  # what did not fit comes first in the next
    for length in np.maximum(rng.poisson(mean_items, transactions), 1).tolist():
        row, held = [left], len(left)
        left = np.empty(0, np.int64)
        while held < length:
            which = int(np.searchsorted(weights, rng.random() * weights[-1]))
            lost = 0
            while lost < len(patterns[which]) and rng.random() < corruption[which]:
                lost += 1
            taken = rng.permutation(patterns[which])[lost:]
            if held and held + len(taken) > length and rng.random() < 0.5:
                left = taken
                break
            row.append(taken)
            held += len(taken)
        rows.append(np.unique(np.concatenate(row)))
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    return offsets, np.concatenate(rows).astype(np.uint32), items


def words(tags: int = TAGS, *, seed: int = 0) -> list[str]:
    """`tags` distinct lower-case names of one to three made-up words with English suffixes."""
    rng = np.random.default_rng([seed, 3])
    starts, ends = "b cr d f gl h l m n pr r st t v".split(), "n r l st nd ct m g ns".split()
    syllables = ["".join(parts) for parts in product(starts, "aeiou", ends)]
    suffixes = ["", "ing", "ation", "er", "ment", "ity", "al", "ed"]

    def word() -> str:
        return "".join(rng.choice(syllables, 1 + int(rng.random() < 0.5))) + str(rng.choice(suffixes))

    names: dict[str, None] = {}
    while len(names) < tags:
        count = 1 + int(rng.random() < 0.7) + int(rng.random() < 0.3)
        names.setdefault(" ".join(word() for _ in range(count)))
    return list(names)


VARIANTS = (  # what taggers do to one name; the weights say how often
    (0.62, str.title),
    (0.14, str.lower),
    (0.06, lambda name: name.title().replace(" ", "-") + "s"),
    (0.05, lambda name: name.replace(" ", "_")),
    (0.04, lambda name: name.title() + "s"),
    (0.03, str.upper),
    (0.02, lambda name: f" {name.capitalize()}."),
    (0.02, lambda name: f'"{name.title()}"'),
)
TAIL = 0.02  # share of occurrences that carry one more word, each such string rare: frequency filtering has work


def raw_column(samples: int, *, tags: int = TAGS, seed: int = 0) -> pl.Series:
    """The rows of `tag_table` as a Polars `list[str]` column of raw tags: case, punctuation, inflection, a rare tail.

    A million rows hold some 150,000 distinct strings, about nine tenths of them rarer than 20. Some 3 s a million rows.
    """
    import polars as pl

    from instag import _core

    offsets, ids = tag_table(samples, tags=tags, seed=seed)
    rng = np.random.default_rng([seed, 4])
    names = words(tags, seed=seed)
    codes = _varied(ids, rng)
    vocabulary = [change(name) for name in names for _, change in VARIANTS]
    tail = np.flatnonzero(rng.random(len(ids)) < TAIL)
    extra = rng.integers(0, tags, len(tail))
    pairs = zip(ids[tail].tolist(), extra.tolist(), strict=True)
    tails = [f"{names[tag]} {names[more]}".title() for tag, more in pairs]
    codes[tail] = len(vocabulary) + np.arange(len(tails), dtype=np.uint32)
    lists = _core.to_lists(pl.Series(vocabulary + tails), offsets, codes)
    return pl.DataFrame(lists)["tags"].cast(pl.List(pl.String))


def raw_shards(
    folder: Path, samples: int, *, shard_rows: int = 1_000_000, distinct: int = 1_000_000, coded: bool = True
) -> None:
    """The rows of `tag_table` as raw tags in Parquet shards of `distinct` strings in all.

    Dictionary-coded by pyarrow, or plain by Polars. A name has eight spellings; `TAIL` of the occurrences are one of
    the other strings, a name and one more word, each as likely as the next. About a second a million rows.
    """
    import polars as pl

    from instag import _core

    names = words()
    spelled = [change(name) for name in names for _, change in VARIANTS]
    rng = np.random.default_rng([0, 5])
    tails: dict[str, None] = {}
    while len(tails) < distinct - len(spelled):
        pairs = rng.integers(0, len(names), (distinct, 2)).tolist()
        tails.update(dict.fromkeys(f"{names[tag]} {names[more]}".title() for tag, more in pairs))
    vocabulary = pl.Series(spelled + list(tails)[: distinct - len(spelled)])
    folder.mkdir(parents=True, exist_ok=True)
    table = tag_table(samples)
    for number, start in enumerate(range(0, samples, shard_rows)):
        bounds = table[0][start : start + shard_rows + 1]
        rng = np.random.default_rng([0, 6, number])
        codes = _varied(table[1][bounds[0] : bounds[-1]], rng)
        tail = np.flatnonzero(rng.random(len(codes)) < TAIL)
        codes[tail] = rng.integers(len(spelled), distinct, len(tail), np.uint32)
        held = np.unique(codes)
        ids = np.searchsorted(held, codes).astype(np.uint32)
        lists = _core.to_lists(vocabulary.gather(held), bounds - bounds[0], ids)
        (_coded if coded else _plain)(lists, folder / f"part-{number:05}.parquet")


def _coded(lists: Any, path: Path) -> None:
    """Strings with a dictionary page for all of them: Arrow's own dictionary type is written without one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = pa.table(lists).cast(pa.schema({"tags": pa.large_list(pa.large_string())}))
    pq.write_table(rows, path, compression="zstd", dictionary_pagesize_limit=1 << 26)


def _plain(lists: Any, path: Path) -> None:
    """Strings as they stand, in one row group, as pyarrow writes them too."""
    import polars as pl

    rows = pl.DataFrame(lists).cast({"tags": pl.List(pl.String)})
    rows.write_parquet(path, row_group_size=max(len(rows), 1))


def _varied(ids: NDArray[np.uint32], rng: np.random.Generator) -> NDArray[np.uint32]:
    """For each occurrence of a tag one of its spellings, as the code `tag * len(VARIANTS) + spelling`."""
    shares = np.array([share for share, _ in VARIANTS])
    return ids * np.uint32(len(VARIANTS)) + _quantiles(shares, 1 << 16)[rng.integers(0, 1 << 16, len(ids))]


def _quantiles(weights: NDArray[Any], entries: int) -> NDArray[np.uint32]:
    """The index at each of `entries` quantiles of `weights`."""
    edges = weights.cumsum() / weights.sum()
    return np.searchsorted(edges[:-1], (np.arange(entries) + 0.5) / entries, side="right").astype(np.uint32)
