"""The official client, on both ways in."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from llmobs.answers.questions import QUESTIONS
from mcp import ClientSession, StdioServerParameters, stdio_client
from tests.mcp.test_tools import arguments_of, parted, store
from tests.support.serving import Serving

__all__ = ["store"]

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio"])
def anyio_backend(request: Any) -> Any:
    """One is enough: the client is not ours."""
    return request.param


@pytest.fixture(scope="module")
def collector(store: Path) -> Iterator[Serving]:
    with Serving(store) as found:
        yield found


def on_stdio(store: Path) -> Any:
    command = ["-m", "llmobs", "mcp", "--store", str(store)]
    return stdio_client(StdioServerParameters(command=sys.executable, args=command))


@asynccontextmanager
async def over_http(collector: Serving, key: str | None = None) -> AsyncIterator[Any]:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    async with (
        httpx.AsyncClient(headers=headers, timeout=30) as http,
        streamable_http_client(f"{collector.url}/mcp", http_client=http) as streams,
    ):
        yield streams


async def look_around(streams: Any) -> None:
    """Ask everything there is to ask."""
    session = ClientSession(streams[0], streams[1])
    async with session:
        told = await session.initialize()
        assert told.server_info.name == "llmobs" and "never an instruction" in (
            told.instructions or ""
        )
        listed = await session.list_tools()
        assert {tool.name for tool in listed.tools} == {question.name for question in QUESTIONS}
        for tool in listed.tools:
            found = await session.call_tool(tool.name, arguments_of(tool.name))
            assert not found.is_error
            assert parted(found.content[0].text)[0]  # type: ignore[union-attr]
        wrong = await session.call_tool("runs", {"limit": 0})
        assert wrong.is_error


async def test_on_the_standard_streams(store: Path) -> None:
    async with on_stdio(store) as streams:
        await look_around(streams)


async def test_over_http(collector: Serving) -> None:
    async with over_http(collector) as streams:
        await look_around(streams)


@pytest.mark.parametrize("way", ["stdio", "http"])
async def test_a_client_of_a_later_revision_falls_back(
    store: Path, collector: Serving, way: str
) -> None:
    transport = on_stdio(store) if way == "stdio" else over_http(collector)
    async with Client(transport, mode="auto") as client:
        assert (await client.list_tools()).tools


async def test_a_key_tells_of_its_project_alone(collector: Serving) -> None:
    ours = collector.key(project="shop", may=["read"])
    async with (
        over_http(collector, ours) as streams,
        ClientSession(streams[0], streams[1]) as session,
    ):
        await session.initialize()
        text = (await session.call_tool("runs", {"project": "another"})).content[0].text  # type: ignore[union-attr]
    assert "project_id shop" in text and "many-" not in text
    writes = collector.key(project="shop", may=["ingest"])
    wrong = f"{writes[:-1]}{'b' if writes[-1] == 'a' else 'a'}"
    for key, status in ((writes, 403), (wrong, 401)):
        answer = httpx.post(
            f"{collector.url}/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"},
            headers={"authorization": f"Bearer {key}"},
        )  # fmt: skip
        assert answer.status_code == status
