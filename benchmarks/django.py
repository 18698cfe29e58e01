"""What the middleware adds to Django's requests and streamed chunks, sync and async, in-process."""

from __future__ import annotations

import asyncio
import gc
import io
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

from benchmarks import peers
from benchmarks.harness import Budget, Result, Samples, interleave
from benchmarks.workload import NullSink

TITLE = "Django middleware: added per request and per streamed chunk, µs"
CHUNKS = 200
REQUESTS = 200
STREAMS = 6
METRICS = ("sync", "async", "sync stream", "async stream")
OTHERS = ("otel", "sentry")

_OTEL = "opentelemetry.instrumentation.django.middleware.otel_middleware._DjangoMiddleware"
_STRUCTLOG = "django_structlog.middlewares.RequestMiddleware"
_OURS = "llmobs.contrib.django.LLMObsMiddleware"
_BARE = "benchmarks.django.bare_middleware"


def _configure() -> None:
    import django
    from django.conf import settings

    settings.configure(
        SECRET_KEY="only here",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        LOGGING_CONFIG=None,
        INSTALLED_APPS=["llmobs.contrib.django"],
        LLMOBS={"SINK": NullSink()},
    )
    django.setup()


def bare_middleware(get_response: Any) -> Any:
    """What any middleware costs: a call, sync or async."""
    from asgiref.sync import iscoroutinefunction

    if iscoroutinefunction(get_response):

        async def passing(request: Any) -> Any:
            return await get_response(request)

        return passing
    return lambda request: get_response(request)


bare_middleware.sync_capable = bare_middleware.async_capable = True  # type: ignore[attr-defined]


def __getattr__(name: str) -> Any:
    """Make the URLs when Django asks for them: it is not imported before a sample is taken."""
    if name != "urlpatterns":
        raise AttributeError(name)
    from django.http import HttpResponse, StreamingHttpResponse
    from django.urls import path

    def view(request: Any) -> Any:
        return HttpResponse(b"yes")

    async def aview(request: Any) -> Any:
        return HttpResponse(b"yes")

    def chunks() -> Iterator[bytes]:
        for _ in range(CHUNKS):
            yield b"data: {}\n\n"

    async def achunks() -> AsyncIterator[bytes]:
        for _ in range(CHUNKS):
            yield b"data: {}\n\n"

    def stream(request: Any) -> Any:
        return StreamingHttpResponse(chunks())

    async def astream(request: Any) -> Any:
        return StreamingHttpResponse(achunks())

    return [
        path("sync", view), path("async", aview), path("sync stream", stream),
        path("async stream", astream),
    ]  # fmt: skip


def _variants(process: str) -> dict[str, str | None]:
    """Those of one process: where OpenTelemetry is loaded, our middleware looks for its spans."""
    if process == "sentry":
        peers.beside_ours("sentry-sdk")
        import sentry_sdk
        from sentry_sdk.integrations.django import DjangoIntegration

        sentry_sdk.init(
            dsn="http://key@127.0.0.1:9/1", transport=_Nowhere, traces_sample_rate=1.0,
            default_integrations=False, integrations=[DjangoIntegration()],
        )  # fmt: skip
        return {"sentry": _BARE}
    if process == "otel":
        peers.beside_ours("opentelemetry-instrumentation-django")
        from django.conf import settings
        from opentelemetry.instrumentation.django import DjangoInstrumentor
        from opentelemetry.sdk.trace import TracerProvider

        settings.MIDDLEWARE = []
        DjangoInstrumentor().instrument(tracer_provider=TracerProvider())
        return {"opentelemetry": _OTEL, "llmobs beside it": _OURS}
    variants: dict[str, str | None] = {"none": None, "bare": _BARE, "llmobs": _OURS}
    with suppress(Exception):  # no network: the peer is left out of the table
        peers.beside_ours("django-structlog")
        import structlog

        structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
        variants["django-structlog"] = _STRUCTLOG
    return variants


