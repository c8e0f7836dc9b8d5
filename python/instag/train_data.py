"""Conversations as a model is trained on them: tokens, where the loss counts, and the order that they are met in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from instag.conversations import Conversation
from instag.errors import DataError
from instag.masking import NOT_LEARNED, masked
from instag.templates import Unlearnable

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from instag.progress import Advance
    from instag.train_settings import TrainSettings


@dataclass(frozen=True)
class TrainData:
    """`ids` and `labels` (-100 where nothing is learned) of each conversation that is trained on, int32.

    `skipped` has a row a conversation that is not: its `number` (from 0, among all) and `reason`; `cut` is how many of
    the others were cut.
    """

    ids: list[NDArray[np.int32]]
    labels: list[NDArray[np.int32]]
    skipped: pl.DataFrame
    cut: int

    @property
    def tokens(self) -> NDArray[np.int64]:
        """What the model reads of each."""
        return np.array([len(ids) for ids in self.ids], np.int64)

    @property
    def learned(self) -> int:
        """Tokens where the loss counts, all together."""
        return sum(int(np.count_nonzero(labels != NOT_LEARNED)) for labels in self.labels)

    def reasons(self) -> dict[str, int]:
        """How many were skipped, by reason; the most frequent first."""
        return dict(Counter(self.skipped["reason"]).most_common())

    def __repr__(self) -> str:
        return f"TrainData({len(self.ids)} conversations, {len(self.skipped)} skipped)"


def train_data(
    told: Iterable[Conversation | str], tokenizer: Any, settings: TrainSettings, advance: Advance | None = None
) -> TrainData:
    """Tokens and labels of conversations; what there is nothing to learn from is listed with the reason.

    A conversation of more than `max_tokens` tokens is cut behind them, or left out (`too_long`). Raises `DataError`
    where none is left. Memory is 8 bytes a token.
    """
    import polars as pl

    ids: list[NDArray[np.int32]] = []
    labels: list[NDArray[np.int32]] = []
    skipped: list[tuple[int, str]] = []
    cut = 0
    for number, conversation in enumerate(told):
        if advance is not None:
            advance(1)
        found = _encoded(conversation, tokenizer, settings)
        if isinstance(found, str):
            skipped.append((number, found))
            continue
        cut += found[2]
        ids.append(found[0])
        labels.append(found[1])
    frame = pl.DataFrame(skipped, schema={"number": pl.Int64, "reason": pl.String}, orient="row")
    data = TrainData(ids, labels, frame, cut)
    if not ids:
        most = next(iter(data.reasons().items()), None)
        why = f"{most[1]:,} times: {most[0]}" if most else "the selection is empty"
        raise DataError(f"there is nothing to train on; {why}", hint="select other samples: `instag select`")
    return data


def _encoded(
    conversation: Conversation | str, tokenizer: Any, settings: TrainSettings
) -> tuple[NDArray[np.int32], NDArray[np.int32], bool] | str:
    """Tokens, labels and whether it was cut; or the reason why there is nothing to learn from it."""
    if isinstance(conversation, str):
        return conversation
    limit = settings.max_tokens
    try:
        found = masked(conversation.messages, tokenizer, settings.template, limit, tools=conversation.tools)
    except Unlearnable as reason:
        return str(reason)
    cut = found.tokens > limit
    if cut and settings.too_long == "drop":
        return f"longer than {limit:,} tokens"
    labels = np.array(found.labels, np.int32)
    if not np.any(labels[1:] != NOT_LEARNED):  # the first token is told by nothing
        return f"no answer within {limit:,} tokens" if cut else "its answers are empty"
    return np.array(found.ids, np.int32), labels, cut


def training_order(tokens: NDArray[np.int64], *, epochs: int, token_budget: int | None, seed: int) -> NDArray[np.int64]:
    """Which conversation is met when: all of them, in a new order each epoch, as often as it takes.

    With a budget they are taken until their tokens are at least as many, however many epochs that is. The order comes
    from the seed alone (numpy's PCG64), not from the number of devices, so that a training can be taken up where it
    was cut. Cost: linear in what is given.

    >>> training_order(np.array([5, 5, 5]), epochs=9, token_budget=21, seed=0).tolist()
    [2, 0, 1, 2, 1]
    """
    random = np.random.default_rng(seed)
    if token_budget is None:
        return np.concatenate([random.permutation(len(tokens)) for _ in range(epochs)]).astype(np.int64)
    taken: list[NDArray[np.int64]] = []
    left = token_budget
    while left > 0:
        order = random.permutation(len(tokens)).astype(np.int64)
        read = np.cumsum(tokens[order])
        needed = int(np.searchsorted(read, left)) + 1
        taken.append(order[:needed])
        left -= int(read[min(needed, len(read)) - 1])
    return np.concatenate(taken)


def longest_first(order: NDArray[np.int64], tokens: NDArray[np.int64], batch: int) -> NDArray[np.int64]:
    """The same order, but within each step's `batch` the longer conversations come first; equal ones as they were.

    A step is the sum over its samples, so nothing else changes; what goes through a device at once is then of about one
    length, so little of it is padding (more than twice as fast on two cores, four at once), and memory runs out soon if
    it does.

    >>> longest_first(np.array([0, 1, 2, 0]), np.array([5, 7, 6]), batch=2).tolist()
    [1, 0, 2, 0]
    """
    step = np.arange(len(order)) // batch
    return order[np.lexsort((-tokens[order], step))]
