"""The application: `uvicorn example_apps.starlette_agent.app:app`."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anthropic
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from llmobs import Tracker
from llmobs.contrib.anthropic import instrument
from llmobs.contrib.starlette import LLMObsMiddleware, get_tracker

from .agent import Agent


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    # The address and the key come from ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY.
    async with anthropic.AsyncAnthropic(max_retries=2, timeout=30) as client:
        app.state.agent = Agent(instrument(client))
        yield


async def ask(request: Request) -> Response:
    """Answer whole."""
    agent, tracker, question = await _asked(request)
    pieces = [piece async for piece in agent.answer(tracker, question)]
    return JSONResponse({"answer": "".join(pieces)})


async def ask_stream(request: Request) -> Response:
    """Answer piece by piece, as server-sent events."""
    agent, tracker, question = await _asked(request)

    async def events() -> AsyncIterator[str]:
        async for piece in agent.answer(tracker, question):
            yield f"data: {json.dumps({'text': piece})}\n\n"
        yield "data: [DONE]\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


async def health(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _asked(request: Request) -> tuple[Agent, Tracker, str]:
    body = await request.json()
    tracker = await get_tracker(request)
    tracker.user_id = str(body.get("user", "anonymous"))
    agent: Agent = request.app.state.agent
    return agent, tracker, str(body["question"])


async def model_is_busy(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": "the model is busy, try again"}, 503, {"retry-after": "1"})


app = Starlette(
    routes=[
        Route("/ask", ask, methods=["POST"]),
        Route("/ask/stream", ask_stream, methods=["POST"]),
        Route("/health", health),
    ],
    exception_handlers={anthropic.APIError: model_is_busy},
    lifespan=lifespan,
)
app.add_middleware(LLMObsMiddleware, service_name="shop-agent")
