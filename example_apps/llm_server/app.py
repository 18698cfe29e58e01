"""The application: routes, and the one way every model request takes through them."""

import json
import time
from itertools import count

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from . import (
    azure,
    batches,
    body,
    faults,
    headers,
    mistral,
    openai_other,
    openai_responses,
    sockets,
)
from .answered import Answered
from .body import BodyResponse, Pace
from .conversation import Json, Reply
from .errors import Dialect, WireError
from .faults import Faults, OnceMemory
from .wires import Answering, wires
from .words import identifier

_PROMPTS = ("messages", "input", "inputs", "prompt", "contents", "query", "model")
"""What tells one request from another, for errors that happen once."""


class LLMServer:
    """The state of one server: its options, and the few things it has to remember."""

    def __init__(
        self,
        *,
        ttft_ms: float,
        chunk_ms: float,
        error_rate: float,
        retry_after: float,
        repeatable: bool,
    ) -> None:
        self._pace = Pace(ttft_ms / 1000, chunk_ms / 1000)
        self._error_every = round(1 / error_rate) if error_rate else 0
        self._retry_after = retry_after
        self._numbers = count(1)
        self._failed_once = OnceMemory()
        self._conversations = openai_responses.Memory()
        self._answered = Answered(repeatable=repeatable)
        self._batches = batches.Batches(self._answered)

    def routes(self) -> list[Route | WebSocketRoute]:
        """Every path the server answers."""
        routes: list[Route | WebSocketRoute] = [
            self._route(path, answering, dialect)
            for path, answering, dialect in wires(self._conversations)
        ]
        routes += self._batches.routes()
        routes += [
            Route("/v1/responses/{id}", self._retrieve, methods=["GET"]),
            Route("/v1/responses/{id}/cancel", self._cancel, methods=["POST"]),
        ]
        routes += [
            WebSocketRoute(prefix + path, self._converse)
            for prefix in ("/v1", "/openai/v1", "/openai")
            for path in ("/realtime", "/responses")
        ]
        routes.append(WebSocketRoute("/ws/{service}", self._converse))
        routes += [Route(path, self._models) for path in ("/v1/models", "/openai/v1/models")]
        routes += [Route("/answered", self._take_answered, methods=["DELETE"])]
        return routes

    def _route(self, path: str, answering: Answering, dialect: Dialect) -> Route:
        async def endpoint(request: Request) -> Response:
            return await self._answer(request, answering, dialect)

        return Route(path, endpoint, methods=["POST"])

    async def _retrieve(self, request: Request) -> Response:
        streamed = request.query_params.get("stream") == "true"
        try:
            found = self._conversations.retrieve(request.path_params["id"], wait=streamed)
        except WireError as error:
            return JSONResponse(error.body(Dialect.OPENAI, "req"), error.status)
        if not streamed:
            return JSONResponse(found)
        after = int(request.query_params.get("starting_after", -1))
        told = [e for e in openai_responses.events(found) if e.data["sequence_number"] > after]  # type: ignore[index]
        text = "".join(f"event: {e.name}\ndata: {json.dumps(e.data)}\n\n" for e in told)
        return Response(text, media_type="text/event-stream")

    async def _cancel(self, request: Request) -> Response:
        try:
            return JSONResponse(self._conversations.cancel(request.path_params["id"]))
        except WireError as error:
            return JSONResponse(error.body(Dialect.OPENAI, "req"), error.status)

    async def _converse(self, socket: WebSocket) -> None:
        seeds = self._answered.arrive(next(self._numbers), time.perf_counter())
        seed = identifier("", 32, socket.url.path, *seeds)
        await sockets.serve(socket, self._answered, self._pace, self._conversations, seed)

    async def _models(self, request: Request) -> Response:
        return JSONResponse(openai_other.models(anthropic="anthropic-version" in request.headers))

    async def _take_answered(self, request: Request) -> Response:
        self._failed_once = OnceMemory()
        return JSONResponse(self._answered.take())

    async def _answer(self, request: Request, answering: Answering, dialect: Dialect) -> Response:
        started = time.perf_counter()
        number = next(self._numbers)
        seeds = self._answered.arrive(number, started)
        retry_after, content, request_id = self._retry_after, Json(), ""
        try:
            request_id = identifier("req_", 32, await request.body(), *seeds)
            content = await _content(request)
            asked = faults.requested(request.headers.get("x-fake-fault", ""), content["model"])
            retry_after = _header(request, "x-fake-retry-after", retry_after)
            pace = self._asked_pace(request)
            if "slow-header" in asked:
                await anyio.sleep(_header(request, "x-fake-slow-ms", 1500) / 1000)
            self._fail_if_asked(request, content, asked, number)
            reply = _answered(answering, content, request_id)
            if "stream-error" in asked and not isinstance(reply.content, list):
                raise WireError(500)
        except WireError as error:
            self._answered.note_error(request.url.path, content, error)
            model = str(content.get("model"))
            head = headers.standard(dialect, request_id, model=model, tokens=0, started=started)
            head |= error.headers(dialect, retry_after)
            return JSONResponse(error.body(dialect, request_id), error.status, head)
        path = request.url.path
        if dialect is Dialect.AZURE and path.endswith("/chat/completions"):
            reply = azure.with_filter_results(reply)
        self._answered.note(path, content, reply)
        if not isinstance(reply.content, list):
            await pace.whole(reply.usage.output)
            chunks, about = body.plain(faults.with_usage_faults(reply.content, asked), asked)
        else:
            error_event = faults.error_event(
                dialect, request_id, path, number=len(reply.content) // 2
            )
            events = faults.in_stream(reply.content, asked, error_event)
            chunks, about = body.stream(events, len(reply.content), reply.framing, pace, asked)
        used = reply.usage.prompt + reply.usage.output
        head = headers.standard(
            dialect, request_id, model=content["model"], tokens=used, started=started
        )
        return BodyResponse(chunks, headers={**head, **reply.headers, **about})

    def _asked_pace(self, request: Request) -> Pace:
        first = _header(request, "x-fake-ttft-ms", self._pace.first * 1000)
        between = _header(request, "x-fake-chunk-ms", self._pace.between * 1000)
        return Pace(first / 1000, between / 1000)

    def _fail_if_asked(self, request: Request, content: Json, asked: Faults, number: int) -> None:
        if self._error_every and number % self._error_every == 0:
            raise WireError(429)
        if "strict" in asked and "stream_options" in content:
            raise WireError(422, "Extra inputs are not permitted: stream_options")
        if asked.status is None:
            return
        prompt = json.dumps([content.get(key) for key in _PROMPTS])
        key = f"{request.url.path} {asked.status} {request.headers.get('idempotency-key', prompt)}"
        if not asked.once or self._failed_once.is_first(key):
            raise WireError(asked.status)


