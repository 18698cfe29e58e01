"""What was said in a run, made ready to be read: messages, cut where nobody would read on."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from llmobs.codec import encode
from llmobs.describe.events import (
    contents,
    data_of,
    error_of,
    facts_of,
    figures,
    kind_of,
    origin_of,
    tone_of,
)
from llmobs.describe.prose import json_in_lines
from llmobs.describe.words import visible
from llmobs.events import ErrorInfo, Event, PromptCallEvent
from llmobs.recorded.jsontext import json_or_text, json_text
from llmobs.recorded.media import size_of_base64
from llmobs.recorded.messages import text_in
from llmobs.store.rows import row_of

__all__ = ["Block", "Message", "Part", "Transcript"]

PAGE_CHARACTERS: Final = 100_000
"""Of all texts of a page together, beyond which each is only begun."""
TEXT_CHARACTERS: Final = 4_000
"""Of one text; its own page has the rest."""
BEGUN_CHARACTERS: Final = 200
JSON_CHARACTERS: Final = 20_000
"""Of a text that is looked at for being JSON."""
WHOLE_CHARACTERS: Final = 500_000
"""Of one text on the page of its event; a browser takes seconds to lay out more."""
WHOLE_PAGE_CHARACTERS: Final = 1_000_000
"""Of all texts of that page together."""


class Part(msgspec.Struct, frozen=True):
    """A piece of a message."""

    kind: str
    """``text``, ``reasoning``, ``call``, ``result``, ``file`` and what there may be else."""
    name: str
    text: str
    cut: int = 0
    """Characters left out at the end."""


class Message(msgspec.Struct, frozen=True):
    """What one side said."""

    role: str
    side: str
    """Of those that are told apart by their looks: ``system``, ``user``, ``assistant``, ``tool``; or empty."""
    parts: Sequence[Part]


class Block(msgspec.Struct, frozen=True):
    """An event, to be read."""

    event: Event
    kind: str
    tone: str
    figures: Sequence[str]
    facts: Sequence[tuple[str, str]]
    """What else is short: what it is called, and what it is."""
    earlier: int
    """Messages before these, which stand in this transcript already."""
    messages: Sequence[Message]
    error: ErrorInfo | None
    cause: str | None
    """What those that failed alike share, if it did; see `llmobs.store.records.ErrorGroup`."""
    more: Sequence[Part] = ()
    """What else it holds; on its own page alone."""


class Transcript:
    """
    Makes the events of a page ready to be read, in their order.

    Args:
        whole: One event alone, with all that it says.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole
        self._limit = WHOLE_CHARACTERS if whole else TEXT_CHARACTERS
        self._left = WHOLE_PAGE_CHARACTERS if whole else PAGE_CHARACTERS
        self._said: set[bytes] = set()

    def block(self, event: Event) -> Block:
        """Return *event*."""
        earlier = 0
        if isinstance(event, PromptCallEvent):
            asked = event.prompt_messages
            if not self._whole:
                earlier = self._known(asked)
                asked = asked[earlier:]
            answered = event.response_messages
            self._said.update(map(encode, answered))
            messages = [self._message(each) for each in (*asked, *answered)]
        else:
            messages = [
                Message(
                    _SIGNS.get(sign, sign),
                    "",
                    [self._part("text", "", _pretty(json_or_text(text)))],
                )
                for sign, text in contents(event, full=True)
            ]
        return Block(
            event=event,
            kind=kind_of(event),
            tone=tone_of(event),
            figures=figures(event),
            facts=[*facts_of(event), *(origin_of(event) if self._whole else ())],
            earlier=earlier,
            messages=messages,
            error=error_of(event),
            cause=row_of(event, 0, 0).fingerprint if event.failed else None,
            more=[self._part(label, "", _pretty(value)) for label, value in data_of(event)]
            if self._whole
            else (),
        )

    def _known(self, messages: Sequence[Any]) -> int:
        """Return how many messages at the beginning were said before; note the others."""
        known, count = True, 0
        for each in messages:
            said = encode(each)
            known = known and said in self._said
            count += known
            self._said.add(said)
        # The last one is what is new to the model, even if it was said before.
        return min(count, max(len(messages) - 1, 0))

    def _message(self, message: Any) -> Message:
        role = str(message["role"])
        return Message(
            role, role if role in _SIDES else "", [self._read(part) for part in message["parts"]]
        )

    def _read(self, part: Any) -> Part:
        kind = part.get("type")
        if kind == "tool_call":
            return self._part("call", part.get("name"), _pretty(part.get("arguments")))
        if kind == "tool_call_response":
            found = part.get("response", part.get("result"))
            return self._part("result", part.get("name") or part.get("id"), _pretty(found))
        if kind in ("blob", "file", "uri"):
            what = part.get("modality") or kind
            said = part.get("uri") or part.get("file_id") or part.get("mime_type") or ""
            size = part.get("size")
            if size is None and isinstance(part.get("content"), str):
                size = size_of_base64(part["content"])
            return self._part("file", what, f"{said} {size:,} bytes" if size else str(said))
        content = part.get("content")
        if isinstance(content, str):
            return self._part(str(kind), "", _in_lines(content))
        return self._part(str(kind), "", text_in(part) or _pretty(part))

    def _part(self, kind: str, name: Any, text: str) -> Part:
        limit = self._limit if self._left > 0 else BEGUN_CHARACTERS
        shown = visible(text[:limit])
        self._left -= len(shown)
        return Part(kind, visible(str(name or "")[:200]), shown, max(0, len(text) - limit))


_SIDES: Final = frozenset({"system", "user", "assistant", "tool"})
_SIGNS: Final = {">": "input", "<": "output", "·": "about"}
"""What `contents` writes for a terminal, in words."""


def _in_lines(text: str) -> str:
    """Return JSON in lines, any other text as it is."""
    return (json_in_lines(text) if len(text) <= JSON_CHARACTERS else None) or text


def _pretty(value: Any) -> str:
    """Return a value as text; JSON in lines."""
    if isinstance(value, str):
        return _in_lines(value)
    if isinstance(value, dict | list):
        return msgspec.json.format(encode(value), indent=2).decode()
    return "" if value is None else json_text(value)
