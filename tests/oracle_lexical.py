"""`lexical` again, slow and obvious: one key a tag; equal keys are the same words. Its words: oracle_english.py."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import NamedTuple

from oracle_english import (
    ARTICLES,
    CLOSED,
    DIRECTIONS,
    ORDERED,
    PARTICLES,
    PREPOSITIONS,
    action,
    form,
    is_no_noun,
)
from oracle_script import folded, unified

ALIASES = Path(__file__).parents[1] / "rust" / "aliases.txt"
MOST_WORDS = 12

# Every rule that a key can be made without, in the order in which they are told.
RULES = [
    "compound",
    "script",
    "spelling",
    "plural",
    "verb and noun",
    "adjective and noun",
    "alias",
    "function word",
    "word order",
]


# ---- short names ----


class Phrase(NamedTuple):
    """A phrase of aliases.txt: its name, and whether that has other meanings."""

    name: str
    meaning: str
    shared: bool


def listed_phrases() -> dict[str, Phrase]:
    """By the forms of their words, written as one: a vocabulary may join any two of them (`fulltext search`)."""
    found = {}
    for line in ALIASES.read_text("utf-8").splitlines():
        for entry in [] if line.startswith("#") else line.split():
            name, phrases = entry.split("=")
            for phrase in phrases.split("/"):
                made = Phrase(name, phrase, "/" in phrases)
                found["".join(form(word) for word in phrase.split("-"))] = made
                found[form(phrase.replace("-", ""))] = made
    return found


PHRASES = listed_phrases()
LONGEST = max(len(phrase.meaning.split("-")) for phrase in PHRASES.values())


def phrase_of(words: list[str]) -> Phrase | None:
    return PHRASES.get("".join(map(form, words)))


def shortened(words: list[str], clear: set[str]) -> list[str]:
    """Each phrase by its name, from left to right, the longest first; of shared names only those in `clear`."""
    short: list[str] = []
    at = 0
    while at < len(words):
        for size in range(min(LONGEST, len(words) - at), 0, -1):
            found = phrase_of(words[at : at + size])
            if found and (not found.shared or found.name in clear):
                short.append(found.name)
                at += size
                break
        else:
            short.append(words[at])
            at += 1
    return short


def clear_names(cut: list[list[str]]) -> set[str]:
    """Names of several meanings that the words of this vocabulary spell out one of."""
    met: dict[str, set[str]] = {}
    for words in cut:
        for at in range(len(words)):
            for size in range(1, min(LONGEST, len(words) - at) + 1):
                found = phrase_of(words[at : at + size])
                if found and found.shared:
                    met.setdefault(found.name, set()).add(found.meaning)
    return {name for name, meanings in met.items() if len(meanings) == 1}


# ---- words of a tag ----


class Word(NamedTuple):
    """A word of a tag; `tight` where no space stands before it (and it is not the first)."""

    text: str
    tight: bool


def shape(char: str) -> str:
    """ASCII as it is; any other letter or number as é, mark as ´, space as a blank, apostrophe as ', all else as -."""
    if char.isascii():
        return " " if char in "\t\n\v\f\r" else char
    if char.isspace():
        return " "
    return {"L": "é", "N": "é", "M": "´"}.get(unicodedata.category(char)[0], "'" if char == "’" else "-")


BEHIND = "[a-z0-9é´]"
WORD = re.compile(
    rf"""
    (?: (?<![a-z0-9é´+#]) \.net (?!{BEHIND})  # the only name that begins with a symbol; asp.net is two words
      | [a-z]\# (?=[0-9])            # c#7, but issue#7
      | [a-z0-9é] )                  # no word begins with a mark
    (?: {BEHIND}
      | [+#]{{2,}}                   # c++11
      | [+\#] (?!{BEHIND})           # c#, but a+b
      | (?<=[0-9]) [.,] (?=[0-9])    # 1.2
      | 's (?!{BEHIND})              # children's
      | ' (?={BEHIND}) )*            # o'reilly
    """,
    re.VERBOSE,
)


def words(tag: str, off: str = "") -> list[Word]:
    """Folds and cuts a tag; `&` between words, with a space at either side, is `and`."""
    text = folded(tag)
    outline = "".join(map(shape, text))
    found: list[Word] = []
    end = 0
    for match in WORD.finditer(outline):
        gap = outline[end : match.start()]
        if found and "&" in gap and " " in gap:
            found.append(Word("and", False))
        dropped = [quote.span() for quote in re.finditer(rf"'(s(?!{BEHIND}))?", match[0])]
        kept = [at for at in range(len(match[0])) if not any(first <= at < last for first, last in dropped)]
        word = "".join(text[match.start() + at] for at in kept)
        found.append(Word(word if off == "script" else unified(word), found != [] and " " not in gap))
        end = match.end()
    return found


# ---- keys ----


def is_number(char: str) -> bool:
    return unicodedata.category(char)[0] == "N"


def may_join(a: Word, b: Word) -> bool:
    """Whether two neighbors may be one word, should the vocabulary write them so.

    A hyphen or the like may be dropped anywhere but between two numbers; a space between words of content (and a
    few particles), and in front of a letter behind a number (`3 d`).
    """

    def is_content(word: str) -> bool:
        return word in PARTICLES or (word not in CLOSED and (len(word) > 1 or word in "0123456789"))

    numeric = is_number(a.text[-1])
    if b.text in ("s", "es") or (numeric and is_number(b.text[0])):  # lodash-es is no plural
        return False
    return b.tight or (is_content(a.text) and (is_content(b.text) or (numeric and b.text not in CLOSED)))


