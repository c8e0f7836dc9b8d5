"""The picked samples as conversations that a language model learns: text alone, an answer at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from instag.handover_records import Example, picked_examples

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from instag.run import Run


class Conversation(NamedTuple):
    """Messages (`role`, `content`, perhaps `tool_calls`), and the tools' definitions, JSON, where there are any."""

    messages: list[dict[str, Any]]
    tools: str | None = None


def conversations(run: Run, rows: NDArray[np.int64]) -> Iterator[Conversation | str]:
    """The samples `rows`, in this order; a text is the reason why there is nothing to learn from one.

    Of a preference the chosen answer is learned; an answer judged bad is not, nor is text that answers nothing, nor
    what has pictures, video or sound. Memory is the text of the samples; sources are checked by digest.
    """
    for example in picked_examples(run, rows):
        yield example if isinstance(example, str) else _learned(example)


def _learned(example: Example) -> Conversation | str:
    if example.kind == "text":
        return "plain text: it has no answer to learn from"
    if example.label is False:
        return "its answer was judged bad"
    if example.media:
        return f"it has {', '.join(sorted(example.media))}: text alone is learned"
    return Conversation([_message(message) for message in example.messages], example.tools)


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    told = {"role": message["role"], "content": message["content"]}
    calls = [{"type": "function", "function": call} for call in message.get("calls", ())]
    return {**told, "tool_calls": calls} if calls else told


def as_learned(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages of `--format messages` as training has them: arguments of calls as what they are, not as JSON text.

    >>> call = {"type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    >>> as_learned([{"role": "assistant", "content": "", "tool_calls": [call]}])[0]["tool_calls"][0]["function"]
    {'name': 'add', 'arguments': {'a': 1}}
    """
    return [
        {**message, "tool_calls": [_parsed(call) for call in message["tool_calls"]]}
        if message.get("tool_calls")
        else message
        for message in messages
    ]


def _parsed(call: Any) -> Any:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return call
    arguments = function.get("arguments")
    if not isinstance(arguments, str) or arguments.lstrip()[:1] not in ("{", "["):
        return call
    try:
        told = json.loads(arguments)
    except ValueError:
        return call
    return {"type": "function", "function": {"name": function["name"], "arguments": told}}
