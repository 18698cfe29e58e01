"""
The HTTP client of the sinks that need one: POST a body, get a bounded answer or a `SinkError`.

One connection is kept open between batches. Proxies come from the environment (``HTTPS_PROXY``
and its like). Nothing here retries; the pipeline does.
"""

import base64
import logging
import os
import ssl
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

import anyio
import httpx2

from llmobs.errors import ConfigurationError, SinkMisconfiguredError, SinkUnavailableError
from llmobs.recorded.printable import brief
from llmobs.runtime.context import own_traffic
from llmobs.sinks._answer import MAX_WORDS, HTTPAnswer

__all__ = ["HTTPClient", "basic_auth"]

MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
"""Longest answer that is read."""
MAX_REDIRECTS: Final = 3
KEEPALIVE_SECONDS: Final = 60.0

_inherited: list[object] = []


class HTTPClient:
    """
    Posts to one server.

    Args:
        base_url: Where the server is, without user, password and query.
        headers: Sent with every request; their values never appear in messages.
        timeout: Seconds one request may take in all.
        ca_file: PEM file of the authorities to trust instead of the system's.
        client: An ``httpx2.AsyncClient`` or ``httpx.AsyncClient`` to use; it stays its owner's.

    Raises:
        ConfigurationError: The URL, a header or the file is unusable, or two settings collide.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str],
        timeout: float,
        ca_file: str | os.PathLike[str] | None = None,
        client: Any = None,
    ) -> None:
        if not timeout > 0:
            raise ConfigurationError(f"timeout must be above 0 seconds, not {timeout:g}")
        parts = urlsplit(base_url)
        if "@" in parts.netloc:  # as httpx does; but the address is said in logs
            headers = {"authorization": _login_of(parts), **headers}
            base_url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        self._base = base_url.rstrip("/")
        self._origin = _origin(self._base)
        self._headers = {
            "user-agent": _user_agent(),
            "accept": "application/json",
            # A compressed answer could be small on the wire and endless in memory.
            "accept-encoding": "identity",
            **_checked(headers),
        }
        self._secrets = tuple(s for value in headers.values() for s in _secret_parts(value))
        self._timeout = timeout
        if client is not None and ca_file is not None:
            raise ConfigurationError("give either a client or a ca_file, not both")
        # Loading certificates takes 20 ms: now and once, rather than in the event loop of a running server.
        self._verify = None if client is not None else _trust(ca_file)
        self._given = client
        self._errors = _error_types(client)
        self._client: Any = None
        self._pid = 0

    @property
    def address(self) -> str:
        """The base URL, which holds no secrets."""
        return self._base

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return self._origin[0]

    @property
    def host(self) -> str:
        """Host and port, for names and messages."""
        return urlsplit(self._base).netloc

    async def open(self) -> None:
        """
        Get ready; connects to nothing yet.

        Raises:
            ConfigurationError: The environment names a proxy that cannot be used.
        """
        _keep_quiet()
        if self._client is not None and self._pid != os.getpid():
            # Inherited through fork: closing it here would end the parent's TLS connections.
            _inherited.append(self._client)
            self._client = None
        if self._client is None:
            self._pid = os.getpid()
            self._client = self._given or self._new_client()

    def _new_client(self) -> httpx2.AsyncClient:
        try:
            return httpx2.AsyncClient(
                verify=self._verify,  # type: ignore[arg-type]
                limits=httpx2.Limits(max_connections=2, keepalive_expiry=KEEPALIVE_SECONDS),
            )
        except (ValueError, ImportError, httpx2.InvalidURL) as error:
            # Without the URL, which may hold a password.
            why = f" ({error})" if isinstance(error, ImportError) else ""
            raise ConfigurationError(
                "a proxy named by HTTP_PROXY, HTTPS_PROXY or ALL_PROXY cannot be used"
                f"{why}; it should look like http://user:password@proxy.example:3128"
            ) from None

    async def aclose(self) -> None:
        """Close the connection; safe without `open` and when called twice."""
        client, self._client = self._client, None
        if client is not None and client is not self._given and self._pid == os.getpid():
            await client.aclose()

    async def post(
        self, path: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> HTTPAnswer:
        """
        Send *body* to the base URL plus *path*, and return the answer, whatever its status.

        Redirects 307 and 308 are followed within the same scheme, host and port only: the key goes
        nowhere else.

        Raises:
            SinkUnavailableError: No complete answer within the time, or one that is too long.
            SinkMisconfiguredError: A redirect elsewhere.
        """
        if self._client is None:
            await self.open()
        url = self._base + path
        token = own_traffic.get()
        own_traffic.set(True)
        try:
            with anyio.fail_after(self._timeout):
                for _ in range(MAX_REDIRECTS + 1):
                    answer = await self._exchange(url, body, headers or {})
                    if not 300 <= answer.status < 400:
                        return answer
                    url = self._follow(url, answer)
        except TimeoutError:
            raise SinkUnavailableError(f"no answer within {self._timeout:g} s") from None
        except self._errors as error:
            words = _words_about_tls(error) or _words(error)
            words = brief(self.without_secrets(words), MAX_WORDS)
            kind = type(error).__name__
            raise SinkUnavailableError(f"{kind}: {words}" if words else kind) from None
        finally:
            own_traffic.set(token)
        raise SinkMisconfiguredError(f"more than {MAX_REDIRECTS} redirects")

    async def _exchange(self, url: str, body: bytes, headers: Mapping[str, str]) -> HTTPAnswer:
        async with self._client.stream(
            "POST",
            url,
            content=body,
            headers={**self._headers, **headers},
            timeout=self._timeout,
            follow_redirects=False,
        ) as response:
            pieces = []
            size = 0
            # Cancelled rather than left: the iterators inside each other then end in order.
            with anyio.CancelScope() as reading:
                async for piece in response.aiter_raw():
                    pieces.append(piece)
                    size += len(piece)
                    if size > MAX_ANSWER_BYTES:
                        reading.cancel()
            if size > MAX_ANSWER_BYTES:
                raise SinkUnavailableError(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
            fields = {name.lower(): value for name, value in response.headers.items()}
            return HTTPAnswer(response.status_code, fields, b"".join(pieces))

    def _follow(self, url: str, answer: HTTPAnswer) -> str:
        target = urljoin(url, answer.headers.get("location", ""))
        where = _describe(target)
        if answer.status not in (307, 308):
            raise SinkMisconfiguredError(
                f"HTTP {answer.status} redirects to {where}, which would lose the body; "
                "use the URL it points to"
            )
        if _origin_or_none(target) != self._origin:
            raise SinkMisconfiguredError(
                f"HTTP {answer.status} redirects to {where}, another server: "
                "the key is not sent there; use that URL if you trust it"
            )
        return target

    def without_secrets(self, text: str) -> str:
        """Return *text* with our keys blotted out: servers and proxies repeat what they were sent."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._base}>"


