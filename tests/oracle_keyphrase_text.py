"""What `keyphrase` reads, again: text to tokens and sentences, the word tables, the language."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

from oracle import ACT, BARE, FACT, INTENTION, QUESTION
from oracle_reading import WHITE

# ---- what comes out ----

Span = tuple[int, int]  # in characters of the query
Row = dict[str, tuple[int, int, Span]]  # candidate -> kind, weight, what it was read from

MOST = 96  # candidates of a query; the first ones are the most telling


def add(row: Row, text: str, kind: int, weight: int, span: Span) -> None:
    """Adds a candidate; one that is there already keeps its place, and the better of both (kind, then weight)."""
    if text in row and (row[text][0], -row[text][1]) <= (kind, -weight):
        return
    if text in row or len(row) < MOST:
        row[text] = (kind, weight, span)


LEXICON = Path(__file__).parents[1] / "rust" / "keyphrase" / "lexicon"

# ---- tokens ----

WORD, NUMBER, CJK, BREAK, END = "word", "number", "cjk", "break", "end"


class Token(NamedTuple):
    word: str  # in lower case
    kind: str
    start: int  # in characters of the query
    end: int
    is_capital: bool


@dataclass
class Sentence:
    tokens: list[Token]
    is_question: bool
    is_item: bool  # of a list: "- a", "(B) b", "3. c"


@dataclass
class Text:
    sentences: list[Sentence] = field(default_factory=list)
    letters: Counter[str] = field(default_factory=Counter)  # by script
    code: list[tuple[int, int]] = field(default_factory=list)  # lines of code
    items: int = 0

    def tokens(self, *kinds: str) -> list[Token]:
        return [token for sentence in self.sentences for token in sentence.tokens if token.kind in kinds]


def is_kana(char: str) -> bool:
    return "\u3041" <= char <= "\u30ff" or "\u31f0" <= char <= "\u31ff"


def is_han(char: str) -> bool:
    ranges = ["\u3005\u3007", "\u3400\u4dbf", "\u4e00\u9fff", "\uf900\ufaff"]
    return any(ends[0] <= char <= ends[1] for ends in ranges)


@cache
def shape(char: str) -> str:
    """One letter for what a character is to the tokenizer, so that plain patterns can tell tokens apart."""
    if char in WHITE or char == "\ufeff":
        return " "
    if is_kana(char) or is_han(char):
        return "C"
    group = unicodedata.category(char)[0]
    if group == "N":
        return "0"
    if group == "L":
        return "a" if char.islower() else "A"
    if group == "M":
        return "m"
    if char in "'’":
        return "'"
    if char in "!?。！？…":
        return "!"
    return char if char in "-.&,/+#_" else ":"


# A word goes on over marks, over "-", "_", "&" before a letter or digit ("step-by-step", "AT&T"), over "." before a
# small letter or digit ("node.js", not "end.Next") and, between digits, over "," and "/".
PARTS = {
    "word": r"(?:[aA0]\+\+|[aA]\#|[aA0])(?:[aA0m]|[-_&](?=[aA0])|\.(?=[a0])|(?<=0)[,/](?=0))*",
    "cjk": "C+",
    "suffix": "'[aA0]+",
    "blank": "_+",
    "end": r"[.!]",
    "space": " ",
    "other": ".",
}
PATTERN = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in PARTS.items()))
SUFFIXES = "s t d ll re ve m S T D LL RE VE M".split()  # of "it's" and "SHE'LL", tokens of their own
LONGEST_WORD = 40  # longer ones are noise (hashes, encoded data)

SCRIPTS = {
    "latin": ["Az", "a\u024f", "\u1e00\u1eff"],
    "greek": ["\u0370\u03ff", "\u1f00\u1fff"],
    "cyrillic": ["\u0400\u052f"],
    "hebrew": ["\u0590\u05ff"],
    "arabic": ["\u0600\u077f", "\u08a0\u08ff", "\ufb50\ufdff"],
    "devanagari": ["\u0900\u097f"],
    "thai": ["\u0e00\u0e7f"],
    "hangul": ["\u1100\u11ff", "\uac00\ud7af"],
}


@cache
def script(char: str) -> str:
    if is_kana(char) or is_han(char):
        return "kana" if is_kana(char) else "han"
    return next((name for name, ranges in SCRIPTS.items() if any(r[0] <= char <= r[1] for r in ranges)), "other")


def lower(word: str) -> str:
    return "".join(char.lower() for char in word)  # a sigma at the end is a sigma


def read_line(text: Text, line: str, start: int, is_item: bool) -> None:
    """Adds a line of prose that begins at character `start`: a sentence for each of its ends, and for what is left."""
    shapes = "".join(map(shape, line))
    tokens: list[Token] = []
    at = 0
    while found := PATTERN.match(shapes, at):
        part, name = line[at : found.end()], found.lastgroup
        if name == "suffix" and part[1:] not in SUFFIXES:
            part, name = part[:1], "other"
        first, at = at, at + len(part)
        if name == "space" or (name == "blank" and len(part) < 3):
            continue
        if name in ("word", "cjk"):
            text.letters.update(script(char) for char in part if shape(char) in "aA0mC")  # not "_"
        word, kind = lower(part), BREAK
        if name == "word":
            kind = NUMBER if shapes[first] == "0" else WORD if len(part) <= LONGEST_WORD else BREAK
        elif name == "cjk":
            kind = CJK
        elif name == "suffix":
            word, kind = "'" + word[1:], WORD
        elif name == "blank":
            word, kind = "___", WORD
        elif name == "end":
            kind = END
        elif shapes[first] == "'":
            word = "'"
        tokens.append(Token(word, kind, start + first, start + at, part[0].isupper()))
        if kind == END:
            close(text, tokens, part in "?？", is_item)
            tokens = []
    close(text, tokens, False, is_item)


def close(text: Text, tokens: list[Token], is_question: bool, is_item: bool) -> None:
    if any(token.kind not in (BREAK, END) for token in tokens):
        text.sentences.append(Sentence(tokens, is_question, is_item))


# ---- lines ----

HEAD, TAIL = 1200, 800  # bytes read of a long query; between lies material

MARKER = re.compile(r"[-*] |\([A-Za-z0-9]\)|[0-9A-G][.):] |[0-9][0-9][.)] |•")
SIGNATURE = re.compile(r"[a-z_]+\([a-z_]+\)")  # of a tool, as in its description: "python(code)"
CODE_STARTS = [
    "def ", "class ", "import ", "from __future__", "#include", "public ", "private ", "protected ", "function ",
    "const ", "var ", "let ", "return ", "if (", "for (", "while (", "else {", "} else", "SELECT ", "INSERT INTO",
    "CREATE TABLE", "<html", "<!DOCTYPE", "<div", "<?php", "elif ", "print(", "console.log", "System.out", "@Override",
    "using namespace",
]  # fmt: skip


def is_code(line: str) -> bool:
    """It opens like a statement and holds code's punctuation, or ends like one, or is a short import."""
    opens = any(line.startswith(start) for start in CODE_STARTS) and re.search("[({;=<]", line)
    ends = re.search("[;{}]$", line) and re.search("[()={}]", line)
    return bool(opens or ends or (line.startswith("import ") and line.count(" ") < 4))


