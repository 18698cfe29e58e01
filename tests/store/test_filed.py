"""An event that was filed elsewhere, be it in another process, is stored as it would have been."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from llmobs import Event
from llmobs.codec import decode, encode
from llmobs.store import pieces
from llmobs.store.filed import Filed, file, number, unfile
from llmobs.store.reader import Reader
from llmobs.store.writer import Writer
from tests.sinks.examples import every_kind
from tests.support.stores import call

LONG = [{"role": "user", "content": "where is my parcel " * 40}, "short"]


ENCODED = [  # read once: a whole number in a field of fractions is one of these then
    encode(decode(encode(event))) for event in (*every_kind(), call("long", prompt=LONG))
]


def events() -> list[Event]:
    """Return the same each time: one of each kind, and a call whose messages are stored apart."""
    return [decode(data) for data in ENCODED]


def passed(one: Filed) -> Filed:
    """Return *one* as it comes out of another process."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(one), type=Filed)


def dump(path: Path) -> dict[str, list[Any]]:
    """Return what the tables of a store hold."""
    with Reader(path) as reader:
        connection = reader._connection
        assert connection is not None
        return {
            table: sorted(map(repr, map(tuple, connection.execute(f"SELECT * FROM {table}"))))
            for table in ("events", "bodies", "runs", "rollups", "evaluations")
        }


def test_nothing_is_lost_on_the_way() -> None:
    for event in events():
        assert unfile(passed(file(event, b"salt"))) == event


def test_what_was_filed_is_stored_as_what_was_not(tmp_path: Path) -> None:
    for name in ("filed", "not"):
        writer = Writer(tmp_path / f"{name}.db")
        writer.write([])
        connection = writer._connection
        assert connection is not None
        connection.execute("UPDATE store SET value = ? WHERE name = 'salt'", (b"one of two",))
        for _ in range(2):  # what is sent again changes nothing
            some: list[Any] = events()
            if name == "filed":
                some = [passed(file(event, b"one of two")) for event in some]
            writer.write(some)
        assert writer.salt == b"one of two"
        writer.close()
    assert dump(tmp_path / "filed.db") == dump(tmp_path / "not.db")


def test_it_may_have_been_filed_for_the_store_that_was_there_before(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    writer = Writer(path)
    writer.write([passed(file(event, b"another store's")) for event in events()])
    writer.write([call("again", prompt=LONG)])
    writer.close()
    with Reader(path) as reader:
        found = {one.body.encode() for one in reader.events()}
        assert found > set(ENCODED)
        assert reader._connection is not None
        count = reader._connection.execute("SELECT count(*) FROM pieces").fetchone()
        assert tuple(count) == (1,)  # by this store's salt


def test_messages_of_one_event_with_one_hash_are_not_mixed_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = pieces.blake2b
    monkeypatch.setattr(pieces, "blake2b", lambda data, **more: real(b"", **more))
    event = call("r", prompt=["a" * 500, "b" * 500])
    other = call("r", 1, prompt=["c" * 500])
    third = call("r", 2, prompt=["d" * 500])
    writer = Writer(tmp_path / "x.db")
    writer.write([])
    writer.write([file(one, writer.salt) for one in (event, other, third)])
    writer.close()
    with Reader(tmp_path / "x.db") as reader:
        found = [one.decode() for one in reader.events()]
    assert found == [event, other, third]


@pytest.mark.parametrize("before", [None, "0123-a"])
@pytest.mark.parametrize("after", [None, "0123-a", "4567-b"])
def test_it_is_put_inside_another_one(before: str | None, after: str | None) -> None:
    for event in events():
        event.parent_id = before
        one = file(event, b"salt").inside(after)
        event.parent_id = after
        assert one.row.parent_id == after
        assert unfile(one) == event


def test_what_sqlite_does_not_take_costs_itself(tmp_path: Path) -> None:
    odd, fine = call("r"), call("r", 1)
    odd.tokens_input = 2**70
    one = file(odd, b"")
    writer = Writer(tmp_path / "x.db")
    writer.write([one, file(fine, b"")])
    writer.close()
    with Reader(tmp_path / "x.db") as reader:
        found = [one.decode() for one in reader.events()]
    assert [event and event.event_id for event in found] == [odd.event_id, fine.event_id]


def test_numbers_and_what_is_booked_are_the_stores() -> None:
    some = [file(call("r", second), b"") for second in (0, 1)]
    number(some, 7, some[0].row.timestamp)
    assert [(one.row.id, one.row.booked) for one in some] == [(7, 0), (8, 1)]
