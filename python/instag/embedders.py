"""Embedders: what turns tags into vectors, from an endpoint, from a model on this machine, or without any model."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from instag.errors import ConfigError, DataError, InstagError, ProviderError
from instag.network import redact

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The paper's distance, chosen for PhraseBERT. Thresholds belong to a model; none is measured for another one yet, and
# this one is the careful choice there: at a similarity of 0.95 sentence models join little beyond inflections.
PHRASE_BERT = "whaleloops/phrase-bert"
PHRASE_BERT_DISTANCE = 0.05

DEFAULT_OPENAI_MODEL = "text-embedding-3-small"


@runtime_checkable
class Embedder(Protocol):
    """Anything that gives each text a vector.

    `identity` names what decides the vectors (it enters the stage's key; an address or a batch size does not belong in
    it); `max_cosine_distance` is the distance that suits this model where none is given; `embed` returns float32 of
    shape (texts, dimension), one row a text in order. What comes back is checked: the number of rows, finite, not zero.
    """

    @property
    def identity(self) -> str: ...

    @property
    def max_cosine_distance(self) -> float: ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class EmbedderAccess:
    """Where an embedder is asked and its vectors are kept; decides no vector."""

    embedder_base_url: str | None = None
    embedder_key_file: str | Path | None = None
    answers: str | Path | None = None


@dataclass(frozen=True)
class Lexical:
    """The offline default: no model and no vectors, but an exact key a tag; tags of equal keys are the same words.

    Word order, function words, inflection and spelling variants meet where the tags themselves show that they mean the
    same; a direction, a negation, a number or one more word keeps tags apart. See docs/semantics.md.

    >>> Lexical().keys(["optimization of code", "optimise code", "json to csv", "csv to json"])
    ['code optimize~', 'code optimize~', 'json to csv', 'csv to json']
    """

    identity: str = "lexical/2"
    max_cosine_distance: float = 0.0

    def keys(self, texts: Sequence[str]) -> list[str]:
        """The key of each text in the light of all of them (compounds are read off the vocabulary). Linear."""
        import polars as pl

        from instag import _core

        frame = pl.DataFrame(_core.lexical_keys(pl.Series("tag", texts, dtype=pl.String)))
        return frame["key"].to_list()

    def reasons(self, texts: Sequence[str], into: Sequence[int] | NDArray[np.integer]) -> list[str]:
        """Why each text has the key of `texts[into[i]]`: the rules without which the two would part; "" for itself.

        >>> Lexical().reasons(["APIs", "api", "code optimization", "optimization of code"], [1, 1, 2, 2])
        ['plural', '', '', 'function word+word order']
        """
        import polars as pl

        from instag import _core

        tags = pl.Series("tag", texts, dtype=pl.String)
        frame = pl.DataFrame(_core.lexical_reasons(tags, np.ascontiguousarray(into, dtype=np.uint32)))
        return frame["reason"].to_list()


@dataclass(frozen=True)
class OpenAIEmbedder:
    """Any endpoint with `/v1/embeddings`, through the `openai` client; batches in parallel, rows in order.

    Vectors are kept in the store `answers` (None: in memory, for one call): a text is asked for once, and where all are
    there neither an endpoint nor a key is needed. `base_url` defaults to `OPENAI_BASE_URL` and the client's own,
    `api_key` to the one in `key_file` or `OPENAI_API_KEY`; an endpoint of your own needs no key. Raises `ConfigError`
    without a key, `ProviderError` where the endpoint fails or answers with something else than one vector a text.
    """

    model: str
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    max_cosine_distance: float = PHRASE_BERT_DISTANCE
    batch: int = 256
    in_flight: int = 64
    max_retries: int = 5
    timeout_seconds: float = 60.0
    key_file: str | Path | None = None
    answers: str | Path | None = None
    dimensions: int | None = None

    @property
    def identity(self) -> str:
        """The model, not the endpoint that serves it."""
        return f"openai:{self.model}" + ("" if self.dimensions is None else f"@{self.dimensions}")

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One row a text; the dimension is the model's."""
        from instag.answers import AnswerStore
        from instag.embedding import VectorAsking, embedding_key, stacked
        from instag.endpoint import Endpoint

        if not texts:
            return np.zeros((0, 0), dtype=np.float32)
        keys = [embedding_key(self.model, text, self.dimensions) for text in texts]
        with AnswerStore(self.answers) as store:
            found = store.vectors(keys)
            missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
            if missing:
                endpoint = Endpoint(
                    self.base_url,
                    key=self.api_key,
                    key_file=self.key_file,
                    timeout_s=self.timeout_seconds,
                    max_attempts=self.max_retries + 1,
                    offline="--embedder lexical",
                )
                VectorAsking(
                    store,
                    endpoint,
                    model=self.model,
                    dimensions=self.dimensions,
                    batch=self.batch,
                    in_flight=self.in_flight,
                ).ask(list(missing.values()), list(missing))
                found |= store.vectors(list(missing))
        return stacked([found[key] for key in keys], self.model)


