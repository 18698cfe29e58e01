"""A bounded copy of a body as it passed: its beginning, its end, and when each piece came."""

import importlib
import zlib
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any, Final, NamedTuple

__all__ = ["MAX_MARKS", "Copy", "Piece", "clip", "pieces"]

MAX_MARKS: Final = 4096
"""Pieces whose time of arrival is noted; the first token is among them."""
MAX_TAIL: Final = 64 * 1024
"""Bytes of the end kept of a body that is too long: usage and finish reason stand there."""
MAX_EXPANSION: Final = 8
"""A compressed body is read until it is this many times as long as what may be kept."""


def clip(body: bytes, limit: int) -> tuple[bytes, bytes | None]:
    """Return *body*, and None; or its beginning and its end, of *limit* bytes together."""
    if len(body) <= limit:
        return body, None
    tail = min(limit // 8, MAX_TAIL)
    return body[: limit - tail], body[len(body) - tail :]


class Copy:
    """
    What is kept of an answer. The first bytes are added by the stream itself, for speed: to
    :attr:`head`, with a mark in :attr:`times` and :attr:`ends`; the rest through :meth:`overflow`.

    Args:
        limit: Bytes kept, at most.
    """

    __slots__ = (
        "_tail",
        "_tail_room",
        "_tail_size",
        "ends",
        "head",
        "room",
        "tail",
        "times",
        "total",
    )

    def __init__(self, limit: int) -> None:
        self._tail_room = min(limit // 8, MAX_TAIL)
        self._tail: deque[bytes] | None = None
        self._tail_size = 0
        self.head = bytearray()
        self.tail: bytes | None = None
        """Once closed: the end of a body that was too long."""
        self.room = limit - self._tail_room
        """Bytes that :attr:`head` may hold."""
        self.times = array("d")
        self.ends = array("Q")
        self.total = 0
        """Bytes that passed; complete when the body has ended."""

    def overflow(self, chunk: bytes, room: int) -> int:
        """Keep what fits of a *chunk* longer than *room*, the rest in a ring; returns the room left."""
        if self._tail is None:
            self._tail = deque()
            self.head += chunk[:room]
            self.times.append(perf_counter())
            self.ends.append(len(self.head))
            chunk = chunk[room:]
        tail = self._tail
        tail.append(
            chunk[len(chunk) - self._tail_room :] if len(chunk) > self._tail_room else chunk
        )
        self._tail_size += len(tail[-1])
        while tail and self._tail_size - len(tail[0]) >= self._tail_room:
            self._tail_size -= len(tail.popleft())
        return 0

    def close(self) -> None:
        """Let go of what the ring holds beyond its size: the body has ended."""
        if self._tail is not None:
            ring = b"".join(self._tail)
            self.tail = ring[max(len(ring) - self._tail_room, 0) :]
            self._tail = None

    @property
    def size(self) -> int:
        """Bytes held, once closed."""
        return len(self.head) + len(self.tail or b"")

    @property
    def last_bytes(self) -> bytes:
        """The last few hundred bytes, to see how the body ended; once closed."""
        return bytes(self.head[-512:]) if self.tail is None else self.tail[-512:]


class Piece(NamedTuple):
    """A part of a body, decoded."""

    data: bytes
    time: float
    """When its last byte came."""


def pieces(copy: Copy, encodings: list[str]) -> tuple[list[Piece], str | None]:
    """
    Return the beginning of a body, decoded, in the pieces it came in.

    The second value says, in words, what could not be read, if anything.
    """
    limit = len(copy.head)
    whole = list(_marked(copy))
    trouble = None
    for encoding in reversed(encodings):
        if encoding in ("identity", ""):
            continue
        decompress = _decompressor(encoding)
        if decompress is None:
            return [], f"the body is encoded as {encoding[:40]!r}, which cannot be read here"
        limit = max(copy.room, limit) * MAX_EXPANSION
        decoded: list[Piece] = []
        size = 0
        try:
            for piece in whole:
                data = decompress(piece.data)
                size += len(data)
                decoded.append(Piece(data, piece.time))
                if size > limit:
                    trouble = "the body is too long; only its beginning was read"
                    break
        except Exception:  # noqa: BLE001 - each library has errors of its own; garbage is no reason to fail
            trouble = f"the body is not valid {encoding[:40]}; only its beginning was read"
        whole = decoded
    return whole, trouble


_SLICE = 64 * 1024


def _marked(copy: Copy) -> Iterator[Piece]:
    head = bytes(copy.head)
    start = 0
    time = 0.0
    for end, time in zip(copy.ends, copy.times, strict=True):
        for at in range(start, end, _SLICE):
            yield Piece(head[at : min(at + _SLICE, end)], time)
        start = end
    for at in range(start, len(head), _SLICE):
        yield Piece(head[at : at + _SLICE], time)


def _decompressor(encoding: str) -> Callable[[bytes], bytes] | None:
    if encoding in ("gzip", "x-gzip"):
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress
    if encoding == "deflate":
        return _inflate()
    if encoding == "br":
        for name in ("brotli", "brotlicffi"):
            library = _module(name)
            if library is not None:
                reader = library.Decompressor()
                return getattr(reader, "process", None) or reader.decompress  # type: ignore[no-any-return]
    if encoding == "zstd":
        for name in ("compression.zstd", "backports.zstd"):
            library = _module(name)
            if library is not None:
                return library.ZstdDecompressor().decompress  # type: ignore[no-any-return]
    return None


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _inflate() -> Callable[[bytes], bytes]:
    """Servers send ``deflate`` with and without the zlib wrapper (RFC 9110, 8.4.1.2)."""
    state: list[Any] = []
    waiting = bytearray()

    def decompress(data: bytes) -> bytes:
        if not state:
            waiting.extend(data)
            if len(waiting) < 2:
                return b""
            data = bytes(waiting)
            # The wrapper's two bytes: method 8, and a multiple of 31 (RFC 1950).
            wrapped = data[0] & 15 == 8 and int.from_bytes(data[:2]) % 31 == 0
            state.append(zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS))
        return state[0].decompress(data)  # type: ignore[no-any-return]

    return decompress
