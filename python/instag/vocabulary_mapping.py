"""New tags mapped through a vocabulary that stands: its names and ids stay, what it does not know is reported.

docs/vocabulary.md is the contract. Strings are looked at once a distinct raw tag; rows are integers, and linear.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, NamedTuple

import numpy as np

from instag import _core, thresholds
from instag.embedders import Embedder, Lexical, embed, resolve
from instag.errors import DataError
from instag.guarded import LATIN, differing_cosines
from instag.guards import differences_of
from instag.neighbors import pairs_within
from instag.normalize_settings import NormalizeSettings
from instag.normalize_steps import Rows, by_surface
from instag.semantic import merge_of
from instag.shards import DROPPED, TagShards
from instag.table import FROM_SERIES, TagTable

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from instag.semantic import Merge, Neighbors

UNSEEN = "unseen"
NEAR_PAIRS = 300_000  # names compared, at most, to tell the tags near unseen ones: about a second
LISTED = 20  # tags of a kind that a summary names


@dataclass(frozen=True, eq=False, repr=False)
class Vocabulary:
    """What a normalization decided, for other tags to go through: its `ledger`, its `tags`, its `settings`.

    `tags` has `tag` and `count`; a tag's id is its row. An embedder other than `lexical` is the object itself; `limits`
    are those of the `Normalization`: the thresholds of its model are in there.
    """

    ledger: pl.DataFrame
    tags: pl.DataFrame
    settings: NormalizeSettings
    limits: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, columns in (("ledger", ("raw", "count", "step", "into")), ("tags", ("tag", "count"))):
            if missing := set(columns) - set(getattr(self, name).columns):
                raise DataError(f"`{name}` has no column `{min(missing)}`", hint="give that of a `Normalization`")
        lost = self.ledger.filter(~self.ledger["into"].is_in(self.tags["tag"].implode()))["into"].drop_nulls()
        if len(lost):
            raise DataError(f"the ledger has tags that are not among `tags`: `{lost[0]}`")

    def __repr__(self) -> str:
        return f"Vocabulary({len(self.ledger):,} raw tags, {len(self.tags):,} tags)"


class MadeBy(NamedTuple):
    """How a vocabulary's model merged and by which thresholds (that of words that differ: guarded alone), and notes."""

    merge: Merge
    max_cosine_distance: float
    min_differing_cosine: float
    notes: list[str]


def made_by(settings: NormalizeSettings, limits: Mapping[str, float], embedder: Embedder) -> MadeBy:
    """The thresholds that a vocabulary was made by; one that `limits` lack is that of now, and a note says so."""
    merge = merge_of(settings.merge, embedder.identity)
    known = thresholds.of(embedder.identity) or thresholds.CAREFUL
    distance, differing = settings.max_cosine_distance, limits.get("differing_cosine")
    if distance is None and "cosine" in limits:
        distance = 1 - limits["cosine"]
    untold = [] if distance is not None else ["max_cosine_distance"]
    untold += ["min_differing_cosine"] if differing is None and merge == "guarded" else []
    if distance is None:
        distance = known.max_cosine_distance if merge == "guarded" else float(embedder.max_cosine_distance)
    made = MadeBy(merge, distance, known.min_differing_cosine if differing is None else differing, [])
    for name in untold:
        made.notes.append(f"semantic: the vocabulary does not tell its `{name}`: {getattr(made, name):g}, that of now")
    return made


@dataclass(frozen=True, eq=False, repr=False)
class VocabularyMapping(Generic[Rows]):
    """What `map_to_vocabulary` made.

    `table`: the rows in the vocabulary's tags, in its order, those that do not occur included. `ledger`: as that of a
    `Normalization`, with the vocabulary's own entry for each raw tag that it knows, and `step` `unseen` (`into` null)
    for those it does not. `unseen`: `raw`, `count` and `near`, the tag spelled most alike (null where none is, and for
    rare ones where there are many), by count descending, then bytewise. `steps`: `step`, `tags` (distinct, found up to
    there), `occurrences`. `drift`: how far the rows are from what the vocabulary was made of (see docs/vocabulary.md).
    """

    table: Rows
    ledger: pl.DataFrame
    unseen: pl.DataFrame
    steps: pl.DataFrame
    drift: dict[str, Any]
    notes: list[str]

    def __repr__(self) -> str:
        share = self.drift["unseen_occurrences"]
        return f"VocabularyMapping({len(self.ledger):,} raw tags, {share:.1%} of the occurrences unseen)"


