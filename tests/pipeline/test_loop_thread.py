"""Deadlines hold while DNS is slow, in every loop of ours."""

import json
import subprocess
import sys
import textwrap
from typing import Any

import pytest

PROGRAM = """
    import asyncio, json, socket, sys, threading, time
    lookups = []
    def slow(*args, **kwargs):
        lookups.append(args[0])
        time.sleep(3)
        raise socket.gaierror("slow")
    socket.getaddrinfo = slow
    from llmobs import Client
    took = {}
    def timed(name, function, *args):
        start = time.monotonic()
        function(*args)
        took[name] = time.monotonic() - start
    client = Client(sink=SINK, timeout=0.5, shutdown_timeout=0.5, flush_interval_seconds=0.01)
    client.log_error("r", "boom")
    timed("flush", client.flush, 0.5)
    timed("drain", lambda: asyncio.run(client.drain(0.3)))
    timed("close", client.close)
    took["lost"] = client.statistics().dropped
    took["lookups"] = len(lookups)
    print(json.dumps(took))
"""


def run(sink: str) -> Any:
    program = f"SINK = {sink!r}\n" + textwrap.dedent(PROGRAM)
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.mark.parametrize(
    "sink", ["http://collector.test:4318/v1", "otlp+http://collector.test:4318"]
)
def test_a_slow_name_holds_up_nobody(sink: str) -> None:
    told = run(sink)
    # In place, each of them takes three seconds at least.
    assert told["flush"] < 2
    assert told["drain"] < 2
    assert told["close"] < 2.5
    assert sum(told["lost"].values()) == 1
    assert 1 <= told["lookups"] <= 2  # attempts share one


DRAIN = """
    import asyncio, threading, time
    from llmobs import Client
    from llmobs.client.sync_client import _starting
    async def main():
        client = Client(sink="memory:")
        client.enabled and client.log_error("r", "boom")
        turns = 0
        async def tick():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.01)
        ticking = asyncio.create_task(tick())
        await client.drain(0.5)  # the thread is not ready: it waits for the lock
        ticking.cancel()
        return turns, client
    with _starting:
        turns, client = asyncio.run(main())
    assert turns > 5, turns
    assert client.flush(10).delivered == 1
    client.close()
    assert client.flush(1).delivered == 0
"""


def test_drain_does_not_wait_for_the_thread_to_start() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(DRAIN)],
        capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
