"""A server of MCP on standard input and output, of the version that is installed; not recorded itself."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
import asyncio
from typing import Any

try:
    from mcp.server.mcpserver import Context, MCPServer
except ImportError:
    from mcp.server.fastmcp import Context
    from mcp.server.fastmcp import FastMCP as MCPServer

server: Any = MCPServer("shop")


@server.tool()
async def find(query: str) -> str:
    return f"found {query}"


@server.tool()
async def fail() -> str:
    raise LookupError("none")


@server.tool()
async def wait() -> str:
    await asyncio.sleep(600)
    return "late"


@server.tool()
async def meta(ctx: Context) -> str:
    told = ctx.request_context.meta
    return str(dict(told) if isinstance(told, dict) else told and told.model_dump())


@server.prompt()
def greet(name: str) -> str:
    return f"Greet {name}"


@server.resource("shop://terms")
def terms() -> str:
    return "No returns."


if __name__ == "__main__":
    server.run("stdio")
