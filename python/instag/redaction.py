"""What is taken out of queries before they are sent: addresses, numbers and keys, or what patterns of your own find.

The patterns here read a text in linear time, whatever it holds: repetitions are bounded or begin where a run begins, no
two of them in a row can take the same characters, and what a pattern can't say (check digits, whether groups of hex
make an address) is left to a check of what was found. For that a number of any length is one match.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from instag.errors import ConfigError

COMMON = "common"

_OWN = "REDACTED"
_CARD_DIGITS = range(13, 20)


@dataclass(frozen=True)
class Kind:
    """One kind of secret: what stands in its place, what finds it, and which parts of a match are one."""

    name: str
    pattern: re.Pattern[str]
    spans: Callable[[str], Iterable[tuple[int, int]]] | None = None


class Redactor:
    """Puts `[NAME]` where one of its kinds is found; `redact` gives the text and how many of each it replaced.

    >>> Redactor(COMMON_KINDS).redact("Mail jo@example.org or call +1 (555) 010-9999, not 3.14159")
    ('Mail [EMAIL] or call [PHONE], not 3.14159', Counter({'EMAIL': 1, 'PHONE': 1}))
    """

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self.kinds = tuple(kinds)

    @property
    def identity(self) -> list[str]:
        """Its patterns, each behind what it puts there."""
        return [f"{kind.name} {kind.pattern.pattern}" for kind in self.kinds]

    def redact(self, text: str) -> tuple[str, Counter[str]]:
        """The text without what is to stay here, and how often each kind was found."""
        found: Counter[str] = Counter()
        for kind in self.kinds:
            mark = f"[{kind.name}]"
            if kind.spans is None:
                text, count = kind.pattern.subn(mark, text)
            else:
                text, count = _replaced(text, kind.pattern, kind.spans, mark)
            if count:
                found[kind.name] += count
        return text, found


def open_redactor(redact: str | Path) -> Redactor:
    """`common`, or a UTF-8 file with one regular expression a line; blank lines and those with `#` first are skipped.

    What a pattern of a file finds becomes `[REDACTED]`. Raises `ConfigError` with file and line for what is no regular
    expression, and for one that finds the empty text.
    """
    if str(redact) == COMMON:
        return Redactor(COMMON_KINDS)
    try:
        lines = Path(redact).read_bytes().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"the patterns `{redact}` are not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}",
            hint="save the file as UTF-8",
        ) from None
    except OSError as error:
        raise ConfigError(
            f"the patterns `{redact}` can't be read: {(error.strerror or str(error)).lower()}",
            hint="`--redact` takes `common`, or a file with one regular expression a line",
        ) from None
    kinds = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            pattern = re.compile(line)
        except (re.error, OverflowError, RecursionError) as error:
            raise ConfigError(
                f"{redact}:{number}: no regular expression: {error}",
                hint="one Python regular expression a line; comments begin with `#`",
            ) from None
        if pattern.search("") is not None:
            raise ConfigError(
                f"{redact}:{number}: `{line}` finds the empty text", hint="it would stand between all characters"
            )
        kinds.append(Kind(_OWN, pattern))
    if not kinds:
        raise ConfigError(f"`{redact}` holds no patterns", hint="one regular expression a line")
    return Redactor(kinds)


def _replaced(
    text: str, pattern: re.Pattern[str], spans: Callable[[str], Iterable[tuple[int, int]]], mark: str
) -> tuple[str, int]:
    pieces, end, count = [], 0, 0
    for match in pattern.finditer(text):
        for first, last in spans(match.group()):
            pieces += [text[end : match.start() + first], mark]
            end, count = match.start() + last, count + 1
    return ("".join([*pieces, text[end:]]), count) if count else (text, 0)


def _cards(run: str) -> Iterable[tuple[int, int]]:
    """The numbers with right check digits in digits and separators; each is made of whole groups."""
    groups = [(match.start(), match.group()) for match in re.finditer(r"[0-9]+", run)]
    at = 0
    while at < len(groups):
        digits, best = "", None
        for end in range(at, len(groups)):
            digits += groups[end][1]
            if len(digits) >= _CARD_DIGITS.stop or (end > at and not _are_parts(groups[at][1], groups[end][1])):
                break
            if len(digits) in _CARD_DIGITS and digits[0] in "23456" and _has_check_digit(digits):
                best = end
        if best is None:
            at += 1
            continue
        yield groups[at][0], groups[best][0] + len(groups[best][1])
        at = best + 1


def _are_parts(*groups: str) -> bool:
    """Whether groups of digits are as long as those that a card's number is written in."""
    return all(3 <= len(group) <= 6 for group in groups)


