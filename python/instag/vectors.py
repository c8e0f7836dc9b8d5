"""What embedders return, checked; long work goes in batches, is told, and is kept where it would be done again."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from instag.errors import DataError, InstagError, ProviderError
from instag.network import redact
from instag.progress import Talk, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from instag.embedders import Embedder

BATCH = 1024
_SAME_COSINE = 0.999  # padding and half precision move a vector less, another text's tokens move it more
_READ_AT_ONCE = 10_000  # vectors of a store
_TOKENS = ("OPENAI_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


def embed(embedder: Embedder, texts: Sequence[str]) -> NDArray[np.float32]:
    """One checked row a text, asked for in batches of 1,024.

    Whatever the embedder raises becomes a `ProviderError` (but Ctrl-C and memory that ran out); rows that are not
    directions, too few, of another dimension than those before, or another time others for the same text, a
    `DataError`. An embedder with a true `whole` gets all texts at once.

    >>> class Lengths:
    ...     identity, max_cosine_distance = "lengths", 0.05
    ...     def embed(self, texts): return [[len(text), 0] for text in texts]
    >>> embed(Lengths(), ["a", ""])
    Traceback (most recent call last):
    instag.errors.DataError: embedder `lengths`: row 1 is all zeros, which has no direction: `` (1 of 2 rows)
    """
    if getattr(embedder, "whole", False):
        return checked(_called(embedder, texts), texts, f"embedder `{embedder.identity}`")
    return _stacked(in_batches(embedder, texts), len(texts))


def in_batches(embedder: Embedder, texts: Sequence[str]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(first row, checked rows) a batch. Every batch but the first holds the first text again: its vector must stay.

    So one that depends on the other texts (a TF-IDF fitted on them) is found, and not merged by.
    """
    place = f"embedder `{embedder.identity}`"
    first: NDArray[np.float32] | None = None
    for start in range(0, len(texts), BATCH):
        batch = list(texts[start : start + BATCH])
        asked = batch if first is None else [*batch, texts[0]]
        rows = checked(_called(embedder, asked, start), asked, place, start=start)
        if first is None:
            first = rows[0]
        elif rows.shape[1] != len(first):
            raise DataError(
                f"{place}: row {start} (`{_cut(batch[0])}`) has {rows.shape[1]} numbers, the rows before {len(first)}",
                hint="nothing was merged; a vector has the same length whatever texts are asked for with it",
            )
        elif _cosine(first, rows[-1]) < _SAME_COSINE:
            raise DataError(
                f"{place}: row 0 (`{_cut(texts[0])}`) got another vector when it was asked for again, with row {start}",
                hint="a vector may depend on its text alone; an embedder that must see all texts says `whole = True`",
            )
        yield start, rows[: len(batch)]


def checked(vectors: Any, texts: Sequence[str], place: str, *, start: int = 0) -> NDArray[np.float32]:
    """`vectors` as float32, one row a text, each finite and not zero, else a `DataError` with row and text.

    Arrays, lists and tensors of integers or floats of any width are taken. `start` is the number of the first row.
    """
    tensor = getattr(vectors, "detach", None)  # torch: off the accelerator, out of the graph, no bfloat16
    if callable(tensor):
        vectors = tensor().cpu().float()
    try:
        found = np.asarray(vectors)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{place}: the vectors are not rows of numbers of one length") from error
    if found.ndim == 0 or found.dtype.kind not in "iuf":
        what = type(vectors).__name__ if found.ndim == 0 else f"{type(vectors).__name__} of {found.dtype}"
        raise DataError(
            f"{place}: the vectors are not rows of numbers of one length, but a {what}",
            hint="return an array of shape (texts, dimension)",
        )
    if found.ndim != 2 or found.shape[0] != len(texts) or (len(texts) and found.shape[1] == 0):
        short = f": `{_cut(texts[len(found)])}` has none" if found.ndim == 2 and len(found) < len(texts) else ""
        raise DataError(f"{place}: expected {len(texts)} rows of numbers, found an array of shape {found.shape}{short}")
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(found, dtype=np.float32)
    for bad, what in (
        (~np.isfinite(array).all(axis=1), "is not finite"),
        (~array.any(axis=1), "is all zeros, which has no direction"),
    ):
        if bad.any():
            row = int(bad.argmax())
            rows = f"{int(bad.sum())} of {len(texts)} rows"
            raise DataError(f"{place}: row {start + row} {what}: `{_cut(texts[row])}` ({rows})")
    return array


