"""From files in their native schemas to samples and queries: `read` -> `Pool`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from instag import _core
from instag.errors import ConfigError, DataError
from instag.inputs import Files, Input, expand
from instag.opening import BLOCK, Raw, blocks, decompressed, file_kind, new_digest
from instag.pooling import FileTables, pool_tables
from instag.tabular import csv_lines, hf_path, parquet_lines

if TYPE_CHECKING:
    import polars as pl

    from instag.progress import Advance

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LONGEST_RECORD = 4 << 30  # the parser's limit, and a guard against a file that is one endless value


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
    done = read_tables(expand(files), settings)
    if source_column is not None and not any(frame["source"].is_not_null().any() for f in done for frame in f.records):
        raise DataError(f"no record has a source in `{source_column}`", hint="check `--source-column`")
    return Pool(**pool_tables(done, limit))


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

    def enough(self, done: list[FileTables]) -> bool:
        """Whether the limit is reached."""
        return self.limit is not None and _distinct(done) >= self.limit


def read_tables(inputs: Sequence[Input], settings: Reads) -> list[FileTables]:
    """The tables of each file, in order; `DataError` where nothing is taken from any of them."""
    done: list[FileTables] = []
    for number, given in enumerate(inputs):
        file = FileTables(given, number)
        done.append(file)
        try:
            _read_file(file, settings, done)
        except DataError as error:
            file.refuse(str(error))
        except OSError as error:
            file.refuse(f"cannot be read: {error.strerror or error}")
        if settings.enough(done):
            break
    refused = [f"`{file.given.path}` {file.refused}" for file in done if file.refused is not None]
    if len(refused) == len(done):
        every = "\n  ".join(refused)
        raise DataError(every if len(refused) == 1 else f"none of the files holds instructions:\n  {every}")
    return done


def _read_file(file: FileTables, settings: Reads, done: list[FileTables]) -> None:
    path = file.given.path
    if path.startswith("hf://"):
        file.format = "parquet"
        file.digest = _read_rows(file, parquet_lines(hf_path(path)), settings, done)
    else:
        kind, compression = file_kind(path, settings.schema)
        file.format = kind if compression is None else f"{kind}.{compression}"
        with Raw(path, settings.progress) as raw:
            if kind == "parquet":
                _read_rows(file, parquet_lines(path), settings, done)
            elif kind == "csv":
                _read_rows(file, csv_lines(path, compression), settings, done)
            else:
                with contextlib.closing(blocks(raw, compression)) as parts:
                    _read_text(file, parts, kind, settings, done)
            file.digest, file.bytes = raw.digest(), raw.bytes
        if kind == "json" and file.rows == 1 and not file.records:
            _read_wrapped(file, compression, settings, done)
    if not file.records:
        _refuse_empty(file)


def _read_text(
    file: FileTables, parts: Iterator[tuple[bytes, bool]], kind: str, settings: Reads, done: list[FileTables]
) -> None:
    """JSON or plain text, block by block: what a block leaves over comes before the next."""
    layout = "text" if kind == "text" else ""
    place, rest, wanted = (0, 0, 0), b"", 0
    for block, last in parts:
        if place == (0, 0, 0) and not rest and block.startswith(_BYTE_ORDER_MARK):
            block, place = block[len(_BYTE_ORDER_MARK) :], (len(_BYTE_ORDER_MARK), 0, 0)
        held = len(rest) + len(block)
        if held > _LONGEST_RECORD:
            raise DataError(f"holds a record of more than {_LONGEST_RECORD >> 30} GiB, from byte {place[0]:,} on")
        if held < wanted and not last:
            rest += block
            continue
        if not layout:
            layout = _core.detect_layout(rest + block) or "lines"
            if layout == "lines":
                file.format = file.format.replace("json", "jsonl")
        tables, used, place, layout = _core.read_block(
            block, layout, place, last, settings.schema, settings.source_column, settings.tagged, rest
        )
        # A record that goes on is looked at again when it has doubled, so that a long one costs no square.
        wanted = 0 if used else 2 * held
        rest = block[used - len(rest) :] if used >= len(rest) else (rest + block)[used:]
        file.add(tables)
        if settings.enough(done):
            break
    file.rows = place[2]


def _read_rows(file: FileTables, parts: Iterator[bytes], settings: Reads, done: list[FileTables]) -> str:
    """Rows as JSON lines, a batch at a time; byte ranges mean nothing. Returns the digest of the lines."""
    import polars as pl

    place, digest = (0, 0, 0), new_digest()
    no_range = [pl.lit(None, pl.Int64).alias(name) for name in ("start", "end")]
    for block in parts:
        digest.update(block)
        (records, queries, rejected), _, place, _ = _core.read_block(
            block, "lines", place, True, settings.schema, settings.source_column, settings.tagged
        )
        file.add((pl.DataFrame(records).with_columns(no_range), queries, rejected))
        if settings.enough(done):
            break
    file.rows = place[2]
    return digest.hexdigest()


def _read_wrapped(file: FileTables, compression: str | None, settings: Reads, done: list[FileTables]) -> None:
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
    file.rejected = []
    place = (start, data.count(b"\n", 0, start), 0)
    tables, _, place, _ = _core.read_block(
        data[start:end], "array", place, True, settings.schema, settings.source_column, settings.tagged
    )
    file.add(tables)
    file.rows = place[2]


def _refuse_empty(file: FileTables) -> None:
    """A file without a sample is no file of instructions: the reason is that of its first record."""
    if not file.rejected:
        raise DataError("holds no records")
    line, _, reason = file.rejected[0].row(0)
    raise DataError(f"holds no instructions: line {line}: {reason}")


def _distinct(done: list[FileTables]) -> int:
    """Distinct samples so far."""
    import polars as pl

    frames = [frame.select("high", "low") for file in done for frame in file.records]
    return pl.concat(frames).n_unique() if frames else 0
