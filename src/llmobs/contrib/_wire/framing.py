"""
How the events of a streamed answer are told apart, wherever the network has split them.

Server-sent events (WHATWG HTML, "Server-sent events"): line ends may be LF, CRLF or CR; a text without
its closing blank line is an unfinished event.

Amazon's binary event stream, in which Bedrock wraps them (AWS documentation, "Event stream encoding").
Each frame is: total length, length of the headers, checksum of both (4 bytes each), headers, payload,
checksum. A client stops at a frame whose checksums are wrong; so does what reads it here.
"""

import base64
import binascii
import re
import zlib

import msgspec

__all__ = [
    "ArraySplitter",
    "EventSplitter",
    "FrameSplitter",
    "LineSplitter",
    "fields_of",
    "is_foreign",
    "payload_of",
    "unnamed",
]

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


_PRELUDE = 12
_OVERHEAD = 16
_FIRST_HEADER = re.compile(
    rb"[\x0b-\x0f]:(?:event-type|message-type|content-type|exception-type)\x07"
)
_MAX_FRAME = 32 * 1024 * 1024
_DAMAGED = b"damaged"
"""In the place of a frame whose checksums are wrong: no client reads on from there."""


class FrameSplitter:
    """Cuts a stream of bytes into whole frames, checked by their checksums."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._is_lost = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take in *data*; return the frames that are now whole."""
        pending = self._pending
        frames: list[bytes] = []
        if self._is_lost:
            return frames
        pending += data
        while len(pending) >= _PRELUDE:
            total = int.from_bytes(pending[:4])
            headers = int.from_bytes(pending[4:8])
            is_frame = zlib.crc32(pending[:8]) == int.from_bytes(pending[8:12])
            if is_frame and _OVERHEAD + headers <= total <= _MAX_FRAME:
                if len(pending) < total:
                    break
                if zlib.crc32(pending[: total - 4]) == int.from_bytes(pending[total - 4 : total]):
                    frames.append(bytes(pending[:total]))
                    del pending[:total]
                    continue
            frames.append(_DAMAGED)
            self._is_lost = True
            pending.clear()
        return frames

    def resume(self, data: bytes) -> list[bytes]:
        """Take in *data*, before which something is missing, from the first whole frame on."""
        self._pending.clear()
        self._is_lost = False
        for header in _FIRST_HEADER.finditer(data):
            start = header.start() - _PRELUDE
            if start < 0:
                continue
            prelude = data[start : header.start()]
            if zlib.crc32(prelude[:8]) == int.from_bytes(prelude[8:]):
                return self.feed(data[start:])
        return []

    def rest(self) -> bytes:
        """Forget what is left of a frame."""
        self._pending.clear()
        return b""


def payload_of(frame: bytes) -> tuple[str, bytes]:
    """
    Return the name of the event in a frame, and its data.

    ``invoke-with-response-stream`` wraps the model's own: ``{"bytes": base64 of JSON}``. Errors are
    frames of the type ``exception`` or ``error``.
    """
    if frame == _DAMAGED:
        return "", frame
    try:
        size = int.from_bytes(frame[4:8])
        headers = _headers(frame[_PRELUDE : _PRELUDE + size])
        payload = frame[_PRELUDE + size : -4]
        kind = headers.get(":message-type", "event")
        body = msgspec.json.decode(payload) if payload or kind == "event" else {}
        if "bytes" in body:
            return "", base64.b64decode(body["bytes"])
        name = headers.get(":event-type", "")
        if kind == "event" and ":exception-type" not in headers and name not in ("", "chunk"):
            return name, payload
        words = body.get("message") or body.get("Message") or headers.get(":error-message")
        error_type = headers.get(":exception-type") or headers.get(":error-code") or "api_error"
        error = {"type": "error", "error": {"type": error_type, "message": words or error_type}}
        return "error", msgspec.json.encode(error)
    except (
        msgspec.DecodeError,
        binascii.Error,
        AttributeError,
        TypeError,
        ValueError,
        LookupError,
    ):
        return "", frame


_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a header's value by its type; texts and bytes (6, 7) tell theirs."""


def _headers(data: bytes) -> dict[str, str]:
    found = {}
    at = 0
    while at < len(data):
        start = at + 1 + data[at]
        name, kind = data[at + 1 : start].decode("utf-8", "replace"), data[start]
        at = start + 1
        if kind in (6, 7):
            size = int.from_bytes(data[at : at + 2])
            at += 2
        else:
            size = _SIZES[kind]
        if kind == 7:
            found[name] = data[at : at + size].decode("utf-8", "replace")
        at += size
    return found


class LineSplitter:
    """Cuts a stream of JSON values, one a line (NDJSON), into its lines."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take in *data*; return the lines that are now whole."""
        if b"\n" not in data:
            self._pending += data
            return []
        *lines, rest = data.split(b"\n")
        lines[0] = bytes(self._pending) + lines[0]
        self._pending = bytearray(rest)
        return [line for line in lines if line.strip()]

    def resume(self, data: bytes) -> list[bytes]:
        """Take in *data*, before which something is missing; the first line lost its beginning."""
        self._pending.clear()
        return self.feed(data.partition(b"\n")[2])

    def rest(self) -> bytes:
        """Return the line that has not ended, and forget it."""
        rest = bytes(self._pending)
        self._pending.clear()
        return rest


_OUTSIDE = re.compile(rb'["{}\[\]]')
_INSIDE = re.compile(rb'["\\]')
_NEXT_ITEM = re.compile(rb"\n,\r?\n(?=\{)")


class ArraySplitter:
    """Cuts a JSON array, as it comes, into its objects (Gemini's streams without ``alt=sse``)."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._at = 0
        self._depth = 0
        self._in_text = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take in *data*; return the objects that are now whole."""
        pending = self._pending
        pending += data
        items = []
        start = 0
        while found := (_INSIDE if self._in_text else _OUTSIDE).search(pending, self._at):
            mark = found[0]
            if mark == b"\\":
                if found.end() == len(pending):
                    break  # what it escapes has yet to come
                self._at = found.end() + 1
                continue
            self._at = found.end()
            if mark == b'"':
                self._in_text = not self._in_text
            elif mark in b"{[":
                self._depth += 1
                if self._depth == 2:
                    start = found.start()
            else:
                self._depth -= 1
                if self._depth == 1:
                    items.append(bytes(pending[start : self._at]))
                    start = self._at
                elif self._depth <= 0:
                    start = self._at  # the array's end
        else:
            self._at = len(pending)
        if start:
            del pending[:start]
            self._at -= start
        return items

    def resume(self, data: bytes) -> list[bytes]:
        """Take in *data*, before which something is missing, from the next object on."""
        self._pending.clear()
        self._at, self._depth, self._in_text = 0, 1, False
        found = _NEXT_ITEM.search(data)
        return self.feed(data[found.end() :]) if found else []

    def rest(self) -> bytes:
        """Return an object that has not ended, and forget it."""
        rest = bytes(self._pending) if self._depth > 1 else b""
        self._pending.clear()
        return rest


def unnamed(data: bytes) -> tuple[str, bytes]:
    """Return an event that is its data and nothing else."""
    return "", data
