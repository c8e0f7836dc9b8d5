"""What can go wrong, by whose hand it is put right; the CLI turns each into one lower-case line and an exit code."""

from __future__ import annotations


class InstagError(Exception):
    r"""The base of every error that `instag` raises on purpose; `hint` says what to do about it.

    >>> str(DataError("`a.jsonl` is empty", hint="name a file with records"))
    '`a.jsonl` is empty\nhint: name a file with records'
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message}\nhint: {hint}")
        self.message = message
        self.hint = hint


class ConfigError(InstagError, ValueError):
    """A setting is missing, unknown or outside its domain."""


class DataError(InstagError, ValueError):
    """An input is not what it must be: the message names file, line or row, and what was found."""


class ArtifactError(InstagError):
    """A run folder, a stage or a table in it is missing, half-written, changed or made by another version."""


class ProviderError(InstagError):
    """The endpoint is gone, refuses the key, or fails too often."""

    exit_code = 3


class OutOfMemoryError(InstagError, MemoryError):
    """The work needs more memory than there is: told before it starts where its size is known, else where it failed."""
