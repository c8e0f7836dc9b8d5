"""The Batch API of `server.py`: files in memory, batches that take their time, and their ways to end.

Every request of a batch that is answered counts in `batched` of `GET /stats`, by the key that its answer is stored by:
what a batch answers is paid, whether anybody collects it or not.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from email import message_from_bytes
from email.policy import HTTP
from time import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from server import Server

ENDS = ("completed", "expired", "cancelled", "failed")


class Batches:
    """The files and batches of one server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.files: dict[str, bytes] = {}
        self.made: list[dict[str, Any]] = []  # the oldest first
        self.batched: Counter[str] = Counter()
        self.sizes: list[tuple[int, int]] = []  # requests and bytes of each file
        self.lost = self.calls = self.queued = 0
        self.running: set[asyncio.Task[None]] = set()

    def stats(self) -> dict[str, Any]:
        return {
            "batch_calls": self.calls,
            "batched": self.batched,
            "batches": len(self.made),
            "batch_files": self.sizes,
        }

    async def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        """(status, body) of a request; a body of bytes is a file."""
        path, _, query = path.partition("?")
        parts = path.removeprefix("/v1/").split("/")
        if self.server.settings.no_batches:
            return 404, "<html>not found</html>"
        self.calls += 1
        await asyncio.sleep(self.server.settings.batch_call_s)
        match method, *parts:
            case "POST", "files":
                return self.upload(headers, body)
            case "GET", "files", name, "content" if name in self.files:
                return 200, self.files[name]
            case "POST", "batches":
                return self.create(json.loads(body))
            case "GET", "batches":
                return self.list(dict(pair.split("=") for pair in query.split("&") if pair))
            case "GET", "batches", name if name in {batch["id"] for batch in self.made}:
                return 200, next(batch for batch in self.made if batch["id"] == name)
        return 404, error(f"no such thing: {path}")

    def upload(self, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        message: Any = message_from_bytes(
            f"Content-Type: {headers['content-type']}\r\n\r\n".encode() + body, policy=HTTP
        )
        told = {part.get_param("name", header="content-disposition"): part for part in message.iter_parts()}
        content = told["file"].get_payload(decode=True)
        if told["purpose"].get_payload(decode=True).strip() != b"batch":
            return 400, error("the purpose is not `batch`")
        if len(content) > self.server.settings.batch_bytes:
            return 413, error("the file is too large")
        self.sizes.append((content.count(b"\n"), len(content)))
        return 200, {"id": self.keep(content), "object": "file", "bytes": len(content), "created_at": int(time()),
                     "filename": "requests.jsonl", "purpose": "batch", "status": "processed"}  # fmt: skip

    def keep(self, content: bytes) -> str:
        name = f"file-{len(self.files)}"
        self.files[name] = content
        return name

    def create(self, asked: dict[str, Any]) -> tuple[int, Any]:
        assert asked["completion_window"] == "24h"
        if asked["input_file_id"] not in self.files:
            return 400, error("no such file")
        batch = {
            "id": f"batch_{len(self.made)}",
            "object": "batch",
            "endpoint": asked["endpoint"],
            "input_file_id": asked["input_file_id"],
            "completion_window": "24h",
            "metadata": asked.get("metadata"),
            "created_at": int(time()),
            "status": "validating",
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
        }
        self.made.append(batch)
        task = asyncio.create_task(self.run(batch))
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        if self.lost < self.server.settings.batch_replies_lost:
            self.lost += 1
            return 500, error("the batch was made, but nobody is told")
        return 200, batch

    def list(self, query: dict[str, str]) -> tuple[int, Any]:
        newest = [*reversed(self.made)]
        after = [at for at, batch in enumerate(newest) if batch["id"] == query.get("after")]
        page = newest[after[0] + 1 if after else 0 :][: min(int(query.get("limit", 20)), 2)]  # small, to be turned
        more = bool(page) and page[-1] is not newest[-1]
        ids = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {}
        return 200, {"object": "list", "data": page, "has_more": more, **ids}

    async def run(self, batch: dict[str, Any]) -> None:
        settings = self.server.settings
        lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        await asyncio.sleep(settings.batch_seconds / 2)
        too_many = len(lines) > settings.batch_requests
        if too_many or settings.batch_end == "failed" or len({line["custom_id"] for line in lines}) < len(lines):
            said = "too many requests" if too_many else "told to fail"
            failed = {"object": "list", "data": [{"code": "invalid", "message": said, "line": None, "param": None}]}
            batch |= {"status": "failed", "errors": failed}
            return
        if settings.batch_queue and self.queued + len(lines) > settings.batch_queue:
            said = f"Enqueued token limit reached. Limit: {settings.batch_queue} enqueued tokens."
            full = {"code": "token_limit_exceeded", "message": said, "line": None, "param": None}
            batch |= {"status": "failed", "errors": {"object": "list", "data": [full]}}
            return
        self.queued += len(lines)
        batch["status"] = "in_progress"
        done = len(lines) if settings.batch_end == "completed" else len(lines) // 2
        out: list[str] = []
        wrong: list[str] = []
        for at, line in enumerate(lines):
            reply = self.reply(line) if at < done else None
            told = {"id": f"req-{at}", "custom_id": line["custom_id"], "response": reply, "error": None}
            if reply is None:
                told["error"] = {"code": "batch_expired", "message": "This request could not be executed in time."}
            (out if reply is not None and reply["status_code"] == 200 else wrong).append(json.dumps(told))
        batch["request_counts"] = {"total": len(lines), "completed": len(out), "failed": len(wrong)}
        await asyncio.sleep(settings.batch_seconds / 2)
        for name, told_lines in (("output_file_id", out), ("error_file_id", wrong)):
            if told_lines:
                told_lines.reverse()  # no order is promised
                batch[name] = self.keep("\n".join(told_lines).encode())
        batch["status"] = settings.batch_end
        self.queued -= len(lines)

    def reply(self, line: dict[str, Any]) -> dict[str, Any]:
        server, asked = self.server, dict(line["body"])
        assert (line["method"], line["url"]) == ("POST", "/v1/chat/completions")
        form = asked.pop("response_format", {})
        wanted = form.get("type", "plain")
        refused = server.refusal(asked, wanted)
        if refused is not None:
            return {"status_code": 400, "request_id": "r", "body": refused}
        key = hashlib.sha256(server.canonical(asked)).hexdigest()
        if server.pick("batch", key, {"fails": server.settings.batch_failures}):
            return {"status_code": 500, "request_id": "r", "body": error("the server had an error")}
        self.batched[key] += 1
        server.formats[wanted] += 1
        kind = server.pick("reply", key, server.settings.replies)
        return {"status_code": 200, "request_id": "r", "body": server.completion(asked, form, key, kind)}


def error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}
