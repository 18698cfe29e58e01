"""
Capture of model calls made with aiohttp: by google-genai's async client, LiteLLM and the like.

::

    from llmobs.contrib import aiohttp

    aiohttp.instrument()

A client middleware is added to each ``ClientSession``, behind the application's own, and copies what is
read of an answer. No method that sends is patched; ``ClientSession.__init__`` is wrapped, and, since a
request with ``middlewares=`` of its own passes those of its session by, the function that puts the
middlewares of a request together. :func:`uninstrument` gives both back.
"""

from __future__ import annotations

import inspect
import math
import weakref
from collections.abc import Awaitable, Callable, Iterable
from time import perf_counter
from typing import Any, Final

from llmobs.client.async_client import Recording
from llmobs.contrib._patching import IsOn, Patches
from llmobs.contrib._wire.beginning import Options, begin, headers_of, under_way
from llmobs.contrib._wire.body import Copy
from llmobs.contrib._wire.call import Call, CaptureContent, checked_mode, report
from llmobs.contrib._wire.ending import Ending
from llmobs.contrib._wire.recognise import recognise
from llmobs.runtime.troubles import Troubles

__all__ = ["instrument", "uninstrument"]

_patches: Final = Patches()
_sessions: Final[weakref.WeakSet[Any]] = weakref.WeakSet()
_troubles: Final = Troubles(math.inf)


def instrument(
    *, llmobs_client: Recording | None = None, capture_content: CaptureContent = "full"
) -> None:
    """
    Record the model calls that this process makes with aiohttp, in sessions old and new.

    Twice is harmless; the options of the last time hold. Needs aiohttp 3.12 or newer; of an older
    one a line says that nothing is recorded.

    Args:
        llmobs_client: Records calls made outside any run; by default the default client.
        capture_content: ``full``; ``redacted``, even if the llmobs client does not redact; or
            ``metadata``, no text at all. A stricter setting of the llmobs client wins.

    Raises:
        ValueError: *capture_content* is none of the three.
        ImportError: aiohttp is not installed.
    """
    checked_mode(capture_content)
    from aiohttp import ClientSession, __version__, client

    uninstrument()
    if "middlewares" not in inspect.signature(ClientSession.__init__).parameters:
        _troubles.log(
            "old",
            "llmobs: model calls made with aiohttp %s are not recorded: it has no middlewares for "
            "clients. Install aiohttp 3.12 or newer.",
            __version__,
        )
        return
    ours = _Middleware(Options(llmobs_client, capture_content))

    def cover(session: Any) -> None:
        if not hasattr(session, "_middlewares"):
            return  # its constructor raised
        # Where that puts its argument `middlewares`.
        session._middlewares = (*_foreign(session._middlewares), ours)  # noqa: SLF001
        _sessions.add(session)

    def with_ours(original: Any, is_on: IsOn) -> Any:
        def build(handler: Any, middlewares: Any) -> Any:
            if is_on() and ours not in middlewares:
                middlewares = (*middlewares, ours)
            return original(handler, middlewares)

        return build

    _patches.around(client, "build_client_middlewares", with_ours)
    _patches.every((ClientSession,), cover, "instrument a session of aiohttp")


def uninstrument() -> None:
    """Undo :func:`instrument`: sessions have the middlewares they had before."""
    _patches.undo()
    for session in list(_sessions):
        session._middlewares = _foreign(session._middlewares)  # noqa: SLF001
    _sessions.clear()


