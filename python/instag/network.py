"""The way to an endpoint: proxies and certificate authorities of the environment, and what stands in the way.

`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`, `SSL_CERT_FILE` and `SSL_CERT_DIR` mean what they mean to the
HTTP client, which reads them; here is only what it would tell late, or in no words of ours.
"""

from __future__ import annotations

import base64
import os
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from instag.errors import ConfigError

FILE_VARIABLE = "SSL_CERT_FILE"
FOLDER_VARIABLE = "SSL_CERT_DIR"

_SECRET = re.compile(
    r"\b(?:sk|pk|gsk|key|xai)-[\w*.\-]+|\bhf_\w+|\bAIza[\w\-]+|(?i:bearer\s+)\S+"
    r"|(?<=://)[^/\s]*@|(?<=[?&])[\w\-]+=[^&\s`]+"  # of a URL: who asks, and every value of its query
)
_UNKNOWN_AUTHORITY = (18, 19, 20, 21)  # OpenSSL's X509_V_ERR_*: signed by itself, or no issuer found
PROXY_HINT = (
    "a proxy looks like `http://user:password@proxy:8080`; see `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`"
)


def redact(text: str) -> str:
    """The text with keys, and the credentials of URLs, as `***`.

    >>> redact("https://me:p@w@host/v1?code=1 refuses sk-abc123")
    'https://***@host/v1?*** refuses ***'
    """
    return _SECRET.sub(lambda match: "***@" if match.group().endswith("@") else "***", text)


def split_url(url: str) -> tuple[str, str | None, list[str]]:
    """A URL without its user and password, the header `Authorization` in their place, and what no message may repeat.

    >>> split_url("https://me:p%40w@host/v1")
    ('https://host/v1', 'Basic bWU6cEB3', ['p%40w', 'p@w', 'bWU6cEB3'])
    >>> split_url("https://host/v1")
    ('https://host/v1', None, [])
    """
    parts = urlsplit(url)
    if parts.username is None:
        return url, None, []
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    password = unquote(parts.password or "")
    sent = base64.b64encode(f"{unquote(parts.username)}:{password}".encode()).decode()
    return bare, f"Basic {sent}", list(dict.fromkeys(filter(None, [parts.password, password, sent])))


def is_url(url: str, schemes: tuple[str, ...] = ("http", "https")) -> bool:
    """Whether a text is an absolute URL with a host.

    >>> is_url("http://[::1]:8000/v1"), is_url("http://[::1/v1"), is_url("http://host:port/v1"), is_url("host/v1")
    (True, False, False, False)
    """
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a bracket that is not closed, a port that is no number
        return False


def check_network(url: str) -> None:
    """Raises `ConfigError` for what the environment says of the way to `url` and can't be: the variable, and why."""
    _check_authorities()
    proxy = _proxy_of(url)
    if proxy is not None and not is_url(proxy if "://" in proxy else f"http://{proxy}"):
        raise ConfigError(f"the environment names the proxy `{redact(proxy)}`, which is none for HTTP", hint=PROXY_HINT)


def _check_authorities() -> None:
    if name := os.environ.get(FILE_VARIABLE):
        try:
            ssl.create_default_context(cafile=name)
        except ssl.SSLError:
            raise ConfigError(
                f"`{FILE_VARIABLE}` names `{name}`, which holds no certificate", hint="it is a file in PEM form"
            ) from None
        except OSError as error:
            raise ConfigError(
                f"`{FILE_VARIABLE}` names `{name}`, which can't be read: {(error.strerror or str(error)).lower()}",
                hint=f"name a file of certificates in PEM form, or unset `{FILE_VARIABLE}`",
            ) from None
        return  # the folder is not looked at then
    folders = os.environ.get(FOLDER_VARIABLE, "")  # OpenSSL's list
    if folders and not any(Path(folder).is_dir() for folder in folders.split(os.pathsep)):
        raise ConfigError(
            f"`{FOLDER_VARIABLE}` names `{folders}`, which is no folder",
            hint=f"name a folder of certificates that `openssl rehash` has been at, or unset `{FOLDER_VARIABLE}`",
        )


def _proxy_of(url: str) -> str | None:
    """The proxy that the environment names for a URL."""
    proxies, parts = getproxies(), urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return None
    return proxies.get(parts.scheme) or proxies.get("all")


def obstacle(error: BaseException, url: str) -> tuple[str, str] | None:
    """What stands in the way to the endpoint at `url`, and a hint, where the next attempt will meet it again."""
    for cause in _causes(error):
        name, said, first = type(cause).__name__, redact(str(cause)), _first(cause)
        if isinstance(cause, ssl.CertificateError):
            why = getattr(first, "verify_message", "") or said
            unknown = getattr(first, "verify_code", None) in _UNKNOWN_AUTHORITY
            return f"its certificate can't be verified: {why}".rstrip("."), (
                f"name the certificates of your own authority: `{FILE_VARIABLE}` (a PEM file) or `{FOLDER_VARIABLE}`"
                if unknown
                else "check the address, and what certificate the server has"
            )
        if isinstance(cause, ssl.SSLError) or name == "ClientConnectorSSLError":
            why = getattr(first, "reason", None) or said
            return f"it does not speak TLS as we do: {why}".lower(), "does the address begin with `http://`?"
        if name == "ClientHttpProxyError" and getattr(cause, "status", 500) < 500:
            refused = "wants a user and a password" if cause.status == 407 else f"refuses the way ({cause.status})"
            return f"the proxy {refused}", PROXY_HINT
        # A name that is not found is the proxy's where it is not the endpoint's.
        if name == "ClientProxyConnectionError" or (
            name == "ClientConnectorDNSError" and cause.host != urlsplit(url).hostname
        ):
            number = getattr(first, "errno", None) or 0
            why = (os.strerror(number) if number > 0 else getattr(first, "strerror", None) or said).lower()
            return f"the proxy `{cause.host}:{cause.port}` can't be reached: {why}", PROXY_HINT
    return None


def not_reached(error: BaseException) -> str | None:
    """Why a time-out is none: a connection that never came about, or broke (aiohttp's errors of both bear its name)."""
    named = False
    for cause in _causes(error):
        if isinstance(cause, OSError) or type(cause).__name__ == "ServerDisconnectedError":
            return str(cause) or "the connection was reset"
        named = named or "Connect" in type(cause).__name__
    return "the connection timed out" if named else None


def _causes(error: BaseException) -> Iterator[Any]:
    cause = error.__cause__
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _first(error: BaseException) -> BaseException:
    """What the system or OpenSSL raised, all others from it."""
    first = error
    for cause in _causes(error):
        first = cause
    return first
