"""Events on WatchLLM's wire: both of its validators must accept whatever was recorded."""

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmobs.codec import AnyEvent, encode
from llmobs.events import ErrorInfo, Event, PromptCallEvent
from llmobs.server.watchllm.rules import parse_batch, refusals
from llmobs.sinks._watchllm import to_watchllm, wire_id
from tests.sinks.examples import ODD_ZONE, common, every_kind, prompt_call


def on_the_wire(event: Event) -> dict[str, Any]:
    wire: dict[str, Any] = json.loads(encode(to_watchllm(event)))
    return wire


def accepted(event: Event) -> dict[str, Any]:
    wire = on_the_wire(event)
    events, issues = parse_batch({"events": [wire]})
    assert not issues
    assert not refusals(events[0])
    return events[0]


@pytest.mark.parametrize("event", every_kind(), ids=lambda event: str(event.event_type))
def test_every_kind_is_accepted(event: Event) -> None:
    wire = accepted(event)
    assert (wire["event_id"], wire["project_id"], wire["run_id"]) == (
        event.event_id,
        "shop",
        event.run_id,
    )
    assert wire["timestamp"] == "2024-01-02T03:04:05.678Z"
    assert wire["env"] == "production"
    assert wire["client"] == {"hostname": "web-1", "sdk_version": "9.9", "platform": "python"}


def test_a_call_field_by_field() -> None:
    call = accepted(
        prompt_call(
            prompt=[{"role": "user", "content": "héllo"}],
            provider="openai",
            finish_reason="stop",
            tokens_cached=4,
            response_metadata={"safety_score": 0.5, "own": [1]},
            model_version="gpt-4o-2024",
            prompt_template_id="t1",
            tool_calls=[{"id": "c1", "function": {"name": "f", "arguments": '{"a": 1}'}}],
        )
    )
    assert json.loads(call["prompt"]) == [{"role": "user", "content": "héllo"}]
    assert call["latency_ms"] == 1250
    assert call["cost_estimate_usd"] == 0.000735
    assert call["model_version"] == "gpt-4o-2024"
    assert call["response_metadata"] == {
        "safety_score": 0.5,
        "own": [1],
        "operation": "chat",
        "provider": "openai",
        "finish_reason": "stop",
        "tokens_cached": 4,
        "session_id": "s1",
        "service_name": "checkout",
        "metadata": {"region": "eu", "nested": {"a": [1, None]}},
    }
    assert call["tool_calls"] == [
        {
            "tool_name": "f",
            "tool_id": "c1",
            "input": {"a": 1},
            "output": {},
            "latency_ms": 0,
            "status": "success",
        }
    ]


def test_what_is_unknown_is_zero_and_said() -> None:
    call = accepted(PromptCallEvent(**common()))
    assert (call["tokens_input"], call["cost_estimate_usd"], call["latency_ms"]) == (0, 0, 0)
    assert call["response_metadata"]["unknown"] == [
        "tokens_input",
        "tokens_output",
        "cost_usd",
        "latency_ms",
    ]
    assert call["prompt"] == call["response"] == "(empty)"
    assert call["model"] == "unknown"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("success", "success"), ("ok", "success"), ("cancelled", "error"), ("timeout", "timeout"),
        ("warning", "warning"), ("assertion_failed", "assertion_failed"), ("odd", "warning"),
    ],
)  # fmt: skip
def test_statuses_are_mapped_and_the_original_kept(given: str, wanted: str) -> None:
    call = accepted(prompt_call(status=given))
    assert call["status"] == wanted
    assert call["response_metadata"].get("status") == (None if given == wanted else given)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("production", "production"), ("Prod", "production"), ("qa", "staging"),
        ("development", "development"), ("dev", "development"), ("blue-7", "development"),
    ],
)  # fmt: skip
def test_environments_are_mapped_and_the_original_kept(given: str, wanted: str) -> None:
    call = accepted(prompt_call(environment=given))
    assert call["env"] == wanted
    assert call["response_metadata"].get("environment") == (None if given == wanted else given)


def test_a_time_in_another_zone_becomes_utc() -> None:
    moment = datetime(2024, 1, 2, 3, 4, 5, tzinfo=ODD_ZONE)
    assert on_the_wire(prompt_call(timestamp=moment))["timestamp"] == "2024-01-02T01:04:05.000Z"


def test_an_id_of_the_callers_own_becomes_a_uuid_and_is_kept() -> None:
    call = accepted(prompt_call(event_id="order-17"))
    assert call["event_id"] == wire_id(prompt_call(event_id="order-17"))
    assert call["response_metadata"]["event_id"] == "order-17"


def test_kinds_the_server_lacks_become_steps() -> None:
    kinds = {str(event.event_type): accepted(event) for event in every_kind()}
    assert kinds["performance_alert"]["event_type"] == "cost_threshold_exceeded"
    tool = kinds["tool_call"]
    assert (tool["event_type"], tool["step_type"]) == ("agent_step", "tool_call")
    assert tool["step_name"] == "search"
    assert (tool["input_data"], tool["output_data"]) == ({"q": "x"}, {"value": ["a"]})
    run = kinds["run"]
    assert (run["event_type"], run["step_name"]) == ("agent_step", "POST /chat")
    assert run["context"]["event_type"] == "run"
    assert run["context"]["http_status"] == 200
    rating = kinds["evaluation"]
    assert (rating["event_type"], rating["step_name"]) == ("agent_step", "helpfulness")
    said = {"event_type": "evaluation", "score": 0.5, "label": "fair", "explanation": "short"}
    assert rating["context"].items() >= {**said, "source": "user"}.items()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
_VALUES: dict[Any, st.SearchStrategy[Any]] = {
    Any: json_values,
    str: st.text(max_size=10),
    str | None: st.none() | st.text(max_size=10),
    int: st.integers(0, 2**63 - 1),
    int | None: st.none() | st.integers(0, 2**63 - 1),
    float: st.floats(0, allow_nan=False, allow_infinity=False),
    float | None: st.none() | st.floats(0, allow_nan=False, allow_infinity=False),
    bool | None: st.none() | st.booleans(),
    bool: st.booleans(),
    tuple[str, ...]: st.lists(st.text(max_size=5), max_size=3).map(tuple),
    dict[str, Any] | None: st.none() | st.dictionaries(st.text(max_size=14), json_values),
    dict[str, int] | None: st.none() | st.dictionaries(st.text(max_size=9), st.integers(0, 2**63)),
    list[dict[str, Any]] | None: st.none()
    | st.lists(
        st.dictionaries(
            st.sampled_from(
                ["tool_name", "function", "input", "output", "latency_ms", "status", "error", "id"]
            ),
            json_values,
        )
    ),
    list[float] | None: st.none(),
    ErrorInfo: st.builds(ErrorInfo, message=st.text(max_size=4)),
    ErrorInfo | None: st.none() | st.builds(ErrorInfo, message=st.text(max_size=4)),
}


@st.composite
def any_events(draw: st.DrawFn) -> Event:
    import msgspec

    kind = draw(st.sampled_from(AnyEvent.__args__))
    skipped = {"event_id", "timestamp", "client"}
    fields = {
        f.name: draw(_VALUES[f.type])
        for f in msgspec.structs.fields(kind)
        if (f.name not in skipped and draw(st.booleans())) or (f.required and f.name not in skipped)
    }
    return kind(**{"event_id": "e", "timestamp": common()["timestamp"], **fields})  # type: ignore[no-any-return]


@settings(max_examples=300)
@given(any_events())
def test_whatever_was_recorded_is_accepted(event: Event) -> None:
    accepted(event)
