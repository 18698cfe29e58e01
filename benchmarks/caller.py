"""What one `log_prompt_call` costs its caller."""

from __future__ import annotations

import asyncio
import collections
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.collector import collector
from benchmarks.harness import Budget, Result, interleave, quantile
from benchmarks.workload import NullSink, calls

TITLE = "Caller cost of one log_prompt_call, µs"
BURST = 1_000
PACED = 400
VARIANTS = (
    "floor",
    "async-null",
    "async-sqlite",
    "sync-null",
    "sync-sqlite",
    "run-null",
    *peers.NAMES,
)

Log = Callable[..., object]


def sample(variant: str, quick: bool) -> dict[str, float]:
    """Bursts with rests between them, then calls a millisecond apart; microseconds of each call."""
    bursts = 4 if quick else 8
    if variant in peers.NAMES:
        return asyncio.run(_peer(variant, bursts))
    folder = Path(tempfile.mkdtemp())
    try:
        return asyncio.run(_measure(variant, folder, bursts))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _measure(variant: str, folder: Path, bursts: int) -> dict[str, float]:
    from llmobs import AsyncClient, Client

    kind, _, sink = variant.partition("-")
    where = {"null": NullSink(), "sqlite": f"sqlite:///{folder}/bench.db"}
    if kind == "async":
        async with AsyncClient(sink=where[sink]) as client:
            return await _time(client.log_prompt_call, client.flush, bursts)
    if kind == "sync":
        with Client(sink=where[sink]) as sync_client:

            async def flush() -> None:
                await asyncio.to_thread(sync_client.flush)

            return await _time(sync_client.log_prompt_call, flush, bursts)
    if kind == "run":
        async with AsyncClient(sink=NullSink()) as client:
            with client.run() as run:
                return await _time(run.log_prompt_call, client.flush, bursts, named=False)
    log, flush = _floor()
    return await _time(log, flush, bursts)


async def _time(
    log: Log, flush: Callable[[], Any], bursts: int, named: bool = True
) -> dict[str, float]:
    skip = 0 if named else 1  # a run knows its id
    clock = time.perf_counter_ns
    burst: list[int] = []
    paced: list[int] = []
    for number in range(bursts + 1):
        for args, kwargs in [(args[skip:], kwargs) for args, kwargs in calls(BURST)]:
            begin = clock()
            log(*args, **kwargs)
            burst.append(clock() - begin)
        await flush()
        if number == 0:
            burst.clear()  # the first burst pays for imports and specialisation
    for args, kwargs in [(args[skip:], kwargs) for args, kwargs in calls(PACED)]:
        begin = clock()
        log(*args, **kwargs)
        paced.append(clock() - begin)
        await asyncio.sleep(0.001)
    await flush()
    return {
        "p50": quantile(burst, 0.5) / 1e3,
        "p99": quantile(burst, 0.99) / 1e3,
        "mean": sum(burst) / len(burst) / 1e3,
        "paced": quantile(paced, 0.5) / 1e3,
    }


def _floor() -> tuple[Log, Callable[[], Any]]:
    import msgspec

    class Event(msgspec.Struct, gc=False):
        event_id: str
        run_id: str
        timestamp: float
        prompt: Any
        model: str
        response: Any
        tokens_input: int
        tokens_output: int
        latency_ms: float
        cost_usd: float
        metadata: dict[str, Any]
        tags: list[str]

    queue: collections.deque[Event] = collections.deque()
    counter = iter(range(1 << 60))

    def log(
        run_id: str, prompt: str, model: str, response: str, tokens_input: int, tokens_output: int,
        latency_ms: float, *, cost_usd: float, metadata: dict[str, Any], tags: list[str],
    ) -> None:  # fmt: skip
        queue.append(
            Event(
                str(next(counter)), run_id, time.time(), prompt, model, response, tokens_input,
                tokens_output, latency_ms, cost_usd, metadata, tags,
            )
        )  # fmt: skip

    async def flush() -> None:
        queue.clear()

    return log, flush


async def _peer(name: str, bursts: int) -> dict[str, float]:
    with collector() as server:
        if name == "opentelemetry":  # the one that can do without sending
            from benchmarks.peers.opentelemetry import make_null

            peer: peers.Peer = make_null()
        else:
            peer = peers.make(name, server.url)

        async def flush() -> None:
            await asyncio.to_thread(peer.flush)

        try:
            return await _time(peer.log, flush, bursts)
        finally:
            peer.close()


def run(quick: bool) -> Result:
    """Compare with the floor and with the fastest peer at hand."""
    found = interleave("caller", VARIANTS, rounds=3 if quick else 9, quick=quick)
    ours = max(
        found.median(v, "p50") or 0
        for v in found.variants
        if v.startswith(("async", "sync", "run"))
    )
    fastest = min(
        (found.median(v, "p50") or 0 for v in found.variants if v in peers.NAMES), default=0
    )
    budgets = [Budget("dearest of our clients, median in a burst", ours, 2.5, "µs")]
    if fastest:
        budgets.append(Budget("its share of the fastest peer", ours / fastest, 0.125))
    return Result(
        TITLE,
        ("variant", "burst p50", "times floor", "burst p99", "burst mean", "1 ms apart p50"),
        [
            (
                variant,
                found.median(variant, "p50"),
                found.ratio(variant, "floor", "p50"),
                found.median(variant, "p99"),
                found.median(variant, "mean"),
                found.median(variant, "paced"),
            )
            for variant in found.variants
        ],
        budgets,
        f"Bursts of {BURST:,} calls with a flush between them; a new run id every fourth call. "
        "The floor builds a msgspec struct and appends it to a deque. Calls 1 ms apart find cold "
        "caches: everybody's cost doubles or more. OpenTelemetry's exporter does nothing here; other "
        "peers deliver over HTTP meanwhile, ours to a sink that does nothing or to SQLite.\n\n"
        f"{peers.notes(found.variants)}",
    )
