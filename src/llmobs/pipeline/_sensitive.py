"""Where sensitive text is: finders for e-mail addresses, payment cards, keys and tokens.

A scan is two steps. First a cheap look for *anchors*, things no match can do without: an ``@``, four
digits in a row, a pair of characters from the middle of a key's prefix. Then an anchored, bounded
look around each anchor. Ordinary text has few anchors, so nearly all of the work is ``memchr``-like
searches in C; and since every look is bounded, or resumes behind what it read, the time is
proportional to the length of the text whatever the text is.

Backslash escapes are respected: tool arguments are often JSON *text*, where a line break before an
address is the two characters ``\\n``. A match never begins inside such an escape and never contains a
quote or half an escape, so JSON text stays JSON text.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["CARD", "EMAIL", "KEY", "TOKEN", "Span", "find_spans"]

EMAIL = "[REDACTED_EMAIL]"
CARD = "[REDACTED_CC]"
KEY = "[REDACTED_KEY]"
TOKEN = "[REDACTED_TOKEN]"  # noqa: S105 - what stands in place of a token

_LONGEST_RUN = 65_536  # characters one match may have: longer is no key, and bounds one C call
_ESCAPE = re.compile(r"u[0-9A-Fa-f]{4}|[bfnrt]")
_WORD_BACKWARDS = re.compile(r"[0-9A-Za-z]*")
_WORD = re.compile(r"[0-9A-Za-z]*")


class Span(NamedTuple):
    """Characters ``start`` to ``end`` (exclusive), to be replaced by ``token``."""

    start: int
    end: int
    token: str


def find_spans(text: str, low: int, high: int, resume: list[int]) -> list[Span]:
    """Return the spans whose anchors lie in ``text[low:high]``, unordered and perhaps overlapping.

    The spans themselves may reach outside, so consecutive windows find exactly what one window over
    all of the text finds. ``resume`` carries, from window to window of one text, where the searches
    for keys and for bearer tokens go on; start with ``[0, 0]``.
    """
    spans: list[Span] = []
    # One byte per character (others become "?"), so that positions stay; a few more characters let an
    # anchor that begins in this window end in the next.
    symbols = text[low : high + 6].encode("latin-1", "replace").translate(_SYMBOLS)
    if symbols.find(_PAIR) >= 0:
        _find_keys(text, symbols, low, high, resume, spans)
    if symbols.find(_FOUR_DIGITS) >= 0:
        _find_cards(text, symbols, low, high, spans)
    at = text.find("@", low, high)
    if at >= 0:
        _find_emails(text, at, high, spans)
    at = text.find("B", low, high)
    if at >= 0:
        _find_bearers(text, at, high, resume, spans)
    return spans


def _run_start(text: str, end: int, run: re.Pattern[str], limit: int = 64) -> int:
    """Return where the run of ``run`` characters before ``end`` begins, not inside an escape."""
    low = max(0, end - limit)
    backwards = text[low:end][::-1]
    found = run.match(backwards)
    start = end - (found.end() if found is not None else 0)
    if start == 0 or text[start - 1] != "\\":
        return start
    slashes = text[max(0, start - 256) : start]
    if (len(slashes) - len(slashes.rstrip("\\"))) % 2 == 0:
        return start  # an escaped backslash, and then plain text
    escape = _ESCAPE.match(text, start)
    return start if escape is None else min(escape.end(), end)


def _follows_letter(text: str, at: int) -> bool:
    """Whether a letter stands right before ``at``, as in ``task-``, and is not an escape's."""
    if at == 0 or not (text[at - 1].isascii() and text[at - 1].isalpha()):
        return False
    return _run_start(text, at, _WORD_BACKWARDS) < at


# --- keys and tokens -------------------------------------------------------------------------------
# Every prefix contains one of the pairs [kypbIYK][-_JAz]: "sk-", "eyJ", "ghp_", "AKIA", "AIza",
# "xoxb-", "xoxp-", "github_pat_", "KEY-----", "BLOCK-----". Folded to two symbols, one search finds
# them all; the character before the pair then tells a prefix from nearly all ordinary words.

_SYMBOLS = bytes.maketrans(b"kypbIYK-_JAz0123456789", b"\x01" * 7 + b"\x02" * 5 + b"0" * 10)
_PAIR = b"\x01\x02"
_FOUR_DIGITS = b"0000"


class _Prefix(NamedTuple):
    before: int  # how many characters of the prefix stand before its pair
    pattern: re.Pattern[str]
    proof: re.Pattern[str] | None = None  # what must occur in the match, or it is ordinary text
    token: str = KEY


def _run(start: str, least: int) -> re.Pattern[str]:
    return re.compile(f"{start}{{{least},{_LONGEST_RUN}}}+")


