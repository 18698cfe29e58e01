"""
Capture of model calls made with urllib3: by ``requests``, azure-ai-inference, voyageai and the like.

::

    from llmobs.contrib import urllib3

    urllib3.instrument()

urllib3 has no place to put something around what sends: one function of it is wrapped,
``HTTPConnectionPool.urlopen``, through which all its requests go, and :func:`uninstrument` gives it back.
Each attempt of its own retries is a call. Bytes pass untouched, and are copied as they are read.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextvars import ContextVar
from http.client import IncompleteRead
from time import perf_counter
from typing import Any, Final
from urllib.parse import urlsplit

from llmobs.client.async_client import Recording
from llmobs.contrib._patching import IsOn, Patches
from llmobs.contrib._wire.beginning import Options, begin, headers_of, under_way
from llmobs.contrib._wire.body import Copy
from llmobs.contrib._wire.call import Call, CaptureContent, checked_mode, report
from llmobs.contrib._wire.ending import Ending
from llmobs.contrib._wire.recognise import Target, recognise

__all__ = ["instrument", "uninstrument"]

_patches: Final = Patches()


def instrument(
    *, llmobs_client: Recording | None = None, capture_content: CaptureContent = "full"
) -> None:
    """
    Record the model calls that this process makes with urllib3, through pools old and new.

    Twice is harmless; the options of the last time hold.

    Args:
        llmobs_client: Records calls made outside any run; by default the default client.
        capture_content: ``full``; ``redacted``, even if the llmobs client does not redact; or
            ``metadata``, no text at all. A stricter setting of the llmobs client wins.

    Raises:
        ValueError: *capture_content* is none of the three.
        ImportError: urllib3 is not installed.
    """
    checked_mode(capture_content)
    from urllib3 import HTTPConnectionPool

    uninstrument()
    options = Options(llmobs_client, capture_content)
    _patches.around(
        HTTPConnectionPool, "urlopen", lambda original, is_on: _recording(original, is_on, options)
    )


def uninstrument() -> None:
    """Undo :func:`instrument`: urllib3's own function is in its place again."""
    _patches.undo()


class _Sending:
    """A request under way in a pool, with the call of its latest attempt."""

    def __init__(self, pool: Any, call: Call) -> None:
        self.pool = pool
        self.call = call


_sending: ContextVar[_Sending | None] = ContextVar("llmobs_urllib3_sending", default=None)


def _recording(original: Any, is_on: IsOn, options: Options) -> Any:
    def urlopen(
        pool: Any,
        method: Any,
        url: Any,
        body: Any = None,
        headers: Any = None,
        *args: Any,
        **more: Any,
    ) -> Any:
        target = None
        try:
            target = _target(pool, method, url) if is_on() else None
        except Exception as error:  # noqa: BLE001 - reported; the host must not notice
            report(error)
        if target is None:
            return original(pool, method, url, body, headers, *args, **more)
        around = _sending.get()
        is_again = around is not None and around.pool is pool
        call = None
        try:
            if is_again:
                _end_attempt(around.call, _history(args, more))  # type: ignore[union-attr]
            call, headers = _begin(target, pool, body, headers, options, is_again)
            if call is not None and is_again:
                call.attempt = 1 + sum(not each.redirect_location for each in _history(args, more))
        except Exception as error:  # noqa: BLE001 - reported; the host must not notice
            report(error)
        if call is None:
            return original(pool, method, url, body, headers, *args, **more)
        inner, marked = under_way.set(call.target), _sending.set(_Sending(pool, call))
        try:
            response = original(pool, method, url, body, headers, *args, **more)
        except BaseException as error:
            call.end(Ending.FAILED, error)
            raise
        finally:
            _sending.reset(marked)
            under_way.reset(inner)
        if not call.done:  # else this is the answer to a later attempt
            try:
                _respond(call, response, more.get("decode_content", True))
            except Exception as error:  # noqa: BLE001 - reported; the host must not notice
                report(error)
        return response

    return urlopen


def _target(pool: Any, method: str, url: str) -> Target | None:
    host = pool.host
    if not url.startswith("/"):  # to a proxy, or a redirect
        parts = urlsplit(url)
        host = parts.hostname or host
        url = parts.path or "/"
    return recognise(method, host, url.encode("utf-8", "surrogatepass"))


