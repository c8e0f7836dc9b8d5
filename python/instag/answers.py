"""The store of paid answers: one SQLite file, raw answers keyed by what decides them.

Write-ahead log with `synchronous=FULL`: what `put` returned from survives a kill and a power cut (3,400 commits a
second on a laptop's disk, and one commit takes all that has arrived). The file is locked while it is open: a second
process would pay for the same queries again. Failures are never stored: they are no answers, and are asked again.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

from instag.errors import ArtifactError

FORMAT = (
    3  # 1 had no seconds, cached tokens, mode and endpoints, 2 no vectors and batches; they are brought up when opened
)
_APPLICATION = 0x1257A605  # what `file` and `PRAGMA application_id` show
_LOCK_WAIT_S = 5.0
_BATCH = 500  # keys looked up at once
_COPIED_AT_ONCE = 1_000
_FIRST = """
CREATE TABLE answers (
    key BLOB PRIMARY KEY,       -- sha256 of the request's canonical JSON
    answer TEXT,                -- the raw text; null where the model gave none
    refusal TEXT,               -- the endpoint's own refusal field
    finish_reason TEXT,
    model TEXT,                 -- as the reply names it
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    finished TEXT               -- UTC
)"""
_SECOND = (
    "ALTER TABLE answers ADD COLUMN cached_tokens INTEGER",  # of the prompt's, charged less
    "ALTER TABLE answers ADD COLUMN seconds REAL",  # from the request to its reply
    "ALTER TABLE answers ADD COLUMN mode TEXT",  # batch, or null: a live call
    "CREATE TABLE earlier AS SELECT * FROM answers WHERE 0",  # what others took the place of
    "CREATE TABLE endpoints (url TEXT, model TEXT, form TEXT, PRIMARY KEY (url, model))",  # form: JSON
)
_THIRD = (
    """CREATE TABLE embeddings (
    key BLOB PRIMARY KEY,       -- sha256 of the canonical JSON of model, text, dimensions if asked for
    vector BLOB,                -- float32, little-endian
    model TEXT,                 -- as the reply names it
    prompt_tokens INTEGER,
    finished TEXT               -- UTC
)""",
    """CREATE TABLE batches (
    name TEXT PRIMARY KEY,      -- ours, also in the batch's metadata
    id TEXT,                    -- the endpoint's
    url TEXT, model TEXT,       -- where it is; without credentials
    form TEXT,                  -- that its requests have; JSON
    input_file_id TEXT,
    state TEXT,                 -- uploading, creating, out, collected
    status TEXT,                -- what the endpoint said last
    created REAL,               -- seconds since 1970
    requests INTEGER,
    answered INTEGER,           -- of those collected
    failed INTEGER
)""",
    "CREATE TABLE batch_requests (key BLOB PRIMARY KEY, batch TEXT) WITHOUT ROWID",  # until all are collected
    "CREATE INDEX requests_of_batch ON batch_requests (batch)",
)
_UPGRADES = {0: (_FIRST, *_SECOND, *_THIRD), 1: (*_SECOND, *_THIRD), 2: _THIRD}


@dataclass(frozen=True)
class Answer:
    """One paid reply as it came: nothing parsed, nothing cut."""

    key: bytes
    answer: str | None
    refusal: str | None
    finish_reason: str | None
    model: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    finished: str
    cached_tokens: int | None = None
    seconds: float | None = None
    mode: str | None = None


@dataclass(frozen=True)
class Embedding:
    """The vector of one text, float32 in little-endian bytes."""

    key: bytes
    vector: bytes
    model: str | None
    prompt_tokens: int | None
    finished: str


_EMBEDDING = "INSERT OR IGNORE INTO embeddings (key, vector, model, prompt_tokens, finished) VALUES (?, ?, ?, ?, ?)"
_COLUMNS = ", ".join(field.name for field in fields(Answer))
_HOLES = ", ".join("?" * len(fields(Answer)))


def request_key(request: Mapping[str, Any]) -> bytes:
    """The sha256 of a request's canonical JSON (sorted keys, no spaces, UTF-8): model, messages, decoding parameters.

    >>> request_key({"model": "m", "messages": []}) == request_key({"messages": [], "model": "m"})
    True
    """
    text = json.dumps(request, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).digest()


class AnswerStore:
    """An open store; `path=None` keeps it in memory, for as long as the process lives.

    Raises `ArtifactError` where the file is not a store, was made by a newer version, is in use by another process
    (after 5 s), or can't be written. May be used from several threads.

    >>> with AnswerStore(None) as store:
    ...     store.put([Answer(b"key", "[]", None, "stop", "m", 10, 1, "2026-01-01T00:00:00Z")])
    ...     len(store), [answer.answer for answer in store.get([b"key", b"other"])]
    (1, ['[]'])
    """

    def __init__(self, path: str | Path | None) -> None:
        self.path = None if path is None else Path(path)
        self.name = "the store in memory" if path is None else f"`{path}`"
        self._lock = threading.RLock()
        if self.path is not None and self.path.is_dir():
            raise ArtifactError(f"{self.name} is a folder", hint="a store is a file: `--answers FOLDER/answers.sqlite`")
        try:
            self._connection = sqlite3.connect(
                ":memory:" if path is None else path,
                timeout=_LOCK_WAIT_S,
                isolation_level=None,
                check_same_thread=False,
            )
        except sqlite3.Error as error:
            raise self._error(error, "opened") from None
        try:
            self._open()
        except BaseException:
            self._connection.close()
            raise

    def _open(self) -> None:
        execute = self._connection.execute
        try:
            # Before anything is touched: the lock is then taken at the first access, and dies with the process.
            execute("PRAGMA locking_mode = EXCLUSIVE")
            tables = {name for (name,) in execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            version, application = (
                execute(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "application_id")
            )
            if tables and application != _APPLICATION:
                raise ArtifactError(
                    f"{self.name} is a SQLite file, but no store of answers",
                    hint="name another file with `--answers`; nothing was changed",
                )
            if version > FORMAT:
                raise ArtifactError(
                    f"{self.name} was made by a newer version of instag (format {version}, this one reads {FORMAT})",
                    hint="upgrade instag, or name another file with `--answers`; nothing was changed",
                )
            execute("PRAGMA journal_mode = WAL")
            execute("PRAGMA synchronous = FULL")
            execute("BEGIN IMMEDIATE")
            if version < FORMAT:
                for statement in _UPGRADES[version if tables else 0]:
                    execute(statement)
                execute(f"PRAGMA application_id = {_APPLICATION}")
                execute(f"PRAGMA user_version = {FORMAT}")
            execute("COMMIT")
        except sqlite3.Error as error:
            raise self._error(error, "opened") from None

    def put(self, answers: Sequence[Answer], *, replace: bool = False) -> None:
        """Commits answers, all or none; a key that is there already keeps its first answer, unless they `replace` it.

        What is replaced is kept aside, in the table `earlier`. Raises `ArtifactError` where they can't be kept (the
        disk is full, or can't be written).
        """
        rows = list(map(astuple, answers))
        if not replace:
            self.write((f"INSERT OR IGNORE INTO answers ({_COLUMNS}) VALUES ({_HOLES})", rows))
            return
        self.write(
            (
                f"INSERT INTO earlier ({_COLUMNS}) SELECT {_COLUMNS} FROM answers WHERE key = ?",
                [(answer.key,) for answer in answers],
            ),
            (f"INSERT OR REPLACE INTO answers ({_COLUMNS}) VALUES ({_HOLES})", rows),
        )

    def write(self, *work: tuple[str, Sequence[tuple[Any, ...]]]) -> int:
        """Commits statements, each for all its rows, all or none; gives the number of rows that changed."""
        with self._lock:
            try:
                before = self._connection.total_changes
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    for statement, rows in work:
                        self._connection.executemany(statement, rows)
                    self._connection.execute("COMMIT")
                except BaseException:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
                return self._connection.total_changes - before
            except sqlite3.Error as error:
                raise self._error(error, "written") from None

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What a query finds, of what is committed: another thread may be writing."""
        with self._lock:
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise self._error(error, "read") from None

    def get(self, keys: Sequence[bytes]) -> Iterator[Answer]:
        """The answers there are, in no order; absent keys are left out."""
        for start in range(0, len(keys), _BATCH):
            batch = keys[start : start + _BATCH]
            holes = ", ".join("?" * len(batch))
            for row in self.rows(f"SELECT {_COLUMNS} FROM answers WHERE key IN ({holes})", batch):
                yield Answer(*row)

    def missing(self, keys: Sequence[bytes]) -> list[int]:
        """The positions of the keys that have no answer yet, in order."""
        known: set[bytes] = set()
        for start in range(0, len(keys), _BATCH):
            batch = keys[start : start + _BATCH]
            found = self.rows(f"SELECT key FROM answers WHERE key IN ({', '.join('?' * len(batch))})", batch)
            known.update(key for (key,) in found)
        return [at for at, key in enumerate(keys) if key not in known]

    def all(self) -> Iterator[Answer]:
        """Every answer, by key; memory is that of some."""
        last = b""
        while found := self.rows(
            f"SELECT {_COLUMNS} FROM answers WHERE key > ? ORDER BY key LIMIT ?", (last, _COPIED_AT_ONCE)
        ):
            yield from (Answer(*row) for row in found)
            last = found[-1][0]

    def merge(self, other: AnswerStore) -> int:
        """Takes over the answers (and vectors) of another store to what has none here; gives the number of answers.

        Both may be merged in any order and again: an answer that stands stays. What is known of endpoints is not taken.
        """
        taken, answers = 0, other.all()
        while batch := list(islice(answers, _COPIED_AT_ONCE)):
            statement = f"INSERT OR IGNORE INTO answers ({_COLUMNS}) VALUES ({_HOLES})"
            taken += self.write((statement, list(map(astuple, batch))))
        last = b""
        query = "SELECT key, vector, model, prompt_tokens, finished FROM embeddings WHERE key > ? ORDER BY key LIMIT ?"
        while found := other.rows(query, (last, _COPIED_AT_ONCE)):
            self.write((_EMBEDDING, found))
            last = found[-1][0]
        return taken

    def put_embeddings(self, embeddings: Sequence[Embedding]) -> None:
        """Commits vectors, all or none; the first of a key stays. Errors as of `put`."""
        self.write((_EMBEDDING, list(map(astuple, embeddings))))

    def vectors(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """The vectors there are, by key."""
        found: dict[bytes, bytes] = {}
        for start in range(0, len(keys), _BATCH):
            batch = keys[start : start + _BATCH]
            holes = ", ".join("?" * len(batch))
            found.update(self.rows(f"SELECT key, vector FROM embeddings WHERE key IN ({holes})", batch))
        return found

    def counts(self) -> list[dict[str, Any]]:
        """Answers and tokens, by model as the replies name it, the most frequent first."""
        found = self.rows(
            "SELECT model, count(*), sum(prompt_tokens), sum(completion_tokens) FROM answers "
            "GROUP BY model ORDER BY count(*) DESC, model"
        )
        names = "model", "answers", "prompt_tokens", "completion_tokens"
        return [dict(zip(names, row, strict=True)) for row in found]

    def export(self) -> Iterator[str]:
        """Every answer as a line of JSON, by key (in hex); docs/tagging.md names the members."""
        for answer in self.all():
            yield json.dumps({**asdict(answer), "key": answer.key.hex()}, ensure_ascii=False)

    def form(self, url: str, model: str) -> dict[str, Any]:
        """What was remembered of an endpoint and a model; nothing where it is new."""
        found = self.rows("SELECT form FROM endpoints WHERE url = ? AND model = ?", (url, model))
        return dict(json.loads(found[0][0])) if found else {}

    def remember(self, url: str, model: str, form: Mapping[str, Any]) -> None:
        """Keeps what was found out about an endpoint and a model, for the next run."""
        row = url, model, json.dumps(form, sort_keys=True)
        self.write(("INSERT OR REPLACE INTO endpoints (url, model, form) VALUES (?, ?, ?)", [row]))

    def __len__(self) -> int:
        ((count,),) = self.rows("SELECT count(*) FROM answers")
        return int(count)

    def __enter__(self) -> AnswerStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()

    def _error(self, error: sqlite3.Error, done: str) -> ArtifactError:
        """What SQLite says, as what a person can do about it."""
        said = str(error)
        if "locked" in said:
            return ArtifactError(
                f"{self.name} is in use by another process",
                hint="wait for it to end, or name another file with `--answers`",
            )
        if "not a database" in said:
            return ArtifactError(
                f"{self.name} is not a SQLite file", hint="name another file with `--answers`; nothing was changed"
            )
        if "full" in said:
            return ArtifactError(
                f"{self.name} can't be {done}: the disk is full",
                hint="free some space and run again: what was committed is kept",
            )
        if "malformed" in said:
            return ArtifactError(
                f"{self.name} is damaged: {said}", hint="`sqlite3 FILE .recover` saves what can be read"
            )
        if self.path is not None:
            said = _why_not_written(self.path) or said
        return ArtifactError(f"{self.name} can't be {done}: {said}", hint="name another place with `--answers`")


def _why_not_written(path: Path) -> str | None:
    """What SQLite does not say of a file it can't write; its log stands in the same folder."""
    if not path.parent.is_dir():
        return f"`{path.parent}` is no folder"
    effective = os.access in os.supports_effective_ids
    for place in (path.parent, *([path] if path.exists() else [])):
        if not os.access(place, os.W_OK, effective_ids=effective):
            return f"`{place}` is read-only"
    return None


def open_existing(path: str | Path, *, not_at: str | Path | None = None) -> AnswerStore:
    """Opens a store that is there; raises `ArtifactError` where it is not, or is the one at `not_at`."""
    if not Path(path).is_file():
        raise ArtifactError(f"`{path}` is no file", hint="name a store of answers; a run has one in RUN/answers.sqlite")
    if not_at is not None and Path(path).resolve() == Path(not_at).resolve():
        raise ArtifactError(f"`{path}` is the store to merge into", hint="name another one")
    return AnswerStore(path)
