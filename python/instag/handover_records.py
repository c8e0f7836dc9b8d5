"""What the picked records are to a trainer: an answer to learn, a preference, a judged answer, or plain text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from instag.rows import source_records
from instag.temporary import TemporaryFolder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from instag.run import Run

MEDIA = ("images", "videos", "audios")
_ROLES = {"system", "user", "assistant", "tool"}
_PARTS = {"image": "images", "video": "videos", "audio": "audios"}
_ANSWERS = ("rejected", "rejected_messages", "rejected_response")
_CHATS = ("messages", "conversations", "conversation", "chosen_messages")


class Inexpressible(Exception):  # noqa: N818 - no error of the run: the reason why one record stays behind
    """A record that a form has no place for; the text is the reason, as `left_out` tells it."""


@dataclass(frozen=True)
class Example:
    """A record as trainers see it.

    `messages` are `{"role", "content"}`, of an assistant perhaps with `calls` (`{"name", "arguments"}`); `content`
    holds `<image>`, `<video>`, `<audio>` where one of `media` stands. A preference ends with the chosen answer and has
    the `rejected` one beside it; a judged answer has a `label`.
    """

    kind: str  # sft | preference | kto | text
    messages: list[dict[str, Any]]
    rejected: dict[str, Any] | None = None
    label: bool | None = None
    tools: str | None = None
    media: dict[str, list[str]] = field(default_factory=dict)


def picked_examples(run: Run, rows: NDArray[np.int64]) -> Iterator[Example | str]:
    """The samples `rows` as examples, in this order; a text is the reason why a record is none.

    The messages are those of `--format messages`; what these leave out (rejected answers, labels, where in a message a
    picture stands) comes from the records themselves. Memory is the text of the picks; sources are checked by digest.
    """
    from instag.writing import write_selected

    folder = TemporaryFolder()
    files, records = source_records(run, rows)
    schema = run.need("tag")["settings"].get("schema")
    for form in ("original", "messages"):
        write_selected(folder.path / form, files, records, rows, format=form, schema=schema)
    with open(folder.path / "original", "rb") as originals, open(folder.path / "messages", "rb") as uniforms:
        for original, uniform in zip(originals, uniforms, strict=True):
            try:
                yield example_of(_loaded(original), json.loads(uniform))
            except Inexpressible as reason:
                yield str(reason)


def example_of(record: Any, uniform: dict[str, Any]) -> Example:
    """One record, as it was and as uniform messages, to what a trainer sees; `Inexpressible` where it is nothing."""
    record = record if isinstance(record, dict) else {}
    messages: list[dict[str, Any]] = uniform["messages"]
    for message in messages:
        if message["role"] not in _ROLES:
            raise Inexpressible(f"a message of role `{message['role']}`, which trainers do not know")
    text = record.get("text")
    if isinstance(text, str) and [(turn["role"], turn["content"]) for turn in messages] == [("user", text)]:
        return Example("text", messages)
    media: dict[str, list[str]] = {name: [] for name in MEDIA}
    turns = _turns_beside(record, messages)
    seen = [_message(message, turn, media) for message, turn in zip(messages, turns, strict=True)]
    _add_record_media(uniform, media)
    if not seen or seen[-1]["role"] != "assistant":
        raise Inexpressible("it has no answer to learn from, or does not end with it")
    if not any(turn["role"] == "user" for turn in seen):
        raise Inexpressible("it has no user's turn")
    rejected = _rejected(record, seen)
    label = next((record[name] for name in ("label", "kto_tag") if isinstance(record.get(name), bool)), None)
    kind = "preference" if rejected else "sft" if label is None else "kto"
    _check_weights(record, preference=rejected is not None)
    held = {name: paths for name, paths in media.items() if paths}
    for name, paths in held.items():
        places = sum(turn["content"].count(f"<{name[:-1]}>") for turn in seen)
        if places != len(paths):
            raise Inexpressible(f"{len(paths)} {name}, and {places} places for them in its messages")
    return Example(kind, seen, rejected, label if kind == "kto" else None, uniform.get("tools") or None, held)


def _loaded(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        raise Inexpressible("a record that only a lenient reader takes for JSON") from None


def _turns_beside(record: dict[str, Any], messages: list[dict[str, Any]]) -> list[Any]:
    """The record's own turn of each message, where parts have to be placed; else None for each."""
    if not any("attachments" in message for message in messages):
        return [None] * len(messages)
    chat: list[Any] = next((record[name] for name in _CHATS if isinstance(record.get(name), list)), [])
    if len(chat) != len(messages):
        raise Inexpressible("it has content that is no text, and empty messages beside: what belongs where is not told")
    return [turn.get("content", turn.get("value")) if isinstance(turn, dict) else None for turn in chat]


