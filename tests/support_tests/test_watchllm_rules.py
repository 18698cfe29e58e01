"""WatchLLM's two validators against every row of the format, accepted and refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from llmobs.server.watchllm.rules import parse_batch, refusals

DATA = Path(__file__).parents[1] / "data"
MISSING: Any = object()
SAMPLES = {
    event["event_type"]: event
    for event in json.loads((DATA / "watchllm_batch_all_types.json").read_bytes())["events"]
}
KINDS = (
    "prompt_call",
    "agent_step",
    "error",
    "assertion_failed",
    "hallucination_detected",
    "cost_threshold_exceeded",
)


def changed(kind: str, path: str, value: Any) -> dict[str, Any]:
    """Return a sample event with one field set, or taken out."""
    event: dict[str, Any] = json.loads(json.dumps(SAMPLES[kind]))
    *parents, name = path.split(".")
    holder: Any = event
    for parent in parents:
        holder = holder[int(parent)] if isinstance(holder, list) else holder[parent]
    if value is MISSING:
        del holder[name]
    else:
        holder[name] = value
    return event


def issues_of(event: Any) -> list[str]:
    """Return validator A's complaints about a batch of this one event."""
    return [str(issue) for issue in parse_batch({"events": [event]})[1]]


# kind, path, value
ACCEPTED = [
    ("prompt_call", "event_id", "25938F0F-5802-56DF-AA77-DD6625D41588"),
    ("prompt_call", "env", "staging"),
    ("prompt_call", "env", "development"),
    ("prompt_call", "tags", MISSING),
    ("prompt_call", "tags", []),
    ("prompt_call", "user_id", MISSING),
    ("prompt_call", "user_id", ""),
    ("prompt_call", "release", MISSING),
    ("prompt_call", "client", MISSING),
    ("prompt_call", "client", {}),
    ("prompt_call", "client.more", 1),
    ("prompt_call", "unknown", None),
    ("prompt_call", "tokens_input", 0),
    ("prompt_call", "latency_ms", 5.0),
    ("prompt_call", "cost_estimate_usd", 0),
    ("prompt_call", "prompt_template_id", MISSING),
    ("prompt_call", "model_version", MISSING),
    ("prompt_call", "response_metadata", MISSING),
    ("prompt_call", "response_metadata", {"safety_score": 0, "confidence_score": 1, "x": None}),
    ("prompt_call", "tool_calls", MISSING),
    ("prompt_call", "tool_calls", []),
    ("prompt_call", "tool_calls.0.tool_id", MISSING),
    ("prompt_call", "tool_calls.0.error", {"message": "x"}),
    ("prompt_call", "error", {"message": "x"}),
    *[
        ("prompt_call", "status", status)
        for status in ("success", "error", "timeout", "assertion_failed", "warning")
    ],
    *[
        ("agent_step", "step_type", step)
        for step in ("reasoning", "tool_call", "validation", "output")
    ],
    ("agent_step", "step_number", 0),
    ("agent_step", "reasoning", MISSING),
    ("error", "stack_trace", MISSING),
    ("error", "error", {"message": "x"}),
    ("assertion_failed", "expected", MISSING),
    ("assertion_failed", "actual", MISSING),
    ("assertion_failed", "expected", None),
    *[
        ("assertion_failed", "severity", severity)
        for severity in ("low", "medium", "high", "critical")
    ],
    *[
        ("assertion_failed", "assertion_type", kind)
        for kind in ("response_format", "content_filter", "safety_check", "custom")
    ],
    *[
        ("hallucination_detected", "detection_method", method)
        for method in ("heuristic", "model_ensemble", "ground_truth_verification")
    ],
    ("hallucination_detected", "confidence_score", 0),
    ("hallucination_detected", "confidence_score", 1),
    ("hallucination_detected", "recommendations", []),
    ("hallucination_detected", "ground_truth", "x"),
    *[
        ("cost_threshold_exceeded", "alert_type", alert)
        for alert in ("cost_spike", "latency_spike", "error_rate_spike", "token_limit")
    ],
    ("cost_threshold_exceeded", "window_minutes", 1),
    ("cost_threshold_exceeded", "affected_models", ["gpt-4o"]),
]

_NULL = "Expected string, received null"

