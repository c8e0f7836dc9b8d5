"""What tests share: the real data (they skip, saying so, where it is absent), an endpoint, the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from instag import cli

settings.register_profile("instag", deadline=None)  # a busy machine is no failure
settings.load_profile("instag")

DATA = Path(os.environ.get("INSTAG_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data sets (`INSTAG_DATA`, by default `../shared/data` beside the checkout)."""
    if not DATA.is_dir():
        pytest.skip(f"no real data at {DATA} (set INSTAG_DATA)")
    return DATA


class Served:
    """A running `tests/server.py`: its address, its counts, its settings."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self._process = process
        self.port = int(process.stdout.readline())
        self._root = f"http://127.0.0.1:{self.port}"
        self.base_url = f"{self._root}/v1"

    def stats(self) -> dict[str, Any]:
        return self._told("stats")

    def requests(self) -> int:
        """How many have come."""
        return int(self._told("count")["requests"])

    def _told(self, what: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self._root}/{what}") as reply:
            found: dict[str, Any] = json.load(reply)
        return found

    def set(self, **settings: Any) -> None:
        urllib.request.urlopen(
            urllib.request.Request(f"{self._root}/control", data=json.dumps(settings).encode())
        ).close()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Served]]:
    """Starts `tests/server.py` as a process with the given settings; it is stopped after the test."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-tests")
    started: list[Served] = []

    def start(**settings: Any) -> Served:
        command = [sys.executable, str(Path(__file__).with_name("server.py"))]
        for name, value in settings.items():
            text = json.dumps(value) if isinstance(value, dict | list | bool) else str(value)
            command += [f"--{name.replace('_', '-')}", text]
        started.append(Served(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)))
        return started[-1]

    yield start
    for served in started:
        served.stop()


@dataclass
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.out))


Instag = Callable[..., Said]


@pytest.fixture
def instag(capsys: pytest.CaptureFixture[str]) -> Instag:
    def call(*arguments: object) -> Said:
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Said(int(ended.value.code or 0), printed.out, printed.err)

    return call


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    """Forty instructions of a few kinds, one of them twice, one line broken."""
    verbs = ["Write a poem about", "Translate into French:", "Fix the Python code for", "Summarize the article about"]
    things = ["rain", "trees", "sorting", "the moon", "bread", "trains", "maps", "music", "rivers", "ants"]
    rows = [{"instruction": f"{v} {t}.", "input": "", "output": "ok"} for v in verbs for t in things]
    lines = [json.dumps(row) for row in [*rows, rows[0]]]
    lines.insert(3, '{"instruction": "cut off')
    path = tmp_path / "chats.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path
