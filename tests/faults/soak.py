"""
A client and everything that can go wrong, for as long as you like.

    python -m tests.faults.soak --seconds 300 --seed 7

Several clients live and die in one process, each with SQLite, a WatchLLM server behind a bad line
and a native collector that misbehaves, with and without a spool; faults follow the seed. Checked
all along: the ledger balances, the loop is free, memory is flat after the warm-up, the log is
short; at the end nothing is left behind and every event is stored or counted.
"""

import argparse
import asyncio
import json
import logging
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backports import zstd

from llmobs import AsyncClient
from llmobs.runtime import troubles
from tests.faults.cases import http_date, named_in_400
from tests.faults.watch import balance, nothing_left, tasks, watching
from tests.support.faultproxy import FaultProxy
from tests.support.faults import Fault
from tests.support.scripted_server import Reply, ScriptedServer, Seen
from tests.support.watchllm_server import WatchLLMServer

WARM_UP = 0.3
"""Share of the time after which memory has to stay where it is."""
MEMORY_BYTES = 24 * 1024 * 1024
"""How much the resident set may still grow: what the servers of the test remember is taken off."""
LATE_SECONDS = 0.5

FAULTS: list[Callable[[random.Random], Fault]] = [
    lambda rng: Fault.answer(500, times=rng.randint(1, 4)),
    lambda rng: Fault.answer(503, retry_after=1),
    lambda rng: Fault.answer(503, retry_after=http_date()),
    lambda rng: Fault.answer(429, times=rng.randint(1, 3)),
    lambda rng: Fault.answer(408),
    lambda rng: Fault.answer(413, times=rng.randint(1, 3)),
    lambda rng: Fault.answer(400, named_in_400(0)),
    lambda rng: Fault.answer(401),
    lambda rng: Fault.slow(rng.uniform(0, 1)),
    lambda rng: Fault.swallow(),
    lambda rng: Fault.reset(),
    lambda rng: Fault.close(),
    lambda rng: Fault.half_open(),
    lambda rng: Fault.wrong_json(),
    lambda rng: Fault.endless_headers(),
    lambda rng: Fault.redirect_loop(times=rng.randint(1, 8)),
]


@dataclass
class Report:
    """What a soak saw; `failures` is empty if all was well."""

    seconds: float = 0.0
    clients: int = 0
    events: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: int = 0
    cuts: int = 0
    log_lines: int = 0
    doubled: int = 0
    late_ms: list[float] = field(default_factory=list)
    """Worst lateness of the loop, by client."""
    memory_mb: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class Ids(set[str]):
    """Ids seen at a sink, and how many came again."""

    doubled = 0

    def take(self, ids: list[str]) -> None:
        for event_id in ids:
            self.doubled += event_id in self
            self.add(event_id)


