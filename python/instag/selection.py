"""Select: a subset of the pool that holds many intentions, and its most complex samples first."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from instag import _core, picking
from instag.controlled import controlled
from instag.errors import ConfigError, DataError
from instag.shards import each
from instag.table import FROM_SERIES

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from instag.shards import TagRows
    from instag.table import TagTable

METHODS = ("complexity-first", "random", "complexity", "coverage", "controlled")
COMPLEXITIES = ("union", "mean-per-turn", "max-turn")
RANKED = ("complexity-first", "complexity")  # the methods that look at complexity
RANDOM_SEEDS = 20
TAKEN_AT_ONCE = 10_000_000  # rows of random subsets held in memory together


@dataclass(frozen=True)
class SelectSettings:
    """What decides a selection; `ConfigError` where a value is outside its domain.

    `k` samples by `method` (one of `METHODS`); `complexity` (one of `COMPLEXITIES`) is what the methods that rank
    go by; `seed` is the one of `random` and `controlled`; `allow_partial` takes samples with a failed turn too.
    `target_coverage` (a share, 0 to 1) and `target_mean_tags` are what `controlled` is to have: one, or both.

    >>> SelectSettings(k=0)
    Traceback (most recent call last):
    instag.errors.ConfigError: `k` is 0, must be a whole number of at least 1
    """

    k: int = 6000
    method: str = "complexity-first"
    complexity: str = "union"
    seed: int = 0
    allow_partial: bool = False
    target_coverage: float | None = None
    target_mean_tags: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("k", 1), ("seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
                raise ConfigError(f"`{name}` is {value!r}, must be a whole number of at least {least}")
        for name, known in (("method", METHODS), ("complexity", COMPLEXITIES)):
            if getattr(self, name) not in known:
                raise ConfigError(f"unknown `{name}` {getattr(self, name)!r}", hint=f"one of {', '.join(known)}")
        if self.complexity != "union" and self.method not in RANKED:
            raise ConfigError(
                f"`complexity` is {self.complexity!r}, but the method `{self.method}` does not rank by complexity",
                hint=f"only {' and '.join(RANKED)} do",
            )
        if not isinstance(self.allow_partial, bool):
            raise ConfigError(f"`allow_partial` is {self.allow_partial!r}, must be true or false")
        self._check_targets()

    def _check_targets(self) -> None:
        targets = {"target_coverage": self.target_coverage, "target_mean_tags": self.target_mean_tags}
        given = {name: value for name, value in targets.items() if value is not None}
        if self.method == "controlled" and not given:
            raise ConfigError(
                "the method `controlled` needs a target", hint="say `target_coverage`, `target_mean_tags`, or both"
            )
        for name, value in given.items():
            if self.method != "controlled":
                raise ConfigError(f"`{name}` is given, but the method `{self.method}` does not look at it")
            most = 1.0 if name == "target_coverage" else float("inf")
            if isinstance(value, bool) or not 0 < value <= most or value == float("inf"):
                told = "a share above 0 and at most 1" if most == 1 else "a number above 0"
                raise ConfigError(f"`{name}` is {value!r}, must be {told}")


@dataclass(frozen=True, eq=False)
class Baseline:
    """Random subsets of the same size, from the same eligible rows (untagged ones too): means and standard deviations.

    `coverage` and `coverage_std` are float64, one entry a pick. The deviations are those of a sample (n - 1) over
    `seeds` subsets. Turns are None where they were not given.
    """

    coverage: NDArray[np.float64] = field(repr=False)
    coverage_std: NDArray[np.float64] = field(repr=False)
    mean_tags: float
    mean_tags_std: float
    mean_turns: float | None
    mean_turns_std: float | None
    seeds: int = RANDOM_SEEDS


@dataclass(frozen=True)
class _Pool:
    """What a selection was made from, for what is computed only when asked."""

    table: TagRows
    eligible: NDArray[np.bool_] | None
    turns: NDArray[np.int64] | None
    tags: int  # that occur

    @property
    def size(self) -> int:
        """Rows that may be picked."""
        return len(self.table) if self.eligible is None else int(np.count_nonzero(self.eligible))

    def shuffled(self, k: int, seed: int) -> NDArray[np.int64]:
        """The first `k` of them in the random order of `seed`."""
        order = random_order(self.size, k, seed)
        return order if self.eligible is None else np.flatnonzero(self.eligible)[order]

    @property
    def untagged(self) -> int:
        """Rows that may be picked, but hold no tag."""

        def of_shard(shard: TagTable, first: int) -> int:
            empty = np.diff(shard.offsets) == 0
            return int(
                np.count_nonzero(empty if self.eligible is None else empty & self.eligible[first:][: len(shard)])
            )

        return sum(each(self.table, of_shard))


@dataclass(frozen=True, repr=False, eq=False)
class Selection:
    """What was picked, in pick order, beside random subsets of the same size.

    `rows` (int64) are row numbers of the table. `rounds` (int32, from 1) and `gains` (int64, tags new in their round)
    are None where the method has none. `coverage` (float64) is the cumulative share of the table's tags, those that
    some row holds, after each pick; `mean_tags` the mean number of tags a pick (0.0 where nothing was). `notes` say
    what a reader must know, one sentence each. `random` is computed when first asked for.
    """

    rows: NDArray[np.int64]
    rounds: NDArray[np.int32] | None
    gains: NDArray[np.int64] | None
    coverage: NDArray[np.float64]
    method: str
    mean_tags: float
    notes: tuple[str, ...]
    _pool: _Pool

    @property
    def mean_turns(self) -> float | None:
        """Mean turns a picked sample; None where `turns` was not given."""
        turns = self._pool.turns
        return None if turns is None else int(turns[self.rows].sum()) / max(len(self.rows), 1)

    @cached_property
    def random(self) -> Baseline:
        """20 random subsets (seeds 0 to 19) of the same size from the same eligible rows."""
        pool, k = self._pool, len(self.rows)
        seen, squares = np.zeros(k, np.int64), np.zeros(k, np.int64)
        tags, turns = [], []
        at_once = max(min(TAKEN_AT_ONCE // max(k, 1), RANDOM_SEEDS), 1)  # shards are read once for so many subsets
        for start in range(0, RANDOM_SEEDS, at_once):
            subsets = [pool.shuffled(k, seed) for seed in range(start, min(start + at_once, RANDOM_SEEDS))]
            taken = pool.table.take(np.concatenate(subsets))
            for at, rows in enumerate(subsets):
                count = tags_seen(taken, np.arange(at * k, at * k + k))
                seen += count
                squares += count * count
                tags.append(int(taken.offsets[at * k + k] - taken.offsets[at * k]))
                turns.append(0 if pool.turns is None else int(pool.turns[rows].sum()))
        n, all_tags = RANDOM_SEEDS, max(pool.tags, 1)
        coverage_std = np.sqrt((n * squares - seen * seen) / (n * (n - 1))) / all_tags
        mean_tags, mean_turns = (_mean_and_std(sums, max(k, 1)) for sums in (tags, turns))
        known = pool.turns is not None
        return Baseline(seen / n / all_tags, coverage_std, *mean_tags, *(mean_turns if known else (None, None)))

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        coverage = self.coverage[-1] if len(self) else 0.0
        return (
            f"Selection({len(self):,} rows by {self.method}, coverage {coverage:.1%}, mean {self.mean_tags:.2f} tags)"
        )


def select(
    table: TagRows,
    k: int = 6000,
    method: str = "complexity-first",
    seed: int = 0,
    *,
    complexity: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    eligible: ArrayLike | None = None,
    turns: ArrayLike | None = None,
    target_coverage: float | None = None,
    target_mean_tags: float | None = None,
) -> Selection:
    """Picks `k` rows of `table`; fewer, and a note saying why, where fewer can be picked.

    Methods:
        `complexity-first`: Algorithm 1 of #InsTag. In every round, rows by number of tags descending (ties: the earlier
            row) are picked when they hold a tag not yet covered in the round. O(tags), whatever `k` is.
        `coverage`: the row that adds most tags (by `weights`, one a tag, default 1) to those covered, the earlier row
            among equals, by lazy greedy search; when none adds any, covering starts anew.
        `complexity`: the rows of most tags, the earlier row among equals.
        `controlled`: rows that hold a share `target_coverage` of the tags, or `target_mean_tags` each on average, or
            both; by `seed`. `DataError`, with what can be reached, where none are found.
        `random`: the same rows for the same `seed` on any machine. Takes untagged rows too; the others never do.

    `complexity` (one finite number a row) replaces the number of tags in the methods that rank by it; `eligible` (one
    bool a row) leaves rows out; `turns` (one a row) is for reports only. Raises `ConfigError` for a setting outside its
    domain, `DataError` for an array that does not fit the table.

    >>> import polars as pl
    >>> from instag import TagTable, select
    >>> table = TagTable.from_series(pl.Series([["math"], ["math", "history"], ["art"], ["math"], []]))
    >>> picked = select(table, k=3)
    >>> picked
    Selection(3 rows by complexity-first, coverage 100.0%, mean 1.33 tags)
    >>> picked.rows.tolist(), picked.rounds.tolist(), picked.gains.tolist()
    ([1, 2, 0], [1, 1, 2], [2, 1, 1])
    >>> picked.coverage.round(2).tolist(), picked.mean_tags > picked.random.mean_tags
    ([0.67, 1.0, 1.0], True)
    """
    if not hasattr(table, "vocabulary"):
        raise DataError(f"`table` is a {type(table).__name__}, must be a TagTable", hint=FROM_SERIES)
    targets = {"target_coverage": target_coverage, "target_mean_tags": target_mean_tags}
    settings = SelectSettings(k=k, method=method, seed=seed, **targets)  # type: ignore[arg-type]
    rows, size = len(table), len(table.vocabulary)
    for name, given, methods in (("complexity", complexity, RANKED), ("weights", weights, ("coverage",))):
        if given is not None and method not in methods:
            raise ConfigError(f"`{name}` is given, but the method `{method}` does not look at it")
    mask = _numbers(eligible, np.dtype(np.bool_), "eligible", rows)
    turn_counts = _numbers(turns, np.dtype(np.int64), "turns", rows)
    ranks = _numbers(complexity, np.dtype(np.float64), "complexity", rows)
    floats = _numbers(weights, np.dtype(np.float64), "weights", size)
    pool, wanted = _Pool(table, mask, turn_counts, 0), min(settings.k, rows)
    picked: NDArray[np.int64]
    rounds: NDArray[np.int32] | None
    gains: NDArray[np.int64] | None
    rounds = gains = None
    try:
        if method == "random":
            picked = pool.shuffled(min(wanted, pool.size), settings.seed)
        elif method == "coverage":
            picked, rounds, gains = picking.max_coverage(table, wanted, floats, mask)
        elif method == "controlled":
            shuffled = pool.shuffled(pool.size, settings.seed)
            picked = controlled(table.whole(), settings.k, shuffled, **targets)
        elif method == "complexity":
            picked, rounds, gains = picking.most_complex(table, wanted, ranks, mask)
        else:
            picked, rounds, gains = picking.complexity_first(table, wanted, ranks, mask)
    except DataError:
        raise
    except ValueError as error:
        raise DataError(str(error)) from None
    taken = table.take(picked)
    seen = tags_seen(taken, np.arange(len(picked)))
    # Counting the tags that occur takes as long as selecting: not where the picks hold every tag there is.
    tags = size if seen[-1:].tolist() == [size] else int(np.count_nonzero(table.counts))
    pool, mean_tags = replace(pool, tags=tags), len(taken.ids) / max(len(picked), 1)
    notes = _notes(settings, pool, len(picked))
    return Selection(picked, rounds, gains, seen / max(tags, 1), method, mean_tags, notes, pool)


def turn_complexity(
    tags: ArrayLike, groups: ArrayLike, mode: str, *, ok: ArrayLike | None = None
) -> NDArray[np.float64]:
    """The complexity of each sample by its turns: the mean, or the largest, number of tags a query.

    `tags` is the number of tags of each query; the queries of sample `s` are `groups[s]` up to `groups[s + 1]`; `mode`
    is `mean-per-turn` or `max-turn`. Queries that failed (not `ok`) do not count; a sample without any other has 0.0.

    >>> turn_complexity([4, 2, 3], [0, 2, 3], "mean-per-turn").tolist()
    [3.0, 3.0]
    >>> turn_complexity([4, 2, 3], [0, 2, 3], "max-turn", ok=[False, True, True]).tolist()
    [2.0, 3.0]
    """
    counts, bounds = np.asarray(tags, np.int64), np.asarray(groups, np.int64)
    counted = np.ones(len(counts), bool) if ok is None else np.asarray(ok, bool)
    if len(counted) != len(counts):
        raise DataError(f"`ok` has {len(counted)} entries, but there are {len(counts)} queries")
    if not len(bounds) or bounds[0] != 0 or bounds[-1] != len(counts) or (np.diff(bounds) < 0).any():
        raise DataError(f"`groups` must rise from 0 to the number of queries, {len(counts)}")
    counts = np.where(counted, counts, 0)
    if mode == "mean-per-turn":
        sums, queries = (np.concatenate([[0], values.cumsum()])[bounds] for values in (counts, counted))
        return np.diff(sums) / np.maximum(np.diff(queries), 1)
    if mode != "max-turn":
        raise ConfigError(f"unknown `mode` {mode!r}", hint="one of mean-per-turn, max-turn")
    largest = np.zeros(len(bounds) - 1)
    filled = np.diff(bounds) > 0  # `reduceat` gives an empty group its neighbor's value
    if filled.any():
        largest[filled] = np.maximum.reduceat(counts, bounds[:-1][filled])
    return largest


def tags_seen(table: TagTable, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many distinct tags the first, the first two, ... of `rows` hold."""
    first = _core.first_seen(table.offsets, table.ids, len(table.vocabulary), rows)
    return np.bincount(first[first >= 0], minlength=len(rows)).cumsum()


