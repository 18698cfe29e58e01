"""Several sinks at once: the good one is never held up by the others."""

import sqlite3
import time
from pathlib import Path

import anyio
import pytest

from llmobs import AsyncClient, Client
from tests.faults.cases import arrived
from tests.faults.watch import balance, watching
from tests.support.faults import Fault
from tests.support.polling import eventually
from tests.support.ports import free_ports
from tests.support.watchllm_server import WatchLLMServer

pytestmark = pytest.mark.faults


def stored(path: Path) -> int:
    with sqlite3.connect(path) as store:
        try:
            count: int = store.execute("SELECT count(*) FROM events").fetchone()[0]
        except sqlite3.OperationalError:  # the tables are being made
            count = 0
    store.close()
    return count


def three_sinks(path: Path, server: WatchLLMServer) -> str:
    (port,) = free_ports(1)
    server.faults.add(Fault.slow(2.5, times=-1))
    dead = f"http://k@127.0.0.1:{port}/v1"
    return f"sqlite:///{path} {dead} http://test-key@{server.address}/v1"


@pytest.mark.anyio
async def test_sqlite_beside_a_dead_and_a_slow_one(
    server: WatchLLMServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "runs.db"
    sinks = three_sinks(path, server)
    client = AsyncClient(sink=sinks, flush_interval_seconds=0.02, shutdown_timeout=12, timeout=10)
    async with watching(client), client:
        begin = time.monotonic()
        ids = [client.log_prompt_call("r", f"p{n}", "m", "a") for n in range(200)]
        good = f"sqlite:{path}" if f"sqlite:{path}" in client.statistics().sinks else "sqlite"
        name = next(n for n in client.statistics().sinks if n.startswith(good))
        with anyio.fail_after(5):
            while client.statistics().sinks[name].delivered < 200:
                await anyio.sleep(0.005)
        assert time.monotonic() - begin < 2.3  # before the slow one answered anything
        assert arrived(server) == {}
        report = await client.flush(0.5)
        assert report.pending == 400
    by_name = client.statistics().sinks
    assert by_name.pop(name).delivered == 200 == stored(path)
    dead, slow = by_name.values()
    assert (dead.dropped, dead.delivered) == ({"unavailable": 200}, 0)
    assert slow.delivered == 200
    assert arrived(server) == dict.fromkeys(ids, 1)
    balance(client.statistics())
    assert "ConnectError" in caplog.text


@pytest.mark.anyio
async def test_two_dead_ones_each_say_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one, two = free_ports(2)
    sinks = f"http://k@127.0.0.1:{one}/v1 http://k@127.0.0.1:{two}/v1"
    async with AsyncClient(sink=sinks, flush_interval_seconds=0.02, shutdown_timeout=0.2) as client:
        client.log_error("r", "e")
        await client.flush(0.2)
    assert f"http:127.0.0.1:{one}: delivery failed" in caplog.text
    assert f"http:127.0.0.1:{two}: delivery failed" in caplog.text


def test_sync_client(server: WatchLLMServer, tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    sinks = three_sinks(path, server)
    with Client(
        sink=sinks, flush_interval_seconds=0.02, shutdown_timeout=0.5, timeout=10
    ) as client:
        begin = time.monotonic()
        for number in range(200):
            client.log_prompt_call("r", f"p{number}", "m", "a")
        eventually(lambda: path.exists() and stored(path) == 200)
        assert time.monotonic() - begin < 2.3
    balance(client.statistics())
