"""Temporary folders that do not outlive their process for long: one that was killed leaves its own to the next."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from instag.locking import lock

_PREFIX = "instag-"
_LOCK = ".lock"


class TemporaryFolder:
    """A folder in `TMPDIR` that is removed with the object, or at the latest by the next process that makes one.

    >>> folder = TemporaryFolder()
    >>> folder.path.is_dir(), folder.path.name[:7]
    (True, 'instag-')
    """

    def __init__(self) -> None:
        remove_abandoned()
        self._folder = tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)
        self.path = Path(self._folder.name)
        self._held = open(self.path / _LOCK, "ab")  # noqa: SIM115 - held as long as the folder is
        lock(self._held)


def remove_abandoned() -> None:
    """Removes the folders of processes of this user that are gone: those whose lock nobody holds."""
    with contextlib.suppress(OSError):
        for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError):
                if folder.is_symlink() or _is_of_another(folder):
                    continue
                with open(folder / _LOCK, "r+b") as file:  # no lock, no folder of ours; or one that is just being made
                    abandoned = lock(file)
                if abandoned:
                    shutil.rmtree(folder, ignore_errors=True)


def _is_of_another(folder: Path) -> bool:
    return os.name != "nt" and folder.stat().st_uid != os.getuid()
