"""A stage being written: tables and files aside, until all of them are there."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from instag import _core
from instag.errors import ArtifactError
from instag.shards import AHEAD

if TYPE_CHECKING:
    import polars as pl

    from instag.table import TagTable

    class Write(Protocol):
        def __call__(self, frame: pl.DataFrame, tags: TagTable | None = None) -> None: ...


GROUP_ROWS = 4_000_000


@dataclass
class Output:
    """A stage being written: nothing has its own name before all is there, so that an old result stands until then."""

    folder: Path
    written: dict[str, Path] = field(default_factory=dict)  # by name, where it is until the stage is whole
    counts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    cost_usd: float | None = None

    def table(self, name: str, frame: pl.DataFrame) -> None:
        """Writes `NAME.parquet` (zstd)."""
        with self.parts(name) as write:
            write(frame)

    @contextlib.contextmanager
    def parts(self, name: str) -> Iterator[Write]:
        """Takes a table part by part: one is `NAME.parquet`, several are `NAME/part-NNNNN.parquet`.

        A part is a frame, and a table of tags where there is to be a column `tags`, which is the last one then. It is
        written while the next one is made; what goes wrong is raised by the next call, or at the end.
        """
        paths: list[Path] = []
        with ThreadPoolExecutor(1) as thread:
            waiting: list[Future[None]] = []

            def write(frame: pl.DataFrame, tags: TagTable | None = None) -> None:
                paths.append(self._aside(f"{name}-{len(paths):05}.parquet"))
                while waiting:
                    waiting.pop().result()
                waiting.append(thread.submit(self._write, paths[-1], name, frame, tags))
                if AHEAD < 0:
                    waiting.pop().result()

            yield write
            while waiting:
                waiting.pop().result()
        for at, path in enumerate(paths):
            self.written[f"{name}.parquet" if len(paths) == 1 else f"{name}/part-{at:05}.parquet"] = path

    def _write(self, path: Path, name: str, frame: pl.DataFrame, tags: TagTable | None) -> None:
        import polars as pl

        # One row group up to some million rows: strings keep one dictionary, so a tag column is half the size and read
        # twice as fast. A ledger may have many times as many, and a row group is made in memory.
        options: dict[str, Any] = {"compression": "zstd", "compression_level": 1, "statistics": False}
        try:
            if tags is None:
                frame.write_parquet(path, row_group_size=min(max(len(frame), 1), GROUP_ROWS), **options)
            else:
                _core.write_tagged(str(path), frame, "tags", tags.vocabulary, tags.offsets, tags.ids)
        except (ValueError, pl.exceptions.PolarsError) as error:
            hint = "name a folder on a disk that has room and can be written"
            raise ArtifactError(f"`{self.folder / name}.parquet` could not be written: {error}", hint=hint) from None

    @contextlib.contextmanager
    def file(self, name: str) -> Iterator[Path]:
        """The path to write `name` at, until the stage is whole."""
        path = self._aside(name)
        yield path
        self.written[name] = path

    @contextlib.contextmanager
    def files(self, name: str) -> Iterator[Path]:
        """The path of an empty folder: whatever files are written there are `NAME/...` once the stage is whole."""
        folder = self._aside(name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield folder
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            self.written[f"{name}/{path.relative_to(folder).as_posix()}"] = path

    def _aside(self, name: str) -> Path:
        return self.folder / f".{name}.part"

    def clear(self) -> None:
        """Removes what was written and did not get its own name."""
        for leftover in self.folder.glob(".*.part"):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink()

    def put_in_place(self) -> None:
        """Gives everything its own name, and removes what an older result has left."""
        for name, path in self.written.items():
            target = self.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
        for old in sorted(self.folder.rglob("*"), reverse=True):  # what is in a folder before the folder
            if old.is_dir() and not any(old.iterdir()):
                old.rmdir()
            elif old.is_file() and old.relative_to(self.folder).as_posix() not in self.written:
                old.unlink()
