"""
Members of message lists, stored once: an agent resends its whole history with every call.

Where a list stands in an event (a prompt, an answer, tool definitions among the parameters), each
member above a few hundred bytes is a *piece*, and the event's JSON has a reference in its place: the
character U+0001, which JSON itself never holds, and a short hash of the piece.
"""

import re
import sys
from base64 import urlsafe_b64decode
from binascii import b2a_base64
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from llmobs.codec import encode, encode_strictly
from llmobs.events import AgentStepEvent, Event, PromptCallEvent, ToolCallEvent

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = [
    "Piece",
    "name_references",
    "pack",
    "put_together",
    "references",
    "take_apart",
    "unpack",
]

LEAST_BYTES: Final = 256
"""Members shorter than this stay where they are."""

_LISTS: Final[dict[type[Event], tuple[str, ...]]] = {
    PromptCallEvent: ("prompt", "response", "request_params"),
    AgentStepEvent: ("input_data", "output_data"),
    ToolCallEvent: ("input", "output"),
}
"""Where lists of messages stand: as the value, or as a member of it."""

_REFERENCE: Final = re.compile("\x01([A-Za-z0-9_-]{11})")
_MISSING: Final = "null"


class Piece(NamedTuple):
    """A member of a list."""

    hash: int
    """Of its content, 64 bits, signed, as SQLite's numbers are."""
    data: bytes
    """JSON."""


def take_apart(event: Event, salt: bytes) -> tuple[str, list[Piece]]:
    """
    Return the JSON of *event* with references, and what they stand for.

    Args:
        event: What to encode.
        salt: The store's own, so that nobody can prepare two texts of one hash.
    """
    pieces: list[Piece] = []
    try:
        changed = {}
        for name in _LISTS.get(type(event), ()):
            value = getattr(event, name)
            if type(value) is list or type(value) is dict:
                before = len(pieces)
                slim = _slim(value, salt, pieces)
                if len(pieces) > before:
                    changed[name] = slim
        if changed and not _collide(pieces):
            return encode_strictly(replace(event, **changed)).decode(), pieces
    except Exception:  # noqa: BLE001, S110 - JSON does not hold its values
        pass
    return encode(event).decode(), []  # whole


def _collide(pieces: list[Piece]) -> bool:
    """Whether two of *pieces* differ, and have one hash: then nobody could tell which is which."""
    by_hash = dict(pieces)
    return any(by_hash[hash] != data for hash, data in pieces)


def _slim(value: Any, salt: bytes, pieces: list[Piece]) -> Any:
    if type(value) is dict:
        return {k: _slim(v, salt, pieces) if type(v) is list else v for k, v in value.items()}
    members = []
    for member in value:
        if type(member) in _NEVER_LONG:
            members.append(member)
            continue
        data = encode_strictly(member)
        if len(data) < LEAST_BYTES:
            members.append(member)
            continue
        digest = blake2b(data, digest_size=8, key=salt).digest()
        pieces.append(Piece(int.from_bytes(digest, "big", signed=True), data))
        name = b2a_base64(digest, newline=False).translate(_URL_SAFE)[:11]
        members.append(msgspec.Raw(b"\x01" + name))
    return members


_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_NEVER_LONG: Final = frozenset({int, float, bool, type(None)})


def references(text: str) -> set[int]:
    """Return the hashes of the pieces that *text* refers to."""
    if "\x01" not in text:
        return set()
    return {_hash_of(found) for found in _REFERENCE.findall(text)}


def put_together(text: str, piece: Callable[[int], bytes | None]) -> str:
    """Return *text* with each reference replaced by what *piece* returns for it; null if lost."""
    if "\x01" not in text:
        return text

    def content(match: re.Match[str]) -> str:
        data = piece(_hash_of(match[1]))
        return _MISSING if data is None else data.decode("utf-8", "replace")

    return _REFERENCE.sub(content, text)


def name_references(text: str, name: str) -> str:
    """Return *text* with each reference replaced by an object whose member *name* is the hash."""
    return _REFERENCE.sub(lambda match: f'{{"{name}":{_hash_of(match[1])}}}', text)


def _hash_of(reference: str) -> int:
    return int.from_bytes(urlsafe_b64decode(reference + "="), "big", signed=True)


_compressor: Final = zstd.ZstdCompressor(level=1)
"""One for all: to make one takes six times as long as to compress a kilobyte."""


def pack(data: bytes) -> str | bytes:
    """
    Return *data* as it is stored: compressed (bytes) where that is shorter, else a text.

    For who holds the lock of a `Writer`: a child that is forked meanwhile would wait for ever.
    """
    packed = _compressor.compress(data, zstd.ZstdCompressor.FLUSH_FRAME)
    return packed if len(packed) < len(data) else data.decode()


def unpack(stored: Any) -> bytes | None:
    """Return what `pack` was given; None for what makes no sense."""
    if type(stored) is str:
        return stored.encode("utf-8", "replace")
    try:
        return zstd.ZstdDecompressor().decompress(stored)
    except Exception:  # noqa: BLE001 - damaged
        return None
