"""What can go wrong with a server, as values to queue, and the ASGI layer that does it.

The ugly ones (reset, half-open, endless headers) write to the connection itself, past HTTP.
"""

import asyncio
import socket
import struct
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

Action = Literal[
    "respond", "redirect", "pass", "swallow", "close", "reset", "half_open", "endless_headers"
]

_FOREVER = -1
_LINGER_ZERO = struct.pack("ii", 1, 0)  # closing sends RST, not FIN


@dataclass
class Fault:
    """One thing to do instead of answering; make it with the methods below."""

    action: Action
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay: float = 0.0
    times: int = 1

    @classmethod
    def answer(
        cls,
        status: int,
        body: bytes = b"",
        *,
        retry_after: str | float | None = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Self:
        """Answer with this status; `retry_after` is seconds or an HTTP date."""
        extra = {} if retry_after is None else {"retry-after": str(retry_after)}
        return cls("respond", status, {**(headers or {}), **extra}, body, **more)

    @classmethod
    def slow(cls, seconds: float, **more: Any) -> Self:
        """Serve the request as usual, after a while."""
        return cls("pass", delay=seconds, **more)

    @classmethod
    def close(cls, **more: Any) -> Self:
        """Close the connection before the request is looked at; nothing is stored."""
        return cls("close", **more)

    @classmethod
    def swallow(cls, **more: Any) -> Self:
        """Store the events, then close the connection without an answer."""
        return cls("swallow", **more)

    @classmethod
    def reset(cls, **more: Any) -> Self:
        """Send the head and half of the body of an answer, then reset the connection."""
        return cls("reset", **more)

    @classmethod
    def half_open(cls, **more: Any) -> Self:
        """Never answer; the connection stays open until the client or the server ends."""
        return cls("half_open", **more)

    @classmethod
    def wrong_json(cls, body: bytes = b'{"success": tru', **more: Any) -> Self:
        """Answer 200 with something that is not the JSON of the protocol."""
        return cls("respond", 200, {"content-type": "application/json"}, body, **more)

    @classmethod
    def endless_headers(cls, **more: Any) -> Self:
        """Answer with header lines that never end."""
        return cls("endless_headers", **more)

    @classmethod
    def redirect_loop(cls, status: int = 307, **more: Any) -> Self:
        """Send the client back to where it came from, for ever."""
        return cls("redirect", status, **{"times": _FOREVER, **more})


class FaultQueue:
    """Faults in the order they will happen, one a request; used from any thread."""

    def __init__(self) -> None:
        self._faults: deque[Fault] = deque()
        self._lock = threading.Lock()

    def add(self, *faults: Fault) -> None:
        """Queue faults; one with `times=-1` stays until `clear`."""
        with self._lock:
            self._faults.extend(faults)

    def clear(self) -> None:
        """Forget what is queued: the server is well again."""
        with self._lock:
            self._faults.clear()

    def take(self) -> Fault | None:
        """Return the next fault to happen, or None."""
        with self._lock:
            if not self._faults:
                return None
            fault = self._faults[0]
            if fault.times != _FOREVER:
                fault.times -= 1
                if fault.times <= 0:
                    self._faults.popleft()
            return fault


class FaultLayer:
    """Outermost ASGI layer: the next fault happens, or the application serves."""

    def __init__(self, app: ASGIApp, faults: FaultQueue) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = self._faults.take() if scope["type"] == "http" else None
        if fault is None:
            return await self._app(scope, receive, send)
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.action == "pass":
            return await self._app(scope, receive, send)
        if fault.action == "swallow":
            await self._app(scope, receive, _discard)
        elif fault.action != "close":
            # The body is read first, so that what the client sees is the fault and no broken pipe.
            await Request(scope, receive).body()
        if fault.action in ("respond", "redirect"):
            headers = dict(fault.headers)
            if fault.action == "redirect":
                headers["location"] = str(Request(scope).url)
            return await Response(fault.body, fault.status, headers)(scope, receive, send)
        return await _misbehave(fault, receive, send)


async def _discard(message: Any) -> None:
    """Send nothing."""


async def _misbehave(fault: Fault, receive: Receive, send: Send) -> None:
    # uvicorn's `send` is bound to the object that holds the connection.
    transport: asyncio.Transport = send.__self__.transport  # type: ignore[attr-defined]
    try:
        if fault.action == "reset":
            transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" + b"x" * 500)
            await asyncio.sleep(0.05)  # a reset overtakes what the kernel has not sent yet
            raw: socket.socket = transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        elif fault.action == "endless_headers":
            transport.write(b"HTTP/1.1 200 OK\r\n")
            while not transport.is_closing():
                transport.write(b"x-more: " + b"y" * 1000 + b"\r\n")
                await asyncio.sleep(0.001)
        elif fault.action == "half_open":
            await _gone(receive)
    finally:
        transport.abort()
    await _gone(receive)


async def _gone(receive: Receive) -> None:
    """Wait until the connection is closed; uvicorn would answer 500 if we returned before."""
    while (await receive())["type"] != "http.disconnect":
        pass
