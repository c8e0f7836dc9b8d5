"""JSON as models write it: one value, read with the slips they make, or refused.

Tolerated: single and curly quotes, keys without quotes, raw line breaks, unknown escapes, quotes inside a string that
were not escaped, Python's `None`, trailing commas, a comma missing between objects, closing brackets missing at the
very end. A string ends at a quote only where the structure goes on behind it, and a value that runs into what looks
like a key, or a key given twice, is broken: better no value than two values in one.
"""

from __future__ import annotations

import re
from typing import Any

_DEPTH = 8
_SPACE = re.compile(r"\s*")
_OPENING = {'"': '"', "'": "'", "“": "”"}
_STOPS = {closing: re.compile(rf"[{closing}\\]") for closing in _OPENING.values()}
_BARE_KEY = re.compile(r"([A-Za-z_]\w{0,40})\s*:")
_KEY = re.compile(r"[\w \-]{1,40}")
_WORD = re.compile(r"-?\d[\d.eE+-]*|true|false|null|True|False|None")
_WORDS = {"true": True, "True": True, "false": False, "False": False}
_KEY_END = re.compile(r"\s*:")
_VALUE_END = re.compile(r"""\s*(?:[}\]]|,\s*(?:["'“{\[}\]]|[A-Za-z_]\w*\s*:|\Z)|\Z)""")
_ESCAPE = re.compile(r"""\\(?:u[0-9a-fA-F]{4}|[^u])""", re.DOTALL)
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"} | {char: char for char in "\"'\\/“”"}


class Stopped(Exception):  # noqa: N818 - not an error of anybody's, a place
    """The text stops being a value: it is `cut` off, or broken. `items` were complete in the list it happened in."""

    def __init__(self, *, cut: bool, items: list[Any] | None = None) -> None:
        super().__init__("cut" if cut else "broken")
        self.cut = cut
        self.items: list[Any] = items or []


class Scanner:
    r"""Reads one value from `text` at `at`; `value()` leaves `at` behind it, or raises `Stopped`.

    `steps` bounds the work over all values read with one scanner: a hostile text is broken, not slow.

    >>> Scanner("[{'tag': 'It's \"C\"',},] and more", 0).value()
    [{'tag': 'It\'s "C"'}]
    """

    def __init__(self, text: str, at: int, *, steps: int = 100_000) -> None:
        self.text = text
        self.at = at
        self.steps = steps

    def value(self, depth: int = 0) -> Any:
        opening = self._peek()
        if depth > _DEPTH:
            raise Stopped(cut=False)
        if opening == "[":
            return self._list(depth)
        if opening == "{":
            return self._object(depth)
        if opening in _OPENING:
            return self._string(_VALUE_END)
        word = _WORD.match(self.text, self.at)
        if word is None:
            raise Stopped(cut=opening == "")
        self.at = word.end()
        return _WORDS.get(word.group(), None if word.group()[0] in "nN" else 0)

    def _peek(self) -> str:
        """The next character that is no space; "" at the end."""
        self.steps -= 1
        if self.steps < 0:
            raise Stopped(cut=False)
        self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]
        return self.text[self.at : self.at + 1]

    def _list(self, depth: int) -> list[Any]:
        items: list[Any] = []
        self.at += 1
        comma = True
        try:
            while (following := self._peek()) != "]":
                if following == "":
                    if comma:
                        raise Stopped(cut=True)
                    return items  # only the bracket is missing
                if not comma and following != "{":
                    raise Stopped(cut=False)
                items.append(self.value(depth + 1))
                comma = self._peek() == ","
                self.at += comma
        except Stopped as stop:
            raise Stopped(cut=stop.cut, items=items or stop.items) from None
        self.at += 1
        return items

    def _object(self, depth: int) -> dict[str, Any]:
        pairs: dict[str, Any] = {}
        self.at += 1
        comma = True
        last: Any = None
        while (following := self._peek()) != "}":
            if following == "":
                if not comma and depth == 0 and isinstance(last, list):
                    return pairs  # {"tags": [...] without its last bracket
                raise Stopped(cut=True)
            if not comma:
                raise Stopped(cut=False)
            key = self._key(following)
            if key in pairs:
                raise Stopped(cut=False)
            pairs[key] = last = self.value(depth + 1)
            comma = self._peek() == ","
            self.at += comma
        self.at += 1
        return pairs

    def _key(self, following: str) -> str:
        if following in _OPENING:
            key = self._string(_KEY_END)
            if not _KEY.fullmatch(key):
                raise Stopped(cut=False)
            if self._peek() != ":":
                raise Stopped(cut=self.at >= len(self.text))
            self.at += 1
            return key
        bare = _BARE_KEY.match(self.text, self.at)
        if bare is None:
            raise Stopped(cut=False)
        self.at = bare.end()
        return bare.group(1)

    def _string(self, end: re.Pattern[str]) -> str:
        closing = _OPENING[self.text[self.at]]
        stops = _STOPS[closing]
        start = at = self.at + 1
        while True:
            self.steps -= 1
            stop = stops.search(self.text, at)
            if stop is None:
                raise Stopped(cut=True)
            if stop.group() == "\\":
                at = stop.end() + 1
                continue
            quote, at = stop.span()
            if end.match(self.text, at):
                break
            if self.steps < 0 or end is _KEY_END or _KEY_END.match(self.text, at):
                raise Stopped(cut=end is _KEY_END and at >= len(self.text))
        self.at = at
        return _ESCAPE.sub(_unescape, self.text[start:quote])


def _unescape(match: re.Match[str]) -> str:
    r"""The character of an escape; an unknown escape (LaTeX's `\alpha`) stays as it is."""
    escape = match.group()[1:]
    return chr(int(escape[1:], 16)) if escape[0] == "u" else _ESCAPED.get(escape, match.group())
