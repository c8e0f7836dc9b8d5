"""One OpenAI-compatible endpoint: the client, what is tried again, and when to give up.

Tried again: push-back (429), server errors, time-outs, broken connections and replies that are no JSON, with
exponential back-off and jitter; `Retry-After` is honored and holds all requests. Not tried again: what the endpoint
refuses for good. One request that fails is `Failed`, with a reason of `replies.REASONS`; an endpoint that is of no use
to any request is a `ProviderError`.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import time
from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime
from json import JSONDecodeError
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from instag.errors import ConfigError, ProviderError
from instag.limiter import MOST, Limiter
from instag.network import PROXY_HINT, check_network, is_url, not_reached, obstacle, redact, split_url
from instag.pacing import Pacer

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

R = TypeVar("R")
T = TypeVar("T")

KEY_VARIABLE = "OPENAI_API_KEY"
URL_VARIABLE = "OPENAI_BASE_URL"
PUBLIC_URL = "https://api.openai.com/v1"

_NO_KEY = "none"  # the client wants one
_CONNECT_S = 10.0
_PATIENCE_UNSEEN_S = 18.0  # an endpoint that never answered is down after this; with a connection's time-out, under 30
_PATIENCE_SEEN_S = 120.0  # one that did may be restarting
_PUSHED_BACK_S = 600.0  # nothing but 429 for this long
_LONGEST_WAIT_S = 300.0  # a `Retry-After` beyond this is a day's quota, not a pause
_BACKOFF_CAP_S = 20.0
_OVERLOADED = (503, 529)
_TOO_LONG = re.compile(
    r"context.?length|maximum context|too long|too large|exceeds? the (?:available )?context|max_model_len"
)
_FILTERED = re.compile(r"content.?filter|content management policy|content.?policy|moderation", re.IGNORECASE)


class Failed(Exception):  # noqa: N818 - a row of the result, not an error of the run
    """One request got no answer; `reason` is one of `replies.REASONS`."""

    def __init__(self, reason: str, message: str, *, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.wait_s = wait_s  # what the endpoint asks to wait before the next attempt


class NoReply(Exception):  # noqa: N818 - a reply to try again, not an error of the run
    """A reply of status 200 that holds no answer: an error in its body, a list where an object belongs."""


class Endpoint:
    """The client of one endpoint and what is known of its health, for the requests of one run.

    The key is given, or comes from a file or the environment (`OPENAI_API_KEY`), and goes into the requests' header,
    nowhere else. With a `base_url` and no key the word `none` goes in its place, which most servers of one's own take.
    Raises `ConfigError` where the public endpoint is meant and there is no key.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        key: str | None = None,
        key_file: str | Path | None = None,
        concurrency: int = MOST,
        timeout_s: float = 120.0,
        max_attempts: int = 6,
        backoff_s: float = 0.5,
        pacer: Pacer | None = None,
        offline: str = "--tagger keyphrase",
    ) -> None:
        self.url = base_url or os.environ.get(URL_VARIABLE) or PUBLIC_URL
        self.name = f"`{redact(self.url)}`"
        if not is_url(self.url):
            raise ConfigError(f"{self.name} is no URL of an endpoint", hint="it looks like `http://localhost:8000/v1`")
        self._offline = offline  # what does the same without an endpoint
        self._key = key or (read_key(key_file) if key_file is not None else os.environ.get(KEY_VARIABLE) or None)
        if self._key is None and urlsplit(self.url).hostname == urlsplit(PUBLIC_URL).hostname:
            raise ConfigError(
                f"no API key: `{KEY_VARIABLE}` is not set",
                hint=f"set `{KEY_VARIABLE}` or name a file with the key (`--key-file`), name a server of your own "
                f"(`--base-url`), or use the offline baseline: `{offline}`",
            )
        check_network(self.url)
        self._key_place = f"`{KEY_VARIABLE}`" if key_file is None else f"the key file `{key_file}`"
        # The HTTP client takes no credentials in an address; they go before a key, which has the same header.
        self._address, self._authorization, secrets = split_url(self.url)
        self._secrets = [*filter(None, [self._key]), *secrets]
        self.answered = False
        self.limiter = Limiter(concurrency)
        self.pacer = pacer or Pacer()  # asked before a request is sent by who sends it, here for what is tried again
        self._timeout_s = timeout_s
        self._max_attempts = max_attempts
        self._backoff_s = backoff_s
        self._trouble_since: float | None = None
        self._pushed_since: float | None = None
        self._paused_until = 0.0
        self._client: AsyncOpenAI | None = None

    async def __aenter__(self) -> Endpoint:
        import openai

        # The transport of aiohttp costs a third of httpx's CPU time; every connection that was made is kept for the
        # next request. Proxies and authorities are those of the environment: see network.py.
        limits = type(openai.DEFAULT_CONNECTION_LIMITS)(max_connections=None, max_keepalive_connections=None)
        self._client = openai.AsyncOpenAI(
            api_key=self._key or _NO_KEY,
            base_url=self._address,
            default_headers={"Authorization": self._authorization} if self._authorization else None,
            max_retries=0,
            timeout=openai.Timeout(self._timeout_s, connect=min(_CONNECT_S, self._timeout_s)),
            http_client=openai.DefaultAioHttpClient(limits=limits),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            await self._client.close()

    async def call(self, send: Callable[[AsyncOpenAI], Awaitable[R]], read: Callable[[R, float], T]) -> T:
        """What `read` makes of the reply to `send(client)` and its seconds; both are tried again while that may help.

        `read` raises `NoReply` where the reply holds no answer. Raises `Failed` where this request has no answer,
        `ProviderError` where none will have one.
        """
        import openai

        assert self._client is not None, "used outside `async with`"
        pushed = attempt = 0
        while True:
            if pushed or attempt:
                await asyncio.sleep(self.pacer.take())
            while (wait := self._paused_until - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            sent = time.monotonic()
            try:
                # The client's time-out is one between bytes; a trickle of them must end as well.
                reply = await asyncio.wait_for(send(self._client), self._timeout_s)
                now = time.monotonic()
                self.limiter.answered(sent, now)
                if not isinstance(reply, str):
                    answer = read(reply, now - sent)
                    self.answered, self._trouble_since, self._pushed_since = True, None, None
                    return answer
                failed = self._no_json(reply)
            except NoReply as error:
                failed = Failed("provider", self.shown(str(error)))
            except openai.RateLimitError as error:
                self.limiter.pushed_back(sent, time.monotonic(), refused=True)
                pushed += 1
                await self._push_back(error, pushed)
                continue
            except openai.APIStatusError as error:
                if error.status_code >= 500:
                    self.limiter.pushed_back(sent, time.monotonic(), refused=error.status_code in _OVERLOADED)
                failed = self._status(error)
            except (asyncio.TimeoutError, openai.APITimeoutError) as error:
                if (why := not_reached(error)) is not None:
                    await self._unreachable(why, error, attempt)
                    failed = None
                else:
                    self.limiter.pushed_back(sent, time.monotonic(), refused=False)
                    failed = Failed("timeout", f"no answer within {self._timeout_s:g} s")
            except openai.APIConnectionError as error:
                await self._unreachable(str(error.__cause__ or error), error, attempt)
                failed = None
            except (openai.APIResponseValidationError, JSONDecodeError, UnicodeDecodeError) as error:
                failed = Failed("provider", f"a reply that is broken JSON: {error}")
            attempt += 1
            if failed is not None:
                if attempt >= self._max_attempts or (failed.reason == "timeout" and attempt >= self._max_attempts / 2):
                    raise failed
                self._in_trouble(failed.message)
                await asyncio.sleep(failed.wait_s)
                await self._back_off(attempt)

    def _status(self, error: APIStatusError) -> Failed:
        """A failure to try again; raises the ones that are final, for this request or for all."""
        said = f"{error.status_code}: {self.said(error)}"
        status, text = error.status_code, f"{error.code} {error.message}"
        if status in (401, 402) or (status == 403 and not self.answered):
            told = "asks for a key" if self._key is None else "refuses the key, or the account behind it"
            where = self._key_place
            if self._authorization is not None:
                told, where = "refuses the user and password of its address", "them"
            raise ProviderError(
                f"{self.name} {told} ({said})", hint=f"check {where}, or use `{self._offline}`"
            ) from None
        if status == 407:
            raise ProviderError(f"the proxy wants a user and a password ({said})", hint=PROXY_HINT) from None
        if status in (404, 405) and not self.answered:
            if re.search("model|deployment", said, re.IGNORECASE) and "<" not in said:
                raise ProviderError(f"{self.name} does not know the model ({said})", hint="check `--model`") from None
            raise ProviderError(f"{self.name} has no such path ({said})", hint=self._other_address()) from None
        if status >= 500 or status in (408, 409, 425):
            wait_s = retry_after_s(error.response.headers) or 0.0
            return Failed("provider", said, wait_s=min(wait_s, _LONGEST_WAIT_S))
        if _FILTERED.search(text):
            raise Failed("content_filter", said) from None
        raise Failed("too_long" if status == 413 or _TOO_LONG.search(text) else "provider", said) from None

    def _no_json(self, body: str) -> Failed:
        """A page instead of a reply: the wrong address while nothing was ever answered, else a gateway's bad moment."""
        what = "an HTML page" if re.match(r"\s*<", body) else "no JSON"
        if not self.answered:
            raise ProviderError(
                f"{self.name} answers {what}: {self.shown(body)}",
                hint=self._other_address(),
            )
        return Failed("provider", f"{what}: {self.shown(body)}")

    def _other_address(self) -> str:
        if urlsplit(self.url).path.strip("/"):
            return "check `--base-url` and `--model`; the address of an API mostly ends in `/v1`"
        return f"did you mean `{redact(self.url).rstrip('/')}/v1`? see `--base-url`"

    async def _push_back(self, error: APIStatusError, times: int) -> None:
        """Waits as a 429 asks; with `Retry-After` everybody waits."""
        now = time.monotonic()
        self._pushed_since = self._pushed_since or now
        if error.code == "insufficient_quota" or now - self._pushed_since > _PUSHED_BACK_S:
            raise ProviderError(
                f"{self.name} takes no more requests ({error.status_code}: {self.said(error)})",
                hint="check the quota, then run again: what was answered is kept",
            ) from None
        asked = retry_after_s(error.response.headers)
        if asked is None:
            await self._back_off(times)
            return
        if asked > _LONGEST_WAIT_S:
            raise ProviderError(
                f"{self.name} asks to wait {asked:.0f} s ({self.said(error)})",
                hint="run again then: what was answered is kept",
            ) from None
        self._paused_until = max(self._paused_until, now + asked)
        await asyncio.sleep(random.random() * min(1.0, asked))  # not all at once behind the pause

    async def _unreachable(self, why: str, error: Exception, attempt: int) -> None:
        """A request that never arrived is tried until patience ends: nothing is lost by it, and nothing paid.

        Where the way was never open, what will not go away by itself is told at once.
        """
        if not self.answered and (found := obstacle(error, self.url)) is not None:
            raise ProviderError(f"{self.name} can't be reached: {found[0]}", hint=found[1]) from None
        self._in_trouble(redact(why).lower())
        await self._back_off(attempt + 1)

    def _in_trouble(self, why: str) -> None:
        now = time.monotonic()
        self._trouble_since = self._trouble_since or now
        patience = _PATIENCE_SEEN_S if self.answered else _PATIENCE_UNSEEN_S
        if now - self._trouble_since > patience:
            raise ProviderError(
                f"{self.name} has not answered for {patience:.0f} s ({why})",
                hint="check `--base-url` and that the server runs, then run again: what was answered is kept",
            )

    async def _back_off(self, attempt: int) -> None:
        await asyncio.sleep(min(_BACKOFF_CAP_S, self._backoff_s * 2 ** min(attempt - 1, 16)) * random.uniform(0.5, 1.0))

    def said(self, error: APIStatusError) -> str:
        """The server's own words, short and without secrets."""
        body: Any = error.body
        message = body.get("message") if isinstance(body, dict) else None
        return self.shown(message if isinstance(message, str) else error.response.text or error.message)

    def shown(self, text: str) -> str:
        """A text of the endpoint's as messages may show it: short, one line, without the key and the URL's password."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        text = redact(" ".join(text.split()))  # before the cut, which could go through what is to be found
        return text if len(text) <= 200 else text[:200] + "..."


def read_key(path: str | Path) -> str:
    """The key in a file, its one line that is not blank; a `ConfigError` never shows what the file holds."""
    try:
        lines = [line.strip() for line in Path(path).read_text("utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise ConfigError(f"the key file `{path}` is not text", hint="save the key alone, as one line") from None
    except OSError as error:
        raise ConfigError(
            f"the key file `{path}` can't be read: {(error.strerror or str(error)).lower()}",
            hint="name a file that holds the key alone, as one line",
        ) from None
    if len(lines) != 1 or not lines[0].isascii() or not lines[0].isprintable() or " " in lines[0]:
        what = f"{len(lines)} lines" if len(lines) != 1 else "a line that is no key"
        raise ConfigError(f"the key file `{path}` holds {what}", hint="save the key alone, as one line")
    return lines[0]


def retry_after_s(headers: Any) -> float | None:
    """The seconds a reply asks to wait, from `retry-after-ms` or `Retry-After` in seconds or as a date.

    A date counts from the reply's own `Date`: clocks differ. What is past, zero or no number says nothing.

    >>> retry_after_s({"retry-after": "2"}), retry_after_s({"retry-after-ms": "50"}), retry_after_s({})
    (2.0, 0.05, None)
    """
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) / scale
        except ValueError:
            try:
                now = headers.get("date")
                start = parsedate_to_datetime(now).timestamp() if now else time.time()
                seconds = parsedate_to_datetime(value).timestamp() - start
            except (ValueError, TypeError, IndexError):
                continue
        if seconds > 0:
            return seconds
    return None
