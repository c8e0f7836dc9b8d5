"""The guards and the guarded merge again, slow and obvious. The lists: `rust/guards.txt`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

import oracle
from oracle_english import ARTICLES, ORDERED, PREPOSITIONS, form
from oracle_lexical import words

LISTS = Path(__file__).parents[1] / "rust" / "guards.txt"
FUNCTION = ARTICLES | PREPOSITIONS | {"and"}
SHORTEST_NAME = 4  # letters of a tag of one word: what is shorter says too little to a model


def lines(name: str) -> list[list[str]]:
    """The lines of a table of guards.txt, as words."""
    found = [line.split(": ") for line in LISTS.read_text("utf-8").splitlines() if ": " in line and line[0] != "#"]
    return [told.split() for head, told in found if head == name]


def table(name: str) -> list[str]:
    return [word for line in lines(name) for word in line]


def pairs(name: str) -> list[tuple[str, str]]:
    return [(a, b) for a, b in (entry.split("=") for entry in table(name))]


NEGATION = {form(word) for word in table("negation")}
NEGATIVE, NEGATIVE_ENDING = table("negative"), table("negative_ending")
ENDING, AGENT = set(table("ending")), set(table("agent"))
ANTONYM = {frozenset(map(form, pair)) for pair in pairs("antonym")}
SHORT = {frozenset(map(form, pair)) for pair in pairs("short")}
APART = {frozenset(map(form, pair)) for pair in pairs("apart")}
OPPOSITE = [pair for a, b in pairs("opposite") for pair in ((a, b), (b, a))]
SIBLING = [{form(word) for word in line} for line in lines("sibling")]


class Difference(NamedTuple):
    """What two tags differ in; `veto` is empty where a model may decide."""

    veto: str
    left: str
    right: str


def known(vocabulary: Sequence[str]) -> frozenset[str]:
    """The forms of the words of a to z, three letters and more, that a vocabulary writes apart."""
    every = {word.text for tag in vocabulary for word in words(tag)}
    return frozenset(form(word) for word in every if re.fullmatch("[a-z]{3,}", word) and is_part(word))


def is_part(word: str) -> bool:
    """No ending and no function word."""
    return word not in ENDING | AGENT | FUNCTION | ORDERED


@cache
def parts(word: str, known: frozenset[str]) -> list[str]:
    """A word cut between letters and digits, and its pieces into known words; a name with a symbol stays whole."""
    if re.search(r"[+#]|^\.", word):
        return [word]
    return [part for piece in re.findall("[0-9.,]+|[^0-9.,]+", word) for part in pieces(piece, known)]


def pieces(word: str, known: frozenset[str]) -> list[str]:
    """Two known words, or else three, the first as long as can be."""
    if not re.fullmatch("[a-z]{6,24}", word):
        return [word]
    for count in (2, 3):
        for cuts in sorted(combinations(range(3, len(word) - 2), count - 1), reverse=True):
            ends = [0, *cuts, len(word)]
            made = [word[a:b] for a, b in pairwise(ends)]
            if all(is_part(part) and form(part) in known for part in made):
                return made
    return [word]


def kin(a: str, b: str, endings: set[str] = ENDING) -> bool:
    """Whether two words are a stem of three letters or more with listed endings, or share their form."""
    if form(a) == form(b):
        return True
    if frozenset((form(a), form(b))) in APART:
        return False
    return any(ends(a, cut, endings) and ends(b, cut, endings) for cut in range(3, shared(a, b) + 1))


def ends(word: str, cut: int, endings: set[str]) -> bool:
    """Whether what follows a stem is nothing or an ending, with or without the last letter doubled."""
    rest = word[cut:]
    doubled = rest[:1] == word[cut - 1] and rest[1:] in endings
    if cut == 3:  # pan, pane; but tag, tagging
        return rest in ("", "s", "ing") or (doubled and rest[1:].startswith("ing"))
    return rest == "" or rest in endings or doubled


def shared(a: str, b: str) -> int:
    """How many letters both begin with."""
    at = 0
    while at < min(len(a), len(b)) and a[at] == b[at]:
        at += 1
    return at


def alike(a: str, b: str) -> bool:
    """Whether two words begin with the same two letters, end with the same three, or share half of their ends."""
    front = shared(a, b)
    back = min(shared(a[::-1], b[::-1]), min(len(a), len(b)) - front)
    return front >= 2 or back >= 3 or 2 * (front + back) >= max(len(a), len(b))


def negated(a: str, b: str) -> bool:
    """Whether `b` is `a` with a negative beginning or ending, or the two have opposite beginnings."""
    for head in NEGATIVE:
        if b.startswith(head) and len(b) - len(head) > 2 and kin(b[len(head) :], a):
            return True
    for tail in NEGATIVE_ENDING:
        if b.endswith(tail) and len(b) - len(tail) > 2 and kin(b[: -len(tail)], a):
            return True
    return any(
        a.startswith(one) and b.startswith(other) and len(a) - len(one) > 2 and kin(a[len(one) :], b[len(other) :])
        for one, other in OPPOSITE
    )


def segments(words: list[str]) -> list[Counter[str]]:
    """The forms between the words of direction."""
    found: list[Counter[str]] = [Counter()]
    for word in words:
        if word in ORDERED:
            found.append(Counter())
        else:
            found[-1][form(word)] += 1
    return found


def lacking(a: list[str], b: list[str]) -> list[str]:
    """The words of `a` that `b` lacks, by form, the first ones of `a` being found first."""
    left = Counter(map(form, b))
    found = []
    for word in a:
        if left[form(word)] > 0:
            left[form(word)] -= 1
        else:
            found.append(word)
    return found


def difference(a: str, b: str, known: frozenset[str]) -> Difference:
    """What two tags differ in; `known` is what the function of that name finds in their vocabulary."""
    ours, theirs = ([part for word in words(tag) for part in parts(word.text, known)] for tag in (a, b))
    left = [word for word in lacking(ours, theirs) if word not in FUNCTION]
    right = [word for word in lacking(theirs, ours) if word not in FUNCTION]
    if left and "".join(left) == "".join(right):
        return Difference("number" if numbers(ours) != numbers(theirs) else "", "", "")  # only spaces differ
    return Difference(veto(ours, theirs, left, right), " ".join(left), " ".join(right))


def numbers(words: list[str]) -> list[str]:
    return re.findall("[0-9]+", " ".join(words))


def is_name(word: str) -> bool:
    """With a symbol in it, or of one letter."""
    return re.search("[+#.]", word) is not None or (len(word) == 1 and not "0" <= word <= "9")


def veto(a: list[str], b: list[str], left: list[str], right: list[str]) -> str:
    """Why two tags of these words are never one, the first reason that holds; `left` and `right` are what differs."""
    if numbers(a) != numbers(b):
        return "number"
    if not a or not b or any(map(is_name, left + right)):
        return "symbol"
    crossed = [(one, other) for one in left for other in right]
    if any(form(one) in NEGATION for one in left + right):
        return "negation"
    met = [{form(one), form(other)} for one, other in crossed]
    if any(pair in ANTONYM for pair in met):
        return "antonym"
    if any(negated(one, other) or negated(other, one) for one, other in crossed):
        return "negation"
    if any(len(pair) == 2 and pair <= line for pair in met for line in SIBLING):
        return "sibling"
    if any(one != other and not one.isascii() and sorted(one) == sorted(other) for one, other in crossed):
        return "reversal"  # 语音转文本 (speech to text), 文本转语音 (text to speech)
    told = [[word for word in words if word in ORDERED] for words in (a, b)]
    if told[0] != told[1]:
        return "direction"
    if not left and not right:
        content = [[form(word) for word in words if word not in FUNCTION] for words in (a, b)]
        closed = [[word for word in words if word in PREPOSITIONS] for words in (a, b)]
        return "reversal" if content[0] != content[1] else "" if closed[0] == closed[1] else "direction"
    common = Counter(map(form, a)) & Counter(map(form, b))
    for one, other in zip(segments(a), segments(b), strict=True) if told[0] else []:
        if any((one & common)[word] != (other & common)[word] for word in common):
            return "reversal"
    endings = ENDING | AGENT if len(a) > 1 or len(b) > 1 else ENDING
    rest = unpaired(left, right, endings)
    if not left or not right or (not rest[0]) != (not rest[1]):
        return "containment"
    if not rest[0] and turned(a, b, endings):
        return "reversal"
    if len(left) == len(right) == 1 and not same_stem(left[0], right[0], endings):
        short = len(a) == len(b) == 1 and min(len(left[0]), len(right[0])) < SHORTEST_NAME
        return "look-alike" if short or alike(left[0], right[0]) else ""
    return ""


def same_stem(a: str, b: str, endings: set[str]) -> bool:
    return frozenset((form(a), form(b))) in SHORT or kin(a, b, endings)


def unpaired(left: list[str], right: list[str], endings: set[str]) -> tuple[list[str], list[str]]:
    """What is left of both where each word, in order, takes the first one of its stem away."""
    ours, theirs = [], list(right)
    for word in left:
        found = next((other for other in theirs if same_stem(word, other, endings)), None)
        if found is None:
            ours.append(word)
        else:
            theirs.remove(found)
    return ours, theirs


def turned(a: list[str], b: list[str], endings: set[str]) -> bool:
    """Whether tags of the same stems have them in another order."""
    content = [[word for word in words if word not in FUNCTION] for words in (a, b)]
    return not all(same_stem(one, other, endings) for one, other in zip(*content, strict=False))


# ---- the merge ----


def merge(
    tags: Sequence[str],
    keys: Sequence[str],
    embed: Callable[[Sequence[str]], np.ndarray],
    max_cosine_distance: float,
    min_differing_cosine: float,
) -> set[tuple[int, ...]]:
    """The groups, as positions: tags of one key are an item, then items that every pair of a group allows to merge."""
    items: dict[str, list[int]] = {}
    for at, key in enumerate(keys):
        items.setdefault(key, []).append(at)
    called = {min(item, key=lambda at: (len(tags[at]), at)): tuple(item) for item in items.values()}

    def cosine(a: str, b: str) -> float:
        return oracle.cosine(*(embed([text])[0].tolist() for text in (a, b)))

    near = {}
    for a, b in combinations(sorted(called), 2):
        told = difference(tags[a], tags[b], known([tags[at] for at in called]))
        same = told.left == "" or told.right == "" or cosine(told.left, told.right) >= min_differing_cosine
        if not told.veto and same and cosine(tags[a], tags[b]) >= 1 - max_cosine_distance - 1e-12:
            near[a, b] = cosine(tags[a], tags[b])
    groups: list[tuple[int, ...]] = [(at,) for at in sorted(called)]
    while True:
        best = None
        for one, other in combinations(groups, 2):  # the first of equal ones stays
            between = [near.get((min(a, b), max(a, b))) for a in one for b in other]
            lowest = min((-2.0 if cosine is None else cosine) for cosine in between)
            if lowest > -2 and (best is None or lowest > best[0]):
                best = lowest, one, other
        if best is None:
            return {tuple(sorted(at for item in group for at in called[item])) for group in groups}
        groups = sorted([group for group in groups if group not in best[1:]] + [tuple(sorted(best[1] + best[2]))])
