"""A server that answers like the real ones, and fails like them: `python tests/server.py --faults '{"500": 0.1}'`.

Speaks `/v1/chat/completions` and `/v1/embeddings`, and `/v1/files` and `/v1/batches` (`server_batches.py`).
Everything follows from the request: the tags, and by a hash of the request which fault its first attempts meet, so a
run with faults ends as one without. `GET /stats` tells how often each request came and was answered (by the sha256 of
its canonical JSON, as the answer store keys it), `GET /count` how many came; `POST /control` changes settings while it
runs. The first line on stdout is the port. Standard library only.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gzip
import hashlib
import json
import math
import ssl
import struct
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from statistics import NormalDist
from time import time
from typing import Any

from server_batches import Batches
from server_judging import answered, judged

TAGS = [f"{verb} {noun}" for verb in ("Write", "Explain", "Fix", "Compare") for noun in ("Code", "Text", "Law", "Food")]
PAGE = "<!DOCTYPE html><html><body><h1>It works!</h1></body></html>"


@dataclass(frozen=True)
class Settings:
    """What can be set; shares are of requests, by hash, each kind its own slice."""

    # Met by the first `times` attempts of a request: 429 (Retry-After), 429-bare, quota, 500, 503-html, timeout,
    # trickle, reset, cut (the body ends early), broken (no JSON), html (status 200), no-choices;
    # harmless: gzip, text-type
    faults: dict[str, float] = field(default_factory=dict)
    times: int = 1
    # What the model says, for ever: refusal, refused-text, prose, truncated, content_filter, empty, fenced, prefixed,
    # strings, too_long (400), filtered (400); of a judge see server_judging.py
    replies: dict[str, float] = field(default_factory=dict)
    status: int = 0  # answers everything with this
    says: str = ""  # at the end of every error and page
    retry_after: str = "0.05"  # of a 429; `date:7` is 7 seconds on as a date, an empty one is left out
    latency: float = 0.0
    spread: float = 0.0  # of the latency, its standard deviation over its mean: log-normal, by hash
    capacity: int = 0  # requests at work at once; more wait
    rate: float = 0.0  # answers a second; more wait for their turn
    refuse: bool = False  # with 429 what would have to wait
    storm: float = 0.0  # seconds, from the first request on, in which everything gets a 429
    skew: float = 0.0  # seconds that the clock of the server, and its `Date`, is ahead
    key: str = ""  # the key to ask for
    model: str = ""  # the only model there is
    answer_model: str = ""  # the model replies name
    rejects: list[str] = field(default_factory=list)  # what is no parameter here: json_schema, temperature, ...
    role: str = "tagger"  # model: it answers; judge: it grades answers, or compares two
    seed: int = 0
    no_batches: bool = False  # 404 for files and batches
    batch_seconds: float = 0.2  # that a batch takes
    batch_call_s: float = 0.0  # that a call about files and batches takes
    batch_end: str = "completed"  # expired, cancelled: half done; failed: at its validation
    batch_failures: float = 0.0  # share of requests that fail inside with 500
    batch_requests: int = 50_000  # a file may hold
    batch_bytes: int = 200_000_000
    batch_queue: int = 0  # requests that may be in batches at once, if more than 0
    batch_replies_lost: int = 0  # so many batches are made, and the reply is 500


class Server:
    """The state of one server: settings and counts."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.requests: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.formats: Counter[str] = Counter()  # of output, asked for
        self.rejected: Counter[str] = Counter()  # by parameter
        self.rate: Counter[int] = Counter()  # chat requests, by the tenth of a second
        self.busy = self.most_busy = self.texts_embedded = self.refused = 0
        self.calm_at = 0.0  # when the storm is over
        self.turn = 0.0  # when the next answer may go out
        self.keys_seen: set[str] = set()
        self.working = asyncio.Condition()
        self.batches = Batches(self)

    def error(self, message: str, code: str | None) -> dict[str, Any]:
        return error(f"{message}{self.settings.says}", code)

    @property
    def page(self) -> str:
        return PAGE.replace("</h1>", f"</h1>{self.settings.says}")

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.LimitOverrunError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, path, _ = head[0].split(" ", 2)
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                if not await self.request(writer, method, path, headers, body):
                    break
                await writer.drain()
        writer.close()

    async def request(
        self, writer: asyncio.StreamWriter, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> bool:
        """Answers one request; False where the connection ends with it."""
        if path == "/stats":
            told = {
                "requests": self.requests,
                "answered": self.answered,
                "formats": self.formats,
                "rejected": self.rejected,
                "rate": self.rate,
                "most_busy": self.most_busy,
                "refused": self.refused,
                "keys_seen": sorted(self.keys_seen),
                "texts_embedded": self.texts_embedded,
                **self.batches.stats(),
            }
            return send(writer, 200, told)
        if path == "/count":
            return send(writer, 200, {"requests": self.requests.total()})
        if path == "/control":
            self.settings = replace(self.settings, **json.loads(body))
            self.calm_at = 0.0
            return send(writer, 200, {})
        self.keys_seen.add(headers.get("authorization", ""))
        if self.settings.status:
            return send(writer, self.settings.status, self.error("told to fail", None))
        if self.settings.key and headers.get("authorization") != f"Bearer {self.settings.key}":
            given = headers.get("authorization", "").removeprefix("Bearer ")
            return send(writer, 401, self.error(f"Incorrect API key provided: {given}.", "invalid_api_key"))
        if path.startswith(("/v1/files", "/v1/batches")):
            status, told = await self.batches.answer(method, path, headers, body)
            return send(writer, status, told, *["text/html"][: isinstance(told, str)])
        if method != "POST" or path not in ("/v1/chat/completions", "/v1/embeddings"):
            return send(writer, 404, self.page, "text/html")
        asked = json.loads(body)
        if self.settings.model and asked["model"] != self.settings.model:
            return send(writer, 404, self.error(f"The model `{asked['model']}` does not exist", "model_not_found"))
        if path == "/v1/embeddings":
            await asyncio.sleep(self.settings.latency)
            return send(writer, 200, self.embeddings(asked))
        return await self.chat(writer, asked)

    async def chat(self, writer: asyncio.StreamWriter, asked: dict[str, Any]) -> bool:
        self.rate[int(10 * time())] += 1
        form = asked.pop("response_format", {})
        wanted = form.get("type", "plain")
        refused = self.refusal(asked, wanted)
        if refused is not None:
            return send(writer, 400, refused)
        key = hashlib.sha256(canonical(asked)).hexdigest()
        self.requests[key] += 1
        self.formats[wanted] += 1
        if self.is_refused():
            self.refused += 1
            return self.push_back(writer)
        async with self.working:
            await self.working.wait_for(lambda: not self.settings.capacity or self.busy < self.settings.capacity)
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
        try:
            await asyncio.sleep(self.latency(key))
            if self.settings.rate:
                self.turn = max(self.turn, time()) + 1 / self.settings.rate
                await asyncio.sleep(self.turn - time())
            fault = self.pick("fault", key, self.settings.faults) if self.requests[key] <= self.settings.times else None
            return await self.answer(writer, asked, form, key, fault)
        finally:
            async with self.working:
                self.busy -= 1
                self.working.notify()

    def latency(self, key: str) -> float:
        """Seconds that the request of this key takes."""
        variance = math.log(1 + self.settings.spread**2)
        at = NormalDist().inv_cdf(self.share("latency", key) or 0.5) if variance else 0.0
        return self.settings.latency * math.exp(math.sqrt(variance) * at - variance / 2)

    def is_refused(self) -> bool:
        """Whether there is no room, where that is not waited for, or a storm."""
        now, at_most = time(), self.settings.capacity
        self.calm_at = self.calm_at or now + self.settings.storm
        crowded = bool(at_most and self.busy >= at_most) or bool(self.settings.rate and self.turn > now)
        return now < self.calm_at or (self.settings.refuse and crowded)

    def push_back(self, writer: asyncio.StreamWriter) -> bool:
        """A 429 with the `Retry-After` that is set."""
        asked, clock = self.settings.retry_after, time() + self.settings.skew
        if asked.startswith("date:"):
            asked = formatdate(clock + float(asked.removeprefix("date:")), usegmt=True)
        told = {"Date": formatdate(clock, usegmt=True)} | ({"Retry-After": asked} if asked else {})
        return send(writer, 429, self.error("slow down", "rate_limit_exceeded"), told)

    def refusal(self, asked: dict[str, Any], wanted: str) -> dict[str, Any] | None:
        """What is said of a request with a parameter, or a form of output, that is none here."""
        for name in self.settings.rejects:
            if name in asked or name == wanted:
                self.rejected[name] += 1
                return self.error(rejection(name), "unsupported_parameter")
        return None

    async def answer(
        self, writer: asyncio.StreamWriter, asked: dict[str, Any], form: dict[str, Any], key: str, fault: str | None
    ) -> bool:
        kind = self.pick("reply", key, self.settings.replies)
        if fault == "429":
            return self.push_back(writer)
        if fault == "429-bare":
            return send(writer, 429, self.error("slow down", "rate_limit_exceeded"))
        if fault == "quota":
            return send(writer, 429, self.error("You exceeded your current quota", "insufficient_quota"))
        if fault == "500":
            return send(writer, 500, self.error("the server had an error", None))
        if fault == "503-html":
            return send(writer, 503, self.page, "text/html")
        if fault == "html":
            return send(writer, 200, self.page, "text/html")
        if fault == "no-choices":
            return send(writer, 200, self.error("upstream failed", None))
        if fault == "broken":
            return send(writer, 200, '{"id": "x", "choices": [{"mess', "application/json")
        if kind == "too_long":
            return send(
                writer, 400, self.error("This model's maximum context length is 8 tokens", "context_length_exceeded")
            )
        if kind == "filtered":
            return send(writer, 400, self.error("triggering the content management policy", "content_filter"))
        if fault == "timeout":
            await asyncio.sleep(3600)
        if fault == "reset":
            writer.transport.abort()
            return False
        completion = self.completion(asked, form, key, kind)
        if fault in ("cut", "trickle"):
            text = json.dumps(completion).encode()
            writer.write(
                f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n".encode()
            )
            writer.write(text[: len(text) // 2])
            for byte in text[len(text) // 2 : -9] if fault == "trickle" else b"":
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.1)
            return False
        self.answered[key] += 1
        if fault == "text-type":
            return send(writer, 200, completion, "text/plain")
        return send(writer, 200, completion, compress=fault == "gzip")

    def completion(self, asked: dict[str, Any], form: dict[str, Any], key: str, kind: str | None) -> dict[str, Any]:
        last = asked["messages"][-1]["content"]
        if self.settings.role == "judge":
            text, refusal, finish = judged(last, kind)
        elif self.settings.role == "model":
            text, refusal, finish = answered(last), None, "stop"
        else:
            text, refusal, finish = say(tags_of(last), kind, form)
        return {
            "id": f"chatcmpl-{key[:12]}",
            "object": "chat.completion",
            "created": 1,
            "model": self.settings.answer_model or f"{asked['model']}-2024-07-18",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text, "refusal": refusal},
                    "finish_reason": finish,
                    "logprobs": None,
                }
            ],
            "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
        }

    def embeddings(self, asked: dict[str, Any]) -> dict[str, Any]:
        texts = [asked["input"]] if isinstance(asked["input"], str) else asked["input"]
        self.texts_embedded += len(texts)
        data = []
        for index, text in enumerate(texts):
            vector = vector_of(text)
            if asked.get("encoding_format") == "base64":
                vector = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()  # type: ignore[assignment]
            data.append({"object": "embedding", "index": index, "embedding": vector})
        usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
        return {"object": "list", "data": data, "model": asked["model"], "usage": usage}

    @staticmethod
    def canonical(value: Any) -> bytes:
        return canonical(value)

    def share(self, what: str, key: str) -> float:
        """A number from 0 to below 1 that follows from a request."""
        return int(hashlib.sha256(f"{self.settings.seed} {what} {key}".encode()).hexdigest()[:8], 16) / 2**32

    def pick(self, what: str, key: str, shares: dict[str, float]) -> str | None:
        at = self.share(what, key)
        for kind, share in shares.items():
            if at < share:
                return kind
            at -= share
        return None


