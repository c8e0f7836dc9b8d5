"""The two kinds of files of the Batch API: requests that go up, replies that come down, a line each in any order."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instag.answers import Answer
from instag.chat_requests import answer_from
from instag.endpoint import NoReply
from instag.network import redact

CHAT_URL = "/v1/chat/completions"


@dataclass(frozen=True)
class Limits:
    """What one file may hold."""

    requests: int = 50_000
    bytes: int = 200_000_000


LIMITS = Limits()


class RequestFile:
    """One file of requests, as it is written; `keys` are those of its requests, in order."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self._limits = limits
        self.keys: list[bytes] = []
        self._file = open(path, "wb")  # noqa: SIM115 - closed by `close`
        self._bytes = 0

    def fits(self, line: bytes) -> bool:
        """Whether one more line is within the limits."""
        return len(self.keys) < self._limits.requests and self._bytes + len(line) <= self._limits.bytes

    def add(self, key: bytes, line: bytes) -> None:
        """Writes a line of `request_line`."""
        self.keys.append(key)
        self._bytes += len(line)
        self._file.write(line)

    def close(self) -> list[bytes]:
        """Ends the file; gives the keys of its requests."""
        self._file.close()
        return self.keys


def request_line(key: bytes, body: Mapping[str, Any]) -> bytes:
    r"""A request as a line of a file; its key is the `custom_id` by which its reply is known.

    >>> request_line(b"k", {"model": "m"})
    b'{"custom_id": "6b", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m"}}\n'
    """
    request = {"custom_id": key.hex(), "method": "POST", "url": CHAT_URL, "body": body}
    return json.dumps(request, ensure_ascii=False).encode() + b"\n"


@dataclass(frozen=True)
class NoAnswer:
    """A line without an answer: why, in a few words; and what the endpoint said of the request, if it was refused."""

    reason: str
    status: int | None = None
    said: str = ""


def read_replies(path: Path, keys: set[bytes]) -> Iterator[Answer | NoAnswer]:
    """What the lines of a file of replies hold for the requests of these keys, whatever else is in it."""
    with open(path, "rb") as file:
        for line in file:
            if line.strip():
                yield _reply(line, keys)


def _reply(line: bytes, keys: set[bytes]) -> Answer | NoAnswer:
    from openai.types.chat import ChatCompletion

    try:
        told = json.loads(line)
        key = bytes.fromhex(told["custom_id"])
        response, error = told.get("response"), told.get("error")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return NoAnswer("broken lines")
    if key not in keys:
        return NoAnswer("lines of other batches")
    if not isinstance(response, dict):
        return NoAnswer(_word(error, "code") or "without a reply")
    status, body = response.get("status_code"), response.get("body")
    if status != 200 or not isinstance(body, dict):
        said = body.get("error") if isinstance(body, dict) else None
        code, message = _word(said, "code"), _word(said, "message")
        return NoAnswer(code or f"status {status}", status if isinstance(status, int) else None, f"{code} {message}")
    try:
        answer = answer_from(key, ChatCompletion.construct(**body))
    except (NoReply, TypeError, ValueError):
        return NoAnswer("without a message")
    return dataclasses.replace(answer, mode="batch")


def _word(told: Any, name: str) -> str:
    """A member of an error, shown safely; empty where there is none."""
    value = told.get(name) if isinstance(told, Mapping) else None
    return redact(value)[:300] if isinstance(value, str) else ""
