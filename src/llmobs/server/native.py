"""Our own wire: every field of every event, and a verdict on each that is refused."""

from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from llmobs.codec import AnyEvent, decode
from llmobs.server.access import access_of, check_events
from llmobs.server.bodies import RefusedError, as_strict_json, check_json, read_body
from llmobs.server.collector import Collector
from llmobs.server.verdicts import Verdict, field_of, words_of

__all__ = ["MAX_EVENTS", "Batches"]

MAX_EVENTS: Final = 10_000
"""In one batch."""


class _Batch(msgspec.Struct):
    events: list[AnyEvent]


class ReadBatch(msgspec.Struct):
    """What a batch was read as."""

    events: list[Any]
    """See `llmobs.server.preparing.Read`."""
    indexes: list[int]
    """The place of each in the batch."""
    refused: list[Verdict]
    """What is no event."""


class _Unread(msgspec.Struct):
    events: list[msgspec.Raw]


class _Named(msgspec.Struct):
    event_id: str


class _Answer(msgspec.Struct):
    success: bool
    stored: int
    refused: list[Verdict]


_batches = msgspec.json.Decoder(_Batch)
_unread = msgspec.json.Decoder(_Unread)
_named = msgspec.json.Decoder(_Named)
_encoder = msgspec.json.Encoder()


class Batches:
    """
    Takes batches in our own form.

    Args:
        collector: Where they go.
    """

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    async def batch(self, request: Request) -> Response:
        """
        ``POST …/events/batch`` with our content type.

        Raises:
            RefusedError: The batch cannot be read as one, or its sender may not send these events.
        """
        access = access_of(request)
        body = await read_body(request)
        read = await self._collector.read(read_batch, ReadBatch, body, access.project)
        del body
        check_events(access, read.events)
        refused = read.refused
        request.state.events = len(read.events) + len(refused)
        unstored = await self._collector.store(
            read.events, project=access.project, is_prepared=True
        )
        for index, event in zip(read.indexes, read.events, strict=True):
            if (why := unstored.get(event.event_id)) is not None:
                refused.append(Verdict(index, why, event.event_id))
        stored = len(read.events) - len(unstored)
        answer = _Answer(not refused, stored, sorted(refused, key=lambda verdict: verdict.index))
        return Response(_encoder.encode(answer), media_type="application/json")


def read_batch(body: bytes) -> ReadBatch:
    """
    Read ``{"events": [...]}``.

    Returns:
        The events, and a verdict on each thing that is none.

    Raises:
        RefusedError: 400 it is not that; 413 there is too much of it.
    """
    check_json(body)
    try:
        try:
            events = _batches.decode(body).events
        except msgspec.ValidationError:
            return _read_one_by_one(body)
    except RecursionError:
        raise RefusedError(400, "the body is nested too deeply", "body") from None
    except msgspec.ValidationError as error:
        raise RefusedError(400, words_of(error), "events") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if (mended := as_strict_json(body)) is not None:
            return read_batch(mended)
        raise RefusedError(400, f"the body is not JSON: {words_of(error)}", "body") from None
    _check_count(len(events))
    return ReadBatch(events, list(range(len(events))), [])


def _read_one_by_one(body: bytes) -> ReadBatch:
    unread = _unread.decode(body).events
    _check_count(len(unread))
    read = ReadBatch([], [], [])
    for index, raw in enumerate(unread):
        try:
            read.events.append(decode(raw))
        except msgspec.ValidationError as error:
            read.refused.append(Verdict(index, words_of(error), _id_of(raw), field_of(error)))
        else:
            read.indexes.append(index)
    return read


def _check_count(count: int) -> None:
    if count > MAX_EVENTS:
        raise RefusedError(413, f"{count} events in a batch; {MAX_EVENTS} fit", "events")


def _id_of(raw: Any) -> str | None:
    try:
        return _named.decode(raw).event_id
    except msgspec.ValidationError:
        return None
