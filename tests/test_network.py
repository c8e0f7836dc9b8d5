"""Proxies and certificate authorities are taken from the environment, as by other programs."""

from __future__ import annotations

import base64
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import instag
from conftest import Served

Serve = Callable[..., Served]

VARIABLES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"]


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


class Proxy:
    """A running `tests/forward_proxy.py`; `stop` gives the requests it saw."""

    def __init__(self, allowed: str = "") -> None:
        command = [sys.executable, str(Path(__file__).with_name("forward_proxy.py")), *filter(None, [allowed])]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self.url = f"http://{allowed and allowed + '@'}127.0.0.1:{self.port}"

    def stop(self) -> list[str]:
        self.process.kill()
        _, seen = self.process.communicate()
        return seen.splitlines()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    running = Proxy()
    yield running
    if running.process.returncode is None:
        running.stop()


@pytest.fixture
def guarded() -> Iterator[Proxy]:
    """A proxy that wants a user and a password."""
    running = Proxy("me:open-sesame")
    yield running
    if running.process.returncode is None:
        running.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1, signed by itself, and its key in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("no `openssl` to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        (
            "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 "
            "-addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out ca.pem"
        ).split(),
        cwd=folder,
        check=True,
        capture_output=True,
    )
    (folder / "both.pem").write_bytes((folder / "key.pem").read_bytes() + (folder / "ca.pem").read_bytes())
    return folder


def served_by_tls(serve: Serve, certificate: Path) -> str:
    return f"https://127.0.0.1:{serve(certificate=certificate / 'both.pem').port}/v1"


def asked(base_url: str, **settings: Any) -> int:
    return instag.tag(["one", "two"], base_url=base_url, answers=None, **settings).usage.asked


def test_a_plain_endpoint_is_reached_through_the_proxy(
    serve: Serve, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    assert asked(served.base_url) == 2
    assert proxy.stop()[0] == f"POST {served.base_url}/chat/completions"


def test_no_proxy_goes_around_it(serve: Serve, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert asked(serve().base_url) == 2
    assert proxy.stop() == []


def test_tls_goes_through_the_proxy_and_by_an_authority_of_ones_own(
    serve: Serve, proxy: Proxy, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = served_by_tls(serve, certificate)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "ca.pem"))
    assert asked(url) == 2
    assert proxy.stop()[0].startswith("CONNECT 127.0.0.1:")


def test_authorities_may_stand_in_a_folder(
    serve: Serve, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = subprocess.run(
        ["openssl", "x509", "-hash", "-noout", "-in", certificate / "ca.pem"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    shutil.copy(certificate / "ca.pem", tmp_path / f"{name}.0")
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert asked(served_by_tls(serve, certificate)) == 2


def test_the_proxy_of_all_schemes(serve: Serve, guarded: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", guarded.url)
    assert asked(serve().base_url) == 2
    assert len(guarded.stop()) == 2


def told(base_url: str) -> instag.InstagError:
    """The error of a run that can't begin; it comes at once, and says nothing of who asks the proxy."""
    began = time.monotonic()
    with pytest.raises(instag.InstagError) as caught:
        asked(base_url)
    assert time.monotonic() - began < 5
    assert "sesame" not in str(caught.value)
    return caught.value


def test_a_certificate_of_an_unknown_authority(serve: Serve, certificate: Path) -> None:
    error = told(served_by_tls(serve, certificate))
    assert isinstance(error, instag.ProviderError)
    assert error.message.endswith("can't be reached: its certificate can't be verified: self-signed certificate")
    assert "`SSL_CERT_FILE`" in str(error.hint)


def test_a_certificate_of_another_host(serve: Serve, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "ca.pem"))
    error = told(served_by_tls(serve, certificate).replace("127.0.0.1", "localhost"))
    assert "is not valid for 'localhost'" in error.message
    assert error.hint == "check the address, and what certificate the server has"


@pytest.mark.parametrize(
    ("variable", "content", "said"),
    [
        ("SSL_CERT_FILE", None, "can't be read: no such file or directory"),
        ("SSL_CERT_FILE", "not PEM", "holds no certificate"),
        ("SSL_CERT_DIR", None, "is no folder"),
    ],
)
def test_authorities_that_are_none(
    variable: str, content: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "authorities"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv(variable, str(path))
    error = told("https://127.0.0.1:9/v1")
    assert isinstance(error, instag.ConfigError)
    assert error.message == f"`{variable}` names `{path}`, which {said}"
    assert error.hint


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v1", "https://127.0.0.1:9/v1"])
def test_a_proxy_that_is_down(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://me:open-sesame@127.0.0.1:19")
    error = told(url)
    assert error.message == f"`{url}` can't be reached: the proxy `127.0.0.1:19` can't be reached: connection refused"
    assert "`HTTPS_PROXY`" in str(error.hint)


def test_a_proxy_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://me:open-sesame@no-such-proxy.invalid:19")
    assert "the proxy `no-such-proxy.invalid:19` can't be reached" in told("https://127.0.0.1:9/v1").message


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_lets_nobody_through(
    scheme: str, serve: Serve, guarded: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", guarded.url.replace("open", "shut"))
    error = told(serve().base_url.replace("http", scheme))
    assert "the proxy wants a user and a password" in error.message
    assert "`http://user:password@proxy:8080`" in str(error.hint)


@pytest.mark.parametrize("proxy", ["socks5://me:open-sesame@127.0.0.1:9", "http://me:open-sesame@[127", "http://:99"])
def test_a_proxy_that_is_none(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    error = told("http://127.0.0.1:9/v1")
    assert isinstance(error, instag.ConfigError)
    assert error.message.startswith("the environment names the proxy `")


def test_a_proxy_that_is_none_is_no_matter_where_it_is_not_used(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    assert asked(serve().base_url) == 2


@pytest.mark.parametrize("url", ["http://[::1/v1", "http://me:open-sesame@host:port/v1", "localhost:8000/v1"])
def test_a_base_url_that_is_none(url: str) -> None:
    assert told(url).message.endswith("is no URL of an endpoint")


def test_a_user_and_a_password_in_the_address_go_before_a_key(serve: Serve) -> None:
    served = serve()
    assert asked(served.base_url.replace("//", "//me:open%2Fsesame@")) == 2
    assert served.stats()["keys_seen"] == ["Basic " + base64.b64encode(b"me:open/sesame").decode()]
    served.set(key="another")
    error = told(served.base_url.replace("//", "//me:open%2Fsesame@"))
    assert error.message == (
        f"`{served.base_url.replace('//', '//***@')}` refuses the user and password of its address "
        "(401: Incorrect API key provided: Basic ***.)"
    )
    assert "check them" in str(error.hint)
