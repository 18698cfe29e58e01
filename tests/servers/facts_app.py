"""Facts 12 and 19 of DESIGN §5, the right way and the obvious wrong way side by side."""

import contextvars
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from starlette.middleware.base import BaseHTTPMiddleware

from llmobs import current_tracker
from llmobs.capture.tracker import Tracker
from llmobs.client.async_client import Recording
from llmobs.contrib.asgi import LLMObsMiddleware, tracker_of
from llmobs.contrib.fastapi import TrackerDep

_wrong_run: contextvars.ContextVar[Tracker | None] = contextvars.ContextVar("wrong", default=None)
_wrong_count: contextvars.ContextVar[int] = contextvars.ContextVar("wrong_count", default=0)


class TokenTracker(Tracker):
    """Fact 12: puts the variable back by token, which only its own context accepts."""

    def __enter__(self) -> "TokenTracker":
        self._token = _wrong_run.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _wrong_run.reset(self._token)


def run_around(kind: type[Tracker]) -> Callable[..., Iterator[Tracker]]:
    """A *sync* generator dependency: FastAPI enters and leaves it in different contexts (fact 7)."""

    def dependency(outer: TrackerDep) -> Iterator[Tracker]:
        assert isinstance(outer.client, Recording)
        with kind(outer.client) as run:
            yield run

    return dependency


class CountsInAVariable:
    """Fact 19: counts what the endpoint did in a ContextVar, and reads it outside."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        _wrong_count.set(0)

        async def send_with_counts(message: Any) -> None:
            if message["type"] == "http.response.start":
                tracker = tracker_of(scope)
                assert tracker is not None
                counts = {"x-variable": _wrong_count.get(), "x-run": tracker.recorded}
                message["headers"] += [(k.encode(), str(v).encode()) for k, v in counts.items()]
            await send(message)

        await self.app(scope, receive, send_with_counts)


async def pass_on(request: Any, call_next: Any) -> Any:
    return await call_next(request)


app = FastAPI()
app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)
app.add_middleware(CountsInAVariable)
app.add_middleware(LLMObsMiddleware)


@app.get("/right")
async def right(run: Annotated[Tracker, Depends(run_around(Tracker))]) -> str:
    run.log_prompt_call("q", "m", "a")
    return run.run_id


@app.get("/wrong")
async def wrong(run: Annotated[Tracker, Depends(run_around(TokenTracker))]) -> str:
    run.log_prompt_call("q", "m", "a")
    return run.run_id


@app.get("/count")
async def count() -> str:
    for _ in range(2):
        current_tracker().log_prompt_call("q", "m", "a")
        _wrong_count.set(_wrong_count.get() + 1)
    return "counted"