def map_to_vocabulary(table: Rows, vocabulary: Vocabulary) -> VocabularyMapping[Rows]:
    """Maps raw tags through a vocabulary by the steps and settings that made it; nothing is forced into it.

    In this order: the name of a tag is that tag; a raw tag of the ledger goes where it went (what was dropped stays
    dropped); one of the rule form of a raw tag that was kept goes with it (first of those equal without a stemmer,
    then of the most frequent); one of the meaning of such a tag, by equal keys or by the nearest within the distance,
    goes with it. No association is mined, none is lost. All others are unseen. Linear in the ids and the strings;
    with a model the cost of `pairs_within`. Raises `DataError`, and what the embedder raises.

    >>> import polars as pl
    >>> from instag import normalize
    >>> old = normalize(TagTable.from_series(pl.Series([["apis", "maths"], ["api", "art"], ["api"]])), min_count=1)
    >>> tags = pl.DataFrame({"tag": old.table.vocabulary, "count": old.table.counts})
    >>> known = Vocabulary(old.ledger, tags, NormalizeSettings(min_count=1))
    >>> made = map_to_vocabulary(TagTable.from_series(pl.Series([["Maths", "apis"], ["golf"]])), known)
    >>> made.table.to_series().to_list(), made.unseen["raw"].to_list()
    ([['maths', 'api'], []], ['golf'])
    """
    import polars as pl

    if not isinstance(table, (TagTable, TagShards)):
        raise DataError(f"`table` is a {type(table).__name__}, must be a TagTable", hint=FROM_SERIES)
    work = _Mapping(table, vocabulary)
    settings = vocabulary.settings
    if "rule" not in settings.skip:
        work.rule(settings)
    if "semantic" not in settings.skip:
        work.semantic(settings)
    size = len(vocabulary.tags)
    counts = table.renamed_counts(work.codes(), size)
    mapped = table.renamed(vocabulary.tags["tag"].alias("tag"), work.codes(), counts)
    ledger = work.ledger()
    unseen = ledger.filter(pl.col("step") == UNSEEN).select("raw", "count")
    unseen = unseen.with_columns(_near(unseen["raw"], vocabulary.tags["tag"]))
    steps = pl.DataFrame(work.steps, schema=["step", "tags", "occurrences"], orient="row")
    return VocabularyMapping(mapped, ledger, unseen, steps, work.drift(unseen, counts), work.notes)


