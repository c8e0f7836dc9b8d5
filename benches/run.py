"""One table of every comparison: `python benches/run.py [--samples 100000,1000000] [--only selection,real]`.

The modules of `instag.bench`, and those of this folder that want real data or other packages; each has `SIZES`, the
pool sizes that something is promised for. Rows come as they are measured. Ends with 1 where a promise was missed.
"""

from __future__ import annotations

import argparse
from importlib import import_module

from instag.bench import SUBJECTS, timing
from instag.progress import Talk

MODULES = {name: f"instag.bench.{name}" for names in SUBJECTS.values() for name in names}
MODULES |= {name: name for name in ("real", "semantic", "keyphrase", "tagging")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", default="", help="pool sizes, comma-separated (each module's own)")
    parser.add_argument("--only", default=",".join(MODULES), help="modules, comma-separated (all)")
    options = parser.parse_args()
    sizes = [int(size) for size in options.samples.split(",") if size]
    missed = 0
    print(f"{timing.told_machine()}\n\n{timing.HEADER}\n{timing.RULE}")
    for name in options.only.split(","):
        module = import_module(MODULES[name])
        for size in sizes or module.SIZES:
            for comparison in module.compare(size, peers=True, talk=Talk()):
                print(comparison.row, flush=True)
                missed += comparison.met is False
    if missed:
        raise SystemExit(f"{missed} promised ratios were missed")


if __name__ == "__main__":
    main()
