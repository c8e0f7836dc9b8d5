"""One text for spellings of a tag that look alike, and one writing for words that a script writes in two ways."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

HAN = Path(__file__).parents[1] / "rust" / "han.txt"


def table(name: str) -> dict[str, str]:
    lines = [line.split(": ") for line in HAN.read_text("utf-8").splitlines() if ": " in line and line[0] != "#"]
    return {pair[0]: pair[1] for head, pairs in lines if head == name for pair in pairs.split()}


SIMPLE, COMMON = table("simple"), table("common")
SIMPLIFIED = set(SIMPLE.values())
UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u0640\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200c-\u200f\u202a-\u202e\u2060-\u206f"
    "\ufe00-\ufe0f\ufeff\U000e0001\U000e0020-\U000e007f\U000e0100-\U000e01ef]"
)
DIGITS = """ARABIC-INDIC EXTENDED NKO DEVANAGARI BENGALI GURMUKHI GUJARATI ORIYA TAMIL TELUGU KANNADA MALAYALAM THAI LAO
TIBETAN MYANMAR KHMER MONGOLIAN""".split()


def unified(word: str) -> str:
    """Traditional letters as simplified, Persian kaf and ya as Arabic, digits as 0 to 9; サーバー as サーバ."""
    if not any(char in SIMPLE or char in COMMON for char in word):
        return re.sub("^(.{2,}[\u30a1-\u30fa])\u30fc$", r"\1", "".join(map(letter, word)))
    if len(word) == 1 or any("\u3041" <= char <= "\u30ff" or char in SIMPLIFIED for char in word):
        return word  # Japanese
    return "".join((SIMPLE | COMMON).get(char, char) for char in word)


def letter(char: str) -> str:
    if char.isdecimal() and re.fullmatch(f"({'|'.join(DIGITS)})( ARABIC-INDIC)? DIGIT [A-Z]+", unicodedata.name(char)):
        return str(unicodedata.decimal(char))
    return {"\u06a9": "\u0643", "\u06cc": "\u064a"}.get(char, char)


def folded(tag: str) -> str:
    """NFKC without what nobody sees, full case folding, NFKC again."""
    return unicodedata.normalize("NFKC", UNSEEN.sub("", unicodedata.normalize("NFKC", tag)).casefold())
