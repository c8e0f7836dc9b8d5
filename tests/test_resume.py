"""Killed and interrupted runs: what was committed is not asked again, at most the requests in flight are repeated."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from conftest import Served
from instag.answers import AnswerStore

KILLS = int(os.environ.get("INSTAG_KILLS", "4"))
CONCURRENCY = 8
JOB = """
import sys, instag
try:
    made = instag.tag(
        [f"Query {index}" for index in range(int(sys.argv[4]))],
        base_url=sys.argv[1], answers=sys.argv[2], concurrency=8, timeout_s=20,
    )
except KeyboardInterrupt:
    sys.exit(130)
made.queries.write_parquet(sys.argv[3])
"""

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="POSIX signals")


def start(served: Served, folder: Path, name: str, count: int) -> subprocess.Popen[bytes]:
    paths = [str(folder / f"{name}.sqlite"), str(folder / f"{name}.parquet")]
    return subprocess.Popen([sys.executable, "-c", JOB, served.base_url, *paths, str(count)], stderr=subprocess.PIPE)


def requests_of(served: Served) -> dict[str, int]:
    requests: dict[str, int] = served.stats()["requests"]
    return requests


def wait_for(served: Served, total: int, job: subprocess.Popen[bytes]) -> None:
    while sum(requests_of(served).values()) < total and job.poll() is None:
        time.sleep(0.005)


def committed(path: Path, requests: dict[str, int]) -> set[str]:
    if not path.exists():
        return set()
    with AnswerStore(path) as store:
        keys = sorted(requests)
        missing = set(store.missing([bytes.fromhex(key) for key in keys]))
    return {key for at, key in enumerate(keys) if at not in missing}


def test_killed_at_random_moments_it_goes_on_where_it_was(serve: Callable[..., Served], tmp_path: Path) -> None:
    count, chance = 40 * KILLS, random.Random(0)
    served = serve(latency=0.02, faults={"429": 0.05, "reset": 0.05})
    kept: set[str] = set()
    for kill in range(KILLS):
        before = requests_of(served)
        job = start(served, tmp_path, "killed", count)
        share = (count - len(kept)) // (KILLS - kill + 1)
        wait_for(served, sum(before.values()) + chance.randint(1, max(1, share)), job)
        time.sleep(chance.random() * 0.03)
        job.kill()
        job.communicate()
        time.sleep(0.1)  # the requests in flight reach the server's counts
        after = requests_of(served)
        assert {key: after[key] for key in kept} == {key: before[key] for key in kept}
        kept = committed(tmp_path / "killed.sqlite", after)
    before = requests_of(served)
    job = start(served, tmp_path, "killed", count)
    assert job.wait(120) == 0
    after, answered = requests_of(served), served.stats()["answered"]
    assert {key: after[key] for key in kept} == {key: before[key] for key in kept}
    assert len(answered) == count
    assert sum(answered.values()) - count <= CONCURRENCY * KILLS
    assert start(served, tmp_path, "whole", count).wait(120) == 0
    assert pl.read_parquet(tmp_path / "killed.parquet").equals(pl.read_parquet(tmp_path / "whole.parquet"))


def test_ctrl_c_commits_what_arrived_and_exits_130(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve(latency=0.02)
    job = start(served, tmp_path, "interrupted", 2_000)
    wait_for(served, 60, job)
    job.send_signal(signal.SIGINT)
    started = time.monotonic()
    assert job.wait(20) == 130
    assert time.monotonic() - started < 5
    time.sleep(0.1)
    answered = served.stats()["answered"]
    kept = committed(tmp_path / "interrupted.sqlite", answered)
    assert len(kept) >= 60 - 2 * CONCURRENCY
    assert len(answered) - len(kept) <= CONCURRENCY


def test_two_processes_on_one_store_do_not_pay_twice(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve(latency=0.05)
    first = start(served, tmp_path, "shared", 2_000)
    wait_for(served, 20, first)
    second = start(served, tmp_path, "shared", 2_000)
    _, said = second.communicate(timeout=30)
    assert second.returncode == 1
    assert b"is in use by another process" in said
    assert first.poll() is None
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=20)
    assert set(requests_of(served).values()) == {1}