def rejection(name: str) -> str:
    """What the real ones say of a parameter they don't take."""
    if name == "max_tokens":
        return (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
    if name in ("json_schema", "json_object"):
        return f"Invalid parameter: 'response_format' of type '{name}' is not supported with this model."
    return f"Unsupported value: '{name}' does not support this with this model."


def canonical(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def tags_of(prompt: str) -> list[str]:
    """One to four tags that follow from the prompt."""
    digest = hashlib.sha256(prompt.encode()).digest()
    return list(dict.fromkeys(TAGS[byte % len(TAGS)] for byte in digest[1 : 2 + digest[0] % 4]))


def labels_of(tags: list[str], labels: list[str]) -> list[str]:
    """One label for each of some tags."""
    return list(dict.fromkeys(labels[TAGS.index(tag) % len(labels)] for tag in tags))


def vector_of(text: str) -> list[float]:
    """A unit vector of 16 numbers that follows from the text."""
    numbers = [byte - 127.5 for byte in hashlib.sha256(text.encode()).digest()[:16]]
    norm = sum(number * number for number in numbers) ** 0.5
    return [number / norm for number in numbers]


def say(tags: list[str], kind: str | None, form: dict[str, Any]) -> tuple[str | None, str | None, str]:
    """(content, refusal, finish_reason) of a reply of some kind, in the form that was asked for."""
    told: Any = [{"tag": tag, "explanation": f"it asks to {tag.lower()}"} for tag in tags]
    if form.get("type") == "json_schema":
        schema = form["json_schema"]["schema"]
        assert (form["json_schema"]["strict"], schema["additionalProperties"], schema["required"]) == (
            True,
            False,
            ["tags"],
        )
        labels = schema["properties"]["tags"]["items"].get("enum")
        told = {"tags": told if labels is None else labels_of(tags, labels)}
    listed = json.dumps(told)
    said: dict[str | None, tuple[str | None, str | None, str]] = {
        "refusal": (None, "I can't help with that.", "stop"),
        "refused-text": ("I'm sorry, but I can't assist with that request.", None, "stop"),
        "prose": ("1. Preheat the oven to 200 degrees.\n2. Mix the flour.", None, "stop"),
        "truncated": (listed[: len(listed) - 12], None, "length"),
        "content_filter": ("", None, "content_filter"),
        "empty": ("", None, "stop"),
        "fenced": (f"```json\n{listed}\n```", None, "stop"),
        "prefixed": (f"Here are the tags:\n\n{listed}\n\nLet me know if you need more.", None, "stop"),
        "strings": (json.dumps({"tags": tags}), None, "stop"),
    }
    return said.get(kind, (listed, None, "stop"))


def error(message: str, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


def send(
    writer: asyncio.StreamWriter,
    status: int,
    body: Any,
    extra: dict[str, str] | str | None = None,
    *,
    compress: bool = False,
) -> bool:
    """Writes a response; a string goes out as it is, with `extra` as its type."""
    content_type = extra if isinstance(extra, str) else "application/json"
    data = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    headers = {"Content-Type": content_type, "Date": formatdate(time(), usegmt=True)}
    headers |= extra if isinstance(extra, dict) else {}
    if compress:
        data = gzip.compress(data)
        headers["Content-Encoding"] = "gzip"
    headers["Content-Length"] = str(len(data))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {status} Status\r\n{lines}\r\n".encode() + data)
    return True


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--certificate", default="")
    for name, default in vars(Settings()).items():
        kind = json.loads if isinstance(default, dict | list | bool) else type(default)
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=default)
    said = vars(parser.parse_args())
    port, certificate = said.pop("port"), said.pop("certificate")
    tls = None
    if certificate:  # a PEM file with the key in it
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
    server = await asyncio.start_server(
        Server(Settings(**said)).connection, "127.0.0.1", port, limit=2**26, backlog=1024, ssl=tls
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
    sys.exit(0)
