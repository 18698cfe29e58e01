"""How the events of a stream are told apart on the wire: four ways, one function."""

import base64
import json
import zlib
from typing import Any

from .conversation import Event, Framing, Json

_STRING = b"\x07"  # the type of a header's value


def frame(event: Event, framing: Framing, *, end: str = "\n", comments: bool = False) -> bytes:
    """Return one event as bytes; `end` and `comments` are for server-sent events alone."""
    text = event.data if isinstance(event.data, str) else json_bytes(event.data).decode()
    if framing is Framing.LINES:
        return text.encode() + b"\n"
    if framing is Framing.ARRAY:
        return text.encode()
    if framing is Framing.AWS:
        return _aws(event.name or "chunk", text.encode(), failed=event.failed)
    lines = [": keep-alive", ""] if comments else []
    lines += [f"event: {event.name}"] if event.name else []
    return (end.join([*lines, f"data: {text}"]) + end * 2).encode()


def between(framing: Framing, place: int) -> bytes:
    """Return what goes before the event at that place."""
    if framing is not Framing.ARRAY:
        return b""
    return b",\r\n" if place else b"["


def closing(framing: Framing) -> bytes:
    """Return what goes behind the last event."""
    return b"]" if framing is Framing.ARRAY else b""


def json_bytes(content: Json | tuple[Any, ...]) -> bytes:
    """Compact JSON in UTF-8; lone surrogates, which no UTF-8 can hold, become question marks."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def as_bytes_member(data: Json) -> Json:
    """Wrap an event of Bedrock's `InvokeModelWithResponseStream`, which hides the model's own words."""
    return {"bytes": base64.b64encode(json_bytes(data)).decode(), "p": "abcdefghijkl"}


def _aws(name: str, payload: bytes, *, failed: bool) -> bytes:
    """One message of Amazon's event stream (its specification: "Event stream encoding")."""
    kind = "exception" if failed else "event"
    told = {f":{kind}-type": name, ":content-type": "application/json", ":message-type": kind}
    headers = b"".join(
        len(key).to_bytes(1) + key.encode() + _STRING + len(value).to_bytes(2) + value.encode()
        for key, value in told.items()
    )
    total = 16 + len(headers) + len(payload)  # the prelude, and a checksum behind it and at the end
    prelude = total.to_bytes(4) + len(headers).to_bytes(4)
    message = prelude + zlib.crc32(prelude).to_bytes(4) + headers + payload
    return message + zlib.crc32(message).to_bytes(4)
