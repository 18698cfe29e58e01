"""100,000 events while the sink is frozen for 20 s: ours with a spool that takes what does not fit."""

from __future__ import annotations

import asyncio
import resource
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.collector import Collector, collector
from benchmarks.harness import Budget, Result, Samples, heartbeat, interleave, quantile
from benchmarks.workload import NullSink, calls, weighty

TITLE = "100,000 events while the sink is frozen for 20 s"
SPILLS = ("llmobs, sink in process, spill", "llmobs, spill")
OTHERS = ("llmobs, defaults", "by hand", *peers.NAMES)
EVENTS, SECONDS = 100_000, 20.0
CUT = 1.5
"""Logging is cut after that many times the seconds: some are too slow to log that much."""
QUEUE_MB = 64
"""The default of ``max_queue_bytes``."""
CATCH_UP = 60.0
WARM = 100
"""Delivered over HTTP before the freeze: imports, connections."""
METRICS = (
    "delivered", "lost", "spooled", "memory", "slowest", "late", "stall", "logging", "catch_up",
)  # fmt: skip

Log = Callable[..., object]


class _Frozen(NullSink):
    """Takes nothing until told to."""

    def __init__(self) -> None:
        self.thawed = asyncio.Event()
        self.events = 0

    async def send(self, batch: Any) -> None:
        await self.thawed.wait()
        self.events += len(batch)


class _Burden:
    """Logs evenly over the time, as requests would come, and watches the process meanwhile."""

    def __init__(self, quick: bool) -> None:
        self.events, self.seconds = (20_000, 4.0) if quick else (EVENTS, SECONDS)
        self.before = self.peak = 0.0
        self.logged = 0
        calls(1)  # the texts to choose from are not part of the memory measured
        self._slowest = self._took = 0.0
        self._late: list[float] = []

    async def log(self, log: Log) -> None:
        """Return when everything is logged, not before the time is over."""
        source = weighty()
        self.before = self.peak = _resident_mb()
        beats = asyncio.create_task(heartbeat(self.seconds))
        began = time.perf_counter()
        for number in range(self.events):
            args, kwargs = next(source)
            start = time.perf_counter()
            log(*args, **kwargs)
            self.logged += 1
            now = time.perf_counter()
            self._slowest = max(self._slowest, now - start)
            ahead = began + (number + 1) * self.seconds / self.events - now
            if ahead > 0.002 or number % 100 == 0:
                self.watch()
                await asyncio.sleep(max(ahead, 0))
            if now - began > CUT * self.seconds:
                break
        self._took = time.perf_counter() - began
        self._late = await beats

    def watch(self) -> None:
        """Note the memory."""
        self.peak = max(self.peak, _resident_mb())

    async def watch_while(self, busy: Callable[[], bool]) -> None:
        """Note the memory until not *busy* any more, or too long."""
        deadline = time.monotonic() + CATCH_UP
        while busy() and time.monotonic() < deadline:
            self.watch()
            await asyncio.sleep(0.05)

    def figures(self, delivered: int, **more: float) -> dict[str, float]:
        """What came of it."""
        return {
            "delivered": delivered,
            "lost": self.logged - delivered,
            "spooled": 0,
            "memory": self.peak - self.before,
            "slowest": self._slowest * 1000,
            "late": quantile(self._late, 0.99),
            "stall": max(self._late),
            "logging": self._took,
            **more,
        }


def sample(variant: str, quick: bool) -> dict[str, float]:
    """Events lost, memory added, the slowest call, and how the loop fared."""
    burden = _Burden(quick)
    if "in process" in variant:
        return asyncio.run(_sink_in_process(burden))
    with collector() as server:
        if variant.startswith("llmobs"):
            return asyncio.run(_llmobs(burden, server, spill="spill" in variant))
        return asyncio.run((_by_hand if variant == "by hand" else _peer)(burden, server, variant))


async def _sink_in_process(burden: _Burden) -> dict[str, float]:
    sink = _Frozen()

    def thaw() -> None:
        sink.thawed.set()

    with tempfile.TemporaryDirectory() as folder:
        more = await _client(burden, sink, thaw, _spilling(folder))
    return burden.figures(sink.events, **more)


async def _llmobs(burden: _Burden, server: Collector, spill: bool) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        settings = _spilling(folder) if spill else {}
        more = await _client(burden, f"{server.url}/v1", server.thaw, settings, server.freeze)
    return burden.figures(server.settled() - WARM, **more)


