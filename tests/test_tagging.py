"""instag.tag through the real `openai` client against a server of our own, run as a process."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

import instag
import server
from conftest import Served
from instag import Tagging, answers
from instag.asking import JUDGED_FROM
from instag.chat import ChatTagger
from instag.endpoint import retry_after_s
from instag.prompt import load_prompt
from instag.tagger import Progress, TagSettings, TagSpeed, tagged_schema

Serve = Callable[..., Served]


def queries(count: int) -> list[str]:
    return [f'Query {index}: fix "this" {{query}} 请' for index in range(count)]


def expected(texts: list[str]) -> list[list[str]]:
    """The tags that the server gives to the queries in the paper's prompt."""
    return [server.tags_of(load_prompt("paper").messages(text)[0]["content"]) for text in texts]


def tag(served: Served, data: Any, folder: Path, **settings: Any) -> Tagging:
    return instag.tag(data, base_url=served.base_url, answers=folder / "answers.sqlite", **settings)


def test_every_query_gets_its_tags_and_equal_ones_are_asked_once(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    texts = queries(40)
    made = tag(served, [*texts, *texts[:7]], tmp_path)
    assert made.queries["tags"].cast(pl.List(pl.String)).to_list() == expected([*texts, *texts[:7]])
    assert made.queries["status"].unique().to_list() == ["ok"]
    assert made.queries["explanations"][0][0].startswith("it asks to ")
    assert served.stats()["requests"] == dict.fromkeys(served.stats()["requests"], 1)
    assert made.counts["asked"] == made.counts["distinct_queries"] == 40
    assert made.usage.prompt_tokens == 4_000
    assert made.label == "tagged by gpt-4o-mini"


def test_a_sample_has_the_union_of_its_turns(serve: Serve, tmp_path: Path) -> None:
    texts = queries(4)
    pool = SimpleNamespace(
        samples=pl.DataFrame({"id": ["a", "b", "c"], "source": ["s", "s", "t"], "turns": [2, 0, 3]}),
        queries=pl.DataFrame(
            {"row": [0, 0, 2, 2, 2], "turn": [0, 1, 0, 1, 2], "query": [texts[i] for i in (0, 1, 1, 2, 3)]},
            schema={"row": pl.Int64, "turn": pl.Int32, "query": pl.String},
        ),
    )
    made = tag(serve(), pool, tmp_path)
    one, two, three, four = expected(texts)
    assert made.rows["tags"].to_list() == [list(dict.fromkeys(one + two)), [], list(dict.fromkeys(two + three + four))]
    assert made.rows.drop("tags").rows() == [("a", "s", 2, 0), ("b", "s", 0, 0), ("c", "t", 3, 0)]
    assert made.queries.select("id", "turn").rows() == [("a", 0), ("a", 1), ("c", 0), ("c", 1), ("c", 2)]
    assert made.rows.schema["tags"] == pl.List(pl.Categorical)
    assert made.table.to_series().to_list() == [one, two, two, three, four]


PASSING = "429 429-bare 500 503-html reset cut broken no-choices gzip text-type timeout".split()


def test_faults_that_pass_change_nothing(serve: Serve, tmp_path: Path) -> None:
    served = serve(faults=dict.fromkeys(PASSING, 1 / len(PASSING)))
    texts = queries(120)
    made = tag(served, texts, tmp_path, timeout_s=2.0)
    assert made.queries["tags"].to_list() == expected(texts)
    counted = served.stats()
    assert max(counted["requests"].values()) == 2
    assert max(counted["answered"].values()) == 1
    assert counted["most_busy"] <= 32


def test_a_trickle_ends_with_the_time_out(serve: Serve, tmp_path: Path) -> None:
    made = tag(serve(faults={"trickle": 1.0}), queries(3), tmp_path, timeout_s=1.0)
    assert made.queries["tags"].to_list() == expected(queries(3))


def test_retry_after_is_waited_for(serve: Serve, tmp_path: Path) -> None:
    served = serve(faults={"429": 1.0}, retry_after="1.2")
    started = time.monotonic()
    tag(served, queries(8), tmp_path)
    assert time.monotonic() - started >= 1.2
    assert set(served.stats()["requests"].values()) == {2}


def test_retry_after_may_be_a_date_and_counts_from_the_reply_s_own_clock() -> None:
    reply = {"date": "Wed, 01 Jan 2020 00:00:00 GMT", "retry-after": "Wed, 01 Jan 2020 00:00:07 GMT"}
    assert retry_after_s(reply) == 7
    assert retry_after_s({"retry-after": "Wed, 01 Jan 2020 00:00:00 GMT"}) is None
    for nonsense in ("soon", "", "nan", "9" * 400):
        assert retry_after_s({"retry-after": nonsense}) in (None, float("inf"))


def test_an_endpoint_that_comes_back_is_gone_on_with(serve: Serve, tmp_path: Path) -> None:
    first = serve(latency=0.02)
    made: list[Tagging] = []
    run = threading.Thread(target=lambda: made.append(tag(first, queries(150), tmp_path, concurrency=4)))
    run.start()
    while sum(first.stats()["requests"].values()) < 20:
        time.sleep(0.01)
    first.stop()
    time.sleep(0.3)
    serve(port=first.port)
    run.join(60)
    assert made[0].queries["tags"].to_list() == expected(queries(150))
    assert made[0].counts["failed"] == 0


def test_files_are_read_first(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    turns = [{"role": role, "content": text} for role, text in (("user", "a"), ("assistant", "b"), ("user", "c"))]
    path.write_text(json.dumps({"messages": turns}) + "\n")
    made = tag(serve(), path, tmp_path)
    assert made.queries["tags"].to_list() == expected(["a", "c"])
    assert made.rows.select("source", "turns", "failed_turns").rows() == [("chats", 2, 0)]


def test_requests_at_once_never_exceed_the_setting(serve: Serve, tmp_path: Path) -> None:
    served = serve(latency=0.02)
    tag(served, queries(40), tmp_path, concurrency=5)
    assert served.stats()["most_busy"] == 5


REPLIES = {
    "refusal": "refused",
    "refused-text": "refused",
    "prose": "not_json",
    "truncated": "truncated",
    "content_filter": "content_filter",
    "empty": "empty",
    "too_long": "too_long",
    "filtered": "content_filter",
}


def test_what_can_not_be_read_is_a_failure_with_its_reason_never_zero_tags(serve: Serve, tmp_path: Path) -> None:
    served = serve(replies=dict.fromkeys([*REPLIES, "fenced", "prefixed", "strings"], 0.08))
    texts = queries(200)
    made = tag(served, texts, tmp_path, max_failure_rate=1.0)
    assert set(made.failures["reason"]) == set(REPLIES.values())
    assert len(made.failures) == made.rows["failed_turns"].sum() == sum(made.counts["failed_by_reason"].values())
    for tags, status, truth in zip(made.queries["tags"], made.queries["status"], expected(texts), strict=True):
        assert tags.to_list() == (truth if status == "ok" else [])
    answered = made.failures.filter(pl.col("reason").is_in(["not_json", "truncated"]))
    assert answered["answer"].str.len_chars().min() > 0  # type: ignore[operator]
    assert made.failures.filter(pl.col("reason") == "too_long")["answer"][0].startswith("400: This model's maximum")
    kept = tag(served, texts, tmp_path, max_failure_rate=1.0, keep_truncated=True)
    assert kept.usage.asked == 0  # another reading of the same answers
    cut = made.failures.filter(pl.col("reason") == "truncated")
    still = kept.failures.filter(pl.col("reason") == "truncated")
    assert still["answer"].str.contains("}", literal=True).sum() == 0  # not one whole tag
    assert len(made.failures) - len(kept.failures) == len(cut) - len(still) > 0


def test_nothing_is_asked_twice_and_what_is_kept_needs_no_endpoint(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()
    texts = queries(30)
    tag(served, texts[:20], tmp_path)
    made = tag(served, texts, tmp_path)
    assert (made.usage.asked, made.usage.reused, made.usage.prompt_tokens_reused) == (10, 20, 2_000)
    assert set(served.stats()["requests"].values()) == {1}
    monkeypatch.delenv("OPENAI_API_KEY")
    again = instag.tag(texts, answers=tmp_path / "answers.sqlite")
    assert again.queries.equals(made.queries)


def test_another_model_prompt_or_decoding_asks_again(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    prompt = tmp_path / "mine.txt"
    prompt.write_text("Tag: {query} ({query})\n")
    for settings in ({}, {"model": "other"}, {"prompt": prompt}, {"temperature": 0.5}, {"seed": 1}, {"max_tokens": 99}):
        assert tag(served, queries(3), tmp_path, **settings).usage.asked == 3
    for settings in ({"concurrency": 2}, {"timeout_s": 9.0}, {"model": "alias", "model_identity": "other"}):
        assert tag(served, queries(3), tmp_path, **settings).usage.asked == 0


def test_what_failed_before_is_no_reason_to_stop_going_on(serve: Serve, tmp_path: Path) -> None:
    served = serve(replies={"too_long": 0.1})
    first = tag(served, queries(1_500), tmp_path, max_failure_rate=0.5)  # which of them come first is chance
    assert first.counts["failed"] > JUDGED_FROM
    again = tag(served, queries(1_500), tmp_path, max_failure_rate=0.15)  # asks for nothing but what fails
    assert again.queries.equals(first.queries)


def test_an_endpoint_that_breaks_stops_a_run_whatever_stood_before(serve: Serve, tmp_path: Path) -> None:
    tag(serve(), queries(3_000), tmp_path)
    broken = serve(replies={"prose": 1.0})
    with pytest.raises(instag.ProviderError, match="more than the limit"):
        tag(broken, queries(6_000), tmp_path)
    assert sum(broken.stats()["requests"].values()) < 1_000


def test_too_many_failures_stop_the_run_and_keep_the_answers(serve: Serve, tmp_path: Path) -> None:
    served = serve(replies={"prose": 0.5})
    with pytest.raises(instag.ProviderError, match=r"more than the limit of 5%") as caught:
        tag(served, queries(1_000), tmp_path, concurrency=8)
    assert caught.value.exit_code == 3
    assert str(caught.value).count("not_json: 1. Preheat the oven") == 3
    asked = sum(served.stats()["requests"].values())
    assert 100 <= asked <= 108
    made = tag(served, queries(1_000), tmp_path, max_failure_rate=0.9)
    assert made.usage.reused == asked
    assert set(served.stats()["requests"].values()) == {1}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"key": "sk-another"}, "refuses the key"),
        ({"model": "served-model"}, "The model `gpt-4o-mini` does not exist"),
        ({"status": 403}, "refuses the key"),
        ({"faults": {"html": 1.0}}, "answers an HTML page"),
        ({"faults": {"429": 1.0}, "retry_after": "86400"}, "asks to wait 86400 s"),
        ({"faults": {"quota": 1.0}}, "exceeded your current quota"),
    ],
)
def test_an_endpoint_of_no_use_stops_at_once(serve: Serve, tmp_path: Path, settings: Any, message: str) -> None:
    served = serve(**settings)
    started = time.monotonic()
    with pytest.raises(instag.ProviderError, match=message) as caught:
        tag(served, queries(50), tmp_path)
    assert time.monotonic() - started < 8
    assert caught.value.hint
    assert "sk-for-tests" not in str(caught.value)