def _message(message: dict[str, Any], content: Any, media: dict[str, list[str]]) -> dict[str, Any]:
    seen: dict[str, Any] = {"role": message["role"], "content": message["content"]}
    calls = [_call(call.get("function")) for call in message.get("tool_calls", [])]
    if "attachments" in message:
        if not isinstance(content, list):
            raise Inexpressible("content that is neither text nor a list of parts")
        seen["content"] = "".join(_part(part, media, calls) for part in content)
    return seen | ({"calls": calls} if calls else {})


def _part(part: Any, media: dict[str, list[str]], calls: list[dict[str, Any]]) -> str:
    """The text that stands for a part of a message, its medium or its call put with the others."""
    if isinstance(part, str):
        return part
    kind = str(part.get("type"))
    if kind in ("text", "input_text", "output_text"):
        return str(part.get("text", part.get("value", "")))
    if kind == "reasoning":
        return f"<think>\n{part.get('value', part.get('text', ''))}\n</think>\n\n"
    if kind == "tool_call":
        calls.append(_call(part.get("value")))
        return ""
    name = kind.removeprefix("input_").removesuffix("_url")
    if name not in _PARTS:
        raise Inexpressible(f"a part of type `{kind}`")
    found = next((part[key] for key in (kind, f"{name}_url", name, "value", "path", "url") if part.get(key)), None)
    found = found.get("url") if isinstance(found, dict) else found
    if found is not None:  # else its medium is in the record's own list
        media[_PARTS[name]].append(_path(found, name))
    return f"<{name}>"


def _call(call: Any) -> dict[str, Any]:
    call = _parsed(call)
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        raise Inexpressible("a tool call without a name")
    return {"name": call["name"], "arguments": _parsed(call.get("arguments", {}))}


def _parsed(value: Any) -> Any:
    """What a text holds, where it is JSON of an object or a list; else the value as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _add_record_media(uniform: dict[str, Any], media: dict[str, list[str]]) -> None:
    if uniform.get("image_bytes"):
        raise Inexpressible("an image as bytes in the record: trainers read files")
    for name in MEDIA:
        for key in (name, name[:-1]):
            found = uniform.get(key) or []
            media[name].extend(_path(one, name[:-1]) for one in (found if isinstance(found, list) else [found]))


def _path(found: Any, name: str) -> str:
    if not isinstance(found, str) or found.startswith("data:"):
        raise Inexpressible(f"{'an' if name[0] in 'ai' else 'a'} {name} within the record: trainers read files")
    return found


def _rejected(record: dict[str, Any], seen: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The rejected answer, a message; None where the record is no preference."""
    found = next((record[name] for name in _ANSWERS if record.get(name)), None)
    if found is None:
        return None
    turns = found if isinstance(found, list) else [found]
    texts = [turn if isinstance(turn, str) else _text_of(turn) for turn in turns]
    if len(texts) > 1 and texts[:-1] != [turn["content"] for turn in seen[:-1]][-(len(texts) - 1) :]:
        raise Inexpressible("the rejected answer is of another conversation than the chosen one")
    return {"role": "assistant", "content": texts[-1]}


def _text_of(turn: Any) -> str:
    content = turn.get("content", turn.get("value")) if isinstance(turn, dict) else None
    if isinstance(content, list):
        if any(not isinstance(part, dict) or part.get("type") not in ("text", "reasoning") for part in content):
            raise Inexpressible("a rejected answer that is more than text")
        return "".join(_part(part, {}, []) for part in content)
    if not isinstance(content, str):
        raise Inexpressible("a rejected answer that is no text")
    return content


def _check_weights(record: dict[str, Any], *, preference: bool) -> None:
    """Weights other than those that every trainer takes (answers count, all else does not) would be lost."""
    chat: list[Any] = next((record[name] for name in _CHATS if isinstance(record.get(name), list)), [])
    weighed = [turn for turn in chat if isinstance(turn, dict) and "loss_weight" in turn]
    for turn in weighed[-1:] if preference else weighed:
        if turn["loss_weight"] != float(turn.get("role") == "assistant"):
            raise Inexpressible(f"a loss weight of {turn['loss_weight']} on a message of role `{turn.get('role')}`")
