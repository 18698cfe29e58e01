"""
The Model Context Protocol, as far as tools that only read need it: five methods of JSON-RPC. Without I/O.

The official SDK would bring 14 packages and 32 MB to a collector of 23 packages and 41 MB, and take longer
to import than that takes to start; and nothing here needs sessions, streams or requests of our own.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from llmobs.mcp.tools import INSTRUCTIONS, Tools

__all__ = ["VERSIONS", "Message", "answered", "refused", "unsupported"]

VERSIONS: Final = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""Revisions that begin with ``initialize``, the latest first; clients of later ones fall back to them."""
PARSE, INVALID, UNKNOWN, PARAMETERS, INTERNAL = -32700, -32600, -32601, -32602, -32603
UNSUPPORTED: Final = -32022
"""A revision that is not spoken here; its data names those that are."""


class Message(msgspec.Struct):
    """What a client says: a request if it has an id and a method, else nothing that is answered."""

    jsonrpc: str
    method: str | None = None
    id: str | int | None = None
    params: dict[str, Any] | None = None


def answered(message: Message, tools: Tools) -> Mapping[str, Any] | None:
    """
    Return the answer to *message*; None where it wants none. Blocking.

    Args:
        message: Any that a client sends.
        tools: Those there are.
    """
    if message.id is None or message.method is None:
        return None
    match message.method:
        case "initialize":
            result = _initialized(message.params or {})
        case "ping":
            result = {}
        case "tools/list":
            result = {"tools": tools.listed()}
        case "tools/call":
            return _called(message, tools)
        case _:
            return refused(message.id, UNKNOWN, "there is no such method here")
    return {"jsonrpc": "2.0", "id": message.id, "result": result}


def refused(id: str | int | None, code: int, words: str, data: Any = None) -> Mapping[str, Any]:
    """Return an error of JSON-RPC."""
    error = {"code": code, "message": words, **({} if data is None else {"data": data})}
    return {"jsonrpc": "2.0", "id": id, "error": error}


def unsupported(id: str | int | None, requested: str) -> Mapping[str, Any]:
    """Return what is told a client that speaks another revision."""
    data = {"supported": list(VERSIONS), "requested": requested[:80]}
    return refused(id, UNSUPPORTED, "Unsupported protocol version", data)


def _initialized(params: Mapping[str, Any]) -> Mapping[str, Any]:
    from llmobs import __version__

    wanted = params.get("protocolVersion")
    return {
        "protocolVersion": wanted if wanted in VERSIONS else VERSIONS[0],
        "capabilities": {"tools": {"listChanged": False}},
        "serverInfo": {"name": "llmobs", "version": __version__},
        "instructions": INSTRUCTIONS,
    }


def _called(message: Message, tools: Tools) -> Mapping[str, Any]:
    params = message.params or {}
    name, arguments = params.get("name"), params.get("arguments") or {}
    if not tools.has(name):
        words = "there is no such tool; tools/list names those there are"
        return refused(message.id, PARAMETERS, words)
    if not isinstance(arguments, dict):
        return refused(message.id, PARAMETERS, "arguments is an object")
    text, is_answer = tools.call(str(name), arguments)
    result = {"content": [{"type": "text", "text": text}], "isError": not is_answer}
    return {"jsonrpc": "2.0", "id": message.id, "result": result}
