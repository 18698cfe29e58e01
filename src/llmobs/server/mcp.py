"""The Model Context Protocol over HTTP: one message a request, one answer each, and nothing kept between."""

from functools import partial
from pathlib import Path
from typing import Final

import anyio
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from llmobs.codec import encode
from llmobs.mcp.protocol import INVALID, PARSE, VERSIONS, Message, answered, refused, unsupported
from llmobs.mcp.tools import Tools
from llmobs.server.access import MCP, access_of, require
from llmobs.server.bodies import read_body
from llmobs.store.engine import open_reader

__all__ = ["routes"]

MAX_BYTES: Final = 1_000_000
"""Of a message: ours are short."""
AT_ONCE: Final = 2
"""Questions that are answered at the same time: each has a thread and a connection."""
HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def routes(store: Path) -> list[Route]:
    """
    Return the way in.

    Args:
        store: The store that is asked about.
    """
    limiter = anyio.CapacityLimiter(AT_ONCE)

    async def mcp(request: Request) -> Response:
        access = access_of(request)
        require(access, "read")
        body = await read_body(request, max_bytes=MAX_BYTES)
        try:
            message = msgspec.json.decode(body, type=Message)
        except msgspec.ValidationError as error:
            return _json(refused(None, INVALID, f"this is no message of JSON-RPC: {error}"), 400)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            return _json(refused(None, PARSE, "this is not JSON"), 400)
        version = request.headers.get("mcp-protocol-version", VERSIONS[0])
        if version not in VERSIONS:
            return _json(unsupported(message.id, version), 400)
        tools = Tools(partial(open_reader, store), access.project)
        found = await anyio.to_thread.run_sync(answered, message, tools, limiter=limiter)
        return Response(status_code=202) if found is None else _json(found)

    return [Route(MCP, mcp, methods=["POST"])]


def _json(message: object, status: int = 200) -> Response:
    return Response(encode(message), status, HEADERS, "application/json")
