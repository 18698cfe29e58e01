"""What an HTTP answer means for a batch: nothing, or which `SinkError`. Pure."""

import math
import time
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple

import msgspec

from llmobs.errors import (
    SinkError,
    SinkMisconfiguredError,
    SinkRejectedError,
    SinkTooLargeError,
    SinkUnauthorizedError,
    SinkUnavailableError,
)
from llmobs.events import Event

__all__ = [
    "MAX_WORDS",
    "HTTPAnswer",
    "error_for",
    "refuse_some",
    "retry_after",
]

MAX_WORDS: Final = 300
"""Characters of somebody else's words kept in a message."""


class HTTPAnswer(NamedTuple):
    """A complete answer."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    """Never longer than the client's bound."""

    def json(self) -> Any:
        """Return the body as a value; None if it is not JSON."""
        try:
            return msgspec.json.decode(self.body)
        # Nested without end: RecursionError.
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def words(self) -> str:
        """Return what the server says went wrong; may be empty, or long."""
        value = self.json()
        if isinstance(value, dict):
            # {"error": "..."}, {"error": {"message": "..."}}, {"message": "..."}, {"detail": "..."}
            value = value.get("error") or value.get("message") or value.get("detail")
            if isinstance(value, dict):
                value = value.get("message")
        if not isinstance(value, str):
            kind = self.headers.get("content-type", "")
            if not kind.startswith(("text/plain", "application/json")):
                return ""
            value = self.body.decode("utf-8", "replace")
        return value


def error_for(answer: HTTPAnswer, words: str) -> SinkError | None:
    """
    Return the error that a status stands for; None for 2xx.

    Args:
        answer: What came back.
        words: What the server says about it, without secrets, and `MAX_WORDS` of it at most.
    """
    status = answer.status
    if 200 <= status < 300:
        return None
    message = f"HTTP {status}: {words}" if words else f"HTTP {status}"
    if status in (401, 403, 407):
        return SinkUnauthorizedError(message)
    if status == 413:
        return SinkTooLargeError(message)
    if status in (408, 425, 429) or status >= 500:
        return SinkUnavailableError(message, retry_after=retry_after(answer.headers))
    if status in (404, 405, 410, 415) or status < 400:
        # Not the fault of these events, so they wait; only a changed URL or option helps.
        return SinkMisconfiguredError(f"{message}; is the URL right?")
    return SinkRejectedError(message)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds a ``Retry-After`` asks for (RFC 9110 §10.2.3: seconds or a date)."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def refuse_some(events: Sequence[Event], count: int, words: str) -> SinkRejectedError:
    """
    Return the error for a server that kept all but *count* events without saying which.

    The count is right, the choice is not: the last ones stand for those refused.
    """
    refused = events[max(0, len(events) - count) :]
    return SinkRejectedError(
        words, events={event.event_id: words for event in refused}, delivered=True
    )
