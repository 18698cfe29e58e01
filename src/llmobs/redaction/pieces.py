"""Lists that are one text in pieces, and lists that are a header: to be read as a whole."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["CERTAIN", "header_weight", "pieces_of"]

CERTAIN: Final = 2
"""The weight of a name whose value is secret, whatever it is."""
_PAIR: Final = 2
_HEADERS: Final = frozenset(
    {"authorization", "proxy-authorization", "x-api-key", "cookie", "set-cookie"}
)


def header_weight(source: dict[Any, Any] | list[Any] | tuple[Any, ...]) -> int:
    """Return the weight of ``["Authorization", "…"]``, as headers are in lists."""
    if len(source) != _PAIR or isinstance(source, dict):
        return 0
    name = source[0]
    return CERTAIN if isinstance(name, str) and name.lower() in _HEADERS else 0


def pieces_of(source: list[Any] | tuple[Any, ...]) -> tuple[list[str], bool]:
    """
    Return the texts that *source* is made of, and whether they are pieces of one text for sure.

    They are none if it is something else.
    """
    if isinstance(source[0], str):
        pieces = [item for item in source if isinstance(item, str)]
        if len(pieces) < len(source):
            return [], False
        # Words of a list stand alone; chunks of a stream bring the spaces between them along.
        return pieces, any(piece[:1].isspace() or piece[-1:].isspace() for piece in pieces)
    pieces = []
    for item in source:
        text = item.get("text") if isinstance(item, dict) else None
        if not isinstance(text, str):
            return [], False
        pieces.append(text)
    return pieces, True
