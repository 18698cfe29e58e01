"""The body of an answer on its way to the host; HTTP clients check its class, hence `stream_class`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from functools import lru_cache
from time import perf_counter
from typing import Any

from llmobs.contrib._wire.body import MAX_MARKS, Copy
from llmobs.contrib._wire.call import Call
from llmobs.contrib._wire.ending import Ending
from llmobs.contrib._wire.filter import UsageFilter
from llmobs.runtime.troubles import internal_errors

__all__ = ["report", "stream_class"]


def report(error: Exception) -> None:
    """Log an error of our own; entering the guard only for errors saves a microsecond per call."""
    with internal_errors("capture a model call"):
        raise error


class _Stream:
    """A body on its way to the host; copies what passes, and notes how it ends."""

    _inner: Any
    _call: Call
    _copy: Copy
    _usage: UsageFilter | None

    def __init__(self, inner: Any, call: Call, copy: Copy, usage: UsageFilter | None) -> None:
        self._inner = inner
        self._call = call
        self._copy = copy
        self._usage = usage

    def __del__(self) -> None:
        # A response nobody read or closed.
        if not self._call.done:
            self._end(Ending.CLOSED)

    def _end(self, ending: Ending, error: BaseException | None = None) -> None:
        if not self._call.done:
            try:
                self._call.end(ending, error)
            except Exception as ours:  # noqa: BLE001 - reported; the host must not notice
                report(ours)

    def _ended_by(self, error: BaseException) -> None:
        if isinstance(error, GeneratorExit):
            self._end(Ending.CLOSED)
        else:
            self._end(Ending.FAILED, error)


class _SyncStream(_Stream):
    def __iter__(self) -> Iterator[bytes]:
        if self._usage is not None:
            return self._without_usage(self._usage)
        return self._copied()

    def _copied(self) -> Iterator[bytes]:
        copy, clock, marks = self._copy, perf_counter, MAX_MARKS
        keep, note, rest, room = copy.chunks.append, copy.times.append, copy.rest, copy.room
        try:
            for chunk in self._inner:
                room -= len(chunk)
                if room < 0:
                    room = copy.overflow(chunk, room + len(chunk))
                elif marks:
                    marks -= 1
                    keep(chunk)
                    note(clock())
                else:
                    rest += chunk
                yield chunk
        except BaseException as error:
            copy.room = room
            self._ended_by(error)
            raise
        copy.room = room
        self._end(Ending.WHOLE)

    def _without_usage(self, usage: UsageFilter) -> Iterator[bytes]:
        for chunk in self._copied():
            if passed := usage.feed(chunk):
                yield passed
        if rest := usage.rest():
            yield rest

    def close(self) -> None:
        try:
            self._inner.close()
        finally:
            self._end(Ending.CLOSED)


class _AsyncStream(_Stream):
    def __aiter__(self) -> AsyncIterator[bytes]:
        if self._usage is not None:
            return self._without_usage(self._usage)
        return self._copied()

    async def _copied(self) -> AsyncGenerator[bytes, None]:
        copy, clock, marks = self._copy, perf_counter, MAX_MARKS
        keep, note, rest, room = copy.chunks.append, copy.times.append, copy.rest, copy.room
        inner = self._inner.__aiter__()
        try:
            async for chunk in inner:
                room -= len(chunk)
                if room < 0:
                    room = copy.overflow(chunk, room + len(chunk))
                elif marks:
                    marks -= 1
                    keep(chunk)
                    note(clock())
                else:
                    rest += chunk
                yield chunk
        except BaseException as error:
            copy.room = room
            self._ended_by(error)
            raise
        finally:
            if hasattr(inner, "aclose"):
                await inner.aclose()
        copy.room = room
        self._end(Ending.WHOLE)

    async def _without_usage(self, usage: UsageFilter) -> AsyncIterator[bytes]:
        inner = self._copied()
        try:
            async for chunk in inner:
                if passed := usage.feed(chunk):
                    yield passed
            if rest := usage.rest():
                yield rest
        finally:
            await inner.aclose()

    async def aclose(self) -> None:
        try:
            await self._inner.aclose()
        finally:
            self._end(Ending.CLOSED)


@lru_cache(maxsize=64)
def stream_class(kind: Any, is_async: bool) -> Any:
    """Return our stream as a subclass of the byte stream that *kind*'s own client asks for."""
    name = "AsyncByteStream" if is_async else "SyncByteStream"
    for base in kind.__mro__:
        if base.__name__ == name:
            return type("RecordedStream", (_AsyncStream if is_async else _SyncStream, base), {})
    raise TypeError(f"{kind.__qualname__} is no byte stream of httpx or httpx2")
