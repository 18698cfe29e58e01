"""llmobs.server.kafka.batches: what brokers send, bounded before aiokafka opens it."""

import struct
from collections.abc import Iterable
from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from llmobs.server.kafka.batches import STANDS_IN, bounded, records_in, why_unopened
from llmobs.server.kafka.reader import Fetched, _letter
from llmobs.server.kafka.records import UnreadableError, read

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
MOST = 100_000
"""Instead of 32 MiB."""

pytestmark = [pytest.mark.kafka]


def batch(
    values: Iterable[bytes], codec: str, *, offset: int = 0, last: int | None = None, **options: Any
) -> bytes:
    """Return a batch as a broker sends it."""
    made = DefaultRecordBatchBuilder(
        magic=2, compression_type=CODECS[codec], is_transactional=0, producer_id=-1,
        producer_epoch=-1, base_sequence=-1, batch_size=1 << 30, **options,
    )  # fmt: skip
    for n, value in enumerate(values):
        made.append(n, 1_700_000_000_000 + n, b"key", value, [("from", b"test")])
    whole = made.build()
    struct.pack_into(">q", whole, 0, offset)
    return bytes(whole)


def old_batch(values: Iterable[bytes], codec: str, magic: int) -> bytes:
    made = LegacyRecordBatchBuilder(magic, CODECS[codec], 1 << 30)
    for n, value in enumerate(values):
        made.append(n, 1_700_000_000_000 + n, None, value)
    return bytes(made.build())


def opened(data: bytes | None) -> tuple[list[Any], int]:
    """Return the records of *data*, as aiokafka reads them, and the offset that comes next."""
    records, following = MemoryRecords(data or b""), 0
    found = []
    while records.has_next():
        one = records.next_batch()
        assert one is not None
        assert one.validate_crc()
        found += list(one)
        following = one.next_offset
    return found, following


def vet(*data: bytes, most: int = MOST) -> list[bytes | None]:
    """Return what is left of *data*, each a partition's."""
    topics = [("t", [(n, 0, 9, part) for n, part in enumerate(data)])]
    ((_, parts),) = bounded(topics, most)
    assert [part[:-1] for part in parts] == [(n, 0, 9) for n in range(len(data))]
    return [part[-1] for part in parts]


@pytest.mark.parametrize("codec", CODECS)
def test_what_is_within_bounds_is_left_as_it_is(codec: str) -> None:
    data = batch([b"a" * 40_000, b"b"], codec) + batch([b"c"], codec, offset=2)
    assert vet(data) == [data]
    assert vet(data + data[:70]) == [data + data[:70]]  # brokers cut the last one off
    assert vet(b"") == [b""]


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_a_batch_that_becomes_too_large_is_one_record_that_says_so(codec: str) -> None:
    bomb = batch([b"x", b"a" * MOST, b"y"], codec, offset=1)
    assert len(bomb) < MOST / 10
    good = batch([b"good"], codec, offset=4)
    (data,) = vet(batch([b"first"], codec) + bomb + good)
    found, following = opened(data)
    assert [(record.offset, why_unopened(record) is None) for record in found] == [
        (0, True), (3, False), (4, True)
    ]  # fmt: skip
    assert following == 5
    stand_in = found[1]
    assert stand_in.value == bomb[61:]
    assert stand_in.timestamp == 1_700_000_000_000
    assert why_unopened(stand_in) == (
        f"{len(bomb) - 61} bytes of {codec} become more than {MOST} bytes; they are the value of this "
        "record, as they came, and hold 3 records, by their own account"
    )


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("damage", ["cut", "noise"])
def test_a_batch_that_cannot_be_decompressed_does_not_stop_its_partition(
    codec: str, damage: str
) -> None:
    whole = batch([bytes(range(256)) * 20], codec)
    spoilt = bytearray(whole[:-30] if damage == "cut" else whole[:61] + b"\xff\xfe" * 40)
    struct.pack_into(">i", spoilt, 8, len(spoilt) - 12)
    (data,) = vet(bytes(spoilt) + batch([b"good"], codec, offset=1))
    found, following = opened(data)
    assert following == 2
    assert "cannot be decompressed" in (why_unopened(found[0]) or "")
    assert (found[1].value, found[1].offset) == (b"good", 1)


