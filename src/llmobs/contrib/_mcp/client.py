"""What clients ask: tool calls of the run that asks, whose trace they hand on."""

from __future__ import annotations

from typing import Any

from llmobs.capture.tracker import Tracker
from llmobs.contrib._agents.blocks import Block
from llmobs.contrib._agents.work import OpenWork
from llmobs.contrib._mcp.requests import METHODS, PARAMS, call_of, tell
from llmobs.contrib._patching import IsOn
from llmobs.runtime.troubles import internal_errors

__all__ = ["sending"]


def sending(work: OpenWork, original: Any, is_on: IsOn) -> Any:
    """Return ``send_request`` of a client's session, *original*, with a tool call around what is recorded."""

    async def send_request(session: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        call = getattr(request, "root", request)  # version 1 wraps it once more
        if not is_on() or getattr(call, "method", None) not in METHODS:
            return await original(session, request, *args, **kwargs)
        params = {name: getattr(call.params, name, None) for name in PARAMS}
        with Block(work, call_of(call.method, params), run_name=call.method) as piece:
            if piece is not None:
                with internal_errors("hand on a trace to a server of MCP"):
                    request = _in_trace(request, call, piece.tracker)
            result = await original(session, request, *args, **kwargs)
            tell(piece, result)
        return result

    return send_request


def _in_trace(request: Any, call: Any, run: Tracker) -> Any:
    """Return *request* with the run's trace, if it is in one; the caller's own stays as it is."""
    meta: Any = call.params.meta
    new_meta = dict(meta or {}) if meta is None or isinstance(meta, dict) else meta.model_dump()
    if run.trace_id is None or run.span_id is None or "traceparent" in new_meta:
        return request
    new_meta["traceparent"] = f"00-{run.trace_id}-{run.span_id}-01"
    kind = getattr(type(call.params), "Meta", dict)
    params = call.params.model_copy(update={"meta": kind(**new_meta)})
    changed = call.model_copy(update={"params": params})
    return changed if call is request else type(request)(changed)
