"""Numbers of JSON text: what stands in their place has to be quoted, or the text is no JSON any more."""

from __future__ import annotations

import re
from typing import Final

from llmobs.redaction.spans import BLANKS

__all__ = ["quote_for"]

_NUMBER = re.compile(r"[0-9+-][0-9.eE+-]*")
_BEHIND = re.compile(BLANKS + r"([\[:,\]}])")
# Read backwards: the sign before a value, behind a name its quote.
_BEFORE = re.compile(
    r"-?(?:\s|[nrt]\\{1,8}){0,32}(?:[\[,]|:(?:\s|[nrt]\\{1,8}){0,32}([\"'])(\\{0,64}))"
)
_SHORT: Final = 128
"""Characters of blanks looked at before a number, and before a text."""
_LONG: Final = 16_384
"""Characters before a number in which the nearest quote is looked for."""


def quote_for(text: str, start: int, end: int) -> str:
    r"""
    Return the quote for what replaces ``text[start:end]``, with its backslashes; empty if it needs none.

    It needs one where it is a number in the place of a value: behind the quoted name of a field, or
    in a list. A minus before it goes with it. The quote is as those around it, ``\"`` for JSON text
    within JSON text, so that what is around it stays what it is, JSON or prose.
    """
    if _NUMBER.fullmatch(text, start, end) is None:
        return ""
    behind = _BEHIND.match(text, end)
    if behind is None or behind[1] not in ",]}":
        return ""
    before = _BEFORE.match(text[max(0, start - _SHORT) : start][::-1])
    if before is None:
        return ""
    if before[1] is not None:
        return _escaped(before[1], len(before[2]))
    limit = max(0, start - _LONG)
    at = max(text.rfind('"', limit, start), text.rfind("'", limit, start))
    if at < 0:  # the text itself is the list
        return '"' if limit == 0 and text[:_SHORT].lstrip()[:1] == "[" else ""
    lead = text[max(0, at - 64) : at]
    quote = _escaped(text[at], len(lead) - len(lead.rstrip("\\")))
    after = _BEHIND.match(text, at + 1)
    if after is None:  # prose
        return ""
    # A list in a string is one level further in.
    return "\\" * (2 * len(quote) - 1) + quote[-1] if after[1] == "[" else quote


def _escaped(quote: str, backslashes: int) -> str:
    r"""Return *quote* as it stands behind so many backslashes, of which some end what is quoted.

    JSON text in strings *n* deep has ``2**n - 1`` before a quote, and ``2**(n + 1)`` for each ``\``.
    """
    depth = 0
    while backslashes % (2 << depth) != (1 << depth) - 1:
        depth += 1
    return "\\" * ((1 << depth) - 1) + quote
