"""
Texts of events, and words in them: what full text search looks at, asks for and shows.

Words are told apart by SQLite's ``unicode61``: whatever the case and the accents. Scripts that are
written without spaces (Chinese, Japanese, Thai, …) and Korean, whose words have endings, are taken
a character at a time, so that any part of a sentence is found as a phrase.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from secrets import token_hex
from typing import Any, Final, NamedTuple, Self
from unicodedata import normalize

import msgspec

from llmobs.codec import clean_text
from llmobs.store.pieces import name_references
from llmobs.store.records import QueryError, Snippet

__all__ = [
    "BREAK",
    "MAX_CHARACTERS",
    "WITH_TEXTS",
    "Query",
    "snippet",
    "spaced",
    "texts_of",
]

WITH_TEXTS: Final = ("prompt_call", "agent_step", "tool_call", "error")
"""Types of events that have texts to find."""
_FIELDS: Final = (
    "prompt", "input", "input_data", "response", "tool_calls", "output", "output_data", "error",
)  # fmt: skip
_NOT_SAID: Final = frozenset({"role", "type", "tool_call_id", "mime_type", "media_type"})
"""Members of messages that are no words of anybody's."""
MAX_CHARACTERS: Final = 1_000_000
"""Of one event's texts that are looked at."""
MAX_QUERY: Final = 1_000
"""Characters that may be asked for."""

_ALONE: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_alone: Final = re.compile(f"([{_ALONE}])")
_tokens: Final = re.compile(rf"[{_ALONE}]|[^\W_{_ALONE}]+")

_space: Final = re.compile(r"\s")

BREAK: Final = "\ue000"
"""Between two texts: a word that nobody can ask for, so that no phrase reaches across."""


def spaced(text: str) -> str:
    """Return *text* with spaces around the characters that are words of their own."""
    return text if text.isascii() else _alone.sub(r" \1 ", text)


def texts_of(body: str, piece: Callable[[int], Sequence[str]] | None = None) -> list[str]:
    """
    Return the texts that were given and made in an event, in their order; none if it cannot be read.

    Args:
        body: Its JSON.
        piece: Returns the texts of a message that is stored once, by its hash; None where *body*
            refers to none.
    """
    mark = ""
    if piece is not None and "\x01" in body:
        mark = token_hex(8)  # nobody can write into an event what looks like a reference
        body = name_references(body, mark)
    try:
        event = msgspec.json.decode(body)
        found: list[str] = []
        room = MAX_CHARACTERS
        for name in _FIELDS:
            value = event.get(name)
            if name == "error" and type(value) is dict:
                value = value.get("message")
            for text in _strings(value, mark, piece):
                found.append(text[:room])
                room -= len(text)
                if room <= 0:
                    return found
    except (msgspec.MsgspecError, RecursionError, AttributeError):
        return []
    return found


def _strings(value: Any, mark: str, piece: Callable[[int], Sequence[str]] | None) -> Iterator[str]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if type(one) is str:
            if one:
                yield one
        elif type(one) is list:
            waiting += reversed(one)
        elif type(one) is dict:
            if mark and piece is not None and mark in one:
                yield from piece(one[mark])
            else:
                waiting += reversed([v for k, v in one.items() if k not in _NOT_SAID])


class Query(NamedTuple):
    """What is asked for: all of these words, and these phrases."""

    expression: str
    """For FTS5: each word and phrase in quotes, so that nothing is an operator. Empty for no word at all."""
    marks: re.Pattern[str] | None
    """Finds them in a folded text."""
    words: int
    """How many words and phrases."""

    @classmethod
    def read(cls, text: str) -> Self:
        """
        Read what people write: words, and phrases in double quotes.

        Raises:
            QueryError: It is too long.
        """
        if len(text) > MAX_QUERY:
            raise QueryError(f"text: longer than {MAX_QUERY:,} characters")
        text = clean_text(text).replace("\0", " ").replace(BREAK, " ")
        parts = text.split('"')
        asked: list[str] = []
        for number, part in enumerate(parts):
            is_phrase = number % 2 and number < len(parts) - 1  # the last quote may have no other
            asked += [part] if is_phrase else part.split()
        expressions, marks = [], []
        for one in dict.fromkeys(asked):
            if words := _tokens.findall(fold(one)):
                expressions.append(f'"{spaced(one)}"')
                marks.append(_mark(words))
        pattern = re.compile("|".join(f"({mark})" for mark in marks)) if marks else None
        return cls(" ".join(expressions), pattern, len(marks))


def _mark(words: Sequence[str]) -> str:
    made = ""
    before = ""
    for word in words:
        if before:
            made += r"[\W_]*" if _alone.match(before) or _alone.match(word) else r"[\W_]+"
        made += re.escape(word)
        before = word
    start = "" if _alone.match(words[0]) else r"(?<![^\W_])"
    end = "" if _alone.match(words[-1]) else r"(?![^\W_])"
    return f"{start}{made}{end}"


def fold(text: str) -> str:
    """Return *text* in lower case and without accents, character for character."""
    return text.lower() if text.isascii() else "".join(map(_folded, text))


@lru_cache(8_192)
def _folded(character: str) -> str:
    first = normalize("NFD", character)[0] if not _alone.match(character) else character
    lower = first.lower()
    return lower if len(lower) == 1 else first


BEFORE: Final = 60
AROUND: Final = 240
LOOKED_AT: Final = 200_000
"""Characters of one text in which a hit is looked for, to show it."""


def snippet(texts: Sequence[str], query: Query) -> tuple[Snippet, ...]:
    """Return a stretch of the last text in which most of *query* stands, with the hits told apart."""
    best, most, place = "", 0, 0
    for text in reversed(texts):
        text = text[:LOOKED_AT]
        found: dict[int, int] = {}
        if query.marks is not None:
            for match in query.marks.finditer(fold(text)):
                found.setdefault(match.lastindex or 0, match.start())
                if len(found) == query.words:
                    break
        if len(found) > most:
            best, most, place = text, len(found), min(found.values())
            if most == query.words:
                break
    if not most:
        best = next((text for text in reversed(texts)), "")
    return tuple(_cut(best, place, query))


def _cut(text: str, place: int, query: Query) -> Iterator[Snippet]:
    start = max(0, place - BEFORE)
    if start:  # at a word, if one begins soon
        start = text.find(" ", start, place) + 1 or start
    shown = _space.sub(" ", text[start : start + AROUND])  # one line
    more = start + AROUND < len(text)
    at = 0
    if start:
        yield Snippet("… ", hit=False)
    # Looked for in what stands before, too: a word begins where no letter does.
    if query.marks is not None:
        for match in query.marks.finditer(fold(text[: start + AROUND + BEFORE]), start):
            begin, end = match.start() - start, min(match.end() - start, len(shown))
            if begin >= len(shown):
                break
            if begin > at:
                yield Snippet(shown[at:begin], hit=False)
            if end > begin:
                yield Snippet(shown[begin:end], hit=True)
            at = max(at, end)
    if at < len(shown):
        yield Snippet(shown[at:], hit=False)
    if more:
        yield Snippet(" …", hit=False)
