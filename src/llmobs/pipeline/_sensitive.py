"""Where sensitive text is: finders for e-mail addresses, payment cards, keys and tokens.

A scan is two steps. First a cheap look for *anchors*, things no match can do without: an ``@``,
four digits in a row, a pair of characters from the middle of a key's prefix. Then an anchored,
bounded look around each anchor. Ordinary text has few anchors, so nearly all of the work is
``memchr``-like searches in C; and since every look is bounded, or resumes behind what it read, the
time is proportional to the length of the text whatever the text is.

Backslash escapes are respected: tool arguments are often JSON *text*, where a line break before an
address is the two characters ``\\n``. A match never begins inside such an escape and never contains
a quote or half an escape, so JSON text stays JSON text.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["CARD", "EMAIL", "KEY", "TOKEN", "Span", "find_spans"]

EMAIL = "[REDACTED_EMAIL]"
CARD = "[REDACTED_CC]"
KEY = "[REDACTED_KEY]"
TOKEN = "[REDACTED_TOKEN]"  # noqa: S105 - what stands in place of a token

_LONGEST_RUN = 16_384  # characters matched by one call, which holds the interpreter
_REST = re.compile(rf"[0-9A-Za-z._~+/=-]{{1,{_LONGEST_RUN}}}+")
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
    all of the text finds. ``resume`` carries, from window to window of one text, where the last
    key, bearer token, card number and base64 run ended; start with ``[0, 0, 0, 0]``.
    """
    spans: list[Span] = []
    # One byte per character (others become "?"), so that positions stay; a few more characters let
    # an anchor that begins in this window end in the next.
    symbols = text[low : high + 6].encode("latin-1", "replace").translate(_SYMBOLS)
    at = symbols.find(_RARE)
    if at >= 0:
        _find_keys(text, symbols, at, low, high, resume, spans)
    at = symbols.find(b"0")
    if at >= 0:
        at = symbols.find(_FOUR_DIGITS, at)
        if at >= 0:
            _find_cards(text, symbols, at, low, high, resume, spans)
    at = text.find("@", low, high)
    if at >= 0:
        _find_emails(text, at, high, spans)
    at = text.find("B", low, high)
    if at >= 0:
        _find_bearers(text, at, high, resume, spans)
    return spans


def _run_start(text: str, end: int, run: re.Pattern[str], limit: int = 64) -> int:
    """Return where the run of ``run`` characters before ``end`` begins, not inside an escape."""
    found = run.match(text[max(0, end - limit) : end][::-1])
    start = end - (0 if found is None else found.end())
    if start == 0 or text[start - 1] != "\\":
        return start
    # However many backslashes there are: JSON text may hold JSON text.
    escape = _ESCAPE.match(text, start)
    return start if escape is None else min(escape.end(), end)


def _run_end(text: str, start: int, end: int) -> int:
    """Return where a run that was found to last from ``start`` to ``end`` really ends."""
    while end - start >= _LONGEST_RUN:
        more = _REST.match(text, end)
        if more is None:
            break
        start, end = end, more.end()
    return end


def _follows_letter(text: str, at: int) -> bool:
    """Whether a letter stands right before ``at``, as in ``task-``, and is not an escape's."""
    if at == 0 or not (text[at - 1].isascii() and text[at - 1].isalpha()):
        return False
    return _run_start(text, at, _WORD_BACKWARDS) < at


# --- keys and tokens ----------------------------------------------------------------------------
# Every prefix contains one of the pairs [kypbAIY][-_JzK]. The second characters are rare in prose
# and folded to one symbol, so that one search (memchr) finds them; the first ones to another.

_SYMBOLS = bytes.maketrans(b"kypbAIY-_JzK0123456789", b"\x01" * 7 + b"\x02" * 5 + b"0" * 10)
_COMMON = 1
_RARE = b"\x02"
_FOUR_DIGITS = b"0000"


class _Prefix(NamedTuple):
    text: str
    rare: int  # where in the prefix its rare character is
    pattern: re.Pattern[str]
    proof: re.Pattern[str] | None = None  # what must occur in the match, or it is ordinary text
    token: str = KEY


def _run(start: str, least: int) -> re.Pattern[str]:
    return re.compile(f"{start}{{{least},{_LONGEST_RUN}}}+")


