"""
Amazon's binary event stream, in which Bedrock wraps the events of a streamed answer.

Each frame is: total length, length of the headers, checksum of both (4 bytes each), headers,
payload, checksum (AWS documentation, "Event stream encoding"). Checksums are the client's to check.
"""

import base64
import binascii
import re

import msgspec

__all__ = ["FrameSplitter", "payload_of"]

_PRELUDE = 12
_OVERHEAD = 16
_FIRST_HEADER = re.compile(
    rb"[\x0b-\x0f]:(?:event-type|message-type|content-type|exception-type)\x07"
)
_MAX_FRAME = 32 * 1024 * 1024


class FrameSplitter:
    """Cuts a stream of bytes into whole frames."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take in *data*; return the payloads of the frames that are now whole."""
        pending = self._pending
        pending += data
        payloads = []
        while len(pending) >= _OVERHEAD:
            total = int.from_bytes(pending[:4])
            headers = int.from_bytes(pending[4:8])
            if not _OVERHEAD + headers <= total <= _MAX_FRAME:
                pending.clear()  # no event stream, or we lost our place in it
                break
            if len(pending) < total:
                break
            payloads.append(bytes(pending[12 + headers : total - 4]))
            del pending[:total]
        return payloads

    def resume(self, data: bytes) -> list[bytes]:
        """Take in *data*, before which something is missing, from the first whole frame on."""
        self._pending.clear()
        for header in _FIRST_HEADER.finditer(data):
            start = header.start() - _PRELUDE
            total, headers = (int.from_bytes(data[at : at + 4]) for at in (start, start + 4))
            if start >= 0 and _OVERHEAD + headers <= total <= len(data) - start:
                return self.feed(data[start:])
        return []

    def rest(self) -> bytes:
        """Forget what is left of a frame."""
        self._pending.clear()
        return b""


def payload_of(frame: bytes) -> tuple[str, bytes]:
    """Return the event inside a frame's payload: ``{"bytes": base64 of JSON}``, or an error."""
    try:
        body = msgspec.json.decode(frame)
        if "bytes" in body:
            return "", base64.b64decode(body["bytes"])
        message = body.get("message") or body.get("Message") or "error"
        error = {"type": "error", "error": {"type": "api_error", "message": message}}
        return "error", msgspec.json.encode(error)
    except (msgspec.DecodeError, binascii.Error, AttributeError, TypeError, ValueError):
        return "", frame
