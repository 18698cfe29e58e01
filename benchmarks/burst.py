"""10,000 events at once, default settings, healthy sink: nothing may be lost."""

from __future__ import annotations

import asyncio
import resource
import time
from pathlib import Path

from benchmarks.harness import Budget, Result, interleave
from benchmarks.sinks import sink_named
from benchmarks.workload import calls

TITLE = "A burst of 10,000 events, default settings"
VARIANTS = ("null", "jsonl", "sqlite", "http", "sync sqlite")
EVENTS = 10_000


def sample(variant: str, quick: bool) -> dict[str, float]:
    """Seconds to log and to deliver, events lost, memory added."""
    return asyncio.run(_measure(variant))


async def _measure(variant: str) -> dict[str, float]:
    from llmobs import AsyncClient, Client

    work = calls(EVENTS)
    warm = calls(100)
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
        "lost": EVENTS + len(warm) - arrived,
        "log": (logged - began) * 1000,
        "deliver": done - began,
        "memory": memory,
    }


def _memory_mb() -> float:
    # Not `getrusage`: its peak is inherited from the process that started this one.
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return float("nan")
    return pages * resource.getpagesize() / (1 << 20)


def run(quick: bool) -> Result:
    """Lost is counted where the events should be: rows, lines; else by the sink's confirmations."""
    found = interleave("burst", VARIANTS, rounds=1 if quick else 3, quick=quick)
    return Result(
        TITLE,
        ("sink", "lost", "logging took ms", "all delivered after s", "events/s", "memory MB"),
        [
            (
                v,
                found.median(v, "lost"),
                found.median(v, "log"),
                found.median(v, "deliver"),
                EVENTS / (found.median(v, "deliver") or 1),
                found.median(v, "memory"),
            )
            for v in found.variants
        ],
        [Budget(f"{v}: lost", max(found.values[v]["lost"]), 0, "events") for v in found.variants],
        "Logged without letting the event loop run in between (sync: from another thread). "
        "Memory is what the process grew by when all were logged; the texts are the caller's.",
    )
