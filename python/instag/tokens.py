"""How many tokens a text has: counted by tiktoken where that knows the model and has its files, else estimated."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TOKENS_A_REQUEST = 8  # roles and separators around one message

_DOWNLOAD_S = 15.0  # tiktoken's own download knows no end
# On eight real sets of queries 0.9 to 1.2 of what o200k_base counts: see docs/tagging.md.
_CHARS_A_TOKEN = 4.0  # ASCII
_OTHER_TOKENS_A_CHAR = 0.9


@dataclass(frozen=True)
class Tokens:
    """Counts tokens of texts; `how` says by what, for people."""

    count: Callable[[str], int]
    how: str
    exact: bool


def estimate_tokens(text: str) -> int:
    """The number of tokens by a rule of thumb: a quarter of the ASCII characters, 0.9 of all others; at least 1.

    >>> estimate_tokens("Write a poem about the sea."), estimate_tokens("写一首关于大海的诗")
    (7, 8)
    """
    ascii_chars = len(text) if text.isascii() else len(text.encode("ascii", "ignore"))
    return max(1, round(ascii_chars / _CHARS_A_TOKEN + (len(text) - ascii_chars) * _OTHER_TOKENS_A_CHAR))


def token_counter(model: str) -> Tokens:
    """What counts the tokens of a model: tiktoken's encoding, else the estimate; `how` says which and why.

    tiktoken is the extra of that name; it downloads an encoding at its first use, which is waited for 15 s at most.
    """
    try:
        import tiktoken
    except ImportError:
        return Tokens(estimate_tokens, "estimated: tiktoken is not installed", exact=False)
    try:
        name = tiktoken.encoding_name_for_model(model.rsplit("/", 1)[-1])
    except KeyError:
        return Tokens(estimate_tokens, f"estimated: tiktoken does not know `{model}`", exact=False)
    found: list[Any] = []

    def load() -> None:
        try:
            found.append(tiktoken.get_encoding(name))
        except Exception as error:  # of whatever library does the download
            found.append(error)

    thread = threading.Thread(target=load, name="tiktoken", daemon=True)
    thread.start()
    thread.join(_DOWNLOAD_S)
    if not found or isinstance(found[0], Exception):
        return Tokens(estimate_tokens, f"estimated: tiktoken could not get the files of `{name}`", exact=False)
    encoding = found[0]
    return Tokens(lambda text: len(encoding.encode_ordinary(text)), f"counted by tiktoken, `{name}`", exact=True)
