"""What leaves over OTLP comes back from our own collector as it left: nothing that we say is ours to lose."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import llmobs
from llmobs.events import AgentStepEvent, Event, EventType, PromptCallEvent, RunEvent
from llmobs.store.reader import Reader
from tests.support.serving import Serving

SAY: dict[EventType, Callable[[llmobs.Tracker], object]] = {
    EventType.PROMPT_CALL: lambda run: run.log_prompt_call(
        [{"role": "user", "content": "hello"}], "gpt-5", "answer", 11, 7, 120.5, "error",
        {"message": "slow down", "type": "RateLimitError", "code": "429", "stack": "in f", "context": {"a": 1}},
        "template", "gpt-5-2", {"x": {"y": 1}}, [{"id": "c1", "name": "f", "arguments": {"a": 1}}],
        ["own"], provider="openai", finish_reason="stop", cost_usd=0.5, tokens_cached=3,
        tokens_cache_write=2, tokens_reasoning=1, usage={"audio": 4, "of_a_kind": 5},
        time_to_first_token_ms=12.0, stream=True, response_id="r1", request_id="req1",
        http_status=429, service_tier="flex", server_address="api.openai.com",
        request_params={"temperature": 0.5, "seed": 4, "of_its_own": 7}, errors=["e1"],
        metadata={"k": "v", "d": {"z": [1]}},
    ),
    EventType.TOOL_CALL: lambda run: run.log_tool_call(
        "search", {"q": 1}, {"r": 2}, 5.0, "timeout", tool_id="t1", metadata={"k": 1}
    ),
    EventType.AGENT_STEP: lambda run: run.log_agent_step(
        3, "think", "planning", "which one?", "that one", 3.0, "warning", context={"c": {"d": 1}}
    ),
    EventType.ERROR: lambda run: run.log_error(
        {"message": "boom", "type": "ShopError", "code": "17", "stack": "in f", "context": {"a": [1]}},
        context={"order": {"id": 7}}, tags=["own"], metadata={"k": 1},
    ),
    EventType.ASSERTION_FAILED: lambda run: run.log_assertion_failed(
        "is_json", "format", expected={"a": 1}, actual=["x"], severity="high"
    ),
    EventType.HALLUCINATION_DETECTED: lambda run: run.log_hallucination_detected(
        "llm_judge", 0.9, "The moon is cheese", ["ask again"], "It is rock"
    ),
    EventType.PERFORMANCE_ALERT: lambda run: run.log_performance_alert(
        "latency_spike", 1.5, 2.5, 5, ["gpt-5"]
    ),
    EventType.EVALUATION: lambda run: run.log_evaluation(
        "helpful", score=0.5, label="fair", explanation="short", source="user", metadata={"k": 1}
    ),
}  # fmt: skip
ELSEWHERE = {"event_id", "run_id", "trace_id", "span_id", "parent_id", "client", "standalone"}
"""Derived from the span's ids, or said of whoever sent it."""
BY_CONVENTION = {
    PromptCallEvent: {"prompt", "response", "tool_calls", "operation"},
    AgentStepEvent: {"input_data", "output_data"},
}
"""Contents leave as the conventions' messages, which say the same."""


def kept(path: Path) -> dict[tuple[str, EventType], dict[str, Any]]:
    with Reader(path) as reader:
        runs = [reader.run(run.run_id) for run in reader.runs(10)]
    return {
        (run.summary.run_id.replace("-", ""), event.event_type): fields(event)
        for run in runs
        for event in run.events
    }


def fields(event: Event) -> dict[str, Any]:
    left = set(event.__struct_fields__) - ELSEWHERE - BY_CONVENTION.get(type(event), set())
    said = {name: getattr(event, name) for name in sorted(left)}
    if isinstance(event, PromptCallEvent):
        said["messages"] = event.prompt_messages, event.tool_calls
    if isinstance(event, RunEvent):
        said["latency_ms"] = round(event.latency_ms or 0, 3)  # spans have nanoseconds
    return said


def test_every_event_comes_back_as_it_left(tmp_path: Path) -> None:
    """Of a run that is open, and of one that is over or elsewhere."""
    mine, theirs = tmp_path / "mine.db", tmp_path / "theirs.db"
    with (
        Serving(theirs) as server,
        llmobs.Client(
            sink=f"sqlite:///{mine} otlp+{server.url}", service_name="shop", release="r1"
        ) as client,
    ):
        with client.run(name="nightly", user_id="u1", session_id="s1") as run:
            run.tags, run.metadata = ("a", "b"), {"m": {"n": 1}}
            for say in SAY.values():
                say(run)
        elsewhere = client.run("4f1f2a0e-6d55-4c47-9a6b-0d3c8d6f1c11", user_id="u2")
        for say in SAY.values():
            say(elsewhere)
        assert not client.flush().dropped
        left, came = kept(mine), kept(theirs)
    assert left.keys() == came.keys()
    assert len(left) == 2 * len(SAY) + 1
    for key in left:
        assert came[key] == left[key], key