def _foreign(middlewares: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(each for each in middlewares if not isinstance(each, _Middleware))


class _Middleware:
    """Sends a request with the *handler* it is given, and records it if it calls a model."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def __call__(self, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Awaitable[Any]:
        call = None
        try:
            call = self._begin(request)
        except Exception as error:  # noqa: BLE001 - reported; the host must not notice
            report(error)
        return handler(request) if call is None else self._recorded(call, request, handler)

    def _begin(self, request: Any) -> Call | None:
        started = perf_counter()
        url = request.url
        target = recognise(request.method, url.host or "", url.raw_path_qs.encode())
        if target is None:
            return None
        body = request.body
        if not isinstance(body, bytes):
            # A payload; it has no public way to its bytes that does not read it.
            body = getattr(body, "_value", None)
        return begin(
            target,
            headers_of(request.headers.items()),
            body if isinstance(body, bytes) else None,
            self._options,
            remove=request.headers.popall,
            started=started,
        )

    async def _recorded(
        self, call: Call, request: Any, handler: Callable[[Any], Awaitable[Any]]
    ) -> Any:
        outer = under_way.set(call.target)
        try:
            response = await handler(request)
        except BaseException as error:
            call.end(Ending.FAILED, error)
            raise
        finally:
            under_way.reset(outer)
        try:
            copy = call.respond(response.status, response.headers)
            call.decoded = request.session.auto_decompress
            if response.content.at_eof():
                call.end(Ending.WHOLE)  # an empty body
            else:
                response.content = _Content(response.content, call, copy)
        except Exception as error:  # noqa: BLE001 - reported; the host must not notice
            report(error)
        return response


class _Content:
    """The body of an answer (``aiohttp.StreamReader``), copying what is read of it."""

    def __init__(self, inner: Any, call: Call, copy: Copy) -> None:
        self._inner = inner
        self._call = call
        self._copy = copy

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._inner.__class__

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __del__(self) -> None:
        self._call.end(Ending.CLOSED)  # if nobody has read or closed it

    def set_exception(self, *error: Any) -> None:
        """How a response that is closed tells whoever still reads it."""
        self._inner.set_exception(*error)
        self._call.end(Ending.CLOSED)

    def _passed(self, data: bytes) -> bytes:
        if data:
            self._copy.add(data)
        if self._inner.at_eof():
            self._call.end(Ending.WHOLE)
        return data

    async def _read(self, reading: Awaitable[bytes]) -> bytes:
        try:
            data = await reading
        except BaseException as error:
            self._failed(error)
            raise
        return self._passed(data)

    def _failed(self, error: BaseException) -> None:
        if part := getattr(error, "partial", b""):  # of readexactly(): it came, and is gone
            self._copy.add(part)
        self._call.end(Ending.FAILED, error)

    def read(self, n: int = -1) -> Awaitable[bytes]:
        return self._read(self._inner.read(n))

    def readany(self) -> Awaitable[bytes]:
        return self._read(self._inner.readany())

    def readexactly(self, n: int) -> Awaitable[bytes]:
        return self._read(self._inner.readexactly(n))

    def readline(self, **limit: Any) -> Awaitable[bytes]:
        return self._read(self._inner.readline(**limit))

    def readuntil(self, separator: bytes = b"\n", **limit: Any) -> Awaitable[bytes]:
        return self._read(self._inner.readuntil(separator, **limit))

    def read_nowait(self, n: int = -1) -> bytes:
        return self._passed(self._inner.read_nowait(n))

    async def readchunk(self) -> tuple[bytes, bool]:
        try:
            data, is_end = await self._inner.readchunk()
        except BaseException as error:
            self._failed(error)
            raise
        return self._passed(data), is_end

    def __aiter__(self) -> Any:
        return _Iterator(self.readline)

    def iter_chunked(self, n: int) -> Any:
        if hasattr(self._inner, "set_read_chunk_size"):
            self._inner.set_read_chunk_size(n)
        return _Iterator(lambda: self.read(n))

    def iter_any(self) -> Any:
        return _Iterator(self.readany)

    def iter_chunks(self) -> Any:
        return _Chunks(self.readchunk)


class _Iterator:
    """Reads until there is nothing more."""

    _END: Any = b""

    def __init__(self, read: Callable[[], Awaitable[Any]]) -> None:
        self._read = read

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        data = await self._read()
        if data == self._END:
            raise StopAsyncIteration
        return data


class _Chunks(_Iterator):
    _END = (b"", False)
