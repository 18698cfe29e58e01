"""How late the host's event loop becomes while it logs 1,000 events a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from tempfile import TemporaryDirectory

from benchmarks import peers
from benchmarks.collector import collector
from benchmarks.harness import Budget, Result, heartbeat, interleave, quantile
from benchmarks.sinks import sink_named
from benchmarks.workload import NullSink, endless

TITLE = "Event loop lateness of a 2 ms heartbeat while logging 1,000 events/s, ms"
OURS = ("null", "jsonl", "sqlite", "http", "sync sqlite", "away, spooling")
VARIANTS = ("idle", "calls only", *OURS, *peers.NAMES)
PER_SECOND = 1_000


def sample(variant: str, quick: bool) -> dict[str, float]:
    """Milliseconds late, after a second to warm up."""
    measure = _peer if variant in peers.NAMES else _llmobs
    return asyncio.run(measure(variant, 2.0 if quick else 5.0))


async def _llmobs(variant: str, seconds: float) -> dict[str, float]:
    from llmobs import AsyncClient, Client

    if variant == "idle":
        await heartbeat(0.5)
        return _figures(await heartbeat(seconds), 0)
    if variant == "calls only":
        # The same pace of calls, to a client that is switched off: what the load itself costs.
        figures, _ = await _log_and_beat(AsyncClient(enabled=False).log_prompt_call, seconds)
        return figures
    if variant == "away, spooling":
        with TemporaryDirectory() as folder:
            async with AsyncClient(sink=_Away(), spool_dir=folder) as client:
                figures, logged = await _log_and_beat(client.log_prompt_call, seconds)
                await client.flush()
                assert client.statistics().spooled == logged, client.statistics()
                return figures
    with sink_named(variant.removeprefix("sync ")) as (sink, _):
        if variant.startswith("sync"):
            with Client(sink=sink) as sync_client:  # its thread and ours share the interpreter
                figures, _ = await _log_and_beat(sync_client.log_prompt_call, seconds)
                return figures
        async with AsyncClient(sink=sink) as client:
            figures, logged = await _log_and_beat(client.log_prompt_call, seconds)
            await client.flush()
            statistics = client.statistics()
            assert statistics.delivered == logged, statistics
            return figures


class _Away(NullSink):
    async def send(self, batch: object) -> None:
        from llmobs.errors import SinkUnavailableError

        raise SinkUnavailableError("away")


async def _peer(name: str, seconds: float) -> dict[str, float]:
    with collector() as server:
        peer = peers.make(name, server.url)
        figures, _ = await _log_and_beat(peer.log, seconds)
        peer.close()
        return figures


async def _log_and_beat(log: Callable[..., object], seconds: float) -> tuple[dict[str, float], int]:
    stop = False
    logged = 0

    async def log_evenly() -> None:
        nonlocal logged
        loop = asyncio.get_running_loop()
        began = loop.time()
        for args, kwargs in endless():
            log(*args, **kwargs)
            logged += 1
            ahead = began + logged / PER_SECOND - loop.time()
            if ahead > 0 or logged % PER_SECOND == 0:  # who cannot keep up lets others in, too
                await asyncio.sleep(max(ahead, 0))
            if stop:
                return

    task = asyncio.create_task(log_evenly())
    await heartbeat(1.5)  # imports, the first batches
    before = logged
    late = await heartbeat(seconds)
    rate = (logged - before) / seconds
    stop = True
    await task
    return _figures(late, rate), logged


def _figures(late: list[float], rate: float) -> dict[str, float]:
    return {
        "p50": quantile(late, 0.5),
        "p99": quantile(late, 0.99),
        "p999": quantile(late, 0.999),
        "max": max(late),
        "rate": rate,
    }


def run(quick: bool) -> Result:
    """Idle in the same run is the baseline."""
    found = interleave("loop", VARIANTS, rounds=2 if quick else 5, quick=quick)
    idle = found.median("idle", "p99") or 0
    budgets = [
        Budget(f"{sink}: p99 (idle here: {idle:.2f} ms)", found.median(sink, "p99") or 0, 0.7, "ms")
        for sink in OURS
        if sink in found.variants
    ]
    return Result(
        TITLE,
        ("variant", "p50", "p99", "p99 times idle", "p99.9", "max", "events/s"),
        [
            (
                v,
                found.median(v, "p50"),
                found.median(v, "p99"),
                found.ratio(v, "idle", "p99"),
                found.median(v, "p999"),
                found.median(v, "max"),
                found.median(v, "rate"),
            )
            for v in found.variants
        ],
        budgets,
        "asyncio's own loop. Calls only: the same calls to a client with enabled=False. Peers "
        f"deliver over HTTP.\n\n{peers.notes(found.variants)}",
    )
