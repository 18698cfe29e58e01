"""
What looks like ASCII, as ASCII: blanks that do not break, hyphens, fullwidth digits and letters, escapes.

People paste them from web pages, PDFs and East Asian keyboards. Each gives way to one character, so
positions stay; the finders know of ASCII only.
"""

from __future__ import annotations

import re
from typing import Final

from llmobs.redaction.automata import automaton
from llmobs.runtime.time_slices import Steps

__all__ = ["has_escape", "in_plain_characters", "plain", "spelt", "unescaped"]

_ALIKE: Final = tuple(
    (char, ascii_char)
    for chars, ascii_char in (
        ("\u00a0\u2007\u2009\u202f\u3000", " "),
        ("\u2010\u2011\u2013", "-"),
        ("\uff1a", ":"),
        ("\uff1d", "="),
    )
    for char in chars
)
"""Each is looked for by itself: that is a hundred times as fast as a look for any of them."""
_FULLWIDTH: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_has_fullwidth: Final = automaton(r"[\x{ff10}-\x{ff19}\x{ff21}-\x{ff3a}\x{ff41}-\x{ff5a}]")
"""Whether there are digits or letters of full width: commas are in all Chinese text."""
_STRETCH: Final = 4_096
# Colours of a terminal, whose last letter would be taken for the first of a word.
_COLOUR = re.compile(r"(?:\x1b|\\(?:u001|x1)[bB]|\\033|\\e)\[[0-9;?]{0,16}[A-Za-z]")
_IN_COLOURS: Final = ("\x1b[", "1b[", "1B[", "\\033[", "\\e[")
_LONGEST_COLOUR: Final = 24
_PERCENT = re.compile(r"%[2-7][0-9A-Fa-f]")
_BACKSLASH = re.compile(r"\\u[0-9A-Fa-f]{4}")
_ENTITY = re.compile(r"&(?:#[0-9xX]|commat;)")
_ESCAPE = re.compile(
    r"\\{1,8}u([0-9A-Fa-f]{4})|%(?:25){0,3}([2-7][0-9A-Fa-f])"
    r"|&#[xX]0{0,4}([0-9A-Fa-f]{2,4});|&#0{0,4}([0-9]{2,5});"
)


def has_escape(text: str) -> bool:
    """Whether *text* spells a character as JSON, an URL or HTML may: ``\\u0040``, ``%40``, ``&#64;``."""
    return (
        ("%" in text and _PERCENT.search(text) is not None)
        or ("\\" in text and _BACKSLASH.search(text) is not None)
        or ("&" in text and _ENTITY.search(text) is not None)
    )


def unescaped(text: str) -> str:
    """Return *text*, which is to be short, with such characters as they are."""
    return _ESCAPE.sub(_character, text)


def spelt(char: str) -> str:
    """Return a pattern that matches *char* as it is, and in all these ways, if cases are ignored."""
    codes = {ord(form) for form in (char, char.lower(), char.upper()) if len(form) == 1}
    hexadecimal = "|".join(f"{code:02x}" for code in sorted(codes))
    decimal = "|".join(map(str, sorted(codes)))
    return (
        rf"(?:{re.escape(char)}|(?:\\{{1,8}}u0{{0,2}}|%(?:25){{0,3}})(?:{hexadecimal})"
        rf"|&#(?:0{{0,4}}(?:{decimal})|x0{{0,4}}(?:{hexadecimal}));)"
    )


def _character(match: re.Match[str]) -> str:
    return chr(int(match[match.lastindex or 0], 10 if match[4] else 16))


def plain(text: str) -> str:
    """Return *text*, which is to be short, with what looks like ASCII as ASCII, and blanks for colours."""
    if "[" in text and any(map(text.__contains__, _IN_COLOURS)):
        text = _COLOUR.sub(lambda found: " " * len(found[0]), text)
    if text.isascii():
        return text
    for char, ascii_char in _ALIKE:
        text = text.replace(char, ascii_char)
    is_wide = _has_fullwidth(text.encode("utf-8", "replace"))
    return text.translate(_FULLWIDTH) if is_wide else text


def in_plain_characters(text: str) -> Steps[str]:
    """Do the work of `plain` in steps, whatever the length of *text*."""
    if text.isascii() and "\x1b[" not in text and not ("\\" in text and "[" in text):
        return text
    parts = []
    low = 0
    while low < len(text):
        if low:
            yield
        high = low + _STRETCH
        for colour in _COLOUR.finditer(text, high - _LONGEST_COLOUR, high + _LONGEST_COLOUR):
            if colour.start() < high:  # not cut in two
                high = max(high, colour.end())
        parts.append(plain(text[low:high]))
        low = high
    return "".join(parts)
