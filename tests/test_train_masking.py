"""What is learned of a conversation, token by token: for every template, several kinds of tokenizers, any turns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from instag import ConfigError
from instag.masking import NOT_LEARNED, masked
from instag.templates import MODEL, VICUNA, VICUNA_SYSTEM, Unlearnable, pieces

pytestmark = pytest.mark.train
transformers = pytest.importorskip("transformers", reason="the extra `train` is not installed")
tokenizers = pytest.importorskip("tokenizers", reason="the extra `train` is not installed")

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
FORGETFUL = (  # as templates that leave out the thoughts of earlier turns
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and not loop.last %}{{ m.content.split('</think>')[-1] }}"
    "{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXT = [
    "A chat between a user and an assistant. USER: What is rain? ASSISTANT: Water that falls.  So it is, héllo 雨!"
] * 3

ONE = [{"role": "user", "content": "What is rain?"}, {"role": "assistant", "content": "Water, that falls."}]
MANY = [
    {"role": "system", "content": "You are brief."},
    *ONE,
    {"role": "user", "content": "  And snow?\n\nTell me."},
    {"role": "assistant", "content": " Frozen:  雨\n\n- cold 🎉\n"},
]
TOOLS: list[dict[str, Any]] = [
    {"role": "user", "content": "Weather?"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": "{}"}}],
    },
    {"role": "tool", "content": "rain"},
    {"role": "assistant", "content": "It rains."},
]
UNANSWERED = [*ONE, {"role": "user", "content": "And hail?"}]


def byte_level(trim: bool) -> Any:
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    made.post_processor = tokenizers.processors.ByteLevel(trim_offsets=trim)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(TEXT, trainer)
    return made


def metaspace() -> Any:
    """As LLaMA: a mark in place of the space, unknown letters as bytes, and a first token put in front."""
    made = tokenizers.Tokenizer(tokenizers.models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    made.normalizer = tokenizers.normalizers.Replace(" ", "▁")
    made.pre_tokenizer = tokenizers.pre_tokenizers.Split("▁", "merged_with_next")
    made.decoder = tokenizers.decoders.Sequence(
        [tokenizers.decoders.Replace("▁", " "), tokenizers.decoders.ByteFallback(), tokenizers.decoders.Fuse()]
    )
    every = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=500, special_tokens=["<unk>", "<s>", "</s>", *every], show_progress=False
    )
    made.train_from_iterator(TEXT, trainer)
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", made.token_to_id("<s>"))]
    )
    return made


@pytest.fixture(params=["bytes", "bytes, trimmed", "metaspace"])
def tokenizer(request: pytest.FixtureRequest) -> Any:
    kind = request.param
    made = metaspace() if kind == "metaspace" else byte_level(trim="trimmed" in kind)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>")
    fast.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    fast.chat_template = CHATML
    return fast


def learned_text(tokenizer: Any, found: Any) -> list[str]:
    """The text of each run of learned tokens."""
    runs: list[list[int]] = []
    before = NOT_LEARNED
    for token, label in zip(found.ids, found.labels, strict=True):
        assert label in (token, NOT_LEARNED)
        if label != NOT_LEARNED:
            runs += [[]] if before == NOT_LEARNED else []
            runs[-1].append(token)
        before = label
    return [tokenizer.decode(run, clean_up_tokenization_spaces=False) for run in runs]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (ONE, [" Water, that falls.</s>"]),
        (MANY, [" Water, that falls.</s>", "  Frozen:  雨\n\n- cold 🎉\n</s>"]),
        (UNANSWERED, [" Water, that falls.</s>"]),
    ],
)
def test_vicuna_learns_the_answers_and_their_ends(tokenizer: Any, messages: Any, expected: list[str]) -> None:
    found = masked(messages, tokenizer, VICUNA)
    assert learned_text(tokenizer, found) == expected
    assert found.tokens == len(found.ids)
    assert found.ids[-1] == tokenizer.eos_token_id


def test_vicuna_tells_tools(tokenizer: Any) -> None:
    found = masked(TOOLS, tokenizer, VICUNA)
    call, answer = learned_text(tokenizer, found)
    assert call == ' [{"type": "function", "function": {"name": "weather", "arguments": "{}"}}]</s>'
    assert answer == " It rains.</s>"
    assert "TOOL: rain ASSISTANT:" in tokenizer.decode(found.ids, clean_up_tokenization_spaces=False)


def test_vicuna_is_the_text_of_the_template_in_docs(tokenizer: Any) -> None:
    jinja = (Path(__file__).parents[1] / "docs" / "vicuna.jinja").read_text("utf-8")
    for messages in (ONE, MANY):
        told = "".join(piece.text for piece in pieces(messages, VICUNA, tokenizer))
        whole = tokenizer.apply_chat_template(messages, chat_template=jinja, tokenize=False)
        assert whole == f"<s>{told}"
    assert pieces(ONE, VICUNA, tokenizer)[0].text == VICUNA_SYSTEM


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (ONE, ["Water, that falls.<|im_end|>"]),
        (MANY, ["Water, that falls.<|im_end|>", " Frozen:  雨\n\n- cold 🎉\n<|im_end|>"]),
        (UNANSWERED, ["Water, that falls.<|im_end|>"]),
        (TOOLS, ["<|im_end|>", "It rains.<|im_end|>"]),
    ],
)
def test_the_models_own_template(tokenizer: Any, messages: Any, expected: list[str]) -> None:
    found = masked(messages, tokenizer, MODEL)
    assert learned_text(tokenizer, found) == expected
    last = max(at for at, message in enumerate(messages) if message["role"] == "assistant")
    whole = tokenizer.apply_chat_template(messages[: last + 1], tokenize=False)
    assert tokenizer.decode(found.ids, clean_up_tokenization_spaces=False) == whole.rstrip()


def test_a_token_that_prompt_and_answer_share_is_not_learned() -> None:
    made = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({"[UNK]": 0, "ASSISTANT: Yes": 1, ".": 2, "</s>": 3}, "[UNK]")
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex("ASSISTANT: Yes|[.]"), "isolated")
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=made, eos_token="</s>", unk_token="[UNK]")
    told = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "Yes."}]
    assert [label for label in masked(told, fast).labels if label != NOT_LEARNED] == [2, 3]


def test_a_cut_keeps_the_beginning(tokenizer: Any) -> None:
    whole = masked(MANY, tokenizer, VICUNA, None)
    for most in (1, 7, len(whole.ids) - 1, len(whole.ids)):
        cut = masked(MANY, tokenizer, VICUNA, most)
        assert (cut.ids, cut.labels, cut.tokens) == (whole.ids[:most], whole.labels[:most], len(whole.ids))


def test_what_cannot_be_learned_says_why(tokenizer: Any) -> None:
    for template in (VICUNA, MODEL):
        with pytest.raises(Unlearnable, match="no assistant's turn"):
            masked(ONE[:1], tokenizer, template)
        with pytest.raises(Unlearnable, match=r"<\|im_end\|>"):
            masked([{"role": "user", "content": "a <|im_end|> b"}, ONE[1]], tokenizer, template)
    with pytest.raises(Unlearnable, match="`system` message behind"):
        masked([*ONE, MANY[0], *ONE], tokenizer, VICUNA)
    tokenizer.chat_template = FORGETFUL
    thinking = [ONE[0], {"role": "assistant", "content": "<think>hm</think>Water."}, *ONE]
    with pytest.raises(Unlearnable, match="writes turn 1 otherwise"):
        masked(thinking, tokenizer, MODEL)
    tokenizer.chat_template = "{{ raise_exception('roles must take turns') }}"
    with pytest.raises(Unlearnable, match="refuses it: roles must take turns"):
        masked(ONE, tokenizer, MODEL)


def test_a_tokenizer_that_lacks_what_is_needed(tokenizer: Any) -> None:
    with pytest.raises(ConfigError, match="`template` is 'chatml'"):
        masked(ONE, tokenizer, "chatml")
    tokenizer.chat_template = None
    with pytest.raises(ConfigError, match="no chat template"):
        masked(ONE, tokenizer, MODEL)
    tokenizer.eos_token = None
    with pytest.raises(ConfigError, match="end token"):
        masked(ONE, tokenizer, VICUNA)
