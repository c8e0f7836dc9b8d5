"""The batches that are out, as the store of answers remembers them: a killed run goes on with them and pays once.

A batch passes through the states `uploading` (nothing was asked for yet), `creating` (its file is there; whether the
batch is, only the endpoint knows: it is looked up by its name), `out` and `collected`. Each is committed before the
step that it is about.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

from instag.answers import AnswerStore

_AT_ONCE = 500  # keys looked up at once


@dataclass
class Job:
    """One batch: `name` is ours, `id` the endpoint's; `status` is what the endpoint said last."""

    name: str
    id: str | None
    url: str
    model: str
    form: str
    input_file_id: str | None
    state: str
    status: str | None
    created: float
    requests: int
    answered: int = 0
    failed: int = 0


_COLUMNS = ", ".join(field.name for field in fields(Job))
_HOLES = ", ".join("?" * len(fields(Job)))


class Jobs:
    """The tables `batches` and `batch_requests` of an open store.

    >>> with AnswerStore(None) as store:
    ...     job = Jobs(store).start("http://localhost/v1", "m", {"output": "plain"}, [b"one", b"two"])
    ...     Jobs(store).known([b"one", b"three"]), [job.state for job in Jobs(store).unfinished()]
    ({b'one'}, ['uploading'])
    """

    def __init__(self, store: AnswerStore) -> None:
        self._store = store

    def start(self, url: str, model: str, form: Mapping[str, Any], keys: Sequence[bytes]) -> Job:
        """Keeps a new batch and the keys of its requests, before anything of it is sent."""
        job = Job(
            uuid.uuid4().hex,
            None,
            url,
            model,
            json.dumps(form, sort_keys=True),
            None,
            "uploading",
            None,
            time.time(),
            len(keys),
        )
        self._store.write(
            (f"INSERT INTO batches ({_COLUMNS}) VALUES ({_HOLES})", [astuple(job)]),
            ("INSERT OR REPLACE INTO batch_requests (key, batch) VALUES (?, ?)", [(key, job.name) for key in keys]),
        )
        return job

    def save(self, job: Job) -> None:
        """Commits what has changed of a batch."""
        self._store.write((f"INSERT OR REPLACE INTO batches ({_COLUMNS}) VALUES ({_HOLES})", [astuple(job)]))

    def drop(self, job: Job) -> None:
        """Forgets a batch that does not exist, and never will."""
        self._store.write(
            ("DELETE FROM batch_requests WHERE batch = ?", [(job.name,)]),
            ("DELETE FROM batches WHERE name = ?", [(job.name,)]),
        )

    def release(self) -> None:
        """Forgets the keys of what is collected: they may be part of a batch again."""
        collected = "SELECT name FROM batches WHERE state = 'collected'"
        self._store.write((f"DELETE FROM batch_requests WHERE batch IN ({collected})", [()]))

    def all(self) -> list[Job]:
        """Every batch there was, the oldest first."""
        found = self._store.rows(f"SELECT {_COLUMNS} FROM batches ORDER BY created, name")
        return [Job(*row) for row in found]

    def unfinished(self) -> list[Job]:
        """Those that are not collected, the oldest first."""
        return [job for job in self.all() if job.state != "collected"]

    def keys(self, job: Job) -> set[bytes]:
        """The keys of a batch's requests."""
        return {key for (key,) in self._store.rows("SELECT key FROM batch_requests WHERE batch = ?", [job.name])}

    def known(self, keys: Sequence[bytes], *, unfinished: bool = False) -> set[bytes]:
        """Which of some keys are those of a batch that is out, or (unless `unfinished`) has just been collected."""
        found: set[bytes] = set()
        only = " AND batch IN (SELECT name FROM batches WHERE state <> 'collected')" if unfinished else ""
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            holes = ", ".join("?" * len(some))
            found.update(
                key for (key,) in self._store.rows(f"SELECT key FROM batch_requests WHERE key IN ({holes}){only}", some)
            )
        return found
