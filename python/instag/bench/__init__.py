"""`instag bench`: each step beside a bare loop, or merely reading, and beside what people use today.

A subject is a module or two; each has `SIZES`, the pool sizes that something is promised for, and
`compare(samples, peers=..., talk=...)`, which yields a `timing.Comparison` a row. Nothing here is imported by the rest
of the package.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from instag.bench.timing import Comparison
    from instag.progress import Talk

# subject -> modules of this package
SUBJECTS = {
    "select": ("selection",),
    "rules": ("rules",),
    "normalize": ("normalization", "scanning"),
    "read": ("read",),
}


def compare(
    subject: str, samples: int, *, peers: bool, talk: Talk, inputs: Sequence[Path] = ()
) -> Generator[Comparison, None, None]:
    """The rows of one subject, as each is measured; `inputs` are files for `read` in place of made-up records."""
    for name in SUBJECTS[subject]:
        module = import_module(f"instag.bench.{name}")
        more = {"inputs": inputs} if inputs else {}
        yield from module.compare(samples, peers=peers, talk=talk, **more)
