"""What the collector does with requests that wait together."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from llmobs.errors import SinkUnavailableError
from llmobs.events import Event
from llmobs.recorded.ids import new_id
from llmobs.server.collector import Collector
from llmobs.server.room import BusyError
from llmobs.settings import Settings
from llmobs.store.writer import Writer
from tests.server.collecting import ids, stored
from tests.sinks.examples import prompt_call

pytestmark = pytest.mark.anyio


class Gated(Writer):
    """A writer that waits to be let on, and tells what it was given."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.gate = threading.Event()
        self.batches: list[list[str]] = []
        self.away = False

    def write(self, events: Sequence[Event], **more: Any) -> None:
        if events:
            self.batches.append(ids(events))
            assert self.gate.wait(30)
        if self.away:
            raise SinkUnavailableError("not now")
        super().write(events, **more)


@asynccontextmanager
async def collecting(path: Path, **bounds: int) -> AsyncIterator[tuple[Collector, Gated]]:
    writer = await asyncio.to_thread(Gated, path)
    collector = Collector(lambda: writer, Settings(), **bounds)
    await collector.open()
    try:
        yield collector, writer
    finally:
        writer.gate.set()
        await collector.aclose()


def some(count: int) -> list[Event]:
    return [prompt_call(event_id=new_id(), run_id=new_id()) for _ in range(count)]


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


async def test_what_waits_together_is_one_commit(tmp_path: Path) -> None:
    store = tmp_path / "llmobs.db"
    async with collecting(store) as (collector, writer):
        first = asyncio.create_task(collector.store(some(1)))
        await until(lambda: writer.batches)
        others = [asyncio.create_task(collector.store(some(2))) for _ in range(50)]
        await until(lambda: collector.room.events == 101)
        await collector.work(lambda: None)  # all are prepared
        await asyncio.sleep(0)
        assert not first.done()  # nobody is answered before it is written
        writer.gate.set()
        assert await asyncio.gather(first, *others) == [{}] * 51
        assert len(writer.batches) <= 3
        assert collector.stored == 101 and collector.room.events == 0
    assert len(stored(store)) == 101


async def test_one_event_twice_in_a_commit_is_stored_once(tmp_path: Path) -> None:
    store, event_id = tmp_path / "llmobs.db", new_id()
    async with collecting(store) as (collector, writer):
        writer.gate.set()
        takes = [collector.store([prompt_call(event_id=event_id)]) for _ in range(5)]
        assert await asyncio.gather(*takes) == [{}] * 5
    assert ids(stored(store)) == [event_id]


async def test_who_goes_away_leaves_his_events_here(tmp_path: Path) -> None:
    store = tmp_path / "llmobs.db"
    async with collecting(store) as (collector, writer):
        taking = asyncio.create_task(collector.store(some(3)))
        await until(lambda: writer.batches)
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
        assert collector.room.events == 3  # under way still
        writer.gate.set()
        await until(lambda: collector.room.events == 0)
    assert len(stored(store)) == 3


async def test_a_store_that_is_away_fails_all_who_wait_and_is_tried_again(tmp_path: Path) -> None:
    async with collecting(tmp_path / "llmobs.db") as (collector, writer):
        writer.away = True
        writer.gate.set()
        takes = [asyncio.create_task(collector.store(some(1))) for _ in range(3)]
        for outcome in await asyncio.gather(*takes, return_exceptions=True):
            assert isinstance(outcome, SinkUnavailableError)
        assert collector.trouble is not None and collector.room.events == 0
        writer.away = False
        assert await collector.store(some(1)) == {}
        assert collector.trouble is None


async def test_room_is_bounded_in_events_and_one_batch_always_fits(tmp_path: Path) -> None:
    async with collecting(tmp_path / "llmobs.db", max_events=5) as (collector, writer):
        taking = asyncio.create_task(collector.store(some(20)))
        await until(lambda: writer.batches)
        with pytest.raises(BusyError):
            await collector.store(some(1))
        writer.gate.set()
        assert await taking == {}
        assert await collector.store(some(1)) == {}


async def test_ending_waits_for_what_was_taken(tmp_path: Path) -> None:
    store = tmp_path / "llmobs.db"
    async with collecting(store) as (collector, writer):
        taking = asyncio.create_task(collector.store(some(4)))
        await until(lambda: writer.batches)
        asyncio.get_running_loop().call_later(0.05, writer.gate.set)
        await collector.aclose()
        assert await taking == {}
    assert len(stored(store)) == 4
