"""Tool calls a model asked for, read from whichever provider's shape."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

__all__ = ["AskedTool", "asked_tool"]


class AskedTool(NamedTuple):
    """One tool call a model asked for."""

    name: str
    id: str | None
    arguments: Any
    result: Any


def asked_tool(call: Mapping[str, Any]) -> AskedTool:
    """
    Read a tool call in the shape of WatchLLM (``tool_name``, ``input``), of OpenAI (``function``
    with ``arguments`` as JSON text) or of Anthropic (``name``, ``input``).
    """
    function = call.get("function")
    inner = function if isinstance(function, Mapping) else {}
    name = call.get("tool_name") or call.get("name") or inner.get("name")
    call_id = call.get("tool_id") or call.get("call_id") or call.get("id")
    arguments = _first(call.get("input"), call.get("arguments"), inner.get("arguments"))
    if isinstance(arguments, str):
        with suppress(msgspec.DecodeError, UnicodeError):  # a model may write anything
            arguments = msgspec.json.decode(arguments)
    result = _first(call.get("output"), call.get("result"))
    return AskedTool(
        str(name) if name else "tool", None if call_id is None else str(call_id), arguments, result
    )


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