async def _content(request: Request) -> Json:
    sent_keys = [
        request.headers.get(name, "") for name in ("authorization", "api-key", "x-api-key")
    ]
    if any(key.removeprefix("Bearer ") == "invalid" for key in sent_keys):
        raise WireError(401)
    try:
        content = json.loads(await request.body())
    except ValueError:
        raise WireError(400, "We could not parse the JSON body of your request.") from None
    if not isinstance(content, dict):
        raise WireError(400, "The body of the request must be a JSON object.")
    content |= request.path_params  # the model, where it stands there
    if form := request.query_params.get("alt"):  # Google's; a field like any other, they say
        content["alt"] = form
    if "agent_id" in content:
        content.setdefault("model", mistral.AGENTS_MODEL)
    if not isinstance(content.get("model"), str):
        raise WireError(400, "you must provide a model parameter", param="model")
    return content


def _answered(answering: Answering, content: Json, seed: str) -> Reply:
    """The reply; a request whose parts have the wrong types is the client's mistake, not ours."""
    try:
        return answering(content, seed)
    except (AttributeError, KeyError, TypeError) as error:
        raise WireError(
            400, f"A part of the request is missing or of the wrong type: {error}"
        ) from error


def _header(request: Request, name: str, default: float) -> float:
    """A number from a header; raises `WireError` 400 when it is none, or negative."""
    try:
        value = float(request.headers.get(name, default))
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise WireError(400, f"{name}: not a number of at least zero")
    return value


async def _no_such_path(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    dialect = Dialect.ANTHROPIC if "anthropic-version" in request.headers else Dialect.OPENAI
    wrong = WireError(404, f"Invalid URL ({request.method} {request.url.path})")
    return JSONResponse(wrong.body(dialect, identifier("req_", 32, time.perf_counter())), status)


def create_app(
    *,
    ttft_ms: float = 60,
    chunk_ms: float = 12,
    error_rate: float = 0,
    retry_after: float = 1,
    repeatable: bool = False,
) -> Starlette:
    """Make the server as an ASGI application.

    Args:
        ttft_ms: milliseconds until the first token; the header `x-fake-ttft-ms` overrides it.
        chunk_ms: milliseconds between tokens; the header `x-fake-chunk-ms` overrides it.
        error_rate: share of requests answered 429, between 0 and 1. Not random: 0.1 fails every
            tenth request.
        retry_after: seconds in the `Retry-After` of a 429; `x-fake-retry-after` overrides it.
        repeatable: the same request gets the same ids and times too.

    Raises:
        ValueError: an option is out of its range.
    """
    if not 0 <= error_rate <= 1:
        raise ValueError("error_rate must be between 0 and 1")
    if min(ttft_ms, chunk_ms, retry_after) < 0:
        raise ValueError("times must not be negative")
    server = LLMServer(
        ttft_ms=ttft_ms,
        chunk_ms=chunk_ms,
        error_rate=error_rate,
        retry_after=retry_after,
        repeatable=repeatable,
    )
    return Starlette(
        routes=server.routes(), exception_handlers={404: _no_such_path, 405: _no_such_path}
    )
