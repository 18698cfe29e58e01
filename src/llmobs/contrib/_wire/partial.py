"""JSON of which a part is missing: what came before the cut, and what came after a gap."""

import re
from typing import Any, Final, Literal

import msgspec

__all__ = ["read_head", "read_tail"]

_NUMBER: Final = b"0123456789+-.eE"
_ESCAPE: Final = re.compile(
    # Whole ones, pairs of surrogates among them; then what is left of those are lone.
    rb"\\(?:[^u]|u[dD][89abAB]..\\u[dD][c-fC-F]..|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|u)"
)
_MEMBER = re.compile(rb',\s*"')
MAX_TRIES: Final = 200
"""Places tried when looking for whole members at the end of an object."""


def read_head(text: bytes) -> Any:
    """
    Return the value that *text*, cut somewhere, had begun; None if nothing of it can be read.

    A text cut in its middle keeps what came; a number or a key that was cut is left out.
    """
    if text[-1:] in _NUMBER and _read(text, True) == _read(text, "trailing-strings"):
        text = text.rstrip(_NUMBER)  # in no string: a number that may have gone on
    return _read(text, "trailing-strings")


def _read(text: bytes, partial: Literal[True, "trailing-strings"]) -> Any:
    from pydantic_core import from_json  # slow to import, and only for what was cut

    try:
        return from_json(text, allow_partial=partial)
    except ValueError:
        pass
    try:  # SDKs take lone surrogates
        return from_json(_ESCAPE.sub(_without_lone, text), allow_partial=partial)
    except ValueError:
        return None


def _without_lone(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if escape["lone"] else escape[0]


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
