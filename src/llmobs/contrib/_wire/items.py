"""A body that holds many answers, cut into these as it passes: lines of JSON, or an array in a document."""

import re
from collections.abc import Iterator
from typing import Any, Final, Protocol

from llmobs.recorded.jsontext import as_object

__all__ = ["ArrayItems", "Items", "LineItems", "request_name"]


class Items(Protocol):
    """Finds the items of a body. What a piece belongs to is known before the item is whole."""

    head: bytes
    """What stands before the first item, of a document."""

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """Take in *data*; yield pieces of items in turn, and whether each is the end of its item."""
        ...


class LineItems:
    """Each line is one."""

    def __init__(self) -> None:
        self.head = b""

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """Yield the pieces of *data*; the last line may lack its end."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            yield data[start:end], True
            start = end + 1
        if start < len(data):
            yield data[start:], False


_OUTSIDE: Final = re.compile(rb'["{}\[\]]')
_INSIDE: Final = re.compile(rb'["\\]')
_MAX_HEAD: Final = 8192


class ArrayItems:
    """
    The objects of an array that is somewhere in a JSON document.

    Args:
        opening: Matches up to the array's bracket; the first match counts.
    """

    def __init__(self, opening: re.Pattern[bytes]) -> None:
        self.head = b""
        self._opening = opening
        self._depth = 0
        """Of brackets within the array, itself included; 0 before and after it."""
        self._is_over = False
        self._in_text = False
        self._is_escaped = False

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """Yield the pieces of objects in *data*."""
        if self._is_over:
            return
        if not self._depth:
            self.head = (self.head + data)[-_MAX_HEAD - len(data) :]
            found = self._opening.search(self.head)
            if found is None:
                return
            data, self.head = self.head[found.end() :], self.head[: found.start()]
            self._depth = 1
        start, at = 0, int(self._is_escaped)
        self._is_escaped = False
        while mark := (_INSIDE if self._in_text else _OUTSIDE).search(data, at):
            at = mark.end()
            if mark[0] == b"\\":
                self._is_escaped = at == len(data)
                at += 1
            elif mark[0] == b'"':
                self._in_text = not self._in_text
            elif mark[0] in b"{[":
                self._depth += 1
                if self._depth == 2:
                    start = mark.start()
            else:
                self._depth -= 1
                if self._depth == 1:
                    yield data[start:at], True
                elif not self._depth:
                    self._is_over = True
                    return
        if self._depth > 1:
            yield data[start:], False


def request_name(custom_id: Any, key: Any, metadata: Any) -> Any:
    """Return what the request of an item was called, by the members that say so: each provider has one of them."""
    return custom_id or key or as_object(metadata).get("key")
