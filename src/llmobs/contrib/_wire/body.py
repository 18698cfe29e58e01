"""A bounded copy of a body as it passed: its beginning, its end, and when each piece came."""

from __future__ import annotations

import importlib
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any, Final, NamedTuple

from llmobs.contrib._wire.partial import LAST_EVENT, USAGE, Mention
from llmobs.recorded.printable import brief, quoted

__all__ = ["MAX_MARKS", "Copy", "Piece", "clip", "decoder", "decompressor", "pieces"]

MAX_MARKS: Final = 4096
"""Pieces whose time of arrival is noted; the first token is among them."""
MAX_TAIL: Final = 64 * 1024
"""Bytes of the end kept of a body that is too long: usage and finish reason stand there."""
MAX_EXPANSION: Final = 8
"""A compressed body is read until it is this many times as long as what may be kept."""

_LONG: Final = 8 * MAX_TAIL
_CHUNK: Final = 90
"""Memory of a piece beside its bytes: two objects, and a place in each list."""
_LAST: Final = 4096
_ENOUGH: Final = 512


def clip(body: bytes, limit: int) -> tuple[bytes, bytes | None]:
    """Return *body*, and None; or its beginning and its end, of *limit* bytes together."""
    if len(body) <= limit:
        return body, None
    tail = min(limit // 8, MAX_TAIL)
    return body[: limit - tail], body[len(body) - tail :]


class Copy:
    """
    What is kept of an answer. The stream itself fills it, for speed: the first `MAX_MARKS` pieces
    into :attr:`chunks` and :attr:`times`, what follows into :attr:`rest`, as long as there is
    :attr:`room`; then :meth:`overflow` takes over. At the end it closes.

    Args:
        limit: Bytes kept, at most.
    """

    tail: bytes | None = None
    """Once closed: the end of a body that was too long."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.room = limit - (MAX_TAIL if limit >= _LONG else limit // 8)
        """Bytes that may still be kept of the beginning."""
        self._ring: _Ring | None = None
        self.rest: bytearray | None = None
        self.chunks: list[bytes] = []
        self.times: list[float] = []

    def more(self, chunk: bytes) -> None:
        """Keep a *chunk* whose time is not noted."""
        if self.rest is None:
            self.rest = bytearray()
        self.rest += chunk

    @property
    def missed(self) -> int:
        """Bytes that came after the beginning was full."""
        return 0 if self._ring is None else self._ring.total

    def overflow(self, chunk: bytes, room: int) -> int:
        """Keep what fits of a *chunk* longer than *room*, the rest in a ring; returns the room left."""
        ring = self._ring
        if ring is None:
            if self.rest:
                self.rest += chunk[:room]
            else:
                self.chunks.append(chunk[:room])
                self.times.append(perf_counter())
            tail = min(self.limit // 8, MAX_TAIL)
            ring = self._ring = _Ring(tail, self.last_bytes[-32:])
            chunk = chunk[room:]
        ring.add(chunk)
        return 0

    def add(self, chunk: bytes) -> None:
        """Keep what fits of a piece that has just come, and note when."""
        size = len(chunk)
        if size > self.room:
            self.room = self.overflow(chunk, self.room)
            return
        self.room -= size
        if len(self.times) < MAX_MARKS:
            self.chunks.append(chunk)
            self.times.append(perf_counter())
        else:
            self.more(chunk)

    def add_untimed(self, body: bytes) -> None:
        """Keep what fits of a *body* that is there already, without noting when it came."""
        if len(body) <= self.room:
            self.more(body)
            self.room -= len(body)
        else:
            self.room = self.overflow(body, self.room)

    def close(self) -> int:
        """Let go of what the ring holds beyond its size: the body has ended. Returns what it weighs now."""
        chunks, ring = self.chunks, self._ring
        if len(chunks) == 1 and self.rest is None and ring is None:  # mostly
            return len(chunks[0]) + _CHUNK
        size = self._begun + _CHUNK * len(chunks)
        if ring is not None:
            self.tail = ring.close()
            size += len(self.tail) + ring.weight
        return size

    @property
    def _begun(self) -> int:
        """Bytes kept of the beginning."""
        return sum(map(len, self.chunks)) + len(self.rest or b"")

    @property
    def kept(self) -> int:
        """Bytes kept, once closed."""
        return self._begun + len(self.tail or b"")

    @property
    def beginning(self) -> bytes:
        """What is kept of the beginning, as it came."""
        return b"".join(self.chunks) + bytes(self.rest or b"")

    def ends(self, encoding: str) -> bytes:
        """Return some of the beginning and of the end, decoded as far as that is possible; once closed."""
        if encoding in ("", "identity"):
            return self.beginning[:_LAST] + b"\n" + self.last_bytes
        return self.start(encoding)

    def start(self, encoding: str) -> bytes:
        """Return some of the beginning, decoded, or nothing if that is not possible; once closed."""
        raw = self.beginning[:_SLICE]
        if encoding in ("", "identity"):
            return raw
        decode = decoder(encoding)
        try:
            return b"" if decode is None else decode(raw)
        except Exception:  # noqa: BLE001 - each library has errors of its own; so it shows nothing
            return b""

    @property
    def usage(self) -> bytes:
        """The last object called ``usage`` after the beginning that is kept, and more, or cut."""
        return b"" if self._ring is None else self._ring.usage.found

    @property
    def last_event(self) -> bytes:
        """The event that ends a stream of responses, from its type on, cut."""
        return b"" if self._ring is None else self._ring.last_event.found

    @property
    def total(self) -> int:
        """Bytes that passed."""
        return self._begun + self.missed

    @property
    def last_bytes(self) -> bytes:
        """The end of the body, half a kilobyte to four, to see how it ended; once closed."""
        if self.tail is not None:
            return self.tail[-_LAST:]
        last = bytes(self.rest[-_LAST:]) if self.rest is not None else b""
        size = len(last)
        if size >= _ENOUGH:
            return last
        ends = [last]
        for chunk in reversed(self.chunks):
            ends.append(chunk[-_LAST:])
            size += len(ends[-1])
            if size >= _ENOUGH:
                break
        ends.reverse()
        return b"".join(ends)[-_LAST:]


class _Ring:
    """
    The end of a body that is too long, and what was said meanwhile that must not be missed.

    Args:
        room: Bytes of the end, at most.
        before: The last bytes before: what must not be missed may begin there.
    """

    def __init__(self, room: int, before: bytes) -> None:
        self._room = room
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self.total = 0
        """Bytes that came."""
        self.usage = Mention(USAGE, b'"usage"', min(8192, room))
        self.last_event = Mention(LAST_EVENT, b'"response.', min(2048, room))
        self.usage.feed(before)
        self.last_event.feed(before)

    def add(self, chunk: bytes) -> None:
        self.total += len(chunk)
        self.usage.feed(chunk)
        self.last_event.feed(chunk)
        pieces, room = self._pieces, self._room
        pieces.append(chunk[len(chunk) - room :] if len(chunk) > room else chunk)
        self._size += len(pieces[-1])
        while pieces and self._size - len(pieces[0]) >= room:
            self._size -= len(pieces.popleft())

    def close(self) -> bytes:
        """Return the end, and hold on to nothing before it."""
        whole = b"".join(self._pieces)
        last = whole[max(len(whole) - self._room, 0) :]
        self._pieces = deque((last,))
        self._size = len(last)
        return last

    @property
    def weight(self) -> int:
        """Estimated memory of what was said."""
        return len(self.usage.found) + len(self.last_event.found)


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
    whole = list(_marked(copy))
    trouble = None
    for encoding in reversed(encodings):
        if encoding in ("identity", ""):
            continue
        decompress = decompressor(encoding)
        if decompress is None:
            return [], f"the body is encoded as {quoted(encoding, 40)}, which cannot be read here"
        limit = copy.limit * MAX_EXPANSION
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
            trouble = f"the body is not valid {brief(encoding, 40)}; only its beginning was read"
        whole = decoded
    return whole, trouble


_SLICE = 64 * 1024


def _marked(copy: Copy) -> Iterator[Piece]:
    time = 0.0
    for chunk, time in zip(copy.chunks, copy.times, strict=True):
        # In slices, so that a decompressor's output stays bounded too.
        for at in range(0, len(chunk), _SLICE):
            yield Piece(chunk[at : at + _SLICE], time)
    rest = copy.rest or b""
    for at in range(0, len(rest), _SLICE):
        yield Piece(bytes(rest[at : at + _SLICE]), time)


def decompressor(encoding: str) -> Callable[[bytes], bytes] | None:
    """Return what decodes a body piece by piece; None for an encoding that cannot be read here."""
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


def decoder(encoding: str) -> Callable[[bytes], bytes] | None:
    """Return what decodes a ``content-encoding`` piece by piece; None if that is not possible here."""
    names = [name for name in encoding.lower().replace(" ", "").split(",") if name != "identity"]
    steps = [decompressor(name) for name in reversed(names)]
    if not steps or None in steps:
        return None

    def decode(data: bytes) -> bytes:
        for step in steps:
            data = step(data)  # type: ignore[misc]
        return data

    return decode


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
