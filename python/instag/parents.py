"""Child runs: the small file that names the run whose stages a run takes."""

from __future__ import annotations

import json
import os
from pathlib import Path

from instag.errors import ArtifactError

PARENT = "parent.json"  # in a child run
FORMAT = 1


def write_parent(run: Path, parent: Path) -> None:
    """Names the parent in a run's folder, by a path relative to it; a file that says so already is left alone."""
    named = Path(os.path.relpath(parent.resolve(), run.resolve())).as_posix()
    text = json.dumps({"format": FORMAT, "parent": named}) + "\n"
    file = run / PARENT
    try:
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            run.mkdir(parents=True, exist_ok=True)
            aside = run / f".{PARENT}.part"
            aside.write_text(text, encoding="utf-8")
            os.replace(aside, file)
    except OSError as error:
        raise ArtifactError(
            f"`{error.filename or file}` could not be written: {error.strerror or error}",
            hint="name a folder on a disk that has room and can be written",
        ) from None


def read_parent(run: Path) -> Path | None:
    """The folder of a run's parent; None where it has none."""
    file = run / PARENT
    if not file.exists():
        return None
    try:
        path = Path(os.path.normpath(run / json.loads(file.read_text(encoding="utf-8"))["parent"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        hint = "delete it and run `instag experiment` again"
        raise ArtifactError(f"`{file}` does not name a parent run: {error!r}", hint=hint) from None
    if not path.is_dir() or path.resolve() == run.resolve():
        raise ArtifactError(
            f"`{file}` names `{path}`, which is {'itself' if path.is_dir() else 'not there'}",
            hint="move a run and its child runs together",
        )
    return path
