"""What a person names on the command line, as files with sources: globs, `NAME=FILE`, `hf://`."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass

from instag.errors import DataError

Files = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

_COMPRESSED = (".gz", ".zst")


@dataclass(frozen=True)
class Input:
    """One file to read and the name of the data set its samples come from."""

    path: str
    source: str


def expand(files: Files) -> list[Input]:
    """The files that `files` name, in the order given; a glob expands bytewise; a file named twice is read once.

    A file that exists is taken by its name, whatever characters that holds. Raises `DataError` for a name that
    matches nothing and for a folder.

    >>> expand("chats=hf://datasets/org/name")
    [Input(path='hf://datasets/org/name', source='chats')]
    """
    if isinstance(files, (str, os.PathLike)):
        files = [files]
    named = [found for file in files for found in _expand_one(os.fspath(file))]
    if not named:
        raise DataError("no files are named", hint="name one or more, for example `data/*.jsonl`")
    return list(dict.fromkeys(named))


def _expand_one(name: str) -> list[Input]:
    path, source = name, None
    if not os.path.lexists(name):
        head, equals, tail = name.partition("=")
        if equals and head and tail and "/" not in head and os.sep not in head:
            path, source = tail, head
    if path.startswith("hf://"):
        name = path.removeprefix("hf://").removeprefix("datasets/").partition("@")[0].rstrip("/")
        return [Input(path, source or name.rpartition("/")[2])]
    if os.path.isdir(path):
        raise DataError(f"`{path}` is a folder", hint=f"name its files, for example `{os.path.join(path, '*.jsonl')}`")
    if os.path.lexists(path):
        return [Input(path, source or stem(path))]
    if not glob.has_magic(path):
        raise DataError(f"`{path}`: no such file", hint="check the path; `data/*.jsonl` names several")
    found = sorted((p for p in glob.glob(path, recursive=True) if os.path.isfile(p)), key=os.fsencode)
    if not found:
        raise DataError(f"`{path}` matches no file", hint="check the folder and the pattern; `**` goes into subfolders")
    return [Input(p, source or stem(p)) for p in found]


def stem(path: str) -> str:
    """The name of a file without its folder, its compression and its last extension.

    >>> stem("data/foo.v2.jsonl.gz")
    'foo.v2'
    """
    name = os.path.basename(path)
    for ending in _COMPRESSED:
        name = name.removesuffix(ending)
    return os.path.splitext(name)[0] or name
