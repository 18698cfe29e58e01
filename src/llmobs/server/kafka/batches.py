"""
Batches of records, looked into before aiokafka opens them: none may become larger than a body may.

Producers compress whole batches, and aiokafka opens each however large it becomes. So every fetched
batch is first opened here, within bounds. In place of one that cannot be, aiokafka is given a batch
at the same offsets with a single record in it, which says why and goes to the dead-letter topic.
"""

import re
import struct
from collections.abc import Callable
from typing import Any, Final

import cramjam
from aiokafka.record.default_records import DefaultRecordBatchBuilder  # type: ignore[import-untyped]

from llmobs.server.bodies import MAX_BODY_BYTES, Inflated, RefusedError

__all__ = ["STANDS_IN", "bound_fetches", "bounded", "records_in", "why_unopened"]

_UNOPENED: Final = "llmobs.unopened"
"""The header of a record that stands for a batch, with the reason."""
_RECORDS: Final = "llmobs.unopened_records"
"""How many records that batch says it holds."""
STANDS_IN: Final = frozenset({_UNOPENED, _RECORDS})
"""Headers of ours, which no broker sent."""
_COUNT: Final = re.compile(r"\d{1,10}", re.ASCII)
_FETCH: Final = 1
"""The number of such requests in Kafka's protocol."""
_CODECS: Final = {1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
_LENGTH: Final = struct.Struct(">qi")
"""Of every format: the offset, and the bytes that come after these."""
_BATCH: Final = struct.Struct(">qiibIhiqqqhii")
"""Up to its records, a batch of Kafka 0.11 and later."""
_MAGIC: Final = 16
_OLD: Final = struct.Struct(">qiIbb")
"""A message of earlier ones, up to its time; it holds others if it is compressed."""
_XERIAL: Final = b"\x82SNAPPY\x00"
"""How Java's snappy begins: blocks follow, each after its length."""
_LZ4_MOST: Final = 255
"""Bytes that one byte of lz4 becomes, at most."""


class _TooLargeError(Exception):
    """A batch becomes more than it may."""


def bound_fetches(consumer: Any) -> None:
    """Let *consumer*, not started yet, take no batch from its brokers that becomes too large."""
    client = consumer._client  # noqa: SLF001 - there is no public place between broker and decompression
    send = client.send

    async def send_bounded(node: Any, request: Any, *args: Any, **options: Any) -> Any:
        response = await send(node, request, *args, **options)
        if getattr(response, "API_KEY", None) == _FETCH:
            response.topics = bounded(response.topics)
        return response

    client.send = send_bounded


def bounded(topics: Any, most: int = MAX_BODY_BYTES) -> list[Any]:
    """
    Return what a broker sent at once, such that no batch of it becomes more than *most* bytes.

    Nor do all together but for the first: what is too much at once is left out, and so fetched again
    once the rest is settled.

    Args:
        topics: As in the answer: by topic, and there by partition, the last of each its batches.
        most: The bound.
    """
    size = 0

    def has_room(more: int) -> bool:
        nonlocal size
        is_first = size == 0
        size += more
        return is_first or size <= most

    return [
        (topic, [(*part[:-1], _vetted(part[-1], most, has_room)) for part in parts])
        for topic, parts in topics
    ]


def why_unopened(record: Any) -> str | None:
    """Return why *record* stands for a batch that was not opened; None if it is one of its own."""
    return _header(record, _UNOPENED)


def records_in(record: Any) -> int:
    """Return for how many records *record* stands: one, or as many as a batch says that was not opened."""
    said = _header(record, _RECORDS) or ""
    # Anybody can write a header.
    return max(1, int(said)) if _COUNT.fullmatch(said) else 1


def _header(record: Any, wanted: str) -> str | None:
    for name, value in record.headers:
        if name == wanted:
            return str(value or b"", errors="replace")
    return None


def _vetted(data: bytes | None, most: int, has_room: Callable[[int], bool]) -> bytes | None:
    if not data:
        return data
    begin = 0
    pieces: list[bytes] = []
    while begin + _OLD.size <= len(data):
        end = begin + _LENGTH.size + _LENGTH.unpack_from(data, begin)[1]
        if not begin + _OLD.size <= end <= len(data):
            break  # the beginning of one, or none at all: aiokafka says what is wrong
        batch = data[begin:end]
        try:
            size = _size(batch, most)
        except (_TooLargeError, ValueError) as why:
            batch = _stand_in(batch, str(why))
            size = len(batch)
        if not has_room(size):
            return b"".join(pieces)
        pieces.append(batch)
        begin = end
    return b"".join((*pieces, data[begin:]))


def _size(batch: bytes, most: int) -> int:
    """
    Return what *batch* becomes when it is opened.

    Raises:
        _TooLargeError: More than *most* bytes.
        ValueError: It cannot be opened.
    """
    codec, packed, count = _packed(batch)
    if codec is None:
        return len(batch)
    try:
        return _MEASURES[codec](packed, most)
    except _TooLargeError:
        how = f"become more than {most} bytes"
        raise _TooLargeError(_words(codec, packed, count, how)) from None
    except (cramjam.DecompressionError, RefusedError, struct.error, ValueError):
        raise ValueError(_words(codec, packed, count, "cannot be decompressed")) from None


def _words(codec: str, packed: bytes, count: int, how: str) -> str:
    return (
        f"{len(packed)} bytes of {codec} {how}; they are the value of this record, as they came, and "
        f"hold {count} records, by their own account"
    )


def _packed(batch: bytes) -> tuple[str | None, bytes, int]:
    """Return how *batch* is compressed, what is, and how many records that is said to hold."""
    if batch[_MAGIC] >= 2:
        if len(batch) < _BATCH.size:
            return None, b"", 0
        head = _BATCH.unpack_from(batch)
        return _CODECS.get(head[5] & 7), batch[_BATCH.size :], head[-1]
    *_, magic, attributes = _OLD.unpack_from(batch)
    begin = _OLD.size + (8 if magic else 0)
    key = int.from_bytes(batch[begin : begin + 4], signed=True)
    return _CODECS.get(attributes & 7), batch[begin + 8 + max(0, key) :], 1


def _stand_in(batch: bytes, why: str) -> bytes:
    """Return a batch at the offsets of *batch*, with one record that says *why*."""
    offset, last, moment, producer, epoch, flags = _OLD.unpack_from(batch)[0], 0, 0, -1, -1, 0
    if batch[_MAGIC] >= 2:
        offset, _, _, _, _, flags, last, moment, _, producer, epoch, *_ = _BATCH.unpack_from(batch)
    made = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=bool(flags & 0x10),  # an aborted one did not happen either
        producer_id=producer,
        producer_epoch=epoch,
        base_sequence=-1,
        batch_size=len(batch) + 4096,
    )
    _, packed, count = _packed(batch)
    headers: list[tuple[str, bytes | None]] = [
        (_UNOPENED, why.encode()),
        (_RECORDS, str(count).encode()),
    ]
    made.append(last, max(0, moment), None, packed, headers)
    whole = made.build()
    struct.pack_into(">q", whole, 0, offset)  # which the checksum leaves out
    return bytes(whole)


