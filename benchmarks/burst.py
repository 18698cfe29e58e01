"""10,000 events at once, default settings, healthy sink: nothing may be lost."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.collector import collector
from benchmarks.harness import Budget, Result, interleave
from benchmarks.sinks import sink_named
from benchmarks.workload import calls

TITLE = "A burst of 10,000 events, default settings"
OURS = ("null", "jsonl", "sqlite", "http", "sync sqlite")
VARIANTS = (*OURS, "by hand", *peers.NAMES)
EVENTS = 10_000
WARM = 100


def sample(variant: str, quick: bool) -> dict[str, float]:
    """Seconds to log and to deliver, events lost, memory added."""
    if variant in OURS:
        return asyncio.run(_llmobs(variant))
    return asyncio.run(_other(variant))


async def _llmobs(variant: str) -> dict[str, float]:
    from llmobs import AsyncClient, Client

    work = calls(EVENTS)
    warm = calls(WARM, EVENTS)
    with sink_named(variant.rpartition(" ")[2]) as (sink, count):
        if variant.startswith("sync"):
            with Client(sink=sink) as client:
                for args, kwargs in warm:
                    client.log_prompt_call(*args, **kwargs)
                client.flush(30)
                before, began = _memory_mb(), time.perf_counter()
                for args, kwargs in work:
                    client.log_prompt_call(*args, **kwargs)
                logged, after = time.perf_counter(), _memory_mb()
                client.flush(30)
                done = time.perf_counter()
        else:
            async with AsyncClient(sink=sink) as async_client:
                for args, kwargs in warm:
                    async_client.log_prompt_call(*args, **kwargs)
                await async_client.flush(30)
                before, began = _memory_mb(), time.perf_counter()
                for args, kwargs in work:
                    async_client.log_prompt_call(*args, **kwargs)
                logged, after = time.perf_counter(), _memory_mb()
                await async_client.flush(30)
                done = time.perf_counter()
            client = async_client  # type: ignore[assignment]
        memory = after - before
        statistics = client.statistics()
        arrived = statistics.delivered if count is None else count()
    return {
        "lost": EVENTS + WARM - arrived,
        "log": (logged - began) * 1000,
        "deliver": done - began,
        "memory": memory,
    }


async def _other(variant: str) -> dict[str, float]:
    """The same of a peer or by hand, over HTTP."""
    work = calls(EVENTS)
    warm = calls(WARM, EVENTS)
    with collector() as server:
        async with _opened(variant, server.url) as (log, flush):
            for args, kwargs in warm:
                log(*args, **kwargs)
            await flush()
            before, began = _memory_mb(), time.perf_counter()
            for args, kwargs in work:
                log(*args, **kwargs)
            logged, after = time.perf_counter(), _memory_mb()
            await flush()
            done = time.perf_counter()
        arrived = server.settled()
    return {
        "lost": EVENTS + WARM - arrived,
        "log": (logged - began) * 1000,
        "deliver": done - began,
        "memory": after - before,
    }


@asynccontextmanager
async def _opened(variant: str, url: str) -> AsyncIterator[tuple[Any, Callable[[], Any]]]:
    if variant == "by hand":
        from benchmarks.by_hand import shipper

        async with shipper(url) as floor:
            yield floor.log, floor.ship
    else:
        peer = peers.make(variant, url)

        async def flush() -> None:
            peer.flush()

        yield peer.log, flush
        peer.close()


def _memory_mb() -> float:
    # Not `getrusage`: its peak is inherited from the process that started this one.
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return float("nan")
    return pages * resource.getpagesize() / (1 << 20)


def run(quick: bool) -> Result:
    """Lost is counted where the events should be: rows, lines, requests."""
    found = interleave("burst", VARIANTS, rounds=1 if quick else 3, quick=quick)

    def rate(variant: str) -> float:
        arrived = EVENTS - (found.median(variant, "lost") or 0)
        return arrived / (found.median(variant, "deliver") or 1)

    return Result(
        TITLE,
        ("sink", "lost", "logging took ms", "all delivered after s", "events/s", "memory MB"),
        [
            (
                v,
                found.median(v, "lost"),
                found.median(v, "log"),
                found.median(v, "deliver"),
                rate(v),
                found.median(v, "memory"),
            )
            for v in found.variants
        ],
        [
            Budget(f"{v}: lost", max(found.values[v]["lost"]), 0, "events")
            for v in found.variants
            if v in OURS
        ],
        "Logged without letting the event loop run in between (sync: from another thread), then "
        "flushed. Memory is what the process grew by when all were logged; the texts are the "
        "caller's. Events/s counts those that arrived. The last ones, from by hand on, are not "
        f"ours and deliver over HTTP.\n\n{peers.notes(found.variants)}",
    )