def read(query: str) -> Text:
    """A query as sentences: of a long one the first and the last bytes, source code and tool signatures left out."""
    text = Text()
    data = query.encode()
    if len(data) <= HEAD + TAIL:
        read_lines(text, query, 0)
    else:
        tail = data[-TAIL:].decode(errors="ignore")
        read_lines(text, data[:HEAD].decode(errors="ignore"), 0)
        read_lines(text, tail, len(query) - len(tail))
    return text


def read_lines(text: Text, part: str, start: int) -> None:
    is_fenced = False
    for line in re.findall("[^\n]*\n|[^\n]+", part):
        bare = line.strip(WHITE)
        is_fence = bare.startswith("```")
        if is_fence or is_fenced or (is_code(bare) and not SIGNATURE.fullmatch(bare)):
            text.code.append((start, start + len(line)))
        elif not SIGNATURE.fullmatch(bare):
            marker = MARKER.match(bare)
            skipped = len(line) - len(line.lstrip(WHITE)) + (marker.end() if marker else 0)
            text.items += marker is not None
            read_line(text, line[skipped:], start + skipped, marker is not None)
        is_fenced ^= is_fence
        start += len(line)


# ---- the word tables ----


class Verb(NamedTuple):
    name: str
    intention: str | None


class Thing(NamedTuple):
    name: str
    group: str


class Cue(NamedTuple):
    kind: str
    tag: str
    is_anchored: bool  # "^": at the beginning of a clause only


@dataclass
class Entry:
    """What a phrase of the tables can be."""

    verb: Verb | None = None
    thing: Thing | None = None
    cues: list[Cue] = field(default_factory=list)
    roles: set[str] = field(default_factory=set)


