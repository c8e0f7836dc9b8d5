"""How much the tags of `keyphrase` tell of labels that people gave: `python benches/keyphrase_quality.py [DATA]`.

Prints the table of docs/keyphrase.md: `keyphrase` beside single-word TF-IDF, YAKE and RAKE in the same run, on three
labelled sets: the opening turn of each sgd dialogue with the intent it opens with, the problems of both LeetCode test
files with their topics, the instructions of just_eval with its labels. Each contender gives at most 8 tags a query,
best first. Queries are parted by a hash: rules of the tagger may be made looking at the even half (`tuned`), the
figures are those of the odd one (`held out`). DATA is the folder of real data (default `INSTAG_DATA`, else
`../shared/data`).

first tag   Normalized mutual information of the label and the first tag: I(L; T) / ((H(L) + H(T)) / 2). A query with k
            labels counts 1/k for each; one without tags has the tag "none". Tags of their own for every query make
            this high without telling anything; so
adjusted    the same, less what chance gives: (I - I0) / ((H(L) + H(T)) / 2 - I0), where I0 is the mean of I over 5
            shuffles of the tags.
best tag    of a query's first three tags the one that told most on the other half (the divergence of the labels there
            from all labels, 5 queries of all labels added) foretells the label most frequent with it there; this is the
            normalized mutual information of the label and the one foretold.
recall      of the (query, label) pairs those whose label stands among the words of the first three tags, or of all:
            every word of it, as Porter stems (just_eval: a word that `NAMED_BY` lists for the label).
is a tag    of the pairs those whose label is one of the first three tags: the same words, as Porter stems, in any order
            (just_eval: as recall, for its labels are names of classes).

Intervals are 95 %: 1.96 standard deviations of 200 bootstrap draws of queries.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from math import log
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np
import polars as pl
import Stemmer
import yake

from instag import KeyphraseTagger
from keyphrase import rake

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import real_queries

DATA = Path(os.environ.get("INSTAG_DATA", Path(__file__).parents[2] / "shared" / "data"))
TAGS, FIRST = 8, 3
DRAWS, SHUFFLES, PRIOR = 200, 5, 5.0

# What stands for a label of just_eval, which are names of classes; written before anything was scored.
NAMED_BY = {
    "math": "math mathematics mathematical arithmetic calculation equation algebra geometry",
    "coding": "coding code programming program software script function",
    "writing": "writing write essay story poem letter email draft",
    "info-seek": "information info fact factual inquiry search",
    "role-play": "role roleplay persona character act pretend",
    "procedure": "procedure procedural how-to guidance step instruction recipe guide process",
    "reasoning": "reasoning reason logic logical causal cause deduction why",
    "stem": "science scientific technology engineering math physics chemistry biology computer software code",
    "humanities": "humanities history historical art literature philosophy language culture music religion",
    "lifestyle": "lifestyle life home food cooking recipe travel sport hobby fashion family",
    "finance": "finance financial money economy economic business investment bank tax budget",
    "medical": "medical medicine health doctor disease symptom treatment patient",
    "nature": "nature natural animal plant environment weather climate ocean",
    "ethics": "ethics ethical moral morality bias fairness",
    "malicious": "malicious harmful attack hack crime illegal weapon",
}

Tags = list[list[str]]


class Labelled(NamedTuple):
    """Queries with the labels that people gave them."""

    queries: list[str]
    labels: list[list[str]]
    named: Callable[[str, set[str]], bool]  # whether a label stands among stems
    is_tag: Callable[[str, set[str]], bool]  # whether a label is the tag of these stems


@cache
def stems(text: str) -> frozenset[str]:
    """The words of a text, as Porter stems."""
    return frozenset(Stemmer.Stemmer("porter").stemWords(re.findall(r"[^\W_]+(?:-[^\W_]+)*", text.lower())))


def words_of(label: str) -> frozenset[str]:
    """Of `BuyBusTicket`: buy, bus and ticket; of `Depth-First Search`: depth, first, search."""
    return stems(re.sub(r"(?<=[a-z])(?=[A-Z])|-|\(.*\)", " ", label))


def every_word(label: str, among: set[str]) -> bool:
    return words_of(label) <= {part for word in among for part in word.split("-")}


def same_words(label: str, among: set[str]) -> bool:
    return words_of(label) == {part for word in among for part in word.split("-")}


def a_word(label: str, among: set[str]) -> bool:
    return bool(stems(NAMED_BY[label]) & among)


def sets(data: Path) -> Iterator[tuple[str, Labelled]]:
    """The three labelled sets, each query once."""
    found = {}
    for dialogue in real_queries.records(data / "instructions" / "sgd" / "messages.jsonl.gz"):
        opening = next(turn["content"] for turn in dialogue["messages"] if turn["role"] == "user")
        found.setdefault(opening, dialogue["intents"][:1])
    yield "sgd, opening turns", Labelled(list(found), list(found.values()), every_word, same_words)
    found = {}
    for name in ("v0.3.1", "v0.3.0"):
        for problem in real_queries.records(
            data / "instructions" / "leetcode" / f"LeetCodeDataset-{name}-test.jsonl.gz"
        ):
            about = problem.get("meta", problem)
            text = about.get("problem_description") or about["question_title"]
            found.setdefault(problem["task_id"], (text, about["tags"]))
    yield "LeetCode problems", Labelled(*map(list, zip(*found.values(), strict=True)), every_word, same_words)  # type: ignore[call-arg]
    found = {}
    for row in real_queries.records(data / "tagging_replies" / "just_eval" / "tags.json"):
        labels = [label for label in NAMED_BY if row[label]]
        if labels:
            found.setdefault(row["instruction"], labels)
    yield "just_eval", Labelled(list(found), list(found.values()), a_word, a_word)


@cache
def stop_words() -> frozenset[str]:
    """YAKE's own English ones, for all three rivals."""
    path = Path(yake.__file__).parent / "core" / "StopwordsList" / "stopwords_en.txt"
    return frozenset(path.read_text().split())


