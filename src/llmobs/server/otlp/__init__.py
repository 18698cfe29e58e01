"""``POST …/v1/traces``, ``/v1/logs`` and ``/v1/metrics``: OpenTelemetry's protocol over HTTP."""

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import cache
from types import ModuleType
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Scope

from llmobs.runtime.troubles import Troubles
from llmobs.server.access import access_of, check_events, require
from llmobs.server.bodies import RefusedError, answer_refused, read_body
from llmobs.server.collector import Collector
from llmobs.server.otlp import json_
from llmobs.server.otlp.mapping import Converted
from llmobs.server.preparing import ReadsBody
from llmobs.server.refusals import refusal_of

__all__ = ["refused", "routes"]

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
_STATUS: Final = {400: 3, 401: 16, 403: 7, 404: 5, 408: 4, 413: 8, 415: 3, 429: 8, 503: 14}
"""Codes of ``google.rpc.Status`` by HTTP's."""

_once: Final = Troubles(math.inf)


def routes(collector: Collector) -> list[Route]:
    """
    Return the routes, under any path that senders put before them.

    Protobuf is taken where opentelemetry-proto is installed.
    """
    wires = _wires()

    async def traces(request: Request, wire: ModuleType, body: bytes) -> tuple[int, str]:
        require(access_of(request), "ingest")  # spans that bring no event shape a run, too
        return await _store(request, await _read(request, wire.read_spans, body))

    async def logs(request: Request, wire: ModuleType, body: bytes) -> tuple[int, str]:
        converted = await _read(request, wire.read_logs, body)
        if converted.others:
            _once.log(
                "logs",
                "llmobs: log records come that tell of no call of a model; they are acknowledged and not kept",
                level=logging.INFO,
            )
        return await _store(request, converted)

    async def metrics(request: Request, wire: ModuleType, body: bytes) -> tuple[int, str]:
        if await collector.work(wire.count_metrics, body):
            _once.log(
                "metrics",
                "llmobs: metrics come; they are acknowledged and not kept: the collector makes its own "
                "from the calls it stores",
                level=logging.INFO,
            )
        return 0, ""

    async def _read(request: Request, read: ReadsBody[Converted], body: bytes) -> Converted:
        return await collector.read(read, Converted, body, access_of(request).project)

    async def _store(request: Request, converted: Converted) -> tuple[int, str]:
        access = access_of(request)
        check_events(access, converted.events)
        request.state.events = len(converted.events)
        refused = await collector.store(
            converted.events, project=access.project, is_prepared=True, links=converted.links
        )
        words = converted.words or next(iter(refused.values()), "")
        return converted.rejected + len(refused), words

    return [
        Route(f"{lead}/v1/{signal}", _answering(signal, handle, wires), methods=["POST"])
        for signal, handle in (("traces", traces), ("logs", logs), ("metrics", metrics))
        for lead in ("", "/{lead:path}")
    ]


_SIGNALS: Final = ("/v1/traces", "/v1/logs", "/v1/metrics")


@cache
def _wires() -> Mapping[str, ModuleType]:
    wires: dict[str, ModuleType] = {JSON: json_}
    with suppress(ImportError):
        from llmobs.server.otlp import protobuf

        wires |= {PROTOBUF: protobuf, "application/protobuf": protobuf}
    return wires


def refused(error: RefusedError, scope: Scope) -> Response:
    """Return the answer to a request that is refused before it gets here, or anywhere else."""
    if not scope["path"].endswith(_SIGNALS):
        return answer_refused(error)
    wire: Any = _wires().get(_kind(Headers(scope=scope)), json_)
    return _refusal(wire, error)


def _refusal(wire: Any, error: RefusedError) -> Response:
    status = wire.status(_STATUS.get(error.status, 2), error.message)
    return Response(status, error.status, error.headers, JSON if wire is json_ else PROTOBUF)


def _kind(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


Handler = Callable[[Request, ModuleType, bytes], Awaitable[tuple[int, str]]]


def _answering(
    signal: str, handle: Handler, wires: Mapping[str, ModuleType]
) -> Callable[[Request], Awaitable[Response]]:
    """Return what answers requests in the words that they came in."""

    async def endpoint(request: Request) -> Response:
        kind = _kind(request.headers)
        wire: Any = wires.get(kind, json_)
        media_type = JSON if wire is json_ else PROTOBUF
        try:
            if kind not in wires:
                words = f"the content-type has to be {PROTOBUF} or {JSON}"
                if PROTOBUF not in wires:
                    words = f"{JSON} alone is taken here, until llmobs[otlp] is installed"
                raise RefusedError(415, words, "content-type")
            rejected, words = await handle(request, wire, await read_body(request))
        except Exception as error:
            refusal = refusal_of(error)
            if refusal.status == 500:  # ours: logged where all such are
                raise
            return _refusal(wire, refusal)
        return Response(wire.answer(signal, rejected, words), 200, media_type=media_type)

    return endpoint
