"""The prompt a query is sent in: the paper's, in our own words and versioned, or your own file."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from instag.errors import ConfigError

PLACE = "{query}"
# A preset never changes: paid answers are keyed by the text. A better wording is a new file and a new entry here.
PRESETS = {"paper": "paper-v1.txt"}


def load_prompt(prompt: str | Path) -> str:
    """The text of a preset (`paper`) or of a UTF-8 file that holds `{query}` where the query goes.

    One line break at the end is not part of the prompt. Raises `ConfigError` where there is no such file, it is not
    UTF-8, or it has no place for the query.

    >>> load_prompt("paper").splitlines()[1:5]
    ['Below is an instruction:', '[begin]', '{query}', '[end]']
    """
    if str(prompt) in PRESETS:
        return files("instag").joinpath("prompts", PRESETS[str(prompt)]).read_text("utf-8").removesuffix("\n")
    path = Path(prompt)
    presets = " or ".join(f"`{name}`" for name in PRESETS)
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"the prompt `{path}` is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}",
            hint="save the file as UTF-8",
        ) from None
    except OSError as error:
        raise ConfigError(
            f"the prompt `{path}` can't be read: {(error.strerror or str(error)).lower()}",
            hint=f"`--prompt` takes {presets} or a file with `{PLACE}` in it",
        ) from None
    if PLACE not in text:
        raise ConfigError(f"the prompt `{path}` has no `{PLACE}`", hint=f"write `{PLACE}` where the query goes")
    return text.removesuffix("\n")


def messages(prompt: str, query: str) -> list[dict[str, str]]:
    """One user message: the prompt with the query in its place.

    >>> messages("Tag this: {query}", 'print("{query}")')
    [{'role': 'user', 'content': 'Tag this: print("{query}")'}]
    """
    return [{"role": "user", "content": prompt.replace(PLACE, query)}]
