"""Spans of sensitive text, and walks along runs of characters, shared by the finders."""

from __future__ import annotations

import re

from msgspec import Struct

from llmobs.runtime.time_slices import Steps

__all__ = [
    "ANCHORS_A_STEP",
    "BLANKS",
    "CAPITAL",
    "JOINT",
    "LONGEST_RUN",
    "SIGN",
    "SYMBOLS",
    "WORD",
    "WORD_BACKWARDS",
    "Reach",
    "Span",
    "follows_letter",
    "run_end",
    "run_start",
]

ANCHORS_A_STEP = 32  # looked at without a pause: some 2 µs each, at worst
LONGEST_RUN = 16_384  # characters matched by one call, which holds the interpreter
_REST = re.compile(rf"[0-9A-Za-z._~+/=-]{{1,{LONGEST_RUN}}}+")
BLANKS = r"(?:\s|\\{1,8}[nrt]){0,32}"  # in JSON text those of a string are escaped, once a level
_ESCAPE = re.compile(r"u[0-9A-Fa-f]{4}|[bfnrt]")
WORD_BACKWARDS = re.compile(r"[0-9A-Za-z]*")
WORD = re.compile(r"[0-9A-Za-z]*")


def _fold() -> bytes:
    table = bytearray(bytes(range(256)).lower())
    for chars, symbol in ((b"-_.~", 2), (b":=>", 1), (b"AJKB", 3), (b"0123456789", 48)):
        for char in chars:
            table[char] = symbol
    return bytes(table)


SYMBOLS = _fold()
"""
Before it is searched, text is folded: capitals to small letters, digits to one symbol; what joins
the parts of keys to another; what stands between a name and its value to a third; and the capitals
that are rare in prose but begin keys to a fourth. Each of them is found as fast as memory is read.
"""
JOINT = 2  # a number is looked for six times as fast as a byte
SIGN = 1
CAPITAL = 3


class Reach:
    """How far finders have read in one text: what lies before is not read again."""

    __slots__ = ("base64", "card", "plain", "token", "tokens")

    def __init__(self) -> None:
        self.token = 0
        """Where the last key ended, that the current search found."""
        self.tokens = [0, 0, 0, 0]
        """The same for each search, between two windows."""
        self.base64 = 0
        """Where the last run ended that was no token after all."""
        self.plain = 0
        """Where the last run ended that was an ordinary word after all."""
        self.card = 0
        """Where the last card number ended."""


# Not tracked by the collector of garbage, which would hold the interpreter for long where they are many.
class Span(Struct, frozen=True, order=True, gc=False):
    """Characters ``start`` to ``end`` (exclusive) are of ``kind``, as ``rule`` found."""

    start: int
    end: int
    kind: str
    rule: str


def run_start(text: str, end: int, run: re.Pattern[str], limit: int = 64) -> int:
    """Return where the run of ``run`` characters before ``end`` begins, not inside an escape."""
    found = run.match(text[max(0, end - limit) : end][::-1])
    start = end - (0 if found is None else found.end())
    if start == 0 or text[start - 1] != "\\":
        return start
    # However many backslashes there are: JSON text may hold JSON text.
    escape = _ESCAPE.match(text, start)
    return start if escape is None else min(escape.end(), end)


def run_end(text: str, start: int, end: int) -> Steps[int]:
    """Return where a run that was found to last from ``start`` to ``end`` really ends."""
    while end - start >= LONGEST_RUN:
        more = _REST.match(text, end)
        if more is None:
            break
        start, end = end, more.end()
        yield
    return end


def follows_letter(text: str, at: int) -> bool:
    """Whether a letter stands right before ``at``, as in ``task-``, and is not an escape's."""
    if at == 0 or not (text[at - 1].isascii() and text[at - 1].isalpha()):
        return False
    return run_start(text, at, WORD_BACKWARDS) < at
