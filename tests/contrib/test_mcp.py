"""The real MCP server over streamable HTTP: whose run a tool of a stateful session belongs to."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from llmobs import current_run
from llmobs.contrib import mcp as door
from llmobs.contrib.starlette import LLMObsMiddleware, run_of, tracker_of
from llmobs.events import RunEvent, ToolCallEvent
from llmobs.testing import CapturedEvents

mcpserver = pytest.importorskip("mcp.server.mcpserver")
Context = mcpserver.Context

HEADERS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}


def ask(client: TestClient, method: str, session: str | None = None, **params: Any) -> Any:
    headers = HEADERS if session is None else {**HEADERS, "mcp-session-id": session}
    body: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
    if not method.startswith("notifications/"):
        body["id"] = 1
    return client.post("http://127.0.0.1:8000/mcp", content=json.dumps(body), headers=headers)


def open_session(client: TestClient) -> tuple[Any, str]:
    """Return the answer that opened a session, and its id."""
    opened = ask(
        client,
        "initialize",
        protocolVersion="2025-06-18",
        capabilities={},
        clientInfo={"name": "test", "version": "1"},
    )
    assert opened.status_code == 200, opened.text
    session = opened.headers["mcp-session-id"]
    ask(client, "notifications/initialized", session)
    return opened, session


def test_tools_of_a_stateful_session_belong_to_the_request_that_called_them(
    llmobs_events: CapturedEvents,
) -> None:
    server = mcpserver.MCPServer("shop")
    current: list[str | None] = []

    @server.tool()  # type: ignore[untyped-decorator]
    async def find(query: str, ctx: Context) -> str:  # type: ignore[valid-type]
        request = ctx.request_context.request  # type: ignore[attr-defined]
        run = current_run()
        current.append(None if run is None else run.run_id)
        assert tracker_of(request) is not None
        with run_of(request) as tracker:
            tracker.log_tool_call("find", query, "found")
        return "found"

    app = LLMObsMiddleware(server.streamable_http_app(), sink="memory:")
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        opened, session = open_session(client)
        answers = [
            ask(client, "tools/call", session, name="find", arguments={"query": query})
            for query in ("one", "two")
        ]
    assert all("found" in answer.text for answer in answers)
    asked = [answer.headers["x-run-id"] for answer in answers]
    assert [e.run_id for e in llmobs_events.of(ToolCallEvent)] == asked
    # Since mcp 2 the context is the caller's too; before, it was that of the request that opened the
    # session, which is what `run_of` is for.
    assert current in (asked, [opened.headers["x-run-id"]] * 2)


def test_the_door_records_tools_in_the_run_of_their_request(llmobs_events: CapturedEvents) -> None:
    early = mcpserver.MCPServer("early")
    door.instrument()
    try:
        for server in (early, mcpserver.MCPServer("late")):

            @server.tool()  # type: ignore[untyped-decorator]
            async def find(query: str) -> str:
                return f"found {query}"

            app = LLMObsMiddleware(server.streamable_http_app(), sink="memory:")
            with TestClient(app, base_url="http://127.0.0.1:8000") as client:
                _, session = open_session(client)
                for query in ("one", "two"):
                    ask(client, "tools/call", session, name="find", arguments={"query": query})
    finally:
        door.uninstrument()
    tools = llmobs_events.of(ToolCallEvent)
    assert [(e.tool_name, e.input, e.output) for e in tools] == [
        ("find", {"query": "one"}, "found one"),
        ("find", {"query": "two"}, "found two"),
    ] * 2
    requests = {e.run_id for e in llmobs_events.of(RunEvent) if e.kind == "http"}
    assert len({e.run_id for e in tools} & requests) == 4
    before, now = mcpserver.MCPServer("new")._lowlevel_server, early._lowlevel_server
    assert list(map(type, now.middleware)) == list(map(type, before.middleware))
