"""JSON of which a part is missing: what came before the cut, and what came after a gap."""

import re
from typing import Any, Final

import msgspec

from llmobs.jsontext import loads

__all__ = ["read_head", "read_tail"]

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"?|[{}\[\],]', re.DOTALL)
_BROKEN_ESCAPE = re.compile(
    # Also the first half of a surrogate pair, whose second half is cut off.
    rb"(?<!\\)((?:\\\\)*)(?:\\u[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u[0-9a-fA-F]{0,3})?)?|\\(?:u[0-9a-fA-F]{0,3})?)\Z"
)
_MEMBER = re.compile(rb',\s*"')
MAX_TRIES: Final = 200
"""Places tried when looking for whole members at the end of an object."""


def read_head(text: bytes) -> Any:
    """
    Return the value that *text*, cut somewhere, had begun; None if nothing of it can be read.

    A text cut in its middle keeps what came; a number or a key that was cut is left out.
    """
    open_at: list[tuple[bytes, int]] = []
    cut = 0  # everything before this is whole
    cut_depth: list[bytes] = []
    in_string = False
    for token in _TOKEN.finditer(text):
        kind = token[0][:1]
        if kind == b'"':
            in_string = len(token[0]) < 2 or not token[0].endswith(b'"') or _is_escaped(token[0])
            continue
        if kind in b"{[":
            open_at.append((b"}" if kind == b"{" else b"]", token.end()))
            cut, cut_depth = token.end(), [closer for closer, _ in open_at]
        elif kind == b",":
            cut, cut_depth = token.start(), [closer for closer, _ in open_at]
        elif open_at:
            open_at.pop()
            cut, cut_depth = token.end(), [closer for closer, _ in open_at]
    closers = [closer for closer, _ in open_at]
    attempts = []
    if in_string:
        whole = text.decode("utf-8", "ignore").encode()  # the cut may go through a character
        attempts.append((_BROKEN_ESCAPE.sub(rb"\1", whole) + b'"', closers))
    attempts += [(text, closers), (text[:cut], cut_depth)]
    for body, ends in attempts:
        try:
            return loads(body + b"".join(reversed(ends)))
        except ValueError:
            continue
    return None


def _is_escaped(text: bytes) -> bool:
    """Whether the quote that ends *text* is itself escaped: then the string goes on."""
    body = text[1:-1]
    return (len(body) - len(body.rstrip(b"\\"))) % 2 == 1


def read_tail(text: bytes) -> dict[str, Any]:
    """
    Return the members of an object that *text*, its end, holds whole; empty if there are none.

    Usage, model and the like often stand there, behind a content too long to keep.
    """
    members: dict[str, Any] = {}
    for at in [found.start() for found in _MEMBER.finditer(text)][: -MAX_TRIES - 1 : -1]:
        # Only from the outermost level on is the rest of the text balanced.
        try:
            members = msgspec.json.decode(b"{" + text[at + 1 :], type=dict)
        except (msgspec.DecodeError, RecursionError):
            continue
    return members