def _Nowhere(options: Any) -> Any:  # noqa: N802 - in place of a class
    from sentry_sdk.transport import Transport

    class Nowhere(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            pass

    return Nowhere(options)


def sample(variant: str, quick: bool) -> dict[str, float]:
    """All variants of one process in many short interleaved rounds; the best round of each."""
    _configure()
    from django.core.handlers.asgi import ASGIHandler
    from django.core.handlers.wsgi import WSGIHandler
    from django.test.utils import override_settings

    handlers = {}
    for name, middleware in _variants(variant).items():
        with override_settings(MIDDLEWARE=[] if middleware is None else [middleware]):
            handlers[name] = (WSGIHandler(), ASGIHandler())
    found = Samples()
    for _ in range(4 if quick else 12):
        for name, (wsgi, asgi) in handlers.items():
            gc.collect()
            metrics = {m: _serve(wsgi, m, _times(m)) for m in METRICS if m.startswith("sync")}
            for metric in METRICS:
                if metric.startswith("async"):
                    metrics[metric] = asyncio.run(_serve_async(asgi, metric, _times(metric)))
            found.add(name, metrics)
    return {
        f"{name}/{metric}": found.best(name, metric) or 0.0
        for name in found.variants
        for metric in METRICS
    }


def _times(metric: str) -> int:
    return STREAMS if metric.endswith("stream") else REQUESTS


def _serve(handler: Callable[..., Any], path: str, times: int) -> float:
    environs = [
        {
            "REQUEST_METHOD": "GET", "PATH_INFO": f"/{path}", "SCRIPT_NAME": "", "QUERY_STRING": "",
            "SERVER_NAME": "a", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "api.example.com", "HTTP_USER_AGENT": "python-httpx/0.28",
            "HTTP_ACCEPT": "*/*", "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(),
            "REMOTE_ADDR": "127.0.0.1",
        }
        for _ in range(times)
    ]  # fmt: skip
    begin = time.process_time_ns()
    for environ in environs:
        response = handler(environ, _start_response)
        for _ in response:
            pass
        response.close()
    return (time.process_time_ns() - begin) / times / 1e3


def _start_response(status: str, headers: Any) -> None:
    pass


async def _serve_async(handler: Callable[..., Any], path: str, times: int) -> float:
    scopes = [
        {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
            "scheme": "http", "path": f"/{path}", "query_string": b"", "root_path": "",
            "headers": [(b"host", b"api.example.com"), (b"user-agent", b"python-httpx/0.28")],
            "client": ("127.0.0.1", 1), "server": ("a", 80),
        }
        for _ in range(times)
    ]  # fmt: skip
    begin = time.process_time_ns()
    for scope in scopes:
        asked = False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if asked:
                await asyncio.Event().wait()  # the client stays
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}

        await handler(scope, receive, _send)
    return (time.process_time_ns() - begin) / times / 1e3


async def _send(message: Any) -> None:
    pass


def run(quick: bool) -> Result:
    """Differences to no middleware at all; the best of the rounds of several processes."""
    samples = interleave(
        "django", ["ours", *OTHERS], rounds=2 if quick else 4, quick=quick, others=OTHERS
    )
    best = {
        metric: min(values)
        for variant in samples.values.values()
        for metric, values in variant.items()
    }
    names = list(dict.fromkeys(metric.rpartition("/")[0] for metric in best))

    def added(name: str, kind: str) -> tuple[float, float]:
        request = best[f"{name}/{kind}"] - best[f"none/{kind}"]
        stream = best[f"{name}/{kind} stream"] - best[f"none/{kind} stream"]
        return request, (stream - request) / CHUNKS

    budgets = []
    for kind in ("sync", "async"):
        request, chunk = added("llmobs", kind)
        bare = added("bare", kind)[0]
        budgets += [
            Budget(f"per {kind} request, over a bare middleware", request - bare, 15, "µs"),
            Budget(f"per chunk, {kind}", chunk, 0.3, "µs"),
        ]
    return Result(
        TITLE,
        ("variant", "sync request", "added", "per chunk", "async request", "added", "per chunk"),
        [
            (n, best[f"{n}/sync"], *added(n, "sync"), best[f"{n}/async"], *added(n, "async"))
            for n in names
        ],
        budgets,
        "Best rounds; nothing is recorded in the requests. bare is a middleware that passes the request on, "
        "as Sentry's figures have it too; Sentry and OpenTelemetry make a span of each request "
        "and give it to nobody.",
    )
