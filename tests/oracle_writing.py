"""Writing again, slow and obvious: a record on one line, and any schema as one list of messages."""

from __future__ import annotations

import json
import re
from typing import Any

from oracle_reading import Members, Number, RejectedError, Sample, is_list, is_text, parse, read

MEDIA = "images image audios audio videos video image_bytes".split()
ROLES = {"s": "system", "u": "user", "a": "assistant", "c": "assistant", "o": "tool"}


def compact(text: str) -> str:
    """JSON without the white space between its parts; strings and numbers keep their text."""
    return re.sub(r'("(?:[^"\\]|\\.)*")|[ \t\r\n]+', lambda found: found[1] or "", text)


def annotated(text: str, note: str) -> str:
    """The record with the note as its member `instag`, in place of an older one, as compact JSON of plain members."""
    record = parse(text)
    members = [(key, value) for key, value in record if key != "instag"] if isinstance(record, Members) else None
    before = [("record", record)] if members is None else members
    return dumped(Members([*before, ("instag", parse(note))]))


def dumped(value: Any) -> str:
    """A parsed value as compact JSON, numbers by their text."""
    if isinstance(value, Members):
        return "{" + ",".join(f"{dumped(key)}:{dumped(member)}" for key, member in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dumped, value)) + "]"
    return str(value) if isinstance(value, Number) else json.dumps(value)


def member(value: Any, *names: str) -> Any:
    """The last member of the first of these names that has one that is not null."""
    for name in names:
        found = [inner for key, inner in value if key == name and inner is not None] if is_object(value) else []
        if found:
            return found[-1]
    return None


def is_object(value: Any) -> bool:
    return isinstance(value, Members)


def as_text(value: Any) -> str:
    """A text as it is, anything else as JSON: so a column of it has one type."""
    return str(value) if is_text(value) else dumped(value)


def call(value: Any) -> Any:
    """A tool call in the form of OpenAI's API; what has no name stays as it is."""
    inner = member(value, "function")
    inner = value if inner is None else inner
    name, id_ = member(inner, "name"), member(value, "id")
    if not is_text(name):
        return value
    arguments = member(inner, "arguments", "parameters")
    function = Members([("name", name), ("arguments", "{}" if arguments is None else as_text(arguments))])
    return Members([("type", "function"), *([] if id_ is None else [("id", id_)]), ("function", function)])


def message(role: str, text: str, extras: Any, name: str) -> Members | None:
    """One message; None where it would hold nothing."""
    if role == "c":  # a call may stand in the text
        try:
            found = parse(text)
        except RejectedError:
            found = None
        if isinstance(found, list):
            text, extras = "", [*extras, ("tool_calls", found)]
    calls, parts = [], []
    for kind, value in extras:
        if kind in ("tool_calls", "function_call"):
            calls += [call(one) for one in (value if kind == "tool_calls" and is_list(value) else [value])]
        else:
            parts.append(value)
    if not (text or calls or parts):
        return None
    made = Members([("role", ROLES.get(role, name)), ("content", text)])
    made += [("tool_calls", calls)] if calls else []
    made += [("attachments", dumped(parts))] if parts else []
    return made


def messages(text: str, schema: str | None = None) -> Members:
    """`{"messages": [...], "tools"?, media?}` of one record in any schema; raises `RejectedError`."""
    sample, record = Sample(first_answer_alone=True), parse(text)
    read(text, schema, sample)
    line = Members([("messages", [made for turn in sample.messages if (made := message(*turn)) is not None])])
    tools = member(record, "tools", "functions")
    line += [] if tools is None else [("tools", as_text(tools))]
    line += [(name, value) for name in MEDIA if (value := member(record, name)) is not None]
    return line
