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

from asyncio import CancelledError
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import copy_context
from functools import partial
from typing import Any, Final

import msgspec

from llmobs.capture.joining import place_of
from llmobs.codec import encode
from llmobs.contrib._wire import openai_responses, realtime
from llmobs.contrib._wire.body import Copy
from llmobs.contrib._wire.call import Call, Options, begin, report
from llmobs.contrib._wire.ending import Ending
from llmobs.contrib._wire.partial import without_lone
from llmobs.contrib._wire.recognise import Target
from llmobs.recorded.jsontext import Json, as_list, as_object, as_text, loads
from llmobs.recorded.media import size_of_base64
from llmobs.runtime.context import current_frame
from llmobs.runtime.forks import ForkLock

__all__ = ["Dialogue", "dialogue_for"]

MAX_OPEN: Final = 256
"""Responses of a connection that have been asked for, have begun, or are heard; beyond, the oldest is given up."""
_SWITCHED: Final = 101
"""HTTP status of a request that became a WebSocket (RFC 6455)."""
_RAW_NONE: Final = msgspec.Raw(b"null")


class _Head(msgspec.Struct):
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
    delta: msgspec.Raw = _RAW_NONE
    response: msgspec.Raw = _RAW_NONE
    item: msgspec.Raw = _RAW_NONE
    session: msgspec.Raw = _RAW_NONE
    error: msgspec.Raw = _RAW_NONE
    audio: msgspec.Raw = _RAW_NONE


_head: Final = msgspec.json.Decoder(_Head)


def _head_of(message: bytes) -> _Head | None:
    """Return what is looked at of *message*; None if it is none that is read here."""
    for text in (message, without_lone(message) if b"\\u" in message else b""):
        try:
            return _head.decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            continue
    return None


def _object(raw: msgspec.Raw | bytes) -> Json:
    try:
        return as_object(loads(bytes(raw)))
    except ValueError:
        return {}


def dialogue_for(target: Target, options: Options) -> Dialogue:
    """Return what notes the calls of a connection to *target*."""
    return (Realtime if target.wire is realtime.WIRE else Dialogue)(target, options)


class _Response:
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
        self._waiting: deque[tuple[str, _Response]] = deque()
        self._active: dict[str, _Response] = {}

    # What a door tells.

    def opened(self, headers: Mapping[str, str]) -> None:
        """Note the head of the answer that made a WebSocket of the request."""
        self._headers = dict(headers)

    def sent(self, message: bytes) -> None:
        """Note a message of the host's."""
        self._note(message, self._sent)

    def received(self, message: bytes) -> None:
        """Note a message of the provider's."""
        self._note(message, self._received)

    def closed(self, ending: Ending, error: BaseException | None = None) -> None:
        """End what has not ended: the connection has."""
        with self._lock:
            left = [*self._active.values(), *(each for _, each in self._waiting)]
            self._active.clear()
            self._waiting.clear()
        for response in left:
            self._end(response, ending, error)

    def _note(self, message: bytes, note: Callable[[_Head, bytes], None]) -> None:
        try:
            head = _head_of(message)
            if head is not None:
                with self._lock:  # one thread may send and another receive
                    note(head, message)
        except Exception as error:  # noqa: BLE001 - reported; the host must not notice
            report(error)

    # What the messages mean.

    def _sent(self, head: _Head, message: bytes) -> None:
        if head.type == "response.create":
            asked = _object(message)
            body = {k: v for k, v in asked.items() if k not in ("type", "stream_id", "event_id")}
            self._ask(head.stream_id or "", body, head.event_id)

    def _received(self, head: _Head, message: bytes) -> None:
        lane = head.stream_id or ""
        if head.type == "response.created":
            self._begin(lane, lane, _object(head.response))
        if head.type == "error":
            response = self._active.pop(lane, None)
            if response is None and (response := self._take(lane)) is not None:
                self._answer(response.call, "application/json", head.status or _SWITCHED)
            if response is not None:
                _add(response.call, message)
                self._end(response, Ending.WHOLE)
            return
        response = self._active.get(lane)
        if response is None or not head.type.startswith("response."):
            return
        _add(response.call, message)
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

    def _take(self, lane: str) -> _Response | None:
        """Return the response of *lane* that has waited longest to begin, which it does now."""
        for each in self._waiting:
            if each[0] == lane:
                self._waiting.remove(each)
                return each[1]
        return None

    def _begin(self, lane: str, key: str, told: Json) -> _Response | None:
        """Note that a response begins, asked for or not, and is known by *key* from now on."""
        known = {name: told[name] for name in ("model",) if told.get(name)}
        response = self._take(lane) or self._call(known, None)
        if response is not None:
            over = self._active.pop(key, None)  # nobody has said that it ended
            self._active[key] = response
            if len(self._active) > MAX_OPEN:
                over = self._active.pop(next(iter(self._active)))
            if over is not None:
                self._end(over, Ending.CLOSED)
        return response

    def _call(self, asked: Json, event_id: str | None) -> _Response | None:
        """Begin a call where it is asked for; else where the connection was made."""
        body = encode(asked)
        call = self._start(self._target, body)
        if call is None:
            return None
        self._answer(call, "application/x-ndjson")
        return _Response(call, asked, event_id)

    def _start(self, target: Target, body: bytes) -> Call | None:
        start = partial(begin, target, (), body, self._options, remove=_nothing)
        is_apart = place_of(current_frame()) is None
        return self._context.copy().run(start) if is_apart else start()

    def _answer(self, call: Call, content_type: str, status: int = _SWITCHED) -> Copy:
        return call.respond(status, {**self._headers, "content-type": content_type})

    def _end(self, response: _Response, ending: Ending, error: BaseException | None = None) -> None:
        response.call.end(ending, error)


