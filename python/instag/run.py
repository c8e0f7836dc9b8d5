"""The run folder: stages with tables, a manifest written last, and the question whether a stage is still current.

docs/format.md is the contract. Nothing here knows what a stage computes.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instag import _core
from instag.errors import ArtifactError
from instag.locking import lock
from instag.opening import new_digest
from instag.output import Output
from instag.parents import read_parent, write_parent

if TYPE_CHECKING:
    import polars as pl

FORMAT = 2
# What a manifest must hold for the rest of it to be told.
_MEMBERS = {"settings": dict, "inputs": dict, "outputs": list, "counts": dict, "notes": list, "finished": str}
INHERITED = ("tag", "normalize", "analyze")  # what a child run takes from its parent where it has none of its own
LATER = ("split", "tagger", "train", "train_tagger", "evaluate")  # stages that not every run has
STAGES = ("tag", "normalize", "analyze", "select", *LATER)


def file_digest(path: Path) -> str:
    """The XXH3-128 digest of a file's bytes, in hex; reads it once, a megabyte at a time."""
    digest = new_digest()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def stage_key(stage: str, settings: Mapping[str, Any], inputs: Mapping[str, Any]) -> str:
    """What decides a stage's result, as one sha256: its name, the format, its settings and its inputs.

    >>> stage_key("select", {"k": 6}, {"normalize": "ab"}) == stage_key("select", {"k": 7}, {"normalize": "ab"})
    False
    """
    parts = {"format": FORMAT, "stage": stage, "settings": settings, "inputs": inputs}
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class Run:
    """A run folder and what stands in it.

    >>> import polars as pl, tempfile
    >>> run = Run(tempfile.mkdtemp())
    >>> with run.write("tag", settings={"tagger": "keyphrase"}, inputs={}) as out:
    ...     out.table("queries", pl.DataFrame({"id": ["a"]}))
    >>> run.is_current("tag", settings={"tagger": "keyphrase"}, inputs={}), run.state("select")
    (True, 'absent')
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._digests: dict[tuple[Path, int, int, int], str] = {}
        self._parent: Run | None = None

    @classmethod
    def child(cls, path: str | os.PathLike[str], parent: Run) -> Run:
        """A run that takes from `parent` the stages `tag`, `normalize` and `analyze` that it has none of its own of.

        `PATH/parent.json` says so, by a path relative to it, so that the two can be moved together.
        """
        write_parent(Path(path), parent.path)
        return cls(path)

    @property
    def parent(self) -> Run | None:
        """The run that this one takes stages from, where it is a child run."""
        if self._parent is None and (path := read_parent(self.path)) is not None:
            self._parent = Run(path)
        return self._parent

    def owner(self, stage: str) -> Run:
        """The run whose folder holds a stage: this one, or where it has none of its own, the parent's owner of it."""
        if stage not in INHERITED or (self.path / stage).is_dir() or self.parent is None:
            return self
        return self.parent.owner(stage)

    def folder(self, stage: str) -> Path:
        """Where the files of a stage are."""
        return self.owner(stage).path / stage

    def manifest(self, stage: str) -> dict[str, Any] | None:
        """The manifest of a finished stage, None where the stage is absent or did not finish."""
        path = self.folder(stage) / "manifest.json"
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise ArtifactError(
                f"`{path}` is not a manifest: {error}", hint=f"delete `{path.parent}` and run `{stage}` again"
            ) from None
        found = manifest.get("format") if isinstance(manifest, dict) else None
        if found == FORMAT and not all(isinstance(manifest.get(name), kind) for name, kind in _MEMBERS.items()):
            raise ArtifactError(
                f"`{path}` is not a manifest: a member is missing or of another type",
                hint=f"delete `{path.parent}` and run `{stage}` again",
            )
        if found != FORMAT:
            raise ArtifactError(
                f"`{path}` has format {found!r}, this version of instag reads {FORMAT}",
                hint=f"use the version that made it, or delete `{path.parent}` and run `{stage}` again",
            )
        return dict(manifest)

    def digest(self, stage: str) -> str:
        """One digest over the outputs of a finished stage: what a later stage puts into its key."""
        outputs = self.need(stage)["outputs"]
        text = json.dumps([(o["name"], o["digest"]) for o in outputs], ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def need(self, stage: str) -> dict[str, Any]:
        """The manifest of a stage that must be finished, whole, and made from the stages that stand now."""
        if (owner := self.owner(stage)) is not self:
            return owner.need(stage)
        manifest = self.manifest(stage)
        if manifest is None:
            what = "did not finish" if (self.path / stage).is_dir() else "is not there"
            verb = "`instag tag` or `instag import`" if stage == "tag" else f"`instag {stage}`"
            raise ArtifactError(f"stage `{stage}` of `{self.path}` {what}", hint=f"run {verb} first")
        if changed := self._changed(stage, manifest):
            raise ArtifactError(
                f"`{self.path / stage / changed}` is missing or is not what `{stage}` wrote",
                hint=f"run `{stage}` again; delete `{self.path / stage}` first if it says that nothing is stale",
            )
        for source, digest in manifest["inputs"].get("stages", {}).items():
            if self.digest(source) != digest:
                raise ArtifactError(
                    f"stage `{stage}` of `{self.path}` was made from another `{source}` than stands there now",
                    hint=f"run `instag {stage}` again first",
                )
        return manifest

    def is_current(self, stage: str, *, settings: Mapping[str, Any], inputs: Mapping[str, Any]) -> bool:
        """Whether a stage is finished, was made with these settings and inputs, and its outputs still agree.

        A child run's stage is current, too, where its parent's is the same.
        """
        manifest = self.manifest(stage)
        if manifest is None or manifest.get("key") != stage_key(stage, settings, inputs):
            return False
        return self._changed(stage, manifest) is None

    def _changed(self, stage: str, manifest: Mapping[str, Any]) -> str | None:
        for output in manifest["outputs"]:
            path = self.folder(stage) / output["name"]
            if not path.is_file() or path.stat().st_size != output["bytes"] or self._digest(path) != output["digest"]:
                return str(output["name"])
        return None

    def _digest(self, path: Path) -> str:
        """A file's digest, computed once while the file stays as it is."""
        seen = path.stat()
        key = (path, seen.st_mtime_ns, seen.st_size, seen.st_ino)
        if key not in self._digests:
            self._digests[key] = file_digest(path)
        return self._digests[key]

    def state(self, stage: str) -> str:
        """`absent`, `unfinished`, `damaged`, `stale` (made from other inputs than stand now) or `current`."""
        if (owner := self.owner(stage)) is not self:
            return owner.state(stage)
        manifest = self.manifest(stage)
        if manifest is None:
            return "unfinished" if (self.path / stage).is_dir() else "absent"
        if self._changed(stage, manifest) is not None:
            return "damaged"
        for source, digest in manifest["inputs"].get("stages", {}).items():
            if self.state(source) != "current" or self.digest(source) != digest:
                return "stale"
        for name, digest in manifest["inputs"].get("beside", {}).items():
            if self.beside_digest(name) != digest:
                return "stale"
        for made in manifest["inputs"].get("runs", []):
            other = Run(made["path"])
            if other.state(made["stage"]) != "current" or other.digest(made["stage"]) != made["digest"]:
                return "stale"
        for file in manifest["inputs"].get("files", []):
            path = Path(file["path"])
            if file["digest"] is not None and (not path.is_file() or file_digest(path) != file["digest"]):
                return "stale"
        return "current"

    def beside_digest(self, name: str) -> str | None:
        """The digest of a file that a person keeps in the run folder; None where there is none."""
        path = self.path / name
        try:
            return file_digest(path) if path.exists() else None
        except OSError as error:
            raise ArtifactError(f"`{path}` could not be read: {(error.strerror or str(error)).lower()}") from None

    def paths(self, stage: str, name: str) -> list[Path]:
        """The files of a table of a finished stage, in order: one, or its parts; none where it has no such table."""
        outputs = [str(output["name"]) for output in (self.manifest(stage) or {"outputs": []})["outputs"]]
        folder = self.folder(stage)
        return [folder / o for o in outputs if o == f"{name}.parquet" or o.startswith(f"{name}/part-")]

    def has(self, stage: str, name: str) -> bool:
        """Whether a finished stage wrote the table `name`."""
        return bool(self.paths(stage, name))

    def table(self, stage: str, name: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """One table of a finished stage, or some of its columns, whole."""
        import polars as pl

        return pl.concat(self.parts(stage, name, columns), rechunk=True)

    def parts(self, stage: str, name: str, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """The parts of a table of a finished stage, or some of their columns, each read when it is asked for."""
        import polars as pl

        for path in self.paths(stage, name) or [self.folder(stage) / f"{name}.parquet"]:
            try:
                yield pl.read_parquet(path, columns=None if columns is None else list(columns), glob=False)
            except (OSError, pl.exceptions.PolarsError) as error:
                hint = f"run `instag {stage}` again"
                raise ArtifactError(f"`{path}` could not be read: {error}", hint=hint) from None

    @contextlib.contextmanager
    def write(
        self,
        stage: str,
        *,
        settings: Mapping[str, Any],
        inputs: Mapping[str, Any],
        speed: Mapping[str, Any] | None = None,
    ) -> Iterator[Output]:
        """Makes a stage: written aside, then put in its place, the manifest last.

        An error on the way leaves what stood before; a cut while the files are put in place leaves no manifest, and
        the stage is made again. Two processes never write one run: the second is refused.
        """
        started = time.perf_counter()
        folder = self.path / stage
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with self._lock():
                output = Output(folder)
                try:
                    yield output
                    manifest = {
                        "format": FORMAT,
                        "stage": stage,
                        "key": stage_key(stage, settings, inputs),
                        "settings": settings,
                        "speed": speed or {},
                        "inputs": inputs,
                        "outputs": [_described(name, path) for name, path in output.written.items()],
                        "counts": output.counts,
                        "notes": output.notes,
                        "seconds": round(time.perf_counter() - started, 3),
                        "cost_usd": output.cost_usd,
                        "versions": versions(),
                        "finished": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
                    }
                    with output.file("manifest.json") as path:
                        path.write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
                    (folder / "manifest.json").unlink(missing_ok=True)
                    output.put_in_place()
                finally:
                    output.clear()
        except OSError as error:
            raise ArtifactError(
                f"`{error.filename or folder}` could not be written: {error.strerror or error}",
                hint="name a folder on a disk that has room and can be written",
            ) from None

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """Holds `RUN/.lock` for this process."""
        with open(self.path / ".lock", "ab") as file:
            if not lock(file):
                raise ArtifactError(
                    f"another process is writing to `{self.path}`", hint="wait for it, or give this one its own `--run`"
                )
            yield


def _described(name: str, path: Path) -> dict[str, Any]:
    return {"name": name, "bytes": path.stat().st_size, "digest": file_digest(path)}


def versions() -> dict[str, str]:
    """Versions of what decides the bytes of a result."""
    import numpy as np
    import polars as pl

    return {
        "instag": _core.__version__,
        "python": platform.python_version(),
        "polars": pl.__version__,
        "numpy": np.__version__,
    }