def by_keyphrase(queries: Sequence[str]) -> Tags:
    return KeyphraseTagger().tag(pl.Series(queries, dtype=pl.String))["tags"].to_list()


def by_tfidf(queries: Sequence[str]) -> Tags:
    """Single words by count in the query x log(queries / queries that hold it); ties to the first that occurs."""
    words = [[w for w in re.findall(r"[^\W\d_]{2,}", q.lower()) if w not in stop_words()] for q in queries]
    held = Counter(word for row in words for word in set(row))
    made = []
    for row in words:
        count = Counter(row)
        made.append(sorted(count, key=lambda word: -count[word] * log(len(queries) / held[word]))[:TAGS])
    return made


def by_yake(queries: Sequence[str]) -> Tags:
    """The package with its defaults: up to three words, English."""
    extractor = yake.KeywordExtractor(lan="en", n=3, top=TAGS)
    return [[keyword.lower() for keyword, _ in extractor.extract_keywords(query)] for query in queries]


def by_rake(queries: Sequence[str]) -> Tags:
    return [rake(query, stop_words()) for query in queries]


CONTENDERS = {"keyphrase": by_keyphrase, "TF-IDF words": by_tfidf, "YAKE": by_yake, "RAKE": by_rake}


def held_out(query: str) -> bool:
    """Whether a query is on the side that nothing was tuned on."""
    return bool(crc32(query.encode()) & 1)


class Pairs(NamedTuple):
    """(query, label) pairs: whose query, which label, and 1 / labels of the query."""

    query: np.ndarray
    label: np.ndarray
    weight: np.ndarray


def pairs_of(labels: Sequence[Sequence[str]], number: dict[str, int]) -> Pairs:
    rows = [(at, number[label], 1 / len(row)) for at, row in enumerate(labels) for label in row]
    at, label, weight = zip(*rows, strict=True)
    return Pairs(np.array(at), np.array(label), np.array(weight))


