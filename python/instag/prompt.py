"""The prompt a query is sent in: the paper's, those of the released taggers, a closed set of labels, your own file."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from instag.errors import ConfigError
from instag.replies import MAX_TAG_CHARS

PLACE = "{query}"
LABELS_PLACE = "{labels}"

# What the base models of the two InsTaggers were trained with.
_VICUNA_SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions."
)
_CHATML_SYSTEM = "You are a helpful assistant."


@dataclass(frozen=True)
class Prompt:
    """What a query is sent as: (role, text) of each message, with `{query}` in one of them.

    `output` is the form of the replies to begin with where nobody asks for another, None for the strictest that the
    endpoint takes; `labels` are those of a closed set, already in the text.
    """

    name: str
    template: tuple[tuple[str, str], ...]
    output: str | None = None
    labels: tuple[str, ...] = ()

    def messages(self, query: str) -> list[dict[str, str]]:
        """The messages with the query in its place.

        >>> Prompt("mine", (("user", "Tag this: {query}"),)).messages('print("{query}")')
        [{'role': 'user', 'content': 'Tag this: print("{query}")'}]
        """
        return [{"role": role, "content": text.replace(PLACE, query)} for role, text in self.template]

    @property
    def identity(self) -> dict[str, Any]:
        """What of it decides the tags: the one user message as it is, else all messages; and the labels."""
        told: Any = [{"role": role, "content": text} for role, text in self.template]
        if [role for role, _ in self.template] == ["user"]:
            told = self.template[0][1]
        return {"prompt": told, **({"labels": list(self.labels)} if self.labels else {})}


PRESETS = ("paper", "instagger-vicuna", "instagger-chatml", "closed")


def load_prompt(prompt: str | Path, labels: str | Path | None = None) -> Prompt:
    """A preset (one of `PRESETS`), or a UTF-8 file that holds `{query}` where the query goes, as one user message.

    `labels` is the file of the set that `closed` chooses from (`load_labels`). One line break at the end of a prompt is
    not part of it. Raises `ConfigError` where there is no such file, it is not UTF-8, or it has no place for the query;
    where `closed` has no labels, or another prompt has some.

    >>> load_prompt("paper").messages("What is a monad?")[0]["content"].splitlines()[1:5]
    ['Below is an instruction:', '[begin]', 'What is a monad?', '[end]']
    """
    name = str(prompt)
    if name == "closed" and labels is None:
        raise ConfigError("the prompt `closed` has no labels", hint="name a file of them: `--labels FILE`, one a line")
    if name != "closed" and labels is not None:
        raise ConfigError(f"the prompt `{name}` takes no labels", hint="use `--prompt closed` with `--labels`")
    # A preset never changes: paid answers are keyed by its text. A better wording is a new file, named here.
    if name == "paper":
        return Prompt(name, (("user", _preset("paper-v1")),))
    if name == "instagger-vicuna":
        return Prompt(name, (("system", _VICUNA_SYSTEM), ("user", _preset("instagger-vicuna-v1"))), output="plain")
    if name == "instagger-chatml":
        return Prompt(name, (("system", _CHATML_SYSTEM), ("user", PLACE)), output="plain")
    if name == "closed" and labels is not None:
        found = load_labels(labels)
        text = _preset("closed-v1").replace(LABELS_PLACE, "\n".join(f"- {label}" for label in found))
        return Prompt(name, (("user", text),), labels=found)
    presets = ", ".join(f"`{preset}`" for preset in PRESETS)
    text = _read(prompt, "prompt", f"`--prompt` takes {presets}, or a file with `{PLACE}` in it")
    if PLACE not in text:
        raise ConfigError(f"the prompt `{prompt}` has no `{PLACE}`", hint=f"write `{PLACE}` where the query goes")
    return Prompt(name, (("user", text.removesuffix("\n")),))


def load_labels(path: str | Path) -> tuple[str, ...]:
    """The labels in a UTF-8 file, one a line, in order; lines that begin with `#` are comments.

    Raises `ConfigError` with file and line for a blank line, a label that came before, and one with `{query}` in it.
    """
    first: dict[str, int] = {}
    lines = _read(path, "label file", "`--labels` takes a file with one label a line").split("\n")
    for number, line in enumerate(lines[:-1] if lines[-1] == "" else lines, start=1):
        label = " ".join(line.split())
        if label.startswith("#"):
            continue
        if not label:
            raise ConfigError(f"{path}:{number}: a blank line", hint="one label a line; comments begin with `#`")
        if label in first:
            raise ConfigError(f"{path}:{number}: the label `{label}` stands in line {first[label]} already")
        if len(label) > MAX_TAG_CHARS:
            raise ConfigError(f"{path}:{number}: a label of {len(label):,} characters, more than {MAX_TAG_CHARS}")
        if PLACE in label:
            raise ConfigError(f"{path}:{number}: a label with `{PLACE}` in it", hint="that is where the query goes")
        first[label] = number
    if not first:
        raise ConfigError(f"`{path}` holds no labels", hint="one label a line; comments begin with `#`")
    return tuple(first)


def _preset(name: str) -> str:
    return files("instag").joinpath("prompts", f"{name}.txt").read_text("utf-8").removesuffix("\n")


def _read(path: str | Path, what: str, hint: str) -> str:
    r"""The text of a file, its line breaks as `\n`."""
    try:
        return Path(path).read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"the {what} `{path}` is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}",
            hint="save the file as UTF-8",
        ) from None
    except OSError as error:
        raise ConfigError(
            f"the {what} `{path}` can't be read: {(error.strerror or str(error)).lower()}", hint=hint
        ) from None
