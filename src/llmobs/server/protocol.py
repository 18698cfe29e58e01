"""HTTP as uvicorn reads it, and a word to who speaks gRPC instead."""

import logging
from typing import TYPE_CHECKING, Final

from llmobs.runtime.troubles import Troubles

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol as HTTPProtocol
else:
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as HTTPProtocol
    except ImportError:
        from uvicorn.protocols.http.h11_impl import H11Protocol as HTTPProtocol

__all__ = ["Protocol"]

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


class Protocol(HTTPProtocol):
    """One connection."""

    _begun = False

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if not self._begun:
            self._begun = True
            if data.startswith(PREFACE):
                _troubles.log("grpc", "llmobs: %s", WORDS, level=logging.WARNING)
                self.transport.write(_GO_AWAY)
                self.transport.close()
                return
        super().data_received(data)
