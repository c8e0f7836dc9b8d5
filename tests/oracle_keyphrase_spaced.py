"""`keyphrase` again where words stand between spaces: cues, requests and noun phrases, over plain slices."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import TypeVar

from oracle import FACT, INTENTION, TOPIC, VERB_OBJECT
from oracle_keyphrase_text import (
    BREAK,
    NUMBER,
    TABLES,
    TOLD_BY,
    WORD,
    Cue,
    Entry,
    Row,
    Sentence,
    Span,
    Text,
    Thing,
    Token,
    Verb,
    add,
    entry_of,
    intention_of,
)

T = TypeVar("T")

ROMANCE = ["es", "fr", "pt", "it"]  # the noun stands before its adjectives
LONGEST_KEY = {language: max(len(key.split(" ")) for key in table) for language, table in TABLES.items()}


def longest(language: str, tokens: list[Token], get: Callable[[Entry], T | None]) -> tuple[T, int] | None:
    """What `get` makes of the longest phrase of the tables that `tokens` begin with, and that phrase's length."""
    for length in range(min(len(tokens), LONGEST_KEY.get(language, 0)), 0, -1):
        if made := get(entry_of(language, " ".join(token.word for token in tokens[:length]))):
            return made, length
    return None


def span_of(tokens: list[Token]) -> Span:
    return tokens[0].start, tokens[-1].end


def has_role(language: str, token: Token, *roles: str) -> bool:
    return not entry_of(language, token.word).roles.isdisjoint(roles)


def verb_at(language: str, tokens: list[Token]) -> tuple[Verb, int] | None:
    return longest(language, tokens, lambda entry: entry.verb) if tokens and tokens[0].kind == WORD else None


def opening(language: str, tokens: list[Token]) -> tuple[list[Token], bool, bool]:
    """What is left behind "please, can you"; whether an opener stood there, whether it names a thing wanted.

    Twelve steps at most, so that a line of dashes costs no more than another.
    """
    opened = wants = False
    for _ in range(12):
        if found := longest(language, tokens, lambda entry: entry.roles & {"opener", "want"}):
            opened, wants = True, "opener" not in found[0]
            tokens = tokens[found[1] :]
        elif tokens and (
            tokens[0].kind == BREAK or (has_role(language, tokens[0], "lead") and not verb_at(language, tokens))
        ):
            tokens = tokens[1:]
        else:
            break
    return tokens, opened, wants


FEW_SENTENCES = 2  # so short a text may ask without a question mark


def asks(sentence: Sentence, text: Text, language: str) -> bool:
    """A question mark, an opener, a verb with a word behind it, or (in a short text) the word that opens a question."""
    rest, opened, _ = opening(language, sentence.tokens)
    is_request = verb_at(language, rest) is not None and [token.kind for token in rest[1:2]] == [WORD]
    opens = [cue for token in rest[:1] for cue in entry_of(language, token.word).cues if cue.is_anchored]
    return sentence.is_question or opened or is_request or (len(text.sentences) <= FEW_SENTENCES and bool(opens))


def is_tool(sentence: Sentence, language: str, row: Row) -> bool:
    """Whether a sentence describes a tool: then its tag is added, and it is not read."""
    if language != "en":
        return False
    found = longest(language, sentence.tokens, lambda entry: [cue for cue in entry.cues if cue.kind == "tool"])
    if found:
        add(row, found[0][0].tag, FACT, 80, span_of(sentence.tokens[: found[1]]))
    return found is not None


