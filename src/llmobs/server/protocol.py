"""HTTP as uvicorn reads it, and a word to who speaks gRPC instead."""

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any, Final

import h11

from llmobs.runtime.troubles import Troubles

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol
    from uvicorn.protocols.http.h11_impl import H11Protocol as HTTPProtocol
else:
    H11Protocol = object
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as HTTPProtocol
    except ImportError:
        from uvicorn.protocols.http.h11_impl import H11Protocol as HTTPProtocol

__all__ = ["Bounded", "Protocol"]

PREFACE: Final = b"PRI * HTTP/2.0"
"""What begins HTTP/2 without asking first: nobody but gRPC does, here."""
WORDS: Final = (
    "this port takes OTLP over HTTP, not gRPC: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
)
HTTP_1_1_REQUIRED: Final = 0xD

_troubles = Troubles()


def _frame(kind: int, payload: bytes) -> bytes:
    """Return a frame of HTTP/2 (RFC 9113 §4.1) of the connection as a whole."""
    return len(payload).to_bytes(3, "big") + bytes((kind, 0)) + bytes(4) + payload


_GO_AWAY: Final = _frame(4, b"") + _frame(
    7, bytes(4) + HTTP_1_1_REQUIRED.to_bytes(4, "big") + WORDS.encode()
)
"""SETTINGS, which must come first, and GOAWAY, whose words a client may show."""


MAX_HEAD_BYTES: Final = 64 * 1024
"""Of a request before its body: a path and headers; many times what clients send."""
HEAD_SECONDS: Final = 20.0
"""That these may take to arrive."""
MAX_CONNECTIONS: Final = 2_000
"""At once: of each, some kilobytes are held."""


def _answer(status: str, words: str, more: str = "") -> bytes:
    body = json.dumps({"error": {"message": words, "field": None}}).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return f"{head}{more}connection: close\r\n\r\n".encode() + body


_TOO_LONG: Final = _answer(
    "431 Request Header Fields Too Large",
    f"path and headers are over {MAX_HEAD_BYTES} bytes",
)
_TOO_SLOW: Final = _answer(
    "408 Request Timeout", f"the headers were not here after {HEAD_SECONDS:.0f} s"
)
_TOO_MANY: Final = _answer(
    "503 Service Unavailable",
    f"there are {MAX_CONNECTIONS} connections already",
    "retry-after: 5\r\n",
)


class Bounded(H11Protocol):
    """
    A connection within bounds, over either parser.

    uvicorn bounds neither how many there are, nor what they send before a body.
    """

    _begun = False
    _is_before_body = True
    _head = 0
    """Bytes of a request's head that has not ended."""
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            _troubles.log(
                "many", "llmobs: over %d connections; further ones are refused", MAX_CONNECTIONS
            )
            self._refuse(_TOO_MANY)
            return
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self.transport.is_closing():
            return
        if not self._begun:
            self._begun = True
            if data.startswith(PREFACE):
                _troubles.log("grpc", "llmobs: %s", WORDS, level=logging.WARNING)
                self._refuse(_GO_AWAY)
                return
        waited, before = self._waits(), self.cycle
        super().data_received(data)
        if not waited or self.cycle is not before or not self._waits():
            self._head = 0
            self._stop_waiting()
            return
        self._head += len(data)
        if self._head > MAX_HEAD_BYTES:
            self._refuse(_TOO_LONG)
        elif self._patience is None:
            self._wait_for_head()

    def _waits(self) -> bool:
        """Whether what comes next belongs to the head of a request, and to no body."""
        conn: Any = getattr(self, "conn", None)  # h11 tells; httptools calls what is below
        return self._is_before_body if conn is None else conn.their_state is h11.IDLE

    def on_headers_complete(self) -> None:
        """See httptools."""
        self._is_before_body = False
        super().on_headers_complete()  # type: ignore[misc]

    def on_message_complete(self) -> None:
        """See httptools."""
        self._is_before_body = True
        super().on_message_complete()  # type: ignore[misc]

    def _wait_for_head(self) -> None:
        self._patience = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        # Browsers connect ahead of what they will ask: an answer to nothing would be read as one to that.
        self._refuse(_TOO_SLOW if self._begun else b"")

    def _refuse(self, answer: bytes) -> None:
        self._stop_waiting()
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()


class Protocol(Bounded, HTTPProtocol):
    """One connection."""
