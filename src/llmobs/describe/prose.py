"""
A text that a model read or wrote, as what it is made of: paragraphs, code, JSON; and what llmobs did to it.

A little of Markdown is understood, as far as nothing can go wrong with it: fences of code and empty lines.
Links, pictures and HTML stay the characters they are. A library that knows all of it would be two more
packages for a server that has few.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, Literal, NamedTuple

import msgspec

__all__ = ["MAX_PASSAGES", "Passage", "Span", "json_in_lines", "passages", "spans"]

MAX_PASSAGES: Final = 200
MAX_SPANS: Final = 500
"""Marks of llmobs in one passage that are told apart."""
MAX_JSON: Final = 1_000_000
"""Characters of a text that is looked at for being JSON."""


class Span(NamedTuple):
    """A stretch of a text."""

    kind: Literal["", "redacted", "cut"]
    text: str


class Passage(NamedTuple):
    """A paragraph, or something that stands by itself."""

    kind: Literal["text", "code", "json"]
    text: str
    language: str = ""
    """Of code, if it is named."""


_FENCE: Final = re.compile(r"^ {0,3}(`{3,}+|~{3,}+)[ \t]*+([^\s`]{0,40}+)[^`\n]*+$", re.MULTILINE)
_EMPTY: Final = re.compile(r"\n[ \t]*\n\s*")
_MADE: Final = re.compile(
    r"(?P<redacted>\[REDACT(?:ED|ION)_[A-Z0-9_]{1,60}(?:_[0-9a-f]{4,40})?\]"
    r"|\[[A-Z][A-Z_]{1,30}_[0-9a-f]{1,16}\])"
    r"|(?P<cut>(?:\.\.\. |<)[\d,]{1,20} (?:characters|items|more entries|entries) left out(?: \.\.\.|>)?)"
)


def passages(text: str) -> list[Passage]:
    """
    Return what *text* is made of, in order; nothing of it is lost but empty lines between paragraphs.

    After `MAX_PASSAGES` all that follows is one: a browser shows no more of them.
    """
    if (found := json_in_lines(text)) is not None:
        return [Passage("json", found)]
    made: list[Passage] = []
    for passage, end in _passages(text):
        made.append(passage)
        if len(made) == MAX_PASSAGES and (rest := text[end:].strip("\n")):
            made.append(Passage("text", rest))
            break
    return made


def _passages(text: str) -> Iterator[tuple[Passage, int]]:
    """Yield passages, and where in *text* each ends."""
    at = 0
    while (fence := _FENCE.search(text, at)) is not None:
        yield from _paragraphs(text, at, fence.start())
        begin = min(fence.end() + 1, len(text))
        end = re.compile(rf"^ {{0,3}}{fence[1]}+[ \t]*$", re.MULTILINE).search(text, begin)
        stop = len(text) if end is None else end.start()
        at = len(text) if end is None else end.end()
        yield Passage("code", text[begin:stop].removesuffix("\n"), fence[2]), at
    yield from _paragraphs(text, at, len(text))


def _paragraphs(text: str, begin: int, end: int) -> Iterator[tuple[Passage, int]]:
    while begin < end:
        empty = _EMPTY.search(text, begin, end)
        stop = end if empty is None else empty.start()
        if paragraph := text[begin:stop].strip("\n"):
            yield Passage("text", paragraph), stop
        begin = end if empty is None else empty.end()


def json_in_lines(text: str) -> str | None:
    """Return *text* in lines if it is a JSON object or array; None if it is something else."""
    bare = text.strip()
    if len(bare) > MAX_JSON or bare[:1] + bare[-1:] not in ("{}", "[]"):
        return None
    try:
        msgspec.json.decode(bare)  # what only looks like it is not touched
        return msgspec.json.format(bare, indent=2)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None


def spans(text: str) -> Sequence[Span]:
    """Return *text* in stretches: what was recorded, what stands for something redacted, what says that it was cut."""
    made: list[Span] = []
    at = 0
    for found in islice(_MADE.finditer(text), MAX_SPANS):
        if found.start() > at:
            made.append(Span("", text[at : found.start()]))
        made.append(Span("redacted" if found["redacted"] else "cut", found[0]))
        at = found.end()
    if at < len(text) or not made:
        made.append(Span("", text[at:]))
    return made
