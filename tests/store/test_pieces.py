"""Members of message lists are stored once, and every event is read back to the byte."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmobs import Event, PromptCallEvent, ToolCallEvent
from llmobs.codec import encode
from llmobs.store import pieces
from llmobs.store.reader import Reader
from llmobs.store.records import RetentionPolicy
from llmobs.store.writer import Writer
from tests.store.recount import check_pieces
from tests.support.stores import at, call, run, write_store

WORDS = ("order", "parcel", "refund", "stock", "price", "answer", "search", "customer", "street")


def text(chance: random.Random, length: int) -> str:
    words: list[str] = []
    while sum(map(len, words)) + len(words) < length:
        words.append(f"{chance.choice(WORDS)}{chance.randrange(1000)}")
    return " ".join(words)[:length]


def agent(run_id: str, turns: int = 30, seed: int = 1) -> list[Event]:
    """An agent that resends all it was told and said with every call."""
    chance = random.Random(f"{seed} {run_id}")
    tools = [
        {"type": "function", "function": {"name": name, "description": text(chance, 300)}}
        for name in WORDS[:4]
    ]
    history: list[dict[str, Any]] = [
        {"role": "system", "content": text(random.Random(seed), 2_000)},
        {"role": "user", "content": text(chance, 300)},
    ]
    events: list[Event] = []
    for turn in range(turns):
        answer = text(chance, 400)
        events.append(
            call(
                run_id, turn, prompt=list(history), response=answer, tokens_input=1000,
                request_params={"temperature": 0.2, "tools": tools},
            )
        )  # fmt: skip
        history += [
            {"role": "assistant", "content": answer},
            {"role": "tool", "tool_call_id": f"call_{turn}", "content": text(chance, 1_500)},
        ]
    return [*events, run(run_id, 0)]


def stored_bytes(path: Path) -> int:
    """Return what all rows and their indexes take, in the file."""
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return int(connection.execute("SELECT sum(pgsize - unused) FROM dbstat").fetchone()[0])
    except sqlite3.OperationalError:
        pytest.skip("this SQLite has no dbstat")
    finally:
        connection.close()


def test_an_agent_that_resends_its_history_takes_a_tenth(tmp_path: Path) -> None:
    empty = stored_bytes(write_store(tmp_path / "empty.db", []))
    events = [event for number in range(5) for event in agent(f"run-{number}")]
    raw = sum(len(encode(event)) for event in events)
    path = write_store(tmp_path / "x.db", events)
    assert stored_bytes(path) - empty <= raw / 10
    with Reader(path) as reader:
        assert [stored.body.encode() for stored in reader.events()] == [*map(encode, events)]
        assert reader.run("run-3").events[7] == agent("run-3")[6] or reader.run("run-3").total == 31


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers(-(2**80), 2**80) | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=60)
@given(values=st.lists(json_values, min_size=1, max_size=5), as_dict=st.booleans())
def test_any_list_is_read_back_to_the_byte(values: list[Any], as_dict: bool) -> None:
    values = [*values, "x" * 300, {"role": "user", "content": "\x01AAAAAAAAAAA" * 30}]
    prompt = {"messages": values, "n": 1} if as_dict else values
    for event in (call("r", prompt=prompt), ToolCallEvent(**_base(), input=prompt)):
        body, found = pieces.take_apart(event, b"salt")
        content = {piece.hash: piece.data for piece in found}
        assert pieces.put_together(body, content.get).encode() == encode(event)
        assert pieces.references(body) == content.keys()
        for piece in found:
            assert pieces.unpack(pieces.pack(piece.data)) == piece.data


def _base() -> dict[str, Any]:
    event = call("r")
    return {"event_id": event.event_id, "run_id": "r", "timestamp": event.timestamp}


def test_short_members_and_plain_texts_stay_with_their_event() -> None:
    for prompt in ("x" * 5_000, [{"role": "user", "content": "short"}], ["x" * 200], [], {"a": 1}):
        body, found = pieces.take_apart(call("r", prompt=prompt), b"")
        assert found == []
        assert "\x01" not in body


def test_a_message_goes_with_the_last_run_that_has_it(tmp_path: Path) -> None:
    shared = {"role": "system", "content": "shared " * 100}
    path = tmp_path / "x.db"
    writer = Writer(path)
    for number in range(3):
        own = {"role": "user", "content": f"secret-{number} " * 100}
        writer.write([call(f"r{number}", number * 3600, prompt=[shared, own])])
    assert count(path) == 4
    writer.erase(["r0"])
    assert count(path) == 3
    while writer.prune(RetentionPolicy(since=at(2 * 3600))):
        pass
    assert count(path) == 2
    with Reader(path) as reader:
        (event,) = reader.run("r2").events
        assert isinstance(event, PromptCallEvent)
        assert event.prompt[0] == shared
    writer.erase(["r2"])
    assert count(path) == 0
    writer.close()


def count(path: Path) -> int:
    connection = sqlite3.connect(path)
    found = int(connection.execute("SELECT count(*) FROM pieces").fetchone()[0])
    connection.close()
    return found


# Runs with some of five messages each, in one batch; or a run to erase.
_BATCHES = st.lists(
    st.one_of(
        st.lists(st.tuples(st.integers(0, 3), st.sets(st.integers(0, 4))), min_size=1, max_size=6),
        st.integers(0, 3),
    ),
    max_size=8,
)


@settings(max_examples=60)
@given(_BATCHES)
def test_messages_are_there_as_long_as_a_run_has_them(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[int, set[int]]] | int]
) -> None:
    path = tmp_path_factory.mktemp("pieces") / "x.db"
    wanted: dict[str, set[int]] = {}
    with closing(Writer(path)) as writer, closing(sqlite3.connect(path)) as connection:
        for batch in batches:
            if isinstance(batch, int):
                wanted.pop(f"r{batch}", None)
                writer.erase([f"r{batch}"])
            else:
                for number, said in batch:
                    wanted.setdefault(f"r{number}", set()).update(said)
                new = [call(f"r{n}", prompt=[f"{m}" * 500 for m in said]) for n, said in batch]
                writer.write(new)
                writer.write(new)  # once more
            check_pieces(connection)
            there = connection.execute("SELECT run_id, count(*) FROM run_pieces GROUP BY 1")
            assert dict(there) == {run_id: len(said) for run_id, said in wanted.items() if said}


def test_another_content_under_the_same_hash_is_not_mixed_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_store(tmp_path / "x.db", [call("r1", prompt=["a" * 500])])
    connection = sqlite3.connect(path)
    connection.execute("UPDATE pieces SET data = 'another'")
    connection.commit()
    connection.close()
    write_store(path, [call("r2", prompt=["a" * 500])])
    with Reader(path) as reader:
        (event,) = reader.run("r2").events
        assert isinstance(event, PromptCallEvent)
        assert event.prompt == ["a" * 500]


def test_a_piece_that_is_gone_leaves_the_rest_readable(tmp_path: Path) -> None:
    path = write_store(tmp_path / "x.db", [call("r1", prompt=["a" * 500, "short"])])
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM pieces")
    connection.commit()
    connection.close()
    with Reader(path) as reader:
        (event,) = reader.run("r1").events
        assert isinstance(event, PromptCallEvent)
        assert event.prompt == [None, "short"]
