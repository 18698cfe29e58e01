"""Finds payment card numbers (ISO/IEC 7812-1): digits in groups, with a checksum."""

from __future__ import annotations

import re

from llmobs.redaction.spans import (
    ANCHORS_A_STEP,
    FOUR_DIGITS,
    WORD,
    WORD_BACKWARDS,
    Span,
    run_start,
)
from llmobs.runtime.time_slices import Steps

__all__ = ["find_cards"]

# In symbols, where a dash is one of the rare characters. Written out, since a group that repeats
# takes three times as long; as every layout begins.
_DIGITS = re.compile(rb"0+")
_PERHAPS_CARD = re.compile(rb"0000[ \x02]?(?:0000[ \x02]?0000[ \x02]?0|000000[ \x02]?0000)")
# Issuers' numbers begin with 2 to 6. So do no time stamps of this era: seconds, milliseconds and
# nanoseconds since 1970 begin with 1.
_FIRST_DIGITS = frozenset("23456")
_TWELVE = r"[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}[ -]?"
_LAYOUTS = (
    re.compile(_TWELVE + r"[0-9]{4}[ -]?[0-9]{1,3}(?![0-9])"),  # 17 to 19 digits
    re.compile(_TWELVE + r"[0-9]{1,4}(?![0-9])"),  # 13 to 16
    re.compile(r"[0-9]{4}[ -]?[0-9]{6}[ -]?[0-9]{4,5}(?![0-9])"),  # American Express, Diners
)
_DECIMALS = re.compile(r"[0-9]\.")
_VALUES = bytes(max(0, byte - 48) for byte in range(256))
_DOUBLED = bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)) + bytes(246)
_HEX = re.compile(r"[0-9A-Fa-f]*")
_HEX_AND_DASHES = re.compile(r"[0-9A-Fa-f-]*")
_HEX_OR_DASH = frozenset("0123456789ABCDEFabcdef-")
_SHORTEST_DASHED_ID = 32  # hexadecimal digits of a UUID


def find_cards(
    text: str,
    symbols: bytes,
    at: int,
    low: int,
    high: int,
    resume: list[int],
    spans: list[Span],
) -> Steps[None]:
    """Append to ``spans`` the card numbers anchored in ``text[low:high]``, which is ``symbols``."""
    find = symbols.find
    size = len(symbols)
    anchors = 0
    while 0 <= at < high - low:
        anchors += 1
        if anchors % ANCHORS_A_STEP == 0:
            yield
        end = at + 4
        after = symbols[end] if end < size else 0
        if after == 48:
            run = _DIGITS.match(symbols, at)
            end = run.end() if run is not None else end
        elif (after != 32 and after != 2) or symbols[end + 1 : end + 2] != b"0":
            at = find(FOUR_DIGITS, end)  # a year, a port, a price: no group of digits follows
            continue
        start = low + at
        # At the edge of a window the run may have begun in the one before, which saw it then.
        edge = at == 0 and low > 0 and text[low - 1] in "0123456789"
        escape = text.rfind("\\u", max(0, start - 5), start) >= 0
        if not edge and end - at < 24 and (escape or _PERHAPS_CARD.match(symbols, at)):
            if escape:  # the first of these may be the digits of an escape such as \\u2013
                start = max(start, run_start(text, low + end, WORD_BACKWARDS))
            card = _card(text, start, resume[2])
            if card is not None:
                spans.append(card)
                resume[2] = card.end
        at = find(FOUR_DIGITS, end)


def _card(text: str, start: int, last: int) -> Span | None:
    """Return the card number that begins at ``start``, if one does; the last one ended at ``last``."""
    if text[start : start + 1] not in _FIRST_DIGITS:
        return None
    for layout in _LAYOUTS:
        found = layout.match(text, start)
        if found is not None and _checksum_holds(found[0]):
            end = found.end()
            # A full stop and a digit before: the decimals of a number.
            if start - 1 != last and _DECIMALS.match(text, max(0, start - 2)):
                return None
            return None if _is_hexadecimal(text, start, end) else Span(start, end, "card", "card")
    return None


def _checksum_holds(number: str) -> bool:
    """Whether the digits of ``number`` pass the Luhn check (ISO/IEC 7812-1, annex B)."""
    digits = number.encode("ascii").translate(_VALUES, b" -")
    return (sum(digits[-1::-2]) + sum(digits[-2::-2].translate(_DOUBLED))) % 10 == 0


def _is_hexadecimal(text: str, start: int, end: int) -> bool:
    """Whether these digits are part of a hexadecimal number or a UUID."""
    if text[end : end + 1] not in _HEX_OR_DASH and text[start - 1 : start] not in _HEX_OR_DASH:
        return False  # they stand alone
    tail = WORD.match(text[end : end + 64])
    word = run_start(text, start, WORD_BACKWARDS)
    glued = text[word:start] + ("" if tail is None else tail[0])
    if glued and _HEX.fullmatch(glued):
        return True
    first = run_start(text, start, _HEX_AND_DASHES)
    rest = _HEX_AND_DASHES.match(text[start : start + 64])
    dashed = text[first:start] + ("" if rest is None else rest[0])
    return len(dashed.replace("-", "")) >= _SHORTEST_DASHED_ID
