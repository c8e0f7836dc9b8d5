"""Held-out loss by tag: what a model says of a training without any judge, seen and unseen tags apart."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from instag.bootstrap import RESAMPLES, interval, resampled_sums
from instag.conversations import as_learned
from instag.errors import ConfigError, DataError, OutOfMemoryError
from instag.masking import NOT_LEARNED, masked
from instag.templates import VICUNA, Unlearnable

if TYPE_CHECKING:
    import polars as pl

    from instag.progress import Talk

Messages = Sequence[dict[str, Any]]
Encode = Callable[[Messages], tuple[Sequence[int], Sequence[int]]]  # token ids, and labels: -100 where none is learned

_FILES = ("heldout.jsonl", "seen.jsonl")
_LEAST = 2  # samples that an interval takes


@dataclass(frozen=True)
class HeldOut:
    """Conversations that a model was not trained on, the tags of each, and the tags that its training had."""

    conversations: list[list[dict[str, Any]]]
    tags: list[list[str]]
    seen: frozenset[str]

    def __repr__(self) -> str:
        return f"HeldOut({len(self.conversations)} samples, {len(self.seen)} seen tags)"


def read_held_out(path: str | Path) -> HeldOut:
    """What `instag split` held out: of RUN/split the files heldout.jsonl and seen.jsonl, or one such file.

    The seen tags are those that tags.parquet beside it has in the pool. Raises `DataError` with file and line for a
    line that is not `{"messages": [...], "instag": {"tags": [...]}}`.
    """
    import polars as pl

    path = Path(path)
    folder, files = (path, [path / name for name in _FILES]) if path.is_dir() else (path.parent, [path])
    files = [file for file in files if file.is_file()]
    table = folder / "tags.parquet"
    if not files or not table.is_file():
        what = f"`{path}`" if not files else f"`{table}` beside it"
        raise DataError(f"there is no held-out data at `{path}`: {what} is missing", hint="make it with `instag split`")
    conversations, tags = [], []
    for file in files:
        with open(file, encoding="utf-8", newline="\n") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    told = json.loads(line)
                    conversations.append(as_learned(list(told["messages"])))
                    tags.append([str(tag) for tag in told["instag"]["tags"]])
                except (ValueError, KeyError, TypeError):
                    raise DataError(
                        f"{file}:{number}: not a conversation with its tags", hint="make it again with `instag split`"
                    ) from None
    seen = pl.read_parquet(table, columns=["tag", "pool"]).filter(pl.col("pool") > 0)["tag"]
    return HeldOut(conversations, tags, frozenset(seen))


def heldout_loss(
    model_folder: str | Path,
    conversations: Iterable[Messages],
    tags: Sequence[Sequence[str]],
    *,
    seen: AbstractSet[str],
    template: str = VICUNA,
    max_tokens: int = 2048,
    encode: Encode | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    talk: Talk | None = None,
) -> pl.DataFrame:
    """The mean negative log likelihood, in nats a token, of assistant turns by a model: `loss_by_tag` of its losses.

    `model_folder` is a model in Hugging Face's form; `seen` are the tags that its training had. See `sample_losses` for
    the rest.
    """
    measured = sample_losses(
        model_folder, conversations, template=template, max_tokens=max_tokens, encode=encode, talk=talk
    )
    return loss_by_tag(measured, tags, seen=seen, resamples=resamples, seed=seed)


def loss_by_tag(
    measured: pl.DataFrame,
    tags: Sequence[Sequence[str]],
    *,
    seen: AbstractSet[str],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pl.DataFrame:
    """Losses of samples (`tokens`, `loss`: the sum over them) by tag: `tag, seen, samples, tokens, loss, low, high`.

    The first three rows have no tag: all samples (`seen` null), those whose tags were all seen, those with one that was
    not; where there are none of a kind the loss is null. Then a row a tag, seen ones last, by samples descending, then
    by name. `loss` is the sum over the tokens of all its samples by their number; `low` and `high` are the middle 95 %
    of the bootstrap over samples, null for a single one. Samples without a token to learn count nowhere.

    >>> import polars as pl
    >>> measured = pl.DataFrame({"tokens": [2, 4], "loss": [3.0, 12.0]})
    >>> loss_by_tag(measured, [["poem"], ["poem", "maths"]], seen={"poem"}).select("tag", "seen", "loss").rows()
    [(None, None, 2.5), (None, True, 1.5), (None, False, 3.0), ('maths', False, 3.0), ('poem', True, 2.5)]
    """
    import polars as pl

    if len(measured) != len(tags):
        raise DataError(f"there are losses of {len(measured)} samples, but tags of {len(tags)}")
    units = measured.select(pl.col("loss").cast(pl.Float64), pl.col("tokens").cast(pl.Float64)).to_numpy()
    told = [at for at in range(len(tags)) if units[at, 1] > 0]
    known = [at for at in told if all(tag in seen for tag in tags[at])]
    groups: dict[str, list[int]] = {}
    for at in told:
        for tag in dict.fromkeys(tags[at]):
            groups.setdefault(tag, []).append(at)
    rows: list[tuple[str | None, bool | None, list[int]]] = [(None, None, told), (None, True, known)]
    rows.append((None, False, sorted(set(told) - set(known))))
    rows += [(tag, tag in seen, groups[tag]) for tag in sorted(groups, key=lambda t: (t in seen, -len(groups[t]), t))]
    columns: dict[str, Any] = {"tag": pl.String, "seen": pl.Boolean, "samples": pl.Int64, "tokens": pl.Int64}
    columns |= dict.fromkeys(("loss", "low", "high"), pl.Float64)
    made = [
        (tag, was_seen, len(group), int(units[group, 1].sum()), *_mean(units[group], resamples, seed))
        for tag, was_seen, group in rows
    ]
    return pl.DataFrame(made, schema=columns, orient="row")


def _mean(units: np.ndarray[Any, np.dtype[np.float64]], resamples: int, seed: int) -> tuple[float | None, ...]:
    if not len(units):
        return None, None, None
    loss, tokens = units.sum(axis=0)
    if len(units) < _LEAST:
        return float(loss / tokens), None, None
    sums = resampled_sums(units, resamples=resamples, seed=seed)
    return float(loss / tokens), *interval(sums[:, 0] / sums[:, 1])


def sample_losses(
    model_folder: str | Path,
    conversations: Iterable[Messages],
    *,
    template: str = VICUNA,
    max_tokens: int = 2048,
    encode: Encode | None = None,
    device: str | None = None,
    talk: Talk | None = None,
) -> pl.DataFrame:
    """`tokens` of the assistant's turns and `loss`, the sum of their negative log likelihoods, one row a conversation.

    `encode` makes ids and labels of a conversation, -100 where nothing is learned; by default it is what training does
    with `template` and `max_tokens`. A conversation of which the cut left no such token, or that the template has no
    text for, has 0 tokens. One goes through
    the model at a time, so no padding changes a digit; log likelihoods are taken in float32 whatever the model's type,
    and added in float64. `device` is by default the accelerator where there is one. Raises `ConfigError` where the
    folder holds no model or no tokenizer, where the extra `train` is missing, or where a conversation is longer than
    the model takes; `DataError` where a loss is not finite; `OutOfMemoryError` with what to lower.
    """
    import polars as pl

    from instag.progress import Talk

    torch, model, tokenizer = load_model(model_folder, device)
    if encode is None:

        def encode(messages: Messages) -> tuple[Sequence[int], Sequence[int]]:
            try:
                return masked(messages, tokenizer, template, max_tokens)[:2]
            except Unlearnable:
                return [], []

    most = getattr(model.config, "max_position_embeddings", None)
    found: list[tuple[int, float]] = []
    with (talk or Talk(quiet=True)).bar("held-out loss", unit="sample") as advance, torch.inference_mode():
        for number, messages in enumerate(conversations):
            ids, labels = encode(messages)
            if most is not None and len(ids) > most:
                raise ConfigError(
                    f"conversation {number} has {len(ids):,} tokens, the model takes {most:,}",
                    hint=f"lower `max_tokens` to {most}",
                )
            found.append(_loss(torch, model, ids, labels))
            if not math.isfinite(found[-1][1]):
                raise DataError(
                    f"the loss of conversation {number} is {found[-1][1]}",
                    hint="the training went wrong: see its curve",
                )
            advance(1)
    return pl.DataFrame(found, schema={"tokens": pl.Int64, "loss": pl.Float64}, orient="row")


def _loss(torch: Any, model: Any, ids: Sequence[int], labels: Sequence[int]) -> tuple[int, float]:
    """How many tokens are learned, and the sum of their losses; a token is told from those before it."""
    wanted = [at for at in range(1, len(ids)) if labels[at] != NOT_LEARNED]
    if not wanted:
        return 0, 0.0
    try:
        logits = model(input_ids=torch.tensor([list(ids)], device=model.device)).logits[0]
        chosen = logits[torch.tensor(wanted, device=logits.device) - 1].float()
        target = torch.tensor([labels[at] for at in wanted], device=logits.device)
        losses = torch.nn.functional.cross_entropy(chosen, target, reduction="none")
    except torch.OutOfMemoryError as error:
        raise OutOfMemoryError(
            f"memory ran out at a conversation of {len(ids):,} tokens: {str(error).splitlines()[0]}",
            hint="lower `max_tokens`",
        ) from None
    return len(wanted), float(losses.double().sum())


def load_model(folder: str | Path, device: str | None = None) -> tuple[Any, Any, Any]:
    """torch, the model on its device, and its tokenizer; from a folder alone, nothing is fetched."""
    path = Path(folder)
    if not (path / "config.json").is_file():
        raise ConfigError(f"`{folder}` holds no model: there is no `config.json`", hint="name RUN/train/model")
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils.logging import disable_progress_bar
    except ImportError as error:
        raise ConfigError(f"a model in a folder needs `{error.name}`", hint='pip install "instag[train]"') from None
    disable_progress_bar()  # of reading the weights: it would stand on stderr whatever was asked for
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(path), local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"`{folder}` holds no tokenizer: {reason}", hint="put its tokenizer beside it") from None
    try:
        model = AutoModelForCausalLM.from_pretrained(str(path), local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"`{folder}` holds no model: {str(error).splitlines()[0]}") from None
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return torch, model.to(device).eval(), tokenizer
