"""How busy tagging keeps an endpoint, and what it costs our own CPU: `python benches/tagging.py`, and for `run.py`.

Against the local server of the tests (tests/server.py), each run in a process of its own:

- throughput after the first tenth of the answers, beside the best of several fixed numbers of requests in flight (the
  same code with a limit that does not move); the endpoints queue, refuse with 429, or hold a rate, up to 150 a second.
  That takes a sixth of a core, so three pairs run at once, each run with a server of its own;
- CPU seconds of the process, beside the bare `openai` client on its aiohttp transport, in turn: the same requests, as
  many in flight, nothing counted, stored or parsed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import instag
from instag.bench import timing
from instag.bench.timing import Comparison, Timed
from instag.memory import peak_memory_bytes
from instag.progress import Talk
from instag.prompt import load_prompt

TESTS = Path(__file__).parents[1] / "tests"
DATA = Path(os.environ.get("INSTAG_DATA", Path(__file__).parents[2] / "shared" / "data"))
SIZES = (4_000,)
MODEL = "gpt-4o-mini"
WARM = 500  # requests before the CPU is looked at: imports, connections
CPU_REQUESTS, CPU_IN_FLIGHT = 4_000, 64
RUNS, CPU_RUNS = 3, 5
RUNS_AT_ONCE = 6
BUSY = 0.95  # of the throughput of the best fixed number
CHEAP = 1 / 1.3  # of the CPU seconds of the bare client


@dataclass(frozen=True)
class Case:
    """An endpoint: the server's settings, and the fixed numbers of requests in flight that are tried."""

    name: str
    settings: dict[str, Any]
    fixed: tuple[int, ...]


# Numbers that can't be the best are not tried: 8 in flight for a second are 8 a second.
CASES = (
    Case("queues, 100 at once for 1 s", {"capacity": 100, "latency": 1.0}, (64, 100, 128, 256, 512)),
    Case(
        "queues, 40 at once for 0.3 s, very uneven",
        {"capacity": 40, "latency": 0.3, "spread": 1.0},
        (32, 40, 64, 128, 256),
    ),
    Case(
        "refuses, 60 at once for 0.5 s",
        {"capacity": 60, "latency": 0.5, "refuse": True},
        (32, 56, 60, 64, 128),
    ),
    Case("150 a second, 2 % errors", {"rate": 150, "latency": 0.3, "faults": {"500": 0.02}}, (32, 64, 128, 256, 512)),
)


