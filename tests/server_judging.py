"""What `server.py` says as a model that is judged, and as its judge: scripted, and broken in every known way."""

from __future__ import annotations

import hashlib

SAID = ("Certainly. ", "Let me think. ", "", "In short: ")


def answered(text: str) -> str:
    """An answer that follows from the question."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"{SAID[digest[0] % len(SAID)]}The answer is {digest[1]}."


def judged(text: str, kind: str | None) -> tuple[str | None, str | None, str]:
    """(content, refusal, finish_reason) of a verdict on one answer, or on two."""
    return compared(text, kind) if "assistant b" in text.lower() else graded(text, kind)


def graded(text: str, kind: str | None) -> tuple[str | None, str | None, str]:
    """A grade from 1 to 10 that follows from what is judged."""
    grade = hashlib.sha256(text.encode()).digest()[0] % 10 + 1
    return _broken(kind, f"It is fair.\n\nRating: [[{grade}]]", f"[[{grade}]] or rather [[{grade % 10 + 1}]]")


def compared(text: str, kind: str | None) -> tuple[str | None, str | None, str]:
    """One of A, B and C."""
    choice = "ABC"[hashlib.sha256(text.encode()).digest()[0] % 3]
    return _broken(kind, f"Both tried.\n\n[[{choice}]]", "[[A]], and then again [[B]]")


def _broken(kind: str | None, right: str, twice: str) -> tuple[str | None, str | None, str]:
    said: dict[str | None, tuple[str | None, str | None, str]] = {
        "no-number": ("It is a fair answer, a seven I would say.", None, "stop"),
        "two-numbers": (twice, None, "stop"),
        "eleven": ("Rating: [[11]]", None, "stop"),
        "always-seven": ("Rating: [[7]]", None, "stop"),
        "single-brackets": ("Rating: [6]", None, "stop"),
        "refusal": (None, "I can't help with that.", "stop"),
        "refused-text": ("I'm sorry, but I can't assist with that request.", None, "stop"),
        "truncated": ("The answer begins", None, "length"),
        "content_filter": ("", None, "content_filter"),
        "empty": ("", None, "stop"),
    }
    return said.get(kind, (right, None, "stop"))
