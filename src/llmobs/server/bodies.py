"""Bodies of requests, read within bounds, and how a request is refused in plain words."""

import asyncio
import json
import sys
import zlib
from collections.abc import Callable
from typing import Final, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse

from llmobs.codec import encode
from llmobs.server.room import room_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = [
    "MAX_BODY_BYTES",
    "MAX_MENDED",
    "Inflated",
    "RefusedError",
    "answer_refused",
    "as_strict_json",
    "check_json",
    "read_body",
]

MAX_BODY_BYTES: Final = 32 * 1024 * 1024
"""Of a request, as it comes and decompressed: more than our own batches and OTLP's exporters send."""
SMALL: Final = 2 * 1024 * 1024
"""A body of JSON that is small, whatever it becomes."""
MAX_CONTAINERS: Final = 500_000
"""Lists and objects in a larger one: some 50 MB."""
MAX_VALUES: Final = 2_000_000
"""Values, likewise."""
BODY_SECONDS: Final = 60.0
"""That a body may take to arrive."""
MAX_MENDED: Final = 4 * 1024 * 1024
"""Bytes of a body that is not strict JSON, and read all the same."""
MAX_MEMBERS: Final = 2_000
"""Of a compressed body: who compresses in parallel writes one for each 64 KB or more; to open one takes
longer than to read what is in an empty one."""
PIECE: Final = 256 * 1024
"""Bytes decompressed at a stretch: some 0.3 ms of the event loop's time."""


