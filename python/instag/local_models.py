"""Models on this machine: `sentence-transformers` and `model2vec`, by a name on the hub or by a folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from instag.errors import ConfigError
from instag.thresholds import PHRASE_BERT_DISTANCE, multilingual_by_name
from instag.vectors import first_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WEIGHTS = (".safetensors", ".bin")
_FEWEST_NUMBERS = 64  # in so many, two directions by hash have a cosine of 0.5 once in some 30,000 pairs
_HUB_TIMEOUT_S = 10.0
_MANY_TOKENS = 100_000
_LOUD = ("transformers", "sentence_transformers", "huggingface_hub", "model2vec", "httpx", "filelock")


@dataclass(frozen=True)
class _LocalModel:
    """What both kinds share: a name on the hub, or a folder on this machine."""

    name: str
    kind: ClassVar[str]

    @cached_property
    def identity(self) -> str:
        """The name; for a folder the digests of its weights and of its other files, wherever it lies."""
        return f"{self.kind}:{_name_or_digest(self.name)}"

    @property
    def max_cosine_distance(self) -> float:
        """0.05: chosen by the paper for PhraseBERT, and careful for others."""
        return PHRASE_BERT_DISTANCE

    @property
    def multilingual(self) -> bool:
        """Whether the model is known to know other scripts than Latin."""
        return _multilingual(self.name)


@dataclass(frozen=True)
class SentenceTransformersEmbedder(_LocalModel):
    """A model for `sentence-transformers` (the extra of that name): a name on the hub, or a folder on this machine."""

    batch: int = 256
    kind: ClassVar[str] = "sentence-transformers"

    def check(self) -> None:
        """Raises `ConfigError` where the name is a path to no model."""
        place = f"embedder `sentence-transformers:{self.name}`"
        _check_folder(self.name, place, ("modules.json", "config.json"), "`SentenceTransformer(...).save(FOLDER)`")

    @cached_property
    def _model(self) -> Any:
        try:
            with _quiet():
                from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise _not_installed("sentence-transformers", self.name) from error
        place = f"embedder `sentence-transformers:{self.name}`"
        self.check()
        local = {} if os.path.isdir(_expanded(self.name)) or _hub_answers(self.name) else {"local_files_only": True}
        with _loading(self.name, place, offline=bool(local)), _quiet():
            return SentenceTransformer(_expanded(self.name), **local)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One row a text; runs on the processor or the accelerator that `torch` finds."""
        vectors = self._model.encode(list(texts), batch_size=self.batch, convert_to_numpy=True, show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32)


