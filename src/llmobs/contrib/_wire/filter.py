"""
Asking OpenAI for the usage of a stream, and keeping the extra chunk that brings it from the caller.

``stream_options.include_usage`` makes one more chunk, with ``usage`` and no choices, come before
``[DONE]`` (OpenAI API reference, "Chat", ``stream_options``).
"""

import msgspec

from llmobs.contrib._wire.sse import EventSplitter, fields_of
from llmobs.contrib._wire.wire import as_dict

__all__ = ["UsageFilter", "with_usage_asked"]


def with_usage_asked(body: bytes) -> bytes | None:
    """Return *body* with usage asked for, or None if it is no stream or asks already."""
    try:
        request = msgspec.json.decode(body, type=dict)
    except (msgspec.DecodeError, RecursionError):
        return None
    options = request.get("stream_options")
    if request.get("stream") is not True or as_dict(options).get("include_usage") is not None:
        return None
    if options is None and "stream_options" not in request:
        # The rest stays as it is, byte for byte.
        start = body.index(b"{") + 1
        return body[:start] + b'"stream_options":{"include_usage":true},' + body[start:]
    request["stream_options"] = {**as_dict(options), "include_usage": True}
    return msgspec.json.encode(request)


class UsageFilter:
    """Lets a stream of server-sent events through without the chunk that only brings usage."""

    def __init__(self) -> None:
        self._splitter = EventSplitter()

    def feed(self, data: bytes) -> bytes:
        """Return what may pass of *data*: whole events, as a client reads nothing else."""
        return b"".join(event for event in self._splitter.feed(data) if not _brings_usage(event))

    def rest(self) -> bytes:
        """Return what is left at the end of the stream."""
        return self._splitter.rest()


def _brings_usage(event: bytes) -> bool:
    if b'"usage"' not in event or b'"choices"' not in event:
        return False
    try:
        chunk = msgspec.json.decode(fields_of(event)[1], type=dict)
    except (msgspec.DecodeError, RecursionError):
        return False
    return chunk.get("choices") == [] and bool(chunk.get("usage"))
