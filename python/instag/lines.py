"""Lines to tables: of a plain file, which Rust reads by itself, and of blocks that were decompressed here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from instag import _core
from instag.errors import DataError
from instag.opening import BLOCK
from instag.shards import AHEAD, AT_ONCE

if TYPE_CHECKING:
    from instag.pooling import FileTables, Tables
    from instag.reading import Blocks, Reads

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
LONGEST_RECORD = 4 << 30  # the parser's limit, and a guard against a file that is one endless value

_BLOCKS = 8  # of 8 MiB, read at once: some ten milliseconds' work, and texts enough for huge pages
_FRUGAL = 1 << 20  # at a time where memory counts and time does not; short records have tables larger than their text


def too_long(offset: int) -> DataError:
    return DataError(f"holds a record of more than {LONGEST_RECORD >> 30} GiB, from byte {offset:,} on")


def lines_start(path: str, kind: str) -> int | None:
    """Where in a plain file its lines begin; None where it may be no lines, which takes more than the first to tell."""
    with open(path, "rb") as file:
        head = file.read(1 << 16)
    start = len(BYTE_ORDER_MARK) if head.startswith(BYTE_ORDER_MARK) else 0
    if kind == "text":
        return start
    line, line_break, _ = head[start:].partition(b"\n")
    return start if line_break and line.startswith(b"{") and _core.is_value(line) else None


def lines_of_file(
    file: FileTables, start: int, kind: str, settings: Reads, enough: Callable[[], bool] = lambda: False
) -> Blocks:
    """Lines of a file that is not compressed, which is digested too."""
    block, blocks = (min(BLOCK, _FRUGAL), 1) if settings.frugal else (BLOCK, _BLOCKS if settings.limit is None else 1)
    lines = _core.Lines(file.given.path, start, kind == "text", block, LONGEST_RECORD, *settings.of_records)
    told = 0
    try:
        for tables, size, file.rows in _ahead(lines, blocks):
            if settings.progress is not None:
                settings.progress(size)
            told += size
            yield tables, size
            if enough():
                break
    except OverflowError as error:
        raise too_long(int(str(error))) from None
    file.digest, file.bytes = lines.digest()
    if settings.progress is not None and file.bytes > told:
        settings.progress(file.bytes - told)


def _ahead(lines: _core.Lines, blocks: int) -> Iterator[tuple[Tables, int, int]]:
    """Block after block; so many are read while the caller works on those before."""
    if AHEAD < 0:
        while found := lines.read(blocks):
            yield from found
        return
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(lines.read, blocks)
        while found := coming.result():
            coming = thread.submit(lines.read, blocks)
            yield from found


def lines_of_blocks(
    file: FileTables,
    parts: Iterator[tuple[bytes, bool]],
    offset: int,
    layout: str,
    settings: Reads,
    enough: Callable[[], bool],
) -> Blocks:
    """Lines, two blocks at a time, so that no thread waits for the last piece of one; counted when they are read."""
    import polars as pl

    lines = records = 0
    flight: deque[Future[Any]] = deque()

    def landed() -> tuple[Tables, int]:
        nonlocal lines, records
        (read, queries, rejected), used, (_, more_lines, more_records), _ = flight.popleft().result()
        if lines or records:
            read = pl.DataFrame(read).with_columns(pl.col("record") + records)
            rejected = pl.DataFrame(rejected).with_columns(pl.col("record") + records, pl.col("line") + lines)
        lines, records = lines + more_lines, records + more_records
        return (read, queries, rejected), used

    with ThreadPoolExecutor(AT_ONCE) as threads:
        try:
            held: list[bytes] = []  # of the line that goes on
            for block, last in parts:
                end = len(block) if last else block.rfind(b"\n") + 1
                if sum(map(len, held)) + end > LONGEST_RECORD:
                    raise too_long(offset)
                if not end and not last:
                    held.append(block)
                    continue
                rest = b"".join(held)
                place = (offset, 0, 0)
                flight.append(threads.submit(_core.read_block, block, layout, place, last, *settings.of_records, rest))
                offset, held = offset + len(rest) + end, [block[end:]]
                while len(flight) > (0 if last or AHEAD < 0 else AHEAD):
                    yield landed()
                    if enough():
                        break
                else:
                    continue
                break
            file.rows = records
        finally:
            threads.shutdown(cancel_futures=True)