@dataclass(frozen=True)
class SentenceTransformersEmbedder:
    """A model for `sentence-transformers` (the extra of that name): a name on the hub, or a folder on this machine."""

    name: str
    batch: int = 256

    @property
    def identity(self) -> str:
        """The name; for a folder a digest of its files, so that another model in the same place is another identity."""
        folder = Path(self.name)
        return f"sentence-transformers:{_folder_digest(folder) if folder.is_dir() else self.name}"

    @property
    def max_cosine_distance(self) -> float:
        """0.05: chosen by the paper for PhraseBERT, and careful for others."""
        return PHRASE_BERT_DISTANCE

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One row a text; runs on the processor or the accelerator that `torch` finds."""
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise ConfigError(
                f"embedder `sentence-transformers:{self.name}` needs the package sentence-transformers",
                hint='pip install "instag[sentence-transformers]"',
            ) from error
        place = f"embedder `sentence-transformers:{self.name}`"
        try:
            model = SentenceTransformer(self.name)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{place}: no model: {_first_line(error)}", hint="name a model or its folder") from error
        vectors = model.encode(list(texts), batch_size=self.batch, convert_to_numpy=True, show_progress_bar=False)
        return checked(vectors, len(texts), place)


def resolve(
    spec: str | Embedder | Lexical,
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    key_file: str | Path | None = None,
    answers: str | Path | None = None,
) -> Embedder | Lexical:
    """The embedder that a setting names: `lexical`, `openai[:MODEL]`, `sentence-transformers:NAME_OR_FOLDER`.

    `base_url`, `api_key`, `key_file` and `answers` go to `openai` alone. An embedder is given back
    as it is; anything else is a `ConfigError`.

    >>> resolve("lexical").identity, resolve("openai:text-embedding-3-small").identity
    ('lexical/2', 'openai:text-embedding-3-small')
    """
    hint = "one of `lexical`, `openai`, `openai:MODEL`, `sentence-transformers:NAME_OR_FOLDER`"
    if not isinstance(spec, str):
        if isinstance(spec, (Lexical, Embedder)):
            return spec
        raise ConfigError(f"`embedder` is a {type(spec).__name__}, which is no embedder", hint=hint)
    kind, _, name = spec.partition(":")
    if spec == "lexical":
        return Lexical()
    if spec == "openai" or (kind == "openai" and name):
        model = name or DEFAULT_OPENAI_MODEL
        return OpenAIEmbedder(model, base_url=base_url, api_key=api_key, key_file=key_file, answers=answers)
    if kind == "sentence-transformers" and name:
        return SentenceTransformersEmbedder(name)
    raise ConfigError(f"`embedder` is `{spec}`, which is none", hint=hint)


def embed(embedder: Embedder, texts: Sequence[str]) -> NDArray[np.float32]:
    """`embedder.embed(texts)`, checked; whatever an embedder of the caller's own raises becomes a `ProviderError`."""
    place = f"embedder `{embedder.identity}`"
    try:
        vectors = embedder.embed(texts)
    except InstagError:
        raise
    except Exception as error:
        raise ProviderError(f"{place} failed: {type(error).__name__}: {_first_line(error)}") from error
    return checked(vectors, len(texts), place)


def checked(vectors: Any, rows: int, place: str) -> NDArray[np.float32]:
    """`vectors` as float32 of shape (rows, dimension), each row finite and not zero, else a `DataError`."""
    try:
        with np.errstate(over="ignore"):
            array = np.ascontiguousarray(vectors, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(f"{place}: the vectors are not rows of numbers of one length") from error
    if array.ndim != 2 or array.shape[0] != rows or (rows and array.shape[1] == 0):
        raise DataError(f"{place}: expected {rows} rows of numbers, found an array of shape {array.shape}")
    for found, what in (
        (~np.isfinite(array).all(axis=1), "is not finite"),
        (~array.any(axis=1), "is all zeros, which has no direction"),
    ):
        if found.any():
            raise DataError(f"{place}: row {int(found.argmax())} {what} ({int(found.sum())} of {rows} rows)")
    return array


def _first_line(error: Exception) -> str:
    """What an error says, without the key: some endpoints send it back."""
    text = next(iter(str(error).splitlines()), type(error).__name__)
    key = os.environ.get("OPENAI_API_KEY")
    return redact(text.replace(key, "***") if key else text)[:300]


def _folder_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:32]