def _words(error: BaseException) -> str:
    """Return the first thing said along the chain of causes: trio's errors say nothing themselves."""
    cause: BaseException | None = error
    while cause is not None and not str(cause):
        cause = cause.__cause__ or cause.__context__
    return "" if cause is None else str(cause)


def _words_about_tls(error: BaseException) -> str | None:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"the server's certificate is not trusted: {cause.verify_message}; check the host name, "
            "or name the authority that signed it (ca_file)"
        )
    if cause is not None and cause.reason == "WRONG_VERSION_NUMBER":
        return "what answers there does not speak TLS; is it http:// instead of https://?"
    return None


def _user_agent() -> str:
    from llmobs import __version__

    return f"llmobs/{__version__} python/{sys.version_info.major}.{sys.version_info.minor}"


def _checked(headers: Mapping[str, str]) -> dict[str, str]:
    checked = {}
    for name, value in headers.items():
        if not name or not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
            raise ConfigurationError(f"{name!r} is not the name of an HTTP header")
        if not value.isascii() or not value.isprintable():
            what = "the key" if name == "authorization" else f"the value for the header {name!r}"
            raise ConfigurationError(f"{what} has characters other than printable ASCII")
        checked[name.lower()] = value
    return checked


def basic_auth(user: str, password: str) -> str:
    """Return the value of an ``Authorization`` header (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _login_of(parts: SplitResult) -> str:
    return basic_auth(unquote(parts.username or ""), unquote(parts.password or ""))


def _secret_parts(value: str) -> Sequence[str]:
    # "Bearer key" may come back whole, or as the key alone.
    return [part for part in (value, value.partition(" ")[2]) if len(part) >= 4]


def _trust(ca_file: str | os.PathLike[str] | None) -> ssl.SSLContext:
    if ca_file is None:
        return _default_trust(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
    try:
        return ssl.create_default_context(cafile=os.path.expanduser(os.fspath(ca_file)))
    except (OSError, ssl.SSLError) as error:
        words = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise ConfigurationError(
            f"ca_file: {os.fspath(ca_file)} is not a readable PEM file of certificates ({words})"
        ) from None


@cache
def _default_trust(file: str | None, directory: str | None) -> ssl.SSLContext:
    # What the two variables name is read by httpx2 itself: they are here as the key of the cache.
    return httpx2.create_ssl_context()


def _error_types(client: Any) -> tuple[type[BaseException], ...]:
    """Return what the client raises; an ``httpx`` client has its own exceptions."""
    libraries: list[Any] = [httpx2]
    for kind in type(client).__mro__:
        root = kind.__module__.partition(".")[0]
        if kind.__name__ == "AsyncClient" and root in ("httpx", "httpx2"):
            libraries = [sys.modules[root]]
            break
    else:
        if client is not None:
            raise ConfigurationError(
                f"client: needs an httpx2.AsyncClient or httpx.AsyncClient, "
                f"not {type(client).__name__}"
            )
    errors: list[type[BaseException]] = [OSError, RuntimeError]
    errors += [kind for lib in libraries for kind in (lib.HTTPError, lib.InvalidURL)]
    return tuple(errors)


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError("needs a host, for instance https://collector.example/v1")
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def _origin_or_none(url: str) -> tuple[str, str, int] | None:
    try:
        return _origin(url)
    except ValueError:  # also what urlsplit raises for bad ports and brackets
        return None


def _describe(url: str) -> str:
    origin = _origin_or_none(url)
    return "nowhere" if origin is None else f"{origin[0]}://{origin[1]}:{origin[2]}"


class _OwnTraffic(logging.Filter):
    """Drops the line per request that httpx2 writes, for our requests only."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not own_traffic.get()


_filter = _OwnTraffic()


def _keep_quiet() -> None:
    for library in ("httpx2", "httpx"):
        logging.getLogger(library).addFilter(_filter)  # adding it twice changes nothing
    for core in ("httpcore2", "httpcore"):
        for part in ("connection", "http11", "http2", "proxy", "socks"):
            logging.getLogger(f"{core}.{part}").addFilter(_filter)
