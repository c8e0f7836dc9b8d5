"""Embedders: what turns tags into vectors, from an endpoint, from a model on this machine, or without any model."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from instag.endpoint import redact
from instag.errors import ConfigError, DataError, InstagError, ProviderError

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
class Lexical:
    """The offline default: no model and no vectors, but an exact key a tag; tags of equal keys are the same words.

    Word order, function words, inflection and spelling variants meet where the tags themselves show that they mean the
    same; a direction, a negation, a number or one more word keeps tags apart. See docs/semantics.md.

    >>> Lexical().keys(["optimization of code", "optimise code", "json to csv", "csv to json"])
    ['code optimize~', 'code optimize~', 'json to csv', 'csv to json']
    """

    identity: str = "lexical/1"
    max_cosine_distance: float = 0.0

    def keys(self, texts: Sequence[str]) -> list[str]:
        """The key of each text in the light of all of them (compounds are read off the vocabulary). Linear."""
        import polars as pl

        from instag import _core

        frame = pl.DataFrame(_core.lexical_keys(pl.Series("tag", texts, dtype=pl.String)))
        return frame["key"].to_list()


@dataclass(frozen=True)
class OpenAIEmbedder:
    """Any endpoint with `/v1/embeddings`, through the `openai` client; batches in parallel, rows in order.

    `base_url` defaults to `OPENAI_BASE_URL` and the client's own, `api_key` to `OPENAI_API_KEY`; an endpoint of your
    own needs no key. Retries with back-off are the client's. Raises `ConfigError` without a key, `ProviderError` where
    the endpoint fails or answers with something else than one vector a text.
    """

    model: str
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    max_cosine_distance: float = PHRASE_BERT_DISTANCE
    batch: int = 256
    in_flight: int = 4
    max_retries: int = 5
    timeout_seconds: float = 60.0

    @property
    def identity(self) -> str:
        """The model, not the endpoint that serves it."""
        return f"openai:{self.model}"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One row a text; the dimension is the model's."""
        import openai

        base_url = self.base_url or os.environ.get("OPENAI_BASE_URL") or None
        api_key = self.api_key or os.environ.get("OPENAI_API_KEY") or ("none" if base_url else None)
        if api_key is None:
            raise ConfigError(
                f"embedder `{self.identity}` has no key: `OPENAI_API_KEY` is not set",
                hint="set it, name an endpoint that needs none (`OPENAI_BASE_URL`), or use `--embedder lexical`",
            )
        settings = {"timeout": self.timeout_seconds, "max_retries": self.max_retries}
        with (
            openai.OpenAI(base_url=base_url, api_key=api_key, **settings) as client,  # type: ignore[arg-type]
            ThreadPoolExecutor(self.in_flight) as pool,
        ):
            starts = range(0, len(texts), self.batch)
            jobs = [pool.submit(self._batch, client, texts[at : at + self.batch], at) for at in starts]
            try:
                rows = [job.result() for job in jobs]
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return _stack(rows, self.identity)

    def _batch(self, client: Any, texts: Sequence[str], start: int) -> NDArray[np.float32]:
        import openai

        place = f"embedder `{self.identity}`, texts {start} to {start + len(texts) - 1}"
        try:
            answer = client.embeddings.create(model=self.model, input=list(texts), encoding_format="float")
            rows = sorted(answer.data, key=lambda row: row.index)
            vectors = [row.embedding for row in rows]
            places = [row.index for row in rows]
        except openai.AuthenticationError as error:
            raise ProviderError(f"{place}: the key is refused", hint="check `OPENAI_API_KEY`") from error
        except openai.NotFoundError as error:
            raise ProviderError(f"{place}: {_first_line(error)}", hint="check the model and the address") from error
        except openai.OpenAIError as error:
            raise ProviderError(f"{place}: {_first_line(error)}", hint="nothing was merged: run it again") from error
        except (AttributeError, TypeError, ValueError) as error:
            raise ProviderError(f"{place}: the answer is no list of embeddings", hint="check the address") from error
        if places != list(range(len(texts))):
            raise ProviderError(f"{place}: {len(places)} vectors came back for {len(texts)} texts")
        return checked(vectors, len(texts), place)


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
    spec: str | Embedder | Lexical, *, base_url: str | None = None, api_key: str | None = None
) -> Embedder | Lexical:
    """The embedder that a setting names: `lexical`, `openai[:MODEL]`, `sentence-transformers:NAME_OR_FOLDER`.

    `base_url` and `api_key` go to `openai` alone. An embedder is given back as it is; anything else is a `ConfigError`.

    >>> resolve("lexical").identity, resolve("openai:text-embedding-3-small").identity
    ('lexical/1', 'openai:text-embedding-3-small')
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
        return OpenAIEmbedder(name or DEFAULT_OPENAI_MODEL, base_url=base_url, api_key=api_key)
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


def _stack(rows: list[NDArray[np.float32]], identity: str) -> NDArray[np.float32]:
    dimensions = {part.shape[1] for part in rows}
    if len(dimensions) > 1:
        raise ProviderError(f"embedder `{identity}`: batches came back with {sorted(dimensions)} numbers a text")
    return np.concatenate(rows) if rows else np.zeros((0, 0), dtype=np.float32)


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
