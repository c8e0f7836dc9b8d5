"""One table of every comparison: `python benches/run.py [--samples 100000,1000000] [--only selection]`.

A module in this folder that has `compare(samples) -> Iterator[Comparison]` takes part; it skips a size that is not
its own by yielding nothing, and a peer that is not installed by saying so on stderr.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from importlib import import_module
from pathlib import Path

import timing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", default="100000,1000000", help="pool sizes, comma-separated")
    parser.add_argument("--only", default="", help="modules, comma-separated (all)")
    options = parser.parse_args()
    sizes = [int(size) for size in options.samples.split(",")]
    names = {path.stem for path in Path(__file__).parent.glob("*.py")} - {"generate", "run", "timing"}
    done = []
    for name in options.only.split(",") if options.only else sorted(names):
        module = import_module(name)
        for size in sizes:
            for comparison in module.compare(size):
                print(timing.table([comparison]).splitlines()[-1], file=sys.stderr, flush=True)
                done.append(comparison)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print(timing.table(done))
    if any(comparison.met is False for comparison in done):
        raise SystemExit("a promised ratio was missed")


if __name__ == "__main__":
    main()