_PREFIXES = {
    # "sk-" also begins kebab-case names; a key has a digit, a capital or a long word.
    "k-": _Prefix("sk-", 2, _run(r"sk-[0-9A-Za-z_-]", 16), re.compile(r"[0-9A-Z]|[a-z]{16}")),
    "yJ": _Prefix("eyJ", 2, _run(r"eyJ[0-9A-Za-z_.-]", 16), re.compile(r"\."), TOKEN),
    "p_": _Prefix("ghp_", 3, _run(r"ghp_[0-9A-Za-z]", 20)),
    "b_": _Prefix("github_pat_", 6, _run(r"github_pat_[0-9A-Za-z_]", 20)),
    "AK": _Prefix("AKIA", 1, _run(r"AKIA[0-9A-Z]", 16)),
    "Iz": _Prefix("AIza", 2, _run(r"AIza[0-9A-Za-z_-]", 30)),
    "b-": _Prefix("xoxb-", 4, _run(r"xoxb-[0-9A-Za-z-]", 10)),
    "p-": _Prefix("xoxp-", 4, _run(r"xoxp-[0-9A-Za-z-]", 10)),
}
_KEY_HEADER_TAIL = "PRIVATE KEY-----"
_KEY_HEADER = re.compile(r"-----BEGIN [0-9A-Z ]{0,40}PRIVATE KEY-----")
_KEY_FOOTER = re.compile(r"-----END [0-9A-Z ]{0,40}PRIVATE KEY-----")
_KEY_BODY = re.compile(rf"(?:[0-9A-Za-z+/=\r\n\t]|\\{{1,8}}+[nrt]){{0,{_LONGEST_RUN}}}+")
_LONGEST_KEY_BLOCK = 32_768


def _find_keys(
    text: str,
    symbols: bytes,
    at: int,
    low: int,
    high: int,
    resume: list[int],
    spans: list[Span],
) -> None:
    find = symbols.find
    stop = high - low
    if at < resume[0] - low:
        at = find(_RARE, resume[0] - low)
    while 0 <= at < stop:
        if symbols[at - 1] != _COMMON and at:
            at = find(_RARE, at + 1)
            continue
        here = low + at
        end = here + 1
        prefix = _PREFIXES.get(text[here - 1 : end])
        if prefix is not None:
            start = here - prefix.rare
            if start >= 0 and text.startswith(prefix.text, start):
                end = _find_key(text, start, end, resume, prefix, spans)
        elif here >= 11 and text.startswith(_KEY_HEADER_TAIL, here - 11):
            start = text.rfind("-----BEGIN ", max(0, here - 64), here)
            header = _KEY_HEADER.match(text, start) if start >= 0 else None
            if header is not None and header.end() > here:
                end = _key_block_end(text, header.end())
                spans.append(Span(start, end, KEY))
                resume[0] = end
        at = find(_RARE, end - low)


def _find_key(
    text: str, start: int, end: int, resume: list[int], prefix: _Prefix, spans: list[Span]
) -> int:
    """Look for a key at ``start``; return where to go on, which is ``end`` or behind the key."""
    if prefix.token is TOKEN and start < resume[3]:
        return end
    # These begin ordinary words too; but right behind another key they are not part of a word.
    if prefix.proof is not None and start != resume[0] and _follows_letter(text, start):
        return end
    found = prefix.pattern.match(text, start)
    if found is None:
        return end
    run_end = _run_end(text, start, found.end())
    if prefix.proof is None or prefix.proof.search(text, start + 3, found.end()):
        spans.append(Span(start, _before_stop(text, run_end), prefix.token))
    elif prefix.token is TOKEN:
        resume[3] = run_end  # base64 of something else, in which keys may still be
        return end
    resume[0] = run_end
    return run_end


def _before_stop(text: str, end: int) -> int:
    """Return ``end`` without full stops before it: they end the sentence, not the token."""
    while text[end - 1] == ".":
        end -= 1
    return end


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
            if found is not None:
                token = found[1]
                # "Bearer certificates" is prose; a token is long or has a digit.
                if len(token) >= 20 or _DIGIT.search(token):
                    end = _run_end(text, found.start(1), found.end())
                    spans.append(Span(at, _before_stop(text, end), TOKEN))
                    resume[1] = end
        at = find("B", end, high)


# --- e-mail addresses ---------------------------------------------------------------------------
# An address is found at its "@": the local part by walking back, the domain by walking on. Neither
# walk can pass another "@", so no character is read more than twice.

