"""Identifiers: event and run ids (UUIDv7), W3C trace and span ids, and which ids may come in from outside."""

import os
import re
import time
from typing import Final, NamedTuple

__all__ = [
    "MAX_RUN_ID_LENGTH",
    "Traceparent",
    "is_valid_run_id",
    "new_id",
    "new_span_id",
    "new_trace_id",
    "parse_traceparent",
]

MAX_RUN_ID_LENGTH: Final = 128
"""Longest run id accepted from a request header, in characters."""

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/+=~-]{0,127}", re.ASCII)
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?", re.ASCII
)
_HEX3 = tuple(f"{n:03x}" for n in range(4096))
_POOL_SIZE = 64

_tails: list[str] = []
_prefix: tuple[int, str] = (-1, "")

# A forked child must not hand out the ids its parent is about to use.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_tails.clear)


def _refill() -> str:
    # One system call serves 64 ids and leaves the host's `random` state alone. The two bits
    # of the RFC 9562 variant turn the first digit into one of 8, 9, a, b.
    digits = os.urandom(8 * _POOL_SIZE).hex()
    _tails.extend(
        f"{'89ab'[int(digits[i], 16) & 3]}{digits[i + 1 : i + 4]}-{digits[i + 4 : i + 16]}"
        for i in range(0, len(digits), 16)
    )
    return _tails.pop()


def new_id() -> str:
    """
    Return a new UUIDv7 as text: sorts by creation time, unique across threads and processes.

    Layout of RFC 9562 §5.7 with method 3 of §6.2: 48 bits of Unix milliseconds, 12 bits of
    sub-millisecond time, 62 random bits.
    """
    global _prefix
    millisecond, rest = divmod(time.time_ns(), 1_000_000)
    known, prefix = _prefix
    if known != millisecond:
        digits = f"{millisecond:012x}"
        prefix = f"{digits[:8]}-{digits[8:]}-7"
        _prefix = (millisecond, prefix)  # one assignment: threads see either pair, never half
    try:
        tail = _tails.pop()
    except IndexError:
        tail = _refill()
    return f"{prefix}{_HEX3[rest * 4096 // 1_000_000]}-{tail}"


def new_trace_id() -> str:
    """Return a random W3C trace id: 32 lower-case hexadecimal digits."""
    return os.urandom(16).hex()


def new_span_id() -> str:
    """Return a random W3C span id: 16 lower-case hexadecimal digits."""
    return os.urandom(8).hex()


def is_valid_run_id(value: str) -> bool:
    """
    Tell whether *value*, sent by a stranger, may become a run id.

    A run id reaches logs, headers, SQL and file names: 1 to 128 ASCII letters, digits and
    ``._:@/+=~-``, starting with a letter or digit.
    """
    return _RUN_ID.fullmatch(value) is not None


class Traceparent(NamedTuple):
    """What a W3C ``traceparent`` header says about the caller."""

    trace_id: str
    """32 hexadecimal digits, not all zero."""
    span_id: str
    """The caller's span, 16 hexadecimal digits, not all zero."""
    sampled: bool
    """Whether the caller records this trace."""


def parse_traceparent(value: str) -> Traceparent | None:
    """
    Read a ``traceparent`` header (W3C Trace Context §3.2); None if it is malformed.

    Versions newer than 00 are read by their first four fields, as the specification asks.
    """
    match = _TRACEPARENT.fullmatch(value.strip())
    if match is None:
        return None
    trace_id, span_id, flags = match.groups()
    if value.strip().startswith("00-") and len(value.strip()) != 55:
        return None
    if not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return Traceparent(trace_id, span_id, bool(int(flags, 16) & 1))
