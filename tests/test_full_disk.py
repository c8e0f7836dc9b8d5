"""`instag tag` on a disk that fills up, or can't be written, and beside another process: nothing paid for is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import server
from conftest import Served
from instag.answers import AnswerStore
from instag.prompt import load_prompt
from instag.run import Run

Serve = Callable[..., Served]

QUERIES = 400
IN_FLIGHT = 8
TAG = """
import resource, sys
from instag import cli
most = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
cli.main()
"""

pytestmark = pytest.mark.skipif(os.name != "posix", reason="limits and file systems of POSIX")


def text_of(at: int) -> str:
    return f"Full disk, query {at}: why?"


def start(served: Served, data: Path, run: Path, *more: object, file_bytes: int = -1) -> subprocess.Popen[str]:
    """`instag tag`, in a process whose files may have so many bytes; -1 is no bound."""
    settings = ["--base-url", served.base_url, "--concurrency", IN_FLIGHT, "--quiet", *more]
    command = [sys.executable, "-c", TAG, file_bytes, "tag", data, "--run", run, *settings]
    return subprocess.Popen([str(word) for word in command], stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = process.communicate(timeout=120)
    return process.returncode, said


def is_one_error(said: str) -> bool:
    lines = said.splitlines()
    return len(lines) == 2 and lines[0].startswith("error: ") and lines[1].startswith("hint: ")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "chats.jsonl"
    path.write_text("".join(json.dumps({"prompt": text_of(at)}) + "\n" for at in range(QUERIES)))
    return path


class Disk:
    """A file system of its own, in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def set(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", self.path], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(path)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield Disk(path)
    subprocess.run(["umount", str(path)], check=True)


def gone_on_with(served: Served, data: Path, run: Path, *more: object) -> Counter[str]:
    """Runs again, to the end; gives how often each request came over all."""
    assert ended(start(served, data, run, *more)) == (0, "")
    prompt = load_prompt("paper")
    wanted = [server.tags_of(prompt.messages(text_of(at))[-1]["content"]) for at in range(QUERIES)]
    assert Run(run).table("tag", "queries")["tags"].to_list() == wanted
    assert len(Run(run).table("tag", "failures")) == 0
    requests: Counter[str] = Counter(served.stats()["requests"])
    assert len(requests) == QUERIES
    return requests


@pytest.mark.parametrize("size", ["4k", "200k"])
def test_a_disk_that_fills_up_with_answers(serve: Serve, data: Path, disk: Disk, size: str) -> None:
    served, run = serve(), disk.path / "run"
    disk.set(f"size={size}")
    code, said = ended(start(served, data, run))
    assert code == 1
    assert is_one_error(said)
    assert "the disk is full" in said
    assert not (run / "tag" / "manifest.json").exists()
    before = Counter(served.stats()["requests"])
    disk.set("size=64m")
    with AnswerStore(run / "answers.sqlite") as store:
        kept = len(store)
    assert before.total() - kept <= IN_FLIGHT
    assert gone_on_with(served, data, run).total() == before.total() + QUERIES - kept


def test_a_disk_that_fills_up_with_tables(serve: Serve, data: Path, disk: Disk, tmp_path: Path) -> None:
    served, run, answers = serve(), disk.path / "run", ("--answers", tmp_path / "answers.sqlite")
    disk.set("size=16k")
    code, said = ended(start(served, data, run, *answers))
    assert code == 1
    assert is_one_error(said)
    assert "No space left" in said
    assert [path.name for path in (run / "tag").iterdir()] == []
    disk.set("size=64m")
    assert set(gone_on_with(served, data, run, *answers).values()) == {1}


def test_a_disk_that_becomes_read_only(serve: Serve, data: Path, disk: Disk) -> None:
    served, run = serve(latency=0.05), disk.path / "run"
    first = start(served, data, run)
    while served.requests() < 60:
        time.sleep(0.01)
    first.kill()  # a file that is open for writing keeps the disk from becoming so
    ended(first)
    disk.set("ro")
    before = Counter(served.stats()["requests"])
    code, said = ended(start(served, data, run))
    assert code == 1
    assert is_one_error(said)
    assert "ead-only" in said
    assert Counter(served.stats()["requests"]) == before
    disk.set("rw")
    asked = gone_on_with(served, data, run)
    assert asked.total() - len(asked) <= IN_FLIGHT


def test_files_that_may_grow_no_more(serve: Serve, data: Path, tmp_path: Path) -> None:
    served, run = serve(), tmp_path / "run"
    code, said = ended(start(served, data, run, file_bytes=100_000))
    assert code == 1
    assert is_one_error(said)
    before = Counter(served.stats()["requests"])
    with AnswerStore(run / "answers.sqlite") as store:
        kept = len(store)
    assert before.total() - kept <= IN_FLIGHT
    assert gone_on_with(served, data, run).total() == before.total() + QUERIES - kept


def test_two_processes_on_one_run(serve: Serve, data: Path, tmp_path: Path) -> None:
    served, run = serve(latency=0.05), tmp_path / "run"
    both = [start(served, data, run) for _ in range(2)]
    codes, said = zip(*map(ended, both), strict=True)
    assert sorted(codes) == [0, 1]
    refused = said[codes.index(1)]
    assert is_one_error(refused)
    assert "another process" in refused
    assert set(gone_on_with(served, data, run).values()) == {1}
