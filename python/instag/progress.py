"""Talking to a person: everything goes to stderr; bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from instag.tagger import Progress, ProgressHook

# What a long piece of work is given to report with: call it with how much more is done.
Advance = Callable[[int], None]

_SECONDS_BETWEEN_LINES = 10.0


class Talk:
    """Lines, tables and progress for a person; says nothing where `quiet`.

    >>> talk = Talk(quiet=True)
    >>> with talk.bar("reading", total=2, unit="file") as advance:
    ...     advance(1)
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet

    def line(self, text: str = "") -> None:
        """One line, or a few; what does not print shows as dots."""
        if not self.quiet:
            print(shown_lines(text), file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """One line that is worth a second look."""
        self.line(f"warning: {text}")

    @contextlib.contextmanager
    def hearing(self, category: type[Warning]) -> Iterator[None]:
        """Says warnings of this kind as `warn` does, not as Python would."""
        with warnings.catch_warnings():
            warnings.simplefilter("always", category)
            shown_before = warnings.showwarning

            def show(message: Warning | str, kind: type[Warning], *place: Any, **more: Any) -> None:
                if issubclass(kind, category):
                    self.warn(str(message))
                else:
                    shown_before(message, kind, *place, **more)

            warnings.showwarning = show  # type: ignore[assignment]  # `catch_warnings` puts the old one back
            yield

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table with numbers to the right, indented under the line before it."""
        for line in table_lines(header, rows):
            self.line(f"  {line}")

    @contextlib.contextmanager
    def bar(self, label: str, *, total: int | None = None, unit: str) -> Iterator[Advance]:
        """Progress of one piece of work, in `unit`s: a bar on a terminal, else a line every ten seconds."""
        if self.quiet:
            yield lambda _: None
        elif sys.stderr.isatty():
            from tqdm import tqdm

            with tqdm(desc=label, total=total, unit=f" {unit}", unit_scale=True, leave=False) as bar:
                yield lambda n: bar.update(n) and None
        else:
            yield _plain(label, total, unit)

    @contextlib.contextmanager
    def progress(self, label: str) -> Iterator[ProgressHook]:
        """Progress of a tagger: done, failed, in flight, tokens, money spent and expected, rate and time left."""
        if self.quiet:
            yield lambda _: None
        elif sys.stderr.isatty():
            from tqdm import tqdm

            with tqdm(desc=label, unit=" query", unit_scale=True, leave=False) as bar:

                def shown_on_bar(progress: Progress) -> None:
                    bar.total = progress.total
                    bar.set_postfix_str(cost_line(progress), refresh=False)
                    bar.update(progress.done - bar.n)

                yield shown_on_bar
        else:
            started = said = time.monotonic()

            def in_lines(progress: Progress) -> None:
                nonlocal said
                now = time.monotonic()
                if now - said >= _SECONDS_BETWEEN_LINES:
                    said = now
                    rate = progress.done / (now - started)
                    left = f", {(progress.total - progress.done) / rate:,.0f} s left" if rate else ""
                    self.line(
                        f"{label}: {progress.done:,} of {counted(progress.total, 'query')}, "
                        f"{rate:,.1f} a second{left}, {cost_line(progress)}"
                    )

            yield in_lines


def cost_line(progress: Progress) -> str:
    """What a tagging costs so far.

    >>> from instag.tagger import Progress
    >>> cost_line(Progress(50, 200, 2, 16, 40_000, 9_000, usd=0.0114, expected_usd=0.0456))
    '2 failed, 16 in flight, 49,000 tokens, $0.01 of about $0.05'
    """
    tokens = progress.prompt_tokens + progress.completion_tokens
    line = f"{progress.failed:,} failed, {progress.in_flight:,} in flight, {tokens:,} tokens"
    if progress.usd is not None:
        expected = "" if progress.expected_usd is None else f" of about ${progress.expected_usd:,.2f}"
        line += f", ${progress.usd:,.2f}{expected}"
    return line


def counted(count: int, unit: str) -> str:
    """A number of units, in the plural where it is not one; bytes are `B`.

    >>> [counted(14877, "tag"), counted(1, "query"), counted(0, "query"), counted(2048, "B")]
    ['14,877 tags', '1 query', '0 queries', '2,048 B']
    """
    many = unit if unit == "B" else f"{unit[:-1]}ies" if unit.endswith("y") else f"{unit}s"
    return f"{count:,} {unit if count == 1 else many}"


def _plain(label: str, total: int | None, unit: str) -> Advance:
    done, said = 0, time.monotonic()

    def advance(n: int) -> None:
        nonlocal done, said
        done += n
        if time.monotonic() - said >= _SECONDS_BETWEEN_LINES:
            said = time.monotonic()
            of = f"{done:,} of " if total is not None else ""
            print(f"{label}: {of}{counted(done if total is None else total, unit)}", file=sys.stderr, flush=True)

    return advance


def table_lines(header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    r"""Columns of text, numbers to the right, everything else to the left.

    >>> print("\n".join(table_lines(["step", "tags"], [["raw", 12000], ["frequency", 8541]])))
    step         tags
    raw        12,000
    frequency   8,541
    """
    cells = [list(header), *([_cell(value) for value in row] for row in rows)]
    right = [all(row[i].rstrip("%")[-1:].isdigit() or row[i] == "-" for row in cells[1:]) for i in range(len(header))]
    widths = [max(map(shown_width, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(_pad(c, w, r) for c, w, r in zip(row, widths, right, strict=True)).rstrip() for row in cells]


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    return shown(str(value))


def shown(text: str) -> str:
    r"""A name from the data as one line: what does not print becomes a dot.

    >>> shown("a\nb\x1b[31m")
    'a·b·[31m'
    """
    return "".join(c if c.isprintable() else "·" for c in text)


def shown_lines(text: str) -> str:
    r"""As `shown`, of text that may have several lines: file names and servers' words never steer a terminal.

    >>> shown_lines("a\x1b[2J\nb")
    'a·[2J\nb'
    """
    return "\n".join(map(shown, text.split("\n")))


def shown_width(text: str) -> int:
    """The columns of a terminal that a text takes."""
    from unicodedata import east_asian_width

    return sum(2 if east_asian_width(c) in "WF" else 1 for c in text)


def _pad(text: str, width: int, to_the_right: bool) -> str:
    space = " " * (width - shown_width(text))
    return space + text if to_the_right else text + space
