"""What stands within a paragraph of a text that a model read or wrote, and what llmobs did to it; JSON in lines."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final, Literal, NamedTuple

import msgspec

__all__ = ["Piece", "Span", "json_in_lines", "pieces", "spans"]

MAX_PIECES: Final = 200
"""Of a paragraph."""
MAX_SPANS: Final = 500
"""Marks of llmobs in one paragraph that are told apart."""
MAX_JSON: Final = 1_000_000
"""Characters of a text that is looked at for being JSON."""


class Piece(NamedTuple):
    """A stretch of a paragraph, by its looks; ``strong`` may hold ``code``."""

    kind: Literal["", "strong", "em", "code"]
    text: str


class Span(NamedTuple):
    """A stretch of a text."""

    kind: Literal["", "redacted", "cut"]
    text: str


# Underlines are left as they are: they are rather parts of names, as in __init__.
_EMPHASIS: Final = re.compile(
    r"(?<![`\\])(`{1,2}+)(?P<code>[^`\n]++)\1(?!`)"
    r"|(?<![*\\])\*\*(?![\s*])(?P<strong>[^*\n]++)(?<!\s)\*\*(?!\*)"
    r"|(?<![\w*\\])\*(?![\s*])(?P<em>[^*\n]++)(?<!\s)\*(?![\w*])"
)
_MADE: Final = re.compile(
    r"(?P<redacted>\[REDACT(?:ED|ION)_[A-Z0-9_]{1,60}(?:_[0-9a-f]{4,40})?\]"
    r"|\[[A-Z][A-Z_]{1,30}_[0-9a-f]{1,16}\])"
    r"|(?P<cut>(?:\.\.\. |<)[\d,]{1,20} (?:characters|items|more entries|entries) left out(?: \.\.\.|>)?)"
)


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


def pieces(text: str) -> Sequence[Piece]:
    """Return a paragraph in stretches: plain, emphasised as Markdown does it, code."""
    if "*" not in text and "`" not in text:  # as most
        return [Piece("", text)]
    return [Piece(*each) for each in _stretches(text, _EMPHASIS, MAX_PIECES)]


def spans(text: str) -> Sequence[Span]:
    """Return *text* in stretches: what was recorded, what stands for something redacted, what says that it was cut."""
    if "[" not in text and " left out" not in text:  # as most
        return [Span("", text)]
    return [Span(*each) for each in _stretches(text, _MADE, MAX_SPANS)]


def _stretches(text: str, marks: re.Pattern[str], most: int) -> Iterator[tuple[Any, str]]:
    """Yield the stretches of *text*: those that *marks* finds, by the name of their group, and what is between."""
    at = 0
    for found in islice(marks.finditer(text), most):
        if found.start() > at:
            yield "", text[at : found.start()]
        kind = found.lastgroup or ""
        yield kind, found[kind]
        at = found.end()
    if at < len(text) or not at:
        yield "", text[at:]
