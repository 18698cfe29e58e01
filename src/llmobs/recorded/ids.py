"""Identifiers: event and run ids (UUIDv7), W3C trace and span ids, and which ids may come in from outside."""

import itertools
import os
import re
import time
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple

__all__ = [
    "MAX_ID_LENGTH",
    "MAX_RUN_ID_LENGTH",
    "Traceparent",
    "bounded_id",
    "derived_id",
    "is_valid_run_id",
    "new_id",
    "parse_traceparent",
]

MAX_RUN_ID_LENGTH: Final = 128
"""Longest run id accepted from a request header, in characters."""

MAX_ID_LENGTH: Final = 512
"""Longest identifier that is kept as it is, in characters: it stands in every row, index and link."""

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/+=~-]{0,127}", re.ASCII)
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?", re.ASCII
)
_HEX3 = tuple(f"{n:03x}" for n in range(4096))

_prefix: tuple[int, str] = (-1, "")
_head = ""
_count = itertools.count(1)


def _draw() -> None:
    # The two bits of the RFC 9562 variant turn the first digit into one of 8, 9, a, b.
    global _head
    digits = os.urandom(7).hex()
    _head = f"{'89ab'[int(digits[0], 16) & 3]}{digits[1:4]}-{digits[4:13]}"


_draw()
# A forked child must not hand out the ids its parent is about to use.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_draw)


def new_id(now: float | None = None) -> str:
    """
    Return a new UUIDv7 as text: sorts by creation time, unique across threads and processes.

    Layout of RFC 9562 §5.7 with methods 1 and 3 of §6.2: 48 bits of Unix milliseconds, 12 bits of
    sub-millisecond time, 50 random bits drawn every 4,096 ids, 12 bits that count. Unique, but
    not secret: who knows one can guess its neighbours.

    Args:
        now: The clock's reading, if it was just read: ``time.time()``.
    """
    global _prefix
    # 4,096ths of a millisecond; exact in a float until 2039.
    ticks = int((time.time() if now is None else now) * 4_096_000)
    known, prefix = _prefix
    if known != ticks >> 24:  # every four seconds
        digits = f"{ticks >> 24:09x}"
        prefix = f"{digits[:8]}-{digits[8:]}"
        _prefix = (ticks >> 24, prefix)  # one assignment: threads see either pair, never half
    number = next(_count) & 4095
    if not number:
        _draw()
    return f"{prefix}{_HEX3[ticks >> 12 & 4095]}-7{_HEX3[ticks & 4095]}-{_head}{_HEX3[number]}"


def derived_id(*parts: str) -> str:
    """
    Return an id that is always the same for the same *parts*: a UUID of version 8 (RFC 9562 §5.8).

    Ids of one first part have one beginning: they lie together in an index, where those of all hashes
    are strewn over it, each on a page of its own to write.

    Args:
        parts: What tells it from all others, what it shares with most first.
    """
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    digits = blake2b(text, digest_size=16, person=b"llmobs event").hexdigest()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{_beginning_of(parts[0])}-{digits[8:12]}-8{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


@lru_cache(maxsize=256)
def _beginning_of(part: str) -> str:
    return blake2b(part.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()


def bounded_id(text: str) -> str:
    """Return *text*, or if it is longer than `MAX_ID_LENGTH` its beginning and a hash: the same for the same."""
    if len(text) <= MAX_ID_LENGTH:
        return text
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{text[:64]}~{digest}"


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
