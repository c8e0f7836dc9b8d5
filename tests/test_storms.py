"""Storms of 429, with every kind of `Retry-After` and clocks that are hours wrong: waited out."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import instag
from conftest import Served
from instag.tagger import Progress

Serve = Callable[..., Served]

STORM_S = 1.5


@pytest.mark.parametrize(
    ("retry_after", "skew"),
    [
        ("1", 0.0),
        ("0.2", 0.0),
        ("", 0.0),
        ("date:1", 0.0),
        ("date:1", 7_200.0),
        ("date:1", -7_200.0),
        ("date:-60", 0.0),
        ("0", 0.0),
        ("-5", 0.0),
        ("soon", 0.0),
        ("nan", 0.0),
    ],
)
def test_a_storm_is_waited_out(serve: Serve, tmp_path: Path, retry_after: str, skew: float) -> None:
    served = serve(storm=STORM_S, retry_after=retry_after, skew=skew)
    started = time.monotonic()
    made = instag.tag([f"Query {at}" for at in range(40)], base_url=served.base_url, answers=tmp_path / "a.sqlite")
    seconds, stats = time.monotonic() - started, served.stats()
    assert made.counts["failed"] == 0
    assert STORM_S <= seconds < STORM_S + 15
    assert list(stats["answered"].values()) == [1] * 40
    assert stats["refused"] < 400  # no hammering


@pytest.mark.parametrize("retry_after", ["1e9", "inf", "date:86400"])
def test_a_storm_of_hours_stops_the_run_at_once(serve: Serve, tmp_path: Path, retry_after: str) -> None:
    served = serve(storm=1e6, retry_after=retry_after)
    started = time.monotonic()
    with pytest.raises(instag.ProviderError):
        instag.tag(["Query"] * 40, base_url=served.base_url, answers=tmp_path / "a.sqlite")
    assert time.monotonic() - started < 10


def test_an_endpoint_that_refuses_what_is_too_much_answers_everything(serve: Serve, tmp_path: Path) -> None:
    served = serve(capacity=6, refuse=True, latency=0.05, retry_after="")
    texts = [f"Query {at}" for at in range(400)]
    made = instag.tag(texts, base_url=served.base_url, answers=tmp_path / "a.sqlite")
    assert made.counts["failed"] == 0
    assert served.stats()["most_busy"] <= 6
    assert served.stats()["refused"] > 0


@pytest.mark.parametrize("fault", ["html", "503-html", "cut", "trickle"])
def test_a_gateway_that_turns_bad_in_the_midst_of_a_run(serve: Serve, tmp_path: Path, fault: str) -> None:
    served = serve(latency=0.05)
    texts = [f"Query {at}" for at in range(120)]

    def turn_bad(progress: Progress) -> None:
        if 0 < progress.done < 120:
            served.set(faults={fault: 0.2})

    settings: dict[str, Any] = {"base_url": served.base_url, "concurrency": 8, "timeout_s": 2.0}
    made = instag.tag(texts, answers=tmp_path / "a.sqlite", progress=turn_bad, **settings)
    assert made.counts["failed"] == 0
    requests = served.stats()["requests"]
    assert set(requests.values()) == {1, 2}
    assert set(served.stats()["answered"].values()) == {1}
