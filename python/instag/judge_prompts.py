"""What a judge is told: our own words, or FastChat's `judge_prompts.jsonl`, which a person names.

Scores under our words are not comparable with published MT-Bench, and whoever uses them is told so. Which prompt it is
follows from the mode, the turn, and whether the category wants a reference answer, as in FastChat.
"""

from __future__ import annotations

import hashlib
import json
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from instag.errors import DataError
from instag.replies import clean

SINGLE, PAIRWISE = "single", "pairwise"
MODES = (SINGLE, PAIRWISE)
# Categories that are judged beside a reference answer, as FastChat lists them.
REFERENCE_CATEGORIES = ("math", "reasoning", "coding", "arena-hard-200")
NOT_COMPARABLE = (
    "the judge was told in our own words (`--judge-prompts FILE` takes FastChat's): these scores are not comparable "
    "with published MT-Bench"
)
_FORMATS = {SINGLE: "[[rating]]", PAIRWISE: "[[A]]"}

_FAIR = (
    "Judge only what stands there: neither the length of an answer nor how sure of itself it sounds is a merit, and "
    "the name of an assistant means nothing."
)
_ORDER = "The order in which the two answers are shown is chance and must not matter."
_QUALITY = (
    "Ask whether it does what the user wanted, whether what it says is true and complete, and whether it is clear, "
    "fitting in tone and, where that is called for, inventive."
)
_CORRECT = (
    "A reference answer is given, which you may take to be right. Compare with it first, name every mistake, and let "
    "correctness weigh most, usefulness next."
)
_SECOND = "The user asked twice; the first exchange is there for context, and only the second is to be judged."
_RATE = (
    "First explain your view in a few sentences. Then give the answer a whole number from 1 (useless) to 10 (could not "
    'be better), alone on the last line and in double brackets, like this: "Rating: [[4]]".'
)
_CHOOSE = (
    "First compare the two in a few sentences. Then give your verdict, alone on the last line and in double brackets: "
    '"[[A]]" if assistant A did better, "[[B]]" if assistant B did, "[[C]]" if neither did.'
)
_ROLE = {SINGLE: "You grade the answer of an AI assistant.", PAIRWISE: "You compare the answers of two AI assistants."}


@dataclass(frozen=True)
class JudgePrompt:
    """One prompt: its name, what the system says, and the user's text with fields in braces."""

    name: str
    system: str
    template: str

    def messages(self, fields: Mapping[str, str]) -> list[dict[str, str]]:
        """The two messages of a request; a field that the template does not name is passed over."""
        return [
            {"role": "system", "content": self.system},
            {"role": "user", "content": self.template.format(**fields)},
        ]


@dataclass(frozen=True)
class JudgePrompts:
    """The prompts of one mode, by (turn, with a reference); `identity` enters the key of the stage."""

    prompts: Mapping[tuple[int, bool], JudgePrompt]
    identity: str
    notes: tuple[str, ...] = ()

    def choose(self, category: str, turn: int) -> JudgePrompt:
        """The prompt for a turn of a question of this category."""
        return self.prompts[turn, category in REFERENCE_CATEGORIES]


def judge_prompts(mode: str, path: str | Path | None = None) -> JudgePrompts:
    """The prompts of a mode (`single` or `pairwise`): ours, or FastChat's from a file.

    Raises `DataError` where the file lacks one of them, or has a field that nobody fills.

    >>> judge_prompts("single").choose("math", 2).name
    'instag-single-reference-multi-turn/1'
    """
    return _ours(mode) if path is None else _fastchat(mode, path)


def _ours(mode: str) -> JudgePrompts:
    found = {}
    for turn in (1, 2):
        for referenced in (False, True):
            name = f"instag-{mode}{'-reference' if referenced else ''}{'-multi-turn' if turn > 1 else ''}/1"
            found[turn, referenced] = JudgePrompt(name, _system(mode, turn, referenced), _shown(mode, turn, referenced))
    return JudgePrompts(found, _digest(found), (NOT_COMPARABLE,))


def _system(mode: str, turn: int, referenced: bool) -> str:
    said = [_ROLE[mode], *[_SECOND] * (turn > 1), _CORRECT if referenced else _QUALITY, _FAIR]
    return " ".join([*said, *[_ORDER] * (mode == PAIRWISE), _RATE if mode == SINGLE else _CHOOSE])


def _shown(mode: str, turn: int, referenced: bool) -> str:
    """The conversation between marks: questions, references, answers, turn by turn."""
    names = ["answer"] if mode == SINGLE else ["answer_a", "answer_b"]
    blocks = []
    for at in range(1, turn + 1):
        end = f"_{at}" if turn > 1 else ""
        ordinal = f" {at}" if turn > 1 else ""
        blocks.append(f"=== Question{ordinal} ===\n{{question{end}}}")
        if referenced:
            blocks.append(f"=== Reference answer{ordinal} ===\n{{ref_answer_{at}}}")
        for name in names:
            who = f" of assistant {name[-1].upper()}" if mode == PAIRWISE else ""
            blocks.append(f"=== Answer{ordinal}{who} ===\n{{{name}{end}}}")
    return "\n\n".join([*blocks, "=== End ==="])


def _fastchat(mode: str, path: str | Path) -> JudgePrompts:
    by_name: dict[str, JudgePrompt] = {}
    try:
        lines = Path(path).read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise DataError(f"the judge prompts `{path}` can't be read: {str(reason).lower()}") from None
    hint = "FastChat's is `fastchat/llm_judge/data/judge_prompts.jsonl`"
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            told = json.loads(line)
            name, kind, form = (told[member] for member in ("name", "type", "output_format"))
            texts = (name, told["system_prompt"], told["prompt_template"])
            prompt = JudgePrompt(*(clean(str(text)) for text in texts))
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{path}:{number}: not a judge prompt", hint=hint) from None
        if kind == mode and form == _FORMATS[mode]:
            by_name[prompt.name] = prompt
    base = {SINGLE: ("single-v1", "single-math-v1"), PAIRWISE: ("pair-v2", "pair-math-v1")}[mode]
    found = {}
    for turn in (1, 2):
        for referenced in (False, True):
            name = f"{base[referenced]}{'-multi-turn' if turn > 1 else ''}"
            if name not in by_name:
                raise DataError(f"`{path}` has no prompt `{name}` that ends in `{_FORMATS[mode]}`", hint=hint)
            _check_fields(by_name[name], _filled(mode, turn, referenced), path)
            found[turn, referenced] = by_name[name]
    return JudgePrompts(found, _digest(found))


def _filled(mode: str, turn: int, referenced: bool) -> set[str]:
    fields = string.Formatter().parse(_shown(mode, turn, referenced))
    return {name for _, name, _, _ in fields if name is not None}


def _check_fields(prompt: JudgePrompt, known: set[str], path: str | Path) -> None:
    try:
        parts = list(string.Formatter().parse(prompt.template))
    except ValueError as error:
        raise DataError(f"`{path}`: the template of `{prompt.name}` is broken: {error}") from None
    fields = [(name, form or how) for _, name, form, how in parts if name is not None]
    if unknown := {name for name, changed in fields if name not in known or changed}:
        raise DataError(
            f"`{path}`: the template of `{prompt.name}` has the field `{sorted(unknown)[0]}`",
            hint=f"it may have {', '.join(sorted(known))}",
        )


def _digest(prompts: Mapping[tuple[int, bool], JudgePrompt]) -> str:
    told = [[prompt.name, prompt.system, prompt.template] for _, prompt in sorted(prompts.items())]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
