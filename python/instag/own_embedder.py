"""An embedder of the caller's own: `module:attribute`, any code that gives texts their vectors."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from instag.errors import ConfigError, InstagError
from instag.thresholds import PHRASE_BERT_DISTANCE
from instag.vectors import first_line

_SPEC = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def names_own(spec: str) -> bool:
    """Whether a setting has the form `package.module:attribute`.

    >>> names_own("mine:embed"), names_own("sentence-transformers:x"), names_own("lexical")
    (True, False, False)
    """
    return _SPEC.fullmatch(spec) is not None


@dataclass(frozen=True)
class OwnEmbedder:
    """What `package.module:attribute` names, as an embedder; the current folder is searched after all others.

    The attribute is an object with `embed` (an `Embedder`; `identity` and `max_cosine_distance` may be absent), a class
    or a function without parameters that makes one, or a plain function from texts to vectors. The module is imported
    when this is made, the object at first use. Raises `ConfigError` where there is none.
    """

    spec: str

    def __post_init__(self) -> None:
        self._found  # noqa: B018 - a typing error must show before any work is done

    @cached_property
    def _found(self) -> Any:
        name, _, path = self.spec.partition(":")
        module = _imported(name, self._place)
        found = module
        for attribute in path.split("."):
            try:
                found = getattr(found, attribute)
            except AttributeError:
                file = getattr(module, "__file__", None) or "built in"
                raise ConfigError(
                    f"{self._place}: the module `{name}` ({file}) has no `{path}`",
                    hint="check the spelling; where that is not your file, another module of its name is found first",
                ) from None
        if inspect.ismodule(found):
            raise ConfigError(f"{self._place} is a module", hint=f"name what is in it: `{name}.{path}:attribute`")
        if inspect.iscoroutinefunction(found):
            raise ConfigError(f"{self._place} is an async function", hint="wrap it: `asyncio.run(...)` in a plain one")
        return found

    @cached_property
    def _object(self) -> Any:
        """The object with `embed`, or the function of texts."""
        found = self._found
        if inspect.isclass(found) or (not hasattr(found, "embed") and _takes_nothing(found)):
            try:
                found = found()
            except (InstagError, KeyboardInterrupt, MemoryError):
                raise
            except BaseException as error:  # a caller's code, which may raise anything, `SystemExit` too
                hint = "a class or a function without parameters makes the embedder, one with a parameter embeds"
                raise ConfigError(f"{self._place} can't be made: {_told(error)}", hint=hint) from error
        if not callable(getattr(found, "embed", None)) and not callable(found):
            raise ConfigError(
                f"{self._place} is a {type(found).__name__}, which has no `embed` and can't be called",
                hint="name a function of texts, or an object with `embed(texts)`",
            )
        return found

    @property
    def _place(self) -> str:
        return f"embedder `{self.spec}`"

    @cached_property
    def own_identity(self) -> str | None:
        """What it says that its vectors depend on: its attribute `identity`; None where it has none."""
        own = getattr(self._object, "identity", None)
        if own is not None and (not isinstance(own, str) or not own.strip() or not own.isprintable()):
            raise ConfigError(
                f"{self._place}: `identity` is {own!r}, must be a line of text",
                hint="name what decides the vectors: a model and its version",
            )
        return own

    @cached_property
    def identity(self) -> str:
        """`module:attribute/IDENTITY`, or else `module:attribute@DIGEST`, of the module's file: what enters the key."""
        if self.own_identity is not None:
            return f"{self.spec}/{self.own_identity}"
        file = getattr(sys.modules.get(self.spec.partition(":")[0]), "__file__", None)
        if not file or not os.path.isfile(file):
            return self.spec
        return f"{self.spec}@{hashlib.sha256(Path(file).read_bytes()).hexdigest()[:12]}"

    @property
    def max_cosine_distance(self) -> float:
        """Its own, where it has one; else 0.05, chosen by the paper for PhraseBERT."""
        own = getattr(self._object, "max_cosine_distance", PHRASE_BERT_DISTANCE)
        if isinstance(own, bool) or not isinstance(own, (int, float)) or not 0.0 <= own <= 0.5:
            raise ConfigError(
                f"{self._place}: `max_cosine_distance` is {own!r}, must be from 0 to 0.5",
                hint="it is a distance: 0.05 joins tags of cosine similarity 0.95 and above",
            )
        return float(own)

    @property
    def kept(self) -> bool:
        """Whether its vectors may be kept: where it says what they depend on, and each on its text alone."""
        return self.own_identity is not None and not self.whole

    @property
    def multilingual(self) -> bool:
        """Whether it says so: else tags in other scripts than Latin are not asked of it."""
        return bool(getattr(self._object, "multilingual", False))

    @property
    def whole(self) -> bool:
        """Whether it must see all texts at once."""
        return bool(getattr(self._object, "whole", False))

    def embed(self, texts: Sequence[str]) -> Any:
        """Whatever it returns; `instag.vectors` checks it."""
        call: Callable[[Sequence[str]], Any] = getattr(self._object, "embed", self._object)
        return call(texts)


def search_last(folder: str | Path) -> None:
    """Modules are looked for in a folder too, after all others: a file there hides none of what is installed."""
    absolute = os.path.abspath(folder)
    if absolute not in sys.path:
        sys.path.append(absolute)


def _imported(name: str, place: str) -> Any:
    search_last(os.getcwd())
    try:
        return importlib.import_module(name)
    except (InstagError, KeyboardInterrupt, MemoryError):
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise ConfigError(
                f"{place}: there is no module `{name}`",
                hint=f"one of `lexical`, `openai:MODEL` ..., or a module: `{name.split('.')[0]}.py` in this folder, "
                "or installed",
            ) from None
        raise _unimportable(name, place, error) from error
    except BaseException as error:  # a script without a guard ends in `SystemExit`
        raise _unimportable(name, place, error) from error


def _unimportable(name: str, place: str, error: BaseException) -> ConfigError:
    return ConfigError(
        f"{place}: the module `{name}` can't be imported: {_told(error)}",
        hint=f"`python -c 'import {name}'` shows more",
    )


def _takes_nothing(found: Any) -> bool:
    """Whether a callable has no parameter at all: then it makes the embedder, else it embeds."""
    try:
        return callable(found) and not inspect.signature(found).parameters
    except (TypeError, ValueError):
        return False


def _told(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "importlib" not in frame.filename and not frame.filename.startswith("<")]
    place = f" ({os.path.basename(own[-1].filename)}, line {own[-1].lineno})" if len(own) > 1 else ""
    if isinstance(error, SyntaxError):
        place = f" ({os.path.basename(error.filename or '')}, line {error.lineno})"
        return f"{type(error).__name__}: {error.msg}{place}"
    return f"{type(error).__name__}: {first_line(error)}{place}"
