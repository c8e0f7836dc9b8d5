"""Conversations as tokens, with labels where the loss counts: on what the assistant says, and on nothing else."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple

from instag.errors import ConfigError
from instag.templates import VICUNA, Message, pieces

NOT_LEARNED = -100  # what cross entropy passes over


class Masked(NamedTuple):
    """Token ids, and as many labels: the id where it is learned, else -100; `tokens` are there without the cut."""

    ids: list[int]
    labels: list[int]
    tokens: int


def masked(
    messages: Sequence[Message],
    tokenizer: Any,
    template: str = VICUNA,
    max_tokens: int | None = 2048,
    *,
    tools: str | None = None,
) -> Masked:
    """A conversation as a model is trained on it, cut behind `max_tokens` tokens (None: never).

    The whole text is cut into tokens at once, as it will be when the model is used, and a token is learned where it is
    wholly within what the assistant says, its end token included; so one that a prompt and an answer share is not: the
    model could never say it. Raises `Unlearnable` and `ConfigError` as `templates.pieces`, `ConfigError` where the
    tokenizer does not tell which characters a token stands for. Cost: one pass of the tokenizer.
    """
    told = pieces(messages, template, tokenizer, tools)
    text = "".join(piece.text for piece in told)
    if not getattr(tokenizer, "is_fast", False):
        raise ConfigError(
            f"the tokenizer `{type(tokenizer).__name__}` does not tell which characters its tokens stand for",
            hint="use a model whose folder holds a `tokenizer.json`",
        )
    # A template of the model's writes the first token itself; Vicuna's is text alone.
    found = tokenizer(text, add_special_tokens=template == VICUNA, return_offsets_mapping=True)
    ids, offsets = list(found["input_ids"]), found["offset_mapping"]
    starts, ends, learned = [], [], []
    at = 0
    for piece in told:
        starts.append(at)
        at += len(piece.text)
        ends.append(at)
        learned.append(piece.learned)

    def label(token: int, start: int, end: int) -> int:
        # Some tokenizers tell of a space that it has no width: it belongs to where it stands.
        piece = bisect_right(starts, start) - 1
        return token if piece >= 0 and learned[piece] and start < ends[piece] and end <= ends[piece] else NOT_LEARNED

    labels = [label(token, *span) for token, span in zip(ids, offsets, strict=True)]
    return Masked(ids[:max_tokens], labels[:max_tokens], len(ids))
