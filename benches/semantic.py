"""How far the semantic step can be trusted, and what it costs: `python benches/semantic.py [DATA]`.

Prints the tables of docs/semantics.md. Pairs and words are parted by a hash: even ones (`tuned`) were looked at while
the rules were written, odd ones (`held out`) never. DATA is the folder of real data (default `INSTAG_DATA`, else
`../shared/data`). For `run.py`: exact neighbors beside HNSW.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import combinations
from math import sqrt
from pathlib import Path
from time import perf_counter, process_time
from zlib import crc32

import numpy as np
import polars as pl

import instag
from instag.bench.racing import Contender, Course
from instag.bench.timing import Comparison
from instag.embedders import Lexical
from instag.neighbors import pairs_within
from instag.progress import Talk

DATA = Path(os.environ.get("INSTAG_DATA", Path(__file__).parents[2] / "shared" / "data"))

Grouper = Callable[[list[str]], list[str]]  # a name a tag; equal names are merged


def rules(tags: list[str], *skip: str, stemmer: str = "inflection") -> list[str]:
    """The rule step, and `lexical` behind it."""
    rows = pl.Series([[tag] for tag in tags], dtype=pl.List(pl.String))
    made = instag.normalize(
        instag.TagTable.from_series(rows), min_count=1, stemmer=stemmer, skip=[*skip, "association"]
    )
    into = dict(made.ledger.select("raw", "into").rows())
    return [into[tag] for tag in tags]


GROUPERS: dict[str, Grouper] = {
    "rules": lambda tags: rules(tags, "semantic", stemmer="porter"),  # the paper's, and what the goals are counted from
    "lexical": lambda tags: Lexical().keys(tags),
    "rules, then lexical": rules,  # as `instag normalize` runs
    "rules, then lexical, `--stemmer porter`": partial(rules, stemmer="porter"),
}


def held_out(*words: str) -> bool:
    """Whether a pair (or a word) is on the side that the rules were not written on."""
    return bool(crc32("\0".join(sorted(words)).encode()) & 1)


def interval(hits: int, of: int) -> str:
    """A share with its 95 % interval (Wilson), in percent."""
    if not of:
        return "-"
    share, z = hits / of, 1.96
    middle, spread = share + z * z / (2 * of), z * sqrt(share * (1 - share) / of + (z / (2 * of)) ** 2)
    low, high = ((middle + sign * spread) / (1 + z * z / of) for sign in (-1, 1))
    return f"{100 * share:.1f} ({100 * low:.1f} - {100 * high:.1f})"


def pair_figures(data: Path) -> None:
    """Precision and merged pairs by kind, on the held-out half of the labelled pairs."""
    totals: dict[tuple[str, str], Counter[bool]] = defaultdict(Counter)
    same: Counter[str] = Counter()
    for source in ("stackoverflow", "github_topics"):
        pairs = [json.loads(line) for line in (data / "tag_pairs" / f"{source}.jsonl").open()]
        tags = sorted({pair[side] for pair in pairs for side in "ab"})
        for side in ("tuned", "held out"):
            mine = [pair for pair in pairs if held_out(pair["a"], pair["b"]) == (side == "held out")]
            print(f"\n{source}, {side}: {len(mine)} pairs")
            for name, grouper in GROUPERS.items():
                into = dict(zip(tags, grouper(tags), strict=True))
                kinds: dict[str, Counter[bool]] = defaultdict(Counter)
                for pair in mine:
                    merged = into[pair["a"]] == into[pair["b"]]
                    kinds[f"{'same' if pair['same'] else 'NOT same'}, {pair['kind']}"][merged] += 1
                    totals[side, name][pair["same"]] += merged
                    same[side] += pair["same"] and name == "rules"
                right, wrong = (
                    sum(kind[True] for label, kind in kinds.items() if label.startswith(start))
                    for start in ("same", "NOT")
                )
                print(f"  {name}: {right + wrong} merged, precision % {interval(right, right + wrong)}")
                told = (f"{label} {kind[True]}/{kind.total()}" for label, kind in sorted(kinds.items()))
                print(f"    {'; '.join(told)}")
    for side in ("tuned", "held out"):
        print(f"\nboth, {side}:")
        base = totals[side, "rules"].total()
        for name in GROUPERS:
            right, merged = totals[side, name][True], totals[side, name].total()
            found = f"precision % {interval(right, merged)}, recall % {interval(right, same[side])}"
            print(f"  {name}: {merged} merged, {merged / base:.2f} times the rules, {found}")


def judged_figures(data: Path) -> None:
    """Precision of merges of real tags that were drawn at random and judged by hand (tests/judged_merges.jsonl)."""
    lines = (Path(__file__).parents[1] / "tests" / "judged_merges.jsonl").read_text("utf-8").splitlines()
    judged = [json.loads(line) for line in lines]
    for name, tags in corpora(data):
        print(f"\n{name}: {len(tags):,} tags")
        base = 0
        for by, grouper in GROUPERS.items():
            into = dict(zip(tags, grouper(tags), strict=True))
            merges = len(tags) - len(set(into.values()))
            base = base or merges
            mine = [pair for pair in judged if pair["corpus"] == name and by in pair["drawn_by"]]
            still = [pair["right"] for pair in mine if into[pair["a"]] == into[pair["b"]]]
            precision = f"; right % {interval(sum(still), len(still))} of {len(still)} judged" if mine else ""
            times = f"{merges / base:.2f} times the rules"
            print(f"  {by}: {merges:,} merged, {times}, {len(tags) - merges:,} left{precision}")


def word_figures(data: Path) -> None:
    """Plurals and spellings found, and words merged that no list relates, among all words of both lists."""
    read = (line.rstrip("\n").split("\t")[:2] for line in (data / "lexical" / "agid_inflections.tsv").open())
    inflections = [(form, lemma) for form, lemma in read]
    read = (line.rstrip("\n").split("\t")[:2] for line in (data / "lexical" / "varcon_pairs.tsv").open())
    spellings = [(american, british) for american, british in read]
    words = sorted({word for pair in inflections + spellings for word in pair})
    plain = {word: word.lower().removesuffix("'s") for word in words}
    parent = {word: word for word in plain.values()}

    def root(word: str) -> str:
        while parent[word] != word:
            parent[word] = word = parent[parent[word]]
        return word

    for a, b in inflections + spellings:
        parent[root(plain[a])] = root(plain[b])
    # Both in the list of inflections, so that its silence means something; it relates no verb to its noun of action.
    actions = {word for word, key in zip(words, Lexical().keys(words), strict=True) if "~" in key}
    known = {plain[word] for pair in inflections for word in pair} - {plain[word] for word in actions}
    for name in ("rules", "rules by inflection", "lexical"):
        grouper = GROUPERS.get(name, lambda tags: rules(tags, "semantic"))
        into = dict(zip(words, grouper(words), strict=True))
        plurals = [pair for pair in inflections if pair[0].endswith("s") and held_out(*pair)]
        varied = [pair for pair in spellings if held_out(*pair)]
        groups = defaultdict(set)
        for word, key in into.items():
            if plain[word] in known:
                groups[key].add(plain[word])
        merged = [pair for group in groups.values() for pair in combinations(sorted(group), 2) if held_out(*pair)]
        right = sum(root(a) == root(b) for a, b in merged)
        print(f"\n{name}, held-out words of {len(words):,}:")
        for what, pairs in (("plurals and verbs in -s", plurals), ("British spellings", varied)):
            print(
                f"  {what} found: {interval(sum(into[a] == into[b] for a, b in pairs), len(pairs))} % of {len(pairs):,}"
            )
        print(f"  merged pairs that the lists relate: {interval(right, len(merged))} % of {len(merged):,}")


def corpora(data: Path) -> Iterator[tuple[str, list[str]]]:
    """The two real vocabularies."""
    with gzip.open(data / "tags" / "ask_ubuntu" / "tags.jsonl.gz", "rt") as lines:
        yield "ask_ubuntu", sorted({tag for line in lines for tag in json.loads(line)["tags"]})
    text = (data / "tags" / "winget" / "index.v2.json").read_text()
    yield "winget", sorted({tag for tags in tag_lists(json.loads(text)) for tag in tags})


def tag_lists(value: object) -> Iterator[list[str]]:
    """Every list under a key `Tags`, however deep."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "Tags" and isinstance(inner, list):
                yield [tag for tag in inner if isinstance(tag, str)]
            else:
                yield from tag_lists(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from tag_lists(inner)


def made_up(tags: int, words: Iterable[str]) -> list[str]:
    """`tags` distinct tags of one to three words, Zipf."""
    rng = np.random.default_rng(0)
    pool = rng.permutation(sorted(words))
    weights = 1 / (np.arange(len(pool)) + 50)
    found: dict[str, None] = {}
    while len(found) < tags:
        drawn = rng.choice(pool, (tags, 3), p=weights / weights.sum())
        found.update(dict.fromkeys(" ".join(row[:n]) for n, row in zip(rng.integers(1, 4, tags), drawn, strict=True)))
    return list(found)[:tags]


def lexical_seconds(data: Path) -> None:
    """Time of `lexical` by the size of the vocabulary."""
    words = {line.split("\t")[1].strip().lower() for line in (data / "lexical" / "agid_inflections.tsv").open()}
    inputs = {f"{size:,} tags": made_up(size, words) for size in (12_000, 200_000)}
    inputs["1,000,000 tags `tag 1`, `tag 2`, ..."] = [f"tag {number}" for number in range(1_000_000)]
    for name, tags in inputs.items():
        runs = []
        for _ in range(5):
            wall, cpu = perf_counter(), process_time()
            Lexical().keys(tags)
            runs.append((perf_counter() - wall, process_time() - cpu))
        print(f"  {name}: {min(wall for wall, _ in runs):.2f} s, {min(cpu for _, cpu in runs):.2f} s of processor time")


def bunches(rows: int, dimension: int = 384) -> np.ndarray:
    """Vectors in tight bunches of about ten, as near-synonyms lie."""
    rng = np.random.default_rng(0)
    centers = rng.standard_normal((rows // 10 + 1, dimension), dtype=np.float32)
    noise = rng.standard_normal((rows, dimension), dtype=np.float32)
    return centers[rng.integers(0, len(centers), rows)] + np.float32(0.15) * noise


def by_faiss(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of rows whose cosine is at least 0.95, by a flat index over all rows."""
    import faiss

    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    index = faiss.IndexFlatIP(units.shape[1])
    index.add(units)
    bounds, _, labels = index.range_search(units, 0.95)
    rows = np.repeat(np.arange(len(units)), np.diff(bounds.astype(np.int64)))
    return rows[rows < labels], labels[rows < labels]


def vectors_of(folder: Path) -> np.ndarray:
    return np.load(folder / "vectors.npy")


CONTENDERS = {
    "exact": Contender(
        vectors_of, partial(pairs_within, max_cosine_distance=0.05, method="exact"), told=lambda pairs: len(pairs.a)
    ),
    "hnswlib": Contender(
        vectors_of,
        partial(pairs_within, max_cosine_distance=0.05, method="hnsw"),
        ("hnswlib",),
        lambda pairs: len(pairs.a),
    ),
    "faiss IndexFlatIP, range_search": Contender(vectors_of, by_faiss, ("faiss",), lambda pairs: len(pairs[0])),
}


def make(folder: Path, samples: int, dimension: int = 384) -> None:
    """The input: vectors as near-synonyms lie."""
    np.save(folder / "vectors.npy", bunches(samples, dimension))


SIZES = (12_000, 60_000)  # tags; the paper's vocabulary, and the largest that anybody is known to have


def compare(samples: int, *, peers: bool, talk: Talk) -> Iterator[Comparison]:
    """Exact neighbors beside HNSW and faiss; `samples` are tags here."""
    if samples > 100_000:
        return
    for dimension, peer, target in (
        (384, "hnswlib", None),
        (256, "faiss IndexFlatIP, range_search", 1 / 1.5 if samples == 12_000 else None),
    ):
        made = partial(make, samples=samples, dimension=dimension)
        least = 0.995 if peer == "hnswlib" else 1.0  # HNSW misses some
        with Course(__name__, CONTENDERS, samples, made, talk) as course:
            yield course.race(
                "exact",
                peer,
                task=f"neighbors within 0.05 ({samples:,} tags x {dimension})",
                same=lambda ours, theirs, least=least: least * ours <= theirs <= ours,
                runs=1 if samples > 12_000 else 3 if peer == "hnswlib" else 9,
                peer_runs=1 if samples > 12_000 else 3 if peer == "hnswlib" else 9,
                target=target,
            )


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    if not folder.is_dir():
        raise SystemExit(f"no figures of the semantic step: the real data is not at {folder}")
    pair_figures(folder)
    word_figures(folder)
    judged_figures(folder)
    print("\nseconds of `lexical`:")
    lexical_seconds(folder)
