"""What servers serve: tool calls of the HTTP request that brought them, or of runs of their own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from llmobs.capture.operations import ToolCall
from llmobs.capture.tracker import Tracker
from llmobs.client.async_client import Recording
from llmobs.client.sync_client import default_client
from llmobs.contrib._agents.blocks import Block
from llmobs.contrib._agents.work import OpenWork
from llmobs.contrib._mcp.requests import METHODS, call_of, tell, tool_name
from llmobs.contrib.asgi import run_of, tracker_of
from llmobs.recorded.ids import parse_traceparent
from llmobs.runtime.context import current_frame, current_run
from llmobs.runtime.troubles import internal_errors

__all__ = ["Serving"]


class Serving:
    """
    A ``ServerMiddleware``.

    Args:
        work: What its requests are pieces of.
        client: Records those that belong to no run; by default the default client.
    """

    def __init__(self, work: OpenWork, client: Recording | None) -> None:
        self._work = work
        self._client = client

    async def __call__(self, context: Any, call_next: Callable[[Any], Any]) -> Any:
        """Serve one request."""
        method, params = context.method, context.params or {}
        if method not in METHODS:
            return await call_next(context)
        frame = current_frame()
        if isinstance(frame, ToolCall) and frame.tool_name == tool_name(method, params):
            return await call_next(context)  # its client is in this process, and records it
        with self._run(context), Block(self._work, call_of(method, params)) as piece:
            result = await call_next(context)
            tell(piece, result)
        return result

    def _run(self, context: Any) -> AbstractContextManager[object]:
        """Return a block in which the run is current that a request belongs to."""
        with internal_errors("find the run of a request of MCP"):
            if tracker_of(context.request) is not None:
                # A stateful session serves each request in the context of the one that opened it.
                return run_of(context.request)
            if current_run() is None:
                return self._new_run(context)
        return nullcontext()

    def _new_run(self, context: Any) -> Tracker:
        run = Tracker(self._client or default_client())
        run.name = f"{context.method} {(context.params or {}).get('name', '')}".rstrip()
        traceparent = (context.meta or {}).get("traceparent")
        if isinstance(traceparent, str) and (trace := parse_traceparent(traceparent)) is not None:
            run.trace_id, run.span_id = trace.trace_id, trace.span_id
        return run
