"""What a body says in the part of it that is not kept: the last place where some words stand."""

import re
from typing import Final

__all__ = ["LAST_EVENT", "USAGE", "Mention"]

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
