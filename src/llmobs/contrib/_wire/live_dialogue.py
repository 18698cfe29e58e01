"""
Gemini's live sessions: a call a turn of the model's, told as a stream of Gemini's answers, which `gemini` reads.

A turn begins with what the host says whole, with results of functions, or, where it talks, with the model's first
words; it ends where the model completes it or calls functions. Sound is not kept; what was said aloud is there
if the session has it written down (``inputAudioTranscription``, ``outputAudioTranscription``).

Wire rules: Gemini API reference, "Live API (WebSockets)", and the types of the ``google-genai`` package. The
host's members may be written with underscores.
"""

from __future__ import annotations

from typing import Final

import msgspec

from llmobs.codec import encode
from llmobs.contrib._wire.beginning import Options
from llmobs.contrib._wire.dialogue import Dialogue, Response, add, object_of
from llmobs.contrib._wire.ending import Ending
from llmobs.contrib._wire.gemini import camel, joined
from llmobs.contrib._wire.recognise import Target
from llmobs.recorded.jsontext import Json, as_list, as_object, as_text

__all__ = ["LiveDialogue"]

_SETTINGS: Final = ("generationConfig", "systemInstruction", "tools")
_MAX_BYTES: Final = 1024 * 1024
"""Of a conversation; the oldest goes first."""
_MAX_HEARD: Final = 1000
"""Pieces of what the host said aloud, before they are part of the conversation."""
_SOUND_COMES: Final = (b'"realtime_input"', b'"realtimeInput"')
_HEAD: Final = 64


class LiveDialogue(Dialogue):
    """Turns of a live session, one after the other."""

    def __init__(self, target: Target, options: Options) -> None:
        super().__init__(target, options)
        self._setup: Json = {}
        self._contents: list[Json] = []
        self._size = 0
        self._heard: list[str] = []

    def sent(self, message: bytes) -> None:
        """Note a message of the host's."""
        self._note(message, _read, self._host_says)

    def received(self, message: bytes) -> None:
        """Note a message of the provider's."""
        self._note(message, _read, self._provider_says)

    def _host_says(self, payload: Json, message: bytes) -> None:
        if setup := camel(as_object(payload.get("setup"))):
            self._setup = setup
            model = (as_text(setup.get("model")) or "").rpartition("/")[2]
            self._target = msgspec.structs.replace(self._target, model=model)
        elif content := camel(as_object(payload.get("clientContent"))):
            for each in as_list(content.get("turns")):
                self._remember(as_object(each))
            if content.get("turnComplete") is True:
                self._open()
        elif results := as_list(
            camel(as_object(payload.get("toolResponse"))).get("functionResponses")
        ):
            self._remember({"role": "user", "parts": [{"functionResponse": r} for r in results]})
            self._open()
        elif text := as_text(as_object(payload.get("realtimeInput")).get("text")):
            self._remember({"role": "user", "parts": [{"text": text}]})
            self._open()

    def _provider_says(self, payload: Json, message: bytes) -> None:
        content = as_object(payload.get("serverContent"))
        if text := as_text(as_object(content.get("inputTranscription")).get("text")):
            self._heard.append(text)
            if len(self._heard) > _MAX_HEARD:  # and nobody answers
                self._remember_heard()
        calls = as_list(as_object(payload.get("toolCall")).get("functionCalls"))
        parts = [
            as_object(each) for each in as_list(as_object(content.get("modelTurn")).get("parts"))
        ]
        parts += [{"functionCall": call} for call in calls]
        if text := as_text(as_object(content.get("outputTranscription")).get("text")):
            parts.append({"text": text})
        ends = content.get("turnComplete") is True or bool(calls)
        turn = self._active.get("") or (self._open() if parts else None)
        if turn is None:
            return
        finish = as_text(content.get("turnCompleteReason")) or "STOP" if ends else ""
        if content.get("interrupted") is True:
            finish = "INTERRUPTED"
        self._tell(turn, parts, finish, as_object(payload.get("usageMetadata")))
        if ends:
            del self._active[""]
            self._end(turn, Ending.WHOLE)

    def _tell(self, turn: Response, parts: list[Json], finish: str, usage: Json) -> None:
        kept = []
        for part in parts:
            sound = as_object(part.get("inlineData"))
            if not sound:
                kept.append(part)
                turn.came_bytes += len(encode(part))
                if turn.came_bytes < _MAX_BYTES:
                    turn.items.append(part)
            elif not turn.has_begun_to_say:
                kept.append({"inlineData": {"mimeType": sound.get("mimeType")}})
                turn.has_begun_to_say = True
        candidate: Json = {"index": 0, "content": {"role": "model", "parts": kept}}
        if finish:
            candidate["finishReason"] = finish
        chunk: Json = {"candidates": [candidate]}
        if usage:
            names = {
                "responseTokenCount": "candidatesTokenCount",
                "responseTokensDetails": "candidatesTokensDetails",
            }
            chunk["usageMetadata"] = {names.get(key, key): usage[key] for key in usage}
        if kept or finish or usage:
            add(turn.call, encode(chunk))

    def _open(self) -> Response | None:
        """Return the turn that begins now, or goes on."""
        turn = self._active.get("") or self._call(self._question(), None)
        if turn is not None:
            self._active[""] = turn
        return turn

    def _question(self) -> Json:
        settings = {name: self._setup[name] for name in _SETTINGS if self._setup.get(name)}
        return {**settings, "contents": self._contents}

    def _end(self, response: Response, ending: Ending, error: BaseException | None = None) -> None:
        try:
            if self._heard:  # written down while the model answered
                self._remember_heard()
                response.call.ask(encode(self._question()))
            if response.items:
                self._remember({"role": "model", "parts": joined(response.items)})
        finally:
            super()._end(response, ending, error)

    def _remember_heard(self) -> None:
        self._remember({"role": "user", "parts": [{"text": "".join(self._heard)}]})
        self._heard = []

    def _remember(self, content: Json) -> None:
        self._contents.append(content)
        self._size += len(encode(content))
        while self._size > _MAX_BYTES and len(self._contents) > 1:
            self._size -= len(encode(self._contents.pop(0)))


def _read(message: bytes) -> Json | None:
    """Return what is read of a message: nothing of one that only brings the host's sound."""
    if any(name in message[:_HEAD] for name in _SOUND_COMES) and b'"text"' not in message[:_HEAD]:
        return None
    return camel(object_of(message))
