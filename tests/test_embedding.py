"""Vectors in the store of answers: nothing is asked twice, also after a kill; the known need no endpoint."""

from __future__ import annotations

import asyncio
import gc
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import server
from conftest import Instag, Served
from instag import ProviderError
from instag.answers import AnswerStore, Embedding
from instag.embedding import OpenAIEmbedder, VectorAsking

Serve = Callable[..., Served]

TEXTS = [f"tag {index}" for index in range(1000)]


def embedder(served: Served, folder: Path, **settings: Any) -> OpenAIEmbedder:
    return OpenAIEmbedder("m", base_url=served.base_url, answers=folder / "a.sqlite", **settings)


def test_what_is_in_the_store_is_not_asked(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = serve()
    made = embedder(served, tmp_path, batch=64).embed(TEXTS)
    assert np.allclose(made, [server.vector_of(text) for text in TEXTS])
    again = embedder(served, tmp_path).embed([*TEXTS[::-1], "new", "new"])
    assert np.array_equal(again[:1000], made[::-1])
    assert served.stats()["texts_embedded"] == 1001
    monkeypatch.delenv("OPENAI_API_KEY")
    assert np.array_equal(OpenAIEmbedder("m", answers=tmp_path / "a.sqlite").embed(TEXTS), made)
    with sqlite3.connect(tmp_path / "a.sqlite") as store:
        assert store.execute("SELECT sum(prompt_tokens), count(*) FROM embeddings").fetchone() == (1001, 1001)
        assert b"sk-for-tests" not in (tmp_path / "a.sqlite").read_bytes()


def test_another_model_or_dimension_asks_again(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    for dimensions in (None, 16):
        embedder(served, tmp_path, dimensions=dimensions).embed(["a"])
    OpenAIEmbedder("other", base_url=served.base_url, answers=tmp_path / "a.sqlite").embed(["a"])
    assert served.stats()["texts_embedded"] == 3


def test_merged_stores_hold_the_vectors_of_both(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    embedder(served, tmp_path).embed(TEXTS[:5])
    with AnswerStore(tmp_path / "b.sqlite") as into, AnswerStore(tmp_path / "a.sqlite") as other:
        assert into.merge(other) == 0
    OpenAIEmbedder("m", answers=tmp_path / "b.sqlite", base_url="http://127.0.0.1:9/v1").embed(TEXTS[:5])


def test_what_was_answered_before_a_failure_is_kept(serve: Serve, tmp_path: Path) -> None:
    served = serve(model="m")
    embedder(served, tmp_path).embed(TEXTS[:500])
    served.set(status=500)
    with pytest.raises(ProviderError, match="texts 0 to 249: 500: told to fail"):
        embedder(served, tmp_path, batch=250, in_flight=1, max_retries=0).embed(TEXTS)
    served.set(status=0)
    embedder(served, tmp_path).embed(TEXTS)
    assert served.stats()["texts_embedded"] == 1000


class Scripted:
    """An endpoint whose calls end one after another: one fails, one answers, one fails while the answer is stored."""

    limiter = SimpleNamespace(limit=3)

    def __init__(self) -> None:
        self.calls = 0

    async def __aenter__(self) -> Scripted:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def call(self, send: object, read: object) -> list[Embedding]:
        self.calls += 1
        call = self.calls
        if call == 2:
            return [Embedding(b"k", b"\0" * 4, None, None, "")]
        await asyncio.sleep(0.1 if call == 3 else 0)
        raise ProviderError(f"call {call}")


def test_a_failure_leaves_no_exception_of_another_request_unheard(caplog: pytest.LogCaptureFixture) -> None:
    store: Any = SimpleNamespace(put_embeddings=lambda rows: time.sleep(0.4))
    endpoint: Any = Scripted()
    asking = VectorAsking(store, endpoint, model="m", dimensions=None, batch=1, in_flight=3)
    with pytest.raises(ProviderError, match="call 1"):
        asking.ask(["a", "b", "c"], [b"a", b"b", b"c"])
    gc.collect()
    assert caplog.messages == []


def test_a_kill_repeats_at_most_what_is_in_flight(serve: Serve, tmp_path: Path) -> None:
    served = serve(latency=0.05)
    code = (
        "import sys; from instag.embedding import OpenAIEmbedder\n"
        "OpenAIEmbedder('m', base_url=sys.argv[1], answers=sys.argv[2], batch=10, in_flight=4)"
        ".embed([f'tag {index}' for index in range(1000)])"
    )
    process = subprocess.Popen([sys.executable, "-c", code, served.base_url, str(tmp_path / "a.sqlite")])
    while served.stats()["texts_embedded"] < 200:
        time.sleep(0.01)
    process.kill()
    process.wait()
    embedder(served, tmp_path).embed(TEXTS)
    assert 1000 <= served.stats()["texts_embedded"] <= 1040


def test_normalize_keeps_vectors_in_the_store_of_the_run(serve: Serve, tmp_path: Path, instag: Instag) -> None:
    served = serve(key="sk-from-a-file")
    (tmp_path / "key").write_text("sk-from-a-file\n")
    rows = [json.dumps({"tags": ["write code", "fix code", f"tag {index}"]}) for index in range(30)]
    (tmp_path / "tagged.jsonl").write_text("\n".join(rows))
    run = tmp_path / "run"
    assert instag("import", tmp_path / "tagged.jsonl", "--run", run).code == 0
    flags = ["--embedder", "openai:m", "--embedder-base-url", served.base_url, "--min-count", "1", "--merge", "paper"]
    flags += ["--embedder-key-file", str(tmp_path / "key")]
    assert instag("normalize", run, *flags).code == 0
    assert served.stats()["texts_embedded"] == 32
    assert instag("normalize", run, *flags, "--max-cosine-distance", "0.1").code == 0
    assert served.stats()["texts_embedded"] == 32
    with AnswerStore(run / "answers.sqlite") as store:
        assert len(store) == 0
    assert "sk-from-a-file" not in (run / "normalize" / "manifest.json").read_text()
