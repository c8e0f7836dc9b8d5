"""What a run pays: tokens and dollars so far, and a budget that is never passed."""

from __future__ import annotations

from instag.answers import Answer
from instag.errors import ProviderError
from instag.pricing import Price

USUAL_COMPLETION = 100  # tokens of a reply with three tags and their explanations, where no answer tells better
_FIRST_COMPLETION = 1_000  # tokens a reply is taken to have at most, before any has come
MARGIN = 1.25  # a prompt's tokens are estimated, and a reply may be longer than any before


class BudgetError(ProviderError):
    """The next request might pass the budget; nothing more was sent."""


class Spending:
    """Counts what answers cost; with `budget_usd`, says whether one more request fits.

    A request is taken to cost its prompt (estimated, with a margin) and the longest reply so far (or `max_tokens`);
    that much is held back until its answer tells. So what is out can't pass the budget together. Without a `price`
    dollars are None.

    >>> spending = Spending(Price(input_usd=1.0, output_usd=10.0), budget_usd=0.02, max_tokens=1000)
    >>> spending.hold(b"one", prompt_tokens=100), spending.hold(b"two", prompt_tokens=100)
    (True, False)
    """

    def __init__(
        self, price: Price | None = None, *, budget_usd: float | None = None, max_tokens: int | None = None
    ) -> None:
        self.prompt_tokens = self.completion_tokens = self.cached_tokens = self.answers = 0
        self.price, self.budget_usd = price, budget_usd
        self._usd = 0.0
        self._max_tokens = max_tokens
        self._longest = 0
        self._held: dict[bytes, float] = {}
        self._held_usd = 0.0

    @property
    def usd(self) -> float | None:
        """Dollars for the answers so far."""
        return None if self.price is None else self._usd

    @property
    def mean_completion(self) -> float:
        """Tokens of a reply: the mean so far, before the first a guess."""
        return self.completion_tokens / self.answers if self.answers else USUAL_COMPLETION

    def expected_usd(self, requests: int) -> float | None:
        """Dollars that some more requests cost, at the mean of those that were answered."""
        return None if self.price is None or not self.answers else self._usd / self.answers * requests

    def hold(self, key: bytes, prompt_tokens: int) -> bool:
        """Whether a request fits into the budget; what it may cost is then held back."""
        if self.budget_usd is None or self.price is None:
            return True
        completion = self._max_tokens or max(self._longest * MARGIN, _FIRST_COMPLETION)
        usd = self.price.cost_usd(round(prompt_tokens * MARGIN), round(completion))
        if self._usd + self._held_usd + usd > self.budget_usd:
            return False
        self._held[key] = usd
        self._held_usd += usd
        return True

    def release(self, key: bytes) -> None:
        """The request has ended."""
        self._held_usd -= self._held.pop(key, 0.0)
        if not self._held:
            self._held_usd = 0.0  # without the rounding of many sums

    def add(self, answer: Answer) -> None:
        """Counts what an answer cost."""
        prompt, completion, cached = answer.prompt_tokens or 0, answer.completion_tokens or 0, answer.cached_tokens or 0
        self.answers += 1
        self.prompt_tokens += prompt
        self.completion_tokens += completion
        self.cached_tokens += cached
        self._longest = max(self._longest, completion)
        if self.price is not None:
            batch = answer.mode == "batch"
            self._usd += self.price.cost_usd(prompt, completion, cached_tokens=min(cached, prompt), batch=batch)

    def reached(self, left: int) -> BudgetError:
        """The error that ends a run for its budget."""
        return BudgetError(
            f"the budget of ${self.budget_usd:,.2f} would be passed: ${self._usd:,.4f} are spent on {self.answers:,} "
            f"answers, {left:,} queries are left",
            hint="run again with a higher `--budget`: what was answered is kept, and a new run counts from nothing",
        )
