"""Every kernel again, slow and obvious: plain Python over lists, no numpy. Tests hold the fast ones equal to these."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from itertools import count as count_from

from oracle_script import folded

# ---- tag tables ----


def intern(rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """(vocabulary by count descending, then bytewise; rows without repeats)."""
    rows = [list(dict.fromkeys(row)) for row in rows]
    counts = Counter(tag for row in rows for tag in row)
    return sorted(counts, key=lambda tag: (-counts[tag], tag.encode())), rows


def unite(words: list[str], counts: list[int]) -> tuple[list[str], list[int], list[int]]:
    """(distinct words by first appearance, the number of each word, summed counts)."""
    distinct = list(dict.fromkeys(words))
    sums = Counter[str]()
    for word, count in zip(words, counts, strict=True):
        sums[word] += count
    return distinct, [distinct.index(word) for word in words], [sums[word] for word in distinct]


def by_count(words: list[str], counts: list[int]) -> list[int]:
    """The order of words by count descending, then bytewise."""
    return sorted(range(len(words)), key=lambda at: (-counts[at], words[at].encode()))


def tag_counts(rows: list[list[int]], size: int) -> list[int]:
    """How many rows hold each id."""
    return [sum(tag in row for row in rows) for tag in range(size)]


def remap(rows: list[list[int]], into: list[int | None]) -> list[list[int]]:
    """Each id by its new one, without repeats; those without a new one go."""
    new = [[into[tag] for tag in row] for row in rows]
    return [list(dict.fromkeys(tag for tag in row if tag is not None)) for row in new]


def union_rows(groups: list[list[list[int]]]) -> list[list[int]]:
    """The ids of the rows of each group, in order, without repeats."""
    return [list(dict.fromkeys(tag for row in rows for tag in row)) for rows in groups]


# ---- normalize: the four steps ----

Fate = tuple[str, str | None]


def normalize(
    rows: list[list[str]],
    min_count: int,
    keys: dict[str, Callable[[str], object]],
    associated: dict[str, str] | None = None,
) -> tuple[list[list[str]], dict[str, Fate]]:
    """(rows of final tags, raw tag -> (last step that changed its name, final tag)), by plain rewriting of names.

    `keys` holds a key function for each merging step that runs: names of one key merge. `associated` holds the name
    that each name left by them ends in.
    """
    rows = [list(dict.fromkeys(row)) for row in rows]
    counts = Counter(tag for row in rows for tag in row)
    fates: dict[str, Fate] = {tag: ("kept", tag) if counts[tag] >= min_count else ("rare", None) for tag in counts}

    def rewritten() -> list[list[str]]:
        finals = [[fates[tag][1] for tag in row] for row in rows]
        return [list(dict.fromkeys(name for name in row if name is not None)) for row in finals]

    def rename(step: str, new: dict[str, str]) -> None:
        for tag, (_, name) in fates.items():
            if name is not None and new[name] != name:
                fates[tag] = (step, new[name])

    for step, key in keys.items():
        names = {name for _, name in fates.values() if name is not None}
        groups = {key(name): [other for other in names if key(other) == key(name)] for name in names}
        best = {k: min(group, key=lambda tag: (-counts[tag], len(tag), tag.encode())) for k, group in groups.items()}
        rename(step, {name: best[key(name)] for name in names})
    if associated is not None:
        rename("association", associated)
    return rewritten(), fates


# ---- normalize: rule forms ----

PROTECTED = "c++ vc++ g++ notepad++ hfs+ a# c# d# f# g# j# q# .net a* b* a+ b+".split()


def porter(word: str) -> str:
    """NLTK itself."""
    from nltk.stem.porter import PorterStemmer

    return str(PorterStemmer().stem(word))


def is_latin(word: str) -> bool:
    """Whether every letter is a Latin one, by its Unicode name, of the blocks that languages use."""
    letters = [char for char in word if unicodedata.category(char)[0] == "L"]
    names = [unicodedata.name(char, "") for char in letters]
    return all(
        name.startswith("LATIN ") and (ord(char) < 0x2B0 or 0x1E00 <= ord(char) < 0x1F00)
        for char, name in zip(letters, names, strict=True)
    )


def rule_form(raw: str, stem: Callable[[str], str] = porter) -> str:
    """NFKC and folding, then char by char: protected names, words of letters, numbers and marks on them."""
    text = folded(raw)
    words: list[str] = []
    at = 0
    inside = False
    while at < len(text):
        for name in PROTECTED:
            after = text[at + len(name) :]
            if not inside and text.startswith(name, at) and not (after and unicodedata.category(after[0])[0] == "L"):
                words.append(name)
                at += len(name)
                inside = True
                break
        else:
            start = at
            while at < len(text) and unicodedata.category(text[at])[0] in ("LNM" if at > start else "LN"):
                at += 1
            word = text[start:at]
            inside = word != ""
            if word:
                words.append(stem(word) if is_latin(word) else word)
            else:
                at += 1
    return " ".join(words) or raw


def paper_form(raw: str) -> str:
    """Lower-case; a special character becomes a space; each word stemmed."""
    text = "".join(char if unicodedata.category(char)[0] in "LN" else " " for char in raw.lower())
    return " ".join(porter(word) for word in text.split())


# ---- normalize: semantic groups ----


def cosine(a: list[float], b: list[float]) -> float:
    length = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(x * x for x in b))
    return min(1.0, sum(x * y for x, y in zip(a, b, strict=True)) / length) if length else 0.0


def single_linkage(size: int, pairs: list[tuple[int, int]]) -> list[int]:
    """The smallest member of each item's component, by walking until nothing changes."""
    label = list(range(size))
    while True:
        before = list(label)
        for a, b in pairs:
            label[a] = label[b] = min(label[a], label[b])
        if label == before:
            return by_first_member(label)


