"""Queries that are too long for a request: cut from the middle, where a line or a word ends, and marked.

Lengths are by `estimate_tokens`, which needs no files and is the same everywhere: what is sent decides the key of the
answer. A head and a tail of equal shares stay, since people put what they want before or after what they paste.
"""

from __future__ import annotations

import unicodedata

import numpy as np

from instag.tokens import estimate_tokens

LEAST_TOKENS = 50  # the mark itself takes some 15

_MARK = "\n[... about {:,} tokens left out ...]\n"
_ASCII, _OTHER = 5, 18  # twentieths of a token: 0.25 and 0.9, as `estimate_tokens` counts
_NEAR_CHARS = 200  # how far a better place to cut may lie
_NEAR_SHARE = 5  # and at most this part of what stays
_JOINER = "\u200d"


def shorten(text: str, max_tokens: int) -> str:
    r"""The text, or its head and its tail with a mark between, of at most `max_tokens` together. Linear.

    >>> shorten("What is a monad?", 50)
    'What is a monad?'
    >>> print(shorten("Fix this:\n" + "".join(f"line {n} of a long log\n" for n in range(99)) + "It fails.", 50))
    Fix this:
    line 0 of a long log
    line 1 of a long log
    line 2 of a long log
    [... about 510 tokens left out ...]
    line 96 of a long log
    line 97 of a long log
    line 98 of a long log
    It fails.
    """
    if len(text) <= max_tokens:
        return text
    tokens = estimate_tokens(text)
    if tokens <= max_tokens:
        return text
    half = (max_tokens - estimate_tokens(_MARK.format(tokens))) * 20 // 2
    end = _head_chars(text[: half // _ASCII + 1], half)
    start = len(text) - _head_chars(text[: -half // _ASCII - 2 : -1], half)
    end = _head_end(text, end, max(0, end - min(_NEAR_CHARS, end // _NEAR_SHARE)))
    kept = len(text) - start
    start = _tail_start(text, start, min(len(text), start + min(_NEAR_CHARS, kept // _NEAR_SHARE)))
    return text[:end] + _MARK.format(estimate_tokens(text[end:start])) + text[start:]


def _head_chars(text: str, room: int) -> int:
    """How many characters from the start have at most `room` twentieths of a token."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    return int(np.searchsorted(np.cumsum(np.where(codes < 128, _ASCII, _OTHER)), room, side="right"))


def _head_end(text: str, end: int, least: int) -> int:
    """The last place from `least` to `end` before a line break, else before white space, else between characters."""
    line = text.rfind("\n", least, end + 1)
    if line >= 0:
        return line
    for at in range(end, least, -1):
        if text[at].isspace():
            return at
    return next((at for at in range(end, least, -1) if not _splits(text, at)), end)


def _tail_start(text: str, start: int, most: int) -> int:
    """The first place from `start` to `most` behind a line break, else behind white space, else between characters."""
    line = text.find("\n", start - 1, most)
    if line >= 0:
        return line + 1
    for at in range(start, most):
        if text[at - 1].isspace():
            return at
    return next((at for at in range(start, most) if not _splits(text, at)), start)


def _splits(text: str, at: int) -> bool:
    """Whether a cut before `text[at]` goes through what people see as one character."""
    before, after = text[at - 1], text[at]
    if before + after == "\r\n" or _JOINER in (before, after) or unicodedata.category(after)[0] == "M":
        return True
    code = ord(after)
    if 0x1F3FB <= code <= 0x1F3FF or 0xDC00 <= code <= 0xDFFF or 0x1160 <= code <= 0x11FF:
        return True  # tones of skin, second halves of pairs, vowels and ends of Hangul syllables
    if not _is_flag_letter(after):
        return False
    first = at
    while first > 0 and _is_flag_letter(text[first - 1]):
        first -= 1
    return (at - first) % 2 == 1


def _is_flag_letter(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"
