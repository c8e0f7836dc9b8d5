"""Growth from raw tags to a selection of 100,000: `python benches/scale.py [--samples 1000000,10000000]`.

For each size Parquet shards of raw tags are made (`raw_shards`: a million distinct strings), then gone through twice:
by the API of docs/scale.md (`scan_tags`, `normalize`, `select`, in one process), and by the command line (`import`,
`normalize`, `analyze`, `select`, each a process that writes its tables). Wall and CPU seconds, the peak of memory, and
the exponent of the wall seconds between one size and the next: 1 is linear. 100 million samples take some ten minutes,
6 GB of memory and 10 GB of `TMPDIR`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import log
from pathlib import Path

from instag.bench import timing
from instag.memory import peak_memory_bytes
from instag.progress import Talk

K = 100_000
SIZES = (1_000_000, 10_000_000)


@dataclass(frozen=True)
class Step:
    """What one step took; of several steps, the sums, and the largest peak."""

    name: str
    wall_seconds: float
    cpu_seconds: float
    peak_memory_bytes: int | None


def by_api(shards: Path) -> Iterator[Step]:
    """The steps of the API, here; peaks are those of the process so far."""
    import instag

    before = time.perf_counter(), time.process_time()

    def step(name: str) -> Step:
        nonlocal before
        since, before = before, (time.perf_counter(), time.process_time())
        return Step(name, before[0] - since[0], before[1] - since[1], peak_memory_bytes())

    pool = instag.scan_tags(shards)
    yield step("scan_tags")
    made = instag.normalize(pool)
    yield step("normalize")
    picked = instag.select(made.table, k=min(K, len(pool) // 10))
    assert len(picked.rows)
    yield step("select")


def by_api_alone(shards: Path) -> list[Step]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--api", str(shards)]
    told = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return [Step(**step) for step in told]


def by_command_line(shards: Path, run: Path, k: int) -> Iterator[Step]:
    """Each stage as a person calls it."""
    for arguments in (
        ("import", str(shards), "--run", str(run)),
        ("normalize", str(run)),
        ("analyze", str(run)),
        ("select", str(run), "--k", str(k)),
    ):
        start, before = time.perf_counter(), os.times()
        command = [sys.executable, "-m", "instag.cli", *arguments, "--json", "--quiet"]
        told = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        wall, after = time.perf_counter() - start, os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        yield Step(arguments[0], wall, cpu, told["peak_memory_bytes"])


def total(steps: list[Step]) -> Step:
    peaks = [step.peak_memory_bytes for step in steps if step.peak_memory_bytes is not None]
    sums = sum(step.wall_seconds for step in steps), sum(step.cpu_seconds for step in steps)
    return Step("all", *sums, max(peaks, default=None))


def measured(samples: int, talk: Talk) -> dict[str, list[Step]]:
    """Both ways through a pool of one size, with a last step that sums them up."""
    with tempfile.TemporaryDirectory(prefix="instag-bench-") as name:
        shards = Path(name, "pool")
        talk.line(f"making the input: {samples:,} samples")
        make = "import sys; from pathlib import Path; from instag.bench import generate as g; g.raw_shards"
        subprocess.run([sys.executable, "-c", f"{make}(Path(sys.argv[1]), {samples})", str(shards)], check=True)
        talk.line(f"{samples:,} samples: API")
        api = by_api_alone(shards)
        talk.line(f"{samples:,} samples: command line")
        line = list(by_command_line(shards, Path(name, "run"), min(K, samples // 10)))
    return {"API": [*api, total(api)], "command line": [*line, total(line)]}


def rows(samples: int, found: dict[str, list[Step]], last: tuple[int, dict[str, list[Step]]] | None) -> Iterator[str]:
    """One size as rows of the table; `last` is the size before it, which the exponent is of."""
    for way, steps in found.items():
        for at, step in enumerate(steps):
            exponent = ""
            if last is not None:
                grown = log(step.wall_seconds / last[1][way][at].wall_seconds) / log(samples / last[0])
                exponent = f"{grown:.2f}"
            peak = "" if step.peak_memory_bytes is None else f"{step.peak_memory_bytes / 1e9:.2f} GB"
            times = f"{step.wall_seconds:.2f} s", f"{step.cpu_seconds:.2f} s"
            yield "| " + " | ".join((way, step.name, f"{samples:,}", *times, peak, exponent)) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", default=",".join(map(str, SIZES)), help="pool sizes, comma-separated, rising")
    parser.add_argument("--api", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.api is not None:
        print(json.dumps([vars(step) for step in by_api(options.api)]))
        return
    print(f"{timing.told_machine()}\n")
    print("| way | step | samples | wall | CPU | peak | exponent |\n|---|---|--:|--:|--:|--:|--:|", flush=True)
    last = None
    for samples in map(int, options.samples.split(",")):
        found = measured(samples, Talk())
        print("\n".join(rows(samples, found, last)), flush=True)
        last = samples, found


if __name__ == "__main__":
    main()
