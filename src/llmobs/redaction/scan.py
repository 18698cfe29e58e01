"""Where sensitive text is: finders for e-mail addresses, payment cards, keys and tokens.

A scan is three steps. First a look for *hints*, which tells that there is nothing in most of a text
(`llmobs.redaction.hints`). In what is left, a search for *anchors*, things no match can do without:
four digits in a row, a pair of characters from the middle of a key's prefix. Then an anchored,
bounded look around each anchor. Since every look is bounded, or resumes behind what it read, the
time is proportional to the length of the text whatever the text is.

Backslash escapes are respected: tool arguments are often JSON *text*, where a line break before an
address is the two characters ``\\n``. A match never begins inside such an escape and never contains
a quote or half an escape, so JSON text stays JSON text.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence, Set

from msgspec import Struct
from msgspec.structs import replace

from llmobs.redaction.anchors import CAPITALS, ESCAPED, JOINTS, SIGNS, Anchor
from llmobs.redaction.emails import find_at_signs, has_at_sign, has_written_at_sign
from llmobs.redaction.hints import AHEAD, BEHIND, Hint, hint_in, may_have_hint
from llmobs.redaction.kinds import DEFAULT_KINDS, chosen
from llmobs.redaction.named import SPOKEN, find_spoken
from llmobs.redaction.numbers import NUMBERS, find_numbers, next_number
from llmobs.redaction.plain import has_escape, in_plain_characters, plain
from llmobs.redaction.spans import CAPITAL, JOINT, SIGN, SYMBOLS, Reach, Span
from llmobs.redaction.tokens import find_secrets
from llmobs.runtime.time_slices import Steps, finish

__all__ = [
    "CHUNK",
    "GLANCE",
    "Sight",
    "Span",
    "find",
    "find_spans",
    "finding",
    "glance_at",
    "merged",
]

CHUNK = 16_384  # characters looked at between two pauses
GLANCE = 8_192  # characters of the longest text that is glanced at, without a pause
_PIECE = 2_048  # characters searched, or looked at closely
_BRIEF = 256  # characters of which the closer look for hints is the faster one
_SHORTEST = 6  # characters of the shortest match, an address such as a@b.io
_MANY = 128  # spans handled without a pause
_BEHIND = 48  # characters before a window that its patterns look back at
_NOTHING = b" " * _BEHIND  # before the first window: a look back that finds too little fails
_AHEAD = 32  # and behind it: more than the longest anchor
_search_joint = JOINTS.search
_search_capital = CAPITALS.search
_search_sign = SIGNS.search
_search_escaped = ESCAPED.search


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


def finding(
    text: str,
    kinds: Set[str] = DEFAULT_KINDS,
    chunk: int = CHUNK,
    seen: Sequence[Sight] | None = None,
) -> Steps[list[Span]]:
    """
    Do the work of `find` in steps of some 0.1 ms, whatever the text.

    *chunk* characters are searched at a stretch; the result does not depend on it. If *text* was
    glanced at, ``seen`` is what was seen.
    """
    length = len(text)
    spans: list[Span] = []
    if length < _SHORTEST:
        return spans
    if kinds != DEFAULT_KINDS:
        seen = None
    if seen is not None:
        chunk = length
    text = plain(text) if length <= chunk else (yield from in_plain_characters(text))
    reach = None
    for low in range(0, length, chunk):
        if low:
            yield
        high = min(low + chunk, length)
        for sight in _look(text, low, high, kinds) if seen is None else seen:
            if sight is None:
                yield
                continue
            if sight.symbols:
                reach = reach or Reach()
                found = yield from find_spans(text, sight, reach, kinds)
            else:
                found = []
                yield from find_at_signs(text, sight.low, sight.high, kinds, found, escaped=False)
            if len(found) == 1 and (not spans or found[0].start >= spans[-1].end):
                spans += found
            elif found:
                yield from _insert(spans, found)
    return spans


def _insert(spans: list[Span], found: list[Span]) -> Steps[None]:
    """Add what was *found* in one window to what windows before had, in order."""
    # Sorting all of them at the end would be one long step. Few of a window begin before its start.
    if len(found) >= _MANY:
        yield
    found.sort()
    if spans and found[0].start < spans[-1].end:
        first = bisect(spans, found[0])
        while first and spans[first - 1].end > found[0].start:
            first -= 1
        found = sorted([*spans[first:], *found])
        del spans[first:]
    last = spans[-1] if spans else None
    for number, span in enumerate(found):
        if number % _MANY == _MANY - 1:
            yield
        if last is None or span.start >= last.end:
            last = span
            spans.append(last)
        else:  # overlaps the one before: both go, by the name that says more
            says = span if last.rule == "named" and span.start == last.start else last
            last = spans[-1] = replace(says, end=max(last.end, span.end))


def merged(spans: list[Span]) -> list[Span]:
    """Return *spans* in order, those that overlap as one."""
    result: list[Span] = []
    if spans:
        finish(_insert(result, spans))
    return result


def glance_at(text: str) -> list[Sight]:
    """
    Return what a closer look is to be taken at in *text*, of no more than `GLANCE` characters.

    If it is nothing, `finding` finds nothing of the kinds that are on by default. That is so of most
    texts; for others it may be given what was seen.
    """
    text = plain(text)
    length = len(text)
    # What `_look` would do, without its generator.
    hint = hint_in(text) if length <= _BRIEF else may_have_hint(text)
    if hint is None:
        return [_address(0, length)] if has_at_sign(text, 0, length) else []
    sights: Iterable[Sight | None]
    if length > _BRIEF and hint == "anything":
        sights = _look_closely(text, 0, length, DEFAULT_KINDS)
    else:
        sights = (_sight(text, 0, length, DEFAULT_KINDS, hint),)
    return [sight for sight in sights if sight is not None and sight.is_worth_it]


class Sight(Struct, frozen=True, gc=False):
    """A window of a text in which some finder has to have a closer look, and which ones."""

    low: int
    high: int
    first: int
    """Where in the text its symbols begin."""
    symbols: bytes
    secrets: tuple[Anchor, ...]
    """The first anchor that each search for keys has found, if any."""
    number: Anchor
    """The first anchor of a number."""
    at_sign: bool
    escaped: bool
    """Whether any character is written in another way, an at sign perhaps."""
    spoken: bool

    @property
    def is_worth_it(self) -> bool:
        """Whether anything was seen."""
        return any(self.secrets) or self.number is not None or self.at_sign or self.spoken


def _look(text: str, low: int, high: int, kinds: Set[str]) -> Iterator[Sight | None]:
    """Yield what a closer look is to be taken at in ``text[low:high]``; None: it is time for a pause."""
    if not kinds <= DEFAULT_KINDS:
        for start in range(low, high, _PIECE):
            yield _sight(text, start, min(start + _PIECE, high), kinds)
        return
    is_brief = high - low <= _BRIEF
    window = text[max(0, low - BEHIND) : high + AHEAD]
    hint = hint_in(window) if is_brief else may_have_hint(window)
    if hint is None:
        if has_at_sign(text, low, high):
            yield _address(low, high)
    elif is_brief or hint == "a number":
        yield _sight(text, low, high, kinds, hint)
    else:
        yield from _look_closely(text, low, high, kinds)


def _look_closely(text: str, low: int, high: int, kinds: Set[str]) -> Iterator[Sight | None]:
    for start in range(low, high, _PIECE):
        end = min(start + _PIECE, high)
        hint = hint_in(text[max(0, start - BEHIND) : end + AHEAD])
        if hint is not None:
            yield None
            yield _sight(text, start, end, kinds, hint)
        elif has_at_sign(text, start, end):
            yield _address(start, end)
        yield None


def _address(low: int, high: int) -> Sight:
    """Return what is seen where nothing is but an at sign: its symbols are not needed."""
    return Sight(low, high, low, b"", (), None, True, False, False)


def _sight(text: str, low: int, high: int, kinds: Set[str], hint: Hint = "anything") -> Sight:
    """Return what is seen of *kinds* in ``text[low:high]``, where there may be what *hint* says."""
    first = low - _BEHIND
    # A few more characters let an anchor that begins in this window end in the next.
    window = text[max(0, first) : high + _AHEAD] if low or high < len(text) else text
    # One byte per character (others become "?"), so that positions stay.
    encoded = window.encode() if window.isascii() else window.encode("latin-1", "replace")
    symbols = encoded.translate(SYMBOLS)
    if first < 0:
        symbols = _NOTHING[first:] + symbols
    number = None if NUMBERS.isdisjoint(kinds) else next_number(symbols, _BEHIND)
    secrets = "secret" in kinds
    addresses = secrets or "email" in kinds
    at_sign = addresses and has_at_sign(text, low, high)
    if hint == "a number":
        return Sight(low, high, first, symbols, (), number, at_sign, False, False)
    escaped = has_escape(window)
    at_sign = at_sign or (addresses and has_written_at_sign(window, escaped=escaped))
    joint = capital = sign = name = None
    if secrets:
        if JOINT in symbols:
            joint = _search_joint(symbols, _BEHIND)
        if CAPITAL in symbols:
            capital = _search_capital(symbols, _BEHIND)
        if SIGN in symbols:
            sign = _search_sign(symbols, _BEHIND)
            if escaped:
                name = _search_escaped(symbols, _BEHIND)
    spoken = secrets and SPOKEN in window
    return Sight(
        low, high, first, symbols, (joint, capital, sign, name), number, at_sign, escaped, spoken
    )


def find_spans(text: str, sight: Sight, reach: Reach, kinds: Set[str]) -> Steps[list[Span]]:
    """Return the spans whose anchors lie in what was seen of *text*, unordered and perhaps overlapping.

    The spans themselves may reach outside, so consecutive windows find exactly what one window over
    all of the text finds. ``reach`` carries from window to window how far was read. It pauses where
    anchors are many.
    """
    spans: list[Span] = []
    low, high, first, symbols = sight.low, sight.high, sight.first, sight.symbols
    for number, anchor in enumerate(sight.secrets):
        if anchor is not None:
            yield from find_secrets(text, symbols, first, high, number, anchor, reach, spans)
    if sight.spoken:
        yield from find_spoken(text, low, high, spans)
    if sight.number is not None:
        yield from find_numbers(text, symbols, first, high, sight.number, kinds, reach, spans)
    if not kinds <= DEFAULT_KINDS:
        from llmobs.redaction.optional import find_optional  # many patterns, seldom asked for

        yield from find_optional(text, low, high, kinds, spans)
    if sight.at_sign:
        yield from find_at_signs(text, low, high, kinds, spans, escaped=sight.escaped)
    return spans
