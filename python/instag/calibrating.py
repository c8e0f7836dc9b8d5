"""`instag calibrate`: labelled pairs, an embedder and the guards in, thresholds out: tried, stored and told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from instag import _core, thresholds
from instag.calibration import Calibration, calibrate, folds_of, least_merges
from instag.config import settings_from
from instag.embedders import EmbedderAccess, embed, resolve
from instag.errors import ConfigError
from instag.guards import differences
from instag.labelled_pairs import LabelledPairs, read_labelled_pairs
from instag.progress import Talk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from instag.embedders import Embedder

MOST_FOLDS = 100


@dataclass(frozen=True)
class CalibrateSettings:
    """What `instag calibrate` is told, checked on construction.

    >>> CalibrateSettings("mine:embed", "pairs.csv", folds=1)
    Traceback (most recent call last):
    instag.errors.ConfigError: `folds` is 1, must be from 2 to 100
    hint: 5 fit on four fifths of the pairs, and try on the last
    """

    embedder: str
    pairs: str
    precision: float = 0.95
    folds: int = 5
    out: str = thresholds.FILE

    def __post_init__(self) -> None:
        least_merges(self.precision)
        if not 2 <= self.folds <= MOST_FOLDS:
            hint = "5 fit on four fifths of the pairs, and try on the last"
            raise ConfigError(f"`folds` is {self.folds}, must be from 2 to {MOST_FOLDS}", hint=hint)
        if self.embedder == "lexical":
            raise ConfigError("`lexical` has no threshold: its keys are equal or not", hint="name a model")


def calibrate_command(said: Mapping[str, Any], talk: Talk) -> dict[str, Any]:
    """What the command does: reads the pairs, fits, stores, tells; gives the summary that `--json` prints."""
    settings, access = settings_from(CalibrateSettings, said), settings_from(EmbedderAccess, said)
    embedder: Any = resolve(
        settings.embedder,
        base_url=access.embedder_base_url,
        key_file=access.embedder_key_file,
        answers=access.answers,
        talk=talk,
    )
    read = read_labelled_pairs(settings.pairs)
    made, forbidden = calibrated(embedder, read, precision=settings.precision, folds=settings.folds)
    entry: dict[str, str | int | float] = {
        "max_cosine_distance": made.max_cosine_distance,
        "min_differing_cosine": made.min_differing_cosine,
        "precision": settings.precision,
        "pairs": len(read.a),
        "pairs_digest": read.digest,
        "folds": settings.folds,
        "held_out_precision": round(made.held_out.precision, 4),
        "held_out_recall": round(made.held_out.recall, 4),
    }
    thresholds.store(Path(settings.out), embedder.identity, entry)
    talk.line(f"{len(read.a):,} pairs, {int(read.same.sum()):,} the same; guards keep {forbidden:,} apart")
    if made.fitted.weight > 1:
        weight = f"{made.fitted.weight:.2f}"
        talk.line(f"a wrong merge weighs {weight} in the precision: fewer such pairs are not the same than are")
    talk.line(f"max_cosine_distance {made.max_cosine_distance:g}, min_differing_cosine {made.min_differing_cosine:g}")
    talk.line(f"  on the pairs they were fitted on: {made.fitted}")
    talk.line(f"  on held-out pairs ({settings.folds} folds): {made.held_out}")
    talk.line("  so with pairs like these; a vocabulary has many more that are not the same: look at its merges, too")
    talk.line(f"  in {settings.out}, for `{embedder.identity}`")
    figures = {"fitted": asdict(made.fitted), "held_out": asdict(made.held_out)}
    return {"embedder": embedder.identity, **entry, "forbidden": forbidden, **figures, "file": settings.out}


def calibrated(
    embedder: Embedder,
    pairs: LabelledPairs,
    *,
    precision: float = 0.95,
    folds: int = 5,
) -> tuple[Calibration, int]:
    """The thresholds of an embedder on labelled pairs, and how many of these the guards keep apart.

    Embeds the tags and the words by which they differ, each text once. Errors as of `calibrate` and `embed`.
    """
    found = differences(pairs.a, pairs.b)
    allowed = np.array([not veto for veto in found.veto], dtype=bool)
    left, right = list(found.left), list(found.right)
    texts = sorted({*pairs.a, *pairs.b, *left, *right} - {""}, key=str.encode)
    vectors = embed(embedder, texts)
    place = {text: at for at, text in enumerate(texts)}
    cosines = _cosines(vectors, place, pairs.a, pairs.b)
    both = [at for at in range(len(left)) if left[at] and right[at]]
    differing = np.ones(len(left))  # where no words of either side differ
    differing[both] = _cosines(vectors, place, [left[at] for at in both], [right[at] for at in both])
    made = calibrate(cosines, differing, pairs.same, allowed, folds_of(pairs.a, pairs.b, folds), precision=precision)
    return made, int((~allowed).sum())


def _cosines(
    vectors: NDArray[np.float32], place: Mapping[str, int], a: Sequence[str], b: Sequence[str]
) -> NDArray[np.float64]:
    ends = (np.array([place[text] for text in side], dtype=np.uint32) for side in (a, b))
    return np.asarray(_core.cosines(vectors.ravel(), vectors.shape[1], *ends))