def _nothing(name: Any) -> None:
    pass


def _add(call: Call, message: bytes) -> None:
    """Add a message to the copy of what came, as a line: between tokens of JSON, any space will do."""
    copy = call.copy
    if copy is not None and not call.done:
        copy.add(message.replace(b"\n", b" ") + b"\n")


_ITEMS: Final = frozenset(
    {"conversation.item.added", "conversation.item.created", "conversation.item.done"}
)
_HEARD: Final = frozenset(
    f"conversation.item.input_audio_transcription.{end}" for end in ("completed", "failed")
)
_SOUND: Final = frozenset({"response.output_audio.delta", "response.audio.delta"})
_NOT_KEPT: Final = frozenset(
    {"response.content_part.added", "response.content_part.done", "response.output_audio.done"}
)
_SETTINGS: Final = (
    "instructions", "tools", "tool_choice", "temperature", "max_output_tokens", "output_modalities",
    "modalities", "reasoning", "prompt",
)  # fmt: skip


class Realtime(Dialogue):
    """
    Realtime responses: any number at once, known by their ids, to a conversation that the provider keeps.

    What is asked is the conversation as it was told, up to a call's bounds; the oldest goes first.
    """

    def __init__(self, target: Target, options: Options) -> None:
        super().__init__(target, options)
        self._session: Json = {}
        self._conversation = _Conversation()
        self._hearing: dict[str, Call] = {}
        self._sound_sent = 0

    def _sent(self, head: _Head, message: bytes) -> None:
        if head.type == "input_audio_buffer.append":
            self._sound_sent += size_of_base64(_text(head.audio))
        elif head.type == "input_audio_buffer.clear":
            self._sound_sent = 0
        elif head.type == "conversation.item.create":
            for part in as_list(_object(head.item).get("content")):
                self._sound_sent += size_of_base64(as_text(as_object(part).get("audio")) or "")
        elif head.type == "response.create":
            self._ask("", _object(head.response), head.event_id)

    def _received(self, head: _Head, message: bytes) -> None:
        kind = head.type
        if kind in ("session.created", "session.updated"):
            self._session = _object(head.session)
        elif kind in _ITEMS:
            self._conversation.add(_object(head.item), head.previous_item_id)
        elif kind == "conversation.item.deleted":
            self._conversation.remove(head.item_id)
        elif kind == "conversation.item.truncated":
            self._conversation.transcribe(head.item_id, head.content_index, None)
        elif kind == "input_audio_buffer.committed":
            self._listen(head.item_id)
        elif kind in _HEARD:
            self._hear(head, message)
        elif kind == "response.created":
            self._begin_here(_object(head.response), message)
        elif kind == "response.done":
            self._done(_object(head.response), message)
        elif kind == "error":
            self._refused(_object(head.error), message)
        elif (response := self._active.get(head.response_id or "")) is not None:
            self._told(response, head, message)

    def _begin_here(self, told: Json, message: bytes) -> None:
        response = self._begin("", as_text(told.get("id")) or "", told)
        if response is not None:
            _add(response.call, message)
            given = response.asked.get("input")
            is_apart = type(given) is list
            response.items = as_list(given) if is_apart else self._conversation.items()
            response.sent_bytes, self._sound_sent = self._sound_sent, 0

    def _told(self, response: _Response, head: _Head, message: bytes) -> None:
        if head.type in _SOUND:
            response.came_bytes += size_of_base64(_text(head.delta))
            if not response.has_begun_to_say:
                _add(response.call, b'{"type":"response.output_audio.delta"}')
            response.has_begun_to_say = True
        elif head.type.endswith(".delta"):
            # A hundredth of an answer each, and three times as long as what they bring.
            piece = {"type": head.type, "output_index": head.output_index, "delta": head.delta}
            _add(response.call, encode(piece))
        elif head.type not in _NOT_KEPT:
            _add(response.call, message)

    def _done(self, told: Json, message: bytes) -> None:
        response = self._active.pop(as_text(told.get("id")) or "", None)
        for item in map(as_object, as_list(told.get("output"))):
            self._conversation.renew(item)
        if response is not None:
            self._tell_sound(response, told)
            _add(response.call, message)
            self._end(response, Ending.WHOLE)

    def _tell_sound(self, response: _Response, told: Json) -> None:
        sent, came = (
            _seconds(size, _format(told, self._session, side))
            for size, side in ((response.sent_bytes, "input"), (response.came_bytes, "output"))
        )
        if sent or came:
            seconds = {"audio_seconds_in": sent, "audio_seconds_out": came}
            _add(response.call, encode({"type": realtime.SOUND, **seconds}))

    def _refused(self, error: Json, message: bytes) -> None:
        """End the call that an error is about: errors about anything else end none."""
        named = as_text(error.get("event_id"))
        about = as_text(error.get("param")) or ""
        for each in self._waiting:
            if named == each[1].event_id and not about.startswith(("session", "item")):
                self._waiting.remove(each)
                _add(each[1].call, message)
                self._end(each[1], Ending.WHOLE)
                return

    def _end(self, response: _Response, ending: Ending, error: BaseException | None = None) -> None:
        try:
            if ending is not Ending.WHOLE:
                self._tell_sound(response, {})
            response.call.ask(encode(self._question(response)))
        finally:
            super()._end(response, ending, error)

    def _question(self, response: _Response) -> Json:
        settings = {**self._session, **response.asked}
        asked = {name: settings[name] for name in _SETTINGS if settings.get(name) is not None}
        output = as_object(as_object(settings.get("audio")).get("output"))
        voice = settings.get("voice") or output.get("voice")
        model = settings.get("model") or self._target.model
        return {
            "model": model,
            **asked,
            **({"voice": voice} if voice else {}),
            "input": response.items,
        }

    # What somebody said aloud: another model writes it down, while this one answers.

    def _listen(self, item_id: str | None) -> None:
        session = self._session
        given = as_object(
            as_object(as_object(session.get("audio")).get("input")).get("transcription")
        )
        given = given or as_object(session.get("input_audio_transcription"))
        if not given or item_id is None:
            return
        target = self._target._replace(
            wire=realtime.TRANSCRIPTION, operation="generate_content", model=""
        )
        call = self._start(target, encode({"model": given.get("model")}))
        if call is not None:
            self._hearing[item_id] = call
            if len(self._hearing) > MAX_OPEN:
                self._hearing.pop(next(iter(self._hearing))).end(Ending.FAILED, CancelledError())

    def _hear(self, head: _Head, message: bytes) -> None:
        told = _object(message)
        self._conversation.transcribe(
            head.item_id, head.content_index, as_text(told.get("transcript"))
        )
        if (call := self._hearing.pop(head.item_id or "", None)) is not None:
            self._answer(call, "application/json").take(message)
            call.end(Ending.WHOLE)

    def closed(self, ending: Ending, error: BaseException | None = None) -> None:
        """End what has not ended: the connection has."""
        super().closed(ending, error)
        while self._hearing:
            self._hearing.popitem()[1].end(Ending.FAILED, error or CancelledError())


