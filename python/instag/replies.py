"""From the raw text of a reply to tags: tolerant of form, strict about content.

A tag is only ever the string that a reply put where a tag belongs. So JSON is read with the slips models make, while
prose, numbered lists and JSON of another shape are failures with a reason: a model that answers the query instead of
tagging it (a recipe in numbered steps, people as objects with a `name`) would otherwise put its answer among the tags.

Well-formed JSON goes through `json`; only what that refuses is scanned, from each opening bracket on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from instag.scanner import Scanner, Stopped

# Enters the stage's key: what is read from the same answers changes with it, what was paid for does not.
READER = 1

# What can become of a query without tags to show. Down to `content_filter` they are read from a paid answer.
REASONS = (
    "refused",  # the model says it will not
    "not_json",  # no JSON in the reply, or broken beyond what is tolerated
    "wrong_shape",  # JSON, but not a list of tags
    "empty",  # no text at all
    "truncated",  # cut inside the list
    "content_filter",  # withheld by the endpoint
    "too_long",  # the query does not fit the model
    "timeout",  # no answer in time, after all attempts
    "provider",  # the endpoint failed or refused this request, after all attempts
)

MAX_TAG_CHARS = 200  # what is longer is a text, not a tag

Pairs: TypeAlias = tuple[tuple[str, str], ...]

_STARTS = 200  # opening brackets tried in one reply
_BRACKET = re.compile(r"[\[{]")
_FENCED = re.compile(r"```\w*\n(.*)```", re.DOTALL)
_THOUGHT = re.compile(r".*</think(?:ing)?>", re.DOTALL)
_LABEL_EDGE = re.compile(r"[\n,:;|`\"'\[\]{}()*]")
_MEMBER = re.compile(r"""["'](?:tag|label|explanation)s?["']\s*:""", re.IGNORECASE)  # a name, not a label
# Where a list of tags was meant to begin; the prompt's own template, echoed, is not one.
_TAGS_OPEN = re.compile(r"""[\[{]\s*(?:[\[{]\s*){0,2}["'“]?tags?["'”]?\s*:(?!\s*str\b)""", re.IGNORECASE)
# Left between single objects, it says that they were a list once, or that one of them is broken.
_REMAINS = re.compile(r"""[\[\]{}]|\btag["'”]?\s*:""", re.IGNORECASE)
_LINE_END = re.compile(r"[ \t]*(?:\n|\Z)")
_REFUSAL = re.compile(
    r"\W*(?:(?:i['’]?m|i am) (?:really |very |so )?(?:sorry|unable|not able)|sorry,"
    r"|i (?:can ?not|can['’]?t|won['’]?t) |as an ai\b|i apologi[sz]e|unfortunately, i "
    r"|抱歉|对不起|很抱歉|我无法|lo siento|no puedo )",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Reply:
    """What a reply says: `tags` as (tag, explanation), and the `reason` (of `REASONS`) where it can't be read.

    A `truncated` reply carries the tags that were complete when it was cut; whoever reads it decides.
    """

    tags: Pairs = ()
    reason: str | None = None


def without_thought(text: str) -> str:
    """A reply without what a model that thinks aloud says first."""
    return _THOUGHT.sub("", text, count=1) if "</think" in text else text


def is_refusal(text: str) -> bool:
    """Whether a text begins as a model's refusal does.

    >>> is_refusal("I'm sorry, but I can't assist with that request."), is_refusal("Rating: [[5]]")
    (True, False)
    """
    return _REFUSAL.match(text) is not None


def parse(text: str | None, *, finish_reason: str | None = None, refusal: str | None = None) -> Reply:
    r"""The tags of one raw reply, in its order, the first of equal tags kept. Never raises.

    Read: a list of `{"tag", "explanation"}`, a list of strings, either of them as the one list of an object
    (`{"tags": [...]}`), one such object, or one a line; bare, in a code fence, or with words around it. An empty list
    is zero tags, which is no failure; a list that lacks only its last brackets is whole.

    >>> parse('Here are the tags:\n[{"tag": "Cooking", "explanation": "asks for a recipe",},]')
    Reply(tags=(('Cooking', 'asks for a recipe'),), reason=None)
    >>> parse('[{"tag": "Cooking", "explanation": "asks"}, {"tag": "Bak')
    Reply(tags=(('Cooking', 'asks'),), reason='truncated')
    >>> parse("1. Preheat the oven")
    Reply(tags=(), reason='not_json')
    """
    if refusal:
        return Reply(reason="refused")
    if finish_reason == "content_filter":
        return Reply(reason="content_filter")
    if text is None or not text.strip():
        return Reply(reason="truncated" if finish_reason == "length" else "empty")
    text = without_thought(text)
    reply = _read_strict(text) or _read_tolerant(text)
    if finish_reason == "length":
        return Reply(reply.tags, "truncated")
    if reply.reason == "not_json" and is_refusal(text):
        return Reply(reason="refused")
    return reply


def parse_labels(
    text: str | None, labels: Collection[str], *, finish_reason: str | None = None, refusal: str | None = None
) -> Reply:
    r"""The labels of a closed set that a reply gives as items, not inside a sentence; in its order, each once.

    A list in JSON is read as by `parse`, but for the case of letters, and what it holds beside labels is left out. With
    a closed set nothing can be invented, so plain text is read too.

    >>> parse_labels("Q1: `info-seek`, coding\nQ2: hard", {"coding", "info-seek", "hard", "easy"})
    Reply(tags=(('info-seek', ''), ('coding', ''), ('hard', '')), reason=None)
    >>> parse_labels('{"tags": ["Coding", "cooking"]}', ["coding", "hard"])
    Reply(tags=(('coding', ''),), reason=None)
    """
    reply = parse(text, finish_reason=finish_reason, refusal=refusal)
    if text is None or not text.strip() or refusal or reply.reason == "content_filter":
        return reply
    if reply.tags or reply.reason is None:
        folded: dict[str, str] = {}
        if any(tag not in labels for tag, _ in reply.tags):
            folded = {label.casefold(): label for label in reversed(list(labels))}
        given = ((tag if tag in labels else folded.get(tag.casefold()), said) for tag, said in reply.tags)
        known = _distinct((label, said) for label, said in given if label is not None)
        return Reply(known, reply.reason if known or not reply.tags else "wrong_shape")
    text = _MEMBER.sub(",", without_thought(text))
    items = (item.strip(" \t.-") for item in _LABEL_EDGE.split(text))
    found = tuple((item, "") for item in dict.fromkeys(items) if item in labels)
    if reply.reason == "truncated":
        return Reply(found, "truncated")
    if found:
        return Reply(found)
    return Reply(reason="refused" if is_refusal(text) else "wrong_shape")


def _read_strict(text: str) -> Reply | None:
    """The reply where it is JSON from end to end (but for a fence) and of the right shape."""
    fenced = _FENCED.fullmatch(text.strip())
    try:
        value = json.loads(fenced.group(1) if fenced else text, strict=False, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        return None
    tags = _tags(value)
    return None if tags is None else Reply(tags)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key is given twice")  # one of the two values would be lost
    return made


def _read_tolerant(text: str) -> Reply:
    """The first list of tag objects that opens anywhere; else every single one; else one list of strings."""
    text = text.rstrip().removesuffix("```")  # where the list's last bracket is missing, the fence is not part of it
    scanner = Scanner(text, 0)
    singles: list[tuple[str, str]] = []
    strings: Pairs | None = None
    reason = "not_json"
    between = ""  # what no value took
    end = 0
    for _ in range(_STARTS):
        opening = _BRACKET.search(text, scanner.at)
        if opening is None:
            break
        start = scanner.at = opening.start()
        try:
            value = scanner.value()
        except Stopped as stop:
            # Nothing inside is read on its own: what is whole in a broken list would pass for all its tags.
            if stop.cut:
                kept = _tags(stop.items) if _has_objects(stop.items) else None
                return Reply(_distinct([*singles, *(kept or ())]), "truncated")
            if _TAGS_OPEN.match(text, start):
                return Reply(reason="not_json")
            scanner.at = opening.end()
            continue
        between += text[end:start]
        end = scanner.at
        tags = _tags(value)
        if tags is None:
            reason = "wrong_shape"
        elif isinstance(value, dict) and _tag_of(value) is not None:
            singles.extend(tags)
        elif _has_objects(value):
            return Reply(tags)
        elif strings is None and _stands_alone(text, start, end):
            strings = tags
        else:
            reason = "wrong_shape"
    if reason == "not_json" and singles and not _REMAINS.search(between + text[end:]):
        return Reply(_distinct(singles))
    return Reply(strings) if strings is not None and reason == "not_json" and not singles else Reply(reason=reason)


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether `text[start:end]` has its line to itself, or follows a colon: a list in a sentence is a quotation."""
    before = text[max(0, start - 80) : start].rstrip(" \t")
    return (not before or before[-1] in "\n:：") and _LINE_END.match(text, end) is not None


def _tags(value: Any, depth: int = 0) -> Pairs | None:
    """The tags of a value of the right shape, else None. One wrong item spoils the list: half a list is no answer."""
    if isinstance(value, dict):
        if _tag_of(value) is not None:
            value = [value]
        else:
            inner = next((value[key] for key in value if key.strip().lower() in ("tags", "tag")), None)
            if inner is None and len(value) == 1:
                inner = next(iter(value.values()))
                inner = inner if isinstance(inner, dict) or _has_objects(inner) else None
            return _tags(inner, depth + 1) if isinstance(inner, list | dict) and depth < 3 else None
    if not isinstance(value, list):
        return None
    pairs = []
    for item in value:
        tag = _tag_of(item) if isinstance(item, dict) else item
        if not isinstance(tag, str) or isinstance(item, dict) != isinstance(value[0], dict):
            return None
        tag = " ".join(clean(tag).split())
        if not tag or len(tag) > MAX_TAG_CHARS:
            return None
        pairs.append((tag, _explanation_of(item) if isinstance(item, dict) else ""))
    return _distinct(pairs)


def _tag_of(item: dict[str, Any]) -> str | None:
    tag = next((value for key, value in item.items() if key.strip().lower() == "tag"), None)
    return tag if isinstance(tag, str) else None


def _explanation_of(item: dict[str, Any]) -> str:
    found = next((value for key, value in item.items() if key.strip().lower() == "explanation"), None)
    return clean(found if isinstance(found, str) else "" if found is None else json.dumps(found, ensure_ascii=False))


def _has_objects(value: Any) -> bool:
    """Whether the list, or the list within the wrapper, holds objects."""
    while isinstance(value, dict) and value:
        value = next((inner for inner in value.values() if isinstance(inner, list | dict)), None)
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _distinct(pairs: Iterable[tuple[str, str]]) -> Pairs:
    first: dict[str, str] = {}
    for tag, explanation in pairs:
        first.setdefault(tag, explanation)
    return tuple(first.items())


def clean(text: str) -> str:
    r"""The text with surrogate pairs joined and lone surrogates (which no file can hold) replaced.

    >>> clean("\ud83d\ude00 \ud83d")
    '😀 �'
    """
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