def test_an_endpoint_that_is_down_ends_within_30_seconds(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from instag import endpoint

    assert endpoint._PATIENCE_UNSEEN_S + endpoint._CONNECT_S < 30
    monkeypatch.setattr(endpoint, "_PATIENCE_UNSEEN_S", 1.5)
    with pytest.raises(instag.ProviderError, match=r"has not answered for .* s") as caught:
        instag.tag(queries(50), base_url="http://127.0.0.1:9/v1", answers=None)
    assert "hint:" in str(caught.value)
    with pytest.raises(instag.ProviderError, match="500"):
        tag(serve(status=500), queries(50), tmp_path)


def test_no_key_is_told_with_the_offline_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(instag.ConfigError, match="--tagger keyphrase"):
        instag.tag(["hello"], answers=None)


def test_a_server_of_ones_own_needs_no_key_and_may_ask_for_one(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    served = serve()
    assert instag.tag(queries(2), base_url=served.base_url, answers=None).usage.asked == 2
    assert served.stats()["keys_seen"] == ["Bearer none"]
    served.set(key="sk-secret")
    with pytest.raises(instag.ProviderError, match="asks for a key"):
        instag.tag(queries(2), base_url=served.base_url, answers=None)


def test_the_key_is_kept_nowhere(serve: Serve, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    served = serve(key="sk-for-tests")
    made = tag(served, queries(5), tmp_path)
    assert served.stats()["keys_seen"] == ["Bearer sk-for-tests"]
    assert "sk-for-tests" not in repr(made) + repr(made.identity) + "".join(capfd.readouterr())
    for path in tmp_path.iterdir():
        assert b"sk-for-tests" not in path.read_bytes()


def test_another_model_than_asked_is_warned_of(serve: Serve, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="answered by `llama-3-8b`"):
        tag(serve(answer_model="llama-3-8b"), queries(2), tmp_path)


def test_it_works_inside_a_running_loop(serve: Serve, tmp_path: Path) -> None:
    served = serve()

    async def cell() -> Tagging:
        return tag(served, queries(5), tmp_path)

    assert asyncio.run(cell()).queries["tags"].to_list() == expected(queries(5))


def test_progress_tells_where_it_is(serve: Serve, tmp_path: Path) -> None:
    seen: list[Progress] = []
    served = serve(latency=0.05)
    tag(served, queries(5), tmp_path)
    tag(served, queries(40), tmp_path, concurrency=4, progress=seen.append)
    assert [report.done for report in seen] == sorted(report.done for report in seen)
    assert all(report.total == 40 and report.in_flight <= 4 for report in seen)
    assert (seen[-1].done, seen[-1].in_flight, seen[-1].prompt_tokens) == (40, 0, 3_500)


def test_a_full_disk_stops_the_run_and_keeps_what_was_committed(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()
    opened = answers.AnswerStore._open

    def small(store: answers.AnswerStore) -> None:
        opened(store)
        store._connection.execute("PRAGMA max_page_count = 12")

    with monkeypatch.context() as patch:
        patch.setattr(answers.AnswerStore, "_open", small)
        with pytest.raises(instag.ArtifactError, match="the disk is full"):
            tag(served, queries(400), tmp_path, concurrency=4)
    with answers.AnswerStore(tmp_path / "answers.sqlite") as store:
        kept = len(store)
    asked = sum(served.stats()["requests"].values())
    assert kept > 10
    assert asked - kept <= 4
    tag(served, queries(400), tmp_path)
    assert sum(served.stats()["requests"].values()) == asked + 400 - kept


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prompt": "no-such-file.txt"}, "can't be read"),
        ({"tagger": "magic"}, "unknown tagger `magic`"),
        ({"modell": "x"}, "unknown setting `modell`"),
        ({"concurrency": 0}, "must be a whole number of at least 1"),
        ({"base_url": "localhost:8000"}, "is no URL"),
    ],
)
def test_settings_that_can_not_be_are_told(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(instag.ConfigError, match=message):
        instag.tag(["hello"], **{"answers": None, **settings})


def test_a_prompt_needs_a_place_for_the_query_and_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "prompt.txt"
    path.write_text("Tag this.")
    with pytest.raises(instag.ConfigError, match=r"has no `\{query\}`"):
        load_prompt(path)
    path.write_bytes("Étiquette {query}".encode("latin-1"))
    with pytest.raises(instag.ConfigError, match="not UTF-8: byte 0 is 0xc9"):
        load_prompt(path)
    path.write_bytes(b"\xef\xbb\xbfTag this:\r\n{query}\r\n")
    assert load_prompt(path).template == (("user", "Tag this:\n{query}"),)


@pytest.mark.parametrize("data", [3, pl.Series([1]), [["a"]], pl.Series(["a", None]), ["a", None]])
def test_data_that_is_no_text_is_refused(data: Any) -> None:
    with pytest.raises(instag.DataError):
        instag.tag(data, answers=None)


def test_names_of_files_are_not_taken_for_queries() -> None:
    with pytest.raises(instag.ConfigError, match="names of files"):
        instag.tag([__file__], answers=None)


def test_nothing_to_tag_is_an_empty_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    made = instag.tag(pl.Series([], dtype=pl.String), answers=None)
    assert (len(made.queries), len(made.rows), len(made.table), made.counts["failed"]) == (0, 0, 0, 0)


class Broken:
    """A tagger that gives whatever it is told to."""

    label = "broken"

    def __init__(self, **columns: Any) -> None:
        self.identity = {"tagger": "broken"}
        self.columns = {"status": "ok", "tags": ["a"], "explanations": [], "reason": None, "answer": None, **columns}

    def tag(self, queries: pl.Series, *, progress: Any = None) -> pl.DataFrame:
        row = {name: [value] * len(queries) for name, value in self.columns.items()}
        return pl.DataFrame(row, schema=tagged_schema() if set(row) == set(tagged_schema()) else None)


@pytest.mark.parametrize(
    "columns",
    [
        {"status": "fine"},
        {"tags": None},
        {"status": "failed", "tags": []},
        {"status": "failed", "reason": "x"},
        {"more": 1},
    ],
)
def test_a_tagger_is_held_to_the_protocol(columns: dict[str, Any]) -> None:
    with pytest.raises(instag.DataError, match="the tagger"):
        instag.tag(["hello"], tagger=Broken(**columns))
    assert len(instag.tag(["hello"], tagger=Broken()).table) == 1


def test_identity_holds_what_decides_and_nothing_else() -> None:
    one = ChatTagger(speed=TagSpeed(base_url="http://a/v1", concurrency=3, answers=None))
    two = ChatTagger(speed=TagSpeed(base_url="http://b/v1", timeout_s=3, answers="x.sqlite"))
    assert one.identity == two.identity
    assert ChatTagger(TagSettings(model="m")).identity != one.identity
    assert ChatTagger(TagSettings(keep_truncated=True)).identity != one.identity


def test_the_key_may_stand_in_a_file(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    served = serve(key="sk-from-a-file")
    path = tmp_path / "key"
    path.write_text("sk-from-a-file\n")
    assert tag(served, queries(2), tmp_path, key_file=path).usage.asked == 2
    for text in ("", "one\ntwo\n", "not a key\n"):
        path.write_text(text)
        with pytest.raises(instag.ConfigError, match=r"the key file .* holds") as caught:
            tag(served, queries(3), tmp_path, key_file=path)
        assert not text or text.split()[0] + " " not in str(caught.value).replace("one line", "")
    with pytest.raises(instag.ConfigError, match="can't be read: no such file"):
        tag(served, queries(3), tmp_path, key_file=tmp_path / "absent")
