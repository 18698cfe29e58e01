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

from llmobs.redaction.cards import find_cards
from llmobs.redaction.emails import find_emails
from llmobs.redaction.secrets import find_bearers, find_keys
from llmobs.redaction.spans import FOUR_DIGITS, RARE, SYMBOLS, Span
from llmobs.runtime.time_slices import Steps

__all__ = ["Span", "find_spans"]

_LOOKAHEAD = (
    25  # characters of the shortest card number, thirteen digits with gaps: the longest anchor
)


def find_spans(text: str, low: int, high: int, resume: list[int]) -> Steps[list[Span]]:
    """Return the spans whose anchors lie in ``text[low:high]``, unordered and perhaps overlapping.

    The spans themselves may reach outside, so consecutive windows find exactly what one window over
    all of the text finds. ``resume`` carries, from window to window of one text, where the last
    key, bearer token, card number and base64 run ended; start with ``[0, 0, 0, 0]``. It pauses where
    anchors are many.
    """
    spans: list[Span] = []
    # One byte per character (others become "?"), so that positions stay; a few more characters let
    # an anchor that begins in this window end in the next.
    symbols = text[low : high + _LOOKAHEAD].encode("latin-1", "replace").translate(SYMBOLS)
    at = symbols.find(RARE)
    if at >= 0:
        yield from find_keys(text, symbols, at, low, high, resume, spans)
    at = symbols.find(b"0")
    if at >= 0:
        at = symbols.find(FOUR_DIGITS, at)
        if at >= 0:
            yield from find_cards(text, symbols, at, low, high, resume, spans)
    at = text.find("@", low, high)
    if at >= 0:
        yield from find_emails(text, at, high, spans)
    at = text.find("B", low, high)
    if at >= 0:
        yield from find_bearers(text, at, high, resume, spans)
    return spans
