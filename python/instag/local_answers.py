"""A model in a folder on this machine answers chats, through transformers; what it said is kept as an endpoint's is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from functools import cached_property
from time import perf_counter
from typing import Any

from instag.answers import Answer, AnswerStore
from instag.asking import Failure
from instag.completions import Again, Ask, Message, Usage
from instag.errors import OutOfMemoryError
from instag.heldout_loss import load_model
from instag.model_files import BaseModel, longest
from instag.tagger import Progress, ProgressHook
from instag.templates import MODEL, Unlearnable, pieces

_GREEDY_BELOW = 1e-4  # temperatures, as in FastChat


class FolderModel:
    """A model in Hugging Face's form; its identity is the digest of its files, wherever it lies.

    `template` makes the text of a chat, as in training. At temperature 0 the likeliest token is taken; above it tokens
    are drawn, without cutting the distribution, from a seed that follows from the request. The model is loaded when the
    first request has no answer in the store. Raises `ConfigError` where the folder holds no model or no tokenizer.
    """

    def __init__(self, model: BaseModel, store: AnswerStore, *, template: str, device: str | None = None) -> None:
        self._folder, self._store, self._template, self._device = model.folder, store, template, device
        self.name = model.name
        self.identity = f"folder:{model.digest}"
        self.usage = Usage(cost_usd=0.0)

    @cached_property
    def _loaded(self) -> tuple[Any, Any, Any]:
        return load_model(self._folder, self._device)

    def answers(
        self, asks: Sequence[Ask], *, again: Again | None = None, progress: ProgressHook | None = None
    ) -> list[Answer | Failure]:
        """An answer or a failure for each request, in order; see `completions.ChatModel`."""
        keys = [ask.key(model=self.identity, template=self._template) for ask in asks]
        distinct = dict(zip(keys, asks, strict=True))
        found: dict[bytes, Answer | Failure] = {answer.key: answer for answer in self._store.get(list(distinct))}
        self.usage.reused += len(found)
        for key, ask in distinct.items():
            if key not in found:
                found[key] = made = self._answer(key, ask)
                if isinstance(made, Answer):
                    self._store.put([made])
                    self.usage.asked += 1
                    self.usage.prompt_tokens += made.prompt_tokens or 0
                    self.usage.completion_tokens += made.completion_tokens or 0
                if progress is not None:
                    tokens = self.usage.prompt_tokens, self.usage.completion_tokens
                    progress(Progress(len(found), len(distinct), 0, 1, *tokens))
        return [found[key] for key in keys]

    def _answer(self, key: bytes, ask: Ask) -> Answer | Failure:
        torch, model, tokenizer = self._loaded
        try:
            prompt, ends = self._prompt(ask.messages, tokenizer)
        except Unlearnable as why:
            return Failure("template", str(why))
        ids = tokenizer(prompt, add_special_tokens=self._template != MODEL)["input_ids"]
        most = longest(model.config.to_dict())
        room = ask.max_tokens if most is None else min(ask.max_tokens, most - len(ids))
        if room < 1:
            return Failure("too_long", f"the chat has {len(ids):,} tokens, the model takes {most:,}")
        drawn = ask.temperature >= _GREEDY_BELOW
        how = {"do_sample": True, "temperature": ask.temperature, "top_k": 0, "top_p": 1.0} if drawn else {}
        torch.manual_seed(int.from_bytes(key[:7], "big"))
        started = perf_counter()
        try:
            with torch.inference_mode():
                out = model.generate(
                    input_ids=torch.tensor([ids], device=model.device),
                    attention_mask=torch.ones((1, len(ids)), dtype=torch.long, device=model.device),
                    max_new_tokens=room,
                    eos_token_id=ends or None,
                    pad_token_id=ends[0] if ends else 0,
                    **({"do_sample": False} if not drawn else how),
                )
        except torch.OutOfMemoryError as error:
            raise OutOfMemoryError(
                f"memory ran out at a chat of {len(ids):,} tokens: {str(error).splitlines()[0]}",
                hint="lower `--max-tokens`; what was answered is kept",
            ) from None
        made = out[0][len(ids) :].tolist()
        return Answer(
            key=key,
            answer=tokenizer.decode(made, skip_special_tokens=True).strip(),
            refusal=None,
            finish_reason="stop" if made and made[-1] in ends else "length",
            model=self.identity,
            prompt_tokens=len(ids),
            completion_tokens=len(made),
            finished=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            seconds=round(perf_counter() - started, 3),
        )

    def _prompt(self, messages: Sequence[Message], tokenizer: Any) -> tuple[str, list[int]]:
        """The text up to where the model is to speak, and the tokens that end its turn: what training taught it."""
        *before, answer = pieces([*messages, {"role": "assistant", "content": "-"}], self._template, tokenizer)
        end = tokenizer(answer.text.rpartition("-")[2].strip(), add_special_tokens=False)["input_ids"]
        ends = [tokenizer.eos_token_id, *(end if len(end) == 1 else [])]
        return "".join(piece.text for piece in before), list(dict.fromkeys(each for each in ends if each is not None))
