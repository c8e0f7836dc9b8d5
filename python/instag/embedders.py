"""Embedders: what turns tags into vectors, from an endpoint, from a model on this machine, or without any model."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from instag.errors import ConfigError
from instag.thresholds import PHRASE_BERT
from instag.vectors import Kept, embed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from instag.progress import Talk

__all__ = ["PHRASE_BERT", "Embedder", "EmbedderAccess", "Lexical", "embed", "resolve"]

KINDS = (
    "`lexical`, `openai`, `openai:MODEL`, `sentence-transformers:NAME_OR_FOLDER`, `model2vec:NAME_OR_FOLDER`, "
    "`package.module:attribute`"
)
DEFAULT_OPENAI_MODEL = "text-embedding-3-small"


@runtime_checkable
class Embedder(Protocol):
    """Anything that gives each text a vector.

    `identity` names what decides the vectors (it enters the stage's key; an address or a batch size does not belong in
    it); `max_cosine_distance` is the distance that suits this model where none is given; `embed` returns numbers of
    shape (texts, dimension), one row a text in order. What comes back is checked (`instag.vectors`). Texts come in
    batches of 1,024, and a vector depends on its text alone; with an attribute `whole` that is true all come at once.
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

    identity: str = "lexical/3"
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


def resolve(
    spec: str | Embedder | Lexical,
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    key_file: str | Path | None = None,
    answers: str | Path | None = None,
    talk: Talk | None = None,
) -> Embedder | Lexical:
    """The embedder that a setting names; an embedder is given back as it is, anything else is a `ConfigError`.

    `lexical`, `openai[:MODEL]`, `sentence-transformers:NAME_OR_FOLDER`, `model2vec:NAME_OR_FOLDER`, or
    `package.module:attribute` (see `OwnEmbedder`); the four names are reserved. `base_url`, `api_key` and `key_file` go
    to `openai` alone. Vectors that would cost something to make again are kept in the store `answers`: those of
    `openai` and `sentence-transformers`, and of an embedder of one's own that has an `identity`. `talk` hears progress.

    >>> resolve("lexical").identity, resolve("openai:text-embedding-3-small").identity
    ('lexical/3', 'openai:text-embedding-3-small')
    """
    from instag.progress import Talk

    if not isinstance(spec, str):
        if isinstance(spec, (Lexical, Embedder)):
            return spec
        raise ConfigError(f"`embedder` is a {type(spec).__name__}, which is no embedder", hint=f"one of {KINDS}")
    talk = talk or Talk(quiet=True)
    kind, colon, name = spec.partition(":")
    if spec == "lexical":
        return Lexical()
    if kind == "openai" and bool(name) == bool(colon):
        from instag.embedding import OpenAIEmbedder

        model = name or DEFAULT_OPENAI_MODEL
        return OpenAIEmbedder(model, base_url=base_url, api_key=api_key, key_file=key_file, answers=answers, talk=talk)
    if kind in ("sentence-transformers", "model2vec") and name:
        from instag.local_models import Model2VecEmbedder, SentenceTransformersEmbedder

        local = SentenceTransformersEmbedder(name) if kind == "sentence-transformers" else Model2VecEmbedder(name)
        local.check()
        return Kept(local, answers, talk)
    return _own(spec, answers, talk)


def _own(spec: str, answers: str | Path | None, talk: Talk) -> Embedder:
    from instag.own_embedder import OwnEmbedder, names_own

    reserved = ("lexical", "openai", "sentence-transformers", "model2vec")
    kind, _, name = spec.partition(":")
    if kind == "lexical" and name:
        raise ConfigError(
            f"`embedder` is `{spec}`, but `lexical` takes no name",
            hint="a module of yours cannot be called so: rename it, or name it by its package, `package.lexical:embed`",
        )
    if kind not in reserved and names_own(spec):
        return Kept(OwnEmbedder(spec), answers, talk)
    close = difflib.get_close_matches(kind.replace("_", "-"), reserved, n=1)
    meant = f"did you mean `{close[0]}`? " if close and kind not in reserved else ""
    raise ConfigError(f"`embedder` is `{spec}`, which is none", hint=f"{meant}one of {KINDS}")