def numbered(values: Sequence[str]) -> np.ndarray:
    number: dict[str, int] = {}
    return np.array([number.setdefault(value, len(number)) for value in values])


def entropy(codes: np.ndarray, weight: np.ndarray) -> float:
    _, at = np.unique(codes, return_inverse=True)
    share = np.bincount(at, weights=weight)
    share = share[share > 0] / weight.sum()
    return float(-(share * np.log(share)).sum())


def information(pairs: Pairs, tags: np.ndarray, times: np.ndarray) -> tuple[float, float]:
    """I(L; T), and (H(L) + H(T)) / 2; `times` is how often each query was drawn."""
    weight, tag = pairs.weight * times[pairs.query], tags[pairs.query]
    label_h, tag_h = entropy(pairs.label, weight), entropy(tag, weight)
    both = entropy(pairs.label * (tags.max() + 1) + tag, weight)
    return label_h + tag_h - both, (label_h + tag_h) / 2


def normalized(pairs: Pairs, tags: np.ndarray, times: np.ndarray) -> float:
    shared, mean = information(pairs, tags, times)
    return shared / mean if mean else 0.0


def adjusted(pairs: Pairs, tags: np.ndarray, times: np.ndarray) -> float:
    rng = np.random.default_rng(0)
    shared, mean = information(pairs, tags, times)
    # Every draw of a query is shuffled by itself, or a query drawn twice would still agree with itself.
    drawn = np.repeat(np.arange(len(tags)), times)
    by_chance = 0.0
    order = np.argsort(pairs.query, kind="stable")
    first = np.searchsorted(pairs.query[order], np.arange(len(tags) + 1))
    length = np.diff(first)[drawn]
    picked = order[
        np.repeat(first[drawn] - np.concatenate([[0], np.cumsum(length)[:-1]]), length) + np.arange(length.sum())
    ]
    each = Pairs(np.repeat(np.arange(len(drawn)), length), pairs.label[picked], pairs.weight[picked])
    for _ in range(SHUFFLES):
        by_chance += information(each, rng.permutation(tags[drawn]), np.ones(len(drawn), np.int64))[0] / SHUFFLES
    return (shared - by_chance) / (mean - by_chance) if mean > by_chance else 0.0


def foretold(tags: Tags, fitted: Tags, labels: Pairs, number: dict[str, int]) -> np.ndarray:
    """The label that each query's most telling tag went with on the other half; -1 where none was seen there."""
    everything = np.bincount(labels.label, weights=labels.weight, minlength=len(number))
    everything = everything / everything.sum()
    seen: dict[str, np.ndarray] = defaultdict(lambda: PRIOR * everything)
    for at, label, weight in zip(*labels, strict=True):
        for tag in fitted[at][:FIRST]:
            seen[tag] = seen[tag] + weight * (np.arange(len(number)) == label)
    tells = {}
    for tag, counts in seen.items():
        share = counts / counts.sum()
        held = share > 0
        divergence = float((share[held] * np.log(share[held] / everything[held])).sum())
        tells[tag] = (divergence, int(np.argmax(counts - PRIOR * everything)))
    best = [
        max((tells[tag] for tag in row[:FIRST] if tag in tells), key=lambda told: told[0], default=(0, -1))
        for row in tags
    ]
    return np.array([label for _, label in best]) + 1


def found(tags: Tags, labelled: Labelled, rows: Sequence[int], first: int) -> np.ndarray:
    """Of each query, how many of its labels are named by its first tags."""
    made = []
    for at in rows:
        among = set().union(*(stems(tag) for tag in tags[at][:first])) if tags[at] else set()
        made.append(sum(labelled.named(label, among) for label in labelled.labels[at]))
    return np.array(made)


def equal(tags: Tags, labelled: Labelled, rows: Sequence[int]) -> np.ndarray:
    """Of each query, how many of its labels are one of its first tags."""
    each = [[set(stems(tag)) for tag in tags[at][:FIRST]] for at in rows]
    return np.array(
        [
            sum(any(labelled.is_tag(label, tag) for tag in made) for label in labelled.labels[at])
            for at, made in zip(rows, each, strict=True)
        ]
    )


