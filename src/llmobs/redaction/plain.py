"""
What looks like ASCII, as ASCII: blanks that do not break, hyphens, fullwidth digits and letters, escapes.

People paste them from web pages, PDFs and East Asian keyboards. Each gives way to one character, so
positions stay; the finders know of ASCII only.
"""

from __future__ import annotations

import re
from typing import Final

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
_HAS_FULLWIDTH: Final = re.compile(rb"\xff[\x10-\x19\x21-\x3a\x41-\x5a]")
"""Matches digits and letters of full width, in UTF-16, where it is fast; commas are in all Chinese text."""
_FULLWIDTH_BYTE: Final = 0xFF
_STRETCH: Final = 4_096
_LONG_STRETCH: Final = 1 << 20
"""Characters looked through for a sign or two without a pause, some 0.2 ms."""
# Colours of a terminal, whose last letter would be taken for the first of a word; and as they are spelt.
_COLOURS: Final = (
    ("\x1b", re.compile(r"\x1b\[[0-9;?]{0,16}[A-Za-z]")),
    ("\\", re.compile(r"\\(?:u001[bB]|x1[bB]|033|e)\[[0-9;?]{0,16}[A-Za-z]")),
)
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
    for sign, colour in _COLOURS:
        if sign in text:
            text = colour.sub(lambda found: " " * len(found[0]), text)
    if text.isascii():
        return text
    for char, ascii_char in _ALIKE:
        text = text.replace(char, ascii_char)
    encoded = text.encode("utf-16-be", "surrogatepass")
    if _FULLWIDTH_BYTE in encoded and _HAS_FULLWIDTH.search(encoded):
        text = text.translate(_FULLWIDTH)
    return text


def in_plain_characters(text: str) -> Steps[str]:
    """Do the work of `plain` in steps, whatever the length of *text*."""
    if text.isascii() and not (yield from _has_colour(text)):
        return text
    parts = []
    is_plain = True
    low = 0
    while low < len(text):
        if low:
            yield
        high = low + _STRETCH
        for _, colour in _COLOURS:
            for found in colour.finditer(text, high - _LONGEST_COLOUR, high + _LONGEST_COLOUR):
                if found.start() < high:  # not cut in two
                    high = max(high, found.end())
        part = text[low:high]
        parts.append(plain(part))
        is_plain = is_plain and parts[-1] is part
        low = high
    return text if is_plain else "".join(parts)


def _has_colour(text: str) -> Steps[bool]:
    for low in range(0, len(text), _LONG_STRETCH):
        if low:
            yield
        if any(text.find(sign, low, low + _LONG_STRETCH) >= 0 for sign, _ in _COLOURS):
            return True
    return False
