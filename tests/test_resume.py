"""Killed and interrupted runs: what was committed is not asked again, at most the requests in flight are repeated."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import DATA, Served
from instag.answers import AnswerStore
from instag.run import Run

KILLS = int(os.environ.get("INSTAG_KILLS", "20"))
SAMPLES = 90 * KILLS
CONCURRENCY = 8
FILES = (
    "llama_factory/alpaca_en_demo.json",
    "llama_factory/glaive_toolcall_zh_demo.json",
    "gsm8k/train.jsonl",
    "gpteacher/roleplay-similarity_0.6-instruct-dataset.json",
    "gpteacher/toolformer-dedupe-only-dataset.json",
    "llama_factory/alpaca_zh_demo.json",
)
# `instag tag` in parts of 64 records; the file named first holds how many requests were out when the last was sent
TAG = """
import os, sys
from instag import asking, cli, tag_stages
tag_stages.PART_ROWS = 64
out, send = os.open(sys.argv.pop(1), os.O_RDWR | os.O_CREAT), asking.Asking._send
def told(self):
    send(self)  # nothing is out before it returns: the requests are tasks of this thread
    os.pwrite(out, b"%6d" % len(self._out), 0)
asking.Asking._send = told
cli.main()
"""
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


def start_tag(served: Served, folder: Path, name: str, files: list[Path]) -> subprocess.Popen[bytes]:
    settings = ["--run", folder / name, "--base-url", served.base_url, "--limit", SAMPLES, "--quiet"]
    command = [sys.executable, "-c", TAG, folder / f"{name}.out", "tag", *files, *settings]
    return subprocess.Popen([str(argument) for argument in command], stderr=subprocess.PIPE)


def requests_of(served: Served) -> dict[str, int]:
    requests: dict[str, int] = served.stats()["requests"]
    return requests


def wait_for(served: Served, total: int, job: subprocess.Popen[bytes]) -> None:
    while served.requests() < total and job.poll() is None:
        time.sleep(0.005)


def committed(path: Path, requests: dict[str, int]) -> set[str]:
    if not path.exists():
        return set()
    with AnswerStore(path) as store:
        keys = sorted(requests)
        missing = set(store.missing([bytes.fromhex(key) for key in keys]))
    return {key for at, key in enumerate(keys) if at not in missing}


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Real instructions, some of several turns, where they are; else made up."""
    if DATA.is_dir():
        return [DATA / "instructions" / name for name in FILES]
    path = tmp_path / "chats.jsonl"
    path.write_text("".join(json.dumps({"instruction": f"Query {at}"}) + "\n" for at in range(SAMPLES)))
    return [path]


def wait_a_while(served: Served, job: subprocess.Popen[bytes], chance: random.Random, share: int) -> None:
    """Until some request of its share is out, or for a moment of its start, or of its end."""
    how = chance.random()
    if how < 0.8:
        wait_for(served, served.requests() + chance.randint(1, max(1, share)), job)
        time.sleep(chance.random() * 0.03)
    else:
        time.sleep(chance.random() * 2)


def test_killed_at_random_moments_it_goes_on_where_it_was(
    serve: Callable[..., Served], tmp_path: Path, files: list[Path]
) -> None:
    chance = random.Random(0)
    served = serve(latency=0.03, capacity=40, faults={"429": 0.03, "reset": 0.03, "500": 0.03}, replies={"prose": 0.02})
    kept: set[str] = set()
    repeated = most_out = 0
    for kill in range(KILLS):
        before = requests_of(served)
        (tmp_path / "killed.out").write_bytes(b"     0")
        job = start_tag(served, tmp_path, "killed", files)
        wait_a_while(served, job, chance, (SAMPLES - len(kept)) // (KILLS - kill + 1) * 2)
        job.kill()
        job.communicate()
        out = int((tmp_path / "killed.out").read_bytes())
        time.sleep(0.1)  # the requests in flight reach the server's counts
        after = requests_of(served)
        assert {key: after[key] for key in kept} == {key: before[key] for key in kept}
        kept = committed(tmp_path / "killed" / "answers.sqlite", after)
        lost = {key for key, count in after.items() if count > before.get(key, 0)} - kept
        assert len(lost) <= out
        repeated, most_out = repeated + len(lost), max(most_out, out)
    before = requests_of(served)
    job = start_tag(served, tmp_path, "killed", files)
    assert job.wait(300) == 0
    after, answered = requests_of(served), served.stats()["answered"]
    assert {key: after[key] for key in kept} == {key: before[key] for key in kept}
    assert answered.keys() == after.keys()
    assert sum(answered.values()) - len(answered) <= repeated
    print(f"{KILLS} kills, {len(answered):,} requests, {repeated:,} repeated, {most_out} out at most")
    assert start_tag(served, tmp_path, "whole", files).wait(300) == 0
    killed, whole = Run(tmp_path / "killed"), Run(tmp_path / "whole")
    for table in ("queries", "rows", "failures", "rejected", "records"):
        assert killed.has("tag", table) == whole.has("tag", table)
        if whole.has("tag", table):
            assert killed.table("tag", table).equals(whole.table("tag", table))
    told = [run.need("tag")["counts"] for run in (killed, whole)]
    assert told[0]["asked"] + told[0]["reused"] == told[1]["asked"] == len(answered)
    same = set(told[0]) - {name for name in told[0] if name.startswith(("asked", "reused", "cost"))}
    same -= {name for name in told[0] if "tokens" in name}
    assert {name: told[0][name] for name in same} == {name: told[1][name] for name in same}


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