def _has_check_digit(digits: str) -> bool:
    """Luhn's rule, which cards of all issuers keep."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return len(set(digits)) > 1 and (sum(doubled) + sum(map(int, digits[-1::-2]))) % 10 == 0


def _addresses(found: str) -> Iterable[tuple[int, int]]:
    """An IPv6 address; not the colons of a slice, of `std::string`, or of a time."""
    for text in (found, found.removesuffix(":")):
        groups = [group for group in text.split("%")[0].split(":") if group]
        try:
            ipaddress.IPv6Address(text)
        except ValueError:
            continue
        if len(groups) > 2 or (groups and re.fullmatch(r"(?=.*[0-9]).{4}", groups[0])):
            yield 0, len(text)
        return


def _phones(found: str) -> Iterable[tuple[int, int]]:
    if 9 <= sum(char.isdigit() for char in found) <= 15:
        yield 0, len(found)


_LOCAL = r"A-Za-z0-9À-ɏ._%+'"
_DOMAIN = r"(?:[A-Za-z0-9À-ɏ-]+\.)+[A-Za-zÀ-ɏ][A-Za-z0-9À-ɏ-]+"
_KEYS = (
    r"(?:sk|pk|rk|gsk|xai|key)-(?=[A-Za-z_-]{0,99}[0-9])[A-Za-z0-9_-]{16,}",
    r"(?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{16,}",
    r"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}|glpat-[A-Za-z0-9_-]{20,}|gsk_[A-Za-z0-9]{20,}",
    r"(?:AKIA|ASIA)[0-9A-Z]{16}(?![0-9A-Za-z])|AIza[A-Za-z0-9_-]{35}|hf_[A-Za-z0-9]{30,}",
    r"xox[abeoprs]-[A-Za-z0-9-]{10,}",
    r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    r"[Bb]earer [A-Za-z0-9._~+/-]{20,}=*",
)

# In this order: a key may hold what looks like a number, an address like a domain.
COMMON_KINDS = (
    Kind(
        "KEY",
        re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[A-Za-z0-9+/=\s\\]*(?:-----END [A-Z ]{0,30}KEY-----)?"),
    ),
    Kind("KEY", re.compile(rf"(?<![A-Za-z0-9_-])(?:{'|'.join(_KEYS)})")),
    Kind("KEY", re.compile(r"(?<=://)[^\s/@:\[\]]{1,200}:[^\s/@]{1,200}(?=@)")),
    Kind("EMAIL", re.compile(rf"(?<![{_LOCAL}-])[{_LOCAL}-]+@{_DOMAIN}(?:[{_LOCAL}-]*@{_DOMAIN})*")),
    Kind("CARD", re.compile(r"(?<![A-Za-z0-9_.])[0-9](?:[ -]?[0-9])*"), _cards),
    Kind(
        "IP",
        re.compile(
            r"(?<![0-9A-Za-z.])(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\.){3}"
            r"(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(?![0-9A-Za-z_]|\.[0-9])"
        ),
    ),
    Kind(
        "IP",
        re.compile(r"(?<![0-9A-Za-z_:.])[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]{1,40}(?:%[A-Za-z0-9]{1,15})?(?![0-9A-Za-z_:])"),
        _addresses,
    ),
    Kind("PHONE", re.compile(r"(?<![A-Za-z0-9_+])(?:\+|00)[1-9](?:[ ().\-/]{0,2}[0-9]){7,14}(?![0-9])")),
    Kind(
        "PHONE",
        re.compile(
            r"(?<![A-Za-z0-9_.\-])(?:1[ .-]?)?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])[0-9]{3}[ .-][0-9]{4}"
            r"(?![A-Za-z0-9_])"
        ),
    ),
    Kind("PHONE", re.compile(r"(?<![A-Za-z0-9_.])1[3-9][0-9](?:[ -]?[0-9]{4}){2}(?![A-Za-z0-9_]|\.[0-9])")),
    Kind(
        "PHONE",
        re.compile(
            r"(?<![A-Za-z0-9_.\-/])(?:0[1-9][0-9]{0,3}|\(0[1-9][0-9]{0,3}\))(?:[ /-]{1,3}[0-9]{2,8}){1,5}"
            r"(?![A-Za-z0-9_]|\.[0-9])"
        ),
        _phones,
    ),
)
