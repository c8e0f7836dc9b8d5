"""A person's word on tags: merge these, keep those apart, call it so, drop it; read from TOML, checked as a whole.

docs/overrides.md is the contract. What contradicts itself is refused here, before any tag is looked at; what a pool
does to it is in `overriding.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from instag.config import check_keys, read_toml
from instag.errors import ConfigError, DataError

KEYS = ("merge", "apart", "drop", "rename")


class _RefusedError(ConfigError):
    """A `ConfigError` that knows which key and name it is about, so that a file's line can be found."""

    def __init__(self, key: str, name: str, message: str, hint: str | None = None) -> None:
        super().__init__(f"`{key}`: {message}", hint=hint)
        self.key, self.name = key, name


@dataclass(frozen=True)
class Overrides:
    """What a person has decided about tags; `normalize` applies it and shows it in the ledger as step `override`.

    `merge`: lists of names; all of a list become one tag, called by its last. `apart`: lists of names no two of which
    may become one tag. `drop`: names of raw tags to leave out. `rename`: the name of a tag -> what to call it. A name
    is a raw tag or a tag as the ledger shows it, matched exactly; the new name of a `rename` stands for that tag.
    Raises `ConfigError` for what is empty, of another type, said twice, or contradicts itself.

    >>> Overrides(merge=[["k8s", "kubernetes"], ["kubernetes", "Kubernetes"]]).united
    (('k8s', 'kubernetes', 'Kubernetes'),)
    >>> Overrides(merge=[["js", "javascript"]], apart=[["javascript", "js"]])
    Traceback (most recent call last):
    instag.errors.ConfigError: `apart`: `javascript` and `js` are merged by `merge`
    hint: leave one of the two out
    """

    merge: Sequence[Sequence[str]] = ()
    apart: Sequence[Sequence[str]] = ()
    drop: Sequence[str] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    # The tags that become one, each called by its last name; the names of `rename` are the old ones here.
    united: tuple[tuple[str, ...], ...] = field(init=False, repr=False, compare=False)
    _old: Mapping[str, str] = field(init=False, repr=False, compare=False)  # new name -> old one

    @classmethod
    def read(cls, path: str | Path) -> Overrides:
        """The overrides of a TOML file. Raises `ConfigError` with the file, the line and the key."""
        found = read_toml(Path(path), "overrides file")
        text = Path(path).read_text(encoding="utf-8")
        for key in found:
            check_keys({key: None}, set(KEYS), f"{path}, line {_line_of(text, key, '')}")
        try:
            return cls(**found)
        except ConfigError as error:
            refused = error.__cause__
            line = _line_of(text, refused.key, refused.name) if isinstance(refused, _RefusedError) else 1
            raise ConfigError(f"{path}, line {line}: {error.message}", hint=error.hint) from None

    @classmethod
    def of(cls, given: Overrides | str | Path | None) -> Overrides:
        """Overrides as they are, those of a file, or none."""
        if given is None or isinstance(given, Overrides):
            return given or cls()
        if isinstance(given, (str, Path)):
            return cls.read(given)
        raise DataError(
            f"`overrides` is a {type(given).__name__}, must be an `Overrides` or the path of a TOML file",
            hint='`Overrides(drop=["misc"])`',
        )

    def __post_init__(self) -> None:
        try:
            self._check()
        except _RefusedError as error:
            raise ConfigError(error.message, hint=error.hint) from error

    def _check(self) -> None:
        for key in ("merge", "apart"):
            object.__setattr__(self, key, _groups(key, getattr(self, key)))
        object.__setattr__(self, "drop", _names("drop", self.drop))
        self._check_rename()
        into = self._arrows()
        self._check_apart(into)
        self._check_drop(into)
        object.__setattr__(self, "united", _united(into))

    def __bool__(self) -> bool:
        return bool(self.merge or self.apart or self.drop or self.rename)

    def known_as(self, name: str) -> str:
        """The name that a tag had before `rename`."""
        return self._old.get(name, name)

    def _check_rename(self) -> None:
        if not isinstance(self.rename, Mapping):
            _refuse("rename", "", f"is {self.rename!r}, must be a table", 'write `[rename]`, then `"old" = "new"`')
        olds: dict[str, str] = {}
        object.__setattr__(self, "_old", olds)
        for old, new in self.rename.items():
            for name in (old, new):
                _check_name("rename", name)
            if old == new:
                _refuse("rename", old, f"`{old}` is called so already")
            if new in olds:
                _refuse("rename", old, f"`{olds[new]}` and `{old}` are both called `{new}`", _MERGE)
            olds[new] = old
        for old, new in self.rename.items():
            if new in self.rename:
                _refuse(
                    "rename",
                    old,
                    f"`{old}` is called `{new}`, which is itself called `{self.rename[new]}`",
                    "name each tag once, by what it is to be called in the end",
                )

    def _arrows(self) -> dict[str, str]:
        """Each name that is merged, and the one that it goes into; refuses what goes two ways or in a circle."""
        into: dict[str, str] = {}
        for group in self.merge:
            names = self._distinct("merge", group)
            for name, told in zip(names[:-1], group, strict=False):
                if name in into:
                    _refuse("merge", told, f"`{name}` is merged twice, into `{into[name]}` and `{names[-1]}`")
                into[name] = names[-1]
                path = [name]
                while path[-1] in into:
                    path.append(into[path[-1]])
                    if path[-1] == name:
                        _refuse("merge", told, f"goes in a circle: {' -> '.join(f'`{step}`' for step in path)}")
        for old in self.rename:
            if old in into:
                _refuse(
                    "rename",
                    old,
                    f"`{old}` is merged into `{into[old]}`, and can't have a name of its own",
                    "the last name of a `merge` is what the tag is called",
                )
        return into

    def _check_apart(self, into: Mapping[str, str]) -> None:
        for group in self.apart:
            ends: dict[str, str] = {}
            for name in self._distinct("apart", group):
                end = _end(into, name)
                if end in ends:
                    hint = "leave one of the two out"
                    _refuse("apart", group[-1], f"`{ends[end]}` and `{name}` are merged by `merge`", hint)
                ends[end] = name

    def _check_drop(self, into: Mapping[str, str]) -> None:
        used = {name: "merge" for pair in into.items() for name in pair}
        used |= dict.fromkeys(self.rename, "rename")
        used |= {self.known_as(name): "apart" for group in self.apart for name in group}
        for told in self.drop:
            name = self.known_as(told)
            if name in used:
                _refuse("drop", told, f"`{told}` is dropped, and named by `{used[name]}`", "leave one of the two out")

    def _distinct(self, key: str, group: Sequence[str]) -> list[str]:
        """The names of a group by what they were before `rename`."""
        names: dict[str, str] = {}
        for told in group:
            name = self.known_as(told)
            if name in names:
                both = f"`{names[name]}` and `{told}` are one tag by `rename`" if told != names[name] else None
                _refuse(key, told, both or f"`{told}` is named twice")
            names[name] = told
        return list(names)


