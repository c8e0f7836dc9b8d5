"""The limiter against simulated endpoints: throughput beside that of the best fixed number of requests out."""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from dataclasses import dataclass

import pytest

from instag.limiter import MOST, START, Limiter

ANSWERS = 10_000


@dataclass(frozen=True)
class Simulated:
    """An endpoint: `capacity` requests at work, each `latency` seconds on average, spread `spread`.

    `kind` says what becomes of more: they `queue`, are `refused` after 10 ms, or all are at work and slow each other
    down (`batch`). `errors` is the share that fails whatever the load, with a 429 where `storm`. From `at` seconds on
    the capacity is `then`, the latency `slower` times as long.
    """

    kind: str
    capacity: int
    latency: float
    spread: float = 0.5
    errors: float = 0.0
    storm: bool = False
    at: float = math.inf
    then: int = 0
    slower: float = 1.0


class Simulation:
    """One run: what is out at once is `fixed`, or what a limiter says."""

    def __init__(self, endpoint: Simulated, seed: int, fixed: int | None) -> None:
        self.endpoint, self.fixed, self.limiter = endpoint, fixed, Limiter()
        self.chance = random.Random(seed)
        self.now = self.work = self.most_out = 0.0
        self.events: list[tuple[float, int, str, float]] = []
        self.queue: deque[float] = deque()
        self.busy = self.sent = self.refused = 0

    def throughput(self) -> float:
        """Answers a second after the first tenth of them."""
        out = answered = again = 0
        started = 0.0
        while answered < ANSWERS:
            limit = self.fixed or self.limiter.limit
            while out < limit and (again or self.sent < ANSWERS):
                again, self.sent = (again - 1, self.sent) if again else (0, self.sent + 1)
                out += 1
                self.send()
            self.now, _, what, sent = heapq.heappop(self.events)
            if what == "answer":
                self.busy, out, answered = self.busy - 1, out - 1, answered + 1
                self.limiter.answered(sent, self.now)
                if self.queue and self.busy < self.capacity():
                    self.serve(self.queue.popleft())
                started = self.now if answered == ANSWERS // 10 else started
            elif what == "error":
                self.refused += 1
                refused = self.endpoint.storm or self.endpoint.kind == "refused"
                self.limiter.pushed_back(sent, self.now, refused=refused)
                self.later(0.5 * self.chance.random(), "again", sent)
            else:
                out, again = out - 1, again + 1
        return (ANSWERS - ANSWERS // 10) / (self.now - started)

    def capacity(self) -> int:
        return self.endpoint.capacity if self.now < self.endpoint.at else self.endpoint.then

    def later(self, seconds: float, what: str, sent: float) -> None:
        self.work += 1
        heapq.heappush(self.events, (self.now + seconds, int(self.work), what, sent))

    def send(self) -> None:
        if self.chance.random() < self.endpoint.errors:
            self.later(0.2 * self.endpoint.latency, "error", self.now)
        elif self.endpoint.kind == "batch" or self.busy < self.capacity():
            self.serve(self.now)
        elif self.endpoint.kind == "queue":
            self.queue.append(self.now)
        else:
            self.later(0.01, "error", self.now)

    def serve(self, sent: float) -> None:
        self.busy += 1
        sigma = math.sqrt(math.log(1 + self.endpoint.spread**2))
        seconds = self.endpoint.latency * self.chance.lognormvariate(-sigma * sigma / 2, sigma)
        seconds *= self.endpoint.slower if self.now >= self.endpoint.at else 1.0
        if self.endpoint.kind == "batch":
            seconds *= 1 + self.busy / self.endpoint.capacity
        self.later(seconds, "answer", sent)


FIXED = {
    "150 a second, 1 s": Simulated("queue", 150, 1.0),
    "150 a second, 0.2 s": Simulated("queue", 30, 0.2),
    "40 a second": Simulated("queue", 8, 0.2),
    "one at a time": Simulated("queue", 1, 0.1, spread=0.0),
    "long answers and short ones": Simulated("queue", 150, 1.0, spread=1.0),
    "very uneven": Simulated("queue", 40, 0.3, spread=1.0),
    "most uneven": Simulated("queue", 75, 0.5, spread=1.5),
    "always the same": Simulated("queue", 100, 1.0, spread=0.0),
    "refuses, always the same": Simulated("refused", 60, 0.5, spread=0.0),
    "slow": Simulated("queue", 300, 2.0, spread=0.8),
    "refuses, 150 at once": Simulated("refused", 150, 1.0),
    "refuses, 30 at once": Simulated("refused", 30, 0.2),
    "refuses, 8 at once": Simulated("refused", 8, 0.2),
    "batches, like vLLM": Simulated("batch", 64, 0.5),
    "2 % fail": Simulated("queue", 60, 0.4, errors=0.02),
    "20 % fail": Simulated("queue", 60, 0.4, errors=0.2),
    "5 % fail": Simulated("queue", 60, 0.4, errors=0.05),
    "3 % are refused whatever the load": Simulated("queue", 150, 1.0, errors=0.03, storm=True),
    "5 % are refused whatever the load": Simulated("queue", 100, 0.5, errors=0.05, storm=True),
    "refuses, 60 at once, and 5 % fail": Simulated("refused", 60, 0.4, errors=0.05),
    "20 % are refused whatever the load": Simulated("queue", 60, 0.4, errors=0.2, storm=True),
}


@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("seed", [0, 1])
def test_an_endpoint_of_fixed_capacity_is_kept_busy(name: str, seed: int) -> None:
    endpoint = FIXED[name]
    factors = (1.0,) if endpoint.kind == "refused" else (1.0, 1.5, 2.0, 4.0)
    tried = [Simulation(endpoint, seed, max(1, int(endpoint.capacity * factor))).throughput() for factor in factors]
    assert Simulation(endpoint, seed, None).throughput() >= 0.95 * max(tried)


@pytest.mark.parametrize(
    "endpoint",
    [
        Simulated("queue", 60, 0.4, at=30.0, then=180),
        Simulated("queue", 120, 0.8, at=40.0, then=30),
        Simulated("queue", 60, 0.4, at=30.0, then=60, slower=4.0),
        Simulated("queue", 60, 1.6, at=60.0, then=60, slower=0.25),
    ],
    ids=["three times the capacity", "a quarter of it", "answers four times as long", "a quarter as long"],
)
def test_a_change_is_followed(endpoint: Simulated) -> None:
    plenty = Simulation(endpoint, 0, 4 * max(endpoint.capacity, endpoint.then)).throughput()
    assert Simulation(endpoint, 0, None).throughput() >= 0.9 * plenty


def test_few_are_refused() -> None:
    run = Simulation(FIXED["refuses, 30 at once"], 0, None)
    run.throughput()
    assert run.refused < 0.06 * ANSWERS


@pytest.mark.parametrize(
    "endpoint", [Simulated("queue", 30, 0.2, spread=0.2), Simulated("queue", 100, 1.0, spread=0.0)]
)
def test_a_server_that_queues_is_not_flooded(endpoint: Simulated) -> None:
    run = Simulation(endpoint, 0, None)
    run.throughput()
    assert run.limiter.limit <= 3 * endpoint.capacity


def test_the_first_refusal_ends_the_doubling() -> None:
    limiter = Limiter()
    for _ in range(START):
        limiter.answered(sent=0.0, now=1.0)
    assert limiter.limit == 2 * START
    limiter.pushed_back(sent=1.0, now=1.1, refused=True)
    assert limiter.limit == int(2 * START * 0.9)
    limiter.pushed_back(sent=1.0, now=1.2, refused=True)  # sent before the cut: the same round trip
    assert limiter.limit == int(2 * START * 0.9)


@pytest.mark.parametrize("most", [1, 3, 5, MOST])
def test_it_stays_within_its_bounds(most: int) -> None:
    limiter, chance, now = Limiter(most), random.Random(most), 0.0
    for _ in range(20_000):
        sent, now = now, now + chance.random()
        if chance.random() < 0.3:
            limiter.pushed_back(sent, now, refused=chance.random() < 0.5)
        else:
            limiter.answered(sent, now)
        assert 1 <= limiter.limit <= most
