"""Caps on requests and tokens a minute: a simulated clock, then the server's own count."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import instag
from conftest import Served
from instag.pacing import Pacer

Serve = Callable[..., Served]


def sent_at(requests: float | None, tokens: float | None, sizes: list[float]) -> list[float]:
    """When requests of these sizes go out, each as soon as it may."""
    now = 1000.0
    pacer = Pacer(requests, tokens, clock=lambda: now)
    times = []
    for size in sizes:
        while (wait := pacer.wait_s(size)) > 0:
            now += wait
        assert pacer.take(size) == 0
        times.append(now)
    return times


@given(
    st.floats(1, 1e5), st.floats(1e3, 1e8), st.lists(st.floats(0, 300), min_size=1, max_size=200), st.integers(0, 199)
)
def test_no_stretch_of_time_has_more_than_the_caps_allow(
    requests: float, tokens: float, sizes: list[float], first: int
) -> None:
    times = sent_at(requests, tokens, sizes)
    first %= len(times)
    for last in range(first, len(times)):
        seconds = times[last] - times[first]
        assert last - first + 1 <= requests / 60 * (seconds + 2) + 1.001
        assert sum(sizes[first:last]) <= tokens / 60 * (seconds + 2) + 300.001


def test_what_is_allowed_is_used() -> None:
    assert sent_at(600, None, [0.0] * 620)[-1] == pytest.approx(1060)
    assert sent_at(None, 60_000, [500.0] * 124)[-1] == pytest.approx(1060)
    assert sent_at(None, None, [1e9] * 5) == [1000] * 5


def test_a_request_larger_than_the_bucket_is_sent_and_made_up_for() -> None:
    assert sent_at(None, 600, [100.0, 100.0]) == pytest.approx([1000, 1010])


def test_what_is_tried_again_has_its_place_in_the_line() -> None:
    pacer = Pacer(60, 6000, clock=lambda: 0.0)
    assert [pacer.take(10.0), pacer.take(30.0), pacer.take(), pacer.take()] == pytest.approx([0, 0, 1, 2])


def test_a_server_never_sees_more_than_the_cap_and_its_burst(serve: Serve, tmp_path: Path) -> None:
    served = serve(faults={"500": 0.2})
    texts = [f"Query {index}" for index in range(150)]
    made = instag.tag(texts, base_url=served.base_url, answers=tmp_path / "a.sqlite", requests_per_minute=1800)
    assert made.counts["failed"] == 0
    rate = {int(at): count for at, count in served.stats()["rate"].items()}
    first, last = min(rate), max(rate)
    assert sum(rate.values()) > 150
    assert 35 <= last - first <= 120  # (requests - 60) / 30 a second
    for start in range(first, last + 1):
        for tenths in (1, 5, 10, 20):
            seen = sum(rate.get(at, 0) for at in range(start, start + tenths))
            assert seen <= 30 * (tenths / 10 + 2) + 4  # of which a few by a late timer


def test_tokens_are_capped(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    texts = [f"Query {index}" for index in range(60)]
    settings: dict[str, Any] = {"base_url": served.base_url, "answers": tmp_path / "a.sqlite"}
    instag.tag(texts, tokens_per_minute=120_000, **settings)
    rate = {int(at): count for at, count in served.stats()["rate"].items()}
    assert max(rate) - min(rate) >= 10  # 2,000 tokens a second, 4,000 at once, of 60 requests with more than 100 each


@pytest.mark.parametrize("name", ["requests_per_minute", "tokens_per_minute"])
def test_a_cap_is_above_0(name: str) -> None:
    settings: dict[str, Any] = {name: 0}
    with pytest.raises(instag.ConfigError, match=f"`{name}` is 0, must be a number above 0"):
        instag.tag(["hello"], answers=None, **settings)