def complete_linkage(size: int, cosines: dict[tuple[int, int], float]) -> list[int]:
    """Every step looks at all pairs of clusters and merges the one with the highest lowest cosine."""
    clusters = [[item] for item in range(size)]
    while True:
        best = None
        for i, j in combinations(range(len(clusters)), 2):
            cross = [cosines.get((min(a, b), max(a, b))) for a in clusters[i] for b in clusters[j]]
            if any(cosine is None for cosine in cross):
                continue
            rank = (-min(c for c in cross if c is not None), clusters[i][0], clusters[j][0])
            best = min(best, (rank, i, j)) if best else (rank, i, j)
        if best is None:
            return by_first_member([next(c[0] for c in clusters if item in c) for item in range(size)])
        _, i, j = best
        clusters[i] = sorted(clusters[i] + clusters.pop(j))
        clusters.sort()


def by_first_member(labels: list[int]) -> list[int]:
    order = {label: at for at, label in enumerate(dict.fromkeys(labels))}
    return [order[label] for label in labels]


# ---- normalize: association ----

Rule = tuple[tuple[str, ...], str, int, float]


def itemsets(rows: list[list[str]], min_count: int, max_length: int | None = None) -> dict[tuple[str, ...], int]:
    """Every set of tags that at least `min_count` rows hold -> their number; a set's tags sorted."""
    sets = [sorted(set(row)) for row in rows]
    longest = max(map(len, sets), default=0)
    lengths = range(1, (longest if max_length is None else min(longest, max_length)) + 1)
    counts = Counter(found for row in sets for length in lengths for found in combinations(row, length))
    return {found: count for found, count in counts.items() if count >= min_count}


def rules(rows: list[list[str]], min_count: int, min_confidence: float, max_antecedent: int = 1) -> set[Rule]:
    """(antecedent, consequent, count, confidence) of each rule with one consequent."""
    counts = itemsets(rows, min_count, max_antecedent + 1)
    found = set()
    for itemset, count in counts.items():
        for consequent in itemset if len(itemset) > 1 else ():
            antecedent = tuple(tag for tag in itemset if tag != consequent)
            confidence = count / counts[antecedent]
            if confidence >= min_confidence:
                found.add((antecedent, consequent, count, confidence))
    return found


