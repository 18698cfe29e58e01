"""
Realtime responses: which messages of a session are which call, and the conversation that they answer.

Wire rules: OpenAI's API reference, "Realtime", of client and server events.
"""

from __future__ import annotations

from asyncio import CancelledError
from typing import Any, Final

import msgspec

from llmobs.codec import encode
from llmobs.contrib._wire import gemini, realtime
from llmobs.contrib._wire.beginning import Options
from llmobs.contrib._wire.call import Call
from llmobs.contrib._wire.dialogue import (
    MAX_OPEN,
    NOTHING,
    Dialogue,
    Head,
    Response,
    add,
    object_of,
)
from llmobs.contrib._wire.ending import Ending
from llmobs.contrib._wire.live_dialogue import LiveDialogue
from llmobs.contrib._wire.recognise import Target
from llmobs.contrib._wire.wire import Wire
from llmobs.recorded.jsontext import Json, as_list, as_object, as_text
from llmobs.recorded.media import size_of_base64

__all__ = ["RealtimeDialogue", "dialogue_for"]


def dialogue_for(target: Target, options: Options) -> Dialogue:
    """Return what notes the calls of a connection to *target*."""
    kind = _DIALOGUES.get(target.wire, Dialogue)
    return kind(target, options)


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


class RealtimeDialogue(Dialogue):
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

    def _sent(self, head: Head, message: bytes) -> None:
        if head.type == "input_audio_buffer.append":
            self._sound_sent += size_of_base64(_text(head.audio))
        elif head.type == "input_audio_buffer.clear":
            self._sound_sent = 0
        elif head.type == "conversation.item.create":
            for part in as_list(object_of(head.item).get("content")):
                self._sound_sent += size_of_base64(as_text(as_object(part).get("audio")) or "")
        elif head.type == "response.create":
            self._ask("", object_of(head.response), head.event_id)

    def _received(self, head: Head, message: bytes) -> None:
        kind = head.type
        if kind in ("session.created", "session.updated"):
            self._session = object_of(head.session)
        elif kind in _ITEMS:
            self._conversation.add(object_of(head.item), head.previous_item_id)
        elif kind == "conversation.item.deleted":
            self._conversation.remove(head.item_id)
        elif kind == "conversation.item.truncated":
            self._conversation.transcribe(head.item_id, head.content_index, None)
        elif kind == "input_audio_buffer.committed":
            self._listen(head.item_id)
        elif kind in _HEARD:
            self._hear(head, message)
        elif kind == "response.created":
            self._begin_here(object_of(head.response), message)
        elif kind == "response.done":
            self._done(object_of(head.response), message)
        elif kind == "error":
            self._refused(object_of(head.error), message)
        elif (response := self._active.get(head.response_id or "")) is not None:
            self._add_to_answer(response, head, message)

    def _begin_here(self, payload: Json, message: bytes) -> None:
        response = self._begin("", as_text(payload.get("id")) or "", payload)
        if response is not None:
            add(response.call, message)
            given = response.asked.get("input")
            items = self._conversation.items()
            is_apart = type(given) is list
            response.items = self._conversation.named_in(as_list(given)) if is_apart else items
            response.sent_bytes, self._sound_sent = self._sound_sent, 0

    def _add_to_answer(self, response: Response, head: Head, message: bytes) -> None:
        if head.type in _SOUND:
            response.came_bytes += size_of_base64(_text(head.delta))
            if not response.has_begun_to_say:
                add(response.call, b'{"type":"response.output_audio.delta"}')
            response.has_begun_to_say = True
        elif head.type.endswith(".delta"):
            # A hundredth of an answer each, and three times as long as what they bring.
            piece = {"type": head.type, "output_index": head.output_index, "delta": head.delta}
            add(response.call, encode(piece))
        elif head.type not in _NOT_KEPT:
            add(response.call, message)

    def _done(self, payload: Json, message: bytes) -> None:
        response = self._active.pop(as_text(payload.get("id")) or "", None)
        for item in map(as_object, as_list(payload.get("output"))):
            self._conversation.renew(item)
        if response is not None:
            self._tell_sound(response, payload)
            add(response.call, message)
            self._end(response, Ending.WHOLE)

    def _tell_sound(self, response: Response, payload: Json) -> None:
        sent, came = (
            _seconds(size, _format(payload, self._session, side))
            for size, side in ((response.sent_bytes, "input"), (response.came_bytes, "output"))
        )
        if sent or came:
            seconds = {"audio_seconds_in": sent, "audio_seconds_out": came}
            add(response.call, encode({"type": realtime.SOUND, **seconds}))

    def _refused(self, error: Json, message: bytes) -> None:
        """End the call that an error is about: errors about anything else end none."""
        named = as_text(error.get("event_id"))
        about = as_text(error.get("param")) or ""
        for each in self._waiting:
            if named == each[1].event_id and not about.startswith(("session", "item")):
                self._waiting.remove(each)
                add(each[1].call, message)
                self._end(each[1], Ending.WHOLE)
                return

    def _end(self, response: Response, ending: Ending, error: BaseException | None = None) -> None:
        try:
            if ending is not Ending.WHOLE:
                self._tell_sound(response, {})
            response.call.ask(encode(self._question(response)))
        finally:
            super()._end(response, ending, error)

    def _question(self, response: Response) -> Json:
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
        target = msgspec.structs.replace(
            self._target, wire=realtime.TRANSCRIPTION, operation="generate_content", model=""
        )
        call = self._start(target, encode({"model": given.get("model")}))
        if call is not None:
            self._hearing[item_id] = call
            if len(self._hearing) > MAX_OPEN:
                self._hearing.pop(next(iter(self._hearing))).end(Ending.FAILED, CancelledError())

    def _hear(self, head: Head, message: bytes) -> None:
        payload = object_of(message)
        self._conversation.transcribe(
            head.item_id, head.content_index, as_text(payload.get("transcript"))
        )
        if (call := self._hearing.pop(head.item_id or "", None)) is not None:
            self._answer(call, "application/json").add_untimed(message)
            call.end(Ending.WHOLE)

    def closed(self, ending: Ending, error: BaseException | None = None) -> None:
        """End what has not ended: the connection has."""
        super().closed(ending, error)
        while self._hearing:
            self._hearing.popitem()[1].end(Ending.FAILED, error or CancelledError())


_DIALOGUES: Final[dict[Wire, type[Dialogue]]] = {
    realtime.WIRE: RealtimeDialogue,
    gemini.STREAM: LiveDialogue,
}


def _text(raw: msgspec.Raw) -> str:
    """A text in JSON that is known to hold no escapes (base64), without reading it."""
    return str(bytes(raw)[1:-1], "latin-1") if raw != NOTHING else ""


def _format(payload: Json, session: Json, side: str) -> Any:
    for where in (payload, session):
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

    def named_in(self, given: list[Any]) -> list[Json]:
        """Return items given, those of this conversation in the place of what refers to them."""
        items = [as_object(item) for item in given]
        return [
            self._items.get(str(item.get("id")), item)
            if item.get("type") == "item_reference"
            else item
            for item in items
        ]

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