# kind, path, value, what zod says
REFUSED_BY_A = [
    ("prompt_call", "event_id", "event-1", "Invalid uuid"),
    ("prompt_call", "event_id", "25938f0f580256dfaa77dd6625d41588", "Invalid uuid"),
    ("prompt_call", "project_id", "", "String must contain at least 1 character(s)"),
    ("prompt_call", "run_id", "", "String must contain at least 1 character(s)"),
    ("prompt_call", "run_id", 7, "Expected string, received number"),
    ("prompt_call", "timestamp", "2024-01-01T00:00:00.123+00:00", "Invalid datetime"),
    ("prompt_call", "timestamp", "2024-01-01T00:00:00", "Invalid datetime"),
    ("prompt_call", "timestamp", 1704067200, "Expected string, received number"),
    ("prompt_call", "event_type", "performance_alert", "Invalid discriminator value."),
    ("prompt_call", "event_type", "tool_call", "Invalid discriminator value."),
    ("prompt_call", "event_type", MISSING, "Invalid discriminator value."),
    ("prompt_call", "env", "test", "Invalid enum value. Expected 'production' | 'staging'"),
    ("prompt_call", "tags", None, "Expected array, received null"),
    ("prompt_call", "tags", "a", "Expected array, received string"),
    ("prompt_call", "user_id", None, _NULL),
    ("prompt_call", "release", None, _NULL),
    ("prompt_call", "client", None, "Expected object, received null"),
    ("prompt_call", "client.hostname", None, _NULL),
    ("prompt_call", "prompt", "", "String must contain at least 1 character(s)"),
    ("prompt_call", "model", "", "String must contain at least 1 character(s)"),
    ("prompt_call", "response", None, _NULL),
    ("prompt_call", "response", MISSING, "Required"),
    ("prompt_call", "tokens_input", -1, "Number must be greater than or equal to 0"),
    ("prompt_call", "tokens_output", 1.5, "Expected integer, received float"),
    ("prompt_call", "tokens_output", True, "Expected number, received boolean"),
    ("prompt_call", "cost_estimate_usd", -0.1, "Number must be greater than or equal to 0"),
    ("prompt_call", "cost_estimate_usd", None, "Expected number, received null"),
    ("prompt_call", "latency_ms", 12.5, "Expected integer, received float"),
    ("prompt_call", "latency_ms", "12", "Expected number, received string"),
    ("prompt_call", "status", "ok", "Invalid enum value. Expected 'success' | 'error' | "),
    ("prompt_call", "prompt_template_id", None, _NULL),
    ("prompt_call", "model_version", None, _NULL),
    ("prompt_call", "error", None, "Expected object, received null"),
    ("prompt_call", "response_metadata", None, "Expected object, received null"),
    ("prompt_call", "response_metadata.safety_score", 2, "Number must be less than or equal to 1"),
    ("prompt_call", "response_metadata.safety_score", None, "Expected number, received null"),
    ("prompt_call", "tool_calls", None, "Expected array, received null"),
    ("prompt_call", "tool_calls.0.tool_name", "", "String must contain at least 1 character(s)"),
    ("prompt_call", "tool_calls.0.tool_name", MISSING, "Required"),
    ("prompt_call", "tool_calls.0.input", "x", "Expected object, received string"),
    ("prompt_call", "tool_calls.0.output", [], "Expected object, received array"),
    ("prompt_call", "tool_calls.0.latency_ms", 0.5, "Expected integer, received float"),
    ("prompt_call", "tool_calls.0.status", "done", "Invalid enum value."),
    ("agent_step", "step_number", -1, "Number must be greater than or equal to 0"),
    ("agent_step", "step_name", "", "String must contain at least 1 character(s)"),
    ("agent_step", "step_type", "thinking", "Invalid enum value."),
    ("agent_step", "input_data", None, "Expected object, received null"),
    ("agent_step", "output_data", MISSING, "Required"),
    ("agent_step", "context", MISSING, "Required"),
    ("agent_step", "reasoning", None, _NULL),
    ("error", "error", MISSING, "Required"),
    ("error", "error.message", "", "String must contain at least 1 character(s)"),
    ("error", "error.code", 1, "Expected string, received number"),
    ("error", "error.context", None, "Expected object, received null"),
    ("error", "context", MISSING, "Required"),
    ("error", "stack_trace", None, _NULL),
    ("assertion_failed", "assertion_name", "", "String must contain at least 1 character(s)"),
    ("assertion_failed", "assertion_type", "regex", "Invalid enum value."),
    ("assertion_failed", "severity", "fatal", "Invalid enum value."),
    ("hallucination_detected", "detection_method", "guess", "Invalid enum value."),
    ("hallucination_detected", "confidence_score", 1.1, "Number must be less than or equal to 1"),
    ("hallucination_detected", "flagged_content", "", "String must contain at least 1 character"),
    ("hallucination_detected", "recommendations", MISSING, "Required"),
    ("hallucination_detected", "ground_truth", None, _NULL),
    ("cost_threshold_exceeded", "alert_type", "cost", "Invalid enum value."),
    ("cost_threshold_exceeded", "threshold", -1, "Number must be greater than or equal to 0"),
    ("cost_threshold_exceeded", "actual_value", "1", "Expected number, received string"),
    ("cost_threshold_exceeded", "window_minutes", 0, "Number must be greater than or equal to 1"),
    ("cost_threshold_exceeded", "affected_models", None, "Expected array, received null"),
]

