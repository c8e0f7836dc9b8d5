"""How many requests are out at once: found by trying, so that the endpoint never idles and is never flooded.

Doubling every round trip until the first push-back; from then on the limit is cut to 0.9 at most once a round trip, and
climbs back fast at first, slower the nearer it comes to where it was cut, as CUBIC (RFC 9438) does. Push-back is an
error that `pushed_back` is told of, or latency: where requests queue at the server, more of them out take longer and
none is done sooner. A round is as many replies as requests may be out (half of them while doubling), once as many have
passed as were out when it began: those tell of the round before. All that come then count, whenever they were sent.
Of requests sent since the round began only the fast ones are back by its end; where latency is uneven, their mean is
half of the true one, and every later round seems slow. While doubling that can't be helped, so what the endpoint takes
in truth is found anew when the doubling ends.

Not every error and not every delay means load. What fails while the limit is well below where it was cut last is the
endpoint's own share (5 % of 500s and 429s, whatever the load), and only clearly more than that is push-back. And three
cuts that bring no relief are taken back, and what was seen is tolerated from then on (answers that have become longer).

The bound is relative to the last limit that was worth its latency, and not, as in TCP Vegas, to the emptiest server:
one that batches (vLLM) does more while its latency rises. Held by simulated endpoints in tests/test_limiter.py.
"""

from __future__ import annotations

from math import sqrt

START = 16  # requests that no endpoint falls from
MOST = 512  # connections; more than that the files a process may have open would not allow everywhere

_LEAST_REPLIES = 16  # in a round: the mean of fewer tells nothing
_CUT = 0.9
_WORTH = 1.8  # latency may rise by this factor when the limit doubles: 11 % more are done
_GROWN, _GROWN_WORTH = 1.6, 1.35  # the reference moves up where the limit is so much higher, the latency at most so
_SLACK = 1.5  # and by this one above the reference from then on
_RELIEF = 0.87  # of what was seen before three cuts (0.73 of the limit) must be less left
_CUTS = 3
_USUAL = 0.02  # share of errors that every server has, to begin with
_PRIOR = 50  # replies that it weighs as much as
_REMEMBERED = 2_000  # replies, after which older ones weigh half
_BELOW = 0.95  # of the ceiling: load can't be why a request fails there
_MOST_LEARNED = 0.12
_FALL_BACK = 0.75  # of the last limit that was worth doubling to: its queue may not have filled yet
_STEP = 0.015  # of the limit: the first step above the ceiling is twice that, each next one twice the one before
_EAGER = 2  # calm rounds that the climb begins with after the doubling, which may have ended by chance
_FASTEST = 6  # calm rounds above the ceiling until the steps grow no more: 96 % a round