def _inflated(codec: str) -> Callable[[bytes, int], int]:
    def measure(packed: bytes, most: int) -> int:
        inflated = Inflated(codec, most, lambda size: None)
        try:
            inflated.feed(packed)
            inflated.end()
        except RefusedError as error:
            if error.status == 413:
                raise _TooLargeError from None
            raise
        return inflated.size

    return measure


def _snappy(packed: bytes, most: int) -> int:
    """Add up what the blocks say of themselves, which is what they become, or they are damaged."""
    blocks = [packed]
    if packed.startswith(_XERIAL):
        blocks, begin = [], 16
        while begin < len(packed):
            end = begin + 4 + int.from_bytes(packed[begin : begin + 4])
            blocks.append(packed[begin + 4 : end])
            begin = end
    size = sum(cramjam.snappy.decompress_raw_len(block) for block in blocks)
    if size > most:
        raise _TooLargeError
    for block in blocks:
        cramjam.snappy.decompress_raw(block)  # whether it can be
    return size


def _lz4(packed: bytes, most: int) -> int:
    room = bytearray(min(most, _LZ4_MOST * len(packed)) + 1)
    try:
        return cramjam.lz4.decompress_into(packed, room)
    except cramjam.DecompressionError as error:
        if "whole buffer" in str(error):
            raise _TooLargeError from None
        raise


_MEASURES: Final[dict[str, Callable[[bytes, int], int]]] = {
    "gzip": _inflated("gzip"),
    "zstd": _inflated("zstd"),
    "snappy": _snappy,
    "lz4": _lz4,
}
