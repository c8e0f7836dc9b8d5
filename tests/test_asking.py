"""Requests whose client does not do as it is told: the end comes all the same."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from instag.answers import Answer, AnswerStore
from instag.asking import Asking, Request
from instag.endpoint import Endpoint
from instag.errors import ArtifactError
from instag.spending import Spending


class FullStore(AnswerStore):
    """A disk that is full after some answers."""

    def put(self, answers: Sequence[Answer], *, replace: bool = False) -> None:
        if len(self) + len(answers) > 5:
            raise ArtifactError("the disk is full")
        super().put(answers, replace=replace)


async def deaf(_: Endpoint, request: Request) -> Answer:
    """Loses a cancellation, as `asyncio.wait_for` does before Python 3.12 when a reply has just come."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(int(request.text) % 7 / 100)
    return Answer(request.key, "[]", None, "stop", "m", 1, 1, "2026-01-01T00:00:00Z")


def ends(work: Any) -> bool:
    """Whether it does, within a minute."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(60)
    return not thread.is_alive()


@pytest.mark.parametrize("seed", range(5))
def test_a_lost_cancellation_does_not_keep_it_waiting(seed: int) -> None:
    told: list[BaseException] = []

    def work() -> None:
        endpoint = Endpoint("http://127.0.0.1:9/v1", concurrency=8)
        try:
            with (
                FullStore(None) as store,
                Asking(store, endpoint, deaf, lambda _: None, spending=Spending(None), max_failure_rate=0.1) as asking,
            ):
                fed = asking.feed(Request(bytes([at]), str(at * (seed + 2))) for at in range(60))
                asking.wait(fed, backlog=0)
        except ArtifactError as error:
            told.append(error)

    assert ends(work)
    assert "the disk is full" in str(told[0])


def test_what_was_fed_right_before_the_end_is_asked() -> None:
    async def at_once(_: Endpoint, request: Request) -> Answer:
        return Answer(request.key, "[]", None, "stop", "m", 1, 1, "2026-01-01T00:00:00Z")

    for _ in range(30):
        endpoint = Endpoint("http://127.0.0.1:9/v1")
        with AnswerStore(None) as store:
            with Asking(
                store, endpoint, at_once, lambda _: None, spending=Spending(None), max_failure_rate=0.1
            ) as asking:
                asking.feed(Request(bytes([at]), "") for at in range(9))
            assert len(store) == 9