def compounds(cut: list[Word], solid: set[str], off: str = "") -> list[str]:
    """All words, or from the left three or two, that some tag writes as one; then numbers join the word before."""
    if off == "compound":
        return [word.text for word in cut]
    joined: list[str] = []
    rest = cut
    while rest:
        size = 1
        for length in ([len(cut)] if rest is cut and 3 < len(cut) <= MOST_WORDS else []) + [3, 2]:
            some = rest[:length]
            if len(some) == length and all(map(may_join, some, some[1:])) and size == 1:
                whole = "".join(word.text for word in some)
                size = length if len(whole) > 2 and form(unified(whole)) in solid else 1
        joined.append("".join(word.text for word in rest[:size]))
        rest = rest[size:]
    numbered: list[str] = []
    for word in joined:
        last = numbered[-1] if numbered else "the"
        if re.fullmatch("[0-9.]+", word) and last not in CLOSED and not is_number(last[-1]):
            numbered[-1] += word
        else:
            numbered.append(word)
    return numbered


class Lexicon(NamedTuple):
    """What the vocabulary knows: forms that stand as one word, and acronyms that have one meaning in it."""

    solid: set[str]
    clear: set[str]


def lexicon(tags: list[str]) -> Lexicon:
    solid = {form(word.text) for tag in tags for word in words(tag)}
    return Lexicon(solid, clear_names([compounds(words(tag), solid) for tag in tags]))


def key(tag: str, known: Lexicon, off: str = "") -> tuple[str, list[str]]:
    """(The key but for prepositions, the prepositions but `of`); `off` is a rule left out."""
    every = compounds(words(tag, off), known.solid, off)
    if not every:
        return tag, []
    if off != "alias":
        every = shortened(every, known.clear)
    left = [word for word in every if word not in ARTICLES or off == "function word"]
    if every[-1] == "a" or not left:
        left.append(every[-1])  # vitamin a
    held = ORDERED.intersection(left)
    may_turn = not held and len(left) <= MOST_WORDS
    verb_may_move = held <= DIRECTIONS and 1 < len(left) <= MOST_WORDS

    moved: list[str] = []
    found = action(left[0], off)
    if found and verb_may_move:
        # `writing prompts` may be prompts for writing, but who creates has `creation` for the noun
        says_verb = found.kind == "verb" or (found.kind == "ing" and (found.has_noun or len(left) < len(every)))
        if says_verb:
            moved, left = [found.verb + "~"], left[1:]
    alone = len(left) + len(moved) == 1

    def named(word: str, last: bool) -> str:
        found = action(word, off)
        may_end = last and found is not None and is_no_noun(found.verb)  # password generate, but not cost estimate
        return found.verb + "~" if found and (found.kind != "verb" or alone or may_end) else form(word, off)

    forms = [named(word, False) for word in left[:-1]] + [named(word, True) for word in left[-1:]]
    prepositions = []
    if may_turn and off != "function word":
        segments: list[list[str]] = [[]]
        for at, word in enumerate(forms):
            if word in PREPOSITIONS and segments[-1] and at < len(left) - 1:
                segments.append([])
                prepositions.append(word)
            else:
                segments[-1].append(word)
        if off != "word order":
            segments.reverse()
        forms = without_and([word for segment in segments for word in segment], off)
    forms = moved + forms if off == "word order" else forms + moved
    if may_turn and off != "word order" and len(forms) > 2:
        forms = min(forms[turn:] + forms[:turn] for turn in range(len(forms)))
    return " ".join(forms), [word for word in prepositions if word != "of"]


def without_and(forms: list[str], off: str = "") -> list[str]:
    """`and` between two words goes, and what it holds together is sorted; at an end it is a word like any other."""
    forms = [word for at, word in enumerate(forms) if word != "and" or forms[at - 1 : at] != ["and"]]
    sides: list[list[str]] = []
    for at, word in enumerate(forms):
        if word == "and" and 0 < at < len(forms) - 1:
            continue
        if at > 1 and forms[at - 1] == "and":
            sides[-1].append(word)
        else:
            sides.append([word])
    return [word for side in sides for word in (side if off == "word order" else sorted(side))]


def keys(tags: list[str]) -> list[str]:
    """The key of each tag in this vocabulary; where prepositions differ, each list of them keeps its own group."""
    known = lexicon(tags)
    found = [key(tag, known) for tag in tags]
    lists: dict[str, set[tuple[str, ...]]] = {}
    for name, prepositions in found:
        if prepositions:
            lists.setdefault(name, set()).add(tuple(prepositions))
    return [
        f"{name} | {' '.join(prepositions)}" if prepositions and len(lists[name]) > 1 else name
        for name, prepositions in found
    ]


def reasons(tags: list[str], into: list[int]) -> list[str]:
    """The rules without which each tag would not have the key of another, joined by +; "" for itself."""
    known = lexicon(tags)
    return [reason(tag, tags[other], known) for tag, other in zip(tags, into, strict=True)]


def reason(a: str, b: str, known: Lexicon) -> str:
    if a == b or key(a, known)[0] != key(b, known)[0]:
        return ""
    found = [rule for rule in RULES if key(a, known, rule)[0] != key(b, known, rule)[0]]
    ours, theirs = words(a), words(b)
    if len(ours) == len(theirs) and sum(word.tight for word in ours) != sum(word.tight for word in theirs):
        found = ["separators", *found]
    other = "compound" if len(ours) != len(theirs) else "separators"
    return "+".join(found) or ("case" if folded(a) == folded(b) else other)
