"""CPU of delivering over HTTP, redaction and zstd included, beside the same by hand without either pain."""

from __future__ import annotations

import asyncio
import resource
import time
from collections import deque
from datetime import UTC, datetime
from typing import Any

from benchmarks.harness import Budget, Result, interleave
from benchmarks.null_server import null_server
from benchmarks.workload import calls

TITLE = "10,000 events over HTTP with zstd: CPU of this process"
VARIANTS = ("llmobs", "llmobs, no redaction", "by hand", "llmobs, WatchLLM's wire")
EVENTS = 10_000
BATCH = 500


def sample(variant: str, quick: bool) -> dict[str, float]:
    """CPU seconds from the first call to the last answer, and how long closing took."""
    with null_server() as url:
        if variant == "by hand":
            return asyncio.run(_by_hand(url))
        wire = "watchllm" if "wire" in variant else "native"
        return asyncio.run(_llmobs(f"{url}/v1?wire={wire}", "no redaction" not in variant))


async def _llmobs(url: str, redact: bool) -> dict[str, float]:
    from llmobs import AsyncClient

    client = AsyncClient(sink=url, redact_pii=redact)
    async with client:
        for args, kwargs in calls(100):
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
        for args, kwargs in calls(1_000):
            client.log_prompt_call(*args, **kwargs)
        closing = time.perf_counter()
    closed = time.perf_counter() - closing
    assert client.statistics().delivered == EVENTS + 1_100
    return {"cpu": spent * 10_000 / EVENTS, "rate": EVENTS / took, "close": closed}


async def _by_hand(url: str) -> dict[str, float]:
    import httpx2
    import msgspec
    from backports import zstd

    class Call(msgspec.Struct):
        run_id: str
        prompt: str
        model: str
        response: str
        tokens_input: int
        tokens_output: int
        latency_ms: float
        fields: dict[str, Any]
        timestamp: datetime

    encoder = msgspec.json.Encoder()
    queue: deque[Call] = deque()
    work = calls(EVENTS)
    async with httpx2.AsyncClient() as client:

        async def ship() -> None:
            while queue:
                batch = [queue.popleft() for _ in range(min(BATCH, len(queue)))]
                body = zstd.compress(encoder.encode({"events": batch}), 1)
                headers = {"content-encoding": "zstd", "content-type": "application/json"}
                answer = await client.post(f"{url}/v1/events/batch", content=body, headers=headers)
                answer.raise_for_status()

        queue.append(Call("r", "p", "m", "a", 1, 1, 1.0, {}, datetime.now(UTC)))
        await ship()
        cpu, began = _cpu(), time.perf_counter()
        for args, kwargs in work:
            queue.append(Call(*args, kwargs, datetime.now(UTC)))
            if len(queue) >= BATCH:
                await ship()
        await ship()
        spent, took = _cpu() - cpu, time.perf_counter() - began
    return {"cpu": spent * 10_000 / EVENTS, "rate": EVENTS / took}


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def run(quick: bool) -> Result:
    """The best peer needs 0.86 s and redacts nothing."""
    found = interleave("delivery", VARIANTS, rounds=1 if quick else 5, quick=quick)
    return Result(
        TITLE,
        (
            "variant",
            "CPU s per 10,000",
            "times the floor",
            "events/s",
            "closing with 1,000 queued s",
        ),
        [
            (
                v,
                found.best(v, "cpu"),
                found.ratio(v, "by hand", "cpu"),
                found.median(v, "rate"),
                found.median(v, "close"),
            )
            for v in found.variants
        ],
        [Budget("CPU per 10,000 events", found.best("llmobs", "cpu") or 0, 0.4, "s")],
        "CPU is the best of the rounds, user and system; the server is another process. By hand: "
        "deque, msgspec, zstd level 1, httpx2; no redaction, bounds, retries or accounting.",
    )