class _Mapping:
    """The raw tags while they are looked up: `into`, the id of a tag, `DROPPED` for what was dropped, else unseen."""

    def __init__(self, table: Any, vocabulary: Vocabulary) -> None:
        import polars as pl

        self.source, self.vocabulary = table, vocabulary
        self.raw, self.counts = table.vocabulary, table.counts
        names = pl.DataFrame({"into": vocabulary.tags["tag"]}).with_row_index("id")
        old = vocabulary.ledger.join(names, on="into", how="left", maintain_order="left")
        self.alive = old.filter(pl.col("id").is_not_null())
        found = pl.DataFrame({"raw": self.raw}).join(old, on="raw", how="left", maintain_order="left")
        # A name that `rename` gave need not be a raw tag of the ledger, or may be one that was dropped there.
        own = found.join(names.rename({"into": "raw", "id": "own"}), on="raw", how="left", maintain_order="left")["own"]
        columns = [("by", pl.String), ("round", pl.Int32), ("evidence", pl.Float64), ("reason", pl.String)]
        self.told = found.select(
            pl.col("step").cast(pl.String),
            *(
                pl.col(name).cast(kind) if name in found.columns else pl.lit(None, kind).alias(name)
                for name, kind in columns
            ),
        )
        renamed = own.is_not_null() & (found["into"] != self.raw).fill_null(True)
        self._tell(np.flatnonzero(renamed.to_numpy()), "kept")
        into = own.fill_null(found["id"]).cast(pl.Int64)
        self.into = into.fill_null(-1).to_numpy().copy()
        self.is_known = own.is_not_null().to_numpy() | found["step"].is_not_null().to_numpy()
        self.steps = [("raw", len(self.raw), int(self.counts.sum()))]
        self.notes: list[str] = []
        self._step("known")

    def rule(self, settings: NormalizeSettings) -> None:
        """Raw tags of the rule form of one that is known."""
        at, known = self._open(), self.alive["raw"]
        place = by_surface(known, self.alive["count"].to_numpy())
        new = self.raw.gather(at)
        groups, size = _forms(known, new, settings), len(known)
        unstemmed = _core.rule_forms(_both(known, new), "none", False)[1].astype(np.int64)
        finer = np.unique(groups * (int(unstemmed.max(initial=0)) + 1) + unstemmed, return_inverse=True)[1].ravel()
        best = _best_of_group(finer[:size], finer[size:], place)
        best = np.where(best >= 0, best, _best_of_group(groups[:size], groups[size:], place))
        self._join(at[best >= 0], best[best >= 0])
        self._step("rule", by="paper's rules" if settings.paper_rules else settings.stemmer)

    def semantic(self, settings: NormalizeSettings) -> None:
        """Raw tags that mean the same to the embedder as one that is known."""
        import polars as pl

        embedder = resolve(settings.embedder)
        at, known_at = self._open(), np.flatnonzero((self.alive["step"].cast(pl.String) != "rule").to_numpy())
        alive, new = self.alive[known_at], self.raw.gather(at)
        known, size = alive["raw"], len(alive)
        place = by_surface(known, alive["count"].to_numpy())
        evidence, reasons, best = np.ones(len(at)), [""] * len(at), np.full(len(at), -1)
        by = None if isinstance(embedder, Lexical) else made_by(settings, self.vocabulary.limits, embedder)
        guarded = by is not None and by.merge == "guarded"
        if by is None or guarded:
            names, lexical = [*known, *new], Lexical()
            keys = pl.Series(lexical.keys(names), dtype=pl.String).rank("dense").cast(pl.Int64).to_numpy()
            best = _best_of_group(keys[:size], keys[size:], place)
            into = np.where(best >= 0, best, np.arange(size, len(names)))
            reasons = lexical.reasons(names, np.append(np.arange(size), into))[size:]
        if not isinstance(embedder, Lexical) and by is not None:
            self.notes += by.notes
            rest = np.flatnonzero(best < 0)
            near = _nearest(known.to_list(), new.gather(rest).to_list(), place, embedder, by, settings.neighbors)
            best[rest], evidence[rest] = near
            for hit in rest[near[0] >= 0].tolist() if guarded else ():
                reasons[hit] = "cosine"
        self._join(at[best >= 0], known_at[best[best >= 0]])
        self._step("semantic", by=embedder.identity, at=at, evidence=evidence, reasons=reasons)

    def _open(self) -> NDArray[np.int64]:
        """The raw tags that nothing is known of yet."""
        return np.flatnonzero(~self.is_known)

    def _join(self, at: NDArray[np.int64], known: NDArray[np.int64]) -> None:
        self.into[at] = self.alive["id"].to_numpy()[known]
        self.is_known[at] = True

    def _tell(self, at: NDArray[np.int64], step: str, **more: Any) -> None:
        """What the ledger says of these raw tags: `more` holds one value, or one of each of them."""
        import polars as pl

        if not len(at):
            return
        values = {"step": step, "by": None, "round": None, "evidence": None, "reason": None} | more
        told = {}
        for name, value in values.items():
            column = self.told[name]
            given = pl.Series(value if isinstance(value, (list, np.ndarray)) else [value] * len(at), dtype=column.dtype)
            told[name] = column.scatter(at, given)
        self.told = pl.DataFrame(told)

    def _step(
        self,
        step: str,
        *,
        by: str | None = None,
        at: NDArray[np.int64] | None = None,
        evidence: NDArray[np.float64] | None = None,
        reasons: Sequence[str] = (),
    ) -> None:
        """What was found since the last step is told, and counted."""
        new = np.flatnonzero(self.is_known & self.told["step"].is_null().to_numpy())
        if evidence is None or at is None:
            self._tell(new, step, by=by)
        else:
            own = np.searchsorted(at, new)
            self._tell(new, step, by=by, evidence=evidence[own], reason=[reasons[i] or None for i in own.tolist()])
        counts = self.source.renamed_counts(self.codes(), len(self.vocabulary.tags))
        self.steps.append((step, int(np.count_nonzero(counts)), int(counts.sum())))

    def codes(self) -> NDArray[np.uint32]:
        return np.where(self.into >= 0, self.into, DROPPED).astype(np.uint32)

    def ledger(self) -> pl.DataFrame:
        import polars as pl

        self._tell(self._open(), UNSEEN)
        tags = pl.concat([self.vocabulary.tags["tag"], pl.Series("tag", [None], dtype=pl.String)], rechunk=True)
        frame = pl.DataFrame(
            {
                "raw": self.raw,
                "count": self.counts,
                "step": self.told["step"].cast(pl.Categorical),
                "by": self.told["by"].cast(pl.Categorical),
                "into": tags.gather(np.where(self.into >= 0, self.into, len(tags) - 1)),
                "round": self.told["round"],
                "evidence": self.told["evidence"],
                "reason": self.told["reason"].cast(pl.Categorical),
            }
        )
        return frame[_core.by_count(self.raw, self.counts)]

    def drift(self, unseen: pl.DataFrame, tag_counts: NDArray[np.int64]) -> dict[str, Any]:
        """How far these rows are from what the vocabulary was made of, and what it would be if it were made anew."""
        import polars as pl

        least = self.vocabulary.settings.min_count if "frequency" not in self.vocabulary.settings.skip else 1
        open_, lost = ~self.is_known, self.into < 0
        groups = np.where(open_, 0, np.where(lost, DROPPED, 1)).astype(np.uint32)
        with_unseen, with_tag = self.source.renamed_counts(groups, 2).tolist()
        (tagged,) = self.source.renamed_counts(np.zeros(len(self.raw), np.uint32), 1).tolist()
        occurrences, rows = int(self.counts.sum()), len(self.source)
        frequent = unseen.filter(pl.col("count") >= least)
        forms = _forms(frequent["raw"], frequent["raw"][:0], self.vocabulary.settings)
        old = self.vocabulary.ledger.filter(pl.col("step").cast(pl.String) == "rare").select("raw", old="count")
        now = pl.DataFrame({"raw": self.raw, "count": self.counts}).join(old, on="raw", maintain_order="left")
        back = now.filter(pl.col("old") + pl.col("count") >= least).sort(-(pl.col("old") + pl.col("count")), "raw")
        return {
            "unseen_tags": len(unseen),
            "unseen_occurrences": _share(int(unseen["count"].sum()), occurrences),
            "dropped_occurrences": _share(int(self.counts[lost & ~open_].sum()), occurrences),
            "queries_with_unseen": _share(with_unseen, rows),
            "queries_left_without_tags": _share(tagged - with_tag, rows),
            "tags_not_met": int(np.count_nonzero(tag_counts == 0)),
            "new_frequent": len(frequent),
            "new_frequent_listed": frequent.head(LISTED).to_dicts(),
            "anew": {
                "min_count": least,
                "new_tags": len(np.unique(forms)),
                "rare_before": len(back),
                "rare_before_listed": back.head(LISTED).to_dicts(),
            },
        }


