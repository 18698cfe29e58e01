"""A collector indexes texts behind ingest, and says how far it is."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import anyio
import pytest

from llmobs.server.texts import Indexing
from llmobs.store.reader import Reader
from llmobs.store.text_index import index_beside
from tests.support.polling import eventually
from tests.support.stores import call, write_store

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio"])
def anyio_backend(request: Any) -> Any:
    """uvicorn's."""
    return request.param


def hits(store: Path, text: str) -> int:
    with Reader(store) as reader:
        return len(reader.search(text).hits)


async def test_what_comes_is_found_soon_and_a_damaged_index_is_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmobs.server.texts.TROUBLE_SECONDS", 0.05)
    store = tmp_path / "x.db"
    indexing = Indexing(store)
    assert indexing.waiting is None
    async with anyio.create_task_group() as group:
        group.start_soon(indexing.run)  # before there is a store
        await anyio.to_thread.run_sync(write_store, store, [call("r", prompt="parcel")])
        await anyio.to_thread.run_sync(eventually, lambda: hits(store, "parcel") == 1)
        index_beside(store).write_bytes(b"no database" * 1_000)
        await anyio.to_thread.run_sync(write_store, store, [call("r", 1, prompt="parcel")])
        await anyio.to_thread.run_sync(eventually, lambda: hits(store, "parcel") == 2)
        assert indexing.waiting is not None and indexing.waiting.events == 0
        group.cancel_scope.cancel()
    assert index_beside(store).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("is_busy", [False, True])
async def test_it_rests_for_longer_while_events_come(
    is_busy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []
    took: list[float] = []
    step = Reader.index_texts

    def timed(self: Reader, seconds: float = 0.0) -> Any:
        began = time.monotonic()
        left = step(self, seconds)
        took.append(time.monotonic() - began)
        return left

    async def rest(seconds: float) -> None:
        rests.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr(Reader, "index_texts", timed)
    monkeypatch.setattr("llmobs.server.texts.anyio.sleep", rest)
    monkeypatch.setattr("llmobs.server.texts.BUSY_REST", 10_000)
    store = tmp_path / "x.db"
    events = [call("r", i, prompt="parcel " * 50) for i in range(2_000)]
    await asyncio.to_thread(write_store, store, events)
    indexing = Indexing(store, is_busy=lambda: is_busy)
    task = asyncio.create_task(indexing.run())
    await asyncio.to_thread(eventually, lambda: hits(store, "parcel") > 0 and len(rests) > 1)
    task.cancel()
    await asyncio.wait([task])
    times = rests[0] / took[0]  # more was left after the first step than it looks at
    assert times >= 10_000 if is_busy else 2 <= times < 10_000


async def test_an_end_in_the_middle_of_a_step_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one thread closes while another uses it ends the process: SQLite trusts its callers."""
    store = tmp_path / "x.db"
    await asyncio.to_thread(write_store, store, [call("r", prompt="parcel")])
    in_step, go_on = threading.Event(), threading.Event()
    done: list[tuple[str, str]] = []
    step, close = Reader.index_texts, Reader.close

    def slow_step(self: Reader, seconds: float = 0.0) -> Any:
        in_step.set()
        assert go_on.wait(30)
        found = step(self, seconds)
        done.append(("step", threading.current_thread().name))
        return found

    def noted_close(self: Reader) -> None:
        done.append(("close", threading.current_thread().name))
        close(self)

    monkeypatch.setattr(Reader, "index_texts", slow_step)
    monkeypatch.setattr(Reader, "close", noted_close)
    task = asyncio.create_task(Indexing(store).run())
    await asyncio.to_thread(in_step.wait, 30)
    task.cancel()  # as the server does, which knows no scopes of anyio's
    await asyncio.wait([task], timeout=0.05)
    assert not done and not task.done()
    go_on.set()
    await asyncio.wait([task], timeout=30)
    assert task.cancelled()
    assert done == [("step", "llmobs-texts"), ("close", "llmobs-texts")]