def _begin(
    target: Target, pool: Any, body: Any, headers: Any, options: Options, is_again: bool
) -> tuple[Call | None, Any]:
    """Return the call, if this is one, and the headers to send."""
    started = perf_counter()
    sent = pool.headers if headers is None else headers
    kept = headers

    def remove(name: Any) -> None:
        nonlocal kept
        kept = sent.copy()  # the caller's own stay as they are
        del kept[name]

    if isinstance(body, str):
        body = body.encode("utf-8", "replace")
    outer = under_way.set(None) if is_again else None
    try:
        call = begin(
            target,
            # The host is added on its way.
            headers_of([*sent.items(), ("host", f"{pool.host}:{pool.port}")]),
            body if isinstance(body, bytes) else None,
            options,
            remove=remove,
            started=started,
        )
    finally:
        if outer is not None:
            under_way.reset(outer)
    return call, kept


def _history(args: tuple[Any, ...], more: dict[str, Any]) -> tuple[Any, ...]:
    """Return what urllib3 notes of the attempts before this one."""
    found: tuple[Any, ...] = getattr(args[0] if args else more.get("retries"), "history", ())
    return found


def _end_attempt(call: Call, history: tuple[Any, ...]) -> None:
    """End an attempt which urllib3 follows up by another one, having thrown its answer away."""
    last = history[-1] if history else None
    if last is not None and last.error is not None:
        call.end(Ending.FAILED, last.error)
    else:
        if last is not None and last.status is not None:
            call.respond(last.status, {})
        call.end(Ending.WHOLE)


def _respond(call: Call, response: Any, is_decoded: bool) -> None:
    copy = call.respond(response.status, response.headers)
    # urllib3 has no public way to what it reads from; these two names are the same in all releases.
    file = response._fp  # noqa: SLF001
    if response._body is None and hasattr(file, "isclosed") and not file.isclosed():  # noqa: SLF001
        ours = _File(file, call, copy, response)
        if response._original_response is file:  # noqa: SLF001
            response._original_response = ours  # noqa: SLF001
        response._fp = ours  # noqa: SLF001
        return
    call.decoded = is_decoded  # it has been read already
    copy.add_untimed(response.data or b"")
    call.end(Ending.WHOLE)


class _File:
    """What urllib3 reads an answer from (``http.client.HTTPResponse``), copying what it reads."""

    def __init__(self, inner: Any, call: Call, copy: Copy, response: Any) -> None:
        self._inner = inner
        self._call = call
        self._copy = copy
        self._response = weakref.ref(response)
        self._is_after_chunk = False
        self._is_broken = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __del__(self) -> None:
        self._call.end(Ending.CLOSED)  # if nobody has read or closed it

    def read(self, *amount: Any) -> Any:
        return self._copied(self._inner.read, *amount)

    def read1(self, *amount: Any) -> Any:
        return self._copied(self._inner.read1, *amount)

    def _copied(self, read: Callable[..., bytes], *amount: Any) -> bytes:
        try:
            data = read(*amount)
        except BaseException as error:
            self._call.end(Ending.FAILED, error)
            raise
        if data:
            self._copy.add(data)
        if self._inner.isclosed():
            self._end(self._inner.length)
        return data

    # Chunked bodies: urllib3 reads the lines between the chunks itself.

    @property
    def fp(self) -> Any:
        file = self._inner.fp
        return None if file is None else _Lines(file, self._look)

    def _look(self, line: bytes) -> None:
        response = self._response()
        if response is not None and response.chunk_left is None:
            try:
                int(line.partition(b";")[0], 16)
            except ValueError:
                self._is_broken = True  # it is cut off here

    def _safe_read(self, amount: int) -> bytes:
        try:
            data: bytes = self._inner._safe_read(amount)  # noqa: SLF001
        except BaseException as error:
            self._call.end(Ending.FAILED, error)
            raise
        if self._is_after_chunk:
            self._is_after_chunk = False  # a line end, not content
        else:
            self._copy.add(data)
            response = self._response()
            self._is_after_chunk = response is None or amount == response.chunk_left
        return data

    def close(self) -> None:
        self._inner.close()
        response = self._response()
        if self._is_broken:
            self._end(True)
        elif response is not None and response.chunk_left == 0:
            self._end(None)
        else:
            self._call.end(Ending.CLOSED)

    def _end(self, missing: int | None) -> None:
        if missing:
            self._call.end(Ending.FAILED, IncompleteRead(b"", None if missing is True else missing))
        else:
            self._call.end(Ending.WHOLE)


class _Lines:
    """The connection of a chunked body: shows the lines that urllib3 reads of it."""

    def __init__(self, inner: Any, look: Callable[[bytes], None]) -> None:
        self._inner = inner
        self._look = look

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def readline(self, *limit: int) -> bytes:
        line: bytes = self._inner.readline(*limit)
        self._look(line)
        return line
