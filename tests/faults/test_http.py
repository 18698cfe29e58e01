"""Each fault of an HTTP collector, end to end through both clients."""

import time
from typing import Any

import anyio
import pytest

from llmobs import AsyncClient, Client, SinkState
from tests.faults.cases import BATCH, CASES, EVENTS, TIMEOUT, Case, arrived, check_arrivals
from tests.faults.watch import balance, balancing, tasks, watching
from tests.support.faultproxy import FaultProxy
from tests.support.faults import Fault
from tests.support.polling import eventually
from tests.support.ports import free_ports
from tests.support.watchllm_server import WatchLLMServer

pytestmark = pytest.mark.faults

OTHER_LOOPS = [
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    pytest.param(("trio", {}), id="trio"),
]
RAW = [
    case
    for case in CASES
    if case.name
    in ("slow, too late", "half open", "reset in the body", "closed before", "endless headers")
]
"""Where event loops differ: the ends of connections, and deadlines."""


def settings(address: str, **more: Any) -> dict[str, Any]:
    return {
        "sink": f"http://test-key@{address}/v1",
        "timeout": TIMEOUT,
        "batch_size": BATCH,
        "flush_interval_seconds": 0.02,
        "shutdown_timeout": 5.0,
        **more,
    }


def log(client: AsyncClient | Client, count: int) -> list[str]:
    return [client.log_prompt_call("r", f"p{n}", "gpt-4o", "a", 1, 1, 1) for n in range(count)]


async def until_settled(client: AsyncClient, seconds: float = 10.0, flush: bool = False) -> None:
    with anyio.fail_after(seconds):
        while client.statistics().pending:
            if flush:
                await client.flush(0.2)
            await anyio.sleep(0.01)


async def _through(case: Case, server: WatchLLMServer) -> None:
    before = tasks()
    server.faults.add(case.make())
    client = AsyncClient(**settings(server.address))
    async with watching(client):
        async with client:
            ids = log(client, EVENTS // 2)
            await anyio.sleep(0.1)
            ids += log(client, EVENTS // 2)
            if case.lasts:
                with anyio.move_on_after(0.5):
                    await until_settled(client, flush=True)
                assert client.statistics().pending == EVENTS
                server.faults.clear()
            # A flush cuts pauses short, so patience is only seen without.
            await until_settled(client, flush=not case.patient)
            assert client.statistics().state in (SinkState.IDLE, SinkState.DELIVERING)
        assert tasks() == before + 1  # the watch
    statistics = client.statistics()
    balance(statistics)
    dropped = sum(case.dropped.values())
    assert (statistics.dropped, statistics.delivered) == (case.dropped, EVENTS - dropped)
    check_arrivals(case, ids, server)


@pytest.mark.anyio
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_async_client(case: Case, server: WatchLLMServer) -> None:
    await _through(case, server)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", OTHER_LOOPS)
@pytest.mark.parametrize("case", RAW, ids=str)
async def test_raw_ends_on_other_loops(case: Case, server: WatchLLMServer) -> None:
    await _through(case, server)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_client(case: Case, server: WatchLLMServer) -> None:
    server.faults.add(case.make())
    slowest = 0.0
    ids: list[str] = []
    with Client(**settings(server.address)) as client, balancing(client):
        for _ in range(EVENTS):
            begin = time.monotonic()
            ids += log(client, 1)
            slowest = max(slowest, time.monotonic() - begin)
        if case.lasts:
            client.flush(0.3)
            assert client.statistics().pending == EVENTS
            server.faults.clear()
        eventually(
            lambda: (case.patient or client.flush(0.2)) and not client.statistics().pending,
            what="delivery",
        )
    assert slowest < 0.25  # starting the thread included
    statistics = client.statistics()
    balance(statistics)
    dropped = sum(case.dropped.values())
    assert (statistics.dropped, statistics.delivered) == (case.dropped, EVENTS - dropped)
    check_arrivals(case, ids, server)


@pytest.mark.anyio
async def test_what_is_always_too_large_is_dropped_one_by_one(server: WatchLLMServer) -> None:
    server.faults.add(Fault.answer(413, times=-1))
    client = AsyncClient(**settings(server.address))
    async with watching(client), client:
        log(client, BATCH)
        await until_settled(client)
    assert client.statistics().dropped == {"too_large": BATCH}
    assert len(server.requests) == 2 * BATCH - 1


@pytest.mark.anyio
@pytest.mark.parametrize(("status", "reason"), [(401, "unauthorized"), (503, "unavailable")])
async def test_a_refusal_that_lasts_ends_in_a_counted_reason(
    server: WatchLLMServer, caplog: pytest.LogCaptureFixture, status: int, reason: str
) -> None:
    server.faults.add(Fault.answer(status, times=-1))
    client = AsyncClient(**settings(server.address, shutdown_timeout=0.3))
    async with watching(client), client:
        log(client, EVENTS)
        await anyio.sleep(0.3)
        assert (client.statistics().state is SinkState.UNAUTHORIZED) == (status == 401)
    balance(client.statistics())
    assert client.statistics().dropped == {reason: EVENTS}
    assert f"HTTP {status}" in caplog.text


@pytest.mark.anyio
async def test_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    (port,) = free_ports(1)
    client = AsyncClient(**settings(f"127.0.0.1:{port}", shutdown_timeout=0.3))
    async with watching(client), client:
        log(client, EVENTS)
        report = await client.flush(0.3)
        assert report.pending == EVENTS
    assert client.statistics().dropped == {"unavailable": EVENTS}
    assert "ConnectError" in caplog.text


@pytest.mark.anyio
@pytest.mark.parametrize("seed", [1, 3])
async def test_a_line_that_is_slow_and_breaks(
    server: WatchLLMServer, proxy: FaultProxy, seed: int
) -> None:
    proxy._seed = seed
    proxy.delay, proxy.cut_chance = 0.002, 0.2
    client = AsyncClient(**settings(proxy.address))
    async with watching(client), client:
        ids = log(client, 4 * EVENTS)
        await until_settled(client, 20, flush=True)
    assert (client.statistics().delivered, client.statistics().dropped) == (4 * EVENTS, {})
    assert proxy.cuts > 0
    counts = arrived(server)
    assert set(counts) == set(ids)
    assert sum(counts.values()) <= 4 * EVENTS + BATCH * proxy.cuts


@pytest.mark.anyio
async def test_frozen_and_thawed(server: WatchLLMServer, proxy: FaultProxy) -> None:
    client = AsyncClient(**settings(proxy.address, timeout=10))
    async with watching(client), client:
        ids = log(client, BATCH)
        await client.flush()
        proxy.freeze()
        ids += log(client, EVENTS)
        begin = time.monotonic()
        report = await client.flush(0.4)
        assert 0.35 < time.monotonic() - begin < 1
        assert report.pending == EVENTS
        proxy.thaw()
        assert (await client.flush(10)).complete
    assert arrived(server) == dict.fromkeys(ids, 1)


@pytest.mark.anyio
async def test_frozen_for_good_costs_the_deadline_and_no_more(
    server: WatchLLMServer, proxy: FaultProxy
) -> None:
    client = AsyncClient(**settings(proxy.address, timeout=30, shutdown_timeout=0.5))
    async with watching(client):
        async with client:
            proxy.freeze()
            log(client, EVENTS)
            await anyio.sleep(0.1)
            begin = time.monotonic()
        assert 0.4 < time.monotonic() - begin < 1.5
    assert client.statistics().dropped == {"shutdown": EVENTS}
    proxy.thaw()
