"""
Capture of calls of Amazon Bedrock made with boto3 and botocore.

::

    from llmobs.contrib import botocore

    botocore.instrument()

Stands on the events that each client of botocore emits: no method that sends is patched. Each attempt
of its retries is a call; streams (``converse_stream``, ``invoke_model_with_response_stream``, the body of
``invoke_model``) are copied as they are read. Without a client, ``BaseClient.__init__`` is wrapped, and
:func:`uninstrument` gives it back.

aiobotocore sends through aiohttp: `llmobs.contrib.aiohttp` records it.
"""

from __future__ import annotations

import math
import weakref
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from importlib import import_module
from time import perf_counter
from typing import Any, Final, TypeVar, overload
from urllib.parse import urlsplit

from llmobs.client.async_client import Recording
from llmobs.contrib._patching import Patches
from llmobs.contrib._wire.beginning import Options, begin, headers_of, under_way
from llmobs.contrib._wire.body import Copy
from llmobs.contrib._wire.call import Call, CaptureContent, checked_mode, report
from llmobs.contrib._wire.ending import Ending
from llmobs.contrib._wire.recognise import Target, recognise
from llmobs.runtime.troubles import Troubles

__all__ = ["instrument", "uninstrument"]

C = TypeVar("C")

_SERVICE: Final = "bedrock-runtime"
_patches: Final = Patches()
_troubles: Final = Troubles(math.inf)
_hooks: Final[weakref.WeakKeyDictionary[Any, _Hooks]] = weakref.WeakKeyDictionary()


@overload
def instrument(
    client: C,
    *,
    llmobs_client: Recording | None = None,
    capture_content: CaptureContent = "full",
) -> C: ...


@overload
def instrument(
    client: None = None,
    *,
    llmobs_client: Recording | None = None,
    capture_content: CaptureContent = "full",
) -> None: ...


def instrument(
    client: Any = None,
    *,
    llmobs_client: Recording | None = None,
    capture_content: CaptureContent = "full",
) -> Any:
    """
    Record the model calls that a client of Bedrock makes, and return it.

    Without one: those of all clients, of whatever session, whether they exist already or are made from
    now on. A client that was given itself keeps the options it was given with.

    Twice is harmless; the options of the last time hold. Needs botocore 1.36 or newer; of an older one
    a line says that it is left to `llmobs.contrib.urllib3`.

    Args:
        client: ``boto3.client("bedrock-runtime")`` or botocore's own; None for all.
        llmobs_client: Records calls made outside any run; by default the default client.
        capture_content: ``full``; ``redacted``, even if the llmobs client does not redact; or
            ``metadata``, no text at all. A stricter setting of the llmobs client wins.

    Raises:
        TypeError: *client* is no client of Bedrock's runtime, or one of aiobotocore.
        ValueError: *capture_content* is none of the three.
        ImportError: No client was given, and botocore is not installed.
    """
    checked_mode(capture_content)
    options = Options(llmobs_client, capture_content)
    if client is not None:
        if not _is_ours(client):
            raise TypeError(
                f"{type(client).__module__}.{type(client).__qualname__} is no client of botocore for "
                f'"{_SERVICE}"; llmobs.contrib.aiohttp.instrument() records those of aiobotocore'
            )
        if not _is_old():
            _cover(client, _Hooks(options))
        return client
    base = import_module("botocore.client").BaseClient
    uninstrument()
    if _is_old():
        return None

    def cover(found: Any) -> None:
        if _is_ours(found) and found not in _hooks:
            _cover(found, _Hooks(options, is_general=True))

    _patches.every((base,), cover, "instrument a client of botocore")
    return None


def uninstrument(client: Any = None) -> None:
    """
    Undo :func:`instrument`: the client calls nothing of ours any more.

    Without a client: those do that were covered without being given, and the constructor is
    botocore's own again.
    """
    if client is not None:
        _cover(client, None)
        return
    _patches.undo()
    for found, hooks in list(_hooks.items()):
        if hooks.is_general:
            _cover(found, None)


def _is_old() -> bool:
    """Return whether botocore lacks an event that is needed, and say so."""
    version: str = import_module("botocore").__version__
    if tuple(map(int, version.split(".")[:2])) >= (1, 36):
        return False
    _troubles.log(
        "old",
        "llmobs: model calls of botocore %s are recorded by llmobs.contrib.urllib3 alone: its clients "
        "have no event before an answer is parsed. Install botocore 1.36 or newer.",
        version,
    )
    return True


def _is_ours(client: Any) -> bool:
    """Return whether *client* is one of Bedrock's, and calls its hooks in the thread that sends."""
    bases = [base.__module__.partition(".")[0] for base in type(client).__mro__]
    if "botocore" not in bases or "aiobotocore" in bases:
        return False
    meta = client.__dict__.get("meta")  # an attribute that is missing is looked for with an event
    return meta is not None and meta.service_model.service_name == _SERVICE