def _text(raw: msgspec.Raw) -> str:
    """A text in JSON that is known to hold no escapes (base64), without reading it."""
    return str(bytes(raw)[1:-1], "latin-1") if raw != _RAW_NONE else ""


def _format(told: Json, session: Json, side: str) -> Any:
    for where in (told, session):
        sound = as_object(as_object(where.get("audio")).get(side))
        if found := sound.get("format") or where.get(f"{side}_audio_format"):
            return found
    return None


def _seconds(size: int, kind: Any) -> float:
    """How long *size* bytes of sound are: 16 bits at 24 kHz, or G.711's 8 bits at 8 kHz."""
    name = str(as_object(kind).get("type") or kind or "")
    if name.startswith(("g711", "audio/pcmu", "audio/pcma")):
        return round(size / 8000, 3)
    rate = as_object(kind).get("rate")
    return round(size / (2 * (rate if type(rate) is int and rate > 0 else 24000)), 3)


class _Conversation:
    """The items of a conversation, in their order, as far as they were told; sound is not kept."""

    MAX_BYTES = 1024 * 1024

    def __init__(self) -> None:
        self._items: dict[str, Json] = {}
        self._order: list[str] = []
        self._sizes: dict[str, int] = {}
        self._size = 0

    def items(self) -> list[Json]:
        return [self._items[name] for name in self._order]

    def add(self, item: Json, after: str | None) -> None:
        name = as_text(item.get("id")) or ""
        if name not in self._items:
            at = self._order.index(after) + 1 if after in self._items else len(self._order)
            self._order.insert(0 if after == "root" else at, name)
            self._items[name] = {}
            self._sizes[name] = 0
        self.renew(item)

    def renew(self, item: Json) -> None:
        """Note what has become of an item."""
        name = as_text(item.get("id")) or ""
        known = self._items.get(name)
        if known is None:
            return
        known.update(item)
        size = len(encode(known))
        self._size += size - self._sizes[name]
        self._sizes[name] = size
        while self._size > self.MAX_BYTES and len(self._order) > 1:
            self.remove(self._order[0])

    def remove(self, name: str | None) -> None:
        if name in self._items:
            self._order.remove(name)
            del self._items[name]
            self._size -= self._sizes.pop(name)

    def transcribe(self, name: str | None, index: int | None, words: str | None) -> None:
        item = self._items.get(name or "", {})
        parts = as_list(item.get("content"))
        if index is not None and 0 <= index < len(parts) and type(parts[index]) is dict:
            parts[index]["transcript"] = words
            self.renew(item)
