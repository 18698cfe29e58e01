"""
JSON of which a part is missing: what came before the cut, what came after a gap, and what the part
that is not kept said last of some things.
"""

import re
from typing import Any, Final, Literal

import msgspec

from llmobs.recorded.cutting import end_of_words

__all__ = ["LAST_EVENT", "USAGE", "Mention", "read_head", "read_tail"]

_NUMBER: Final = b"0123456789+-.eE"
_ESCAPE: Final = re.compile(
    # Whole ones, pairs of surrogates among them; then what is left of those are lone.
    rb"\\(?:[^u]|u[dD][89abAB]..\\u[dD][c-fC-F]..|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|u)"
)
_MEMBER = re.compile(rb',\s*"')
MAX_TRIES: Final = 200
"""Places tried when looking for whole members at the end of an object."""


def read_head(text: bytes) -> Any:
    """
    Return the value that *text*, cut somewhere, had begun; None if nothing of it can be read.

    A text cut in its middle keeps the words that came; a number or a key that was cut is left out.
    """
    if _read(text, True) != (value := _read(text, "trailing-strings")):  # in a text
        return (
            value
            if (end := end_of_words(text)) == len(text)
            else _read(text[:end], "trailing-strings")
        )
    if text[-1:] in _NUMBER:  # it may have gone on
        return _read(text.rstrip(_NUMBER), "trailing-strings")
    return value


def _read(text: bytes, partial: Literal[True, "trailing-strings"]) -> Any:
    from pydantic_core import from_json  # slow to import, and only for what was cut

    try:
        return from_json(text, allow_partial=partial)
    except ValueError:
        pass
    try:  # SDKs take lone surrogates
        return from_json(_ESCAPE.sub(_without_lone, text), allow_partial=partial)
    except ValueError:
        return None


def _without_lone(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if escape["lone"] else escape[0]


def read_tail(text: bytes) -> dict[str, Any]:
    """
    Return the members of an object that *text*, its end, holds whole; empty if there are none.

    Usage, model and the like often stand there, behind a content too long to keep.
    """
    members: dict[str, Any] = {}
    for at in [found.start() for found in _MEMBER.finditer(text)][: -MAX_TRIES - 1 : -1]:
        # Only from the outermost level on is the rest of the text balanced.
        try:
            members = msgspec.json.decode(b"{" + text[at + 1 :], type=dict)
        except (msgspec.DecodeError, RecursionError):
            continue
    return members


USAGE: Final = re.compile(rb'"usage"\s*:\s*(?P<keep>\{)')
"""Counts of tokens. Within a text of the answer the quotes would be escaped."""
LAST_EVENT: Final = re.compile(rb'(?P<keep>"response\.(?:completed|incomplete|failed)")')
"""The event that ends a stream of OpenAI's responses; it repeats the whole answer."""

_CARRY: Final = 32
"""Bytes looked at again with what follows them: a match may be cut anywhere."""


class Mention:
    """
    Looks at bytes as they pass, and keeps what follows the last match of a pattern.

    Args:
        pattern: What to look for, of at most 32 bytes; from its group ``keep`` on it is kept.
        word: How every match begins; looking for it alone is fast.
        size: Bytes kept, at most.
    """

    __slots__ = ("_carry", "_found", "_missing", "_pattern", "_size", "_word")

    def __init__(self, pattern: re.Pattern[bytes], word: bytes, size: int = 8192) -> None:
        self._pattern = pattern
        self._word = word
        self._size = size
        self._carry = b""
        self._found = bytearray()
        self._missing = 0
        """Bytes that may still be added to what was found."""

    def feed(self, data: bytes) -> None:
        """Look at *data*, which follows what was fed before."""
        text = self._carry + data
        self._carry = text[-_CARRY:]
        if text.rfind(self._word) >= 0:
            last = None
            for last in self._pattern.finditer(text):  # noqa: B007 - only the last counts
                pass
            # What ends in the carry was found before.
            if last is not None and last.end() > len(text) - len(data):
                start = last.start("keep")
                self._found = bytearray(text[start : start + self._size])
                self._missing = self._size - len(self._found)
                return
        if self._missing:
            more = data[: self._missing]
            self._found += more
            self._missing -= len(more)

    @property
    def found(self) -> bytes:
        """The last match and what followed it; empty if there was none."""
        return bytes(self._found)
