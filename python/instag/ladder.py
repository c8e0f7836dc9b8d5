"""What an endpoint takes: the strictest form of output that it knows, and which decoding settings.

A request goes out in the first form; what the endpoint says against it leads one rung down, and the request is sent
again. What was found holds for all requests, is remembered in the store per endpoint and model, and is told. It never
enters the key of an answer: the tags were asked for in the same words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

FORMATS = ("json_schema", "json_object", "plain")


def _listing(items: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a list of items: strict endpoints want an object at the top, every member required and no other."""
    return {
        "type": "object",
        "properties": {"tags": {"type": "array", "items": items}},
        "required": ["tags"],
        "additionalProperties": False,
    }


OPEN_SCHEMA = _listing(
    {
        "type": "object",
        "properties": {"tag": {"type": "string"}, "explanation": {"type": "string"}},
        "required": ["tag", "explanation"],
        "additionalProperties": False,
    }
)
# `json_object` forbids the list that the prompt asks for: without this some models give one tag and leave the others.
_WRAP = 'Give the list as the member "tags" of one JSON object: {"tags": [...]}'

_REFUSING = (400, 404, 415, 422, 501)
_ABOUT_FORMAT = re.compile(
    r"response_?format|json_?schema|json_?object|structured.?output|guided|grammar|json mode|'json'", re.IGNORECASE
)
_ABOUT_TEMPERATURE = re.compile(r"temperature", re.IGNORECASE)
_ABOUT_LIMIT = re.compile(r"max_completion_tokens|max_tokens", re.IGNORECASE)
_ABOUT_SEED = re.compile(r"\bseed\b", re.IGNORECASE)


def closed_schema(labels: Sequence[str]) -> dict[str, Any]:
    """The schema of a list of labels, none but these."""
    return _listing({"type": "string", "enum": list(labels)})


@dataclass(frozen=True)
class Form:
    """One rung: how the output is asked for, and what is left out or named otherwise.

    >>> Form().lowered(400, "Unsupported value: 'temperature' does not support 0 with this model")
    Form(output='json_schema', temperature=False, seed=True, limit='max_tokens')
    >>> Form("plain").lowered(400, "unknown field response_format") is None
    True
    """

    output: str = "json_schema"
    temperature: bool = True
    seed: bool = True
    limit: str = "max_tokens"

    def lowered(self, status: int, said: str) -> Form | None:
        """The next form where an endpoint's words are about this one; None where they are about something else."""
        if status not in _REFUSING and not (status == 500 and _ABOUT_FORMAT.search(said)):
            return None
        if self.limit == "max_tokens" and _ABOUT_LIMIT.search(said) and "max_completion_tokens" in said:
            return replace(self, limit="max_completion_tokens")
        if self.temperature and _ABOUT_TEMPERATURE.search(said):
            return replace(self, temperature=False)
        if self.seed and _ABOUT_SEED.search(said):
            return replace(self, seed=False)
        if self.output != FORMATS[-1] and _ABOUT_FORMAT.search(said):
            return replace(self, output=FORMATS[FORMATS.index(self.output) + 1])
        return None

    def applied(self, request: Mapping[str, Any], schema: Mapping[str, Any] = OPEN_SCHEMA) -> dict[str, Any]:
        """The request (messages and decoding parameters) in this form; `schema` is that of the replies."""
        sent = dict(request)
        if not self.temperature:
            sent.pop("temperature", None)
        if not self.seed:
            sent.pop("seed", None)
        if "max_tokens" in sent:
            sent[self.limit] = sent.pop("max_tokens")
        if self.output == "json_schema":
            named = {"name": "tags", "strict": True, "schema": schema}
            sent["response_format"] = {"type": "json_schema", "json_schema": named}
        elif self.output == "json_object":
            sent["response_format"] = {"type": "json_object"}
            *before, last = sent["messages"]
            sent["messages"] = [*before, {**last, "content": f"{last['content']}\n{_WRAP}"}]
        return sent

    def told(self) -> list[str]:
        """What was given up, a line each."""
        lines = []
        if not self.temperature:
            lines.append("the endpoint takes no `temperature`: answers are drawn with its own")
        if not self.seed:
            lines.append("the endpoint takes no `seed`")
        if self.output != FORMATS[0]:
            lines.append(f"answers come as `{self.output}`, not by a JSON schema")
        return lines

    def as_dict(self) -> dict[str, Any]:
        """What is remembered."""
        return asdict(self)

    @staticmethod
    def from_dict(found: Mapping[str, Any], output: str | None) -> Form:
        """What was remembered, as far as this version knows it; `output` is what a person asks for, or None."""
        kept = {name: value for name, value in found.items() if name in Form.__dataclass_fields__}
        form = Form(**kept)
        if form.output not in FORMATS:
            form = replace(form, output=FORMATS[0])
        return form if output is None else replace(form, output=output)
