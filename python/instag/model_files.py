"""A model to begin from: a folder in Hugging Face's form, or a name on its hub, which is fetched into its cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from instag.errors import ConfigError
from instag.run import file_digest

_WEIGHTS = ("*.safetensors", "*.bin")
_TEXT = ("*.json", "*.jinja", "*.model", "*.txt")
_EXTRA = 'pip install "instag[train]"'


class BaseModel(NamedTuple):
    """Where a model is, what it was called, and the digest of its files: the same wherever it lies."""

    folder: Path
    name: str
    digest: str


def base_model(name: str) -> BaseModel:
    """A folder that holds `config.json`, weights and a tokenizer, else a name that is fetched from the hub.

    Only weights and settings are fetched: never code. Raises `ConfigError` where something is missing, or where the
    name can't be fetched.
    """
    path = Path(name)
    folder = path if path.exists() else _fetched(name)
    if not (folder / "config.json").is_file():
        raise ConfigError(f"`{name}` holds no model: there is no `config.json`", hint="name a folder that holds one")
    files = sorted({file for pattern in (*_WEIGHTS, *_TEXT) for file in folder.glob(pattern) if file.is_file()})
    if not any(file.match(pattern) for file in files for pattern in _WEIGHTS):
        raise ConfigError(f"`{name}` holds no weights: there is no `*.safetensors`", hint="fetch the whole model")
    if not any((folder / file).is_file() for file in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise ConfigError(
            f"`{name}` holds no tokenizer: there is no `tokenizer.json`", hint="put the model's tokenizer beside it"
        )
    digests = [(file.name, file_digest(file)) for file in files]
    return BaseModel(folder, name, hashlib.sha256(json.dumps(digests).encode()).hexdigest())


def _fetched(name: str) -> Path:
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ConfigError(f"`{name}` is no folder", hint="name the folder of a model, or one of the hub: `OWNER/NAME`")
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError:
        raise ConfigError(f"`{name}` is no folder, and fetching it needs `huggingface_hub`", hint=_EXTRA) from None

    def fetch(patterns: Sequence[str]) -> Path:
        return Path(snapshot_download(name, allow_patterns=list(patterns), ignore_patterns=["original/*", "onnx/*"]))

    try:
        folder = fetch((_WEIGHTS[0], *_TEXT))
        return folder if any(folder.glob(_WEIGHTS[0])) else fetch((_WEIGHTS[1], *_TEXT))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"`{name}` is no folder, and could not be fetched as a model's name: {reason}",
            hint="name the folder of a model that lies here, or check the name and the network",
        ) from None


def read_tokenizer(model: BaseModel) -> Any:
    """The model's tokenizer, from its folder alone. Raises `ConfigError` where the extra `train` or it is missing."""
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise ConfigError(f"training needs `{error.name}`", hint=_EXTRA) from None
    try:
        return AutoTokenizer.from_pretrained(str(model.folder), local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"the tokenizer of `{model.name}` can't be read: {reason}", hint="put the model's tokenizer beside it"
        ) from None


def read_config(model: BaseModel) -> dict[str, Any]:
    """What the model's `config.json` says."""
    path = model.folder / "config.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"`{path}` is no settings of a model: {error}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"`{path}` is no settings of a model: it holds no object")
    return found


def longest(config: dict[str, Any]) -> int | None:
    """The most tokens that a model takes; None where its settings do not tell."""
    names = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length")
    return next((config[name] for name in names if isinstance(config.get(name), int)), None)
