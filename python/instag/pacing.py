"""Caps on requests and tokens a minute, for accounts that have them: a bucket that fills as time goes by.

The limiter finds what an endpoint bears by being pushed back; these caps are kept without that. Over any time of t
seconds no more is sent than the cap allows in t + 2 seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable

_BURST_S = 2.0  # what was not used is kept for so long
_MINUTE_S = 60.0


class _Bucket:
    """What may be taken at once, filled at a rate; more than it holds is taken from a full one, and made up for."""

    def __init__(self, a_minute: float, now: float, *, least: float) -> None:
        self._rate = a_minute / _MINUTE_S
        self._most = self._level = max(least, _BURST_S * self._rate)
        self._at = now

    def wait_s(self, amount: float, now: float) -> float:
        self._level = min(self._most, self._level + self._rate * (now - self._at))
        self._at = now
        lacking = min(amount, self._most) - self._level
        return lacking / self._rate if lacking > 1e-9 * self._most else 0.0

    def take(self, amount: float) -> None:
        self._level -= amount


class Pacer:
    """Says when the next request may be sent under caps a minute; None is no cap.

    >>> pacer = Pacer(requests_per_minute=30, clock=lambda: 0.0)
    >>> pacer.take(), pacer.take(), pacer.wait_s()
    (0.0, 2.0, 4.0)
    """

    def __init__(
        self,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        now = clock()
        self._requests = None if requests_per_minute is None else _Bucket(requests_per_minute, now, least=1.0)
        self._tokens = None if tokens_per_minute is None else _Bucket(tokens_per_minute, now, least=0.0)
        self._taken, self._taken_tokens = 0, 0.0

    def wait_s(self, tokens: float = 0.0) -> float:
        """Seconds until a request of so many tokens may be sent."""
        now = self._clock()
        waits = [self._requests.wait_s(1.0, now)] if self._requests else []
        waits += [self._tokens.wait_s(tokens, now)] if self._tokens else []
        return max(waits, default=0.0)

    def take(self, tokens: float | None = None) -> float:
        """Takes the place of a request of so many tokens (None: as many as the mean so far); gives `wait_s` for it."""
        if tokens is None:
            tokens = self._taken_tokens / max(self._taken, 1)
        else:
            self._taken += 1
            self._taken_tokens += tokens
        wait_s = self.wait_s(tokens)
        if self._requests:
            self._requests.take(1.0)
        if self._tokens:
            self._tokens.take(tokens)
        return wait_s
