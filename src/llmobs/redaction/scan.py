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

from bisect import bisect
from collections.abc import Iterable, Set

from llmobs.redaction.cards import find_cards
from llmobs.redaction.emails import find_emails
from llmobs.redaction.kinds import DEFAULT_KINDS, chosen
from llmobs.redaction.secrets import find_bearers, find_keys
from llmobs.redaction.spans import FOUR_DIGITS, RARE, SYMBOLS, Span
from llmobs.runtime.time_slices import Steps, finish

__all__ = ["CHUNK", "Span", "find", "find_spans", "finding"]

CHUNK = 65_536  # characters searched between two pauses where anchors are few: about 0.2 ms
_SHORTEST = 6  # characters of the shortest match, an address such as a@b.io
_MANY = 256  # spans handled without a pause
_LOOKAHEAD = (
    25  # characters of the shortest card number, thirteen digits with gaps: the longest anchor
)


def find(text: str, kinds: Iterable[str] | None = None) -> list[Span]:
    """
    Return what is sensitive in *text*, in order and without overlaps.

    Args:
        text: Any string.
        kinds: What to look for, by name (`llmobs.redaction.kinds.KINDS`); None: the kinds that are
            on by default.

    Raises:
        ValueError: One of *kinds* is no kind.
    """
    return finish(finding(text, chosen(kinds)))


def finding(text: str, kinds: Set[str] = DEFAULT_KINDS, chunk: int = CHUNK) -> Steps[list[Span]]:
    """
    Do the work of `find` in steps of some 0.1 ms, whatever the text.

    *chunk* characters are searched at a stretch; the result does not depend on it.
    """
    length = len(text)
    spans: list[Span] = []
    if length < _SHORTEST:
        return spans
    resume = [0, 0, 0, 0]
    for low in range(0, length, chunk):
        if low:
            yield
        found = yield from find_spans(text, low, min(low + chunk, length), resume, kinds)
        if found:
            yield from _insert(spans, found)
    return spans


def _insert(spans: list[Span], found: list[Span]) -> Steps[None]:
    """Add what was *found* in one window to what windows before had, in order."""
    # Sorting all of them at the end would be one long step. Few of a window begin before its start.
    if len(found) >= _MANY:
        yield
    found.sort()
    first = bisect(spans, found[0])
    while first and spans[first - 1].end > found[0].start:
        first -= 1
    found = sorted([*spans[first:], *found]) if first < len(spans) else found
    del spans[first:]
    for number, span in enumerate(found):
        if number % _MANY == _MANY - 1:
            yield
        last = spans[-1] if spans else None
        if last is None or span.start >= last.end:
            spans.append(span)
        elif span.end > last.end:  # overlaps the one before: both go
            spans[-1] = last._replace(end=span.end)


def find_spans(
    text: str, low: int, high: int, resume: list[int], kinds: Set[str]
) -> Steps[list[Span]]:
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
    if at >= 0 and "secret" in kinds:
        yield from find_keys(text, symbols, at, low, high, resume, spans)
    at = symbols.find(b"0")
    if at >= 0 and "card" in kinds:
        at = symbols.find(FOUR_DIGITS, at)
        if at >= 0:
            yield from find_cards(text, symbols, at, low, high, resume, spans)
    at = text.find("@", low, high)
    if at >= 0 and "email" in kinds:
        yield from find_emails(text, at, high, spans)
    at = text.find("B", low, high)
    if at >= 0 and "secret" in kinds:
        yield from find_bearers(text, at, high, resume, spans)
    return spans
