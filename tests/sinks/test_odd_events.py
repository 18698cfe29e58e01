"""An event that cannot be written as it is costs what cannot be written, not itself, nor its batch."""

import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from llmobs import AsyncClient
from llmobs.codec import decode
from llmobs.errors import SinkRejectedError
from llmobs.events import Event, PromptCallEvent
from llmobs.pipeline.sink import Batch
from llmobs.runtime.troubles import raise_internal_errors
from llmobs.sinks.console import ConsoleSink
from llmobs.sinks.jsonl import JSONLSink
from llmobs.sinks.sqlite import SQLiteSink
from llmobs.store.reader import Reader
from tests.helpers import make_event

pytestmark = pytest.mark.anyio


class Lazy:
    """A proxy of a web framework, used outside of its request."""

    def _outside(self, *_: Any) -> Any:
        raise RuntimeError("working outside of request context")

    __float__ = __int__ = __str__ = __repr__ = __len__ = __iter__ = _outside


ODD: list[dict[str, Any]] = [
    {"latency_ms": Lazy()},
    {"tokens_input": Lazy()},
    {"tokens_output": 2**70},
    {"cost_usd": -(10**30)},
    {"model": Lazy()},
    {"user_id": Lazy()},
    {"user_id": ["a", "list"]},
    {"timestamp": 1_700_000_000.5},
    {"timestamp": datetime(2026, 1, 2, 3, 4)},  # noqa: DTZ001 - that is the point
    {"timestamp": datetime.max},  # noqa: DTZ901
    {"timestamp": None},
    {"timestamp": Lazy()},
    {"run_id": None},
    {"run_id": Lazy()},
    {"status": Lazy()},
]


def odd_event(values: dict[str, Any]) -> PromptCallEvent:
    return make_event(prompt="the prompt", response="the answer", **values)


@pytest.mark.parametrize("values", ODD, ids=lambda v: f"{next(iter(v))}")
async def test_a_row_that_cannot_be_bound_loses_only_that(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    path = tmp_path / "x.db"
    good = [make_event() for _ in range(50)]
    odd = odd_event(values)
    sink = SQLiteSink(path)
    await sink.open()
    await sink.send(Batch([*good[:25], odd, *good[25:]]))
    await sink.aclose()
    with Reader(path) as reader:
        found = {event.event_id: event for row in reader.events() if (event := row.decode())}
    assert len(found) == 51
    kept: Any = found[odd.event_id]
    assert (kept.prompt, kept.response) == ("the prompt", "the answer")
    assert kept.timestamp.tzinfo is not None and type(kept.run_id) is str and kept.run_id
    name = next(iter(values))
    if values[name] is not None and name not in ("timestamp", "status"):
        assert any(name in words for words in kept.warnings), kept.warnings


async def test_the_console_shows_what_it_can() -> None:
    lines: list[str] = []
    await ConsoleSink(lines.append).send(Batch([odd_event(values) for values in ODD]))
    assert len(lines) == len(ODD)


async def test_what_could_not_be_completed_leaves_with_what_is_known(tmp_path: Path) -> None:
    def complete(event: Any) -> None:
        event.response = "the first half"
        raise RecursionError

    path = tmp_path / "x.db"
    raise_internal_errors(False)
    try:
        async with AsyncClient(sink=SQLiteSink(path)) as client:
            for values in ({"timestamp": 1_700_000_000.5}, {"timestamp": Lazy()}):
                event = odd_event({"tokens_input": 7, **values})
                client.record(event, None, 0, False, complete)
    finally:
        raise_internal_errors(True)
    assert client.statistics().delivered == 2
    with Reader(path) as reader:
        for found in [row.decode() for row in reader.events()]:
            assert isinstance(found, PromptCallEvent)
            assert (found.response, found.tokens_input) == ("the first half", 7)
            assert any("could not be read" in words for words in found.warnings)


async def test_an_event_that_cannot_be_stored_at_all_is_refused_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    sink = SQLiteSink(path)
    await sink.open()
    connection = sqlite3.connect(path)
    connection.execute(
        "CREATE TRIGGER no BEFORE INSERT ON events WHEN new.name = 'cursed' "
        "BEGIN SELECT raise(FAIL, 'not this one'); END"
    )
    connection.close()
    events = [make_event(), make_event(model="cursed"), make_event()]
    with pytest.raises(SinkRejectedError, match="not this one") as caught:
        await sink.send(Batch(events))
    assert list(caught.value.events) == [events[1].event_id]
    assert caught.value.delivered
    await sink.aclose()
    with Reader(path) as reader:
        assert [row.decode().event_id for row in reader.events()] == [  # type: ignore[union-attr]
            events[0].event_id,
            events[2].event_id,
        ]


@pytest.mark.parametrize(
    "damage",
    ["DROP TABLE runs", "DROP TABLE events", "ALTER TABLE events DROP COLUMN error"],
)
async def test_a_store_without_its_tables_needs_a_hand_and_loses_no_event(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "x.db"
    async with AsyncClient(sink=SQLiteSink(path), shutdown_timeout=2) as client:
        client.log_error("r", "before")
        await client.flush()
        connection = sqlite3.connect(path)
        connection.execute(damage)
        connection.close()
        client.log_error("r", "after")
        report = await client.flush(0.2)
        assert (report.pending, report.dropped) == (1, {})
        path.unlink()
        assert (await client.flush(5)).delivered == 1
    assert "has not the tables of a store any more" in caplog.text


@pytest.mark.parametrize("make", [JSONLSink, SQLiteSink])
async def test_what_cannot_be_encoded_is_plainer_or_refused_alone(
    tmp_path: Path, make: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from llmobs import codec

    def encode(event: Event) -> bytes:
        if getattr(event, "prompt", None) == "content" or getattr(event, "model", "") == "cursed":
            raise RecursionError
        return codec.encode(event)

    for place in ("llmobs.sinks.jsonl.encode", "llmobs.store.pieces.encode"):
        monkeypatch.setattr(place, encode)
    path = tmp_path / "x"
    events = [
        make_event(),
        make_event(prompt="content", tokens_input=7),
        make_event(model="cursed"),
    ]
    sink = make(path)
    await sink.open()
    with pytest.raises(SinkRejectedError) as caught:
        await sink.send(Batch(events))
    await sink.aclose()
    assert list(caught.value.events) == [events[2].event_id]
    if make is JSONLSink:
        found: list[Any] = [decode(line) for line in path.read_bytes().splitlines()]
    else:
        with Reader(path) as reader:
            found = [row.decode() for row in reader.events()]
    assert [event.event_id for event in found] == [event.event_id for event in events[:2]]
    assert (found[1].prompt, found[1].tokens_input) == ("", 7)
    assert "left out" in found[1].warnings[0]
