"""
Capture of model calls at the wire: a transport that wraps the one an HTTP client has.

Works with ``httpx2`` and ``httpx``, sync and async, and with every SDK that stands on them. The
transport recognises calls of OpenAI, Anthropic and everything compatible by their path; bytes pass
through it untouched and unbuffered; what it kept of them is read later, in the pipeline.

One call in another way than the client's::

    client.chat.completions.create(..., extra_headers={"x-llmobs-capture-content": "metadata"})
"""

from __future__ import annotations

import math
import weakref
from typing import Any, Final, TypeVar, overload

from llmobs.client.async_client import Recording
from llmobs.contrib._importing import Imports
from llmobs.contrib._patching import Patches
from llmobs.contrib._transports import (
    AsyncRecordingTransport,
    Recorder,
    RecordingTransport,
    has_own_options,
)
from llmobs.contrib._wire.beginning import CAPTURE_HEADER
from llmobs.contrib._wire.call import CaptureContent
from llmobs.recorded.printable import brief
from llmobs.runtime.troubles import Troubles

__all__ = [
    "CAPTURE_HEADER",
    "AsyncRecordingTransport",
    "RecordingTransport",
    "instrument",
    "is_instrumented",
    "uninstrument",
]

C = TypeVar("C")


@overload
def instrument(
    client: C,
    *,
    llmobs_client: Recording | None = None,
    capture_content: CaptureContent = "full",
    include_usage: bool = False,
) -> C: ...


@overload
def instrument(
    client: None = None,
    *,
    llmobs_client: Recording | None = None,
    capture_content: CaptureContent = "full",
    include_usage: bool = False,
) -> None: ...


def instrument(
    client: Any = None,
    *,
    llmobs_client: Recording | None = None,
    capture_content: CaptureContent = "full",
    include_usage: bool = False,
) -> Any:
    """
    Record the model calls that an ``httpx2`` or ``httpx`` client makes, and return the client.

    Without one: those of all clients, also of the functions ``httpx.post()`` and the like, whether
    they exist already or are made from now on, and of whichever of the two libraries is imported
    later. A client that was given itself keeps the options it was given with.

    Twice is harmless; the options of the last time hold. Transports mounted later are not covered.

    Args:
        client: A ``Client`` or ``AsyncClient`` of httpx2 or httpx; None for all.
        llmobs_client: Records calls made outside any run; by default the default client.
        capture_content: ``full``; ``redacted``, even if the llmobs client does not redact; or
            ``metadata``, no text at all. A stricter setting of the llmobs client wins.
        include_usage: Ask OpenAI's chat completions for the usage of streams that did not ask
            for it, and keep the extra chunk from the caller.

    Raises:
        TypeError: *client* is no client of httpx2 or httpx.
        ValueError: *capture_content* is none of the three.
    """
    options: dict[str, Any] = {
        "llmobs_client": llmobs_client,
        "capture_content": capture_content,
        "include_usage": include_usage,
    }
    if client is None:
        _everywhere.begin(options)
        return None
    _wrap(client, options, is_general=False)
    return client


def uninstrument(client: Any = None) -> None:
    """
    Undo :func:`instrument`: the client has the very transports it had before.

    Without a client: all have that were covered without being given, and constructors are the
    libraries' own again.
    """
    if client is None:
        _everywhere.end()
    else:
        _replace(client, _unwrapped)


def is_instrumented(client: Any) -> bool:
    """Return whether *client* records its model calls already."""
    return isinstance(getattr(client, "_transport", None), Recorder)


class _Everywhere:
    """
    Covers all clients: those there are, and those made from now on.

    The ``__init__`` of the libraries' clients is wrapped: it runs once per client, and also for the
    subclasses that SDKs make. No method that sends is touched.
    """

    def __init__(self) -> None:
        self._patches = Patches()
        self._imports = Imports()
        self._covered: weakref.WeakSet[Any] = weakref.WeakSet()

    def begin(self, options: dict[str, Any]) -> None:
        RecordingTransport(None, **options)  # says what is wrong with the options now
        self.end()

        def cover(client: Any) -> None:
            agent = str(client.headers.get("user-agent", ""))
            if is_instrumented(client) or agent.startswith("llmobs/"):
                return  # it has options of its own, or is ours
            try:
                _wrap(client, options, is_general=True)
            except TypeError as problem:
                name = brief(f"{type(client).__module__}.{type(client).__qualname__}", 200)
                _troubles.log(
                    f"unattached:{name}:{brief(agent, 100)}",
                    "llmobs: calls of an HTTP client (%s) are not recorded: %s",
                    name,
                    problem,
                )
            else:
                self._covered.add(client)

        def watch(library: Any) -> None:
            kinds = (library.Client, library.AsyncClient)
            self._patches.every(kinds, cover, "instrument an HTTP client")

        for name in ("httpx2", "httpx"):
            self._imports.when(name, watch)

    def end(self) -> None:
        self._imports.forget()
        self._patches.undo()
        for client in list(self._covered):
            if not has_own_options(client):
                _replace(client, _unwrapped)
        self._covered.clear()


_everywhere: Final = _Everywhere()
_troubles: Final = Troubles(math.inf)


def _wrap(client: Any, options: dict[str, Any], *, is_general: bool) -> None:
    wrapper = _wrapper_for(client)

    def wrap(transport: Any) -> Any:
        if transport is None:
            return None
        ours = wrapper(_unwrapped(transport), **options)
        ours.is_general = is_general
        return ours

    _replace(client, wrap)


def _unwrapped(transport: Any) -> Any:
    return transport.inner if isinstance(transport, Recorder) else transport


def _wrapper_for(client: Any) -> type[RecordingTransport] | type[AsyncRecordingTransport]:
    transport = _unwrapped(getattr(client, "_transport", None))
    if isinstance(getattr(client, "_mounts", None), dict):
        if hasattr(transport, "handle_async_request") and hasattr(client, "aclose"):
            return AsyncRecordingTransport
        if hasattr(transport, "handle_request"):
            return RecordingTransport
    raise TypeError(f"{type(client).__qualname__} is no client of httpx2 or httpx")


def _replace(client: Any, change: Any) -> None:
    # httpx has no public way to reach the transport of a client that exists; these two names are
    # the same in all of its releases, and what its own test tools replace.
    client._transport = change(client._transport)  # noqa: SLF001
    mounts = client._mounts  # noqa: SLF001
    for pattern, transport in mounts.items():
        mounts[pattern] = change(transport)
