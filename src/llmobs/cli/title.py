"""An event in the colours of a terminal."""

from collections.abc import Mapping
from typing import Final

from rich.text import Text

from llmobs.describe.events import Tone, kind_of, tone_of
from llmobs.describe.words import one_line
from llmobs.events import Event

__all__ = ["colour_of", "title"]

_COLOURS: Final[Mapping[Tone, str]] = {
    "bad": "red", "warning": "yellow", "call": "cyan", "tool": "magenta", "other": "blue",
}  # fmt: skip


def colour_of(event: Event) -> str:
    """Return the colour of an event's kind."""
    return _COLOURS[tone_of(event)]


def title(event: Event) -> Text:
    """Return what *event* is about: its kind and its name."""
    name = event.subject or ""
    return Text.assemble(
        (kind_of(event), colour_of(event)), " " if name else "", one_line(name, 120)
    )
