"""One event of each kind, with every field that travels filled in."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from llmobs.events import (
    AgentStepEvent,
    AssertionFailedEvent,
    ClientInfo,
    ErrorEvent,
    ErrorInfo,
    EvaluationEvent,
    Event,
    HallucinationDetectedEvent,
    PerformanceAlertEvent,
    PromptCallEvent,
    RunEvent,
    ToolCallEvent,
)
from llmobs.recorded.ids import new_id

RUN = "01900000-0000-7000-8000-0000000000aa"
TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
WHEN = datetime(2024, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)


def common(**fields: Any) -> dict[str, Any]:
    return {
        "event_id": new_id(),
        "run_id": RUN,
        "timestamp": WHEN,
        "project_id": "shop",
        "service_name": "checkout",
        "environment": "production",
        "release": "1.2.3",
        "user_id": "u1",
        "session_id": "s1",
        "tags": ("beta",),
        "metadata": {"region": "eu", "nested": {"a": [1, None]}},
        "client": ClientInfo(hostname="web-1", sdk_version="9.9", platform="python"),
        **fields,
    }


def prompt_call(**fields: Any) -> PromptCallEvent:
    filled: dict[str, Any] = {
        "prompt": "What is ML?",
        "model": "gpt-4o",
        "response": "Learning from data.",
        "tokens_input": 12,
        "tokens_output": 45,
        "latency_ms": 1250.4,
        "cost_usd": 0.000735,
        **fields,
    }
    return PromptCallEvent(**common(**filled))


def every_kind() -> list[Event]:
    error = ErrorInfo(message="boom", type="ValueError", code="c1", stack="Traceback ...")
    return [
        prompt_call(error=error, status="error"),
        ToolCallEvent(**common(), tool_name="search", input={"q": "x"}, output=["a"], latency_ms=3),
        AgentStepEvent(
            **common(), step_number=2, step_name="plan", input_data="q", output_data=[1]
        ),
        ErrorEvent(**common(), error=error, context={"path": "/x"}),
        AssertionFailedEvent(**common(), assertion_name="is_json", expected={"a": 1}, actual=None),
        HallucinationDetectedEvent(
            **common(), confidence_score=0.9, flagged_content="cheese", recommendations=("verify",)
        ),
        EvaluationEvent(
            **common(),
            name="helpfulness",
            score=0.5,
            label="fair",
            explanation="short",
            source="user",
        ),
        PerformanceAlertEvent(**common(), threshold=1000, actual_value=5000.5, window_minutes=5),
        RunEvent(**common(), kind="http", name="POST /chat", latency_ms=2000, http_status=200),
    ]


ODD_ZONE = timezone(timedelta(hours=2))
