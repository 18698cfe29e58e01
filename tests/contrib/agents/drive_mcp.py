"""Plays the ``mcp`` package: a client of version 1 or 2, and servers of version 2 on three transports."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

import llmobs
import mcp
from llmobs.contrib import mcp as door
from tests.contrib.agents.driving import Player, main

TRACE = "0af7651916cd43dd8448eb211c80319c"
SERVER = [sys.executable, "-m", "tests.contrib.agents.mcp_server"]


@asynccontextmanager
async def over_stdio() -> AsyncIterator[mcp.ClientSession]:
    parameters = mcp.StdioServerParameters(command=SERVER[0], args=SERVER[1:])
    async with (
        mcp.stdio_client(parameters) as (read, write),
        mcp.ClientSession(read, write) as session,
    ):
        await session.initialize()
        yield session


async def drive(player: Player) -> None:
    door.instrument(llmobs_client=player.client)
    door.instrument(llmobs_client=player.client)

    async with over_stdio() as session:
        await player.once("tool", lambda: session.call_tool("find", {"query": "queues"}))
        await player.once("prompt", lambda: session.get_prompt("greet", {"name": "Ann"}))
        uri: Any = "shop://terms"
        await player.once("resource", lambda: session.read_resource(uri))
        await player.once("tool fails", lambda: session.call_tool("fail", {}))
        await player.once("refused", lambda: session.call_tool("no such tool", {}))

        async def cancelled() -> None:
            with anyio.move_on_after(0.3):
                await session.call_tool("wait", {})

        await player.once("cancelled", cancelled)

        async def in_trace() -> None:
            with player.client.run("traced") as run:
                run.trace_id, run.span_id = TRACE, "b7ad6b7169203331"
                player.found["meta"] = (await session.call_tool("meta", {})).model_dump(mode="json")

        await player.once("in trace", in_trace)

        async def many(i: int) -> None:
            await session.call_tool("find", {"query": f"queue {i}"})

        await player.many(many)
        if mcp_version() > 1:
            await serve(player)
        door.uninstrument()
        await player.once("off", lambda: session.call_tool("find", {"query": "queues"}), runs=0)


def mcp_version() -> int:
    from importlib.metadata import version

    return int(version("mcp").partition(".")[0])


async def serve(player: Player) -> None:
    """Servers in this process: over streams in memory, and behind HTTP with and without our middleware."""
    from mcp.server.mcpserver import MCPServer

    server = MCPServer("shop")

    @server.tool()
    async def find(query: str) -> str:
        llmobs.current_tracker().agent_step("inside").start().end()
        return f"found {query}"

    @server.tool()
    async def fail() -> str:
        raise LookupError("none")

    async with mcp.Client(server) as client:
        await player.once("same process", lambda: client.call_tool("find", {"query": "queues"}))

    door.uninstrument()
    client_only = mcp.Client(server)
    door.instrument(llmobs_client=player.client)  # finds the server there is
    door._patches.undo()  # its clients are elsewhere from here on

    async with client_only as client:
        meta: Any = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        await player.once("served", lambda: client.call_tool("find", {"query": "q"}, meta=meta))
        await player.once("served fails", lambda: client.call_tool("fail", {}))


if __name__ == "__main__":
    main(drive)
