"""What `keyphrase` makes of the real queries, and how fast: `python benches/keyphrase.py [DATA]`.

Prints the figures of docs/keyphrase.md. DATA is the folder of real data (default `INSTAG_DATA`, else
`../shared/data`). For `run.py`: queries a second beside RAKE in plain Python on the same 200,000 queries.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from time import perf_counter, process_time

import polars as pl

from instag import KeyphraseTagger
from instag.bench.racing import Contender, Course
from instag.bench.timing import Comparison
from instag.progress import Talk

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import real_queries

DATA = Path(os.environ.get("INSTAG_DATA", Path(__file__).parents[2] / "shared" / "data"))
REPEATED = 200_000

STOP = set("a an the of in on at to for from by with and or is are was be it this that i you me my your we our".split())


def rake(query: str, stop: Collection[str] = STOP) -> list[str]:
    """RAKE (Rose et al. 2010): runs between stop words and punctuation, best by the sum of degree / frequency."""
    phrases = []
    for part in re.split(r"[^\w\s'-]+|\n", query.lower()):
        run: list[str] = []
        for word in [*part.split(), "the"]:
            if word not in stop:
                run.append(word)
            elif run:
                phrases.append(tuple(run))
                run = []
    count = Counter(word for phrase in phrases for word in phrase)
    degree: Counter[str] = Counter()
    for phrase in phrases:
        for word in phrase:
            degree[word] += len(phrase)
    best = sorted(set(phrases), key=lambda phrase: (-sum(degree[word] / count[word] for word in phrase), phrase))
    return [" ".join(phrase) for phrase in best[:8]]


def repeated(data: Path) -> list[str]:
    """The real pool, each query once, repeated to 200,000."""
    queries = list(dict.fromkeys(query for part in real_queries.pool(data).values() for query in part))
    return list(islice((query for _ in range(REPEATED) for query in queries), REPEATED))


def queries_of(folder: Path) -> pl.Series:
    return pl.read_ipc(folder / "queries.arrow")["query"]


CONTENDERS = {
    "keyphrase: tags of real queries": Contender(queries_of, lambda queries: KeyphraseTagger().tag(queries), told=len),
    "RAKE in plain Python": Contender(
        lambda folder: queries_of(folder).to_list(), lambda queries: [rake(query) for query in queries], told=len
    ),
}

SIZES = (REPEATED,)


def compare(samples: int, *, peers: bool, talk: Talk) -> Iterator[Comparison]:
    """Ours beside RAKE, which weighs each query alone and tells other things."""
    if samples != REPEATED or not DATA.is_dir():
        return

    def make(folder: Path) -> None:
        pl.DataFrame({"query": repeated(DATA)}).write_ipc(folder / "queries.arrow")

    with Course(__name__, CONTENDERS, samples, make, talk) as course:
        ours, peer = CONTENDERS
        yield course.race(ours, peer, same=lambda ours, theirs: bool(ours == theirs), runs=3, peer_runs=1)


def scorecard(data: Path) -> None:
    """Prints how many tags, how many untagged, how many worth keeping; and the recall of labels."""
    queries = list(dict.fromkeys(query for part in real_queries.pool(data).values() for query in part))
    tags = KeyphraseTagger().tag(pl.Series(queries))["tags"]
    counts, held = tags.list.len(), tags.explode().drop_nulls().value_counts(sort=True)
    print(f"{len(queries):,} distinct queries: median {counts.median():g} tags, mean {counts.mean():.2f}")
    print(
        f"untagged {(counts == 0).mean():.2%}; {len(held):,} tags, {(held['count'] >= 20).sum():,} held by 20 or more"
    )
    print("top 50:", ", ".join(f"{tag} {count:,}" for tag, count in held.head(50).rows()))
    column = pl.Series(repeated(data))
    wall, cpu = perf_counter(), process_time()
    KeyphraseTagger().tag(column)
    wall, cpu = perf_counter() - wall, process_time() - cpu
    print(f"{REPEATED:,} queries in {wall:.2f} s, {cpu:.2f} s of CPU: {REPEATED / cpu:,.0f} a second and core")
    leetcode(data)
    sgd(data)


def leetcode(data: Path) -> None:
    """How many topic tags of a problem stand among the words of its tags."""
    path = data / "instructions" / "leetcode" / "LeetCodeDataset-v0.3.1-test.jsonl.gz"
    problems = list(real_queries.records(path))
    tags = KeyphraseTagger().tag(pl.Series([problem["problem_description"] for problem in problems]))["tags"].to_list()
    pairs = [(topic.lower(), got) for problem, got in zip(problems, tags, strict=True) for topic in problem["tags"]]
    found = sum(any(topic in tag for tag in got) for topic, got in pairs)
    print(f"leetcode: {found / len(pairs):.1%} of {len(pairs):,} topic tags named (most are never named in the text)")


def sgd(data: Path) -> None:
    """How many labelled intents of a dialogue share verb or object with one of its tags ("FindRestaurants")."""
    dialogues = list(real_queries.records(data / "instructions" / "sgd" / "messages.jsonl.gz"))
    turns = [[turn["content"] for turn in d["messages"] if turn["role"] == "user"] for d in dialogues]
    flat = [query for queries in turns for query in queries]
    tags = iter(KeyphraseTagger().tag(pl.Series(flat))["tags"].to_list())
    right = total = 0
    for dialogue, queries in zip(dialogues, turns, strict=True):
        words = {word.rstrip("s") for _ in queries for tag in next(tags) for word in tag.split()}
        for intent in dialogue["intents"]:
            named = {word.lower().rstrip("s") for word in re.findall("[A-Z][a-z]+", intent)[1:]}
            right, total = right + bool(named & words), total + 1
    print(f"sgd: the object of {right / total:.1%} of {total:,} labelled intents is named by a tag of the dialogue")


if __name__ == "__main__":
    scorecard(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA)
