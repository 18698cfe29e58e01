"""The ``mcp`` package, versions 1 and 2, each in an environment of its own, with a server in another process."""

import pytest

from tests.contrib.agents.playing import RUN, STEP, TOOL, by_run, kinds, of, play

TRACE = "0af7651916cd43dd8448eb211c80319c"
"""Named by the driver."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("framework", ["mcp", "mcp_1"])
def test_what_clients_ask(framework: str) -> None:
    found = play(framework, "")
    for name, tool, given, said in (
        ("tool", "find", {"query": "queues"}, "found queues"),
        ("prompt", "get_prompt", {"name": "greet", "arguments": {"name": "Ann"}}, "Greet Ann"),
        ("resource", "read_resource", {"uri": "shop://terms"}, "No returns."),
    ):
        told = found[name]
        assert kinds(told) == {TOOL: 1, RUN: 1}
        assert told[0]["tool_name"] == tool
        assert told[0]["input"] == given
        assert said in str(told[0]["output"])
        assert told[0].get("status") is None
    for name in ("tool fails", "refused"):
        assert found[name][0]["status"] == "error"
        assert found[name][0]["output"]
    assert [e["status"] for e in found["cancelled"]] == ["cancelled", "cancelled"]
    assert f"00-{TRACE}-" in str(found["meta"]), "the server is told"
    assert {e["trace_id"] for e in found["in trace"]} == {TRACE}
    assert len(by_run(found["many"])) == 20
    assert {e["output"] for e in of(found["many"], TOOL)} == {f"found queue {i}" for i in range(20)}
    assert found["off"] == []
    if framework == "mcp":
        assert kinds(found["same process"]) == {TOOL: 1, STEP: 1, RUN: 1}, "each call once"
        inside, tool, run = found["served"]
        assert inside["parent_id"] == tool["event_id"]
        assert (tool["input"], tool["output"]) == ({"query": "q"}, "found q")
        assert run["name"] == "tools/call find"
        assert {e["trace_id"] for e in found["served"]} == {TRACE}
        tool, run = found["served fails"]
        assert tool["status"] == "error"
        assert "trace_id" not in run
