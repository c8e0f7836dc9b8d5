"""Tagging by the Batch API: half the price, within a day, for what has no answer yet.

Requests go out as files, their batches are looked at again and again, and what they answered is committed to the store
as any other answer is. Whatever they did not answer is left to live calls. Nothing is submitted twice: a batch and the
keys of its requests are in the store before anything is sent (`jobs.py`), so a run that was killed at any moment goes
on with the batches that are out. Memory is that of one file's keys; requests and replies lie on the disk.
"""

from __future__ import annotations

import contextlib
import json
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instag import batch_files
from instag.answers import Answer, AnswerStore
from instag.batch_endpoint import BatchEndpoint, Refused, Seen
from instag.batch_files import Limits, NoAnswer, RequestFile, read_replies, request_line
from instag.counting import Distinct
from instag.jobs import Job, Jobs
from instag.spending import MARGIN, BudgetError, Spending
from instag.tagger import Progress, ProgressHook
from instag.temporary import TemporaryFolder

if TYPE_CHECKING:
    from instag.chat import ChatTagger
    from instag.planning import Plan

_LONGEST_POLL = 12  # times the first wait
_POLL_GROWTH = 1.5
_SLOW_CALL_S = 600.0  # a file of 200 MB takes its time
SETTLING_S = 10.0  # a batch that a killed run asked for may show only after this
_COMMITTED_AT_ONCE = 1_000
_NO_LIMIT = 10**9
_CUT_BY = 4  # how much smaller files become where even one alone is more than the queue takes
_FEWEST = 10  # requests of a batch


class BatchWarning(UserWarning):
    """Something of a batch did not go as asked, and is asked live."""