_LOCAL_BACKWARDS = re.compile(r"[0-9A-Za-z_.%+'\u00c0-\u024f-]*")
# Other scripts, and letters as escapes; only where there is nothing else before the "@".
_ANY_LOCAL_BACKWARDS = re.compile(r"(?:[0-9A-Fa-f]{4}u\\+|[\w.+-])*")
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


# --- payment cards ------------------------------------------------------------------------------

_DIGITS = re.compile(rb"0+")  # in symbols
# Issuers' numbers begin with 2 to 6. So do no time stamps of this era: seconds, milliseconds and
# nanoseconds since 1970 begin with 1.
_PERHAPS_CARD = re.compile(r"[2-6](?:[ -]?[0-9]){12}")
_LAYOUTS = (
    re.compile(r"[0-9]{4}(?:[ -]?[0-9]{4}){3}[ -]?[0-9]{1,3}(?![0-9])"),  # 17 to 19 digits
    re.compile(r"[0-9]{4}(?:[ -]?[0-9]{4}){2}[ -]?[0-9]{1,4}(?![0-9])"),  # 13 to 16
    re.compile(r"[0-9]{4}[ -]?[0-9]{6}[ -]?[0-9]{4,5}(?![0-9])"),  # American Express, Diners
)
_DECIMALS = re.compile(r"[0-9]\.")
_VALUES = bytes(max(0, byte - 48) for byte in range(256))
_DOUBLED = bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)) + bytes(246)
_HEX = re.compile(r"[0-9A-Fa-f]*")
_HEX_AND_DASHES = re.compile(r"[0-9A-Fa-f-]*")
_SHORTEST_DASHED_ID = 32  # hexadecimal digits of a UUID


def _find_cards(
    text: str,
    symbols: bytes,
    at: int,
    low: int,
    high: int,
    resume: list[int],
    spans: list[Span],
) -> None:
    find = symbols.find
    size = len(symbols)
    while 0 <= at < high - low:
        end = at + 4
        after = symbols[end] if end < size else 0
        if after == 48:
            run = _DIGITS.match(symbols, at)
            end = run.end() if run is not None else end
        elif (after != 32 and after != 2) or symbols[end + 1 : end + 2] != b"0":
            at = find(_FOUR_DIGITS, end)  # a year, a port, a price: no group of digits follows
            continue
        start = low + at
        # At the edge of a window the run may have begun in the one before, which saw it then.
        edge = at == 0 and low > 0 and text[low - 1] in "0123456789"
        if not edge and end - at < 24:
            card = _card(text, start, low + end, resume[2])
            if card is not None:
                spans.append(card)
                resume[2] = card.end
        at = find(_FOUR_DIGITS, end)


def _card(text: str, start: int, end: int, last: int) -> Span | None:
    """Return the card number that begins with the run of digits ``text[start:end]``, if one does.

    ``last`` is where the last card number ended.
    """
    if text.rfind("\\u", max(0, start - 5), start) >= 0:
        # The first of these may be the digits of an escape such as \\u2013.
        start = max(start, _run_start(text, end, _WORD_BACKWARDS))
    if _PERHAPS_CARD.match(text, start) is None:
        return None
    for layout in _LAYOUTS:
        found = layout.match(text, start)
        if found is not None and _checksum_holds(found[0]):
            end = found.end()
            # A full stop and a digit before: the decimals of a number.
            if start - 1 != last and _DECIMALS.match(text, max(0, start - 2)):
                return None
            return None if _is_hexadecimal(text, start, end) else Span(start, end, CARD)
    return None


def _checksum_holds(number: str) -> bool:
    """Whether the digits of ``number`` pass the Luhn check (ISO/IEC 7812-1, annex B)."""
    digits = number.encode("ascii").translate(_VALUES, b" -")
    return (sum(digits[-1::-2]) + sum(digits[-2::-2].translate(_DOUBLED))) % 10 == 0


def _is_hexadecimal(text: str, start: int, end: int) -> bool:
    """Whether these digits are part of a hexadecimal number or a UUID."""
    tail = _WORD.match(text[end : end + 64])
    word = _run_start(text, start, _WORD_BACKWARDS)
    glued = text[word:start] + ("" if tail is None else tail[0])
    if glued and _HEX.fullmatch(glued):
        return True
    first = _run_start(text, start, _HEX_AND_DASHES)
    rest = _HEX_AND_DASHES.match(text[start : start + 64])
    dashed = text[first:start] + ("" if rest is None else rest[0])
    return len(dashed.replace("-", "")) >= _SHORTEST_DASHED_ID
