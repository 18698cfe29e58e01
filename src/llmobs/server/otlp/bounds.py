"""
How much is in a body of protobuf, told before it is read.

An empty message takes two bytes in a body, compressed next to none, and some sixty in memory: what counts is
how many there are. The parser knows no such bound, so they are counted here, by the layout of the request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeVar

from llmobs.server.bodies import RefusedError

__all__ = ["bounded", "check_logs", "check_spans", "count_metrics"]

T = TypeVar("T")

SMALL: Final = 1024 * 1024
"""Bytes of a body that cannot hold too many."""
MAX_MESSAGES: Final = 1_000_000
"""In one body; spans of OpenTelemetry's GenAI conventions have some fifty, and take 4 KB."""
MAX_RECORDS: Final = 20_000
"""Spans or log records of one request: exporters send 512, collectors some 8,000."""
SHORT: Final = 64
"""Bytes of a message that is not looked into, but counted by its length: nearly all attributes."""
SHORTEST: Final = 16
"""Bytes for each message that may be in such a one: fewer only where somebody means harm."""

Layout = Mapping[int, "Layout"]
"""Fields that hold messages, by their numbers (opentelemetry-proto 1.x), and what is in these."""

_VALUE: dict[int, Layout] = {}
_PAIR: Final[Layout] = {2: _VALUE}
_VALUE |= {5: {1: _VALUE}, 6: {1: _PAIR}}
_RESOURCE: Final[Layout] = {1: _PAIR}
_SCOPE: Final[Layout] = {3: _PAIR}
_SPAN: Final[Layout] = {9: _PAIR, 11: {3: _PAIR}, 13: {4: _PAIR}, 15: {}}
_LOG: Final[Layout] = {5: _VALUE, 6: _PAIR}
_SPANS: Final[Layout] = {1: {1: _RESOURCE, 2: {1: _SCOPE, 2: _SPAN}}}
_LOGS: Final[Layout] = {1: {1: _RESOURCE, 2: {1: _SCOPE, 2: _LOG}}}
_METRIC: Final[Layout] = {}
_METRICS: Final[Layout] = {1: {2: {2: _METRIC}}}


def check_spans(body: bytes) -> None:
    """
    See that a request with spans does not hold too many messages.

    Raises:
        RefusedError: 413 it does; less of it at once may fit.
    """
    _check(body, _SPANS)


def check_logs(body: bytes) -> None:
    """
    See that a request with log records does not hold too many messages.

    Raises:
        RefusedError: 413 it does; less of it at once may fit.
    """
    _check(body, _LOGS)


def bounded(records: Iterable[T]) -> Iterator[T]:
    """
    Yield spans or log records.

    Raises:
        RefusedError: 413 there are too many; fewer at once fit.
    """
    for number, record in enumerate(records, 1):
        if number > MAX_RECORDS:
            raise RefusedError(
                413, f"the request holds over {MAX_RECORDS:,} of them; send fewer at once", "body"
            )
        yield record


def count_metrics(body: bytes) -> int:
    """
    Return how many metrics are in a request; nothing of them is read.

    Raises:
        RefusedError: It is no such request.
    """
    try:
        return _count(body, _METRICS, only=_METRIC)
    except (IndexError, ValueError):
        name = "opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceRequest"
        raise RefusedError(400, f"the body is no {name} in protobuf", "body") from None


def _check(body: bytes, layout: Layout) -> None:
    if len(body) <= SMALL:
        return
    try:
        _count(body, layout)
    except (IndexError, ValueError):
        return  # the parser says what is wrong with it


def _count(body: bytes, layout: Layout, only: Layout | None = None) -> int:
    """Return how many messages there are, or how many of one layout."""
    found = counted = 0
    waiting = [(0, len(body), layout)]
    while waiting:
        at, end, fields = waiting.pop()
        while at < end:
            tag, at = _number(body, at)
            kind = tag & 7
            if kind == 2:
                size, at = _number(body, at)
                if at + size > end:
                    raise ValueError("longer than what it is in")
                inside = fields.get(tag >> 3)
                if inside is not None:
                    counted += 1
                    if inside is only:
                        found += 1
                    elif size > SHORT or only is not None:
                        waiting.append((at, at + size, inside))
                    else:
                        counted += size // SHORTEST
                    if counted > MAX_MESSAGES:
                        raise RefusedError(
                            413,
                            f"the body holds over {MAX_MESSAGES:,} messages; send less at once",
                            "body",
                        )
                at += size
            elif kind == 0:
                while body[at] > 127:
                    at += 1
                at += 1
            elif kind == 1:
                at += 8
            elif kind == 5:
                at += 4
            else:
                raise ValueError("no such kind of field")
        if at != end:
            raise ValueError("ends within a field")
    return found if only is not None else counted


def _number(body: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at *at*, and where it ends."""
    first = body[at]
    if first < 128:
        return first, at + 1
    number, shift = first & 127, 7
    while True:
        at += 1
        digit = body[at]
        number |= (digit & 127) << shift
        if digit < 128:
            return number, at + 1
        shift += 7
        if shift > 63:
            raise ValueError("longer than any number")