# Cues -> candidates: kind and factor of the weight.
TOLD_BY = {
    "intention": (INTENTION, 7),
    "question": (QUESTION, 6),
    "bare": (BARE, 4),
    "fact": (FACT, 6),
    "act": (ACT, 5),
}

LATIN = ["en", "es", "fr", "de", "pt", "it"]
UNSPACED = ["zh", "ja", "thai"]
TABLES: dict[str, dict[str, Entry]] = {language: {} for language in [*LATIN, "zh", "ja"]}
INTENTIONS: dict[tuple[str, str], str] = {}  # of a verb with a thing of a group


def heads(name: str) -> list[tuple[str, str]]:
    """The lines `head: rest` of a table."""
    lines = [line for line in (LEXICON / name).read_text("utf-8").splitlines() if not line.startswith("#")]
    return [(head.strip(), rest.strip()) for head, colon, rest in (line.partition(":") for line in lines) if colon]


def entries(language: str, forms: str) -> list[tuple[Entry, bool]]:
    """The entries of `a, ^b c` in the table of a language, and whether each has its `^`."""
    found = []
    for form in filter(None, map(str.strip, forms.split(","))):
        sentences = read(form.lstrip("^")).sentences
        words = [token.word for sentence in sentences for token in sentence.tokens if token.kind != END]
        key = ("" if language in UNSPACED else " ").join(words)
        found.append((TABLES[language].setdefault(key, Entry()), form.startswith("^")))
    return found


def by_language(rest: str) -> list[tuple[Entry, bool]]:
    """The entries of `en a, b | zh c`."""
    parts = [part.strip().partition(" ") for part in rest.split("|") if part.strip()]
    return [entry for language, _, forms in parts for entry in entries(language, forms)]


def fill_tables() -> None:
    for head, rest in heads("verbs.txt"):
        name, _, intention = (part.strip() for part in head.partition("->"))
        for entry, _ in by_language(rest):
            entry.verb = entry.verb or Verb(name, intention or None)
    for head, rest in heads("objects.txt"):
        name, _, group = head.rstrip("]").partition("[")
        thing = Thing(name.strip(), group)
        for entry, _ in entries("en", name):
            entry.thing = thing  # its own name is nobody else's
        for entry, _ in by_language(rest):
            entry.thing = entry.thing or thing
    for head, rest in heads("cues.txt"):
        kind, _, tag = head.partition(" ")
        for entry, is_anchored in by_language(rest):
            entry.cues.append(Cue(kind, tag, is_anchored))
    for head, rest in heads("words.txt"):
        role, language = head.split(" ")
        for entry, _ in entries(language, rest):
            entry.roles.add(role)
    for line in (LEXICON / "intentions.txt").read_text("utf-8").splitlines():
        if not line.startswith("#") and "/" in line:
            verbs, group, intention = (part.strip() for part in re.split("[/=]", line))
            INTENTIONS.update({(verb.strip(), group): intention for verb in verbs.split(",")})


fill_tables()
NO_ENTRY = Entry()


def entry_of(language: str, phrase: str) -> Entry:
    return TABLES.get(language, {}).get(phrase, NO_ENTRY)


def intention_of(verb: Verb, thing: Thing | None) -> str | None:
    """The intention of a verb with a thing of this group, else of the verb alone."""
    return INTENTIONS.get((verb.name, thing.group), verb.intention) if thing else verb.intention


# ---- the language ----

# Other scripts, the first that has a quarter of the letters and more than one.
OTHERS = {
    "hangul": "korean",
    "cyrillic": "russian",
    "arabic": "arabic",
    "hebrew": "hebrew",
    "greek": "greek",
    "devanagari": "hindi",
    "thai": "thai",
}
SAMPLE = 80  # words looked at to tell Latin languages apart


def language_of(text: Text) -> str:
    """The code (or, without tables, the name) of a text's language: by script, then by its function words."""
    letters = text.letters
    if (letters["han"] + letters["kana"]) * 6 > letters["latin"]:
        return "ja" if letters["kana"] * 8 > letters["han"] else "zh"
    for name, language in OTHERS.items():
        if letters[name] > 1 and letters[name] * 3 > letters["latin"]:
            return language
    words = [token.word for token in text.tokens(WORD)][:SAMPLE]

    def surely(language: str, word: str) -> int:
        """2 for a function word or a verb of the language, 1 for another word of its tables, 0 for no word of it."""
        entry = entry_of(language, word)
        if entry.verb or "stop" in entry.roles:
            return 2
        return 1 if entry.thing or entry.cues else 0

    return max(LATIN, key=lambda language: sum(surely(language, word) for word in words))  # English in doubt
