"""What `lexical` knows of English words, slow and obvious. The lists: `rust/english.txt`."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

ENGLISH = Path(__file__).parents[1] / "rust" / "english.txt"


def table(name: str) -> list[str]:
    """The words of a table of english.txt."""
    lines = [line.split(": ") for line in ENGLISH.read_text("utf-8").splitlines() if ": " in line and line[0] != "#"]
    return [word for head, words in lines if head == name for word in words.split()]


def pairs(name: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in table(name))


def one_of(words: list[str]) -> str:
    return "(?:" + "|".join(map(re.escape, words)) + ")"


ARTICLES, PREPOSITIONS, ORDERED = set(table("article")), set(table("preposition")), set(table("ordered"))
DIRECTIONS, PARTICLES = set(table("direction")), set(table("particle"))
CLOSED = ARTICLES | PREPOSITIONS | ORDERED | {"and"}
OWN_WORDS = set(table("own_word"))
NOT_PLURAL, PLURAL, SPELLED_APART = set(table("not_plural")), set(table("plural")), set(table("spelled_apart"))
IRREGULAR, BEGINNINGS = pairs("irregular"), pairs("beginning")
SPELLED_ENDINGS, ACTION_ENDINGS = pairs("spelled_ending"), pairs("action_ending")
NUMBER_ENDINGS = {ending: rest.split("/") for ending, rest in pairs("number_ending").items()}
SINGULAR = re.compile(rf".*{one_of(table('not_plural_ending'))}|..os")  # bios
AFTER_IS, AFTER_OUR, AFTER_LL = (one_of(table(name)) for name in ("after_is", "after_our", "after_ll"))
NO_QUALITY, VERB_OR_NOUN = set(table("no_quality")), set(table("verb_or_noun"))
QUALITY_ENDINGS = pairs("quality_ending")


def plain(word: str) -> bool:
    """The rules of English are for words of a to z; any other is its own form and names no action."""
    return re.fullmatch("[a-z]+", word) is not None


@cache
def spelling(word: str) -> str:
    """The American spelling, or what stands for it: colour -> color, organise -> organize, traveller -> traveler."""
    if len(word) < 4 or word in SPELLED_APART:
        return word
    for british, american in BEGINNINGS.items():
        if word.startswith(british):
            return american + word[len(british) :]
    if not word.endswith("yses"):  # the plural of analysis
        word = re.sub(rf"^(.{{3,}}[iy])s({AFTER_IS})$", r"\1z\2", word)
    word = re.sub(rf"^(.{{3,}})our({AFTER_OUR}?)$", r"\1or\2", word)
    doubled = re.fullmatch(rf"(.*l)l({AFTER_LL})", word)
    if doubled and len(re.findall("[aeiouy]+", doubled[1])) > 1:  # filling is not filing
        return doubled[1] + doubled[2]
    for british, american in SPELLED_ENDINGS.items():
        if word.endswith(british):
            return word.removesuffix(british) + american
    return word


def is_plural(word: str) -> bool:
    """Whether the last letter is the -s of a plural, as far as lists and endings tell."""
    if word in PLURAL:
        return True
    return len(word) > 3 and word.endswith("s") and word not in NOT_PLURAL and not SINGULAR.fullmatch(word)


def number(word: str) -> str:
    """What singular and plural share: not always a word (movie, movies -> movy)."""
    if word in IRREGULAR:
        return number(IRREGULAR[word])
    for ending, (shared, least) in NUMBER_ENDINGS.items():
        if word.endswith(ending) and len(word) >= int(least) and (is_plural(word) or not ending.endswith("s")):
            return word.removesuffix(ending) + shared
    return word.removesuffix("s") if is_plural(word) else word


QUALITIES = {
    number(spelling(noun)): number(spelling(adjective))
    for adjective, noun in (entry.split("=") for entry in table("quality"))
}


def quality(noun: str) -> str:
    """The adjective behind a noun of quality: uniqueness -> unique, scalability -> scalable."""
    if noun in QUALITIES:
        return QUALITIES[noun]
    for ending, adjective in QUALITY_ENDINGS.items():
        if noun.endswith(ending) and len(noun) > 8 and noun not in NO_QUALITY:
            return noun.removesuffix(ending) + adjective
    return noun


@cache
def form(word: str, off: str = "") -> str:
    """What its plural, its other spelling and its noun of quality share with a word; `off` is a rule left out."""
    if not plain(word):
        return word
    spelled = word if off == "spelling" else spelling(word)
    one = spelled if off == "plural" else number(spelled)
    return one if off == "adjective and noun" else quality(one)


class Action(NamedTuple):
    """A word that names an action: by the verb itself, by its -ing, by another noun."""

    verb: str
    kind: str
    has_noun: bool


def listed_actions() -> dict[str, Action]:
    """Every word of the listed verbs, in the shared spelling."""
    actions = {}
    for entry in table("verb"):
        verb, _, noun = entry.partition("=")
        ing = {"debug": "debugging"}.get(verb, verb.removesuffix("e") + "ing")
        actions[spelling(verb)] = Action(verb, "verb", noun != "")
        actions[spelling(ing)] = Action(verb, "ing", noun != "")
        if noun:
            actions[spelling(noun)] = Action(verb, "noun", True)
    return actions


ACTIONS = listed_actions()
NO_ACTION = {spelling(word) for word in table("no_action")}


@cache
def action(word: str, off: str = "") -> Action | None:
    """The action that a word names, in the singular or the plural; by the list, or by -ize and -ify."""
    if not plain(word) or off == "verb and noun":
        return None
    spelled = word if off == "spelling" else spelling(word)
    for name in [spelled] if off == "plural" else [spelled, number(spelled)]:
        if name in ACTIONS:
            return ACTIONS[name]
        for ending, verb in ACTION_ENDINGS.items():
            if name.endswith(ending) and len(name) > 6 and name not in NO_ACTION:
                kind = "verb" if ending == verb else "ing" if ending.endswith("ing") else "noun"
                return Action(name.removesuffix(ending) + verb, kind, True)
    return None


def is_no_noun(verb: str) -> bool:
    """Whether a verb is never a noun: `generate`, but not `estimate`."""
    return re.search("(ize|ify|ate)$", verb) is not None and verb not in VERB_OR_NOUN


def inflection(word: str) -> str:
    """The word without its inflection: NLTK's Porter by its first and last steps, where the lists let them."""
    from nltk.stem.porter import PorterStemmer

    porter = PorterStemmer()
    if word in porter.pool:
        return str(porter.pool[word])
    if len(word) < 3 or (word.endswith("s") and not is_plural(word)):
        return word
    singular = porter._step1a(word)
    if singular in OWN_WORDS:
        return str(singular)
    stem = porter._step1c(porter._step1b(singular))
    return str(porter._step5b(porter._step5a(stem)))
