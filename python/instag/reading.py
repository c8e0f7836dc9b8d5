"""From files in their native schemas to samples and queries: `read` -> `Pool`."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from instag import _core
from instag.errors import ConfigError, DataError
from instag.inputs import Files, Input, expand
from instag.lines import BYTE_ORDER_MARK, LONGEST_RECORD, lines_of_blocks, lines_of_file, lines_start, too_long
from instag.opening import BLOCK, Raw, blocks, decompressed, file_kind, new_digest
from instag.pooling import PART_BYTES, FileTables, Joining, Tables
from instag.tabular import csv_lines, hf_path, parquet_lines

if TYPE_CHECKING:
    import polars as pl

    from instag.progress import Advance

_SMALL_PART_ROWS = 10_000  # who asks for fewer works on them longer than they take to read


@dataclass(frozen=True, repr=False, eq=False)
class Pool:
    """Samples and their queries from several files, exact duplicates found.

    `samples` (id, source, turns): one row a distinct sample, in the order of files and records; `id` is a 128-bit
    content hash in hex. `queries` (row, turn, query): one row a user turn with text, `row` being the sample's.
    `records` (row, source, file, record, start, end, own_id): one row a record read, duplicates included.
    `rejected` (file, line, reason): one row a record that could not be read. `files` (path, source, format, schema,
    bytes, digest, rows, samples, queries, rejected, refused): one row a file, `refused` the reason why nothing was
    taken from it, or null. docs/reading.md says what counts as the query, docs/format.md what each column is.
    """

    samples: pl.DataFrame
    queries: pl.DataFrame
    records: pl.DataFrame
    rejected: pl.DataFrame
    files: pl.DataFrame

    @property
    def refused(self) -> list[str]:
        """One line a file that nothing was taken from, with the reason."""
        rows = self.files.filter(self.files["refused"].is_not_null()).select("path", "refused").rows()
        return [f"`{path}` {reason}" for path, reason in rows]

    def __len__(self) -> int:
        return len(self.samples)

    def __repr__(self) -> str:
        parts = [f"{len(self.samples):,} samples", f"{len(self.queries):,} queries", f"{len(self.files):,} files"]
        duplicates = len(self.records) - len(self.samples)
        counted = [(duplicates, "duplicates"), (len(self.rejected), "rejected"), (len(self.refused), "files refused")]
        return f"Pool({', '.join(parts + [f'{count:,} {what}' for count, what in counted if count])})"


def read(
    files: Files,
    *,
    schema: str | None = None,
    limit: int | None = None,
    source_column: str | None = None,
    progress: Advance | None = None,
) -> Pool:
    r"""Reads instruction data in its native schemas: JSON, JSON lines, Parquet, CSV and plain text, also `.gz`, `.zst`.

    `files` are paths, globs, `NAME=FILE` (NAME is the source; otherwise the file's stem is) or `hf://org/name`, read
    in the order given. Each record shows its schema, unless `schema` forces one (`alpaca`, `sharegpt`, `messages`,
    `preference`, `prompt-completion`, `question-answer`, `text`, `turns`, `instances`). `source_column` names a member
    that holds each record's source. `limit` ends the reading with that many distinct samples. `progress` is called
    with the bytes read since its last call.

    Equal samples (roles, text, tool calls, non-text parts) are one: the first stays. A record that cannot be read is
    a row of `rejected`. A file that holds no instructions, or is damaged, is refused whole and listed in `files`.
    Raises `DataError` where a name matches nothing, where the only file is refused, or all are; `ConfigError` for an
    unknown schema. Linear in the bytes, all threads; memory is the text of the queries and some 100 bytes a record.

    >>> import json, pathlib, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name, "chats.jsonl")
    >>> _ = path.write_text(json.dumps({"instruction": "Add the numbers.", "input": "1 2", "output": "3"}))
    >>> pool = read(path)
    >>> pool, pool.queries["query"].to_list()
    (Pool(1 samples, 1 queries, 1 files), ['Add the numbers.\n1 2'])
    >>> folder.cleanup()
    """
    settings = Reads(schema, source_column, limit, progress)
    (pool,) = _parts(expand(files), settings, None)
    return pool


def read_parts(
    files: Files,
    *,
    part_rows: int = 1_000_000,
    schema: str | None = None,
    limit: int | None = None,
    source_column: str | None = None,
    progress: Advance | None = None,
) -> Iterator[Pool]:
    r"""Reads a pool that may be larger than memory, as parts of up to `part_rows` records: `read`, cut into pieces.

    Put end to end, the tables of the parts are those of `read`, whatever `part_rows` is: `row` goes through the whole
    pool, a record that repeats a sample of an earlier part has its row, a file is told in the part it ends in. A part
    also ends where its records take up 512 MiB of their files. Memory is that of one part, beside those that the caller
    keeps, and some 33 bytes a sample.

    What is given out cannot be taken back. So a file that can turn out to be damaged (`.gz`, `.zst`, Parquet, CSV) is
    looked through to its end before the first part that holds some of it, unless it ends in that part: it is then
    decompressed twice. With a `limit` it is not; a file that turns out damaged then, like any that a disk fails to
    give, is a `DataError`. `files`, settings and what else is an error are as in `read`; where no file holds
    instructions, or no record a source, the error comes in place of the last part.

    >>> import pathlib, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name, "asked.jsonl")
    >>> _ = path.write_text('{"prompt": "One"}\n{"prompt": "Two"}\n{"prompt": "One"}\n{"prompt": "Three"}\n')
    >>> for part in read_parts(path, part_rows=2):
    ...     print(part.samples.height, part.queries.select("row", "query").rows(), part.records["row"].to_list())
    2 [(0, 'One'), (1, 'Two')] [0, 1]
    1 [(2, 'Three')] [0, 2]
    >>> folder.cleanup()
    """
    if part_rows < 1:
        raise ConfigError(f"`part_rows` is {part_rows}, must be at least 1")
    settings = Reads(schema, source_column, limit, progress, frugal=part_rows <= _SMALL_PART_ROWS)
    return _parts(expand(files), settings, part_rows)


def _parts(inputs: Sequence[Input], settings: Reads, part_rows: int | None) -> Iterator[Pool]:
    """The parts of a pool; all of it is one where there are no `part_rows`."""
    joining, refused = Joining(settings.limit), []
    for number, given in enumerate(inputs):
        file = joining.open(given, number)
        try:
            for tables, size in read_file(file, settings, joining.enough):
                if part_rows is not None and joining.records and joining.bytes + size > PART_BYTES:
                    _look_through(file, settings)
                    yield Pool(**joining.part())
                file.add(tables)
                joining.bytes += size
                while part_rows is not None and joining.records > part_rows and not joining.full:
                    _look_through(file, settings)
                    yield Pool(**joining.part(part_rows))
        except DataError as error:
            file.refuse(str(error))
        except OSError as error:
            file.refuse(f"cannot be read: {error.strerror or error}")
        if file.refused is not None:
            refused.append(f"`{given.path}` {file.refused}")
        if joining.enough():
            break
    if len(refused) == number + 1:
        every = "\n  ".join(refused)
        raise DataError(every if len(refused) == 1 else f"none of the files holds instructions:\n  {every}")
    pool = Pool(**joining.part(last=True))
    if settings.source_column is not None and not joining.named:
        raise DataError(f"no record has a source in `{settings.source_column}`", hint="check `--source-column`")
    yield pool


@dataclass(frozen=True)
class ReadSettings:
    """What decides which samples are read; `ConfigError` where a value is outside its domain."""

    schema: str | None = None
    source_column: str | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.schema is not None and self.schema not in _core.schema_names():
            names = ", ".join(f"`{name}`" for name in _core.schema_names())
            raise ConfigError(f"`schema` is {self.schema!r}, which is none", hint=f"use one of {names}")
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"`limit` is {self.limit}, must be at least 1")


@dataclass(frozen=True)
class Reads(ReadSettings):
    """How records are read; with `tagged`, the members with the tags and the id, tags stand in place of queries."""

    progress: Advance | None = None
    tagged: tuple[str, str | None] | None = None
    frugal: bool = False  # a megabyte of lines at a time: the caller is slower than any reading

    @property
    def of_records(self) -> tuple[str | None, str | None, tuple[str, str | None] | None]:
        """What `read_block` wants to know."""
        return self.schema, self.source_column, self.tagged


Blocks = Iterator[tuple[Tables, int]]  # what is read of a block, and its bytes


def read_file(file: FileTables, settings: Reads, enough: Callable[[], bool] = lambda: False) -> Blocks:
    """The tables of a file block by block, until there is `enough`; the caller adds them to the file.

    Raises `DataError` with the reason, or `OSError`, where nothing is to be taken from the file.
    """
    path = file.given.path
    if path.startswith("hf://"):
        file.format = "parquet"
        yield from _read_rows(file, parquet_lines(hf_path(path)), settings, enough)
    else:
        kind, compression = file_kind(path, settings.schema)
        file.format = kind if compression is None else f"{kind}.{compression}"
        plain = compression is None and kind in ("json", "text")
        if plain and (start := lines_start(path, kind)) is not None:
            file.format = file.format.replace("json", "jsonl")
            yield from lines_of_file(file, start, kind, settings, enough)
        else:
            yield from _read_raw(file, kind, compression, settings, enough)
        if kind == "json" and file.rows == 1 and not file.read:
            yield from _read_wrapped(file, compression, settings)
    if not file.read:
        _refuse_empty(file)


def _read_raw(
    file: FileTables, kind: str, compression: str | None, settings: Reads, enough: Callable[[], bool]
) -> Blocks:
    """A file that is read here, and digested on the way."""
    path = file.given.path
    with Raw(path, settings.progress) as raw:
        if kind == "parquet":
            yield from _read_rows(file, parquet_lines(path), settings, enough)
        elif kind == "csv":
            yield from _read_rows(file, csv_lines(path, compression), settings, enough)
        else:
            with contextlib.closing(blocks(raw, compression)) as parts:
                yield from _read_text(file, parts, kind, settings, enough)
        file.digest, file.bytes = raw.digest(), raw.bytes


def _read_text(
    file: FileTables, parts: Iterator[tuple[bytes, bool]], kind: str, settings: Reads, enough: Callable[[], bool]
) -> Blocks:
    """JSON or plain text: the first block tells how its records lie."""
    block, last = next(parts)
    start = len(BYTE_ORDER_MARK) if block.startswith(BYTE_ORDER_MARK) else 0
    block = block[start:]
    layout = "text" if kind == "text" else _core.detect_layout(block) or "lines"
    if layout == "lines":
        file.format = file.format.replace("json", "jsonl")
    read = lines_of_blocks if layout in ("lines", "text") else _read_values
    yield from read(file, chain([(block, last)], parts), start, layout, settings, enough)


def _read_values(
    file: FileTables,
    parts: Iterator[tuple[bytes, bool]],
    offset: int,
    layout: str,
    settings: Reads,
    enough: Callable[[], bool],
) -> Blocks:
    """Any other JSON, block by block: only the values before tell where the next one ends."""
    place, rest, wanted = (offset, 0, 0), b"", 0
    for block, last in parts:
        held = len(rest) + len(block)
        if held > LONGEST_RECORD:
            raise too_long(place[0])
        if held < wanted and not last:
            rest += block
            continue
        tables, used, place, layout = _core.read_block(block, layout, place, last, *settings.of_records, rest)
        # A record that goes on is looked at again when it has doubled, so that a long one costs no square.
        wanted = 0 if used else 2 * held
        rest = block[used - len(rest) :] if used >= len(rest) else (rest + block)[used:]
        yield tables, used
        if enough():
            break
    file.rows = place[2]


def _read_rows(file: FileTables, parts: Iterator[bytes], settings: Reads, enough: Callable[[], bool]) -> Blocks:
    """Rows as JSON lines, a batch at a time, digested; byte ranges mean nothing."""
    import polars as pl

    place, digest = (0, 0, 0), new_digest()
    no_range = [pl.lit(None, pl.Int64).alias(name) for name in ("start", "end")]
    for block in parts:
        digest.update(block)
        (records, queries, rejected), _, place, _ = _core.read_block(block, "lines", place, True, *settings.of_records)
        yield (pl.DataFrame(records).with_columns(no_range), queries, rejected), len(block)
        if enough():
            break
    file.rows, file.digest = place[2], digest.hexdigest()


def _read_wrapped(file: FileTables, compression: str | None, settings: Reads) -> Blocks:
    """A file that is one object around a list of records; read whole, since only its end tells that it is one."""
    with Raw(file.given.path) as raw:
        data = b"".join(decompressed(raw, compression, BLOCK))
    try:
        found = _core.nested_list(data)
    except ValueError as error:
        raise DataError(f"holds no instructions: {error}") from None
    if found is None:
        return
    start, end = found
    file.forget()
    place = (start, data.count(b"\n", 0, start), 0)
    tables, _, place, _ = _core.read_block(data[start:end], "array", place, True, *settings.of_records)
    file.rows = place[2]
    yield tables, end - start


def _refuse_empty(file: FileTables) -> None:
    """A file without a sample is no file of instructions: the reason is that of its first record."""
    if not file.rejected:
        raise DataError("holds no records")
    line, _, reason = file.rejected[0].row(0)
    raise DataError(f"holds no instructions: line {line}: {reason}")


def _look_through(file: FileTables, settings: Reads) -> None:
    """Reads a file to its end where that may tell that it is damaged, since what is given out cannot be taken back."""
    path = file.given.path
    if file.given_out or settings.limit is not None or path.startswith("hf://"):
        return
    kind, _, compression = file.format.partition(".")
    no_rows = np.zeros(0, dtype=np.int64)
    if kind == "parquet":
        parts = parquet_lines(path, no_rows)
    elif kind == "csv":
        parts = csv_lines(path, compression or None, no_rows)
    elif compression:
        with Raw(path) as raw:
            deque(decompressed(raw, compression, BLOCK), maxlen=0)
        return
    else:
        return
    deque(parts, maxlen=0)
