"""Redaction: what is found, what is left alone, in linear time whatever the text, and before anything is sent."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import instag
from conftest import Instag, Served
from instag.chat import ChatTagger
from instag.redaction import COMMON_KINDS, Redactor, open_redactor
from instag.tagger import TagSettings, TagSpeed
from real_queries import queries

COMMON = Redactor(COMMON_KINDS)


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("write to jo.do+x@mail.example.co.uk.", "write to [EMAIL]."),
        ("请发邮件到foo@bar.com谢谢", "请发邮件到[EMAIL]谢谢"),
        ("müller@straße.de, o'brien@x.org", "[EMAIL], [EMAIL]"),
        ("+1 (555) 010-9999, 555-010-9999, (555) 010-9999", "[PHONE], [PHONE], [PHONE]"),
        ("0044 20 7946 0958 or 020 7946 0958 or 0171/1234567", "[PHONE] or [PHONE] or [PHONE]"),
        ("电话13812345678谢谢", "电话[PHONE]谢谢"),
        ("+49 171 1234567x", "[PHONE]x"),
        ("ping 192.168.0.1, then 2001:db8::8a2e:370:7334, fe80::1%eth0.", "ping [IP], then [IP], [IP]."),
        ("http://[2001:db8::1:2]:8080/ at 10.0.0.1:80", "http://[[IP]]:8080/ at [IP]:80"),
        ("card 4111 1111 1111 1111 12/25", "card [CARD] 12/25"),
        ("7 4111-1111-1111-1111 5500000000000004", "7 [CARD] [CARD]"),
        ("sk-proj-abc123DEF456ghi789 and AKIAIOSFODNN7EXAMPLE", "[KEY] and [KEY]"),
        ("ghp_" + "a1" * 18 + " hf_" + "aB3" * 11, "[KEY] [KEY]"),
        ("eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJSMeKKF2QT4", "[KEY]"),
        ("postgres://me:secret@db.example.org/x", "postgres://[KEY]@db.example.org/x"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE+/=\n-----END RSA PRIVATE KEY-----\nwhy?", "[KEY]\nwhy?"),
    ],
)
def test_what_is_found(text: str, redacted: str) -> None:
    assert COMMON.redact(text)[0] == redacted


@pytest.mark.parametrize(
    "text",
    [
        "What is 3.14159265358979 times 1,000,000,000?",
        "It was 12:30:45 on 2023-01-15, 10/11/2024.",
        "std::vector<int> a; x[::2]; fe::ad; dead::beef",
        "card 4111 1111 1111 1112",
        "0000 0000 0000 0000",
        "for 355909190063-746: 19-1-14 9-12-12-21-19-9-15-14",
        "@dataclass def f(a: int) -> None: ...",
        "risk-free and task-oriented-dialogue-systems",
        "sk-learn-is-a-library-for-python",
        "version 1.2.3, section 4.5",
        "1 2 3 4 5 6 7 8 9 10 11 12",
        "[EMAIL] [PHONE] [IP] [CARD] [KEY]",
        "aa:bb:cc:dd:ee:ff",
        "-----BEGIN CERTIFICATE-----",
    ],
)
def test_what_is_left_alone(text: str) -> None:
    assert COMMON.redact(text) == (text, {})


HOSTILE = [
    "a", "1", "@", ".", ":", "-", "a@", "a.", "a@a.", "b.@", "1 ", "1-", "+1 ", "0 1", "f:", "::", "1.", "255.", "eyJ",
    "eyJaaaaaaaaaa.", "eyJaaaaaaaaaa.eyJ", "sk-", "sk-a", "sk_live_", "://", "://a:", "://a:b", "-----BEGIN ",
    "-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----a", "bearer ", "Bearer aaaaaaaaaaaaaaaaaaaaaa", "(555) ",
    "4111 1111 1111 111", "41111111111111", "a''", "xoxb-", "0123 ", "é", "请", "\ud800"
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_texts_take_linear_time(piece: str) -> None:
    """A text ten times as long may take thirty times as long, not a hundred times; no text takes long."""

    def seconds(chars: int) -> float:
        text = piece * (chars // len(piece)) + "!"
        times = []
        for _ in range(3):
            start = time.process_time()
            COMMON.redact(text)
            times.append(time.process_time() - start)
        return min(times)

    short, long = seconds(20_000), seconds(200_000)
    assert long < max(30 * short, 0.2), (short, long)


@given(st.lists(st.sampled_from([*HOSTILE, *" \n,;", "jo@x.org", "x"]), max_size=40).map("".join))
def test_any_text_is_redacted_once(text: str) -> None:
    redacted, found = COMMON.redact(text)
    assert (redacted != text) == bool(found)
    assert "jo@x.org" not in redacted


def test_real_queries_are_mostly_left_alone(data: Path) -> None:
    """Of the real queries less than a hundredth holds an address, a number or a key."""
    folder = data / "instructions" / "self_instruct"
    found = [*queries(folder / "seed_tasks.jsonl"), *queries(folder / "t0_prompts.jsonl.zst")][:20_000]
    touched = [query for query in found if COMMON.redact(query)[1]]
    assert len(touched) < len(found) / 100


def test_patterns_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "patterns.txt"
    path.write_text("# names\nProject \\w+\n\nacct-\\d+\n")
    assert open_redactor(path).redact("Project Orion, acct-12")[0] == "[REDACTED], [REDACTED]"
    for text, message in (
        ("ok\n(", rf"{path}:2: no regular expression: missing \)"),
        ("ok\n\nx*", rf"{path}:3: `x\*` finds the empty text"),
        ("# nothing\n", "holds no patterns"),
    ):
        path.write_text(text)
        with pytest.raises(instag.ConfigError, match=message):
            open_redactor(path)
    path.write_bytes(b"\xff")
    with pytest.raises(instag.ConfigError, match="not UTF-8: byte 0"):
        open_redactor(path)
    with pytest.raises(instag.ConfigError, match="can't be read: no such file"):
        open_redactor(tmp_path / "none.txt")


def test_nothing_redacted_is_sent_and_the_tables_keep_it(
    serve: Callable[..., Served], instag: Instag, tmp_path: Path
) -> None:
    served = serve()
    pool = tmp_path / "pool.jsonl"
    pool.write_text('{"text": "Mail jo@x.org now"}\n{"text": "Mail al@y.org now"}\n{"text": "Write a poem"}\n')
    said = instag(
        "tag", pool, "--run", tmp_path / "run", "--base-url", served.base_url, "--redact", "common", "--schema", "text"
    )
    assert said.code == 0, said.err
    assert sum(served.stats()["requests"].values()) == 2  # what differs only in what was taken out is one request
    assert "queries redacted: 1 (EMAIL 1)" in said.err
    kept = pl.read_parquet(next((tmp_path / "run" / "tag").glob("queries*")))["query"].to_list()
    assert kept == ["Mail jo@x.org now", "Mail al@y.org now", "Write a poem"]
    (texts,) = sqlite3.connect(tmp_path / "run" / "answers.sqlite").execute("SELECT group_concat(answer) FROM answers")
    assert "x.org" not in texts[0]


def test_patterns_enter_the_identity_and_what_is_sent_the_key(tmp_path: Path) -> None:
    speed = TagSpeed(answers=None)
    plain, redacting = ChatTagger(speed=speed), ChatTagger(TagSettings(redact="common"), speed)
    assert plain.identity != redacting.identity
    for text, same in (("Write a poem", True), ("Mail jo@x.org", False)):
        assert (
            plain.requests.keys(plain.requests.sent([text])) == redacting.requests.keys(redacting.requests.sent([text]))
        ) == same
    sent = redacting.requests.sent(["Mail jo@x.org"])[0]
    assert (sent.text, sent.redacted) == ("Mail [EMAIL]", {"EMAIL": 1})
    assert plain.requests.keys(plain.requests.sent(["Mail [EMAIL]"])) == redacting.requests.keys([sent])
