"""
The body of a batch's results on its way to the host: each result is kept apart, and handed on when it is whole.

Of a result no more is kept than of any other answer. A body whose first item is no result is somebody's
file: nothing of it is kept.
"""

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from llmobs.contrib._wire.body import Copy
from llmobs.contrib._wire.items import Items, request_name
from llmobs.contrib._wire.partial import read_head
from llmobs.recorded.ids import bounded_id
from llmobs.recorded.jsontext import as_object
from llmobs.runtime.troubles import internal_errors

__all__ = ["Result", "Results"]


class Result(NamedTuple):
    """One answer of many."""

    name: str
    """What the request was called, and the line's own id; its place if it has no name."""
    body: Copy
    """What is kept of it, closed."""
    size: int
    """Estimated memory of that."""
    failed: bool
    model: str
    """The model, where the document names one for all."""
    asked: Any
    """What the request was called, or nothing."""
    place: int
    """Among all, from 0."""


class _Around(msgspec.Struct):
    """What stands around an answer; the rest is for later."""

    id: Any = None
    custom_id: Any = None
    key: Any = None
    metadata: Any = None
    response: msgspec.Raw = msgspec.Raw(b"")
    result: msgspec.Raw = msgspec.Raw(b"")
    error: Any = None


_decoder: Final = msgspec.json.Decoder(_Around)
_MODEL: Final = re.compile(rb'"model"\s{0,64}:\s{0,64}"(?:models/)?([^"\\]{1,200})"')
_FAILED: Final = re.compile(
    # how a response of OpenAI's and a result of Anthropic's begin that are failures
    rb'\{\s{0,64}(?:"status_code"\s{0,64}:\s{0,64}[45]\d\d\b'
    rb'|"type"\s{0,64}:\s{0,64}"(?:errored|expired)")'
)


class Results(Copy):
    """
    Takes the place of the copy of an answer that holds many.

    Args:
        limit: Bytes kept of a result, at most.
        items: Cuts the body.
        decode: Takes the content encoding off; see `body.decoder`.
        on_result: Called with each result.
    """

    def __init__(
        self,
        limit: int,
        items: Items,
        decode: Callable[[bytes], bytes],
        on_result: Callable[[Result], object],
    ) -> None:
        super().__init__(limit)
        self.room = 0  # all that comes goes to `overflow`
        self._items = items
        self._decode = decode
        self._on_result = on_result
        self._item = Copy(limit)
        self._count = 0
        self._is_over = False

    def overflow(self, chunk: bytes, room: int) -> int:
        """Cut what has come into results."""
        if self._is_over:
            return 0
        try:
            data = self._decode(chunk)
        except Exception:  # noqa: BLE001 - each library has errors of its own, and the client meets them, too
            self._is_over = True
            return 0
        with internal_errors("read the results of a batch"):
            self._cut(data)
        return 0

    def _cut(self, data: bytes) -> None:
        for piece, is_end in self._items.feed(data):
            self._item.add_untimed(piece)
            if not self._count and not _may_be_object(self._item):
                self._is_over = True
            elif is_end:
                self._hand_on()
            if self._is_over:
                self._item = Copy(0)
                return

    @property
    def head(self) -> bytes:
        """What stands before the first result, of a document; its end if there is none."""
        return self._items.head

    def finish(self) -> None:
        """Hand on the last result, which may lack its line end: the body is whole."""
        if not self._is_over:
            self._hand_on()
            self._is_over = True

    def _hand_on(self) -> None:
        item, self._item = self._item, Copy(self.limit)
        size = item.close()
        text = item.beginning
        if not text.strip():
            return
        around = _around(text)
        named = request_name(around.custom_id, around.key, around.metadata)
        given = bytes(around.response) or bytes(around.result)
        is_result = given.startswith(b"{") or bool(around.error)
        if not self._count and not ((named or self._items.head) and is_result):
            self._is_over = True
            return
        self._count += 1
        model = _MODEL.search(self._items.head)
        self._on_result(
            Result(
                name=self._name(named, around.id),
                body=item,
                size=size,
                failed=bool(around.error) or _FAILED.match(given) is not None,
                model=model[1].decode("utf-8", "replace") if model else "",
                asked=named,
                place=self._count - 1,
            )
        )

    def _name(self, named: Any, line_id: Any) -> str:
        # The items of an array are in the order of the requests; names may be given twice.
        if not named or self._items.head:
            return f"#{self._count}"
        return bounded_id(f"{named}\0{line_id or ''}")


def _may_be_object(item: Copy) -> bool:
    first = bytes((item.rest or b"")[:64]) or b"".join(item.chunks[:1])[:64]
    return first.lstrip()[:1] in (b"{", b"")


def _around(text: bytes) -> _Around:
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError):
        pass
    known = as_object(read_head(text))  # it was cut, or is broken
    around = _Around(known.get("id"), known.get("custom_id"), known.get("key"))
    around.metadata, around.error = known.get("metadata"), known.get("error")
    if as_object(known.get("response")) or as_object(known.get("result")):
        around.response = msgspec.Raw(b"{}")
    return around