Measure = Callable[[np.ndarray], float]


def measures(tags: Tags, labelled: Labelled, scored: list[int], fitted: list[int]) -> dict[str, Measure]:
    """Each figure as a function of how often each scored query was drawn."""
    number = {label: at for at, label in enumerate(sorted({label for row in labelled.labels for label in row}))}
    pairs, other = (pairs_of([labelled.labels[at] for at in side], number) for side in (scored, fitted))
    first = numbered([(tags[at] or ["none"])[0] for at in scored])
    best = foretold([tags[at] for at in scored], [tags[at] for at in fitted], other, number)
    of = np.array([len(labelled.labels[at]) for at in scored])
    whole = equal(tags, labelled, scored)
    few, every = found(tags, labelled, scored, FIRST), found(tags, labelled, scored, TAGS)
    return {
        "first tag": lambda times: normalized(pairs, first, times),
        "adjusted": lambda times: adjusted(pairs, first, times),
        "best tag": lambda times: normalized(pairs, best, times),
        "recall, 3 tags": lambda times: float((few * times).sum() / (of * times).sum()),
        "is a tag": lambda times: float((whole * times).sum() / (of * times).sum()),
        "recall, all": lambda times: float((every * times).sum() / (of * times).sum()),
    }


COLUMNS = ("first tag", "adjusted", "best tag", "recall, 3 tags", "is a tag", "recall, all")


def scorecard(data: Path, sides: Sequence[str]) -> None:
    """The table; the difference to `keyphrase` is told where it is within its own interval, or the wrong way."""
    if not data.is_dir():
        print(f"no labelled data in {data}: nothing is scored")
        return
    for name, labelled in sets(data):
        halves: dict[bool, list[int]] = {True: [], False: []}
        for at, query in enumerate(labelled.queries):
            halves[held_out(query)].append(at)
        made = {contender: tag(labelled.queries) for contender, tag in CONTENDERS.items()}
        for side in sides:
            scored, fitted = halves[side == "held out"], halves[side != "held out"]
            of = sum(len(labelled.labels[at]) for at in scored)
            print(f"\n{name}, {side}: {len(scored):,} queries, {of:,} labels\n")
            print(f"| tags by | tags a query | {' | '.join(COLUMNS)} |\n|---|--:|{'--:|' * len(COLUMNS)}")
            rng = np.random.default_rng(0)
            shape = np.full(len(scored), 1 / len(scored))
            draws = [rng.multinomial(len(scored), shape) for _ in range(DRAWS)]
            once, ours = np.ones(len(scored), np.int64), {}
            notes = []
            for contender, tags in made.items():
                row = [contender, f"{np.mean([len(tags[at]) for at in scored]):.1f}"]
                for column, measure in measures(tags, labelled, scored, fitted).items():
                    value, drawn = measure(once), np.array([measure(times) for times in draws])
                    row.append(f"{100 * value:.1f} ± {196 * drawn.std():.1f}")
                    ours.setdefault(column, (value, drawn))
                    ahead, spread = ours[column][0] - value, 1.96 * (ours[column][1] - drawn).std()
                    if contender != "keyphrase" and ahead < spread:
                        notes.append(f"{column}: keyphrase - {contender} = {100 * ahead:.1f} ± {100 * spread:.1f}")
                print(f"| {' | '.join(row)} |", flush=True)
            print("\n".join(["", *(notes or ["keyphrase is ahead of each, in every column, beyond the interval"])]))


if __name__ == "__main__":
    sides = [argument.removeprefix("--").replace("-", " ") for argument in sys.argv[1:] if argument.startswith("--")]
    folders = [Path(argument) for argument in sys.argv[1:] if not argument.startswith("--")]
    scorecard(folders[0] if folders else DATA, sides or ["held out"])
