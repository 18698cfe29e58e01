"""The life of an AsyncClient: entered and left from any task, cancelled at any moment, twice too."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import anyio
import pytest
import trio

from llmobs import AsyncClient
from llmobs.pipeline.cost import Pricing
from tests.helpers import ScriptedSink

pytestmark = pytest.mark.anyio
SECONDS = 10


@pytest.fixture
def slow_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading prices passes several checkpoints, and its last part cannot be cancelled."""

    async def load(self: Pricing) -> None:
        for _ in range(3):
            await anyio.sleep(0)
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.01)

    monkeypatch.setattr(Pricing, "load", load)


async def still_works(client: AsyncClient, sink: ScriptedSink) -> None:
    """What was recorded before is delivered when the client is entered again."""
    with anyio.fail_after(SECONDS):
        async with client:
            client.log_error("r", "after")
            await client.flush(SECONDS)
    assert [event.run_id for event in sink.events] == ["before", "r"]
    statistics = client.statistics()
    assert (statistics.accepted, statistics.delivered, statistics.pending) == (2, 2, 0)


@pytest.mark.parametrize("after", range(12))
async def test_cancelled_while_entering(after: int, slow_prices: None) -> None:
    client = AsyncClient(sink=(sink := ScriptedSink()))
    client.log_error("before", "boom")

    async def enter() -> None:
        with scope:
            async with client:
                await anyio.sleep_forever()

    scope = anyio.CancelScope()
    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as group:
            group.start_soon(enter)
            for _ in range(after):
                await anyio.sleep(0)
            scope.cancel()
    if not sink.events:
        await still_works(client, sink)


@pytest.mark.parametrize("pause", [0, 1, 2, 5])
@pytest.mark.parametrize("after", range(0, 12, 2))
def test_cancelled_twice_while_entering(after: int, pause: int, slow_prices: None) -> None:
    """As `asyncio.Task.cancel` does, which knows nothing of shields."""

    async def main() -> None:
        client = AsyncClient(sink=(sink := ScriptedSink()))
        client.log_error("before", "boom")

        async def enter() -> None:
            async with client:
                await asyncio.sleep(SECONDS)

        task = asyncio.create_task(enter())
        for wait in (after, pause):
            for _ in range(wait):
                await asyncio.sleep(0)
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait_for(asyncio.shield(task), SECONDS)
        with anyio.fail_after(SECONDS):
            while client._life is not None:
                await asyncio.sleep(0.001)
        if not sink.events:
            await still_works(client, sink)

    asyncio.run(asyncio.wait_for(main(), 3 * SECONDS))


async def test_entered_and_left_in_different_tasks() -> None:
    client = AsyncClient(sink=(sink := ScriptedSink()), flush_interval_seconds=60)
    async with anyio.create_task_group() as group:
        group.start_soon(client.__aenter__)
    client.log_error("r", "boom")
    async with anyio.create_task_group() as group:
        group.start_soon(client.__aexit__, None, None, None)
    assert len(sink.events) == 1
    assert (sink.opened, sink.closed) == (1, 1)


async def test_the_task_that_entered_may_be_cancelled_long_before_the_end() -> None:
    client = AsyncClient(sink=(sink := ScriptedSink()), flush_interval_seconds=0.001)
    with anyio.CancelScope() as scope:
        await client.__aenter__()
        scope.cancel()
        await anyio.sleep(0)
    client.log_error("r", "boom")
    assert (await client.flush(SECONDS)).delivered == 1
    await client.__aexit__(None, None, None)
    assert len(sink.events) == 1


@pytest.fixture
async def shared() -> AsyncIterator[tuple[AsyncClient, ScriptedSink]]:
    async with AsyncClient(sink=(sink := ScriptedSink())) as client:
        yield client, sink


async def test_a_fixture_may_own_a_client(shared: tuple[AsyncClient, ScriptedSink]) -> None:
    client, sink = shared
    client.log_error("r", "boom")
    await client.flush(SECONDS)
    assert len(sink.events) == 1


def test_left_in_another_loop_says_the_way_out() -> None:
    client = AsyncClient(sink=ScriptedSink())
    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(client.__aenter__())
        with pytest.raises(RuntimeError, match="another event loop: leave it where it was entered"):
            second.run(client.__aexit__(None, None, None))
        first.run(client.__aexit__(None, None, None))


@pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=["asyncio", "trio"])
def test_a_client_that_nobody_leaves_does_not_hold_up_the_end(run: Any) -> None:
    client = AsyncClient(sink=(sink := ScriptedSink()), flush_interval_seconds=60)

    async def main() -> None:
        await client.__aenter__()
        client.log_error("before", "boom")

    run(main if run is trio.run else main())
    assert client.statistics().pending == 1
    anyio.run(still_works, client, sink)


@pytest.mark.parametrize("use_uvloop", [False, True], ids=["asyncio", "uvloop"])
def test_a_native_second_cancellation_while_leaving_loses_nothing(use_uvloop: bool) -> None:
    options = {"use_uvloop": use_uvloop}
    anyio.run(cancelled_again_and_again, backend="asyncio", backend_options=options)


async def cancelled_again_and_again() -> None:
    class Slow(ScriptedSink):
        async def send(self, batch: Any) -> None:
            await anyio.sleep(0.05)
            await super().send(batch)

    client = AsyncClient(sink=(sink := Slow()), flush_interval_seconds=60)

    async def use() -> None:
        async with client:
            client.log_error("r", "boom")
            await asyncio.sleep(SECONDS)

    task = asyncio.create_task(use())
    with anyio.fail_after(SECONDS):
        while not client.statistics().accepted:
            await asyncio.sleep(0.001)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.01)
    with suppress(asyncio.CancelledError):
        await task
    with anyio.fail_after(SECONDS):
        while client.statistics().pending:
            await asyncio.sleep(0.001)
    assert len(sink.events) == 1
    assert client.statistics().delivered == 1
