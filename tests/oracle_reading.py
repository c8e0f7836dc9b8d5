"""Reading again, slow and obvious: Python's `json` and the rules of docs/reading.md, one record at a time."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import xxhash

ANSWERS = (
    "response responses output outputs completion completions answer answer1 answer2 answers solution "
    "canonical_solution target targets"
).split()
MEDIA = "image images image_bytes audio audios video videos files".split()
CHATS = "messages conversations conversation dialogue dialog chosen_messages".split()
EXTRAS = "tool_calls function_call images audio videos reasoning_content attachments".split()
ROLES = {
    "u": "user human prompter customer",
    "a": "assistant gpt model bot ai chatgpt bing bard",
    "s": "system developer",
    "c": "function_call tool_call",
    "o": "observation tool function function_response tool_response",
}


class RejectedError(Exception):
    pass


class Number(str):
    """A number by its text."""


class Members(list[tuple[str, Any]]):
    """An object as its members, in order, repeats included."""

    def get(self, *names: str) -> Any:
        found = None
        for key, value in self:
            if key.lower() in names and value is not None:
                found = value
        return found

    def first(self, *names: str) -> Any:
        return next((value for name in names if (value := self.get(name)) is not None), None)


Extras = Sequence[tuple[str, Any]]  # what a message holds beside its text, by name


@dataclass
class Sample:
    queries: list[str] = field(default_factory=list)
    canon: bytearray = field(default_factory=bytearray)
    messages: list[tuple[str, str, Extras, str]] = field(default_factory=list)  # role, text, extras, name
    first_answer_alone: bool = False  # of several texts that answer one question

    def message(self, role: str, text: str, extras: Extras = (), name: str = "") -> None:
        self.messages.append((role, text, extras, name))
        if text or extras:
            self.canon += role.encode() + (pack(name) if role == "r" else b"")
            self.canon += b"t" + pack(text) if text else b""
            self.canon += b"".join(b"x" + canonical(value) for _, value in extras) + b"."
        if role == "u" and text.strip(WHITE):
            self.queries.append(text)

    @property
    def id(self) -> str:
        return xxhash.xxh3_128_hexdigest(bytes(self.canon))


# Unicode's White_Space, which Python's own `strip` takes a few controls too far.
WHITE = "\t\n\x0b\x0c\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"


def pack(text: str) -> bytes:
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise RejectedError("lone surrogate") from None
    return struct.pack("<Q", len(data)) + data


def canonical(value: Any) -> bytes:
    if value is None:
        return b"0"
    if isinstance(value, bool):
        return b"t" if value else b"f"
    if isinstance(value, Number):
        return b"n" + pack(value)
    if isinstance(value, str):
        return b"s" + pack(value)
    if isinstance(value, Members):
        return b"{" + b"".join(canonical(k) + canonical(v) for k, v in value if v is not None) + b"}"
    return b"[" + b"".join(map(canonical, value)) + b"]"


def parse(text: str) -> Any:
    def constant(name: str) -> Number:
        return Number(name)

    try:
        return json.loads(
            text, object_pairs_hook=Members, parse_int=Number, parse_float=Number, parse_constant=constant
        )
    except (ValueError, RecursionError) as error:
        raise RejectedError(str(error)) from None


def is_text(value: Any) -> bool:
    return isinstance(value, str) and not isinstance(value, Number)


def is_list(value: Any) -> bool:
    return isinstance(value, list) and not isinstance(value, Members)


def text_of(value: Any) -> str:
    if not is_text(value):
        raise RejectedError("expected text")
    pack(value)
    return str(value)


def beside(text: str, more: Any) -> str:
    added = text_of(more)
    if not text:
        return added
    return f"{text}\n{added}" if added.strip(WHITE) else text


def schema_of(record: Any) -> str:
    if is_list(record):
        return schema_of(Members([("messages", record)]))
    if is_text(record):
        return "text"
    if not isinstance(record, Members):
        raise RejectedError("expected an object")
    chosen, chat = record.get("chosen"), chat_of(record)
    if (chosen is not None and (is_text(chosen) or isinstance(chosen, list))) or (
        record.get("rejected", "rejected_messages") is not None and chat is not None
    ):
        return "preference"
    if chat is not None:
        first = chat[0] if isinstance(chat, list) and chat else None
        return "sharegpt" if isinstance(first, Members) and any(k == "from" for k, _ in first) else "messages"
    if record.get("instances") is not None or is_list(record.get("instructions")):
        return "instances"
    if is_list(record.get("turns")) or (is_list(record.get("data")) and any(map(is_text, record.get("data")))):
        return "turns"
    if record.get("instruction", "instructions") is not None:
        return "alpaca"
    if record.get("query") is not None or (
        record.get("prompt") is not None and record.get("question", "problem") is None
    ):
        return "prompt-completion"
    if record.get("question", "problem") is not None:
        return "question-answer"
    if is_text(record.get("input", "inputs")) and record.first(*ANSWERS) is not None:
        return "prompt-completion"
    if the_text(record) is not None:
        return "text"
    raise RejectedError("no schema fits")


def chat_of(record: Members) -> Any:
    found: Any = None
    for key, value in record:
        if key.lower() in CHATS and value is not None and (not is_list(found) or is_list(value)):
            found = value
    return found


def the_text(record: Members) -> Any:
    found = record.get("text")
    for key, value in record:
        if found is None and key.lower() in ("content", "document", "sentence") and value is not None:
            found = value
    if found is None and len(record) == 1 and is_text(record[0][1]):
        found = record[0][1]
    return found


def refused(record: Any) -> bool:
    if not isinstance(record, Members):
        return False
    names = {key.lower() for key, value in record if value is not None}
    return "prompt_template" in names or {"custom_id", "response"} <= names or {"answer_id", "choices"} <= names


def read(text: str, schema: str | None = None, sample: Sample | None = None) -> tuple[str, list[str], str]:
    """(schema, queries, id in hex) of one record; raises `RejectedError`. What was read stays in `sample`."""
    sample = sample or Sample()
    record = parse(text)
    if schema is None and refused(record):
        raise RejectedError("refused")
    schema = schema or schema_of(record)
    if is_list(record):
        record = Members([("messages", record)])
    elif is_text(record):
        record = Members([("text", record)])
    elif not isinstance(record, Members):
        raise RejectedError("expected an object")
    if schema != "instances":
        system = record.get("system", "system_prompt", "system_message")
        if is_text(system):
            sample.message("s", text_of(system))
        history = record.get("history")
        for pair in history if is_list(history) else []:
            if is_list(pair):
                read_chat(sample, pair)
    if schema in ("messages", "sharegpt"):
        read_chat(sample, chat_of(record))
    elif schema == "preference":
        read_preference(sample, record)
    elif schema == "turns":
        read_turns(sample, record)
    elif schema == "instances":
        read_instances(sample, record)
    else:
        ask(sample, record, schema)
        for answer in answers(record):
            reply(sample, answer)
    for name in MEDIA:
        value = record.get(name)
        if value is not None and value != [] and not (is_text(value) and not value.strip(WHITE) and "\\" not in value):
            sample.canon += b"m" + canonical(value)
    if not sample.queries:
        raise RejectedError("no user text")
    return schema, sample.queries, sample.id


def answers(record: Members) -> list[Any]:
    found = [value for name in ANSWERS if (value := record.get(name)) is not None]
    names = [name for name in ANSWERS if record.get(name) is not None]
    return found[:2] if names[:2] == ["answer1", "answer2"] else found[:1]


def ask(sample: Sample, record: Members, schema: str) -> None:
    instruction = record.get("instruction")
    instruction = record.get("instructions") if instruction is None else instruction
    the_input = record.get("input", "inputs")
    prompt = next((v for v in (record.get("query"), record.get("prompt"), the_input) if v is not None), None)
    context = record.get("context")
    question = record.get("question", "problem")
    by_schema = {
        "alpaca": (instruction, context if the_input is None else the_input, "instruction"),
        "prompt-completion": (prompt, None, "prompt"),
        "question-answer": (question, context, "question"),
        "text": (the_text(record), None, "text"),
    }
    if schema not in by_schema:
        schema = (
            "alpaca"
            if instruction is not None
            else "prompt-completion"
            if prompt is not None
            else "question-answer"
            if question is not None
            else "text"
        )
    asked, more, name = by_schema[schema]
    if asked is None:
        raise RejectedError("missing")
    if is_list(asked) and name in ("prompt", "question"):
        read_chat(sample, asked)
        return
    text = text_of(asked)
    sample.message("u", text if more is None else beside(text, more))


def read_chat(sample: Sample, chat: Any) -> None:
    if not is_list(chat):
        raise RejectedError("expected a list of turns")
    for at, turn in enumerate(chat):
        if is_text(turn):
            sample.message("ua"[at % 2], text_of(turn))
        else:
            read_turn(sample, turn)


def read_turn(sample: Sample, turn: Any) -> None:
    if not isinstance(turn, Members):
        raise RejectedError("expected an object")
    role: Any = None
    content: Any = None
    speaker = False
    extras: list[tuple[str, Any]] = []
    for key, value in turn:
        if value is None:
            continue
        if key in ("role", "from"):
            role = value
        elif key == "speaker":
            role, speaker = value, True
        elif key in ("content", "value", "utterance", "text", "parts"):
            content = value
        elif key in EXTRAS and not is_empty(value):
            extras.append((key, value))
    if not is_text(role):
        raise RejectedError("no role")
    name = text_of(role)
    name = "".join(c.lower() if c.isascii() else c for c in name)
    letter = next((letter for letter, names in ROLES.items() if name in names.split()), "r")
    if speaker and name == "system":
        letter = "a"
    text = ""
    if is_text(content):
        text = text_of(content)
    elif isinstance(content, Members):
        text, more = part(content, text)
        extras += more
    elif is_list(content):
        for item in content:
            if isinstance(item, Members):
                text, more = part(item, text)
                extras += more
            elif item is not None:
                text = beside(text, item)
    elif content is not None:
        raise RejectedError("expected text")
    sample.message(letter, text, extras, name)


def is_empty(value: Any) -> bool:
    return value == [] or (is_text(value) and not value.strip(WHITE))


def part(members: Members, text: str) -> tuple[str, Extras]:
    kind, found = None, None
    for key, value in members:
        if value is None:
            continue
        if key == "type":
            kind = value
        elif key == "text" or (key in ("value", "content") and found is None):
            found = value
    if found is not None and kind in (None, "text", "input_text", "output_text"):
        return beside(text, found), []
    return text, [("part", members)]


def reply(sample: Sample, value: Any) -> None:
    if is_list(value):
        several = all(map(is_text, value)) and sample.first_answer_alone
        for item in value[:1] if several else value:
            reply(sample, item)
    elif isinstance(value, Members):
        if any(key in ("role", "from") for key, _ in value):
            read_turn(sample, value)
        else:
            sample.message("a", "", [("part", value)])
    elif isinstance(value, bool):
        sample.message("a", "true" if value else "false")
    elif isinstance(value, str):
        pack(value)
        sample.message("a", str(value))


def is_user_turn(turn: Any) -> bool:
    return isinstance(turn, Members) and any(
        key in ("role", "from") and is_text(role) and role.lower() in ROLES["u"].split() for key, role in turn
    )


def read_preference(sample: Sample, record: Members) -> None:
    chosen, chat = record.get("chosen"), chat_of(record)
    if chosen is None:
        read_chat(sample, chat)
        return
    names = ("instruction", "instructions", "query", "prompt", "question", "problem", "input", "inputs")
    asked = any(record.get(name) is not None for name in names)
    asked = asked or any(record.get(name) is not None for name in ("text", "content", "document", "sentence"))
    if chat is None and is_text(chosen) and not asked:
        read_marked(sample, text_of(chosen))
        return
    if chat is not None:
        read_chat(sample, chat)
    elif not (is_list(chosen) and any(map(is_user_turn, chosen))):
        ask(sample, record, "preference")
    if is_list(chosen):
        read_chat(sample, chosen)
    elif isinstance(chosen, Members):
        read_turn(sample, chosen)
    else:
        reply(sample, chosen)


def read_marked(sample: Sample, text: str) -> None:
    pieces = text.replace("\n\nHuman:", "\0\0u").replace("\n\nAssistant:", "\0\0a").split("\0\0")
    if len(pieces) < 2:
        raise RejectedError("no prompt")
    for piece in pieces[1:]:
        sample.message(piece[0], piece[1:].strip(WHITE))


def read_turns(sample: Sample, record: Members) -> None:
    turns = record.get("turns")
    if turns is None:
        read_chat(sample, record.get("data"))
    elif is_list(turns) and turns and is_text(turns[0]):
        for turn in turns:
            sample.message("u", text_of(turn))
    else:
        read_chat(sample, turns)


def read_instances(sample: Sample, record: Members) -> None:
    instances, instructions = record.get("instances"), record.get("instructions")
    if not instances or not isinstance(instances, list):
        instances = instructions if instructions is not None else instances
    if not is_list(instances):
        raise RejectedError("expected a list")
    for instance in instances:
        if is_text(instance):
            instance = Members([("instruction", instance)])
        if not isinstance(instance, Members):
            raise RejectedError("expected an object")
        instruction = instance.get("instruction")
        instruction = record.get("instruction") if instruction is None else instruction
        text = "" if instruction is None else text_of(instruction)
        the_input = instance.get("input", "inputs")
        sample.message("u", text if the_input is None else beside(text, the_input))
        for answer in answers(instance):
            reply(sample, answer)


# ---- around the records ----


def layout_of(text: str) -> str | None:
    """How the records of a whole file lie: a first line that is a value means lines, but for an array alone."""

    def is_value(part: str) -> bool:
        try:
            json.loads(part)
        except ValueError:
            return False
        return True

    text = text.strip(" \t\r\n")
    line, _, more = text.partition("\n")
    if text[:1] == "[":
        return "lines" if is_value(line) and more.strip(" \t\r\n") else "array"
    if text[:1] == "" or (not is_value(line) and text[0] != "{"):
        return None
    if is_value(line):
        return "lines"
    try:
        json.JSONDecoder().raw_decode(text)
    except ValueError:
        return "lines"
    return "values"


def list_of_records(text: str) -> list[Any] | None:
    """The one list of objects in a file that is one object without a schema; None where it has one, or is none."""
    try:
        record = parse(text)
    except RejectedError:
        return None
    if not isinstance(record, Members) or refused(record):
        return None
    try:
        schema_of(record)
    except RejectedError:
        lists = [value for _, value in record if is_list(value) and value and isinstance(value[0], Members)]
        if len(lists) != 1:
            raise
        return list(lists[0])
    return None


def tags_of(text: str, member: str) -> list[str]:
    """The tags of a record that is tagged already: strings, or the `tag` of objects; nulls are none."""
    record = parse(text)
    if not isinstance(record, Members) or all(key != member for key, _ in record):
        raise RejectedError("no member")
    tags = [value for key, value in record if key == member][-1]
    if tags is not None and not is_list(tags):
        raise RejectedError("no list")
    found = []
    for tag in tags or []:
        if isinstance(tag, Members):
            named = [value for key, value in tag if key == "tag"]
            found.append(text_of(named[-1] if named else None))
        elif tag is not None:
            found.append(text_of(tag))
    return found
