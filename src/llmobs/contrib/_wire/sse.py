"""
Server-sent events, split wherever the network liked (WHATWG HTML, "Server-sent events").

Line ends may be LF, CRLF or CR; a text without its closing blank line is an unfinished event.
"""

import re

__all__ = ["EventSplitter", "fields_of", "is_foreign"]

_BLANK_LINE = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINE_END = re.compile(rb"\r\n|\n|\r")


class EventSplitter:
    """Cuts a stream of bytes into whole events; what it returns, joined, is what it was fed."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take in *data*; return the events that are now whole, each with its blank line."""
        pending = self._pending
        # A blank line is at most four bytes, of which three may have come before.
        search_from = max(len(pending) - 3, 0)
        pending += data
        events = []
        start = 0
        for blank in _BLANK_LINE.finditer(pending, search_from):
            if blank.end() == len(pending) and pending[-1:] == b"\r":
                break  # half of a CRLF, perhaps: the next byte will tell
            events.append(bytes(pending[start : blank.end()]))
            start = blank.end()
        if start:
            del pending[:start]
        return events

    def resume(self, data: bytes) -> list[bytes]:
        """Take in *data*, before which something is missing; the first event lost its beginning."""
        self._pending.clear()
        return self.feed(data)[1:]

    def rest(self) -> bytes:
        """Return what is left without its blank line, and forget it."""
        rest = bytes(self._pending)
        self._pending.clear()
        return rest


def fields_of(event: bytes) -> tuple[str, bytes]:
    """Return the name and the data of one event; comments and other fields are left out."""
    name = ""
    data = []
    for line in _LINE_END.split(event):
        field, _, value = line.removeprefix(b"\xef\xbb\xbf").partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace")
    return name, b"\n".join(data)


def is_foreign(event: bytes, *, is_cut: bool = False) -> bool:
    """Return whether *event*, of which the end may be cut, holds a line that no such event has."""
    known = (b"data", b"event", b"id", b"retry", b"")
    *lines, last = (
        line.removeprefix(b"\xef\xbb\xbf").partition(b":") for line in _LINE_END.split(event)
    )
    if is_cut and not last[1]:
        if not any(name.startswith(last[0]) for name in known):
            return True
    else:
        lines.append(last)
    return any(line[0] not in known for line in lines)
