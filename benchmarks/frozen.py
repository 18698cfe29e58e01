"""100,000 events while the sink is frozen for 20 s, with a spool that takes what does not fit."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio

from benchmarks.harness import Budget, Result, heartbeat, interleave, quantile
from benchmarks.workload import NullSink, endless

TITLE = "100,000 events while the sink is frozen for 20 s, overflow=spill"
VARIANTS = ("frozen",)
EVENTS, SECONDS = 100_000, 20.0
QUEUE_MB = 64
"""The default of ``max_queue_bytes``."""


class _Frozen(NullSink):
    """Takes nothing until told to."""

    def __init__(self) -> None:
        self.thawed = anyio.Event()
        self.events = 0

    async def send(self, batch: Any) -> None:
        await self.thawed.wait()
        self.events += len(batch)


def sample(variant: str, quick: bool) -> dict[str, float]:
    """Events lost, memory added, the slowest call, and how the loop fared."""
    events, seconds = (20_000, 4.0) if quick else (EVENTS, SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(events, seconds, folder))


async def _measure(events: int, seconds: float, folder: str) -> dict[str, float]:
    from llmobs import AsyncClient

    source = endless()
    sink = _Frozen()
    settings: dict[str, Any] = {"spool_dir": folder, "overflow": "spill", "timeout": 60.0}
    async with AsyncClient(sink=sink, spool_bytes=4 << 30, **settings) as client:
        await asyncio.sleep(0.2)
        before = peak = _resident_mb()
        beats = asyncio.create_task(heartbeat(seconds))
        began = time.perf_counter()
        slowest = 0.0
        for number in range(events):
            (run, prompt, model, answer, *rest), kwargs = next(source)
            # Texts of its own for each: the workload's are shared, and would weigh nothing here.
            args = (run, f"{number:08d}{prompt}", model, f"{number:08d}{answer}", *rest)
            start = time.perf_counter()
            client.log_prompt_call(*args, **kwargs)
            slowest = max(slowest, time.perf_counter() - start)
            # Evenly over the time, as requests would come.
            if (ahead := began + (number + 1) * seconds / events - time.perf_counter()) > 0.002:
                peak = max(peak, _resident_mb())
                await asyncio.sleep(ahead)
        late = await beats
        statistics = client.statistics()
        spooled = statistics.spooled
        sink.thawed.set()
        thawed = time.perf_counter()
        while (now := client.statistics()).pending or now.spooled:
            await asyncio.sleep(0.05)
            peak = max(peak, _resident_mb())
        return {
            "lost": events - sink.events,
            "spooled": spooled,
            "memory": peak - before,
            "slowest": slowest * 1000,
            "late": quantile(late, 0.99),
            "catch_up": time.perf_counter() - thawed,
        }


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / (1 << 20)


def run(quick: bool) -> Result:
    """Peers lost 0 (one of them, +154 MB) to 98 %, or blocked the caller for 20 s."""
    found = interleave("frozen", VARIANTS, rounds=1 if quick else 2, quick=quick)
    metrics = ("lost", "spooled", "memory", "slowest", "late", "catch_up")
    worst = {metric: max(found.values["frozen"][metric]) for metric in metrics}
    return Result(
        TITLE,
        (
            "variant",
            "lost",
            "on disk",
            "memory MB",
            "slowest call ms",
            "loop p99 ms",
            "caught up s",
        ),
        [(v, *(found.median(v, metric) for metric in metrics)) for v in found.variants],
        [
            Budget("lost", worst["lost"], 0, "events"),
            Budget("memory above the start", worst["memory"], QUEUE_MB + 32, "MB"),
        ],
        "Events come evenly; memory is the highest resident set seen, replaying included. The sink "
        "keeps nothing. The slowest call includes whatever else the machine did meanwhile.",
    )