class RefusedError(Exception):
    """
    A request is refused.

    Args:
        status: The HTTP status.
        message: Why, and the way out; it quotes nothing of what was sent.
        field: Which field, header or parameter is at fault, if one is.
        retry_after: Seconds until it may be tried again.
    """

    def __init__(
        self,
        status: int,
        message: str,
        field: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.field = field
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """What the answer carries: ``Retry-After``, in whole seconds, if there is one."""
        if self.retry_after is None:
            return {}
        return {"retry-after": str(max(1, round(self.retry_after)))}


def answer_refused(error: RefusedError) -> JSONResponse:
    """Return ``{"error": {"message", "field"}}``, for ways in that have no form of their own."""
    words = {"message": error.message, "field": error.field}
    return JSONResponse({"error": words}, error.status, error.headers)


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Zlib:
    """zlib's object, which hands back what it did not get to, as zstd's, which keeps it."""

    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._inner = zlib.decompressobj(wbits)
        self._rest = b""
        self._begun = False

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        data, self._rest = self._rest + data, b""
        if not self._begun and data:
            self._begun = True
            # HTTP's "deflate" is zlib's format; some send the bare stream (RFC 9110 §8.4.1.2).
            if self._wbits == zlib.MAX_WBITS and (data[0] & 0x0F) != 8:
                self._inner = zlib.decompressobj(-zlib.MAX_WBITS)
        out = self._inner.decompress(data, max_length)
        self._rest = self._inner.unconsumed_tail
        return out


_DECOMPRESSORS: Final[dict[str, Callable[[], _Decompressor]]] = {
    "zstd": zstd.ZstdDecompressor,
    "gzip": lambda: _Zlib(16 + zlib.MAX_WBITS),
    "x-gzip": lambda: _Zlib(16 + zlib.MAX_WBITS),
    "deflate": lambda: _Zlib(zlib.MAX_WBITS),
}


class Inflated:
    """
    What a compressed body is, member after member, never more than *most* bytes of it.

    Its methods raise `RefusedError`: 413 it becomes more than that; 400 it is damaged, or cut into crumbs.
    """

    def __init__(self, encoding: str, most: int, take_up: Callable[[int], None]) -> None:
        self._take_up = take_up
        self._new = _DECOMPRESSORS[encoding]
        self._encoding = encoding
        self._most = most
        self._decompressor = self._new()
        self._between = False
        """One member has ended, and the next one not begun."""
        self._members = 1
        self.size = 0
        self.pieces: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Take in what came next; raises if it becomes too much, or is damaged."""
        try:
            while data:
                if self._decompressor.eof:
                    self._next()
                data = self._member(data)
        except (zlib.error, zstd.ZstdError, EOFError) as error:
            raise RefusedError(
                400, f"the body is not {self._encoding}: {error}", "content-encoding"
            ) from None

    def _next(self) -> None:
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise RefusedError(
                400,
                f"the body is over {MAX_MEMBERS} pieces of {self._encoding}, each compressed by itself",
                "content-encoding",
            )
        self._decompressor, self._between = self._new(), False

    def _member(self, data: bytes) -> bytes:
        """Take in *data* to the end of its member; return what comes after that."""
        decompressor = self._decompressor
        while True:
            piece = decompressor.decompress(data, PIECE)
            data = b""
            if piece:
                self.size += len(piece)
                if self.size > self._most:
                    raise _too_large(self._most, "decompressed")
                self._take_up(len(piece))
                self.pieces.append(piece)
            if decompressor.eof:
                self._between = True
                return decompressor.unused_data
            if len(piece) < PIECE:
                return b""

    def end(self) -> None:
        """See that all of it has come; raises if not."""
        if not self._between:
            raise RefusedError(
                400, f"the body ends in the middle of its {self._encoding}", "content-encoding"
            )


async def read_body(request: Request, *, max_bytes: int = MAX_BODY_BYTES) -> bytes:
    """
    Return the body of *request*, decompressed.

    It is read as it comes, and refused at the first byte beyond the bound: before it is all here,
    and before more than the bound is decompressed. What is read takes up room in the collector
    until the request is answered (`llmobs.server.room`).

    Args:
        request: Its ``Content-Encoding`` may be zstd, gzip or deflate.
        max_bytes: Bound for what comes over the wire and for what it becomes, each.

    Raises:
        RefusedError: 413 too large; 415 an encoding nobody here reads; 400 not what it says it is;
            408 it does not come.
        BusyError: There is no room for it now.
        ClientDisconnect: The client went away in the middle.
    """
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > max_bytes:
        raise _too_large(max_bytes, "long")
    encoding = request.headers.get("content-encoding", "").strip().lower()
    take_up = room_of(request)
    inflated = None
    if encoding not in ("", "identity"):
        if encoding not in _DECOMPRESSORS:
            known = ", ".join(sorted(_DECOMPRESSORS))
            raise RefusedError(
                415, f"this content-encoding is not known here; {known} are", "content-encoding"
            )
        inflated = Inflated(encoding, max_bytes, take_up)
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.stream():
                size += len(piece)
                if size > max_bytes:
                    raise _too_large(max_bytes, "long")
                if inflated is None:
                    take_up(len(piece))
                    pieces.append(piece)
                else:
                    inflated.feed(piece)
    except TimeoutError:
        raise RefusedError(
            408, f"the body was not here after {BODY_SECONDS:.0f} s", "body"
        ) from None
    if inflated is None:
        return b"".join(pieces)
    if size:  # nothing, compressed, is nothing
        inflated.end()
    return b"".join(inflated.pieces)


def check_json(body: bytes) -> None:
    """
    See that *body*, JSON, does not become many times its size when it is read.

    An empty list is two bytes in a body, compressed next to none, and 64 in memory. Texts have brackets
    and commas, too, but never so many in what a client sends at once.

    Raises:
        RefusedError: 413 it holds too many values; less of it at once may fit.
    """
    if len(body) <= SMALL:
        return
    if body.count(b"[") + body.count(b"{") > MAX_CONTAINERS or body.count(b",") > MAX_VALUES:
        raise RefusedError(413, "the body holds too many values; send less at once", "body")


def as_strict_json(body: bytes) -> bytes | None:
    """
    Return *body* as strict JSON where it is what others call JSON; None where nobody does.

    Python writes NaN, and JavaScript half of a character pair that it cut in two.
    """
    if len(body) > MAX_MENDED:
        return None
    try:
        plain = json.loads(body, parse_constant=lambda word: None)
        mended = encode(plain)
        msgspec.json.decode(mended)
    except (ValueError, RecursionError):  # msgspec's error is a ValueError, too
        return None
    return mended


def _too_large(most: int, how: str) -> RefusedError:
    return RefusedError(413, f"the body is over {most} bytes {how}; send less at once", "body")
