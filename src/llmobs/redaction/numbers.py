"""Finds payment cards (ISO/IEC 7812-1), social security numbers and IBANs (ISO 13616)."""

from __future__ import annotations

import re
from collections.abc import Set
from typing import Final

from llmobs.redaction.anchors import Anchor
from llmobs.redaction.spans import (
    WORD,
    WORD_BACKWARDS,
    Reach,
    Span,
    run_start,
)
from llmobs.runtime.time_slices import Steps

__all__ = [
    "IBAN_COUNTRIES",
    "NUMBERS",
    "card_checksum_holds",
    "find_numbers",
    "is_card",
    "next_number",
]

NUMBERS: Final = frozenset({"card", "ssn", "iban"})

_DIGITS: Final = frozenset("0123456789")
_ANCHORS_A_STEP: Final = 8  # a number in a column has eight neighbours to look at

# In symbols, where digits are one symbol and a dash or a full stop another: the first four digits
# of a run, where one of the layouts can follow or end. Not within a run, unless the digits before
# are those of an escape such as \\u2013.
_ANCHORS: Final = re.compile(
    rb"0000(?:"
    rb"0(?:(?:(?<!000000)|(?<=\\u[0a-f\x03]{4}00000))(?:0{7,14}(?!0)|0000(?!0)"
    # IBANs, by where their first four digits stand
    rb"|(?<=[a-z\x03]{2}00000)0{5}|(?<=[a-z\x03]{2}00[a-z\x03]00000)0)"
    rb"|(?<=[a-z\x03]{2}00[a-z0\x03]{4}00000))"
    rb"|[a-z\x03](?<=[a-z\x03]{2}00[a-z0\x03]{4}0000.)"
    rb"|[ \x02](?:0(?:(?<!00000.0)|(?<=\\u[0a-f\x03]{4}0000.0))"
    rb"(?:000[ \x02]0000[ \x02]0|00000[ \x02]0000)"
    rb"|(?<=[a-z\x03]{2}00 0000 )|(?<=[a-z\x03]{2}00 [a-z0\x03]{4} 0000 ))"
    rb"|(?<=000[ \x02]00[ \x02]0000)(?!0)"
    rb")"
)
_FOUR_DIGITS: Final = b"0000"
_search: Final = _ANCHORS.search


def next_number(symbols: bytes, at: int) -> Anchor:
    """Return the first anchor in *symbols* from ``at`` on."""
    at = symbols.find(_FOUR_DIGITS, at)  # five times as fast as the pattern: most texts have none
    return _search(symbols, at) if at >= 0 else None


def find_numbers(
    text: str,
    symbols: bytes,
    first: int,
    high: int,
    found: Anchor,
    kinds: Set[str],
    reach: Reach,
    spans: list[Span],
) -> Steps[None]:
    """
    Append to ``spans`` the numbers whose anchors are in a window.

    Args:
        text: What is searched.
        symbols: A window of it.
        first: Where that begins.
        high: Where an anchor is the next window's.
        found: The first anchor.
        kinds: What is looked for.
        reach: How far was read.
        spans: What was found.
    """
    anchors = 0
    while found is not None and (start := first + found.start()) < high:
        anchors += 1
        if anchors % _ANCHORS_A_STEP == 0:
            yield
        if start >= reach.card and not _is_fraction(text, start):
            span = _number(text, start, kinds)
            if span is not None:
                spans.append(span)
                reach.card = span.end
        found = next_number(symbols, max(start + 4, reach.card) - first)


def _is_fraction(text: str, start: int) -> bool:
    return text[start - 1 : start] == "." and text[start - 2 : start - 1].isdigit()


def _number(text: str, start: int, kinds: Set[str]) -> Span | None:
    span = None
    # First, since some are a card number behind four characters.
    if "iban" in kinds and _MAY_BE_IBAN.search(text, max(0, start - 10), start + 3):
        span = _iban(text, start)
    if span is None and "card" in kinds:
        span = _card(text, start)
    if span is None and "ssn" in kinds:
        span = _ssn(text, start)
    return span


# --- payment cards ------------------------------------------------------------------------------