def _share(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 0.0


def _both(known: pl.Series, new: pl.Series) -> pl.Series:
    import polars as pl

    return pl.concat([known.alias("tag"), new.alias("tag")], rechunk=True)


def _forms(known: pl.Series, new: pl.Series, settings: NormalizeSettings) -> NDArray[np.int64]:
    """The rule form of each, as a number."""
    return _core.rule_forms(_both(known, new), settings.stemmer, settings.paper_rules)[1].astype(np.int64)


def _best_of_group(known: NDArray[np.int64], new: NDArray[np.int64], place: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each new tag the known one of its group that comes first by `place`, -1 where there is none."""
    size = int(max(known.max(initial=-1), new.max(initial=-1))) + 1
    best = np.full(size, len(known))
    np.minimum.at(best, known, place)
    order = np.append(np.argsort(place), -1)
    return np.asarray(order[best[new]], np.int64)


def _nearest(
    known: list[str],
    new: list[str],
    place: NDArray[np.int64],
    embedder: Embedder,
    by: MadeBy,
    neighbors: Neighbors,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each new tag the known one of highest cosine within the radius (ties: first by `place`), and the cosine.

    Guarded, no pair counts that a guard keeps apart or whose differing words are too far from each other, and tags of
    other scripts than Latin only count where the model is multilingual.
    """
    best, evidence = np.full(len(new), -1), np.ones(len(new))
    names, multilingual = [*known, *new], getattr(embedder, "multilingual", False)
    asked = [at for at, name in enumerate(names) if by.merge == "paper" or multilingual or LATIN.fullmatch(name)]
    if not known or not new or not asked:
        return best, evidence
    order = np.array(sorted(asked, key=lambda at: names[at].encode()))
    vectors = embed(embedder, [names[at] for at in order.tolist()])
    pairs = pairs_within(vectors, by.max_cosine_distance, method=neighbors)
    a, b = order[pairs.a], order[pairs.b]
    a, b = np.minimum(a, b), np.maximum(a, b)
    across = (a < len(known)) & (b >= len(known))
    a, b, cosines = a[across], b[across], pairs.cosines[across]
    if by.merge == "guarded":
        told = differences_of(names, a.astype(np.uint32), b.astype(np.uint32))
        free = (told.veto == "").to_numpy()
        texts = told.left.filter(free).to_list(), told.right.filter(free).to_list()
        free[free] = differing_cosines(embedder, *texts) >= by.min_differing_cosine
        a, b, cosines = a[free], b[free], cosines[free]
    by_merit = np.lexsort((place[a], -cosines, b))
    first = by_merit[np.unique(b[by_merit], return_index=True)[1]]
    best[b[first] - len(known)], evidence[b[first] - len(known)] = a[first], cosines[first]
    return best, evidence


def _near(unseen: pl.Series, tags: pl.Series) -> pl.Series:
    """The tag that is spelled most alike, of the first ones, as many as are cheap to look for."""
    import polars as pl

    folded = {name.casefold(): name for name in reversed(tags.to_list())}
    near: list[str | None] = []
    for name in unseen.head(NEAR_PAIRS // max(len(folded), 1)):
        close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.75)
        near.append(folded[close[0]] if close else None)
    return pl.Series("near", near + [None] * (len(unseen) - len(near)), dtype=pl.String)
