"""`--retry-failed`: what could not be read is asked for again, by reason; what it replaces is kept aside."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import instag
from conftest import Served

Serve = Callable[..., Served]

TEXTS = [f"Query {index}" for index in range(200)]


def test_what_could_not_be_read_is_asked_again_by_reason(serve: Serve, tmp_path: Path) -> None:
    served = serve(replies={"prose": 0.1, "truncated": 0.1})
    settings: dict[str, Any] = {"base_url": served.base_url, "answers": tmp_path / "a.sqlite", "max_failure_rate": 1.0}
    first = instag.tag(TEXTS, **settings)
    failed = first.counts["failed_by_reason"]
    assert set(failed) == {"not_json", "truncated"}
    assert instag.tag(TEXTS, **settings).usage.asked == 0

    served.set(replies={})
    one = instag.tag(TEXTS, retry_failed="not_json", **settings)
    assert one.usage.asked == failed["not_json"]
    assert one.counts["failed_by_reason"] == {"truncated": failed["truncated"]}
    every = instag.tag(TEXTS, retry_failed="all", **settings)
    assert every.usage.asked == failed["truncated"]
    assert every.counts["failed"] == 0

    with sqlite3.connect(tmp_path / "a.sqlite") as store:  # nothing that was paid for is thrown away
        ((kept, prose),) = store.execute("SELECT count(*), sum(answer LIKE '%Preheat%') FROM earlier")
    assert (kept, prose) == (len(first.failures), failed["not_json"])


def test_a_reason_that_is_none_is_told() -> None:
    with pytest.raises(instag.ConfigError, match=r"`retry_failed` is 'data\.jsonl', which is no reason"):
        instag.tag(["hello"], answers=None, retry_failed="data.jsonl")
