"""A long run in which a fifth of all requests fails: every query is answered or listed, and memory does not grow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import server
from conftest import Served
from instag.chat import ChatTagger
from instag.prompt import load_prompt
from instag.run import Run
from instag.tagger import TagSettings

COUNT = int(os.environ.get("INSTAG_SOAK", "10000"))
SMALL = 10_000 if COUNT > 10_000 else COUNT // 4
PASSING = {"429": 0.02, "429-bare": 0.03, "500": 0.04, "503-html": 0.03, "reset": 0.03, "cut": 0.02, "broken": 0.03}
LASTING = {"too_long": 0.01, "filtered": 0.01, "prose": 0.01, "refusal": 0.01}
REASONS = {"too_long": "too_long", "filtered": "content_filter", "prose": "not_json", "refusal": "refused"}
GROWTH = 1.25  # of the peak of memory, beside
BYTES_A_QUERY = 500  # of digests (what is a duplicate is known of the whole pool), and of what allocators keep


def text_of(at: int) -> str:
    return f"Soak, query {at}: why?"


def tagged(served: Served, folder: Path, count: int) -> dict[str, Any]:
    """What `instag tag --json` says, run in a process of its own."""
    data = folder / f"{count}.jsonl"
    with data.open("w") as file:
        file.writelines(json.dumps({"prompt": text_of(at)}) + "\n" for at in range(count))
    settings = ["--base-url", served.base_url, "--max-failure-rate", "0.2", "--quiet", "--json"]
    command = [sys.executable, "-m", "instag.cli", "tag", str(data), "--run", str(folder / str(count)), *settings]
    made = subprocess.run(command, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return dict(json.loads(made.stdout))


def expected(count: int) -> list[tuple[list[str], str | None]]:
    """(tags, reason) of every query, from what the server does to a request by its hash."""
    endpoint = server.Server(server.Settings(replies=LASTING))
    tagger, prompt = ChatTagger(TagSettings()), load_prompt("paper")
    keys = tagger.requests.keys(tagger.requests.sent(map(text_of, range(count))))
    rows: list[tuple[list[str], str | None]] = []
    for at, key in enumerate(keys):
        kind = endpoint.pick("reply", key.hex(), LASTING)
        shown = prompt.messages(text_of(at))[0]["content"]
        rows.append(([] if kind else server.tags_of(shown), REASONS[kind] if kind else None))
    return rows


def test_every_query_is_answered_or_listed_and_memory_is_flat(serve: Callable[..., Served], tmp_path: Path) -> None:
    peaks: list[int] = []
    for count in (SMALL, COUNT):
        served = serve(faults=PASSING, replies=LASTING, retry_after="0.01")
        told = tagged(served, tmp_path, count)
        peaks.append(told["peak_memory_bytes"])
        counts = served.stats()
        served.stop()
        print(f"{count:,}: {told['seconds']:.0f} s, {peaks[-1] / 2**20:.0f} MiB, {sum(counts['requests'].values()):,}")
        assert max(counts["requests"].values()) == 2  # the first attempt of a fifth fails
        assert max(counts["answered"].values()) == 1
        run = Run(tmp_path / str(count))
        queries, failures = run.table("tag", "queries"), run.table("tag", "failures")
        reasons = dict(failures.select("id", "reason").rows())
        found = [(tags, reasons.get(key)) for key, tags in queries.select("id", "tags").rows()]
        wanted = expected(count)
        assert found == wanted
        assert told["counts"]["failed"] == len(failures) == sum(reason is not None for _, reason in wanted)
        del found, wanted, counts
    assert peaks[1] < GROWTH * peaks[0] + BYTES_A_QUERY * (COUNT - SMALL)
