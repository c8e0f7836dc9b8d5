"""One table of every comparison: `python benches/run.py [--samples 100000,1000000] [--only selection]`.

A module in this folder that has `compare(samples) -> Iterator[Comparison]` and `SIZES`, the pool sizes that something
is promised for, takes part; a peer that is not installed is said so on stderr.
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
    parser.add_argument("--samples", default="", help="pool sizes, comma-separated (each module's own)")
    parser.add_argument("--only", default="", help="modules, comma-separated (all)")
    options = parser.parse_args()
    sizes = [int(size) for size in options.samples.split(",") if size]
    names = {path.stem for path in Path(__file__).parent.glob("*.py")} - {"generate", "run", "timing"}
    done = []
    for name in options.only.split(",") if options.only else sorted(names):
        module = import_module(name)
        if not hasattr(module, "compare"):
            continue
        for size in sizes or module.SIZES:
            for comparison in module.compare(size):
                print(timing.table([comparison]).splitlines()[-1], file=sys.stderr, flush=True)
                done.append(comparison)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print(timing.table(done))
    if any(comparison.met is False for comparison in done):
        raise SystemExit("a promised ratio was missed")


if __name__ == "__main__":
    main()