def _spilling(folder: str) -> dict[str, Any]:
    return {"spool_dir": folder, "overflow": "spill", "timeout": 60.0, "spool_bytes": 4 << 30}


async def _client(
    burden: _Burden,
    sink: Any,
    thaw: Callable[[], None],
    settings: dict[str, Any],
    freeze: Callable[[], None] | None = None,
) -> dict[str, float]:
    from llmobs import AsyncClient

    async with AsyncClient(sink=sink, **settings) as client:
        if freeze:
            for args, kwargs in calls(WARM, EVENTS):
                client.log_prompt_call(*args, **kwargs)
            await client.flush()
            freeze()
        else:
            await asyncio.sleep(0.2)
        await burden.log(client.log_prompt_call)
        spooled = client.statistics().spooled
        thaw()
        thawed = time.perf_counter()

        def busy() -> bool:
            now = client.statistics()
            return bool(now.pending or now.spooled)

        await burden.watch_while(busy)
        return {"spooled": spooled, "catch_up": time.perf_counter() - thawed}


async def _by_hand(burden: _Burden, server: Collector, _: str) -> dict[str, float]:
    from benchmarks.by_hand import shipper

    async with shipper(server.url) as floor:
        for args, kwargs in calls(WARM, EVENTS):
            floor.log(*args, **kwargs)
        await floor.ship()
        shipping = asyncio.create_task(floor.ship_for_ever(0.05))
        server.freeze()
        await burden.log(floor.log)
        server.thaw()
        thawed = time.perf_counter()
        await burden.watch_while(lambda: bool(floor.queue))
        caught_up = time.perf_counter() - thawed
        delivered = server.settled() - WARM
        shipping.cancel()
        with suppress(asyncio.CancelledError):
            await shipping
    return burden.figures(delivered, catch_up=caught_up)


async def _peer(burden: _Burden, server: Collector, name: str) -> dict[str, float]:
    peer = peers.make(name, server.url)
    for args, kwargs in calls(WARM, EVENTS):
        peer.log(*args, **kwargs)
    peer.flush()
    server.freeze()
    await burden.log(peer.log)
    server.thaw()
    thawed = time.perf_counter()

    def end() -> None:
        peer.flush()
        peer.close()

    ending = asyncio.create_task(asyncio.to_thread(end))
    await burden.watch_while(lambda: not ending.done())
    caught_up = time.perf_counter() - thawed
    return burden.figures(server.settled() - WARM, catch_up=caught_up)


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / (1 << 20)


def run(quick: bool) -> Result:
    """Ours twice, all others once: they take their time and do not promise anything."""
    found = Samples()
    for variants, rounds in ((SPILLS, 1 if quick else 2), (OTHERS, 1)):
        found.values |= interleave("frozen", variants, rounds=rounds, quick=quick).values

    def worst(variant: str, metric: str) -> float:
        return max(found.values[variant][metric])

    ours = [variant for variant in SPILLS if variant in found.variants]
    return Result(
        TITLE,
        (
            "variant",
            "delivered",
            "lost",
            "on disk",
            "memory MB",
            "slowest call ms",
            "loop p99 ms",
            "longest stall ms",
            "logging took s",
            "caught up s",
        ),
        [(v, *(found.median(v, metric) for metric in METRICS)) for v in found.variants],
        [
            *(Budget(f"{v}: lost", worst(v, "lost"), 0, "events") for v in ours),
            *(
                Budget(f"{v}: memory above the start", worst(v, "memory"), QUEUE_MB + 32, "MB")
                for v in ours
            ),
        ],
        "Events come evenly; memory is the highest resident set seen, replaying included. The sink "
        "in process keeps nothing; all others deliver over HTTP to a server that is stopped "
        "(SIGSTOP: connections are accepted, nothing is answered) until all is logged, 20 s at "
        f"least; logging is cut after {CUT * SECONDS:.0f} s. Delivered is what the server counts "
        "after flush and close; a request its client gave up on may be among it. Slowest call and "
        "stall include whatever else the machine did meanwhile. Spill: overflow=spill and a spool "
        "on disk; defaults: neither, the oldest are dropped and counted. By hand: an unbounded "
        f"deque, no deadlines.\n\n{peers.notes(found.variants)}",
    )