def merge_associations(
    rows: list[list[str]], min_count: int, min_confidence: float
) -> dict[str, tuple[str, int, float]]:
    """Tag -> (the tag it ends in, the round that moved it, that rule's confidence), to the fixed point."""
    into = {tag: (tag, 0, 0.0) for row in rows for tag in row}
    for moved_in in count_from(1):
        counts = Counter(tag for row in rows for tag in set(row))
        best: dict[str, tuple[float, int, bytes, str]] = {}
        for (antecedent,), consequent, _, confidence in rules(rows, min_count, min_confidence):
            choice = (-confidence, counts[consequent], consequent.encode(), consequent)
            best[antecedent] = min(best.get(antecedent, choice), choice)
        ends = {}
        for tag in counts:
            path = [tag]
            while path[-1] in best and path[-1] not in path[:-1]:
                path.append(best[path[-1]][3])
            cycle = path[path.index(path[-1]) : -1] or path[-1:]
            ends[tag] = min(cycle, key=lambda member: (-counts[member], member.encode()))
        if all(tag == end for tag, end in ends.items()):
            return into
        for tag, end in ends.items():
            if tag != end:
                into[tag] = (end, moved_in, -best[tag][0])
        into = {tag: (ends[end], moved, evidence) for tag, (end, moved, evidence) in into.items()}
        rows = [list({ends[tag] for tag in row}) for row in rows]
    raise AssertionError("unreachable")


# ---- select ----


def most_complex(
    rows: list[list[int]], k: int, complexity: list[float] | None, eligible: list[int] | None
) -> list[int]:
    """The rows that hold a tag and may be picked, sorted; Python's sort leaves ties in input order."""
    rank = [float(len(row)) for row in rows] if complexity is None else complexity
    kept = [row for row in range(len(rows)) if rows[row] and (eligible is None or eligible[row])]
    return sorted(kept, key=lambda row: -rank[row])[:k]


def complexity_first(
    rows: list[set[str]], k: int, complexity: list[float] | None = None, eligible: list[bool] | None = None
) -> tuple[list[int], list[int], list[int]]:
    """Algorithm 1 as the paper prints it: (rows in pick order, rounds from 1, tags new in the round)."""
    rank = [float(len(row)) for row in rows] if complexity is None else complexity
    left = sorted(range(len(rows)), key=lambda row: -rank[row])  # stable: ties in input order
    left = [row for row in left if eligible is None or eligible[row]]
    picked: list[int] = []
    rounds: list[int] = []
    gains: list[int] = []
    while len(picked) < k:
        covered: set[str] = set()
        before, passed = len(picked), []
        for row in left:
            if len(picked) < k and not rows[row] <= covered:
                picked.append(row)
                rounds.append(1 if not before else rounds[before - 1] + 1)
                gains.append(len(rows[row] - covered))
                covered |= rows[row]
            else:
                passed.append(row)
        if len(picked) == before:
            break
        left = passed
    return picked, rounds, gains


def max_coverage(
    rows: list[set[str]], k: int, weights: dict[str, float], eligible: list[bool] | None = None
) -> tuple[list[int], list[int], list[int]]:
    """The row of largest gain, looked for among all of them every time; a new round when none has any."""
    left = [row for row in range(len(rows)) if eligible is None or eligible[row]]
    picked: list[int] = []
    rounds: list[int] = []
    gains: list[int] = []
    covered: set[str] = set()
    round_ = 1
    while len(picked) < k:
        gain = {row: sum(weights[tag] for tag in sorted(rows[row] - covered)) for row in left}
        best = max(left, key=lambda row: (gain[row], -row), default=None)
        if best is None or gain[best] == 0:
            if not covered:
                break
            covered, round_ = set(), round_ + 1
            continue
        picked.append(best)
        rounds.append(round_)
        gains.append(len(rows[best] - covered))
        covered |= rows[best]
        left.remove(best)
    return picked, rounds, gains


def draw(n: int, bits: list[int]) -> list[int]:
    """The first entries of a shuffled `range(n)`: each draw takes one of those that are left."""
    entries = list(range(n))
    for at, raw in enumerate(bits):
        to = at + (raw * (n - at) >> 64)
        entries[at], entries[to] = entries[to], entries[at]
    return entries[: len(bits)]