_MERGE = "to make two tags one, write `merge`, the name to keep last"


def _refuse(key: str, name: str, message: str, hint: str | None = None) -> NoReturn:
    raise _RefusedError(key, name, message, hint)


def _check_name(key: str, name: Any) -> None:
    if not isinstance(name, str):
        _refuse(key, str(name), f"names {name!r}, must be strings")
    if not name:
        _refuse(key, name, "names a tag without a name")


def _names(key: str, given: Any) -> tuple[str, ...]:
    if not isinstance(given, (list, tuple)):
        _refuse(key, "", f"is {given!r}, must be a list of names", f'{key} = ["misc"]' if key == "drop" else None)
    seen: set[str] = set()
    for name in given:
        _check_name(key, name)
        if name in seen:
            _refuse(key, name, f"`{name}` is named twice")
        seen.add(name)
    return tuple(given)


def _groups(key: str, given: Any) -> tuple[tuple[str, ...], ...]:
    hint = f'{key} = [["first", "second"]]'
    if not isinstance(given, (list, tuple)):
        _refuse(key, "", f"is {given!r}, must be a list of lists of names", hint)
    for group in given:
        if not isinstance(group, (list, tuple)):
            _refuse(key, str(group), f"holds {group!r}, must hold lists of names", hint)
        _names(key, group)
        if len(group) < 2:
            _refuse(key, next(iter(group), ""), f"{list(group)} names fewer than two tags", hint)
    return tuple(map(tuple, given))


def _end(into: Mapping[str, str], name: str) -> str:
    while name in into:
        name = into[name]
    return name


def _united(into: Mapping[str, str]) -> tuple[tuple[str, ...], ...]:
    """The names that become one tag, those further from its name first, then as the file has them."""
    steps: dict[str, dict[str, int]] = {}
    for name in dict.fromkeys(name for pair in into.items() for name in pair):
        end, far = name, 0
        while end in into:
            end, far = into[end], far + 1
        steps.setdefault(end, {})[name] = far
    return tuple(tuple(sorted(names, key=lambda name: -names[name])) for names in steps.values())


def _line_of(text: str, key: str, name: str) -> int:
    """The line where `name` stands under `key`, or that of the key."""
    begins = re.compile(rf"""\s*(\[\s*)?["']?{re.escape(key)}\b""")
    any_key = re.compile(rf"""\s*(\[\s*)?["']?({"|".join(KEYS)})["']?\s*[=\]]""")
    quoted = (json.dumps(name, ensure_ascii=False), json.dumps(name), f"'{name}'")
    bare = re.compile(rf"\s*{re.escape(name)}\s*=") if key == "rename" and name else None
    lines = text.split("\n")
    start = next((at for at, line in enumerate(lines) if begins.match(line)), 0)
    for at in range(start, len(lines)):
        if at > start and any_key.match(lines[at]):
            break
        if any(told in lines[at] for told in quoted) or (bare and bare.match(lines[at])):
            return at + 1
    return start + 1
