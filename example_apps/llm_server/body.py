"""From an answer to the bytes of its body: encoding, pacing, and the faults of transport."""

import gzip
import zlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

import anyio
from starlette.responses import StreamingResponse
from starlette.types import Send

from .conversation import Event, Framing, Json
from .faults import BROKEN_JSON, Faults
from .framing import between, closing, frame, json_bytes
from .words import identifier

_GARBAGE = bytes.fromhex(identifier("", 128, "garbage")) + b"\xff\xfe\x00\x80"
_ENDLESS_PAUSE = 0.002  # an endless body must not eat a whole processor


class _ConnectionCutError(Exception):
    """The body ends here, without saying so."""


class BodyResponse(StreamingResponse):
    """A response that can break off: after a cut it returns without the last message.

    The server then closes the connection, as ASGI leaves an application no other way to do it.
    """

    async def stream_response(self, send: Send) -> None:
        """Send the body, or what there is of it before a cut."""
        try:
            await super().stream_response(send)
        except _ConnectionCutError:
            return


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds until the first token, and between tokens."""

    first: float
    between: float

    async def whole(self, tokens: int) -> None:
        """Wait as long as an answer of that many tokens takes."""
        await anyio.sleep(self.first + self.between * max(tokens - 1, 0))


def plain(
    content: Json | tuple[Any, ...], faults: Faults
) -> tuple[AsyncIterator[bytes], dict[str, str]]:
    """The body of a JSON answer and the headers that belong to it."""
    data = json_bytes(content)
    if "bad-json" in faults:
        data = BROKEN_JSON.encode()
    elif "truncated-json" in faults:
        data = data[: len(data) // 2]
    elif "garbage" in faults:
        data = _GARBAGE
    headers = {"content-type": "application/json"}
    if "endless" in faults:
        return _transported(_padded_for_ever(data), faults), headers | _encoding(faults)
    if "gzip" in faults:
        data = gzip.compress(data, mtime=0)
    headers |= {"content-length": str(len(data)), **_encoding(faults)}
    return _transported(_halves(data, cut="cut" in faults), faults, is_compressed=True), headers


def stream(
    events: Iterable[Event], size: int, framing: Framing, pace: Pace, faults: Faults
) -> tuple[AsyncIterator[bytes], dict[str, str]]:
    """The body of a stream of `size` events (if it is not endless), and its headers."""
    headers = {"content-type": framing.value, "cache-control": "no-cache"}
    chunks = _encoded(events, size // 2, framing, pace, faults)
    return _transported(chunks, faults), headers | _encoding(faults)


def _encoding(faults: Faults) -> dict[str, str]:
    return {"content-encoding": "gzip"} if "gzip" in faults else {}


async def _encoded(
    events: Iterable[Event], middle: int, framing: Framing, pace: Pace, faults: Faults
) -> AsyncIterator[bytes]:
    end = "\r\n" if "crlf" in faults else "\n"
    wait = pace.first
    for index, event in enumerate(events):
        if event.is_token:
            await anyio.sleep(max(wait, _ENDLESS_PAUSE if "endless" in faults else 0))
            wait = pace.between
        data = frame(event, framing, end=end, comments="comments" in faults)
        if index == middle and "garbage" in faults:
            yield _GARBAGE
        if index == middle and "cut" in faults:
            yield data[: len(data) // 2]
            raise _ConnectionCutError
        yield between(framing, index) + data
    if tail := closing(framing):
        yield tail


async def _halves(data: bytes, *, cut: bool) -> AsyncIterator[bytes]:
    yield data[: len(data) // 2]
    if cut:
        raise _ConnectionCutError
    yield data[len(data) // 2 :]


async def _padded_for_ever(data: bytes) -> AsyncIterator[bytes]:
    yield data[:-1]
    while True:
        await anyio.sleep(_ENDLESS_PAUSE)
        yield b" " * 64


def _transported(
    chunks: AsyncIterator[bytes], faults: Faults, *, is_compressed: bool = False
) -> AsyncIterator[bytes]:
    if "gzip" in faults and not is_compressed:
        chunks = _gzipped(chunks)
    return _split(chunks) if "split" in faults else chunks


async def _gzipped(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    packer = zlib.compressobj(wbits=31)
    async for chunk in chunks:
        yield packer.compress(chunk) + packer.flush(zlib.Z_SYNC_FLUSH)
    yield packer.flush()


async def _split(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        for at in range(len(chunk)):
            yield chunk[at : at + 1]
