"""
Calls of models over a connection that stays: OpenAI's realtime and responses over WebSocket, from message
to call, without I/O.

A door hands each whole message of either side to a :class:`Dialogue`, and says how the connection ended.
Each response is one :class:`~llmobs.contrib._wire.call.Call`, which begins with the ``response.create`` that
asks for it, or with ``response.created`` where the provider begins by itself (it heard somebody stop
speaking; input was queued), and ends with its last event. Errors that name no response end the call that
waits for one.

Wire rules: OpenAI's API reference, "Realtime" and "Responses: WebSocket events", and the types of the
openai package.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from contextvars import copy_context
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from llmobs.capture.where import place_of
from llmobs.codec import encode
from llmobs.contrib._wire import openai_responses
from llmobs.contrib._wire.beginning import Options, begin
from llmobs.contrib._wire.body import Copy
from llmobs.contrib._wire.call import Call, report
from llmobs.contrib._wire.ending import Ending
from llmobs.contrib._wire.recognise import Target
from llmobs.recorded.jsontext import Json, as_object, loads
from llmobs.runtime.context import current_frame
from llmobs.runtime.forks import ForkLock

__all__ = ["MAX_OPEN", "NOTHING", "Dialogue", "Head", "Response", "add", "object_of"]

MAX_OPEN: Final = 256
"""Responses of a connection that have been asked for, have begun, or are heard; beyond, the oldest is given up."""
_SWITCHED: Final = 101
"""HTTP status of a request that became a WebSocket (RFC 6455)."""
M = TypeVar("M")
NOTHING: Final = msgspec.Raw(b"null")
"""What a message has where it lacks a member."""


class Head(msgspec.Struct):
    """What is looked at in every message; the rest is skipped, sound above all."""

    type: str = ""
    response_id: str | None = None
    item_id: str | None = None
    stream_id: str | None = None
    event_id: str | None = None
    previous_item_id: str | None = None
    content_index: int | None = None
    status: int | None = None
    output_index: int | None = None
    delta: msgspec.Raw = NOTHING
    response: msgspec.Raw = NOTHING
    item: msgspec.Raw = NOTHING
    session: msgspec.Raw = NOTHING
    error: msgspec.Raw = NOTHING
    audio: msgspec.Raw = NOTHING


_head: Final = msgspec.json.Decoder(Head)


def _head_of(message: bytes) -> Head | None:
    """Return what is looked at of *message*; None if it is none that is read here."""
    try:
        return _head.decode(message)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    try:  # SDKs take lone surrogates, NaN and the like
        return _head.decode(encode(loads(message)))
    except (ValueError, RecursionError):
        return None


def object_of(raw: msgspec.Raw | bytes) -> Json:
    """Return the object that *raw* is; an empty one if it is none."""
    try:
        return as_object(loads(bytes(raw)))
    except ValueError:
        return {}


class Response:
    """A response that was asked for, and its call."""

    def __init__(self, call: Call, asked: Json, event_id: str | None) -> None:
        self.call = call
        self.asked = asked
        self.event_id = event_id
        self.items: list[Json] = []
        self.sent_bytes = 0
        self.came_bytes = 0
        self.has_begun_to_say = False


class Dialogue:
    """
    Responses over WebSocket: each in its lane (``stream_id``), one after the other in each.

    Nothing raises; what goes wrong here is reported.

    Args:
        target: What the connection is to.
        options: How the door was told to record.
    """

    def __init__(self, target: Target, options: Options) -> None:
        self._target = target
        self._options = options
        self._context = copy_context()
        self._lock = ForkLock()
        self._headers: Mapping[str, str] = {}
        self._waiting: deque[tuple[str, Response]] = deque()
        self._active: dict[str, Response] = {}
        self._is_over = False

    # What a door tells.

    def opened(self, headers: Mapping[str, str]) -> None:
        """Note the head of the answer that made a WebSocket of the request."""
        self._headers = dict(headers)

    def sent(self, message: bytes) -> None:
        """Note a message of the host's."""
        self._note(message, _head_of, self._sent)

    def received(self, message: bytes) -> None:
        """Note a message of the provider's."""
        self._note(message, _head_of, self._received)

    def closed(self, ending: Ending, error: BaseException | None = None) -> None:
        """End what has not ended: the connection has, whatever still comes while it is closed."""
        with self._lock:
            self._is_over = True
            left = [*self._active.values(), *(each for _, each in self._waiting)]
            self._active.clear()
            self._waiting.clear()
        for response in left:
            try:
                self._end(response, ending, error)
            except Exception as ours:  # noqa: BLE001 - reported; the host must not notice
                report(ours)

    def _note(
        self, message: bytes, read: Callable[[bytes], M | None], note: Callable[[M, bytes], None]
    ) -> None:
        try:
            parsed = read(message)
            if parsed is not None:
                with self._lock:  # one thread may send and another receive
                    if not self._is_over:
                        note(parsed, message)
        except Exception as error:  # noqa: BLE001 - reported; the host must not notice
            report(error)

    # What the messages mean.

    def _sent(self, head: Head, message: bytes) -> None:
        if head.type == "response.create":
            asked = object_of(message)
            body = {k: v for k, v in asked.items() if k not in ("type", "stream_id", "event_id")}
            self._ask(head.stream_id or "", body, head.event_id)

    def _received(self, head: Head, message: bytes) -> None:
        lane = head.stream_id or ""
        if head.type == "response.created":
            self._begin(lane, lane, object_of(head.response))
        if head.type == "error":
            response = self._active.pop(lane, None)
            if response is None and (response := self._pop_waiting(lane)) is not None:
                self._answer(response.call, "application/json", head.status or _SWITCHED)
            if response is not None:
                add(response.call, message)
                self._end(response, Ending.WHOLE)
            return
        response = self._active.get(lane)
        if response is None or not head.type.startswith("response."):
            return
        add(response.call, message)
        if head.type in openai_responses.LAST:
            del self._active[lane]
            self._end(response, Ending.WHOLE)

    # Responses.

    def _ask(self, lane: str, asked: Json, event_id: str | None) -> None:
        """Begin the call of a response that the host asks for."""
        response = self._call(asked, event_id)
        if response is not None:
            self._waiting.append((lane, response))
            if len(self._waiting) > MAX_OPEN:
                self._end(self._waiting.popleft()[1], Ending.CLOSED)

    def _pop_waiting(self, lane: str) -> Response | None:
        """Return the response of *lane* that has waited longest to begin, which it does now."""
        for each in self._waiting:
            if each[0] == lane:
                self._waiting.remove(each)
                return each[1]
        return None

    def _begin(self, lane: str, key: str, payload: Json) -> Response | None:
        """Note that a response begins, asked for or not, and is known by *key* from now on."""
        known = {name: payload[name] for name in ("model",) if payload.get(name)}
        response = self._pop_waiting(lane) or self._call(known, None)
        if response is not None:
            over = self._active.pop(key, None)  # nobody has said that it ended
            self._active[key] = response
            if len(self._active) > MAX_OPEN:
                over = self._active.pop(next(iter(self._active)))
            if over is not None:
                self._end(over, Ending.CLOSED)
        return response

    def _call(self, asked: Json, event_id: str | None) -> Response | None:
        """Begin a call where it is asked for; else where the connection was made."""
        body = encode(asked)
        call = self._start(self._target, body)
        if call is None:
            return None
        self._answer(call, "application/x-ndjson")
        return Response(call, asked, event_id)

    def _start(self, target: Target, body: bytes) -> Call | None:
        start = partial(begin, target, (), body, self._options, remove=_nothing)
        is_apart = place_of(current_frame()) is None
        return self._context.copy().run(start) if is_apart else start()

    def _answer(self, call: Call, content_type: str, status: int = _SWITCHED) -> Copy:
        return call.respond(status, {**self._headers, "content-type": content_type})

    def _end(self, response: Response, ending: Ending, error: BaseException | None = None) -> None:
        response.call.end(ending, error)


def _nothing(name: Any) -> None:
    pass


def add(call: Call, message: bytes) -> None:
    """Add a message to the copy of what came, as a line: between tokens of JSON, any space will do."""
    copy = call.copy
    if copy is not None and not call.done:
        copy.add(message.replace(b"\n", b" ") + b"\n")