def answer_by_batches(
    tagger: ChatTagger,
    parts: Callable[[], Iterable[Sequence[str]]],
    *,
    planned: Plan,
    progress: ProgressHook | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> None:
    """Has the queries of a pool answered by batches, as far as batches answer; the rest is left without an answer.

    `parts()` gives them, again where the endpoint's queue was full; `planned` is their plan, with its cost where there
    is a budget; `tell` hears what a person may want to know. Raises `BudgetError` before anything is sent where the
    estimate, with a margin, passes the budget, and `ProviderError` where the endpoint is of no use. Waits for all
    batches of this endpoint and model, those of earlier runs first.
    """
    spending = tagger.begin()
    if planned.to_ask == 0:
        return
    _check_budget(tagger, planned)
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(tagger.store())
        asked = tagger.endpoint(_SLOW_CALL_S)
        stack.enter_context(tagger.requests.remembered_form(store, asked.url))
        endpoint = stack.enter_context(BatchEndpoint(asked))
        batching = _Batching(tagger, store, endpoint, spending, planned, progress, tell)
        batching.find_again()
        batching.collect_ended()
        batching.submit(parts())
        while batching.wait_for_all():
            batching.submit(parts())
        batching.jobs.release()
    tagger.warn_of_other_models(batching.models)
    if spending.answers:
        tell(f"{spending.answers:,} queries were answered by batches")


def batch_states(tagger: ChatTagger) -> list[dict[str, Any]]:
    """What became of the batches in the tagger's store, the oldest first; asks the endpoint, changes nothing.

    Members: name, id, url, model, state, status, created, requests, completed, failed. Those of other endpoints are
    told as they were seen last.
    """
    with tagger.store(make=False) as store:
        jobs = Jobs(store).all()
    seen: dict[str, Seen] = {}
    if any(job.state == "out" for job in jobs):
        with BatchEndpoint(tagger.endpoint(_SLOW_CALL_S)) as endpoint:
            for job in jobs:
                if job.state == "out" and job.url == endpoint.url and job.id is not None:
                    seen[job.name] = endpoint.get(job.id)
    told = []
    for job in jobs:
        now = seen.get(job.name)
        row = {name: getattr(job, name) for name in ("name", "id", "url", "model", "state", "status", "created")}
        row["requests"] = job.requests
        row |= {"completed": job.answered, "failed": job.failed}
        if now is not None:
            row |= {"status": now.status, "completed": now.completed, "failed": now.failed}
        told.append(row)
    return told


def _check_budget(tagger: ChatTagger, planned: Plan) -> None:
    budget = tagger.speed.budget_usd
    if budget is None or tagger.price is None or planned.cost_usd is None:
        return
    expected = planned.cost_usd * tagger.price.batch_factor * MARGIN
    if expected > budget:
        raise BudgetError(
            f"the budget of ${budget:,.2f} may be passed: {planned.to_ask:,} requests cost up to about "
            f"${expected:,.4f} as batches; nothing was sent",
            hint="give a higher `--budget` or fewer samples (`--limit`); without `--batch` a run stops at its budget",
        )


class _Batching:
    """The batches of one call."""

    def __init__(
        self,
        tagger: ChatTagger,
        store: AnswerStore,
        endpoint: BatchEndpoint,
        spending: Spending,
        planned: Plan,
        progress: ProgressHook | None,
        tell: Callable[[str], None],
    ) -> None:
        self.jobs = Jobs(store)
        self.models: set[str] = set()
        self._tagger, self._store, self._endpoint, self._planned = tagger, store, endpoint, planned
        self._spending, self._progress, self._tell = spending, progress, tell
        self._seen: dict[str, Seen] = {}
        self._failed = 0
        self._limits, self._at_once = batch_files.LIMITS, _NO_LIMIT
        # Batches since the last `submit`: those that the endpoint's queue took, and those sent away since it was full.
        self._queued = self._crowded = 0
        self._least_crowded = batch_files.LIMITS.requests  # requests of the smallest batch that was sent away
        self._refused = False
        unfinished = self.jobs.unfinished()
        self._out = [job for job in unfinished if (job.url, job.model) == (endpoint.url, tagger.model)]
        if others := len(unfinished) - len(self._out):
            warnings.warn(f"batches of other endpoints or models, {others:,}, are not waited for", BatchWarning, 3)

    @cached_property
    def _folder(self) -> TemporaryFolder:
        return TemporaryFolder()

    def find_again(self) -> None:
        """Goes on with batches that a killed run was about to make."""
        for job in list(self._out):
            if job.state == "uploading":  # nothing was asked for yet
                self.jobs.drop(job)
                self._out.remove(job)
            elif job.state == "creating":
                if not self._endpoint.has(job.name, since=job.created):
                    time.sleep(SETTLING_S)
                self._create(job, look_first=True)
        if self._out:
            told = f"{len(self._out):,}, with {self._requests_out():,} requests"
            self._tell(f"batches of earlier runs that are out: {told}")

    def submit(self, parts: Iterable[Sequence[str]]) -> None:
        """Sends what has no answer and is in no batch, file by file, as many as the endpoint's queue takes."""
        self._queued = self._crowded = 0
        path = self._folder.path / "requests.jsonl"
        for keys in self._files(parts, path):
            self._wait(until=lambda: len(self._out) < self._at_once)
            if self._crowded:
                return
            job = self.jobs.start(self._endpoint.url, self._tagger.model, self._tagger.requests.form.as_dict(), keys)
            file_id = self._endpoint.upload(path)
            if isinstance(file_id, Refused):
                self.jobs.drop(job)
                self._warn_of_refusal(file_id)
                return
            job.input_file_id, job.state = file_id, "creating"
            self.jobs.save(job)
            self._out.append(job)
            if not self._create(job, look_first=False):
                return

    def _create(self, job: Job, *, look_first: bool) -> bool:
        assert job.input_file_id is not None
        made = self._endpoint.create(job.name, job.input_file_id, since=job.created, look_first=look_first)
        if isinstance(made, Refused):
            self.jobs.drop(job)
            self._out.remove(job)
            self._warn_of_refusal(made)
            return False
        job.id, job.state, job.status = made.id, "out", made.status
        self.jobs.save(job)
        self._tell(f"batch `{made.id}`: {job.requests:,} requests")
        return True

    def _warn_of_refusal(self, refused: Refused) -> None:
        self._refused = True
        what = "has no Batch API" if refused.absent else "takes no batch"
        warnings.warn(f"{self._endpoint.name} {what} ({refused.said}): asked live", BatchWarning, 4)

    def _files(self, parts: Iterable[Sequence[str]], path: Path) -> Iterator[list[bytes]]:
        """Writes file after file to `path`, within the limits; gives the keys of each. One too large is left out."""
        file = RequestFile(path, self._limits)
        seen = Distinct()
        for texts in parts:
            sent = self._tagger.requests.sent(texts)
            found = self._tagger.requests.keys(sent)
            first = seen.first(found)
            missing = [first[at] for at in self._store.missing([found[at] for at in first])]
            known = self.jobs.known([found[at] for at in missing])
            for at in missing:
                line = request_line(found[at], self._tagger.requests.body(sent[at].text))
                if found[at] in known or len(line) > self._limits.bytes:
                    continue
                if not file.fits(line):
                    yield file.close()
                    file = RequestFile(path, self._limits)
                file.add(found[at], line)
        if file.keys:
            yield file.close()

    def collect_ended(self) -> None:
        """Looks at every batch once, and takes what those that have ended answered."""
        for job in list(self._out):
            assert job.id is not None
            seen = self._seen[job.name] = self._endpoint.get(job.id)
            if seen.status != job.status:
                job.status = seen.status
                self.jobs.save(job)
            if seen.ended:
                self._collect(job, seen)
                self._out.remove(job)
                del self._seen[job.name]
        self._report()

    def wait_for_all(self) -> bool:
        """Waits until every batch has ended; gives whether the queue was full and more should be sent, in smaller bits.

        What is out at once is held to what the queue took; where it took nothing, the files are made smaller.
        """
        self._wait(until=lambda: not self._out)
        if not self._crowded or self._refused:
            return False
        if self._queued:
            self._at_once = max(1, min(self._at_once - 1, self._queued))
            return True
        self._at_once = 1
        self._limits = Limits(self._least_crowded // _CUT_BY, self._limits.bytes)
        if self._limits.requests >= _FEWEST:
            self._tell(
                f"the queue of {self._endpoint.name} is full: batches of {self._limits.requests:,} requests next"
            )
            return True
        warnings.warn(f"the queue of {self._endpoint.name} takes no batch, however small: asked live", BatchWarning, 3)
        return False

    def _wait(self, *, until: Callable[[], bool]) -> None:
        """Looks at the batches with growing intervals."""
        first = pause = self._tagger.speed.batch_poll_s
        self._report()
        while not until():
            time.sleep(pause)
            pause = min(pause * _POLL_GROWTH, first * _LONGEST_POLL)
            self.collect_ended()

    def _collect(self, job: Job, seen: Seen) -> None:
        """Commits what a batch answered, and counts why it did not answer the others."""
        if seen.crowded:
            self._crowded += 1
            self._least_crowded = min(self._least_crowded, job.requests)
            self.jobs.drop(job)
            self._tell(f"batch `{seen.id}` was sent away, the queue is full ({seen.errors}): sent again later")
            return
        self._queued += 1
        keys = self.jobs.keys(job)
        reasons: Counter[str] = Counter()
        answered: set[bytes] = set()
        for name, file_id in (("output", seen.output_file_id), ("error", seen.error_file_id)):
            if file_id is None:
                continue
            path = self._folder.path / f"{name}.jsonl"
            if not self._endpoint.download(file_id, path):
                warnings.warn(f"the {name} file of batch `{seen.id}` is gone", BatchWarning, 4)
                continue
            for answers in self._answers(path, keys, job, reasons):
                new = self._store.missing([answer.key for answer in answers])
                self._store.put(answers)
                answered.update(answer.key for answer in answers)
                for at in new:
                    self._spending.add(answers[at])
            path.unlink()
        job.state, job.answered, job.failed = "collected", len(answered), job.requests - len(answered)
        self.jobs.save(job)
        self._failed += job.failed
        untold = job.failed - reasons.total()
        if untold > 0:
            reasons["not answered"] += untold
        if job.failed:
            why = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common(3))
            said = f" ({seen.errors})" if seen.errors else ""
            warnings.warn(
                f"batch `{seen.id}` is {seen.status}{said}: {job.failed:,} of {job.requests:,} requests have no answer "
                f"({why}) and are asked live",
                BatchWarning,
                4,
            )

    def _answers(self, path: Path, keys: set[bytes], job: Job, reasons: Counter[str]) -> Iterator[list[Answer]]:
        """The answers in a file of replies, some at a time; `reasons` counts what is none."""
        replies = read_replies(path, keys)
        while some := list(islice(replies, _COMMITTED_AT_ONCE)):
            for reply in some:
                if isinstance(reply, NoAnswer):
                    reasons[reply.reason] += 1
                    self._learn(job, reply)
                elif reply.model:
                    self.models.add(reply.model)
            yield [reply for reply in some if isinstance(reply, Answer)]

    def _learn(self, job: Job, refused: NoAnswer) -> None:
        """Lowers the form where the batch was refused for the one that is used now."""
        requests = self._tagger.requests
        if refused.status is None or json.loads(job.form) != requests.form.as_dict():
            return
        lowered = requests.form.lowered(refused.status, refused.said)
        if lowered is not None:
            requests.form = lowered

    def _requests_out(self) -> int:
        return sum(job.requests for job in self._out)

    def _report(self) -> None:
        if self._progress is None:
            return
        spending, planned = self._spending, self._planned
        ended = sum(seen.completed + seen.failed for seen in self._seen.values())
        failed = self._failed + sum(seen.failed for seen in self._seen.values())
        self._progress(
            Progress(
                min(planned.answered + spending.answers + self._failed + ended, planned.distinct),
                planned.distinct,
                failed,
                max(0, self._requests_out() - ended),
                spending.prompt_tokens,
                spending.completion_tokens,
                usd=spending.usd,
            )
        )