REFUSED_BY_B = [
    ("timestamp", "2024-01-01T00:00:00Z"),
    ("timestamp", "2024-01-01T00:00:00.1Z"),
    ("timestamp", "2024-01-01T00:00:00.123456Z"),
    ("response", ""),
]


def _id(row: Any) -> str:
    kind, path, value, *_ = row
    return f"{kind}.{path}={'missing' if value is MISSING else value!r}"


def test_the_samples_cover_every_kind() -> None:
    assert tuple(SAMPLES) == KINDS


@pytest.mark.parametrize("name", ["watchllm_batch_minimal.json", "watchllm_batch_all_types.json"])
def test_samples_are_accepted(name: str) -> None:
    body = json.loads((DATA / name).read_bytes())
    events, issues = parse_batch(body)
    assert issues == []
    assert [event["event_id"] for event in events] == [e["event_id"] for e in body["events"]]
    assert [refusals(event) for event in events] == [[]] * len(KINDS)


@pytest.mark.parametrize(("kind", "path", "value"), ACCEPTED, ids=map(_id, ACCEPTED))
def test_accepted(kind: str, path: str, value: Any) -> None:
    events, issues = parse_batch({"events": [changed(kind, path, value)]})
    assert issues == []
    assert refusals(events[0]) == []


@pytest.mark.parametrize(
    ("kind", "path", "value", "message"), REFUSED_BY_A, ids=map(_id, REFUSED_BY_A)
)
def test_refused_by_zod(kind: str, path: str, value: Any, message: str) -> None:
    (issue,) = issues_of(changed(kind, path, value))
    assert issue.startswith(f"events.0.{path}: {message}")


@pytest.mark.parametrize(("path", "value"), REFUSED_BY_B)
def test_refused_by_the_second_validator_alone(path: str, value: str) -> None:
    events, issues = parse_batch({"events": [changed("prompt_call", path, value)]})
    assert issues == []
    (reason,) = refusals(events[0])
    assert reason.startswith(f"{path} is required")


def test_a_day_that_does_not_exist_is_refused() -> None:
    event = changed("prompt_call", "timestamp", "2023-02-29T00:00:00.000Z")
    assert issues_of(event) or refusals(event)


@pytest.mark.parametrize("name", ["event_id", "project_id", "run_id", "timestamp", "env"])
@pytest.mark.parametrize("kind", KINDS)
def test_common_fields_are_required_of_every_kind(kind: str, name: str) -> None:
    assert issues_of(changed(kind, name, MISSING)) == [f"events.0.{name}: Required"]


def test_unknown_keys_are_dropped_but_for_free_form_objects() -> None:
    event = changed("prompt_call", "surprise", 1)
    event["client"]["surprise"] = 1
    event["tool_calls"][0]["surprise"] = 1
    event["tool_calls"][0]["input"]["kept"] = 1
    event["response_metadata"]["kept"] = 1
    (stored,), _ = parse_batch({"events": [event]})
    assert "surprise" not in {*stored, *stored["client"], *stored["tool_calls"][0]}
    assert stored["tool_calls"][0]["input"]["kept"] == stored["response_metadata"]["kept"] == 1


def test_missing_tags_become_an_empty_list() -> None:
    (stored,), _ = parse_batch({"events": [changed("error", "tags", MISSING)]})
    assert stored["tags"] == []


@pytest.mark.parametrize(
    ("body", "issue"),
    [
        ({"events": []}, "events: Array must contain at least 1 element(s)"),
        ({"events": [SAMPLES["error"]] * 101}, "events: Array must contain at most 100 element(s)"),
        ({}, "events: Required"),
        ([], ": Expected object, received array"),
        ({"events": ["x"]}, "events.0: Expected object, received string"),
    ],
    ids=["none", "101", "missing", "array", "text"],
)
def test_the_batch_itself(body: Any, issue: str) -> None:
    assert [str(found) for found in parse_batch(body)[1]] == [issue]


def test_a_hundred_events_are_accepted() -> None:
    events, issues = parse_batch({"events": [SAMPLES["error"]] * 100})
    assert (len(events), issues) == (100, [])


def test_one_bad_event_among_good_ones_is_named_by_its_place() -> None:
    bad = changed("prompt_call", "status", "ok") | {"user_id": None}
    events, issues = parse_batch({"events": [SAMPLES["error"], bad]})
    assert events == []
    assert {str(issue).partition(":")[0] for issue in issues} == {
        "events.1.status",
        "events.1.user_id",
    }