def read_sentence(sentence: Sentence, text: Text, language: str, weight: int, row: Row) -> None:
    """Cues, then the request the sentence opens with and those of its clauses, three at most, then noun phrases."""
    tokens = sentence.tokens
    cues(sentence, text, language, weight, row)
    rest, opened, wants = opening(language, tokens)
    found = int(request(rest, opened, wants, language, weight, row))
    inquiry(rest, language, weight, row)
    for at in range(len(tokens) - len(rest) + 1, len(tokens)):
        before, inner = tokens[at - 1], tokens[at:]
        opener = longest(language, inner, lambda entry: "opener" in entry.roles or None)
        is_clause = before.kind == BREAK or before.word in ("and", "then", "y", "et", "und")
        is_opener = weight > 5 and opener is not None and opener[1] > 1
        if found < 3 and (is_clause or is_opener):
            rest, opened, wants = opening(language, inner)
            if not wants and (opened or has_object(language, rest)):
                found += request(rest, opened, False, language, weight * 9 // 10, row)
    for run in runs(tokens, language):
        topics(run, language, weight, row)


# ---- cues ----


def cues(sentence: Sentence, text: Text, language: str, weight: int, row: Row) -> None:
    """The longest cue at every word that no cue before has taken; of English in other languages' text only names."""
    tokens = sentence.tokens
    rest, opened, _ = opening(language, tokens)
    requests = opened and verb_at(language, rest) is not None
    may_ask = sentence.is_question or len(text.sentences) <= FEW_SENTENCES
    is_short = len(text.tokens(WORD)) <= 30
    read_to = 0
    for at in range(len(tokens)):
        if at < read_to:
            continue
        is_clause = begins_clause(language, tokens[:at])

        def here(entry: Entry, is_clause: bool = is_clause) -> list[Cue]:
            return [cue for cue in entry.cues if is_clause or not cue.is_anchored]

        for table in dict.fromkeys([language, "en"]):
            found = longest(table, tokens[at:], here)
            for cue in found[0] if found else []:
                asked = tokens[at : at + found[1]] if found else []
                is_due = {
                    "fact": True,
                    "question": may_ask or not cue.is_anchored,
                    "bare": may_ask and not requests,
                    "act": is_short,
                    "intention": True,
                }
                if cue.kind == "language":
                    asked_language(tokens[:at], asked, cue.tag, weight, row)
                elif is_due.get(cue.kind) and (table == language or cue.kind == "fact"):
                    kind, factor = TOLD_BY[cue.kind]
                    add(row, cue.tag, kind, weight * factor, span_of(asked))
            read_to = max(read_to, at + found[1]) if found else read_to


def begins_clause(language: str, before: list[Token]) -> bool:
    """Whether only words that lead in ("please", "then") stand between here and the break before."""
    return all(has_role(language, token, "lead") for token in takewhile(lambda t: t.kind != BREAK, reversed(before)))


def asked_language(before: list[Token], name: list[Token], tag: str, weight: int, row: Row) -> None:
    """Adds the language an answer is wanted in: "into French", "auf Deutsch"."""
    words = [token.word for token in before[-1:]]
    span = span_of([*before[-1:], *name])
    if words and words[0] in ("to", "into", "al", "ins"):
        add(row, f"translation to {tag}", FACT, weight * 9, span)
    elif words and words[0] in ("in", "en", "auf", "em"):
        add(row, f"{tag} wanted", FACT, weight * 7, span)


# ---- requests ----


def request(tokens: list[Token], opened: bool, wants: bool, language: str, weight: int, row: Row) -> bool:
    """Adds the intention and "verb object" of a clause that begins with its verb, or with the thing it wants."""
    verb, length = None, 0
    if not wants:
        if found := verb_at(language, tokens):
            verb, length = found
            # "Plot: ..." and "Order status" ask nothing; "plot the data" does.
            is_noun = length == 1 and has_role(language, tokens[0], "homograph")
            if is_noun and not opened and not any(has_role(language, token, "filler") for token in tokens[1:2]):
                return False
        elif opened and is_open_verb(tokens, language):
            length = 1
        else:
            return False
    phrase, thing = object_of(tokens[length:], language)
    if wants and not phrase:
        return False
    span = tokens[0].start, (phrase or tokens[:length])[-1].end
    if intention := verb and intention_of(verb, thing):
        add(row, intention, INTENTION, weight * 8, span)
    elif wants:
        add(row, "information retrieval", INTENTION, weight * 6, span)
    if not phrase:
        return verb is not None
    if verb and verb.name == "tell about":
        return True
    spoken = "find" if wants else tokens[0].word
    name = verb.name if verb else spoken
    if thing:
        add(row, f"{name} {thing.name}", VERB_OBJECT, weight * 8, span)
    if language == "en":
        name = name if thing else spoken
        head = fold(phrase[-1], language)
        if not thing:
            add(row, f"{name} {head}", VERB_OBJECT, weight * 7, span)
        for modifier in phrase[-2:-1]:
            add(row, f"{name} {modifier.word} {head}", VERB_OBJECT, weight * 8, span)
    return verb is not None or opened


def has_object(language: str, tokens: list[Token]) -> bool:
    """Whether a verb begins here, with an article or the like right behind it."""
    found = verb_at(language, tokens)
    return found is not None and any(has_role(language, token, "filler") for token in tokens[found[1] :][:1])


def is_open_verb(tokens: list[Token], language: str) -> bool:
    """Whether an unknown word behind "can you" may be a verb: it has an article or the like behind it."""
    if len(tokens) < 2 or tokens[0].kind != WORD or not has_role(language, tokens[1], "filler"):
        return False
    word = tokens[0].word
    is_known = has_role(language, tokens[0], "stop", "adjective", "lead", "generic")
    is_plain = word.isascii() and word.isalpha() and len(word) > 2
    return is_plain and not is_known and not word.endswith("ing")


def object_of(tokens: list[Token], language: str) -> tuple[list[Token], Thing | None]:
    """The noun phrase behind a verb (none where it is empty), and the thing of the tables it names."""
    fillers = 0
    while (
        fillers < min(10, len(tokens))
        and (has_role(language, tokens[fillers], "filler") or tokens[fillers].kind == NUMBER)
        and not begins_thing(tokens[fillers:], language)  # "short story" is a thing, "short" a filler
    ):
        fillers += 1
    tokens = tokens[fillers:]
    whole = longest(language, tokens, lambda entry: entry.thing)
    if whole and whole[1] > 2:
        return tokens[: whole[1]], whole[0]  # "place to eat"
    phrase = list(takewhile(lambda token: is_content(token, language, token is tokens[0]), tokens[:4]))
    behind = tokens[len(phrase) :]
    if phrase and has_role(language, phrase[-1], "part") and len(behind) > 1 and behind[0].word == "of":
        inner, thing = object_of(behind[1:], language)
        if inner:
            return inner, thing  # "a list of cities" is cities
    if language in ROMANCE:
        for start in range(len(phrase[:2])):
            if found := longest(language, tokens[start:], lambda entry: entry.thing):
                return tokens[start : start + found[1]], found[0]
        return phrase[:1], None
    while len(phrase) > 1 and has_role(language, phrase[-1], "adjective"):
        phrase = phrase[:-1]
    for start in range(len(phrase)):
        if thing := thing_of(phrase[start:], language):
            return phrase[-3:], thing
    if len(phrase) == 1 and has_role(language, phrase[0], "generic", "adjective"):
        return [], None
    return phrase[-3:], None


def begins_thing(tokens: list[Token], language: str) -> bool:
    return len(tokens) > 1 and entry_of(language, f"{tokens[0].word} {tokens[1].word}").thing is not None


def thing_of(phrase: list[Token], language: str) -> Thing | None:
    """The thing that all of these words name, as they stand or (in English) with the last one in the singular."""
    *words, last = [token.word for token in phrase]
    found = entry_of(language, " ".join([*words, last])).thing
    return found or (entry_of(language, " ".join([*words, singular(last)])).thing if language == "en" else None)


def inquiry(tokens: list[Token], language: str, weight: int, row: Row) -> None:
    """Adds what is asked about: "what is the address"."""
    words = [token.word for token in tokens[:3]]
    if language != "en" or len(words) < 3 or words[0] != "what" or words[1] not in ("is", "are", "was", "were", "'s"):
        return
    phrase, _ = object_of(tokens[3:], language)
    if words[2] not in ("the", "its", "their", "your", "his", "her", "my") or not phrase:
        return
    span, head = (tokens[0].start, phrase[-1].end), fold(phrase[-1], language)
    if not has_role(language, phrase[-1], "generic"):
        add(row, f"{head} inquiry", VERB_OBJECT, weight * 6, span)
    for modifier in phrase[-2:-1]:
        add(row, f"{modifier.word} {head} inquiry", VERB_OBJECT, weight * 7, span)


# ---- noun phrases ----

GERUND_NOUNS = """learning engineering programming processing marketing training testing building meeting planning
writing mining painting drawing wedding clothing housing morning""".split()
ADJECTIVE_ENDINGS = ("able", "ible", "ful", "ous", "ical", "less", "ily")


def is_gerund(word: str, language: str) -> bool:
    return language == "en" and len(word) > 5 and word.endswith("ing")


def is_content(token: Token, language: str, is_first: bool) -> bool:
    """Whether a word may stand in a noun phrase; one in capitals that is not the first may be a name."""
    word, is_name = token.word, token.is_capital and not is_first
    if token.kind != WORD or word[0] in "'_" or ("." in word and len(word) > 12):
        return False
    if re.match(r"[a-z](\.|$)", word) and not token.is_capital:
        return False  # "an integer k", "s.length"
    if has_role(language, token, "stop") or (has_role(language, token, "verb") and not is_name):
        return False
    if is_gerund(word, language) and not is_first and not is_name and word not in GERUND_NOUNS:
        return False
    is_inflected = word.endswith("ly") or (word.endswith("ed") and not word.endswith("eed"))
    return not (language == "en" and len(word) > 4 and is_inflected)


def runs(tokens: list[Token], language: str) -> Iterator[list[Token]]:
    """Runs of content words, cut at six, without the adjectives around them and the request at the beginning."""
    run: list[Token] = []
    for token in [*tokens, None]:
        is_inside = token is not None and is_content(token, language, token is tokens[0])
        if run and (not is_inside or len(run) == 6):
            while run and has_role(language, run[-1], "adjective"):
                run = run[:-1]
            # "New York" keeps what "new shoes" loses.
            while run and has_role(language, run[0], "adjective") and not all(t.is_capital for t in run[:2]):
                run = run[1:]
            if run and not (run[0] is tokens[0] and verb_at(language, run)):
                yield run
            run = []
        if token is not None and is_inside:
            run = [*run, token]


def topics(run: list[Token], language: str, weight: int, row: Row) -> None:
    """The last three, two and one words of a run; of Romance languages, whose nouns stand first, its first three."""
    parts = [run[:3]] if language in ROMANCE else [run[-length:] for length in (3, 2, 1) if length <= len(run)]
    for part in parts:
        words = [*(token.word for token in part[:-1]), fold(part[-1], language)]
        is_ing = is_gerund(part[0].word, language)
        if len(part) > 1:
            add(row, " ".join(words), TOPIC, weight * (7 if is_ing else 10), span_of(part))
            continue
        entry = entry_of(language, words[0])
        says_nothing = bool(entry.roles & {"generic", "stop"}) or (entry.verb is not None and entry.thing is None)
        is_adjective = language == "en" and words[0].endswith(ADJECTIVE_ENDINGS)
        is_generic = says_nothing or is_adjective or has_role(language, part[0], "generic")
        if not is_generic and not is_ing and len(words[0]) > 2:
            add(row, words[0], TOPIC, weight * 5, span_of(part))


# ---- English plurals ----

SAME = """news series species physics mathematics economics politics ethics statistics lens bus gas always perhaps
sometimes this his plus has was is its us yes pros cons jeans pants electronics graphics athletics linguistics mechanics
thermodynamics""".split()
IRREGULAR = dict(
    pair.split(">")
    for pair in """people>people men>man women>woman children>child feet>foot teeth>tooth mice>mouse geese>goose
    wolves>wolf lives>life knives>knife leaves>leaf halves>half shelves>shelf selves>self criteria>criterion
    analyses>analysis hypotheses>hypothesis movies>movie cookies>cookie ties>tie pies>pie matrices>matrix
    shoes>shoe""".split()
)


def singular(word: str) -> str:
    if word in IRREGULAR:
        return IRREGULAR[word]
    if len(word) < 4 or not word.endswith("s") or word in SAME or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y" if len(word) > 4 else word
    if word.endswith(("sses", "shes", "ches", "xes", "zzes")) or (word.endswith("oes") and len(word) > 4):
        return word[:-2]
    return word[:-1]


def fold(token: Token, language: str) -> str:
    """A word as it ends a noun phrase: in the singular, unless it is a name ("Los Angeles")."""
    return token.word if language != "en" or token.is_capital else singular(token.word)
