"""Chat templates: a conversation as the text that a model is trained on, and which parts of it are learned."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from instag.errors import ConfigError

Message = Mapping[str, Any]

VICUNA = "vicuna-v1.1"
MODEL = "model"
TEMPLATES = (VICUNA, MODEL)
VICUNA_SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions."
)
_VICUNA_ROLES = {"user": "USER", "tool": "TOOL"}


# The same as a tokenizer of Hugging Face keeps it: whoever serves the model asks it so.
_VICUNA_JINJA = (
    "{%- if messages[0]['role'] == 'system' %}{{- messages[0]['content'] }}{%- set rest = messages[1:] %}"
    "{%- else %}{{- SYSTEM }}{%- set rest = messages %}{%- endif %}"
    "{%- if tools %}{{- '\n\nTools: ' + (tools | tojson) }}{%- endif %}"
    "{%- set state = namespace(gap=' ') %}"
    "{%- for message in rest %}"
    "{%- set content = message['content'] or '' %}"
    "{%- if message['role'] == 'assistant' %}"
    "{{- state.gap + 'ASSISTANT: ' + content }}"
    "{%- if message.tool_calls %}{{- message.tool_calls | tojson }}{%- endif %}"
    "{{- eos_token }}{%- set state.gap = '' %}"
    "{%- elif message['role'] == 'user' %}{{- state.gap + 'USER: ' + content }}{%- set state.gap = ' ' %}"
    "{%- elif message['role'] == 'tool' %}{{- state.gap + 'TOOL: ' + content }}{%- set state.gap = ' ' %}"
    "{%- else %}{{- raise_exception('a system message behind others') }}{%- endif %}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- state.gap + 'ASSISTANT:' }}{%- endif %}"
)


class Piece(NamedTuple):
    """A part of the text; `learned` where the loss counts."""

    text: str
    learned: bool


class Unlearnable(Exception):  # noqa: N818 - no error of the run: the reason why one conversation is passed over
    """A conversation that a template has no text for; the text is the reason, as the table of skipped ones tells it."""


def pieces(messages: Sequence[Message], template: str, tokenizer: Any, tools: str | None = None) -> list[Piece]:
    """The text of a conversation, in pieces that are learned (what the assistant says, and its end) or not.

    `messages` are `{"role": system | user | assistant | tool, "content", "tool_calls"?}`, `tools` the definitions of
    what may be called, as JSON. `template` is `vicuna-v1.1` (the paper's, as FastChat writes it; a system message takes
    the place of its own sentence, behind it stand the tools, a tool's result is a turn of `TOOL`, calls are JSON behind
    what the assistant says), or `model`, the tokenizer's own. `Unlearnable` has a reason about the conversation;
    `ConfigError` is raised where the tokenizer lacks what the template needs.

    >>> class Tokenizer:
    ...     eos_token, all_special_tokens = "</s>", ["</s>"]
    >>> told = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
    >>> pieces(told, "vicuna-v1.1", Tokenizer())[1:]
    [Piece(text=' USER: Hi ASSISTANT:', learned=False), Piece(text=' Hello.</s>', learned=True)]
    """
    if template not in TEMPLATES:
        raise ConfigError(f"`template` is {template!r}, which is none", hint=f"one of {', '.join(TEMPLATES)}")
    if not any(message["role"] == "assistant" for message in messages):
        raise Unlearnable("it has no assistant's turn")
    special = _special_tokens(tokenizer)
    for text in (tools or "", *(f"{message.get('content') or ''}{_calls(message)}" for message in messages)):
        if found := next((token for token in special if token in text), None):
            raise Unlearnable(f"its text holds `{found}`, which would be read as the special token")
    told = _vicuna if template == VICUNA else _of_model
    return told(messages, tokenizer, tools)


def _special_tokens(tokenizer: Any) -> list[str]:
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()  # more than those with a name: <|im_end|>
    return sorted({*tokenizer.all_special_tokens, *(str(token) for token in added if token.special)} - {""})


def _vicuna(messages: Sequence[Message], tokenizer: Any, tools: str | None) -> list[Piece]:
    end = tokenizer.eos_token
    if not end:
        raise ConfigError(f"the template `{VICUNA}` ends a turn with the tokenizer's end token, and it has none")
    system = VICUNA_SYSTEM
    if messages[0]["role"] == "system":
        system, messages = str(messages[0]["content"]), messages[1:]
    if tools:
        system += f"\n\nTools: {tools}"
    found, asked = [Piece(system, False)], ""
    separator = " "
    for message in messages:
        role, content = message["role"], message.get("content") or ""
        if role == "assistant":
            found.append(Piece(f"{asked}{separator}ASSISTANT:", False))
            found.append(Piece(f" {content}{_calls(message)}{end}", True))
            asked, separator = "", ""
        elif role in _VICUNA_ROLES:
            asked += f"{separator}{_VICUNA_ROLES[role]}: {content}"
            separator = " "
        else:
            raise Unlearnable(f"a `{role}` message behind others, which the template has no form for")
    return found  # what follows the last answer teaches nothing


def _calls(message: Message) -> str:
    calls = message.get("tool_calls")
    return json.dumps(calls, ensure_ascii=False) if calls else ""


def _of_model(messages: Sequence[Message], tokenizer: Any, tools: str | None) -> list[Piece]:
    """By prefixes: what the template adds for an answer to the text that asks for it is the answer."""
    if not getattr(tokenizer, "chat_template", None):
        raise ConfigError(
            "the tokenizer has no chat template of its own", hint=f"train with `--template {VICUNA}`, as the paper does"
        )

    try:
        defined = json.loads(tools) if tools else None
    except ValueError:
        raise Unlearnable("its tools are no JSON, as the model's template needs them") from None

    def render(until: int, *, ask: bool) -> str:
        try:
            told = [dict(message) for message in messages[:until]]
            text = tokenizer.apply_chat_template(told, tools=defined, tokenize=False, add_generation_prompt=ask)
            return str(text)
        except Exception as error:  # whatever the template's own code raises of a conversation
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise Unlearnable(f"the model's template refuses it: {reason}") from None

    last = max(at for at, message in enumerate(messages) if message["role"] == "assistant")
    whole = render(last + 1, ask=False)
    found: list[Piece] = []
    done = 0
    for at in (at for at in range(last + 1) if messages[at]["role"] == "assistant"):
        asked, answered = render(at, ask=True), render(at + 1, ask=False)
        if not (whole.startswith(answered) and answered.startswith(asked) and len(asked) >= done):
            raise Unlearnable(
                f"the model's template writes turn {at} otherwise once others follow: what is learned would not be "
                "what the model says"
            )
        end = len(answered.rstrip())  # the line break behind the end token is the template's
        found += [Piece(whole[done : len(asked)], False), Piece(whole[len(asked) : end], True)]
        done = end
    return found


def served_template(template: str, tokenizer: Any) -> str | None:
    """The chat template that a model trained with `template` is to be asked by; None where the tokenizer has it.

    A tokenizer that puts a first token in front of any text does not of a template's, so the template has it.
    """
    if template != VICUNA:
        return None
    first = tokenizer("")["input_ids"][:1] == [tokenizer.bos_token_id]
    system = json.dumps(VICUNA_SYSTEM, ensure_ascii=False)
    return ("{{- bos_token }}" if first else "") + _VICUNA_JINJA.replace("SYSTEM", system)
