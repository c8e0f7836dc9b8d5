"""Records written again: the picks of a selection, or every record with its tags; sources are checked by digest."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from instag import _core
from instag.errors import ArtifactError, ConfigError, DataError
from instag.opening import Raw, blocks, new_digest
from instag.shards import in_turn
from instag.tabular import csv_lines, hf_path, parquet_lines

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

FORMATS = ("original", "messages")


@dataclass(frozen=True)
class WriteSettings:
    """What decides how picked records are written; `ConfigError` for a format that is none."""

    format: str = "original"

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ConfigError(f"`format` is {self.format!r}, which is none", hint=f"use one of {', '.join(FORMATS)}")


_Piece = tuple[bytes, "NDArray[np.int64]", "NDArray[np.int64]", "NDArray[np.int64]"]


def write_selected(
    out: Path,
    files: pl.DataFrame,
    records: pl.DataFrame,
    rows: NDArray[np.int64],
    *,
    format: str = "original",  # noqa: A002
    schema: str | None = None,
) -> None:
    """Writes one line a pick, in pick order, from the first record of each sample.

    `files` and `records` are a pool's; `rows` are positions in its samples; `schema` is what they were read with.
    `original` is byte for byte the source's line where the source is JSONL, else one compact JSON line (key order and
    number text kept, bytes as base64, a line of plain text as `{"text": ...}`); `messages` is
    `{"messages": [{"role", "content"}, ...]}`, with `tools` where there are any, for every schema. Every source is read
    once, as far as needed, and digested: `ArtifactError` where one changed since it was read, is gone, or `out` cannot
    be written; `out` appears only when it is whole. Memory is the text of the picks.
    """
    import polars as pl

    WriteSettings(format)  # refuses what is none
    first = records.unique("row", keep="first", maintain_order=True)
    picks = pl.DataFrame({"row": rows, "rank": np.arange(len(rows), dtype=np.int64)})
    picks = picks.join(first, on="row", how="left")
    if picks["file"].null_count():
        raise ArtifactError(f"{picks['file'].null_count()} picks have no record in `tag/records`")

    def of_file(part: pl.DataFrame) -> list[pl.DataFrame]:
        file = files.row(part["file"][0], named=True)
        ranks = part["rank"].to_numpy()
        verbatim = format == "original" and file["format"].split(".")[0] in ("jsonl", "text")
        form = "verbatim" if verbatim else "compact" if format == "original" else "messages"
        return [
            _lines(file, block, starts, ends, form, schema).with_columns(pl.Series("rank", ranks[at]))
            for block, starts, ends, at in _pieces(file, part)
        ]

    frames = [made for of_one in in_turn(of_file, picks.sort("file", "record").partition_by("file")) for made in of_one]
    with _whole(out) as file_out:
        if frames:
            for line in pl.concat(frames).sort("rank")["line"]:
                file_out.write(line.encode() + b"\n")


def write_annotated(out: Path | None, files: pl.DataFrame, records: pl.DataFrame, notes: pl.DataFrame) -> None:
    """Writes every record, in file order, with what is known about its sample as the member `instag`.

    `notes` has a column `row` and any others, one row a sample; a record's line is its own members, compact, then
    `"instag": {...}` with the other columns (in place of an older one; a record that is no object goes under
    `record`). Duplicates are written as often as they were read. Where `out` is None the lines go to stdout as they are
    made. Errors as `write_selected`; memory is a few blocks.
    """
    import polars as pl

    columns = [name for name in notes.columns if name != "row"]
    texts = notes.select("row", note=pl.struct(columns).struct.json_encode())
    noted = records.join(texts, on="row", how="left", maintain_order="left")
    with _whole(out) if out else contextlib.nullcontext(sys.stdout.buffer) as file_out:
        for (number,), part in noted.sort("file", "record").group_by("file", maintain_order=True):
            file = files.row(int(str(number)), named=True)
            for block, starts, ends, at in _pieces(file, part):
                made = _lines(file, block, starts, ends, "compact", None, part["note"].gather(at))
                file_out.write("".join(f"{line}\n" for line in made["line"]).encode())


def _lines(
    file: dict[str, str],
    block: bytes,
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    form: str,
    schema: str | None,
    notes: pl.Series | None = None,
) -> pl.DataFrame:
    import polars as pl

    plain = file["format"].split(".")[0] == "text"
    try:
        return pl.DataFrame(_core.export_records(block, starts, ends, form, plain, schema, notes))
    except ValueError:
        raise _changed(file["path"]) from None


def _pieces(file: dict[str, str], part: pl.DataFrame) -> Iterator[_Piece]:
    """(bytes, starts and ends in them, positions in `part`) of a file's wanted records, in the order of the file.

    `part` is ordered by record. Raises `ArtifactError` where the file is gone or, at the end, its digest is another.
    """
    path, (kind, _, compression) = file["path"], file["format"].partition(".")
    try:
        if path.startswith("hf://"):
            yield from _remote_pieces(file, parquet_lines(hf_path(path)), part)
            return
        rows = part["record"].to_numpy()
        with Raw(path) as raw:
            if kind == "parquet":
                yield from _row_pieces(path, parquet_lines(path, rows), len(rows))
            elif kind == "csv":
                yield from _row_pieces(path, csv_lines(path, compression or None, rows), len(rows))
            else:
                yield from _range_pieces(path, raw, compression or None, part)
            if raw.digest() != file["digest"]:
                raise _changed(path)
    except DataError as error:
        raise ArtifactError(f"`{path}` {error.message}", hint="put the file back, or read it again") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise ArtifactError(f"`{path}` cannot be read: {reason}", hint="put the file back, or read it again") from None


def _range_pieces(path: str, raw: Raw, compression: str | None, part: pl.DataFrame) -> Iterator[_Piece]:
    starts, ends = part["start"].to_numpy(), part["end"].to_numpy()
    held, before, done = b"", 0, 0
    with contextlib.closing(blocks(raw, compression)) as parts:
        for block, last in parts:
            held = held + block if held else block
            # The records of one file follow each other, so their ends rise as their starts do.
            until = int(np.searchsorted(ends, before + len(held), side="right"))
            if until > done:
                yield held, starts[done:until] - before, ends[done:until] - before, np.arange(done, until)
                done = until
            if done == len(starts):
                return
            if last:
                raise _changed(path)
            keep = min(int(starts[done]) - before, len(held))
            held, before = held[keep:], before + keep


def _row_pieces(path: str, parts: Iterator[bytes], rows: int) -> Iterator[_Piece]:
    """Blocks of lines that hold the wanted rows alone."""
    done = 0
    for block in parts:
        starts, ends = _line_ranges(block)
        yield block, starts, ends, np.arange(done, done + len(ends))
        done += len(ends)
    if done < rows:
        raise _changed(path)


def _remote_pieces(file: dict[str, str], parts: Iterator[bytes], part: pl.DataFrame) -> Iterator[_Piece]:
    """The wanted rows of a table that has no other digest than that of all its lines."""
    numbers = part["record"].to_numpy()
    before, done, digest = 0, 0, new_digest()
    for block in parts:
        digest.update(block)
        starts, ends = _line_ranges(block)
        until = int(np.searchsorted(numbers, before + len(ends)))
        if until > done:
            local = numbers[done:until] - before
            yield block, starts[local], ends[local], np.arange(done, until)
            done = until
        before += len(ends)
    if done < len(numbers) or digest.hexdigest() != file["digest"]:
        raise _changed(file["path"])


def _line_ranges(block: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the lines of a block begin and end."""
    ends = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == ord("\n"))
    return np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1])[: len(ends)], ends


def _changed(path: str) -> ArtifactError:
    return ArtifactError(f"`{path}` changed since it was read", hint="put the old file back, or tag it again")


class _whole:  # noqa: N801
    """A file that appears under its name when it is whole, and not at all otherwise."""

    def __init__(self, out: Path) -> None:
        self._out, self._part = out, out.with_name(f".{out.name}.part")

    def __enter__(self) -> _whole:
        try:
            self._file = open(self._part, "wb")
        except OSError as error:
            raise self._unwritable(error) from None
        return self

    def write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise self._unwritable(error) from None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._file.close()
            if kind is None:
                os.replace(self._part, self._out)
        except OSError as error:
            raise self._unwritable(error) from None
        finally:
            self._part.unlink(missing_ok=True)

    def _unwritable(self, error: OSError) -> ArtifactError:
        return ArtifactError(f"`{self._out}` could not be written: {error.strerror or error}")