_PREFIXES = {
    # "sk-" also begins kebab-case names; a key has a digit, a capital or a long word.
    "sk-": _Prefix(1, _run(r"sk-[0-9A-Za-z_-]", 16), re.compile(r"[0-9A-Z]|[a-z]{16}")),
    "eyJ": _Prefix(1, _run(r"eyJ[0-9A-Za-z_.-]", 16), re.compile(r"\."), TOKEN),
    "hp_": _Prefix(2, _run(r"ghp_[0-9A-Za-z]", 20)),
    "ub_": _Prefix(5, _run(r"github_pat_[0-9A-Za-z_]", 20)),
    "KIA": _Prefix(2, _run(r"AKIA[0-9A-Z]", 16)),
    "AIz": _Prefix(1, _run(r"AIza[0-9A-Za-z_-]", 30)),
    "xb-": _Prefix(3, _run(r"xoxb-[0-9A-Za-z-]", 10)),
    "xp-": _Prefix(3, _run(r"xoxp-[0-9A-Za-z-]", 10)),
}
_KEY_HEADER_ENDS = ("EY-", "CK-")
_KEY_HEADER = re.compile(r"-----BEGIN [0-9A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_FOOTER = re.compile(r"-----END [0-9A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY = re.compile(rf"(?:[0-9A-Za-z+/=\r\n\t]|\\{{1,8}}+[nrt]){{0,{_LONGEST_RUN}}}+")
_LONGEST_KEY_BLOCK = 32_768


def _find_keys(
    text: str, symbols: bytes, low: int, high: int, resume: list[int], spans: list[Span]
) -> None:
    find = symbols.find
    prefixes = _PREFIXES.get
    stop = high - low
    at = find(_PAIR, max(0, resume[0] - low))
    while 0 <= at < stop:
        here = low + at
        end = here + 1
        around = text[here - 1 : here + 2] if here else ""
        prefix = prefixes(around)
        if prefix is not None:
            end = _find_key(text, here - prefix.before, end, prefix, spans)
        elif around in _KEY_HEADER_ENDS:
            start = text.rfind("-----BEGIN ", max(0, here - 64), here)
            header = _KEY_HEADER.match(text, start) if start >= 0 else None
            if header is not None and header.end() > here:
                end = _key_block_end(text, header.end())
                spans.append(Span(start, end, KEY))
        at = find(_PAIR, end - low)
        if at < 0 or at >= stop:
            resume[0] = end


def _find_key(text: str, start: int, end: int, prefix: _Prefix, spans: list[Span]) -> int:
    """Look for a key at ``start``; return where to go on: behind what was read, at least ``end``."""
    if start < 0 or _follows_letter(text, start):
        return end
    found = prefix.pattern.match(text, start)
    if found is None:
        return end
    if prefix.proof is None or prefix.proof.search(text, start + 3, found.end()):
        # A full stop is the end of the sentence, not of the token.
        length = len(found[0].rstrip("."))
        spans.append(Span(start, start + length, prefix.token))
    return found.end()


def _key_block_end(text: str, body: int) -> int:
    """Return where a private key block ends, of which the header ends at ``body``."""
    dashes = text.find("-----", body, body + _LONGEST_KEY_BLOCK)
    footer = _KEY_FOOTER.match(text, dashes) if dashes >= 0 else None
    if footer is not None and text.find('"', body, dashes) < 0:
        return footer.end()
    cut = _KEY_BODY.match(text, body)  # cut off: what looks like its body goes
    return body if cut is None else cut.end()


_BEARER = re.compile(rf"Bearer {{1,8}}([0-9A-Za-z._~+/=-]{{6,{_LONGEST_RUN}}}+)")
_DIGIT = re.compile(r"[0-9]")


def _find_bearers(text: str, at: int, high: int, resume: list[int], spans: list[Span]) -> None:
    find = text.find
    at = max(at, resume[1])
    while at >= 0:
        end = at + 1
        if text[end : at + 7] == "earer ":
            found = _BEARER.match(text, at)
            if found is not None and not _follows_letter(text, at):
                end = found.end()
                token = found[1].rstrip(".")
                # "Bearer certificates" is prose; a token is long or has a digit.
                if len(token) >= 20 or _DIGIT.search(token):
                    spans.append(Span(at, found.start(1) + len(token), TOKEN))
                resume[1] = end
        at = find("B", end, high)


# --- e-mail addresses ------------------------------------------------------------------------------
# An address is found at its "@": the local part by walking back, the domain by walking on. Neither
# walk can pass another "@", so no character is read more than twice.

_LOCAL_BACKWARDS = re.compile(r"[0-9A-Za-z_.%+'\u00c0-\u024f-]*")
_ANY_LOCAL_BACKWARDS = re.compile(r"[\w.+-]*")
_DOMAIN = re.compile(
    # Labels in any script; but ASCII labels end at the first character that is not ASCII, since
    # Chinese and Japanese text goes on without a space.
    r"(?:[0-9A-Za-z-]{1,63}+(?=\.)|[\w-]{1,63}+)"
    r"(?:\.(?:[\w-]{1,63}+(?=\.[0-9A-Za-z])|[0-9A-Za-z-]{1,63}+|[^\W\d_]{2,63}+)){1,126}+"
)
_TOP_LEVEL = re.compile(r"\.[^\W\d_]{2}")


def _find_emails(text: str, at: int, high: int, spans: list[Span]) -> None:
    while at >= 0:
        domain = _DOMAIN.match(text, at + 1)
        if domain is not None and _TOP_LEVEL.search(text, at + 1, domain.end()):
            start = _local_start(text, at, _LOCAL_BACKWARDS)
            if start == at:
                start = _local_start(text, at, _ANY_LOCAL_BACKWARDS)
            if start < at:
                spans.append(Span(start, at + 1 + len(domain[0].rstrip("-")), EMAIL))
        at = text.find("@", at + 1, high)


def _local_start(text: str, at: int, run: re.Pattern[str]) -> int:
    start = _run_start(text, at, run, 254)
    return at - len(text[start:at].lstrip("'.-"))


# --- payment cards ---------------------------------------------------------------------------------

_DIGITS = re.compile(rb"0+")  # in symbols
_NEXT_GROUP = (b" 0", b"\x020")  # a space or a hyphen, and a digit
# Issuers' numbers begin with 2 to 6. So do no time stamps of this era: seconds, milliseconds and
# nanoseconds since 1970 begin with 1.
_PERHAPS_CARD = re.compile(r"[2-6](?:[ -]?[0-9]){12}")
_LAYOUTS = (
    re.compile(r"[0-9]{4}(?:[ -]?[0-9]{4}){3}[ -]?[0-9]{1,3}(?![0-9])"),  # 17 to 19 digits
    re.compile(r"[0-9]{4}(?:[ -]?[0-9]{4}){2}[ -]?[0-9]{1,4}(?![0-9])"),  # 13 to 16
    re.compile(r"[0-9]{4}[ -]?[0-9]{6}[ -]?[0-9]{4,5}(?![0-9])"),  # American Express, Diners
)
_VALUES = bytes(max(0, byte - 48) for byte in range(256))
_DOUBLED = bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)) + bytes(246)
_HEX = re.compile(r"[0-9A-Fa-f]*")
_HEX_AND_DASHES = re.compile(r"[0-9A-Fa-f-]*")
_SHORTEST_DASHED_ID = 32  # hexadecimal digits of a UUID