@dataclass(frozen=True)
class Kept:
    """An embedder whose progress is told, and whose vectors are kept by its identity in the store of answers `path`.

    A batch is committed before the next is asked for: Ctrl-C loses one batch at most, and what is known is not embedded
    again. Nothing is kept without a `path`, nor of an embedder whose `kept` is false. The store is made with the first
    batch, and is open only while one is written.
    """

    embedder: Embedder
    path: str | Path | None
    talk: Talk = field(default_factory=lambda: Talk(quiet=True), compare=False, repr=False)
    whole: ClassVar[bool] = True  # `embed` batches and checks by itself

    @property
    def identity(self) -> str:
        """That of the embedder."""
        return self.embedder.identity

    @property
    def max_cosine_distance(self) -> float:
        """That of the embedder."""
        return self.embedder.max_cosine_distance

    @property
    def multilingual(self) -> bool:
        """Whether the embedder says that it knows other scripts than Latin."""
        return bool(getattr(self.embedder, "multilingual", False))

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One row a text, in order."""
        from instag.answers import AnswerStore, Embedding
        from instag.embedding import embedding_key

        distinct = list(dict.fromkeys(texts))
        path = self.path if getattr(self.embedder, "kept", True) else None
        keys = [embedding_key(self.identity, text) for text in distinct] if path is not None else []
        known = _known(path, keys)
        missing = [at for at in range(len(distinct)) if at not in known]
        asked = [distinct[at] for at in missing]
        with self.talk.bar("embedding", total=len(asked), unit="tag") as advance:

            def rows() -> Iterator[tuple[list[int], NDArray[np.float32]]]:
                places = list(known)
                for start in range(0, len(places), _READ_AT_ONCE):
                    some = places[start : start + _READ_AT_ONCE]
                    yield some, np.stack([np.frombuffer(known[at], dtype="<f4") for at in some])
                if getattr(self.embedder, "whole", False):
                    batches = iter([(0, embed(self.embedder, asked))] if asked else [])
                else:
                    batches = in_batches(self.embedder, asked)
                for start, found in batches:
                    some = missing[start : start + len(found)]
                    if path is not None:
                        finished = datetime.now(timezone.utc).isoformat(timespec="seconds")
                        with AnswerStore(path) as store:
                            store.put_embeddings(
                                [
                                    Embedding(keys[at], row.astype("<f4").tobytes(), self.identity, None, finished)
                                    for at, row in zip(some, found, strict=True)
                                ]
                            )
                    advance(len(found))
                    yield some, found

            made = self._placed(rows(), len(distinct), distinct)
        if len(distinct) == len(texts):
            return made
        place = {text: at for at, text in enumerate(distinct)}
        return made[[place[text] for text in texts]]

    def _placed(
        self, parts: Iterator[tuple[list[int], NDArray[np.float32]]], size: int, texts: Sequence[str]
    ) -> NDArray[np.float32]:
        made: NDArray[np.float32] | None = None
        for places, rows in parts:
            if made is None:
                made = np.empty((size, rows.shape[1]), dtype=np.float32)
            elif rows.shape[1] != made.shape[1]:
                raise DataError(
                    f"embedder `{self.identity}`: `{_cut(texts[places[0]])}` has {rows.shape[1]} numbers, "
                    f"the vectors kept in `{self.path}` have {made.shape[1]}",
                    hint="another model was behind this identity: give it another one, or name another `--answers`",
                )
            made[places] = rows
        return np.zeros((0, 0), dtype=np.float32) if made is None else made


def _known(path: str | Path | None, keys: Sequence[bytes]) -> dict[int, bytes]:
    """The vectors that are kept already, by the place of their key."""
    from instag.answers import AnswerStore

    if path is None or not keys or not Path(path).exists():
        return {}
    with AnswerStore(path) as store:
        found = store.vectors(keys)
    return {at: found[key] for at, key in enumerate(keys) if key in found}


def first_line(error: BaseException) -> str:
    """What an error says, without keys: some endpoints send them back."""
    text = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    for name in _TOKENS:
        if key := os.environ.get(name):
            text = text.replace(key, "***")
    return re.sub(r"\bhf_\w{8,}", "***", redact(text))[:300]


def _called(embedder: Embedder, texts: Sequence[str], start: int = 0) -> Any:
    try:
        return embedder.embed(list(texts))
    except (InstagError, KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:  # `SystemExit` would end us with the embedder's word for how it went
        frame = traceback.extract_tb(error.__traceback__)[-1]
        raise ProviderError(
            f"embedder `{embedder.identity}` failed on rows {start} to {start + len(texts) - 1} "
            f"(`{_cut(texts[0]) if texts else ''}` and on): {type(error).__name__}: {first_line(error)} "
            f"({os.path.basename(frame.filename)}, line {frame.lineno})",
            hint="nothing was merged",
        ) from error


def _stacked(parts: Iterator[tuple[int, NDArray[np.float32]]], size: int) -> NDArray[np.float32]:
    made: NDArray[np.float32] | None = None
    for start, rows in parts:
        if made is None:
            made = np.empty((size, rows.shape[1]), dtype=np.float32)
        made[start : start + len(rows)] = rows
    return np.zeros((0, 0), dtype=np.float32) if made is None else made


def _cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    # Scaled before they are squared: a float32 of 1e30 has no square.
    x, y = (v.astype(np.float64) / float(np.abs(v).max()) for v in (a, b))
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))


def _cut(text: str) -> str:
    return redact(shown(text if len(text) <= 60 else text[:59] + "…"))
