"""
The body of an answer on its way to the host. HTTP clients check its class, hence `stream_class`.

Where it is wanted, OpenAI is asked for the usage of a stream, and the extra chunk that brings it is
kept from the caller: ``stream_options.include_usage`` makes one more chunk, with ``usage`` and no
choices, come before ``[DONE]`` (OpenAI API reference, "Chat", ``stream_options``). Some servers refuse
requests that hold it: those are sent again as they were, and their server is not asked again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from functools import lru_cache
from time import perf_counter
from typing import Any, Final

import msgspec

from llmobs.contrib._wire.body import MAX_MARKS, Copy
from llmobs.contrib._wire.call import Call
from llmobs.contrib._wire.ending import Ending
from llmobs.contrib._wire.framing import EventSplitter, fields_of
from llmobs.recorded.jsontext import as_object

__all__ = [
    "REFUSED",
    "Decoded",
    "UsageFilter",
    "stream_class",
    "with_usage_asked",
]


def with_usage_asked(body: bytes) -> bytes | None:
    """Return *body* with usage asked for, or None if it is no stream or asks already."""
    try:
        request = msgspec.json.decode(body, type=dict)
    except (msgspec.DecodeError, RecursionError):
        return None
    options = request.get("stream_options")
    if request.get("stream") is not True or as_object(options).get("include_usage") is not None:
        return None
    if options is None and "stream_options" not in request:
        # The rest stays as it is, byte for byte.
        start = body.index(b"{") + 1
        return body[:start] + b'"stream_options":{"include_usage":true},' + body[start:]
    request["stream_options"] = {**as_object(options), "include_usage": True}
    return msgspec.json.encode(request)


REFUSED: Final = frozenset({400, 422})
"""Statuses with which a server may refuse a request for a member it does not know."""


class Decoded:
    """
    A body without its content encoding, sync or async as the one it reads.

    Args:
        inner: The stream of a response.
        decode: See :func:`decoder`.
        error: What the client raises for a body that is not what its headers say.
    """

    def __init__(self, inner: Any, decode: Callable[[bytes], bytes], error: Any) -> None:
        self._inner = inner
        self._decode = decode
        self._error = error
        self.close = getattr(inner, "close", None)
        self.aclose = getattr(inner, "aclose", None)

    def _decoded(self, chunk: bytes) -> bytes:
        try:
            return self._decode(chunk)
        except Exception as error:
            raise self._error(str(error)) from error

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._inner:
            yield self._decoded(chunk)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            yield self._decoded(chunk)


class UsageFilter:
    """Lets a stream of server-sent events through without the chunk that only brings usage."""

    def __init__(self) -> None:
        self._splitter = EventSplitter()

    def feed(self, data: bytes) -> bytes:
        """Return what may pass of *data*: whole events, as a client reads nothing else."""
        return b"".join(event for event in self._splitter.feed(data) if not _brings_usage(event))

    def rest(self) -> bytes:
        """Return what is left at the end of the stream."""
        return self._splitter.rest()


def _brings_usage(event: bytes) -> bool:
    if b'"usage"' not in event or b'"choices"' not in event:
        return False
    try:
        chunk = msgspec.json.decode(fields_of(event)[1], type=dict)
    except (msgspec.DecodeError, RecursionError):
        return False
    return chunk.get("choices") == [] and bool(chunk.get("usage"))


_WHOLE: Final = Ending.WHOLE  # each look into an Enum takes as long as a call of a function


class _Stream:
    """A body on its way to the host; copies what passes, and notes how it ends."""

    def __init__(self, inner: Any, call: Call, copy: Copy) -> None:
        self._inner = inner
        self._call = call
        self._copy = copy

    def __del__(self) -> None:
        if not self._call.done:  # nobody has read or closed it
            self._call.end(Ending.CLOSED)

    def _ended_by(self, error: BaseException) -> None:
        if isinstance(error, GeneratorExit):
            self._call.end(Ending.CLOSED)
        else:
            self._call.end(Ending.FAILED, error)


class _SyncStream(_Stream):
    def __iter__(self) -> Iterator[bytes]:
        copy, clock, marks = self._copy, perf_counter, MAX_MARKS
        append_chunk, append_time, room = copy.chunks.append, copy.times.append, copy.room
        try:
            for chunk in self._inner:
                room -= len(chunk)
                if room < 0:
                    room = copy.overflow(chunk, room + len(chunk))
                elif marks:
                    marks -= 1
                    append_chunk(chunk)
                    append_time(clock())
                else:
                    copy.more(chunk)
                yield chunk
        except BaseException as error:
            self._ended_by(error)
            raise
        self._call.end(_WHOLE)

    def close(self) -> None:
        try:
            self._inner.close()
        finally:
            if not self._call.done:
                self._call.end(Ending.CLOSED)


class _AsyncStream(_Stream):
    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        copy, clock, marks = self._copy, perf_counter, MAX_MARKS
        append_chunk, append_time, room = copy.chunks.append, copy.times.append, copy.room
        inner = self._inner.__aiter__()
        try:
            async for chunk in inner:
                room -= len(chunk)
                if room < 0:
                    room = copy.overflow(chunk, room + len(chunk))
                elif marks:
                    marks -= 1
                    append_chunk(chunk)
                    append_time(clock())
                else:
                    copy.more(chunk)
                yield chunk
        except BaseException as error:
            self._ended_by(error)
            raise
        finally:
            if hasattr(inner, "aclose"):
                await inner.aclose()
        self._call.end(_WHOLE)

    async def aclose(self) -> None:
        try:
            await self._inner.aclose()
        finally:
            if not self._call.done:
                self._call.end(Ending.CLOSED)


class _SyncWithoutUsage(_SyncStream):
    """Keeps the chunk that only brings usage from the host."""

    def __iter__(self) -> Iterator[bytes]:
        usage = UsageFilter()
        for chunk in super().__iter__():
            if passed := usage.feed(chunk):
                yield passed
        if rest := usage.rest():
            yield rest


class _AsyncWithoutUsage(_AsyncStream):
    """The same, for async clients."""

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        usage = UsageFilter()
        inner = super().__aiter__()
        try:
            async for chunk in inner:
                if passed := usage.feed(chunk):
                    yield passed
            if rest := usage.rest():
                yield rest
        finally:
            await inner.aclose()


_STREAMS: Final = {
    # async, without usage
    (False, False): _SyncStream,
    (False, True): _SyncWithoutUsage,
    (True, False): _AsyncStream,
    (True, True): _AsyncWithoutUsage,
}


@lru_cache(maxsize=64)
def stream_class(kind: Any, is_async: bool, hides_usage: bool) -> Any:
    """Return our stream as a subclass of the byte stream that *kind*'s own client asks for."""
    name = "AsyncByteStream" if is_async else "SyncByteStream"
    for base in kind.__mro__:
        if base.__name__ == name:
            return type("RecordedStream", (_STREAMS[is_async, hides_usage], base), {})
    raise TypeError(f"{kind.__qualname__} is no byte stream of httpx or httpx2")
