"""`--batch` through the real `openai` client: as live, within the limits, never paid twice; what fails goes live."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import instag
from conftest import Instag, Served
from instag import ArtifactError, Tagging, batch_files, batches
from instag.answers import FORMAT, AnswerStore
from instag.batch_endpoint import BatchEndpoint
from instag.batch_files import Limits
from instag.batches import BatchWarning
from instag.jobs import Jobs
from instag.spending import BudgetError

Serve = Callable[..., Served]
KILLS = int(os.environ.get("INSTAG_KILLS", "6"))


def queries(count: int) -> list[str]:
    return [f'Query {index}: fix "this" {{query}} 请\u2028next' for index in range(count)]


def tag(served: Served, texts: list[str], folder: Path, **settings: Any) -> Tagging:
    settings = {"answers": folder / "answers.sqlite", "batch_poll_s": 0.05, "batch": True, **settings}
    return instag.tag(texts, base_url=served.base_url, **settings)


def live(serve: Serve, texts: list[str], **settings: Any) -> Tagging:
    return instag.tag(texts, base_url=serve(**settings).base_url, answers=None)


def test_batches_give_what_live_calls_give_at_half_the_price(serve: Serve, tmp_path: Path) -> None:
    served, texts = serve(), queries(60)
    made, by_calls = tag(served, [*texts, texts[0]], tmp_path), live(serve, [*texts, texts[0]])
    assert made.queries.equals(by_calls.queries)
    stats = served.stats()
    assert (stats["batches"], len(stats["batched"]), stats["requests"]) == (1, 60, {})
    assert made.usage.asked == 60
    assert by_calls.usage.cost_usd is not None
    assert made.usage.cost_usd == pytest.approx(by_calls.usage.cost_usd / 2)
    again = tag(served, texts, tmp_path)
    assert (again.usage.asked, again.usage.reused, served.stats()["batches"]) == (0, 60, 1)


def test_files_stay_within_the_limits(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served, texts = serve(batch_requests=7, batch_bytes=20_000), queries(40)
    monkeypatch.setattr(batch_files, "LIMITS", Limits(requests=7, bytes=20_000))
    made = tag(served, [*texts, "long " * 10_000], tmp_path)
    stats = served.stats()
    assert all(requests <= 7 and size <= 20_000 for requests, size in stats["batch_files"])
    assert len(stats["batched"]) == 40
    assert len(stats["requests"]) == 1  # what no file can hold was asked live
    assert made.queries["status"].unique().to_list() == ["ok"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"batch_end": "expired"}, r"is expired: 20 of 40 requests .*20 batch_expired"),
        ({"batch_end": "cancelled"}, "is cancelled: 20 of 40"),
        ({"batch_end": "failed"}, r"is failed \(invalid: told to fail\): 40 of 40"),
        ({"batch_failures": 0.3}, "is completed: .* status 500"),
        ({"no_batches": True}, "has no Batch API"),
        ({"batch_bytes": 10}, "takes no batch .413: the file is too large"),
    ],
)
def test_what_batches_do_not_answer_is_asked_live(
    serve: Serve, tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    served, texts = serve(**settings), queries(40)
    with pytest.warns(BatchWarning, match=said):
        made = tag(served, texts, tmp_path)
    stats = served.stats()
    assert made.queries.equals(live(serve, texts).queries)
    assert not set(stats["batched"]) & set(stats["requests"])
    assert len(stats["batched"]) + len(stats["requests"]) == 40
    assert made.usage.asked == 40
    assert tag(served, texts, tmp_path).usage.asked == 0


@pytest.mark.parametrize(("per_file", "queue"), [(10, 25), (10, 10), (40, 12), (40, 2)])
def test_a_full_queue_is_waited_for(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, per_file: int, queue: int
) -> None:
    served, texts = serve(batch_queue=queue), queries(40)
    monkeypatch.setattr(batch_files, "LIMITS", Limits(requests=per_file))
    if queue < batches._FEWEST:
        with pytest.warns(BatchWarning, match="takes no batch, however small"):
            made = tag(served, texts, tmp_path)
        assert len(served.stats()["requests"]) == 40
    else:
        made = tag(served, texts, tmp_path)
        assert served.stats()["requests"] == {}
        assert list(served.stats()["batched"].values()) == [1] * 40
    assert made.queries.equals(live(serve, texts).queries)
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        assert Jobs(store).unfinished() == []


def test_a_refused_form_is_lowered_once_and_the_rest_goes_live(serve: Serve, tmp_path: Path) -> None:
    served, texts = serve(rejects=["json_schema"]), queries(20)
    with pytest.warns(BatchWarning, match="unsupported_parameter"):
        tag(served, texts, tmp_path)
    stats = served.stats()
    assert stats["formats"] == {"json_object": 20}
    assert stats["rejected"] == {"json_schema": 20}
    tag(served, queries(25), tmp_path)  # remembered
    assert served.stats()["rejected"] == {"json_schema": 20}
    assert len(served.stats()["batched"]) == 5


def test_a_batch_whose_reply_was_lost_is_found_by_its_name(serve: Serve, tmp_path: Path) -> None:
    served = serve(batch_replies_lost=1)
    tag(served, queries(10), tmp_path)
    assert served.stats()["batches"] == 1


def test_replies_that_are_none_of_ours_are_left_alone(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts, key = queries(5), "00" * 32
    download = BatchEndpoint.download
    good = {"model": "m", "choices": [{"message": {"content": "[]", "refusal": None}, "finish_reason": "stop"}]}
    strange: list[Any] = ["{", "[]", "null", '"x"', {}, {"custom_id": 1}, {"custom_id": "zz"}, {"custom_id": "é"}]
    strange += [{"custom_id": key, "response": {"status_code": 200, "body": good}}]

    def with_strange_lines(self: Any, file_id: str, path: Path) -> bool:
        done = download(self, file_id, path)
        lines = path.read_text("utf-8").split("\n")
        ours = json.loads(lines[0])["custom_id"]
        bodies: list[Any] = [None, [], {}, {"choices": []}, {"choices": [3]}, {"choices": "x"}, {"error": {"code": 1}}]
        replies = [None, 3, *[{"status_code": status, "body": body} for status in (200, 400, None) for body in bodies]]
        told = [*strange, *[{"custom_id": ours, "response": reply, "error": "x"} for reply in replies]]
        path.write_text(
            "\n".join([line if isinstance(line, str) else json.dumps(line) for line in told] + lines), "utf-8"
        )
        return done

    monkeypatch.setattr(BatchEndpoint, "download", with_strange_lines)
    made = tag(serve(), texts, tmp_path)
    assert made.queries.equals(live(serve, texts).queries)
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        assert len(store) == 5


JOB = """
import sys, instag
from instag import batch_files, batches
batch_files.LIMITS, batches.SETTLING_S = batch_files.Limits(requests=10), 0.3
made = instag.tag(
    [f"Query {index}" for index in range(40)], base_url=sys.argv[1], answers=sys.argv[2], batch=True, batch_poll_s=0.05
)
made.queries.write_parquet(sys.argv[3])
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="POSIX signals")
def test_killed_at_random_moments_nothing_is_submitted_twice(serve: Serve, tmp_path: Path) -> None:
    chance = random.Random(int(os.environ.get("INSTAG_SEED", "0")))
    served = serve(batch_seconds=1.0, batch_call_s=0.05, batch_failures=0.1)
    command = [sys.executable, "-c", JOB, served.base_url, str(tmp_path / "a.sqlite"), str(tmp_path / "made.parquet")]
    states: set[str] = set()
    for _ in range(KILLS):
        job = subprocess.Popen(command, stderr=subprocess.PIPE)
        calls = served.stats()["batch_calls"] + chance.randint(1, 6)
        while served.stats()["batch_calls"] < calls and job.poll() is None:
            time.sleep(0.005)
        time.sleep(chance.random() * 0.1)
        job.kill()
        job.communicate()
        if (tmp_path / "a.sqlite").exists():
            with AnswerStore(tmp_path / "a.sqlite") as store:
                states.update(job.state for job in Jobs(store).all())
    done = subprocess.run(command, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    time.sleep(1.2)  # a batch that nobody waits for would show
    stats = served.stats()
    assert set(stats["batched"].values()) == {1}
    assert not set(stats["batched"]) & set(stats["requests"])
    assert set(stats["requests"].values()) == {1}
    assert stats["batches"] >= 4  # what was not answered may be part of a later one, where the live calls were killed
    assert len(states) > 1, states
    assert pl.read_parquet(tmp_path / "made.parquet").equals(live(serve, [f"Query {i}" for i in range(40)]).queries)


@pytest.mark.parametrize("state", ["uploading", "creating", "creating, and made", "out"])
def test_every_state_is_gone_on_from(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: Any, **__: Any) -> Any:
        raise Killed

    def made_and_killed(self: Any, *given: Any, **settings: Any) -> Any:
        create(self, *given, **settings)
        raise Killed

    create = BatchEndpoint.create
    served, texts = serve(), queries(12)
    monkeypatch.setattr(batches, "SETTLING_S", 0.1)
    with monkeypatch.context() as patched:
        name = {"uploading": "upload", "out": "get"}.get(state, "create")
        patched.setattr(BatchEndpoint, name, made_and_killed if "made" in state else killed)
        with pytest.raises(Killed):
            tag(served, texts, tmp_path)
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        (job,) = Jobs(store).unfinished()
    assert job.state == state.split(",")[0]
    assert tag(served, texts, tmp_path).usage.asked == 12
    assert served.stats()["batches"] == 1
    assert set(served.stats()["batched"].values()) == {1}
    assert served.stats()["requests"] == {}


def test_the_command_line(
    serve: Serve, instag: Instag, chats: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve(batch_seconds=0.1)
    run = [chats, "--run", tmp_path / "run", "--base-url", served.base_url, "--json"]
    none = instag("tag", *run, "--batch-status")
    assert (none.code, none.json["batches"]) == (0, [])
    assert not (tmp_path / "run").exists()

    monkeypatch.setattr(time, "sleep", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    assert instag("tag", *run, "--batch").code == 130
    monkeypatch.undo()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-tests")
    time.sleep(0.3)
    (state,) = instag("tag", *run, "--batch-status").json["batches"]
    assert (state["state"], state["status"], state["requests"], state["completed"]) == ("out", "completed", 40, 40)
    refused = instag("tag", *run)
    assert refused.code == 1
    assert "40 queries are out in batches" in refused.err
    assert "sk-for-tests" not in (tmp_path / "run" / "answers.sqlite").read_bytes().decode("latin-1")

    done = instag("tag", *run, "--batch")
    assert (done.code, done.json["counts"]["asked"]) == (0, 40)
    assert "batches of earlier runs that are out: 1, with 40 requests" in done.err
    assert (served.stats()["batches"], served.stats()["requests"]) == (1, {})
    (state,) = instag("tag", *run, "--batch-status").json["batches"]
    assert (state["state"], state["completed"]) == ("collected", 40)
    assert "collected  completed" in instag("tag", *run, "--batch-status").err


def test_a_budget_that_may_be_passed_refuses_batches(serve: Serve, instag: Instag, chats: Path, tmp_path: Path) -> None:
    served = serve()
    run = [chats, "--run", tmp_path / "run", "--base-url", served.base_url, "--batch", "--json"]
    refused = instag("tag", *run, "--budget", "0.000001")
    assert refused.code == 3
    assert "nothing was sent" in refused.err
    assert served.stats()["batches"] == 0
    assert instag("tag", *run, "--budget", "1").code == 0
    with pytest.raises(BudgetError):
        tag(served, queries(50), tmp_path, budget_usd=0.000001)


def test_a_store_of_format_2_is_brought_up(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    AnswerStore(path).__exit__(None, None, None)
    connection = sqlite3.connect(path)
    for table in ("batches", "batch_requests", "embeddings"):
        connection.execute(f"DROP TABLE {table}")
    connection.execute("PRAGMA user_version = 2")
    connection.commit()
    connection.close()
    with AnswerStore(path) as store:
        assert Jobs(store).all() == []
        assert store.vectors([b"key"]) == {}
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {FORMAT + 1}")
    connection.close()
    with pytest.raises(ArtifactError, match="newer version"):
        AnswerStore(path)
