"""`keyphrase` again where words stand without spaces (Chinese, Japanese): what the tables know cuts the text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import groupby, pairwise
from typing import NamedTuple

from oracle import FACT, GRAM, INTENTION, TOPIC, VERB_OBJECT
from oracle_keyphrase_text import (
    CJK,
    NUMBER,
    TABLES,
    TOLD_BY,
    WORD,
    Entry,
    Row,
    Sentence,
    Span,
    Text,
    Token,
    add,
    entry_of,
    intention_of,
)

LONGEST_KEY = {language: max(map(len, TABLES[language])) for language in ("zh", "ja")}


class Piece(NamedTuple):
    start: int
    end: int
    entry: Entry | None  # of what the tables know
    is_phrase: bool  # of what may be a noun phrase


def read_sentence(query: str, sentence: Sentence, text: Text, language: str, weight: int, row: Row) -> None:
    """Clause by clause: the cues of its runs, its requests, its phrases."""
    for is_clause, group in groupby(sentence.tokens, lambda token: token.kind in (CJK, WORD, NUMBER)):
        tokens = list(group) if is_clause else []
        for token in tokens:
            if token.kind == CJK:
                cues(query, token, text, language, weight, row)
        pieces = [piece for token in tokens for piece in cut(query, token, language)]
        requests(query, pieces, language, weight, row)
        for piece in pieces:
            if piece.is_phrase:
                phrases(query[piece.start : piece.end], piece.start, language, weight, row)


def longest(query: str, at: int, end: int, language: str, get: Callable[[Entry], object]) -> tuple[Entry, int] | None:
    """The longest phrase of the tables at `at` of which `get` makes something: its entry, its end."""
    for to in range(min(end, at + LONGEST_KEY.get(language, 0)), at, -1):
        entry = entry_of(language, query[at:to])
        if get(entry):
            return entry, to
    return None


def cut(query: str, token: Token, language: str) -> Iterator[Piece]:
    """A token in pieces: what the tables know, and between that the rest; other scripts' words are no phrases."""
    if token.kind != CJK:
        yield Piece(token.start, token.end, None, False)
        return
    at = open_from = token.start
    while at < token.end:
        found = longest(query, at, token.end, language, is_known)
        if found and not cuts(*found, is_alone=open_from == at, length=found[1] - at):
            found = None
        if (found and is_guard(found[0])) or (not found and not "\u3041" <= query[at] <= "\u309f"):
            at = found[1] if found else at + 1  # goes on with what is open
            continue
        if open_from < at:
            yield Piece(open_from, at, None, True)
        entry, to = found or (None, at + 1)  # a single hiragana is a particle or an ending
        yield Piece(at, to, entry, bool(entry and "word" in entry.roles and not entry.verb and not entry.thing))
        at = open_from = to
    if open_from < at:
        yield Piece(open_from, at, None, True)


def is_known(entry: Entry) -> bool:
    return bool(entry.verb or entry.thing or entry.cues or entry.roles & {"stop", "guard", "word"})


def is_guard(entry: Entry) -> bool:
    """Whether it is known only so that nothing cuts inside it."""
    return "guard" in entry.roles and not (entry.roles & {"stop", "word"} or entry.verb or entry.thing)


def cuts(entry: Entry, to: int, is_alone: bool, length: int) -> bool:
    """One character is too little to cut a word at, unless it is a function word, a cue, or nothing stands before."""
    return length > 1 or "stop" in entry.roles or bool(entry.cues) or (is_alone and bool(entry.verb or entry.thing))


def cues(query: str, token: Token, text: Text, language: str, weight: int, row: Row) -> None:
    """The longest cue at every character that no cue before has taken, whatever the pieces; `^` holds for none."""
    at = token.start
    while at < token.end:
        entry, to = longest(query, at, token.end, language, lambda entry: entry.cues) or (Entry(), at + 1)
        before, behind = query[:at][-1:], query[to:][:1]
        for cue in entry.cues:
            opens = at == token.start and token.end - token.start <= 20 and len(text.sentences) <= 2
            if cue.kind == "language" and (before in ("成", "为", "到") or behind == "に"):
                add(row, f"translation to {cue.tag}", FACT, weight * 9, (at, to))
            elif cue.kind == "language" and (before in ("用", "以") or behind == "で"):
                add(row, f"{cue.tag} wanted", FACT, weight * 7, (at, to))
            elif cue.kind in TOLD_BY and (opens or cue.kind != "act"):
                kind, factor = TOLD_BY[cue.kind]
                add(row, cue.tag, kind, weight * factor, (at, to))
        at = to


JOINS = ["并", "并且", "然后", "再", "和"]


def requests(query: str, pieces: list[Piece], language: str, weight: int, row: Row) -> None:
    """The first two verbs with their objects: in Chinese the last thing behind, in Japanese the nearest before.

    Verbs up to the object belong to what modifies it, unless a conjunction stands before them.
    """
    found = until = 0
    for at, piece in enumerate(pieces):
        verb = piece.entry.verb if piece.entry else None
        if not verb or found == 2 or piece.start < until:
            continue
        scope = pieces[:at]
        if language != "ja":
            scope = pieces[at + 1 :]
            for place, (join, other) in enumerate(pairwise(scope)):
                if query[join.start : join.end] in JOINS and other.entry and other.entry.verb:
                    scope = scope[:place]
                    break
        things = [(other, other.entry.thing) for other in scope if other.entry and other.entry.thing]
        other, thing = things[-1] if things else (piece, None)
        span = min(piece.start, other.start), max(piece.end, other.end)
        until = span[1]
        strength = weight * 8 // 10 if found else weight
        if intention := intention_of(verb, thing):
            add(row, intention, INTENTION, strength * 8, span)
        if thing:
            add(row, f"{verb.name} {thing.name}", VERB_OBJECT, strength * 8, span)
        found += 1


def phrases(run: str, start: int, language: str, weight: int, row: Row) -> None:
    """A run of two to six characters (katakana to twelve); in Chinese also its parts, which the pool must confirm."""
    length = len(run)

    def span(low: int, high: int) -> Span:
        return start + low, start + high

    if 2 <= length <= (12 if re.fullmatch("[\u30a0-\u30ff]+", run) else 6):
        add(row, run, TOPIC, weight * (4 + min(length, 4)), span(0, length))
    if language == "zh" and "word" not in entry_of(language, run).roles:
        for low in range(min(length, 16)):
            for high in range(low + 2, min(length, low + 4) + 1):
                if high - low < length:
                    add(row, run[low:high], GRAM, weight * (high - low) * 2, span(low, high))