@pytest.mark.parametrize(
    ("codec", "magic"), [("gzip", 0), ("snappy", 0), ("gzip", 1), ("snappy", 1), ("lz4", 1)]
)
def test_so_are_messages_of_old_brokers(codec: str, magic: int) -> None:
    small = old_batch([b"a", b"b"], codec, magic)
    assert vet(small) == [small]
    (data,) = vet(old_batch([b"a" * MOST * 2], codec, magic))
    (stand_in,), _ = opened(data)
    assert "become more than" in (why_unopened(stand_in) or "")


def test_a_transaction_s_stays_in_it() -> None:
    made = DefaultRecordBatchBuilder(
        magic=2, compression_type=1, is_transactional=1, producer_id=77,
        producer_epoch=3, base_sequence=0, batch_size=1 << 30,
    )  # fmt: skip
    made.append(0, 1, None, b"a" * MOST * 2, [])
    (data,) = vet(bytes(made.build()))
    found = MemoryRecords(data or b"").next_batch()
    assert found is not None
    assert (found.is_transactional, found.producer_id) == (True, 77)


def test_all_that_is_read_at_once_is_bounded_and_the_first_batch_always_comes() -> None:
    one = [batch([b"a" * (MOST // 2)], "gzip", offset=n) for n in range(3)]
    assert vet(b"".join(one), one[0]) == [one[0], b""]
    # What is not compressed is here already.
    (large,) = vet(batch([b"a" * MOST * 2], "none"))
    assert len(opened(large)[0]) == 1


@pytest.mark.parametrize("data", [b"\x00" * 100, b"\xff" * 100, b"\x00" * 17])
def test_what_is_no_batch_is_left_to_aiokafka(data: bytes) -> None:
    assert vet(data) == [data]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b'{"prompt":"' + b"a" * (32 * 1024 * 1024) + b'"}', "33554445 bytes are more than"),
        (b'{"prompt":[' + b"[]," * 800_000 + b"1]}", "too many values"),
        (b'{"prompt":NaN,"a":"' + b"a" * (4 * 1024 * 1024) + b'"}', "no JSON"),
    ],
)
def test_a_record_is_bounded_as_a_body_is(value: bytes, words: str) -> None:
    with pytest.raises(UnreadableError, match=words):
        read(value)


@pytest.mark.parametrize(
    ("said", "count"), [(b"3", 3), (b"0", 1), (b"-3", 1), (b"x", 1), (b"\xb2", 1), (None, 1)]
)
def test_it_counts_for_the_records_it_holds_whatever_a_producer_writes(
    said: bytes | None, count: int
) -> None:
    (data,) = vet(batch([b"a" * MOST] * 3, "gzip"))
    (record,), _ = opened(data)
    assert records_in(record) == 3

    class Forged:
        headers = (("llmobs.unopened", b""), ("llmobs.unopened_records", said))

    assert records_in(Forged) == count


def test_its_header_does_not_go_on_into_the_dead_letter() -> None:
    (data,) = vet(batch([b"a" * MOST * 2], "gzip"))
    (record,), _ = opened(data)

    class Record:
        topic, partition, offset = "t", 0, record.offset
        key, value, timestamp, headers = None, record.value, record.timestamp, record.headers

    ((dead, why),) = Fetched.of({"p": [Record]}).dead
    names = [name for name, _ in _letter(dead, why)["headers"]]
    assert names == ["llmobs.reason", "llmobs.topic", "llmobs.partition", "llmobs.offset"]
    assert STANDS_IN.isdisjoint(names)
