"""What LLaMA-Factory reads from a file, by its documented schemas: the converters of its `data/converter.py`, again.

`read(folder, info)` gives a record as (prompt and response, system, tools, media), the way its trainer gets it; calls
are parsed, so that JSON written otherwise is the same. `read_v1` does the same for its newer form, content as parts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MEDIA = ("images", "videos", "audios")
Read = dict[str, Any]


def loaded(path: Path) -> list[Any]:
    text = path.read_text()
    if path.suffix == ".txt":
        return [{"text": line} for line in text.splitlines() if line]
    return (
        list(json.loads(text)) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines() if line]
    )


def read(folder: Path, info: dict[str, Any]) -> list[Read]:
    """The records of one entry of `dataset_info.json`; None where LLaMA-Factory would skip it."""
    convert = _sharegpt if info.get("formatting") == "sharegpt" else _alpaca
    columns = info.get("columns") or {"prompt": "instruction", "query": "input", "response": "output"}
    return [convert(record, columns, info) for record in loaded(folder / info["file_name"])]


def _alpaca(record: Any, columns: dict[str, str], info: dict[str, Any]) -> Read:
    asked = [record[columns[name]] for name in ("prompt", "query") if columns.get(name) and record[columns[name]]]
    turns = [("user", "\n".join(asked))]
    turns += [("assistant", record[columns["response"]])] if "response" in columns else []
    return _read(turns, "", record, columns)


def _sharegpt(record: Any, columns: dict[str, str], info: dict[str, Any]) -> Read:
    tags = {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"} | {
        "observation_tag": "observation",
        "function_tag": "function_call",
        "system_tag": "system",
    }
    tags |= info.get("tags", {})
    names = {tags[f"{name}_tag"]: name for name in ("user", "assistant", "observation", "function", "system")}
    turns = [(names[turn[tags["role_tag"]]], turn[tags["content_tag"]]) for turn in record[columns["messages"]]]
    system = turns.pop(0)[1] if turns and turns[0][0] == "system" else ""
    for place, (role, _) in enumerate(turns):
        assert role in (("user", "observation"), ("assistant", "function"))[place % 2], "LLaMA-Factory skips it"
    assert len(turns) % 2 == bool(info.get("ranking")), "LLaMA-Factory skips it"
    if info.get("ranking"):
        turns += [
            ("chosen", record["chosen"][tags["content_tag"]]),
            ("rejected", record["rejected"][tags["content_tag"]]),
        ]
    return _read(turns, system, record, columns)


def read_v1(path: Path) -> list[Read]:
    """The newer form: `messages` or `chosen_messages` and `rejected_messages` of parts `{"type", "value"}`."""
    found = []
    for record in loaded(path):
        media: dict[str, list[str]] = {}
        turns = [_v1(turn, media) for turn in record.get("messages") or record["chosen_messages"]]
        if "rejected_messages" in record:
            turns = [
                *turns[:-1],
                ("chosen", turns[-1][1]),
                ("rejected", _v1(record["rejected_messages"][-1], media)[1]),
            ]
        system = turns.pop(0)[1] if turns[0][0] == "system" else ""
        found.append(_read(turns, system, record | media, {"tools": "tools", "images": "images"}))
    return found


def _v1(turn: Any, media: dict[str, list[str]]) -> tuple[str, str]:
    text, calls = "", []
    for part in turn["content"]:
        if part["type"] == "image_url":
            media.setdefault("images", []).append(part["value"])
            text += "<image>"
        elif part["type"] == "tool_call":
            calls.append(json.loads(part["value"]))
        else:
            text += f"<think>\n{part['value']}\n</think>\n\n" if part["type"] == "reasoning" else part["value"]
    role = {"tool": "observation"}.get(turn["role"], turn["role"])
    return ("function", text + json.dumps(calls if len(calls) > 1 else calls[0])) if calls else (role, text)


def _read(turns: list[tuple[str, str]], system: str, record: Any, columns: dict[str, str]) -> Read:
    told = {name: record.get(columns.get(name, "")) or [] for name in MEDIA}
    label = record.get(columns.get("kto_tag", ""))
    tools = record.get(columns.get("tools", "")) or ""
    return told | {"turns": [_turn(*turn) for turn in turns], "system": system, "tools": tools, "label": label}


def _turn(role: str, content: str) -> tuple[str, Any]:
    if role != "function":
        return role, content
    thought, closed, calls = content.rpartition("</think>\n\n")
    return role, [thought + closed, json.loads(calls)]