_RUN: Final = (re.compile(r"[0-9]{12,19}(?![0-9])"),)
_FOURS: Final = (
    re.compile(r"[0-9]{4}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{4}\1[0-9]{1,3}(?![0-9])"),
    re.compile(r"[0-9]{4}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?![0-9])"),
    re.compile(r"[0-9]{4}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{1,3}(?![0-9])"),  # 13 to 15 digits
)
_DOTTED: Final = (re.compile(r"(?:[0-9]{4}\.){3}[0-9]{4}(?![0-9A-Za-z_-]|\.[0-9A-Za-z])"),)
# American Express, Diners
_SIXES: Final = (re.compile(r"[0-9]{4}([ -])[0-9]{6}\1[0-9]{4,5}(?![0-9])"),)
_ISSUERS: Final = re.compile(
    r"4(?:.{12}|.{15}|.{18})$"  # Visa
    r"|(?=.{16}$)(?:5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)"  # Mastercard
    r"|(?=.{15}$)3[47]"  # American Express
    r"|(?=(?:.{14}|.{16}|.{19})$)(?:30[0-5]|3095|3[689])"  # Diners Club
    r"|(?=.{15}$)(?:2131|1800)"  # JCB of old
    # Discover, JCB, UnionPay, RuPay; Mir
    r"|(?=.{16,19}$)(?:6011|64[4-9]|65|62|35(?:2[89]|[3-8])|8[12]|508|60|220[0-4])"
    # Maestro and national schemes
    r"|(?=.{12,19}$)(?:50(?:18|19|20|38|6[01]|67)|5612|5893|6304|6390|670[69]|6759|676[1-3]|9792)"
)
"""How the numbers of each issuer begin, and how long they are (ISO/IEC 7812-1)."""
_ISSUED: Final = re.compile(r"[2-6]|8[12]|1800|9792")
"""How any of them begins."""


def card_checksum_holds(number: str) -> bool:
    """Whether the digits of ``number`` pass the Luhn check (ISO/IEC 7812-1, annex B)."""
    digits = number.encode("ascii").translate(_VALUES, b" -.")
    return (sum(digits[-1::-2]) + sum(digits[-2::-2].translate(_DOUBLED))) % 10 == 0


_VALUES = bytes(max(0, byte - 48) for byte in range(256))
_DOUBLED = bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)) + bytes(246)
_NO_GAPS = str.maketrans("", "", " -.")


def is_card(number: str) -> bool:
    """Whether ``number``, digits perhaps in groups, is one that an issuer gives out."""
    digits = number.translate(_NO_GAPS)
    return _ISSUERS.match(digits) is not None and card_checksum_holds(digits)


_ESCAPE = re.compile(r"\\u[0-9A-Fa-f]{4}")
_GOES_ON: Final = frozenset("_-.")
_GROUP_BEFORE = re.compile(r"(?<![0-9A-Za-z_.-])[0-9]{4}[ -]$")
_GROUP = re.compile(r"[0-9]{4}(?![0-9])")
_DECIMALS = re.compile(r"\.[0-9]")
# The next number of a column: no word and no more than a line break or a mark between.
_GAP = r"[\s,;|\"'\[\](){}]{1,24}"
_SHAPE = (
    r"(?:[0-9]{13,19}|(?:[0-9]{4} ){3}[0-9]{4}|(?:[0-9]{4}-){3}[0-9]{4}|(?:[0-9]{4}\.){3}[0-9]{4})"
)
_NEXT = re.compile(rf"{_GAP}({_SHAPE})(?![0-9])")
_LAST_BACKWARDS = re.compile(rf"{_GAP}([0-9][0-9 .-]{{11,17}}[0-9])(?![0-9])")
_SHAPED = re.compile(_SHAPE)
_COLUMN: Final = 4
"""Numbers looked at on either side."""


def _card(text: str, start: int) -> Span | None:
    if text[start - 1 : start].isalnum():
        escape = text.rfind("\\u", max(0, start - 6), start)
        if escape >= 0 and _ESCAPE.match(text, escape):
            start = escape + 6  # the digits before may be those of an escape such as \\u2013
        elif text[start - 1] in _DIGITS:
            return None
    if not _ISSUED.match(text, start):
        return None
    gap = text[start + 4 : start + 5]
    if gap == ".":  # versions and paths have dots, too: only as cards are grouped, and alone
        if text[start - 1 : start].isalnum() or text[start - 1 : start] in _GOES_ON:
            return None
        layouts: tuple[re.Pattern[str], ...] = _DOTTED
    else:
        layouts = (
            _RUN if gap.isdigit() else _SIXES if text[start + 9 : start + 10].isdigit() else _FOURS
        )
    for layout in layouts:
        found = layout.match(text, start)
        if found is None or not is_card(found[0]):
            continue
        end = found.end()
        # Numbers of four digits beside groups of four: a table.
        if layouts is _FOURS and (
            _GROUP_BEFORE.search(text[max(0, start - 6) : start].replace(" -"[gap == " "], "x"))
            or (text[end : end + 1] == gap and _GROUP.match(text, end + 1))
        ):
            return None  # a table of four-digit numbers
        if _DECIMALS.match(text, end):
            return None
        if _is_hexadecimal(text, start, end) or _in_column(text, start, end):
            return None
        return Span(start, end, "card", "card")
    return None


