"""What the middleware adds to a request and to a streamed chunk, in-process."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from benchmarks import peers
from benchmarks.harness import Budget, Result, Samples, interleave
from benchmarks.workload import NullSink, calls

TITLE = "ASGI middleware: added per request and per streamed chunk, µs"
CHUNKS = 200
REQUESTS = 400
STREAMS = 12

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]

_HEADERS = [
    (b"host", b"api.example.com"),
    (b"user-agent", b"python-httpx/0.28"),
    (b"accept", b"*/*"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"connection", b"keep-alive"),
    (b"content-type", b"application/json"),
    (b"content-length", b"412"),
    (b"authorization", b"Bearer 0123456789abcdef"),
]
_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/plain")],
}
_CHUNK = {"type": "http.response.body", "body": b"data: {}\n\n", "more_body": True}
_END = {"type": "http.response.body", "body": b""}


async def _plain(scope: Scope, receive: Any, send: Any) -> None:
    await send(_START)
    await send(_END)


async def _stream(scope: Scope, receive: Any, send: Any) -> None:
    await send(_START)
    for _ in range(CHUNKS):
        await send(_CHUNK)
    await send(_END)


def _one_event(app: App) -> App:
    from llmobs.contrib.asgi import tracker_of

    ((_, *args), kwargs) = calls(1)[0]

    async def with_event(scope: Scope, receive: Any, send: Any) -> None:
        tracker = tracker_of(scope)
        assert tracker is not None
        tracker.log_prompt_call(*args, **kwargs)
        await app(scope, receive, send)

    return with_event


def _wrap_send(app: App) -> App:
    async def middleware(scope: Scope, receive: Any, send: Any) -> None:
        async def wrapped(message: Any) -> None:
            await send(message)

        await app(scope, receive, wrapped)

    return middleware


def _apps(client: Any) -> dict[str, Callable[[App], App]]:
    from llmobs.contrib.asgi import LLMObsMiddleware

    apps: dict[str, Callable[[App], App]] = {
        "bare": lambda app: app,
        "wrap_send": _wrap_send,
        "llmobs": lambda app: LLMObsMiddleware(app, client=client),
        "llmobs, one event": lambda app: LLMObsMiddleware(_one_event(app), client=client),
    }
    try:
        peers.beside_ours("asgi-correlation-id")
        from asgi_correlation_id import CorrelationIdMiddleware
    except Exception:  # no network: the peer is left out of the table
        return apps
    return apps | {"asgi-correlation-id": lambda app: CorrelationIdMiddleware(app)}


def sample(variant: str, quick: bool) -> dict[str, float]:
    """All variants in one process, many short interleaved rounds; the best round of each."""
    return asyncio.run(_measure(rounds=10 if quick else 40))


async def _measure(rounds: int) -> dict[str, float]:
    from llmobs import AsyncClient

    found = Samples()
    async with AsyncClient(sink=NullSink()) as client:
        apps = _apps(client)
        plain = {name: wrap(_plain) for name, wrap in apps.items()}
        stream = {name: wrap(_stream) for name, wrap in apps.items()}
        for _ in range(rounds):
            for name in apps:
                gc.collect()
                request = await _serve(plain[name], REQUESTS)
                long = await _serve(stream[name], STREAMS)
                found.add(name, {"request": request, "stream": long})
            await client.flush()
    return {
        f"{name}/{metric}": found.best(name, metric) or 0.0
        for name in found.variants
        for metric in ("request", "stream")
    }


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(message: Any) -> None:
    pass


async def _serve(app: App, times: int) -> float:
    scopes = [
        {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
            "scheme": "http", "path": "/chat", "raw_path": b"/chat", "query_string": b"",
            "root_path": "", "headers": _HEADERS, "client": ("127.0.0.1", 1), "server": ("a", 80),
            "state": {},
        }
        for _ in range(times)
    ]  # fmt: skip
    begin = time.perf_counter_ns()
    for scope in scopes:
        await app(scope, _receive, _send)
    return (time.perf_counter_ns() - begin) / times / 1e3


def run(quick: bool) -> Result:
    """Differences to the bare application; the best of the rounds of several processes."""
    raw = interleave("asgi", ["all"], rounds=2 if quick else 5, quick=quick).values["all"]
    best = {metric: min(values) for metric, values in raw.items()}
    names = list(dict.fromkeys(metric.rpartition("/")[0] for metric in best))

    def added(name: str) -> tuple[float, float]:
        request = best[f"{name}/request"] - best["bare/request"]
        stream = best[f"{name}/stream"] - best["bare/stream"]
        return request, (stream - request) / CHUNKS

    request, chunk = added("llmobs")
    budgets = [
        Budget("per request, nothing recorded", request, 6, "µs"),
        Budget("per chunk", chunk, 0.1, "µs"),
    ]
    return Result(
        TITLE,
        ("variant", "request", "added per request", f"stream of {CHUNKS}", "added per chunk"),
        [(n, best[f"{n}/request"], added(n)[0], best[f"{n}/stream"], added(n)[1]) for n in names],
        budgets,
        "Best rounds. wrap_send is the smallest middleware that can see what is sent. With one "
        "event the request also pays for a log_prompt_call and for the run's own event.",
    )
