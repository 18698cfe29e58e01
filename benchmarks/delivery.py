"""CPU of delivering over HTTP, redaction and zstd included, beside peers and the same by hand."""

from __future__ import annotations

import asyncio
import resource
import time

from benchmarks import peers
from benchmarks.collector import Collector, collector
from benchmarks.harness import Budget, Result, interleave
from benchmarks.workload import calls

TITLE = "10,000 events over HTTP: CPU of this process"
VARIANTS = (
    "llmobs",
    "llmobs, no redaction",
    "by hand",
    "llmobs, WatchLLM's wire",
    *peers.NAMES,
)
EVENTS = 10_000
WARM = 100
CLOSING = 1_000
BATCH = 500


def sample(variant: str, quick: bool) -> dict[str, float]:
    """CPU seconds from the first call to the last answer, and how long closing took."""
    with collector() as server:
        if variant in peers.NAMES:
            metrics = asyncio.run(_peer(variant, server))
        elif variant == "by hand":
            metrics = asyncio.run(_by_hand(server.url))
        else:
            wire = "watchllm" if "wire" in variant else "native"
            url = f"{server.url}/v1?wire={wire}"
            metrics = asyncio.run(_llmobs(url, "no redaction" not in variant))
        closed_with = CLOSING if "close" in metrics else 0
        return metrics | {"lost": WARM + EVENTS + closed_with - server.settled()}


async def _llmobs(url: str, redact: bool) -> dict[str, float]:
    from llmobs import AsyncClient

    client = AsyncClient(sink=url, redact_pii=redact)
    async with client:
        for args, kwargs in calls(WARM, EVENTS):
            client.log_prompt_call(*args, **kwargs)
        await client.flush()  # imports, connection
        work = calls(EVENTS)
        cpu, began = _cpu(), time.perf_counter()
        for number, (args, kwargs) in enumerate(work):
            client.log_prompt_call(*args, **kwargs)
            if number % BATCH == 0:
                await asyncio.sleep(0)
        report = await client.flush()
        spent, took = _cpu() - cpu, time.perf_counter() - began
        assert report.pending == 0 and not report.dropped, report
        for args, kwargs in calls(CLOSING, EVENTS + WARM):
            client.log_prompt_call(*args, **kwargs)
        closing = time.perf_counter()
    closed = time.perf_counter() - closing
    assert client.statistics().delivered == EVENTS + WARM + CLOSING
    return {"cpu": spent * 10_000 / EVENTS, "rate": EVENTS / took, "close": closed}


async def _by_hand(url: str) -> dict[str, float]:
    from benchmarks.by_hand import shipper

    async with shipper(url) as floor:
        for args, kwargs in calls(WARM, EVENTS):
            floor.log(*args, **kwargs)
        await floor.ship()
        work = calls(EVENTS)
        cpu, began = _cpu(), time.perf_counter()
        for args, kwargs in work:
            floor.log(*args, **kwargs)
            if len(floor.queue) >= BATCH:
                await floor.ship()
        await floor.ship()
        spent, took = _cpu() - cpu, time.perf_counter() - began
    return {"cpu": spent * 10_000 / EVENTS, "rate": EVENTS / took}


async def _peer(name: str, server: Collector) -> dict[str, float]:
    peer = peers.make(name, server.url)
    for args, kwargs in calls(WARM, EVENTS):
        peer.log(*args, **kwargs)
    peer.flush()
    work = calls(EVENTS)
    cpu, began = _cpu(), time.perf_counter()
    for start in range(0, EVENTS, BATCH):
        for args, kwargs in work[start : start + BATCH]:
            peer.log(*args, **kwargs)
        peer.flush()  # their queues hold 2,048
    spent, took = _cpu() - cpu, time.perf_counter() - began
    for args, kwargs in calls(CLOSING, EVENTS + WARM):
        peer.log(*args, **kwargs)
    closing = time.perf_counter()
    peer.close()
    closed = time.perf_counter() - closing
    return {"cpu": spent * 10_000 / EVENTS, "rate": EVENTS / took, "close": closed}


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def run(quick: bool) -> Result:
    """Peers redact nothing, but for Logfire."""
    found = interleave("delivery", VARIANTS, rounds=1 if quick else 5, quick=quick)
    return Result(
        TITLE,
        (
            "variant",
            "CPU s per 10,000",
            "times the floor",
            "events/s",
            "closing with 1,000 queued s",
            "lost",
        ),
        [
            (
                v,
                found.best(v, "cpu"),
                found.ratio(v, "by hand", "cpu"),
                found.median(v, "rate"),
                found.median(v, "close"),
                max(found.values[v]["lost"]),
            )
            for v in found.variants
        ],
        [Budget("CPU per 10,000 events", found.best("llmobs", "cpu") or 0, 0.4, "s")],
        "CPU is the best of the rounds, user and system; the server is another process, and what "
        f"it counted says what was lost. Peers wait for delivery (flush) after every {BATCH} "
        "events, so that their queues overflow only if that does not help; they redact nothing, "
        "but for Logfire. By hand: deque, msgspec, zstd level 1, httpx2; no redaction, bounds, "
        f"retries or accounting.\n\n{peers.notes(found.variants)}",
    )