def _in_column(text: str, start: int, end: int) -> bool:
    """Whether several numbers beside this one have its shape, and most of them are no cards."""
    cards = others = 0
    at = end
    for _ in range(_COLUMN):
        found = _NEXT.match(text, at)
        if found is None:
            break
        at = found.end()
        cards, others = (cards + 1, others) if is_card(found[1]) else (cards, others + 1)
        if cards > 1 and not others:
            break
    backwards = text[max(0, start - 160) : start][::-1]
    at = 0
    for _ in range(_COLUMN):
        found = _LAST_BACKWARDS.match(backwards, at)
        if found is None or not _SHAPED.fullmatch(number := found[1][::-1]):
            break
        at = found.end()
        cards, others = (cards + 1, others) if is_card(number) else (cards, others + 1)
        if cards > _COLUMN // 2 and not others:
            break
    return others > max(1, cards)


_HEX = re.compile(r"[0-9A-Fa-f]*")
_HEX_AND_DASHES = re.compile(r"[0-9A-Fa-f-]*")
_HEX_OR_DASH = frozenset("0123456789ABCDEFabcdef-")
_SHORTEST_DASHED_ID = 32  # hexadecimal digits of a UUID


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


# --- social security numbers --------------------------------------------------------------------

_SSN = re.compile(
    r"(?!000|666|9)[0-9]{3}([- ])(?!00)[0-9]{2}\1(?!0000)[0-9]{4}(?!_?[0-9A-Za-z]|[-.][0-9])"
)
_NINE = re.compile(
    r"(?!000|666|9)[0-9]{3}(?!00)[0-9]{2}(?!0000)[0-9]{4}(?!_?[0-9A-Za-z]|[-.][0-9])"
)
_SAYS_SSN = re.compile(r"\bssn\b|social.{0,3}security|_ssn|ssn_", re.IGNORECASE)


def _ssn(text: str, anchor: int) -> Span | None:
    goes_on = text[anchor + 4 : anchor + 5] in _DIGITS
    start, shape = (anchor, _NINE) if goes_on else (anchor - 7, _SSN)
    found = shape.match(text, start) if start >= 0 else None
    if found is None or _joined(text, start):
        return None
    if found[0].count("-") != 2 and not _SAYS_SSN.search(text[max(0, start - 32) : start]):
        return None  # nine digits are many things
    return Span(start, found.end(), "ssn", "us-ssn")


def _joined(text: str, start: int) -> bool:
    """Whether a word or a number goes on up to ``start``."""
    before = text[max(0, start - 2) : start]
    if not before or not (before[-1].isalnum() or before[-1] in "_-.,"):
        return False
    if before[-1] in "-.,":
        return before[:1].isdigit() and len(before) == 2
    if before[-1] == "_":  # or is it Markdown's emphasis?
        return before[:1].isalnum() and len(before) == 2
    return run_start(text, start, WORD_BACKWARDS) < start


# --- IBAN ---------------------------------------------------------------------------------------

IBAN_COUNTRIES: Final = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22,
    "BI": 27, "BR": 29, "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27,
    "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27,
    "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HN": 28, "HR": 21, "HU": 28,
    "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28,
    "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22,
    "MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23,
    "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24,
    "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "SO": 23, "ST": 25, "SV": 28,
    "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}  # fmt: skip
"""Characters of an account number, by country (the registry of ISO 13616)."""
_IBAN = re.compile(
    r"[A-Z]{2}[0-9]{2}(?:[0-9A-Z]{11,29}|(?:[ -][0-9A-Z]{4}){2,7}(?:[ -][0-9A-Z]{1,4})?)",
    re.IGNORECASE,
)
_MAY_BE_IBAN = re.compile(r"[A-Za-z]{2}[0-9]{2}")
"""Stands near the first four digits of all."""


def _iban(text: str, anchor: int) -> Span | None:
    for back in (2, 4, 5, 8, 9, 10, 3):
        start = anchor - back
        if start < 0 or text[start : start + 2].upper() not in IBAN_COUNTRIES:
            continue
        found = _IBAN.match(text, start)
        if found is None or _joined(text, start):
            continue
        length = IBAN_COUNTRIES[text[start : start + 2].upper()]
        end = _end_of(text, start, found.end(), length)
        if end and _iban_checksum_holds(text[start:end]):
            return Span(start, end, "iban", "iban")
    return None


def _end_of(text: str, start: int, end: int, length: int) -> int:
    """Return where ``length`` characters end, gaps not counted; 0 if the word goes on."""
    at = start
    while at < end and length:
        length -= text[at] not in " -"
        at += 1
    after = text[at : at + 1]
    return 0 if length or (after.isascii() and after.isalnum()) else at


def _iban_checksum_holds(number: str) -> bool:
    characters = number.translate(_NO_GAPS).upper()
    digits = "".join(str(int(char, 36)) for char in characters[4:] + characters[:4])
    return int(digits) % 97 == 1
