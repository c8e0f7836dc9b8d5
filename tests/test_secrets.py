"""Keys and passwords are sent to the endpoint and kept nowhere, also where it repeats them in errors and pages."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
import pytest

import instag as package
from conftest import Instag, Served

Serve = Callable[..., Served]

# No form that a pattern would know a key by.
KEY = "topsecret.of+the/house="
PASSWORD = "open sesame/§1"
SENT = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
PASSWORD_FORMS = [PASSWORD, quote(PASSWORD, safe=""), SENT]
FAULTS = dict.fromkeys(("500", "503-html", "html", "no-choices", "broken", "reset"), 0.14)


@dataclass
class Way:
    """How a run is told its secrets."""

    served: Served
    base_url: str
    key_file: Path | None
    secrets: list[str]
    heard: str  # by the endpoint

    @property
    def flags(self) -> list[object]:
        return ["--base-url", self.base_url, *(["--key-file", self.key_file] if self.key_file else [])]

    def assert_none(self, text: str) -> None:
        """No form of a secret is in a text, nor part of one."""
        parts = {secret[:9] for secret in self.secrets} | {secret[-9:] for secret in self.secrets}
        assert [secret for secret in (*self.secrets, *parts) if secret in text] == []


@pytest.fixture(params=["environment", "file", "address"])
def way(request: Any, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Way:
    monkeypatch.setattr("instag.endpoint._BACKOFF_CAP_S", 0.01)
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.1)))  # between looks at a batch
    served = serve()
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    made = Way(served, served.base_url, None, [KEY], f"Bearer {KEY}")
    if request.param == "file":
        monkeypatch.delenv("OPENAI_API_KEY")
        made.key_file = tmp_path / "key"
        made.key_file.write_text(KEY + "\n")
    elif request.param == "address":
        made.base_url = served.base_url.replace("//", f"//me:{quote(PASSWORD, safe='')}@")
        made.secrets, made.heard = [KEY, *PASSWORD_FORMS], f"Basic {SENT}"
    # So much that a message is cut within it.
    served.set(says=" ".join(["", *made.secrets, made.base_url] * 8))
    return made


def shown(folder: Path) -> str:
    """Everything below a folder as text, what is compressed in tables included."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            found.append(path.read_bytes().decode("latin-1") + path.read_bytes().decode("utf-8", "replace"))
        if path.suffix == ".parquet":
            found += [str(row) for row in pl.read_parquet(path).rows()]
    return "\n".join(found)


def test_a_run_with_faults(way: Way, instag: Instag, chats: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    way.served.set(faults=FAULTS, times=99)
    said = instag("tag", chats, "--run", run, *way.flags, "--max-failure-rate", 1, "--json")
    assert said.code == 0, said.err
    assert said.json["counts"]["failed_by_reason"]["provider"] > 5
    assert "***" in shown(run)
    way.assert_none(shown(run) + said.out + said.err)

    way.served.set(faults={}, replies={"prose": 0.5})
    again = instag("tag", chats, "--run", run, *way.flags, "--max-failure-rate", 1, "--retry-failed")
    assert again.code == 0, again.err
    plan = instag("tag", chats, "--run", run, *way.flags, "--dry-run", "--json")
    told = instag("show", run, "--json")
    exported = instag("answers", "export", run / "answers.sqlite")
    for made in (again, plan, told, exported):
        way.assert_none(made.out + made.err)
    way.assert_none(shown(run))
    assert way.served.stats()["keys_seen"] == [way.heard]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"key": "another"}, "401"),
        ({"status": 403}, "403"),
        ({"status": 404}, "404"),
        ({"status": 407}, "407"),
        ({"faults": {"html": 1.0}, "times": 99}, "HTML page"),
        ({"faults": {"quota": 1.0}, "times": 99}, "takes no more requests"),
        ({"faults": {"429": 1.0}, "times": 99, "retry_after": "86400"}, "86400"),
    ],
)
def test_an_endpoint_of_no_use(
    way: Way, instag: Instag, chats: Path, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    way.served.set(**settings)
    for batch in ([], ["--batch"]):
        run = tmp_path / "run"
        said = instag("tag", chats, "--run", run, *way.flags, *batch)
        if not batch:
            assert said.code == 3
            assert message in said.err
            assert "***" in said.err
        way.assert_none(said.out + said.err + shown(run))


def test_batches(way: Way, instag: Instag, chats: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    way.served.set(batch_failures=0.3)
    said = instag("tag", chats, "--run", run, *way.flags, "--batch")
    assert said.code == 0, said.err
    status = instag("tag", chats, "--run", run, *way.flags, "--batch-status", "--json")
    way.assert_none(said.out + said.err + status.out + status.err + shown(run))


def test_timeouts_and_an_endpoint_that_is_gone(way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("instag.endpoint._PATIENCE_UNSEEN_S", 0.2)
    path = tmp_path / "answers.sqlite"
    common: dict[str, Any] = {"base_url": way.base_url, "key_file": way.key_file, "answers": path}
    way.served.set(faults={"timeout": 0.5}, times=99)
    made = package.tag([f"question {i}" for i in range(20)], timeout_s=0.3, max_attempts=2, **common)
    assert set(made.counts["failed_by_reason"]) == {"timeout"}
    way.assert_none(repr(made) + str(made.failures.rows()) + repr(made.identity))
    way.served.stop()
    with pytest.raises(package.ProviderError, match="has not answered") as caught:
        package.tag(["another"], **common)
    way.assert_none(str(caught.value) + path.read_bytes().decode("latin-1"))


def test_an_embedder(way: Way, instag: Instag, chats: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert instag("tag", chats, "--run", run, "--tagger", "keyphrase").code == 0
    flags = [str(flag).replace("--", "--embedder-", 1) for flag in way.flags]
    for code, settings in ((3, {"key": "another"}), (0, {"key": ""})):
        way.served.set(**settings)
        said = instag("normalize", run, *flags, "--embedder", "openai:m", "--min-count", 1)
        assert said.code == code, said.err
        way.assert_none(said.out + said.err + shown(run))