def random_order(n: int, k: int, seed: int) -> NDArray[np.int64]:
    """The first `k` of `n` in the random order of `seed`: a prefix of it, whatever `k` is, on any machine.

    The bits of NumPy's PCG64 are fixed for all time, unlike the methods of its `Generator`; the shuffle is ours.

    >>> random_order(5, 5, seed=0).tolist()[:3] == random_order(5, 3, seed=0).tolist()
    True
    """
    return _core.draw(n, np.random.PCG64(seed).random_raw(k))


def random_places(n: int, seed: int) -> NDArray[np.int64]:
    """Where each of `n` stands in the random order of `seed`.

    >>> random_places(5, seed=0)[random_order(5, 5, seed=0)].tolist()
    [0, 1, 2, 3, 4]
    """
    return _core.draw_places(np.random.PCG64(seed).random_raw(n))


def _notes(settings: SelectSettings, pool: _Pool, picked: int) -> tuple[str, ...]:
    if picked == settings.k:
        return ()
    left_out, untagged = len(pool.table) - pool.size, pool.untagged
    reasons = [f"the pool has {len(pool.table):,} samples"]
    if left_out:
        reasons.append(f"{left_out:,} of them are not eligible")
    if untagged and settings.method != "random":
        reasons.append(f"{untagged:,} eligible ones hold no tag")
    return (f"{picked:,} samples selected, {settings.k:,} asked for: " + ", ".join(reasons),)


def _mean_and_std(sums: list[int], k: int) -> tuple[float, float]:
    n, total = len(sums), sum(sums)
    variance = (n * sum(value * value for value in sums) - total * total) / (n * (n - 1))
    return total / n / k, variance**0.5 / k


def _numbers(
    values: ArrayLike | None, dtype: np.dtype[Any], name: str, expected: int, *, narrow: bool = False
) -> NDArray[Any] | None:
    """`values` as a contiguous array of `dtype` and length `expected`, refused where that would change a value.

    Where it may be `narrow`, numbers of fewer bytes stay as they are.
    """
    if values is None:
        return None
    array = np.asarray(values)
    kinds = {"b": "b", "i": "iu", "f": "iuf"}[dtype.kind]
    if array.ndim != 1 or (array.size and array.dtype.kind not in kinds):
        what = {"b": "bools", "i": "whole numbers", "f": "numbers"}[dtype.kind]
        raise DataError(f"`{name}` must be one-dimensional and hold {what}, found {array.dtype} of shape {array.shape}")
    if len(array) != expected:
        raise DataError(f"`{name}` has {len(array)} entries, but {expected} are needed")
    return np.ascontiguousarray(array, dtype=array.dtype if narrow and array.itemsize < dtype.itemsize else dtype)
