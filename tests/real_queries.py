"""The user turns of the real data sets, read plainly, for tests and benches that want text and not a reader."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

POOL = [
    "llama_factory/alpaca_en_demo.json",
    "llama_factory/alpaca_zh_demo.json",
    "llama_factory/dpo_en_demo.json",
    "llama_factory/dpo_zh_demo.json",
    "llama_factory/kto_en_demo.json",
    "llama_factory/glaive_toolcall_en_demo.json",
    "llama_factory/glaive_toolcall_zh_demo.json",
    "gsm8k/train.jsonl",
    "gpteacher/roleplay-similarity_0.6-instruct-dataset.json",
    "gpteacher/toolformer-dedupe-only-dataset.json",
    "fastchat/dummy_conversation.json",
    "sgd/messages.jsonl.gz",
    "self_instruct/seed_tasks.jsonl",
    "self_instruct/user_oriented_instructions.jsonl",
    "self_instruct/t0_prompts.jsonl.zst",
]


def read_text(path: Path) -> str:
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes()).decode()
    if path.suffix == ".zst":
        with path.open("rb") as file:
            return zstandard.ZstdDecompressor().stream_reader(file).read().decode()
    return path.read_text()


def records(path: Path) -> Iterator[dict[str, Any]]:
    text = read_text(path)
    yield from json.loads(text) if text.startswith("[") else map(json.loads, filter(None, text.split("\n")))


def queries(path: Path) -> Iterator[str]:
    """Every user turn of a file."""
    for record in records(path):
        if "conversations" in record or "messages" in record:
            for turn in record.get("conversations") or record.get("messages") or []:
                if turn.get("from", turn.get("role")) in ("human", "user"):
                    yield turn.get("value", turn.get("content"))
        elif "turns" in record:
            yield from record["turns"]
        elif "instruction" in record:
            first = (record.get("instances") or [{}])[0]
            extra = record.get("input") or first.get("input") or ""
            yield f"{record['instruction']}\n{extra}".strip()
        else:
            yield next(record[key] for key in ("prompt", "question", "query", "text") if key in record)


def pool(data: Path) -> dict[str, list[str]]:
    """File -> its queries, for the files of `POOL`."""
    return {name: list(queries(data / "instructions" / name)) for name in POOL}
