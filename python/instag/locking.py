"""Locks that the system lets go of when a process ends, however it ends."""

from __future__ import annotations

import os
from typing import IO


def lock(file: IO[bytes]) -> bool:
    """Locks an open file for this process; False where another holds it. It is held until the file is closed."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
