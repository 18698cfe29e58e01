"""
1,000 queued events, then the end of the process: how many arrive, and how long the end takes.

    python -m benchmarks.shutdown VARIANT WAY URL    # the process that ends
"""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any

from benchmarks import ROOT, peers
from benchmarks.collector import collector
from benchmarks.harness import Budget, Result, interleave
from benchmarks.workload import calls

TITLE = "1,000 queued events, then the end of the process: events that arrive"
OURS = ("llmobs", "llmobs, flush_on_signals")
VARIANTS = (*OURS, "by hand", *peers.NAMES)
WAYS = ("exit", "SIGTERM", "uvicorn")
"""A normal exit; SIGTERM with whatever handler there is; SIGTERM to a uvicorn that serves with it."""
PROMISED = (("llmobs", "exit"), ("llmobs, flush_on_signals", "SIGTERM"), ("llmobs", "uvicorn"))
EVENTS = 1_000
WARM = 10
END_SECONDS = 60

Log = Callable[..., object]


def sample(variant: str, quick: bool) -> dict[str, float]:
    """For each way: events that arrived, and seconds from the signal or the last line to the end."""
    metrics: dict[str, float] = {}
    for way in WAYS:
        # Servers handle their signals themselves, and by hand nobody wrote a middleware.
        if way == "uvicorn" and variant in ("llmobs, flush_on_signals", "by hand"):
            continue
        with collector() as server:
            seconds = _end(variant, way, server.url)
            metrics[f"{way} s"] = seconds
            metrics[way] = server.settled() - WARM
    return metrics


def _end(variant: str, way: str, url: str) -> float:
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.shutdown", variant, way, url],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            ready = process.stdout.readline().strip()
            assert ready, f"{variant} ended at once"
            if way == "uvicorn":
                connection = HTTPConnection("127.0.0.1", int(ready), timeout=30)
                connection.request("POST", "/")
                assert connection.getresponse().read() == b"queued"
                connection.close()
            began = time.perf_counter()
            if way != "exit":
                process.send_signal(signal.SIGTERM)
            process.wait(END_SECONDS)
            return time.perf_counter() - began
        finally:
            process.kill()


# What follows runs in the process that ends.


def _main(variant: str, way: str, url: str) -> None:
    if way == "uvicorn":
        _serve(variant, url)
    elif variant == "by hand":
        asyncio.run(_by_hand(url, way))
    else:
        log, flush = _client(variant, url)
        _log(log, WARM, EVENTS)
        flush()
        _log(log, EVENTS)
        _wait(way)


def _client(variant: str, url: str) -> tuple[Log, Callable[[], object]]:
    if variant in peers.NAMES:
        peer = peers.make(variant, url)
        return peer.log, peer.flush
    import llmobs

    if "signals" in variant:
        llmobs.flush_on_signals()
    client = llmobs.Client(sink=f"{url}/v1")
    return client.log_prompt_call, client.flush


async def _by_hand(url: str, way: str) -> None:
    from benchmarks.by_hand import shipper

    async with shipper(url) as floor:
        _log(floor.log, WARM, EVENTS)
        await floor.ship()
        shipping = asyncio.create_task(floor.ship_for_ever())
        await asyncio.sleep(0)
        _log(floor.log, EVENTS)
        _wait(way)
        shipping.cancel()


def _log(log: Log, count: int, first: int = 0) -> None:
    for args, kwargs in calls(count, first):
        log(*args, **kwargs)


def _wait(way: str) -> None:
    print("queued", flush=True)
    if way == "SIGTERM":
        time.sleep(END_SECONDS)


def _serve(variant: str, url: str) -> None:
    import uvicorn

    if variant in peers.NAMES:
        peer = peers.make(variant, url)
        app: Any = _App(lambda _: peer.log, peer.flush)
    else:
        from llmobs.contrib.asgi import LLMObsMiddleware, tracker_of

        def log_of(scope: Any) -> Log:
            tracker = tracker_of(scope)
            assert tracker is not None
            return lambda run_id, *args, **kwargs: tracker.log_prompt_call(*args, **kwargs)

        # The client is the middleware's, as in most applications: it delivers every second.
        app = LLMObsMiddleware(_App(log_of, lambda: asyncio.sleep(1.5)), sink=f"{url}/v1")
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(app, log_config=None, access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


class _App:
    """Logs the events in one request; has nothing of its own to do at the end."""

    def __init__(self, log_of: Callable[[Any], Log], flush: Callable[[], Any]) -> None:
        self._log_of = log_of
        self._flush = flush

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for phase in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{phase}.complete"})
            return
        log = self._log_of(scope)
        _log(log, WARM, EVENTS)
        flushed = self._flush()
        if asyncio.iscoroutine(flushed):
            await flushed
        _log(log, EVENTS)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"queued"})


def run(quick: bool) -> Result:
    """Budgets hold for the worst round; SIGTERM without a handler is nobody's promise."""
    found = interleave("shutdown", VARIANTS, rounds=1 if quick else 3, quick=quick)

    def cells(variant: str) -> list[float | None]:
        return [found.median(variant, f"{way}{unit}") for way in WAYS for unit in ("", " s")]

    return Result(
        TITLE,
        (
            "variant",
            "normal exit",
            "took s",
            "SIGTERM",
            "took s",
            "SIGTERM under uvicorn",
            "took s",
        ),
        [(v, *cells(v)) for v in found.variants],
        [
            Budget(f"{v}, {way}: arrived", min(found.values[v][way]), EVENTS, "events", True)
            for v, way in PROMISED
            if v in found.variants
        ],
        "The process ends, or gets its signal, as soon as the last event is logged. Ours under "
        "uvicorn: LLMObsMiddleware with its defaults. Peers have nothing to put there: they are made "
        "before the server starts, and the application's lifespan does nothing for them. By hand "
        f"has nothing for the end.\n\n{peers.notes(found.variants)}",
    )


if __name__ == "__main__":
    _main(*sys.argv[1:])
