"""The `openai` embedder against a local server: rows in order, batches, and what each kind of bad answer is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from instag import ConfigError, DataError, ProviderError
from instag.embedders import embed, resolve
from instag.embedding import OpenAIEmbedder
from instag.semantic import merge_semantic

Reply = tuple[int, Any]
Answer = Callable[[list[str]], Reply]


def vectors(texts: list[str], **changes: Any) -> Reply:
    """What a good endpoint answers, rows backwards, since only `index` says which is which."""
    rows = [{"object": "embedding", "index": at, "embedding": [float(len(t)), 1.0]} for at, t in enumerate(texts)]
    return 200, {"object": "list", "data": rows[::-1], "model": "m", "usage": {}} | changes


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Answer], tuple[OpenAIEmbedder, list[Any]]]]:
    """An embedder before a server that gives the answers of a function; beside it the requests as they come."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    servers = []

    def start(answer: Answer) -> tuple[OpenAIEmbedder, list[Any]]:
        asked: list[Any] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                asked.append(request | {"path": self.path})
                status, body = answer(request["input"])
                raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/html" if isinstance(body, str) else "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        url = f"http://127.0.0.1:{server.server_port}/v1"
        return OpenAIEmbedder("m", base_url=url, batch=2, max_retries=0, timeout_seconds=10), asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_rows_come_in_the_order_of_the_texts(endpoint: Any) -> None:
    embedder, asked = endpoint(vectors)
    texts = ["a", "bb", "ccc", "dddd", "eeeee"]
    assert embedder.embed(texts).tolist() == [[1, 1], [2, 1], [3, 1], [4, 1], [5, 1]]
    assert sorted(len(request["input"]) for request in asked) == [1, 2, 2]
    assert {request["path"] for request in asked} == {"/v1/embeddings"}
    assert {request["model"] for request in asked} == {"m"}


def test_tags_merge_through_an_endpoint(endpoint: Any) -> None:
    embedder, asked = endpoint(vectors)
    tags = ["aaaaa", "bbbbb", "a"]
    merge = merge_semantic(tags, np.ones(3, dtype=np.int64), embedder=embedder, max_cosine_distance=0.05, merge="paper")
    assert merge.groups.tolist() == [0, 0, 1]
    assert merge.embedder == "openai:m"
    assert sorted(text for request in asked for text in request["input"]) == sorted(tags)


def test_no_texts_ask_nothing(endpoint: Any) -> None:
    embedder, asked = endpoint(vectors)
    assert embedder.embed([]).shape == (0, 0)
    assert not asked


def fewer(texts: list[str]) -> Reply:
    status, body = vectors(texts)
    return status, body | {"data": body["data"][1:]}


def other_dimension(texts: list[str]) -> Reply:
    status, body = vectors(texts)
    for row in body["data"]:
        row["embedding"] += [1.0] * ("c" in texts)
    return status, body


def repeated_index(texts: list[str]) -> Reply:
    status, body = vectors(texts)
    return status, body | {"data": [row | {"index": 0} for row in body["data"]]}


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (fewer, ProviderError, r"texts \d to \d: 1 vectors came back for 2"),
        (repeated_index, ProviderError, "vectors came back"),
        (other_dimension, ProviderError, r"batches came back with \[2, 3\] numbers"),
        (lambda texts: vectors(texts, data=[]), ProviderError, r"texts \d to \d"),
        (lambda texts: vectors(texts, data=None), ProviderError, r"texts \d to \d"),
        (lambda texts: (200, "<html>welcome</html>"), ProviderError, "answers an HTML page"),
        (lambda texts: (200, {"error": "no"}), ProviderError, r"texts \d to \d"),
        (lambda texts: (401, {"error": {"message": "bad key"}}), ProviderError, "asks for a key"),
        (lambda texts: (404, {"error": {"message": "no model m"}}), ProviderError, "check `--model`"),
        (lambda texts: (500, {"error": {"message": "oops"}}), ProviderError, "nothing was merged"),
        (lambda texts: vectors(texts) if "a" in texts else (500, "gone"), ProviderError, "texts 2 to 3"),
    ],
)
def test_a_bad_answer_is_told_with_its_place(
    endpoint: Any, answer: Answer, error: type[Exception], message: str
) -> None:
    embedder, _ = endpoint(answer)
    with pytest.raises(error, match=message):
        embedder.embed(["a", "b", "c", "d"])


@pytest.mark.parametrize(("number", "message"), [(float("nan"), "not finite"), (0.0, "all zeros")])
def test_bad_numbers_are_told_with_their_row(endpoint: Any, number: float, message: str) -> None:
    def answer(texts: list[str]) -> Reply:
        status, body = vectors(texts)
        for row in body["data"]:
            row["embedding"] = [number, number]
        return status, body

    with pytest.raises(DataError, match=f"texts 0 to 1: row 0 is {message}"):
        endpoint(answer)[0].embed(["a", "b"])


def test_an_endpoint_that_is_down_is_told(endpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("instag.endpoint._PATIENCE_UNSEEN_S", 1.0)
    with pytest.raises(ProviderError, match="has not answered for 1 s"):
        OpenAIEmbedder("m", base_url="http://127.0.0.1:9/v1", max_retries=0, timeout_seconds=5).embed(["a"])


def test_without_a_key_the_hint_names_the_offline_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(ConfigError, match="`--embedder lexical`"):
        merge_semantic(["a", "b"], np.ones(2, dtype=np.int64), embedder="openai:text-embedding-3-small")


def test_the_key_never_shows_and_the_address_is_no_identity() -> None:
    embedder = resolve("openai:m", base_url="http://here/v1", api_key="secret")
    assert embedder.identity == "openai:m"
    assert "secret" not in repr(embedder)


def test_an_endpoint_that_sends_the_key_back_does_not_make_it_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Echoing:
        identity, max_cosine_distance = "echoing", 0.05

        def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
            raise RuntimeError("403: incorrect key topsecretkey123 at https://me:p@w@host/v1?code=hidden")

    monkeypatch.setenv("OPENAI_API_KEY", "topsecretkey123")
    with pytest.raises(ProviderError, match="403") as error:
        embed(Echoing(), ["a"])
    for secret in ("topsecretkey123", "p@w", "hidden"):
        assert secret not in str(error.value)