def _cover(client: Any, hooks: _Hooks | None) -> None:
    if old := _hooks.pop(client, None):
        for event, handler in old.handlers().items():
            client.meta.events.unregister(event, handler)
    if hooks is not None:
        for event, handler in hooks.handlers().items():
            client.meta.events.register_last(event, handler)
        _hooks[client] = hooks


class _Sending:
    """An attempt that has no answer yet."""

    def __init__(self, call: Call, request: Any, outer: Target | None) -> None:
        self.call = call
        self.outer = outer
        # What is no `Exception` (an interrupt, a timeout of gevent's) ends an attempt without any event.
        self.given_up = weakref.finalize(request, call.end, Ending.FAILED, CancelledError())
        self.given_up.atexit = False


_sending: Final[ContextVar[_Sending | None]] = ContextVar("llmobs_botocore_sending", default=None)


def _sent() -> Call | None:
    """Return the call of the attempt under way here, if there is one; it is no longer."""
    sending = _sending.get()
    if sending is None:
        return None
    _sending.set(None)
    under_way.set(sending.outer)
    return sending.call if sending.given_up.detach() else None


class _Hooks:
    """What one client calls (botocore's documentation, "Events")."""

    def __init__(self, options: Options, *, is_general: bool = False) -> None:
        self._options = options
        self.is_general = is_general
        """Whether the client was covered with all others, and not given itself."""

    def handlers(self) -> dict[str, Any]:
        """Return which event calls what; all in the thread that sends, in this order."""
        return {
            f"before-send.{_SERVICE}": self._send,
            f"before-parse.{_SERVICE}": self._read,
            f"response-received.{_SERVICE}": self._receive,
            f"after-call-error.{_SERVICE}": self._receive,  # while the body of a refusal was read
        }

    def _send(self, request: Any, **_: Any) -> None:
        try:
            self._begin(request)
        except Exception as error:  # noqa: BLE001 - reported; the host must not notice
            report(error)

    def _begin(self, request: Any) -> None:
        started = perf_counter()
        _sent()  # one that was interrupted here
        url = urlsplit(request.url)
        path = f"{url.path}?{url.query}".encode("utf-8", "surrogatepass")
        target = recognise(request.method, url.hostname or "", path)
        if target is None:
            return
        body = request.body
        call = begin(
            target,
            headers_of(request.headers.items()),
            bytes(body) if isinstance(body, bytes | bytearray) else None,
            self._options,
            remove=request.headers.__delitem__,
            started=started,
        )
        if call is not None:
            _sending.set(_Sending(call, request, under_way.get()))
            under_way.set(target)

    def _read(self, response_dict: dict[str, Any], **_: Any) -> None:
        call = _sent()
        if call is None:
            return
        try:
            copy = call.respond(response_dict["status_code"], response_dict["headers"])
            body = response_dict["body"]
            if isinstance(body, bytes):
                copy.add_untimed(body)
                call.end(Ending.WHOLE)
            elif hasattr(body, "_raw_stream"):  # botocore's StreamingBody
                body._raw_stream = _Body(body._raw_stream, call, copy)  # noqa: SLF001
            else:
                response_dict["body"] = _Body(body, call, copy)
        except Exception as error:  # noqa: BLE001 - reported; the host must not notice
            report(error)

    def _receive(self, exception: Exception | None = None, **_: Any) -> None:
        call = _sent()
        if call is not None:
            call.end(Ending.FAILED if exception else Ending.WHOLE, exception)


class _Body:
    """What botocore reads an answer from (``urllib3.HTTPResponse``), copying what is read."""

    def __init__(self, inner: Any, call: Call, copy: Copy) -> None:
        self._inner = inner
        self._call = call
        self._copy = copy

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __del__(self) -> None:
        self._call.end(Ending.CLOSED)  # if nobody has read or closed it

    def stream(self, *args: Any, **kwargs: Any) -> Iterator[bytes]:
        try:
            for chunk in self._inner.stream(*args, **kwargs):
                self._copy.add(chunk)
                yield chunk
        except BaseException as error:
            is_closed = isinstance(error, GeneratorExit)
            self._call.end(Ending.CLOSED if is_closed else Ending.FAILED, error)
            raise
        self._call.end(Ending.WHOLE)

    def read(self, amount: int | None = None, **kwargs: Any) -> bytes:
        data: bytes = self._read(self._inner.read, amount, **kwargs)
        self._passed(data, is_last=not data and amount != 0)
        return data

    def readinto(self, buffer: Any) -> int:
        size: int = self._read(self._inner.readinto, buffer)
        self._passed(bytes(memoryview(buffer)[:size]), is_last=not size)
        return size

    def readlines(self) -> list[bytes]:
        lines: list[bytes] = self._read(self._inner.readlines)
        self._passed(b"".join(lines), is_last=True)
        return lines

    def _read(self, read: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return read(*args, **kwargs)
        except BaseException as error:
            self._call.end(Ending.FAILED, error)
            raise

    def _passed(self, data: bytes, *, is_last: bool) -> None:
        if data:
            self._copy.add(data)
        if is_last or self._inner.closed:
            self._call.end(Ending.WHOLE)

    def close(self) -> None:
        self._inner.close()
        self._call.end(Ending.CLOSED)