# ---- analyze ----


def first_seen(rows: list[list[int]], size: int, listed: list[int], positions: list[int]) -> list[int]:
    """For each tag the smallest position of a listed row that holds it, else -1."""
    places = list(zip(listed, positions, strict=True))
    return [min((at for row, at in places if tag in rows[row]), default=-1) for tag in range(size)]


def coverage(rows: list[set[str]], picked: list[int]) -> list[float]:
    """The share of all tags seen after each of `picked`."""
    every = set().union(*rows)
    return [len(set().union(*(rows[row] for row in picked[: at + 1]))) / len(every) for at in range(len(picked))]


# ---- tag: keyphrase ----

INTENTION, QUESTION, BARE, VERB_OBJECT, FACT, TOPIC, GRAM, ACT, LANGUAGE = range(9)
QUOTA = {INTENTION: 3, QUESTION: 1, BARE: 1, VERB_OBJECT: 2, FACT: 3, ACT: 2, TOPIC: 2, LANGUAGE: 1}

Candidate = tuple[str, int, int, int, int]  # text, kind, weight, first byte, end byte


def choose_tags(rows: list[list[Candidate]]) -> list[list[str]]:
    """The second pass of `keyphrase`: document frequencies over all rows, then each row's tags, best first."""
    held_by = Counter(text for row in rows for text in {candidate[0] for candidate in row})
    return [_choose(row, held_by, len(rows)) for row in rows]


def _choose(row: list[Candidate], held_by: Counter[str], queries: int) -> list[str]:
    def score(candidate: Candidate) -> int:
        text, kind, weight, _, _ = candidate
        count = held_by[text]
        common = min(count.bit_length(), 8)
        rare = (queries // count + 1).bit_length()
        if kind == VERB_OBJECT:
            return weight * min(count, 3)
        if kind == TOPIC or (kind == GRAM and count >= 3):
            return weight * common * rare
        return 0 if kind == GRAM else weight

    def tier(candidate: Candidate) -> int:
        return TOPIC if candidate[1] == GRAM else candidate[1]

    def overlap(a: Candidate, b: Candidate) -> bool:
        return a[3] < b[4] and b[3] < a[4]

    def holds(large: Candidate, small: Candidate) -> bool:
        return set(small[0].split(" ")) <= set(large[0].split(" "))

    def is_wanted(candidate: Candidate) -> bool:
        kind = tier(candidate)
        alike = [other for other in chosen if tier(other) == kind]
        if len(alike) >= QUOTA[kind] or len(chosen) >= 8:
            return False
        if kind == BARE:
            return all(other[1] > BARE for other in chosen)
        if kind in (VERB_OBJECT, TOPIC) and any(overlap(other, candidate) for other in alike):
            return False
        if kind == TOPIC:
            cues = [other for other in chosen if other[1] in (QUESTION, BARE, FACT, ACT)]
            return not any(overlap(cue, candidate) for cue in cues) and not any(holds(o, candidate) for o in chosen)
        return True

    order = sorted((c for c in row if score(c) > 0), key=lambda c: (tier(c), -score(c), row.index(c)))
    chosen: list[Candidate] = []
    phrases = [c for c in order if tier(c) in (VERB_OBJECT, TOPIC)]
    for candidate in [c for c in order if c not in phrases] + [c for c in phrases if held_by[c[0]] >= 2]:
        if is_wanted(candidate):
            chosen.append(candidate)
    for candidate in phrases:
        told = sum(other[1] != LANGUAGE for other in chosen)
        if held_by[candidate[0]] < 2 and told < 3 and is_wanted(candidate):
            chosen.append(candidate)
    doubled = [c for c in chosen if tier(c) == TOPIC and any(o is not c and holds(o, c) for o in chosen)]
    kept = [c for c in order if c in chosen and c not in doubled]
    return [c[0] for c in sorted(kept, key=lambda c: c[1] != VERB_OBJECT or held_by[c[0]] < 3)]
