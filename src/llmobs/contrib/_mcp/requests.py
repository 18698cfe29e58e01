"""Requests of MCP that are recorded, as calls of tools."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from llmobs.capture.operations import ToolCall
from llmobs.capture.tracker import Tracker
from llmobs.contrib._agents.work import Piece
from llmobs.events import Status
from llmobs.recorded.jsontext import as_object
from llmobs.recorded.media import without_media
from llmobs.runtime.troubles import internal_errors

__all__ = ["METHODS", "PARAMS", "call_of", "tell", "tool_name"]

METHODS: Final = {
    "tools/call": "",
    "resources/read": "read_resource",
    "prompts/get": "get_prompt",
}
"""What is recorded, and as which tool; empty: as the tool that is called."""
PARAMS: Final = ("name", "uri", "arguments")
"""What is read of their parameters."""


def tool_name(method: str, params: Mapping[str, Any]) -> str:
    """Return the tool that a request is recorded as."""
    return METHODS[method] or str(params.get("name"))


def call_of(method: str, params: Mapping[str, Any]) -> Callable[[Tracker], ToolCall]:
    """Return what makes the call of a request, as a `Block` takes it."""

    def make(tracker: Tracker) -> ToolCall:
        said = {name: params[name] for name in PARAMS if params.get(name)}
        given = without_media(said if METHODS[method] else said.get("arguments"))
        about = {"mcp": {"method": method}}
        return tracker.tool_call(tool_name(method, params), input=given, metadata=about)

    return make


def tell(piece: Piece | None, result: Any) -> None:
    """Fill in the call with its answer: of a client's session a model, of a server a mapping."""
    if piece is None or not isinstance(tool := piece.operation, ToolCall):
        return
    with internal_errors("read an answer of MCP"):
        if not isinstance(result, Mapping):
            result = result.model_dump(mode="json", exclude_none=True, by_alias=True)
        if result.get("isError"):
            tool.status = Status.ERROR
        tool.output = without_media(_said(result))


def _said(result: Mapping[str, Any]) -> Any:
    said = result.get("structuredContent")
    if said is not None:
        # What is no object is wrapped in one.
        return said["result"] if as_object(said).keys() == {"result"} else said
    said = result.get("content") or {k: v for k, v in result.items() if k != "_meta"}
    if type(said) is list and len(said) == 1 and as_object(said[0]).get("type") == "text":
        return said[0].get("text")
    return said