class Limiter:
    """The number of requests that may be out, from what becomes of them.

    `most` bounds it. Times are seconds of any clock that only goes forward.

    >>> limiter = Limiter()
    >>> for reply in range(16):
    ...     limiter.answered(sent=0.0, now=1.0)
    >>> limiter.limit
    32
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = float(most)
        self._limit = min(float(START), self._most)
        self._doubling = True
        self._ceiling = self._most  # where it was cut last
        self._calm = 0  # rounds without push-back at the ceiling
        self._reference = 0.0  # latency in seconds that was worth its limit; 0: none is known
        self._reference_limit = self._limit
        self._tolerated = _USUAL  # share of errors that load has nothing to do with
        self._failed_below = self._told_below = 0.0  # errors, and errors and replies, in calm rounds below the ceiling
        self._confirming = False
        self._cuts = 0  # in a row
        self._first = (self._limit, 0.0, 0.0)  # limit, latency and share of errors at the first of them
        self._begin(0.0, 0)

    @property
    def limit(self) -> int:
        """Requests that may be out, at least 1."""
        return max(1, int(self._limit))

    def answered(self, sent: float, now: float) -> None:
        """Tells that a request sent at `sent` has its reply."""
        if self._passing > 0:
            self._passing -= 1
            return
        self._replies += 1
        self._seconds += now - sent
        self._end_round(now)

    def pushed_back(self, sent: float, now: float, *, refused: bool) -> None:
        """Tells that a request sent at `sent` was `refused` for load (429), or failed there, or had no reply in time.

        The first refusal ends the doubling at once; of the others a few are every server's, and mean nothing.
        """
        if sent >= self._since:
            self._errors += 1
            if refused and self._doubling:
                out = self.limit
                self._cut()
                self._end_doubling()
                self._begin(now, out)
            else:
                self._end_round(now)

    def _begin(self, now: float, out: int) -> None:
        self._since = now
        self._passing = out  # replies, as many as requests are out, that tell of the round before
        self._replies = self._errors = 0
        self._seconds = 0.0

    def _end_round(self, now: float) -> None:
        """Judges the round once it is whole, and sets the limit of the next."""
        told, out = self._replies + self._errors, self.limit
        if told < max(_LEAST_REPLIES, self.limit // 2 if self._doubling else self.limit):
            return
        share = self._errors / told
        latency = self._seconds / self._replies if self._replies else 0.0
        usual = told * self._usual_share()
        loaded = self._errors > usual + 3 * sqrt(usual) + 1  # three standard deviations, and one
        if not loaded and (self._doubling or self._limit < _BELOW * self._ceiling):
            self._learn_usual(told)
        if self._doubling and not loaded:
            if self._reference and latency > _WORTH * self._reference and not self._confirming:
                self._confirming = True  # a second round: chance is mostly once
                return
            self._confirming = False
            self._double(latency)
        elif loaded or (self._reference and latency > _SLACK * self._reference):
            if self._doubling:
                self._end_doubling()
            self._answer_pressure(latency, share, loaded)
        else:
            self._climb(latency)
        self._limit = min(max(self._limit, 1.0), self._most)
        self._begin(now, out)

    def _usual_share(self) -> float:
        """The share of errors that load has nothing to do with; more than some is not believed without three cuts."""
        learned = (self._failed_below + _USUAL * _PRIOR) / (self._told_below + _PRIOR)
        return max(self._tolerated, learned if learned < _MOST_LEARNED else 0.0)

    def _learn_usual(self, told: int) -> None:
        self._failed_below += self._errors
        self._told_below += told
        if self._told_below > _REMEMBERED:
            self._failed_below *= 0.5
            self._told_below *= 0.5

    def _double(self, latency: float) -> None:
        if self._reference and latency > _WORTH * self._reference:
            self._limit = self._ceiling = _FALL_BACK * self._reference_limit
            self._end_doubling()
            return
        self._reference, self._reference_limit = latency, self._limit
        self._doubling = self._limit < self._most
        self._limit = min(2 * self._limit, self._most)

    def _end_doubling(self) -> None:
        self._doubling = False
        self._reference = 0.0
        self._calm = _EAGER

    def _cut(self) -> None:
        self._calm = 0
        self._ceiling = self._limit
        self._limit *= _CUT

    def _answer_pressure(self, latency: float, share: float, loaded: bool) -> None:
        if self._cuts == 0:
            self._first = self._limit, latency, share
        if self._cuts < _CUTS:
            limit, latency_before, share_before = self._first
            self._first = limit, max(latency_before, latency), share_before  # the queue may still have been filling
            self._cuts += 1
            self._cut()
            return
        limit, latency_before, share_before = self._first
        self._cuts = 0
        if loaded and share > _RELIEF * share_before:
            self._tolerated, self._limit = share, limit
        elif not loaded and latency > _RELIEF * latency_before:
            self._reference, self._reference_limit, self._limit = latency, limit, limit
        else:
            self._answer_pressure(latency, share, loaded)

    def _climb(self, latency: float) -> None:
        self._cuts = 0
        grown = self._limit >= _GROWN * self._reference_limit and latency < _GROWN_WORTH * self._reference
        if grown or not self._reference:
            self._reference, self._reference_limit = max(self._reference, latency), self._limit
        elif latency < self._reference and self._limit >= 0.9 * self._reference_limit:
            self._reference += 0.1 * (latency - self._reference)
        if self._limit < 0.98 * self._ceiling:
            self._limit += max(1.0, 0.5 * (self._ceiling - self._limit))
        else:
            self._calm += 1
            self._limit += max(1.0, _STEP * self._limit * 2 ** min(self._calm, _FASTEST))