def _find_cards(text: str, symbols: bytes, low: int, high: int, spans: list[Span]) -> None:
    find = symbols.find
    at = find(_FOUR_DIGITS)
    while 0 <= at < high - low:
        end = at + 4
        after = symbols[end : end + 2]
        if after[:1] == b"0":
            run = _DIGITS.match(symbols, at)
            end = run.end() if run is not None else end
        elif after not in _NEXT_GROUP:  # a year, a port, a price: nothing goes on behind it
            at = find(_FOUR_DIGITS, end)
            continue
        start = low + at
        # At the edge of a window the run may have begun in the one before, which saw it then.
        edge = at == 0 and low > 0 and text[low - 1] in "0123456789"
        if not edge and end - at < 24:
            _find_card(text, start, low + end, spans)
        at = find(_FOUR_DIGITS, end)


def _find_card(text: str, start: int, end: int, spans: list[Span]) -> None:
    """Look for a card number that begins with the run of digits ``text[start:end]``."""
    if text.rfind("\\u", max(0, start - 5), start) >= 0:
        # The first of these may be the digits of an escape such as \\u2013.
        start = max(start, _run_start(text, end, _WORD_BACKWARDS))
    if _PERHAPS_CARD.match(text, start) is None:
        return
    for layout in _LAYOUTS:
        found = layout.match(text, start)
        if found is not None and _checksum_holds(found[0]):
            if not _is_identifier(text, start, found.end()):
                spans.append(Span(start, found.end(), CARD))
            return


def _checksum_holds(number: str) -> bool:
    """Whether the digits of ``number`` pass the Luhn check (ISO/IEC 7812-1, annex B)."""
    digits = number.encode("ascii").translate(_VALUES, b" -")
    return (sum(digits[-1::-2]) + sum(digits[-2::-2].translate(_DOUBLED))) % 10 == 0


def _is_identifier(text: str, start: int, end: int) -> bool:
    """Whether these digits are part of a hexadecimal number, a UUID or a decimal fraction."""
    if start >= 2 and text[start - 1] == "." and text[start - 2] in "0123456789":
        return True
    tail = _WORD.match(text[end : end + 64])
    glued = text[_run_start(text, start, _WORD_BACKWARDS) : start] + (
        "" if tail is None else tail[0]
    )
    if glued and _HEX.fullmatch(glued):
        return True
    first = _run_start(text, start, _HEX_AND_DASHES)
    rest = _HEX_AND_DASHES.match(text[start : start + 64])
    dashed = text[first:start] + ("" if rest is None else rest[0])
    return len(dashed.replace("-", "")) >= _SHORTEST_DASHED_ID