@dataclass(frozen=True)
class Model2VecEmbedder(_LocalModel):
    """Static vectors of tokens by `model2vec` (the extra of that name): a name on the hub, or a folder.

    A text without any token that the model knows has no vector there: it gets a direction of its own, by its hash, and
    merges with nothing.
    """

    kind: ClassVar[str] = "model2vec"
    kept: ClassVar[bool] = False  # looking its vectors up would take as long as making them

    def check(self) -> None:
        """Raises `ConfigError` where the name is a path to no model."""
        place = f"embedder `model2vec:{self.name}`"
        _check_folder(self.name, place, ("config.json", "modules.json"), "`StaticModel(...).save_pretrained(FOLDER)`")

    @cached_property
    def _model(self) -> Any:
        try:
            from model2vec import StaticModel
        except ImportError as error:
            raise _not_installed("model2vec", self.name) from error
        place = f"embedder `model2vec:{self.name}`"
        self.check()
        offline = not os.path.isdir(_expanded(self.name)) and not _hub_answers(self.name)
        with _loading(self.name, place, offline=offline), _quiet():
            return StaticModel.from_pretrained(_expanded(self.name))

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One row a text."""
        vectors = np.array(self._model.encode(list(texts), show_progress_bar=False), dtype=np.float32)
        if vectors.ndim == 2 and vectors.shape[1] >= _FEWEST_NUMBERS:
            for row in np.flatnonzero(~vectors.any(axis=1)):
                vectors[row] = direction_of(texts[int(row)], vectors.shape[1])
        return vectors


def direction_of(text: str, dimension: int) -> NDArray[np.float32]:
    """A direction of +1 and -1 that the hash of a text decides: far from every other one.

    >>> direction_of("🎉", 8).tolist() == direction_of("🎉", 8).tolist() != direction_of("🎊", 8).tolist()
    True
    """
    bits = np.frombuffer(hashlib.shake_128(text.encode()).digest((dimension + 7) // 8), dtype=np.uint8)
    return (2.0 * np.unpackbits(bits)[:dimension] - 1.0).astype(np.float32)


def _check_folder(name: str, place: str, signs: Sequence[str], made_by: str) -> None:
    """Refuses a path that is no folder with weights and one of the files `signs`, and tells what is there instead."""
    folder = Path(_expanded(name))
    if not folder.is_dir():
        if folder.exists():
            raise ConfigError(f"{place}: `{name}` is a file", hint=f"name the folder that {made_by} wrote")
        if name.startswith((".", "/", "~", "\\")) or name.count("/") > 1 or "\\" in name or folder.is_absolute():
            raise ConfigError(f"{place}: there is no folder `{name}`", hint="name a folder, or a model on the hub")
        return
    try:
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    except OSError as error:
        raise ConfigError(f"{place}: the folder `{name}` can't be read: {(error.strerror or '').lower()}") from None
    weights = any(file.endswith(_WEIGHTS) for file in files)
    if weights and any(sign in files for sign in signs):
        return
    found = ", ".join(f"`{file}`" for file in files[:5]) + (f" and {len(files) - 5:,} more" if len(files) > 5 else "")
    lacks = f"no {' or '.join(f'`{sign}`' for sign in signs)}" if weights else "no weights (`model.safetensors`)"
    raise ConfigError(
        f"{place}: no model in the folder `{name}`: {lacks}; found {found or 'no file'}",
        hint=f"name a folder that {made_by} wrote",
    )


def _expanded(name: str) -> str:
    return os.path.expanduser(name)


def _name_or_digest(name: str) -> str:
    """A model's name as it is; for a folder `WEIGHTS.REST`: 16 hex digits of the sha256 of either.

    The first tells a model wherever it was copied to (`instag.thresholds`), both together decide the vectors. What is
    written for people, and what a download leaves (`.cache`, `.git`), decides nothing.
    """
    folder = Path(_expanded(name))
    if not folder.is_dir():
        return name
    weights, rest = hashlib.sha256(), hashlib.sha256()
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        inside = path.relative_to(folder)
        if not path.is_file() or path.suffix == ".md" or any(part.startswith(".") for part in inside.parts):
            continue
        # The first weights by themselves, so that their digest is the one that `sha256sum` and the hub tell.
        is_weights = inside.as_posix() in ("model.safetensors", "pytorch_model.bin")
        digest = weights if is_weights else rest
        try:
            if not is_weights:
                digest.update(f"{inside.as_posix()}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise ConfigError(f"`{path}` can't be read: {(error.strerror or str(error)).lower()}") from None
    return f"{weights.hexdigest()[:16]}.{rest.hexdigest()[:16]}"


def _multilingual(name: str) -> bool:
    """By the name; of a folder by its tokens: models of one script have some 30,000, those of many over 100,000."""
    folder = Path(_expanded(name))
    if not folder.is_dir():
        return multilingual_by_name(name)
    try:
        vocabulary = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
        return len(vocabulary) >= _MANY_TOKENS
    except (OSError, ValueError, KeyError, TypeError):
        return multilingual_by_name(folder.name)


def _hub_answers(name: str) -> bool:
    """Whether the hub can be asked at all. Loaders try file by file with pauses, over a minute where there is none."""
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError:
        return True
    try:
        with _quiet():
            HfApi().model_info(name, timeout=_HUB_TIMEOUT_S)
    except HfHubHTTPError as error:
        return getattr(error, "response", None) is not None  # no such model, or none for us: the loader tells
    except ValueError:
        return True  # no name for the hub: the loader tells
    except Exception:  # of whatever the hub's client connects with: httpx, requests, ssl, sockets
        return False
    return True


@contextlib.contextmanager
def _loading(name: str, place: str, *, offline: bool) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:  # a panic of a loader's Rust code is no `Exception`, `SystemExit` is none of ours
        if os.path.isdir(_expanded(name)):
            message = f"{place}: the model in the folder `{name}` can't be loaded"
            hint = "save or copy it again: files may be cut short or lacking"
        elif offline:
            raise ConfigError(
                f"{place}: no model of that name on this machine, and the hub can't be reached",
                hint="fetch it where there is a network, and name its folder; `--embedder lexical` needs no model",
            ) from error
        else:
            message, hint = (
                f"{place}: no model",
                "check the name, or name a folder; a gated model needs `hf auth login`",
            )
        raise ConfigError(f"{message}: {type(error).__name__}: {first_line(error)}", hint=hint) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Loaders talk of what is no concern of a person here: a bar for weights read in a blink, advice to log in."""
    loggers = [logging.getLogger(name) for name in _LOUD]
    levels = [logger.level for logger in loggers]
    bars = getattr(sys.modules.get("transformers.utils.logging"), "disable_progress_bar", None)
    if bars is not None:
        bars()
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _not_installed(package: str, name: str) -> ConfigError:
    return ConfigError(
        f"embedder `{package}:{name}` needs the package {package}", hint=f'pip install "instag[{package}]"'
    )
