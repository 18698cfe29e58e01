"""
Record what goes over the Model Context Protocol: tools, resources and prompts, asked for and served.

::

    from llmobs.contrib import mcp

    mcp.instrument()

A client's request is a tool call of the run that makes it. A server's is one of the HTTP request that brought it,
where `llmobs.contrib.asgi` gave that a run; else a run of its own, in the trace that the caller named in ``_meta``
(SEP-414). Clients of version 1 and 2 of the ``mcp`` package are recorded, servers of version 2, which have a place
for it (``Server.middleware``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from types import ModuleType
from typing import Any, Final
from weakref import WeakSet

from llmobs.capture.operations import ToolCall
from llmobs.capture.tracker import Tracker
from llmobs.client.async_client import Recording
from llmobs.client.sync_client import default_client
from llmobs.contrib._agents import OpenWork
from llmobs.contrib._importing import Imports
from llmobs.contrib._patching import Patches
from llmobs.contrib._wire.call import CaptureContent
from llmobs.contrib.asgi import run_of, tracker_of
from llmobs.events import Status
from llmobs.recorded.ids import parse_traceparent
from llmobs.recorded.jsontext import as_object
from llmobs.recorded.media import without_media
from llmobs.runtime.context import current_frame, current_run
from llmobs.runtime.troubles import internal_errors

__all__ = ["instrument", "uninstrument"]

_METHODS: Final = {
    "tools/call": "",
    "resources/read": "read_resource",
    "prompts/get": "get_prompt",
}
"""What is recorded, and as which tool; empty: as the tool that is called."""

_patches: Final = Patches()
_imports: Final = Imports()
_served: Final[WeakSet[Any]] = WeakSet()


def instrument(
    *, llmobs_client: Recording | None = None, capture_content: CaptureContent = "full"
) -> None:
    """
    Record what clients and servers of the ``mcp`` package do; twice is harmless, the last options hold.

    Wraps ``send_request`` of the client's session, which has no hook, and ``Server.__init__``.

    Args:
        llmobs_client: Records what happens outside any run; by default the default client.
        capture_content: As of `llmobs.instrument`.

    Raises:
        ImportError: ``mcp`` is not installed.
        ValueError: *capture_content* is none of the three.
    """
    work = OpenWork("mcp", llmobs_client, capture_content)
    session = import_module("mcp.client.session").ClientSession
    uninstrument()
    [owner] = [kind for kind in session.__mro__ if "send_request" in vars(kind)][:1]
    _patches.around(owner, "send_request", lambda original, is_on: _sending(work, original, is_on))
    _imports.when("mcp.server.lowlevel.server", lambda module: _serve(module, work, llmobs_client))


def uninstrument() -> None:
    """Undo :func:`instrument`, of servers that are running, too."""
    _imports.forget()
    _patches.undo()
    for server in _served:
        server.middleware[:] = [each for each in server.middleware if type(each) is not _Serving]
    _served.clear()


def _name(method: str, params: Mapping[str, Any]) -> str:
    return _METHODS[method] or str(params.get("name"))


def _tool(method: str, params: Mapping[str, Any]) -> Callable[[Tracker], ToolCall]:
    def make(tracker: Tracker) -> ToolCall:
        said = {name: params[name] for name in ("name", "uri", "arguments") if params.get(name)}
        given = said if _METHODS[method] else said.get("arguments")
        about = {"mcp": {"method": method}}
        return tracker.tool_call(_name(method, params), input=without_media(given), metadata=about)

    return make


def _tell(tool: Any, result: Any) -> None:
    if not isinstance(result, Mapping):  # a server has it as it goes out
        result = result.model_dump(mode="json", exclude_none=True, by_alias=True)
    if result.get("isError"):
        tool.status = Status.ERROR
    said = result.get("structuredContent")
    if said is None:
        said = result.get("content") or {k: v for k, v in result.items() if k != "_meta"}
        if type(said) is list and len(said) == 1 and as_object(said[0]).get("type") == "text":
            said = said[0].get("text")
    elif as_object(said).keys() == {"result"}:  # what is no object is wrapped in one
        said = said["result"]
    tool.output = without_media(said)


# The client.


def _sending(work: OpenWork, original: Any, is_on: Callable[[], bool]) -> Any:
    async def send_request(session: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        call = getattr(request, "root", request)  # version 1 wraps it once more
        if not is_on() or getattr(call, "method", None) not in _METHODS:
            return await original(session, request, *args, **kwargs)
        params = {name: getattr(call.params, name, None) for name in ("name", "uri", "arguments")}
        with work.piece(_tool(call.method, params), run_name=call.method) as piece:
            if piece is not None:
                with internal_errors("hand on a trace to a server of MCP"):
                    request = _in_trace(request, call, piece.tracker)
            result = await original(session, request, *args, **kwargs)
            if piece is not None:
                with internal_errors("read an answer of MCP"):
                    _tell(piece.operation, result)
        return result

    return send_request


def _in_trace(request: Any, call: Any, run: Tracker) -> Any:
    """Return *request* with the run's trace, if it is in one; the caller's own stays as it is."""
    meta: Any = call.params.meta
    told = dict(meta or {}) if meta is None or isinstance(meta, dict) else meta.model_dump()
    if run.trace_id is None or run.span_id is None or "traceparent" in told:
        return request
    told["traceparent"] = f"00-{run.trace_id}-{run.span_id}-01"
    kind = getattr(type(call.params), "Meta", dict)
    params = call.params.model_copy(update={"meta": kind(**told)})
    changed = call.model_copy(update={"params": params})
    return changed if call is request else type(request)(changed)


# The server.


def _serve(module: ModuleType, work: OpenWork, client: Recording | None) -> None:
    def take(server: Any) -> None:
        if hasattr(server, "middleware"):  # not in version 1
            server.middleware.insert(0, _Serving(work, client))
            _served.add(server)

    _patches.every((module.Server,), take, "record what a server of MCP does")


class _Serving:
    """A ``ServerMiddleware``."""

    def __init__(self, work: OpenWork, client: Recording | None) -> None:
        self._work = work
        self._client = client

    async def __call__(self, context: Any, call_next: Callable[[Any], Any]) -> Any:
        method, params = context.method, context.params or {}
        if method not in _METHODS:
            return await call_next(context)
        frame = current_frame()
        if isinstance(frame, ToolCall) and frame.tool_name == _name(method, params):
            return await call_next(context)  # its client is in this process, and records it
        with self._run(context), self._work.piece(_tool(method, params)) as piece:
            result = await call_next(context)
            if piece is not None:
                with internal_errors("read an answer of MCP"):
                    _tell(piece.operation, result)
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
        told = (context.meta or {}).get("traceparent")
        if isinstance(told, str) and (trace := parse_traceparent(told)) is not None:
            run.trace_id, run.span_id = trace.trace_id, trace.span_id
        return run
