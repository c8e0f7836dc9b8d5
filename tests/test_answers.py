"""The store of paid answers: what is committed stays, what is no store is refused and left as it is."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instag import ArtifactError
from instag.answers import FORMAT, Answer, AnswerStore, request_key


def answer(key: bytes, text: str | None = "[]") -> Answer:
    return Answer(key, text, None, "stop", "model", 10, 2, "2026-01-01T00:00:00+00:00")


def test_what_is_put_is_there_after_opening_again(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    kept = [answer(b"a", "[]"), answer(b"b", None), answer(b"c", 'x "\0" 写 \ufffd')]
    with AnswerStore(path) as store:
        store.put(kept)
    with AnswerStore(path) as store:
        assert sorted(store.get([b"c", b"a", b"b", b"none"]), key=lambda found: found.key) == kept
        assert store.missing([b"x", b"a", b"y"]) == [0, 2]
        assert len(store) == 3


def test_the_first_answer_to_a_request_stays(tmp_path: Path) -> None:
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        store.put([answer(b"a", "first")])
        store.put([answer(b"a", "second"), answer(b"b", "other")])
        assert {found.key: found.answer for found in store.get([b"a", b"b"])} == {b"a": "first", b"b": "other"}


def test_more_keys_than_one_query_takes() -> None:
    keys = [index.to_bytes(4, "big") for index in range(5_000)]
    with AnswerStore(None) as store:
        store.put([answer(key) for key in keys[::2]])
        assert store.missing(keys) == list(range(1, 5_000, 2))
        assert len(list(store.get(keys))) == 2_500


requests = st.dictionaries(
    st.text(max_size=5), st.none() | st.text() | st.floats(allow_nan=False, allow_infinity=False)
)


@given(requests, requests)
def test_keys_are_equal_where_requests_are(a: dict[str, object], b: dict[str, object]) -> None:
    same = json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)
    assert (request_key(a) == request_key(b)) == same
    assert request_key(dict(reversed(a.items()))) == request_key(a)


def test_the_key_of_a_request_never_changes() -> None:
    """A changed key would ask again for everything that was ever paid for."""
    request = {"model": "m", "messages": [{"role": "user", "content": "写"}], "temperature": 0.0}
    assert request_key(request).hex() == "5f797857e55ace53f4556ba9f67770bcd3ab0e7075ac2331db3823f435f57192"


def test_a_file_that_is_no_store_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    text, other, newer = (tmp_path / name for name in ("notes.txt", "other.sqlite", "newer.sqlite"))
    text.write_text("some notes\n" * 500)
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE people (name TEXT)")
    connection.close()
    with AnswerStore(newer) as store:
        store.put([answer(b"a")])
    connection = sqlite3.connect(newer)
    connection.execute(f"PRAGMA user_version = {FORMAT + 1}")
    connection.close()
    for path, message in ((text, "is not a SQLite file"), (other, "no store of answers"), (newer, "newer version")):
        before = path.read_bytes()
        with pytest.raises(ArtifactError, match=message) as caught:
            AnswerStore(path)
        assert str(path) in str(caught.value)
        assert "hint:" in str(caught.value)
        assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no/such/folder/answers.sqlite", "can't be opened: `.*folder` is no folder"),
        ("file/answers.sqlite", "can't be opened: `.*file` is no folder"),
        ("", "is a folder"),
    ],
)
def test_a_place_that_can_not_be_written_is_told(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match=message):
        AnswerStore(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ArtifactError, match="can't be opened"):
        AnswerStore(tmp_path / "answers.sqlite")


def test_a_full_disk_loses_nothing_that_was_committed(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    with AnswerStore(path) as store:
        store.put([answer(b"a", "kept")])
        store._connection.execute("PRAGMA max_page_count = 8")  # SQLite then says what it says of a full disk
        with pytest.raises(ArtifactError, match="the disk is full"):
            store.put([answer(bytes([index]) * 32, "x" * 1000) for index in range(100)])
    with AnswerStore(path) as store:
        assert [found.answer for found in store.get([b"a"])] == ["kept"]
        assert len(store) == 1


def test_a_second_process_is_refused_while_the_store_is_open(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    code = (
        "import sys, instag.answers as a; a._LOCK_WAIT_S = 0.2\n"
        "try: a.AnswerStore(sys.argv[1])\n"
        "except a.ArtifactError as error: print(error)"
    )
    with AnswerStore(path) as store:
        store.put([answer(b"a")])
        other = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
        assert "is in use by another process" in other.stdout
        store.put([answer(b"b")])
    other = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert other.stdout == ""
    with AnswerStore(path) as store:
        assert len(store) == 2