class Soak:
    """One run."""

    def __init__(self, seconds: float, seed: int, directory: Path) -> None:
        self.rng = random.Random(seed)
        self.end = time.monotonic() + seconds
        self.seconds = seconds
        self.directory = directory
        self.report = Report()
        self.watchllm, self.native = Ids(), Ids()

    async def run(self, server: WatchLLMServer, proxy: FaultProxy, other: ScriptedServer) -> Report:
        """Live through it."""
        other.respond = self._collect
        began = time.monotonic()
        number = 0
        while time.monotonic() < self.end:
            life = min(self.rng.uniform(2, 6), max(1.0, self.end - time.monotonic()))
            await self._one_client(number, life, server, proxy, other)
            number += 1
        self.report.clients = number
        self.report.seconds = time.monotonic() - began
        self.report.doubled = self.watchllm.doubled + self.native.doubled
        self._judge_memory()
        return self.report

    async def _one_client(
        self,
        number: int,
        life: float,
        server: WatchLLMServer,
        proxy: FaultProxy,
        other: ScriptedServer,
    ) -> None:
        rng = self.rng
        store = self.directory / f"{number}.db"
        spool = rng.choice([None, self.directory / f"spool-{number}"])
        keywords: dict[str, Any] = {}
        if spool is not None:
            keywords["spool_dir"] = spool
            keywords["overflow"] = rng.choice(["spill", "drop_oldest"])
            keywords["durability"] = rng.choice(["disk", "memory"])
        client = AsyncClient(
            sink=f"sqlite:///{store} http://test-key@{proxy.address}/v1 {other.url}/v1?wire=native",
            batch_size=rng.choice([10, 50, 200]),
            flush_interval_seconds=0.02,
            timeout=0.5,
            max_queue_events=2_000,
            shutdown_timeout=1.0,
            **keywords,
        )
        before = tasks()
        ids: list[str] = []
        async with (
            watching(client, late=LATE_SECONDS) as pulse,
            client,
            asyncio.TaskGroup() as group,
        ):
            stop = asyncio.Event()
            group.create_task(self._trouble(stop, server, proxy, other))
            deadline = time.monotonic() + life
            while time.monotonic() < deadline:
                for _ in range(rng.randint(1, 30)):
                    text = "x" * rng.randint(1, 400) + " mail ann@example.com"
                    ids.append(client.log_prompt_call(f"r{number}", text, "gpt-4o", "a"))
                if rng.random() < 0.02:
                    await client.flush(rng.uniform(0, 0.3))
                await asyncio.sleep(rng.uniform(0, 0.03))
                self._drain(server, other)
            stop.set()
            self._calm(server, proxy, other)
        self.report.late_ms.append(round(pulse.worst * 1000, 1))
        self._drain(server, other)
        self._settle_accounts(client, ids, store, spool)
        if tasks() > before:
            self.report.failures.append(f"client {number}: tasks {before} -> {tasks()}")
        for path in self.directory.glob(f"{number}.db*"):
            path.unlink()
        if spool is not None:
            shutil.rmtree(spool, ignore_errors=True)
        self.watchllm.clear()
        self.native.clear()
        self.report.memory_mb.append(round(resident_mb(), 1))

    def _settle_accounts(
        self, client: AsyncClient, ids: list[str], store: Path, spool: Path | None
    ) -> None:
        statistics = client.statistics()
        balance(statistics)
        self.report.events += len(ids)
        fail = self.report.failures.append
        files = [] if spool is None else list(spool.rglob("[!.]*.jsonl"))
        on_disk = sum(len(path.read_bytes().splitlines()) for path in files)
        if on_disk != statistics.spooled:
            fail(f"{on_disk} events on disk, {statistics.spooled} said to be")
        if statistics.pending:
            fail(f"{statistics.pending} events pending after closing")
        sqlite, watchllm, native = statistics.sinks.values()
        with closing(sqlite3.connect(store)) as connection:
            rows = connection.execute("SELECT count(DISTINCT event_id) FROM events").fetchone()[0]
        for name, sink, arrived in (
            ("sqlite", sqlite, rows),
            ("watchllm", watchllm, len(self.watchllm)),
            ("native", native, len(self.native)),
        ):
            if sink.accepted != len(ids):
                fail(f"{name}: {len(ids)} recorded, {sink.accepted} accepted")
            # More may have arrived than was confirmed, never less.
            if not sink.delivered <= arrived <= len(ids):
                fail(f"{name}: {sink.delivered} of {len(ids)} delivered, {arrived} arrived")
            excused = {"rejected", "too_large"}
            if client.settings.overflow != "spill":
                excused.add("queue_full")
            lost = {r: n for r, n in sink.dropped.items() if r not in excused}
            if lost and spool is not None:
                fail(f"{name}: lost with a spool: {lost}")
            for outcome in ("delivered", "spooled"):
                self.report.outcomes[outcome] += getattr(sink, outcome)
            self.report.outcomes.update(sink.dropped)

    async def _trouble(
        self, stop: asyncio.Event, server: WatchLLMServer, proxy: FaultProxy, other: ScriptedServer
    ) -> None:
        rng = self.rng
        while not stop.is_set():
            proxy.delay = rng.choice([0.0, 0.0, 0.005])
            proxy.cut_chance = rng.choice([0.0, 0.0, 0.1])
            proxy.refusing = rng.random() < 0.15
            if rng.random() < 0.1:
                proxy.freeze()
            else:
                proxy.thaw()
            if rng.random() < 0.2:
                await asyncio.to_thread(proxy.cut)
            server.faults.add(rng.choice(FAULTS)(rng))
            other.replies += [Reply(rng.choice([500, 503, 429, 413, 200]), b"x")]
            self.report.faults += 2
            with_timeout = asyncio.wait_for(stop.wait(), rng.uniform(0.05, 0.6))
            try:
                await with_timeout
            except TimeoutError:
                continue

    def _calm(self, server: WatchLLMServer, proxy: FaultProxy, other: ScriptedServer) -> None:
        proxy.thaw()
        proxy.delay, proxy.cut_chance, proxy.refusing = 0.0, 0.0, False
        server.faults.clear()
        other.replies = []
        self.report.cuts = proxy.cuts

    def _collect(self, seen: Seen) -> Reply | None:
        if other_refuses := self._other.replies:
            reply = other_refuses.pop(0)
            if reply.status != 200:
                return reply
        events = json.loads(zstd.decompress(seen.body))["events"]
        self.native.take([event["event_id"] for event in events])
        return None

    _other: Any = None

    def _drain(self, server: WatchLLMServer, other: ScriptedServer) -> None:
        # What the servers remember would look like memory of ours.
        self._other = other
        self.watchllm.take([event["event_id"] for event in server.events])
        server.forget()
        other.requests.clear()

    def _judge_memory(self) -> None:
        memory = self.report.memory_mb
        warm = memory[int(len(memory) * WARM_UP) :]
        if len(warm) > 1 and (max(warm[1:]) - warm[0]) * 2**20 > MEMORY_BYTES:
            self.report.failures.append(f"memory grew: {warm} MB")


def resident_mb() -> float:
    """Memory of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS")


class Lines(logging.Handler):
    """Counts log lines by client and trouble; a client's log is its own."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1


def soak(seconds: float, seed: int) -> Report:
    """Run for so long; return what was seen."""
    lines = Lines()
    logger = logging.getLogger("llmobs")
    logger.addHandler(lines)
    logger.propagate = False
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # the proxy's cut connections
    troubles.raise_internal_errors(True)
    try:
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llmobs-")))
            run = Soak(seconds, seed, directory)
            with (
                nothing_left(),
                WatchLLMServer() as server,
                FaultProxy(server.address, seed=seed) as proxy,
                ScriptedServer() as other,
            ):
                report = asyncio.run(run.run(server, proxy, other))
    finally:
        troubles.raise_internal_errors(False)
        logger.removeHandler(lines)
        logger.propagate = True
    report.log_lines = lines.count
    # Per client: two sinks with a handful of troubles each, the spool and the shutdown.
    if lines.count > report.clients * 16:
        report.failures.append(f"{lines.count} log lines from {report.clients} clients")
    return report


def main() -> int:
    """Return 1 if anything went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    report = soak(arguments.seconds, arguments.seed)
    for name, value in vars(report).items():
        print(f"{name:14} {value}")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