@contextmanager
def served(**settings: Any) -> Iterator[str]:
    """The address of a running server."""
    command = [sys.executable, str(TESTS / "server.py")]
    for name, value in settings.items():
        command += [f"--{name}", json.dumps(value) if isinstance(value, dict | bool) else str(value)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.kill()


def in_a_process(kind: str, url: str, texts: Path, in_flight: int = 0) -> tuple[float, int]:
    """Seconds and the peak of memory in bytes of one run."""
    command = [sys.executable, __file__, "--kind", kind, "--url", url, "--texts", str(texts), "--in-flight", in_flight]
    path = os.pathsep.join(part for part in sys.path if part)
    environment = {**os.environ, "PYTHONPATH": path, "OPENAI_API_KEY": "none"}
    done = subprocess.run(
        [str(word) for word in command], stdout=subprocess.PIPE, text=True, check=True, env=environment
    )
    told = json.loads(done.stdout)
    return told["seconds"], told["peak_memory_bytes"]


def busy(case: Case, texts: Path, fixed: int | None) -> tuple[float, int]:
    """`in_a_process` beside a server of its own; adaptive where there is no fixed number."""
    with served(**case.settings) as url:
        return in_a_process("fixed" if fixed else "adaptive", url, texts, fixed or 0)


def queries(count: int) -> list[str]:
    """Distinct real queries where they are, else made up."""
    texts: dict[str, None] = {}
    if DATA.is_dir():
        sys.path.insert(0, str(TESTS))
        import real_queries

        texts = dict.fromkeys(
            query for part in real_queries.pool(DATA).values() for query in part if len(query) < 2_000
        )
    return [*texts, *(f"Query {at}: how do I sort a list of {at} words?" for at in range(count))][:count]


def compare(samples: int, *, peers: bool, talk: Talk) -> Iterator[Comparison]:
    """Adaptive beside the best fixed number on every endpoint, then the CPU beside the bare client."""
    with tempfile.TemporaryDirectory(prefix="instag-bench-") as folder:
        texts = Path(folder, "texts.json")
        texts.write_text(json.dumps(queries(samples)))
        with ThreadPoolExecutor(RUNS_AT_ONCE) as at_once:
            for case in CASES:
                talk.line(f"tagging, {samples:,} queries: an endpoint that {case.name}")
                tried = list(at_once.map(lambda number, case=case: busy(case, texts, number), case.fixed))
                best = case.fixed[tried.index(min(tried))]
                found = list(at_once.map(lambda number, case=case: busy(case, texts, number), [None, best] * RUNS))
                name = f"best fixed number ({best} in flight)"
                yield row(f"tagging, last 90 %: {case.name}", samples, found[::2], name, found[1::2], BUSY)
        texts.write_text(json.dumps(queries(WARM + CPU_REQUESTS)))
        talk.line(f"tagging, {CPU_REQUESTS:,} queries: CPU beside the bare client")
        with served(latency=0.02) as url:
            ours, theirs = [], []
            while len(ours) < CPU_RUNS:
                theirs.append(in_a_process("bare", url, texts, CPU_IN_FLIGHT))
                ours.append(in_a_process("ours", url, texts, CPU_IN_FLIGHT))
        name = f"bare openai client ({CPU_IN_FLIGHT} in flight)"
        yield row("tagging, CPU", CPU_REQUESTS, ours, name, theirs, CHEAP)


def row(
    task: str,
    samples: int,
    ours: list[tuple[float, int]],
    name: str,
    theirs: list[tuple[float, int]],
    target: float,
) -> Comparison:
    def timed(name: str, runs: list[tuple[float, int]]) -> Timed:
        return Timed(name, tuple(seconds for seconds, _ in runs), max(peak for _, peak in runs))

    return Comparison(task, samples, timed("instag", ours), timed(name, theirs), target, packages=("openai", "aiohttp"))


class Fixed:
    """A limit that does not move."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def answered(self, sent: float, now: float) -> None: ...

    def pushed_back(self, sent: float, now: float, *, refused: bool) -> None: ...


def tagged(url: str, texts: list[str], **settings: Any) -> list[tuple[float, int]]:
    """Tags into a store on the disk; gives when how many were done."""
    told: list[tuple[float, int]] = []
    with tempfile.TemporaryDirectory(prefix="instag-bench-") as folder:
        made = instag.tag(
            texts,
            model=MODEL,
            base_url=url,
            answers=Path(folder, "answers.sqlite"),
            progress=lambda progress: told.append((perf_counter(), progress.done)),
            **settings,
        )
    assert made.usage is not None
    assert made.usage.asked == len(texts)
    return told


async def bare(url: str, texts: list[str], in_flight: int) -> float:
    """CPU seconds of the bare client for all texts but the first ones, which warm it up."""
    import openai

    prompt = load_prompt("paper")
    client = openai.AsyncOpenAI(base_url=url, max_retries=0, http_client=openai.DefaultAioHttpClient())

    async def ask(some: Iterator[str]) -> None:
        for text in some:
            messages: Any = prompt.messages(text)
            reply = await client.chat.completions.create(model=MODEL, messages=messages, temperature=0.0)
            assert reply.choices[0].message.content

    async def all_of(texts: list[str]) -> None:
        waiting = iter(texts)
        await asyncio.gather(*(ask(waiting) for _ in range(in_flight)))

    async with client:
        await all_of(texts[:WARM])
        started = process_time()
        await all_of(texts[WARM:])
        return process_time() - started


def run(kind: str, url: str, texts: list[str], in_flight: int) -> float:
    """The seconds of one run, of which kind."""
    if kind == "bare":
        return asyncio.run(bare(url, texts, in_flight))
    if kind == "ours":
        tagged(url, texts[:WARM], concurrency=in_flight, output="plain")
        started = process_time()
        tagged(url, texts[WARM:], concurrency=in_flight, output="plain")
        return process_time() - started
    if kind == "fixed":
        from instag import endpoint

        endpoint.Limiter = lambda _: Fixed(in_flight)  # type: ignore[assignment, misc]
    told = tagged(url, texts)
    began, done = next((at, done) for at, done in told if done >= len(texts) / 10)
    return (told[-1][0] - began) * 0.9 * len(texts) / (len(texts) - done)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", help=argparse.SUPPRESS)  # one run, in a process of its own
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--texts", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--in-flight", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.kind is None:
        print(f"{timing.told_machine()}\n\n{timing.HEADER}\n{timing.RULE}", flush=True)
        for comparison in compare(SIZES[0], peers=True, talk=Talk()):
            print(comparison.row, flush=True)
        return
    seconds = run(options.kind, options.url, json.loads(options.texts.read_text()), options.in_flight)
    print(json.dumps({"seconds": seconds, "peak_memory_bytes": peak_memory_bytes()}))


if __name__ == "__main__":
    main()
