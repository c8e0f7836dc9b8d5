"""From a path to decompressed blocks: the bytes are told apart by content, and digested on their way."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import xxhash

from instag.errors import DataError

BLOCK = 8 << 20  # two for all threads to share; of 16 MiB each is fresh memory, whose page faults take a tenth

_MAGIC = {
    b"\x1f\x8b": "gz",
    b"\x28\xb5\x2f\xfd": "zst",
    b"PAR1": "parquet",
}
_REFUSED = {
    b"ARROW1": "an Arrow file; write it as Parquet",
    b"PK\x03\x04": "a zip archive; unpack it",
    b"BZh": "compressed with bzip2; use gz or zst",
    b"\xfd7zXZ": "compressed with xz; use gz or zst",
    b"%PDF": "a PDF",
    b"SQLite format": "an SQLite database",
    b"\xff\xfe": "UTF-16 text; convert it to UTF-8",
    b"\xfe\xff": "UTF-16 text; convert it to UTF-8",
}
_NAMES_OF_PROSE = ("readme", "license", "licence", "copying", "notice", "changelog")
_ENDINGS_OF_DATA = (".json", ".jsonl", ".ndjson", ".csv", ".tsv")


def new_digest() -> xxhash.xxh3_128:
    """XXH3-128, the digest of files in the manifests: it tells a file that changed, and costs what a copy costs."""
    return xxhash.xxh3_128()


class Raw(io.RawIOBase):
    """A file's bytes as stored, digested and counted while they are read."""

    def __init__(self, path: str, advance: Callable[[int], object] | None = None) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115
        self._digest = new_digest()
        self._advance = advance
        self.bytes = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)  # not by way of `readinto`, which would copy every block twice
        self._count(data)
        return data

    def readinto(self, into: Any) -> int:
        count = self._file.readinto(into) or 0
        self._count(memoryview(into)[:count])
        return count

    def _count(self, data: Any) -> None:
        self._digest.update(data)
        self.bytes += len(data)
        if self._advance is not None:
            self._advance(len(data))

    def digest(self) -> str:
        """The digest of the whole file: what has not been asked for yet is read now."""
        while self.read(1 << 20):
            pass
        return self._digest.hexdigest()

    def close(self) -> None:
        self._file.close()
        super().close()


def file_kind(path: str, schema: str | None) -> tuple[str, str | None]:
    """(`json`, `text`, `csv` or `parquet`; `gz`, `zst` or None), by the first bytes and, for CSV and text, the name.

    Raises `DataError` with the reason where the file is something else: empty, binary, prose.
    """
    with open(path, "rb") as file:
        head = file.read(1 << 16)
    compression = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)
    if compression == "parquet":
        return "parquet", None
    name = os.path.basename(path).lower()
    if compression is not None:
        name = name.removesuffix(f".{compression}")
        with Raw(path) as raw:
            head = next(decompressed(raw, compression, 1 << 16), b"")
    if not head.strip():
        raise DataError("is empty")
    for magic, reason in _REFUSED.items():
        if head.startswith(magic):
            raise DataError(f"is {reason}")
    # A NUL may stand in one bad record of many; a file that begins with several is no text at all.
    if head[:4096].count(0) > 2:
        raise DataError("is binary, not text")
    if schema is None and name.startswith(_NAMES_OF_PROSE) and not name.endswith(_ENDINGS_OF_DATA):
        raise DataError("is a README or a licence by its name, not instructions (`--schema text` reads it as text)")
    if name.endswith((".csv", ".tsv")):
        return "csv", compression
    from instag import _core

    if _core.detect_layout(head.removeprefix(b"\xef\xbb\xbf")) is not None:
        return "json", compression
    if name.endswith(".txt") or schema == "text":
        return "text", compression
    raise DataError("is not JSON, and plain text is read from `.txt` only (or with `--schema text`)")


def blocks(raw: Raw, compression: str | None, size: int = BLOCK) -> Generator[tuple[bytes, bool]]:
    """(block, whether it is the last) of the decompressed file; the next is read while the caller works on one.

    Raises `DataError` where the compressed data is damaged or ends early.
    """
    parts = decompressed(raw, compression, size)
    block, after = next(parts, b""), next(parts, b"")
    with ThreadPoolExecutor(1) as reader:
        while True:
            coming = reader.submit(next, parts, b"") if after else None
            yield block, not after
            if coming is None:
                return
            block, after = after, coming.result()


def decompressed(raw: Raw, compression: str | None, size: int) -> Iterator[bytes]:
    """Blocks of `size` bytes, the last one shorter, of what the file holds."""
    try:
        if compression == "gz":
            with gzip.GzipFile(fileobj=raw) as file:
                yield from _in_blocks(iter(lambda: file.read1(1 << 20), b""), size)
        elif compression == "zst":
            yield from _in_blocks(_zst_chunks(raw), size)
        else:
            yield from _in_blocks(iter(lambda: raw.read(size), b""), size)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"is damaged: {_lower(error)}", hint="fetch or compress it again") from None


def _zst_chunks(raw: Raw) -> Iterator[bytes]:
    """Frame after frame; the stream reader of `zstandard` would take a truncated file for a short one."""
    import zstandard

    frame = None
    try:
        while chunk := raw.read(1 << 16):
            while chunk:
                frame = frame or zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()
                yield frame.decompress(chunk)
                chunk = frame.unused_data
                if frame.eof:
                    frame = None
                elif chunk:
                    raise DataError("is damaged: the zstd frame does not take its data")
    except zstandard.ZstdError as error:
        raise DataError(f"is damaged: {_lower(error)}", hint="fetch or compress it again") from None
    if frame is not None:
        raise DataError("is damaged: the zstd data ends early", hint="fetch or compress it again")


def _in_blocks(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    parts: list[bytes] = []
    held = 0
    for chunk in chunks:
        parts.append(chunk)
        held += len(chunk)
        if held >= size:
            joined = parts[0] if len(parts) == 1 else b"".join(parts)
            for start in range(0, held - held % size, size):
                yield joined if held == size else joined[start : start + size]
            rest = joined[held - held % size :]
            parts, held = ([rest] if rest else []), len(rest)
    if held:
        yield b"".join(parts)


def _lower(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return text[:1].lower() + text[1:]
