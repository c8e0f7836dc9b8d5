"""Every kernel again, slow and obvious: plain Python over lists, no numpy. Tests hold the fast ones equal to these."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable

# ---- tag tables ----


def intern(rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """(vocabulary by count descending, then bytewise; rows without repeats)."""
    rows = [list(dict.fromkeys(row)) for row in rows]
    counts = Counter(tag for row in rows for tag in row)
    return sorted(counts, key=lambda tag: (-counts[tag], tag.encode())), rows


# ---- normalize: rule forms ----

PROTECTED = ["c++", "g++", "notepad++", "a#", "c#", "d#", "f#", "g#", "j#", "q#", ".net", "a*", "b*", "a+", "b+"]


def porter(word: str) -> str:
    """NLTK itself."""
    from nltk.stem.porter import PorterStemmer

    return str(PorterStemmer().stem(word))


def is_uninflected(word: str) -> bool:
    """Whether a char is of a script whose words have no endings, by its Unicode name."""
    scripts = ["THAI", "LAO", "TIBETAN", "MYANMAR", "KHMER", "HIRAGANA", "KATAKANA", "BOPOMOFO", "CJK", "HANGUL"]
    return any(unicodedata.name(char, "").split(" ")[0].split("-")[0] in scripts for char in word)


def rule_form(raw: str, stem: Callable[[str], str] = porter) -> str:
    """NFKC and folding, then char by char: protected names, words of letters, numbers and marks on them."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", raw).casefold())
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
                words.append(word if is_uninflected(word) else stem(word))
            else:
                at += 1
    return " ".join(words) or raw


def paper_form(raw: str) -> str:
    """Lower-case; a special character becomes a space; each word stemmed."""
    text = "".join(char if unicodedata.category(char)[0] in "LN" else " " for char in raw.lower())
    return " ".join(porter(word) for word in text.split())
