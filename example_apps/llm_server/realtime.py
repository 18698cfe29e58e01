"""OpenAI's realtime sessions: a conversation that the server keeps, and responses to it, over WebSocket.

Wire rules: the OpenAI API reference, "Realtime", of client and server events, and the types of the
`openai` package. Nothing is heard: so many bytes of sound are so many seconds somebody spoke, and what
they said is made up. With `server_vad` every message of sound of a second or more is one that was spoken
to its end.
"""

import base64
from collections.abc import Iterator
from itertools import count
from typing import Any

from . import openai_responses, tokens
from .conversation import Event, Json, Reply
from .words import identifier, pick

_RATE = 2 * 24000  # bytes of a second: 16 bits at 24 kHz
_PIECE = base64.b64encode(bytes(_RATE // 10)).decode()
_SAID = ("Tell me about the weather.", "What is a queue?", "How long does tea last?")


class Session:
    """One session: settings, the conversation, sound that has come and is no item yet."""

    def __init__(self, model: str, seed: str) -> None:
        self._seed = seed
        self._numbers = count(1)
        self.settings: Json = {
            "type": "realtime",
            "id": identifier("sess_", 24, seed),
            "object": "realtime.session",
            "model": model,
            "instructions": "Be kind.",
            "output_modalities": ["audio"],
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "audio": {
                "input": {"format": {"type": "audio/pcm", "rate": 24000}, "turn_detection": None},
                "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy"},
            },
        }
        self.items: list[Json] = []
        self._heard = 0

    def identifier(self, prefix: str) -> str:
        """An id that this session has not given yet."""
        return identifier(prefix, 21, self._seed, next(self._numbers))

    def event(self, kind: str, /, **fields: Any) -> Json:
        """An event of the server's."""
        return {"type": kind, "event_id": self.identifier("event_"), **fields}

    def update(self, changes: Json) -> Json:
        """Change the settings."""
        sound = self.settings["audio"]
        for side, change in (changes.get("audio") or {}).items():
            sound[side] = {**sound[side], **change}
        self.settings = {**self.settings, **changes, "audio": sound}
        return self.event("session.updated", session=self.settings)

    def add(self, item: Json) -> Iterator[Json]:
        """Take an item into the conversation; what is told of it has no sound."""
        before = self.items[-1]["id"] if self.items else None
        told = {
            "id": self.identifier("item_"),
            "object": "realtime.item",
            "status": "completed",
            **item,
        }
        if "content" in told:
            told["content"] = [
                {key: value for key, value in part.items() if key != "audio"}
                for part in told["content"]
            ]
        self.items.append(told)
        for kind in ("conversation.item.added", "conversation.item.done"):
            yield self.event(kind, item=told, previous_item_id=before)

    def hear(self, sound: str) -> bool:
        """Take in sound; says whether somebody has spoken to their end."""
        size = len(base64.b64decode(sound))
        self._heard += size
        return bool(self.settings["audio"]["input"].get("turn_detection")) and size >= _RATE

    def clear(self) -> Json:
        """Forget sound that is no item yet."""
        self._heard = 0
        return self.event("input_audio_buffer.cleared")

    def commit(self) -> Iterator[Json]:
        """Make an item of the sound that has come, and write down what was said."""
        before = self.items[-1]["id"] if self.items else None
        name = self.identifier("item_")
        yield self.event("input_audio_buffer.committed", item_id=name, previous_item_id=before)
        part = {"type": "input_audio", "transcript": None}
        yield from self.add({"id": name, "type": "message", "role": "user", "content": [part]})
        if model := (self.settings["audio"]["input"].get("transcription") or {}).get("model"):
            said = pick(_SAID, self._seed, name)
            self.items[-1]["content"] = [{**part, "transcript": said}]
            usage: Json = {"type": "duration", "seconds": self._heard / _RATE}
            if model != "whisper-1":
                taken, given = self._heard * 10 // _RATE, tokens.count(said)
                usage = {"type": "tokens", "input_tokens": taken, "output_tokens": given}
                usage |= {"total_tokens": taken + given}
                usage |= {"input_token_details": {"audio_tokens": taken, "text_tokens": 0}}
            yield self.event(
                "conversation.item.input_audio_transcription.completed",
                item_id=name,
                content_index=0,
                transcript=said,
                usage=usage,
            )
        self._heard = 0

    def reply(self, asked: Json) -> Reply:
        """The model's answer to the conversation, or to the input that is asked about instead."""
        settings = {**self.settings, **asked}
        items = [_heard_item(item) for item in asked.get("input", self.items)]
        limit = settings["max_output_tokens"]
        body = {
            "model": self.settings["model"],
            "input": items or [{"role": "user", "content": "Greet me"}],
            "instructions": settings["instructions"],
            "tools": settings["tools"],
            "tool_choice": settings["tool_choice"],
            "max_output_tokens": None if limit == "inf" else limit,
            "store": False,
        }
        name = self.identifier("resp_")
        reply = openai_responses.reply(body, name, openai_responses.Memory())
        assert isinstance(reply.content, dict)
        aloud = "audio" in settings["output_modalities"]
        response = _realtime(reply.content, name, aloud, asked)
        return Reply(list(self._events(response, aloud)), reply.usage, reply.said)

    def _events(self, response: Json, aloud: bool) -> Iterator[Event]:
        begun = {**response, "status": "in_progress", "output": [], "usage": None}
        begun["status_details"] = None
        yield Event(self.event("response.created", response=begun))
        for index, item in enumerate(response["output"]):
            yield from self._item(
                item, aloud, {"response_id": response["id"], "output_index": index}
            )
        yield Event(self.event("response.done", response=response))

    def _item(self, item: Json, aloud: bool, at: Json) -> Iterator[Event]:
        empty = {**item, "status": "in_progress"}
        empty |= {"content": []} if "content" in item else {"arguments": ""}
        yield Event(self.event("response.output_item.added", **at, item=empty))
        yield Event(self.event("conversation.item.added", item=empty, previous_item_id=None))
        here = {**at, "item_id": item["id"]}
        if "content" not in item:
            kind = "response.function_call_arguments"
            yield from self._pieces(kind, item["arguments"], here)
            more = {"call_id": item["call_id"], "arguments": item["arguments"]}
            yield Event(self.event(f"{kind}.done", **here, **more))
        for place, part in enumerate(item.get("content", ())):
            there = {**here, "content_index": place}
            told = {"part": {**part, "type": "audio" if aloud else "text"}}
            yield Event(self.event("response.content_part.added", **there, **told))
            said, kind = (
                (part["transcript"], "response.output_audio_transcript")
                if aloud
                else (part["text"], "response.output_text")
            )
            for piece in self._pieces(kind, said, there):
                yield piece
                if aloud:
                    sound = self.event("response.output_audio.delta", **there, delta=_PIECE)
                    yield Event(sound)
            yield Event(self.event(f"{kind}.done", **there, text=said))
            if aloud:
                yield Event(self.event("response.output_audio.done", **there))
            yield Event(self.event("response.content_part.done", **there, **told))
        yield Event(self.event("response.output_item.done", **at, item=item))
        yield Event(self.event("conversation.item.done", item=item, previous_item_id=None))

    def _pieces(self, kind: str, text: str, at: Json) -> Iterator[Event]:
        for piece in tokens.pieces(text):
            yield Event(self.event(f"{kind}.delta", **at, delta=piece), is_token=True)


def _heard_item(item: Json) -> Json:
    """An item as the responses API has it: words instead of sound."""
    parts = [
        {
            "type": "input_text",
            "text": part.get("transcript") or part.get("text") or "Say something",
        }
        for part in item.get("content", ())
    ]
    return {**item, "content": parts} if parts else item


def _realtime(response: Json, name: str, aloud: bool, asked: Json) -> Json:
    """A response of the responses API as a realtime one."""
    usage = response["usage"]
    taken, given = usage["input_tokens"], usage["output_tokens"]
    known = usage["input_tokens_details"]["cached_tokens"]
    reason = (response["incomplete_details"] or {}).get("reason")
    spoken = given if aloud else 0
    return {
        "id": name,
        "object": "realtime.response",
        "status": response["status"],
        "status_details": {"type": response["status"], **({"reason": reason} if reason else {})},
        "output": [_realtime_item(item, aloud) for item in response["output"]],
        "conversation_id": None if asked.get("conversation") == "none" else f"conv_{name[5:]}",
        "metadata": asked.get("metadata"),
        "usage": {
            "total_tokens": taken + given,
            "input_tokens": taken,
            "output_tokens": given,
            "input_token_details": {
                "text_tokens": taken,
                "audio_tokens": 0,
                "cached_tokens": known,
                "cached_tokens_details": {"text_tokens": known, "audio_tokens": 0},
            },
            "output_token_details": {"text_tokens": given - spoken, "audio_tokens": spoken},
        },
    }


def _realtime_item(item: Json, aloud: bool) -> Json:
    told = {**item, "object": "realtime.item"}
    if "content" in item:
        texts = [part.get("text") or part.get("refusal") for part in item["content"]]
        told["content"] = [
            {"type": "output_audio", "transcript": text}
            if aloud
            else {"type": "output_text", "text": text}
            for text in texts
        ]
    return told
