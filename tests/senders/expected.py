"""
What arrives of what each sender's program did, field by field; and what does not, and why.

The model server's answers depend on the question alone, so that most senders must tell the same.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llmobs import AgentStepEvent, Event, PromptCallEvent, RunEvent, ToolCallEvent
from llmobs.store.reader import Reader
from llmobs.store.records import RunSummary

__all__ = ["ARRIVES", "Arrives", "check", "compare"]

WEATHER = "Briefly: what is the weather in Paris?"
FOUND = (
    "The tools report: sunny in Paris. "
    "The useful way to look at weather paris is to start from weather."
)
TEA = (
    "Most people meet tea through tea. What looks like a problem of tea is often a problem of practice in disguise. "
    "If you tell me more about practice, I can be more precise."
)

SOME = range(120, 170)
"""Tokens of a prompt in which the ids of calls stand, which are random."""

CALLS: dict[str, dict[str, Any]] = {
    # by the words that were asked last
    "What is tea?": {
        "model": "gpt-4o", "model_version": "gpt-4o", "operation": "chat", "system": "Be brief.",
        "answer": TEA, "tokens": (18, 37, 0, 0), "finish_reason": "stop", "temperature": 0.3,
        "cost_usd": 0.000415,
    },
    "What is a stream?": {
        "model": "gpt-4o", "system": "Be brief.", "answer": "Let us take stream one step at a time",
        "tokens": (19, 75, 0, 0), "finish_reason": "stop", "stream": True, "first_token": True,
    },
    "Weather in Paris and Rome?": {
        "model": "gpt-4o", "tokens": (76, 18, 0, 0), "finish_reason": "tool_calls",
        "tool_calls": [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome"})],
        "tools": ["get_weather"],
    },
    "What breaks?": {
        "model": "gpt-4o-fail-429", "status": "error", "error": "Rate limit reached", "tokens": (),
        "asked": True, "error_type": "RateLimitError",
    },
    "Why is the sky blue?": {
        "model": "o4-mini", "answer": "The useful way to look at sky blue", "tokens": (13, 85, 0, 25),
        "finish_reason": "stop", "cost_usd": 0.0003883,
    },
    "And coffee?": {
        "model": "gpt-4o", "answer": "Let us take coffee one step at a time",
        "tokens": (1215, 53, 1152, 0), "cost_usd": 0.0021275,
    },
    "coffee": {
        "model": "text-embedding-3-small", "operation": "embeddings", "tokens": (2, None, None, None),
        "prompt": ["tea", "coffee"], "cost_usd": 4e-08,
    },
    WEATHER: {
        "model": "gpt-4o", "tokens": (72, 9, 0, 0), "inside": "weather-agent",
        "tool_calls": [("get_weather", {"city": "Paris"})], "user_id": "u-1", "session_id": "s-1",
        "tags": ("beta",), "plan": "pro",
    },
    "sunny in Paris": {
        "model": "gpt-4o", "answer": FOUND, "tokens": (SOME, 22, 0, 0), "inside": "weather-agent",
        "user_id": "u-1", "session_id": "s-1", "finish_reason": "stop",
    },
}  # fmt: skip
TOOL: dict[str, Any] = {
    "input": {"city": "Paris"}, "output": "sunny in Paris", "inside": "weather-agent",
    "user_id": "u-1", "session_id": "s-1", "tags": ("beta",), "plan": "pro",
}  # fmt: skip
STEP: dict[str, Any] = {
    "given": WEATHER, "made": FOUND, "user_id": "u-1", "session_id": "s-1", "tags": ("beta",),
    "plan": "pro",
}  # fmt: skip
RUN: dict[str, Any] = {
    "name": "ask the weather", "user_id": "u-1", "session_id": "s-1", "tags": ("beta",), "plan": "pro",
}  # fmt: skip


@dataclass(frozen=True)
class Arrives:
    """What is different of what one sender tells."""

    lacks: frozenset[str] = frozenset()
    """Fields that it tells of no call, tool, step or run."""
    calls: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    """Other values, by what was asked; None where it tells nothing of such a call."""
    tool: Mapping[str, Any] | None = field(default_factory=dict)
    step: Mapping[str, Any] | None = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    on_calls_only: frozenset[str] = frozenset()
    """Fields of the run that its first span does not tell, but others; only a collector sees those."""
    provider: str | None = "openai"
    agent: str = "weather-agent"
    """The name that its step has."""


def compare(
    events: Sequence[Event], arrives: Arrives, summaries: Mapping[str, RunSummary] | None = None
) -> None:
    """
    Compare what came of one sender with what was expected, field by field.

    Args:
        summaries: What a store knows of the runs, by their ids; None for events that were not stored.
    """
    by_id = {event.event_id: event for event in events}
    calls = [event for event in events if isinstance(event, PromptCallEvent)]
    found = {_asked(call): _told(call, by_id) for call in calls}
    for asked, usual in CALLS.items():
        other = arrives.calls.get(asked, {})
        if other is None:
            assert asked not in found, f"unexpected: {found[asked]}"
            continue
        assert asked in found, (asked, list(found))
        expected = {"status": "success", "provider": arrives.provider, **usual, **other}
        if "inside" in expected:
            expected["inside"] = arrives.agent
        _same(found[asked], expected, arrives.lacks - other.keys(), asked)
    tools = [event for event in events if isinstance(event, ToolCallEvent)]
    weather = [_told(each, by_id) for each in tools if each.tool_name == "get_weather"]
    assert len(weather) == (arrives.tool is not None)
    if arrives.tool is not None:
        _same(
            weather[0],
            {"status": "success", **TOOL, "inside": arrives.agent, **arrives.tool},
            arrives.lacks - arrives.tool.keys(),
            "the tool",
        )
    steps = [event for event in events if isinstance(event, AgentStepEvent)]
    agents = [_told(each, by_id) for each in steps if each.step_name == arrives.agent]
    assert len(agents) == (arrives.step is not None), [each.step_name for each in steps]
    if arrives.step is not None:
        _same(
            agents[0],
            {"status": "success", **STEP, **arrives.step},
            arrives.lacks - arrives.step.keys(),
            "the agent",
        )
    run_id = next(call.run_id for call in calls if _asked(call) == "sunny in Paris")
    [run] = [each for each in events if isinstance(each, RunEvent) and each.run_id == run_id]
    expected = {"status": "success", **RUN, **arrives.run}
    lacks = arrives.lacks - arrives.run.keys()
    told = _told(run, by_id)
    summary = run
    if summaries is None:
        lacks |= arrives.on_calls_only
    else:
        summary = summaries[run_id]
        told |= {name: value for name in RUN if (value := getattr(summary, name, None)) is not None}
    _same(told, expected, lacks, "the run")
    # Every call once, and under no other run's name.
    of_run = [call for call in calls if call.run_id == run_id]
    assert summary.tokens_input == sum(call.tokens_input or 0 for call in of_run)
    assert summary.tokens_output == sum(call.tokens_output or 0 for call in of_run)
    costs = [call.cost_usd or 0 for call in of_run]
    assert abs((summary.cost_usd or 0) - sum(costs)) < 1e-9 and all(costs)
    assert len(calls) == len(found), sorted(map(_asked, calls))


def check(store: Path, runs: Collection[str] | None, arrives: Arrives) -> None:
    """Compare what a collector stored of one sender's *runs*; None: all there are."""
    with Reader(store) as reader:
        known = [each.run_id for each in reader.runs(limit=1000)]
        found = [reader.run(run_id) for run_id in known if runs is None or run_id in runs]
    events = [event for each in found for event in each.events]
    compare(events, arrives, {each.summary.run_id: each.summary for each in found})


def _same(
    found: Mapping[str, Any], expected: Mapping[str, Any], lacks: frozenset[str], what: str
) -> None:
    for name, value in expected.items():
        told = found.get(name)
        if name in lacks:
            assert not told, f"{what}: {name} is told after all: {told!r}"
        elif value is ...:
            assert told, (what, name)
        elif name in ("answer", "error") and value:
            assert str(told).startswith(value) or (name == "error" and value in str(told)), (
                what, name, told,
            )  # fmt: skip
        elif name == "cost_usd" and value:
            assert told is not None and abs(told - value) < 1e-9, (what, name, told)
        elif name == "tokens" and len(value) == 4:
            # Of those of a kind, none and not told are the same.
            taken = value[0] if isinstance(value[0], range) else (value[0],)
            assert told[0] in taken and told[1] == value[1], (what, name, told)
            assert [each or 0 for each in told[2:]] == [each or 0 for each in value[2:]], (
                what,
                told,
            )
        elif name == "error_type":
            assert str(told).rpartition(".")[2] == value, (what, name, told)
        else:
            assert told == value or not (told or value), (what, name, told)


def _asked(call: PromptCallEvent) -> str:
    """Return the last words of the prompt."""
    if call.operation == "embeddings":
        return "coffee"
    if "fail" in call.model:  # some leave out what was asked then
        return "What breaks?"
    prompt = call.prompt
    if not isinstance(prompt, list) or not prompt:
        return str(prompt)
    last = prompt[-1]
    if not isinstance(last, dict):
        return str(last)
    part = last["parts"][-1]
    return str(part.get("content", part.get("response")))


def _told(event: Event, by_id: Mapping[str, Event]) -> dict[str, Any]:
    outer = by_id.get(event.parent_id or "")
    error = getattr(event, "error", None)
    told: dict[str, Any] = {
        name: getattr(event, name, None)
        for name in (
            "status", "user_id", "session_id", "tags", "model", "model_version", "provider",
            "operation", "finish_reason", "stream", "input", "output", "name", "cost_usd",
            "response_id", "environment", "release", "service_name", "kind", "route", "http_status",
        )
    }  # fmt: skip
    told |= {
        "inside": None if outer is None else outer.subject,
        "error": None if error is None else error.message,
        "error_type": None if error is None else error.type,
        "plan": (event.metadata or {}).get("plan"),
    }
    if isinstance(event, PromptCallEvent):
        first = event.prompt[0] if isinstance(event.prompt, list) and event.prompt else {}
        params = event.request_params or {}
        told |= {
            "asked": bool(event.prompt),
            "prompt": [
                each["parts"][0].get("content") if isinstance(each, dict) and "parts" in each else each
                for each in event.prompt
            ],
            "system": first["parts"][0]["content"]
            if isinstance(first, dict) and first.get("role") == "system"
            else None,
            "answer": event.response_text,
            "tokens": (
                event.tokens_input, event.tokens_output, event.tokens_cached, event.tokens_reasoning,
            ),
            "first_token": event.time_to_first_token_ms is not None,
            "temperature": params.get("temperature"),
            "tool_calls": [(each["name"], each["arguments"]) for each in event.tool_calls or ()],
            "tools": [
                each.get("name") or each["function"]["name"] for each in params.get("tools") or ()
            ],
        }  # fmt: skip
        if told["tokens"] == (None, None, None, None):
            told["tokens"] = ()
    elif isinstance(event, RunEvent):
        told["tokens"] = (event.tokens_input, event.tokens_output)
    elif isinstance(event, AgentStepEvent):
        told |= {"given": _plain(event.input_data), "made": _plain(event.output_data)}
    return told


def _plain(value: Any) -> Any:
    """Return the text that a decorated function, or a prompt, was."""
    while isinstance(value, (list, dict)) and value:
        if isinstance(value, dict) and "parts" in value:
            value = value["parts"][0]["content"]
        elif isinstance(value, dict):
            value = next(iter(value.values()))
        else:
            value = value[0]
    return value


ON_ROOT = {"tags": ("beta",), "session_id": "s-1", "plan": "pro"}
OF_THE_RUN = {"user_id": None, "session_id": None}  # told on the spans around, not on the calls
ARRIVES: dict[str, Arrives] = {
    "langfuse": Arrives(
        # Its wrapper of `openai` drops what tells which answer it was, and why it ended.
        lacks=frozenset({"provider", "response_id", "model_version", "finish_reason"}),
        provider=None,
        calls={
            "What is a stream?": {"finish_reason": "stop"},
            "What breaks?": {"error_type": "error"},
        },
    ),
    "logfire": Arrives(
        lacks=frozenset({"first_token", "inside", *ON_ROOT}),  # no attribute for a first token
        calls={"coffee": {"prompt": ""}},
        tool=None,  # a plain span, of which nothing says that it is a tool
        step=None,
        run=ON_ROOT,
    ),
    "logfire-1": Arrives(
        lacks=frozenset({"first_token", "inside", *ON_ROOT}),
        tool=None,
        step=None,
        run=ON_ROOT,
    ),
    "phoenix": Arrives(run={"name": "weather-agent"}),
    "traceloop": Arrives(
        lacks=frozenset({"tags"}),  # it has none
        calls={
            # The convention's word, not the provider's.
            "Weather in Paris and Rome?": {"finish_reason": "tool_call"},
        },
    ),
    "langsmith": Arrives(
        lacks=frozenset({"first_token"}),
        calls={"coffee": None},  # wrap_openai leaves embeddings alone
        run={"name": "weather-agent"},
    ),
    "openlit": Arrives(
        lacks=frozenset(
            {"tags", "tools", "plan"}
        ),  # of other attributes nobody knows what they are
        calls={
            "What breaks?": {"asked": False},
            "Why is the sky blue?": {"tokens": (13, 85, 0, 0)},
        },
        tool=None,  # a function like any other
        step={"given": f"({WEATHER!r},)", "user_id": None, "session_id": None},
        run={"name": "weather_agent"},
        agent="weather_agent",
        on_calls_only=frozenset({"user_id", "session_id"}),
    ),
    "pydantic-ai": Arrives(
        lacks=frozenset({"tags", "user_id", "plan", "tools"}),
        calls={
            "Weather in Paris and Rome?": None,
            "And coffee?": None,
            "What breaks?": {"asked": False, "error_type": "ModelRateLimitError"},
            "Why is the sky blue?": {"tokens": (20, 85, 0, 25), "cost_usd": 0.000396},
            WEATHER: {"tokens": (92, 9, 0, 0)},
        },
        step={"plan": "pro"},
        run={"session_id": ...},
        on_calls_only=frozenset({"session_id"}),
    ),
    "openai-v2": Arrives(
        run={"name": "POST /ask", "kind": "http"},
        on_calls_only=frozenset({"user_id", "session_id"}),
        lacks=frozenset({"tags", "plan", "stream", "first_token", "tools"}),
        tool=OF_THE_RUN,
        calls={
            "coffee": {"prompt": []},
            "Why is the sky blue?": {"tokens": (13, 85, 0, 0)},
            "And coffee?": {"tokens": (1215, 53, 0, 0), "cost_usd": 0.0035675},
            WEATHER: OF_THE_RUN,
            "sunny in Paris": OF_THE_RUN,
        },
    ),
    "openai-v2-before": Arrives(
        run={"name": "POST /ask", "kind": "http"},
        on_calls_only=frozenset({"user_id", "session_id"}),
        lacks=frozenset({"tags", "plan", "stream", "first_token", "tools"}),
        tool=OF_THE_RUN,
        calls={
            "coffee": {"prompt": []},
            "Why is the sky blue?": {"tokens": (13, 85, 0, 0)},
            "And coffee?": {"tokens": (1215, 53, 0, 0), "cost_usd": 0.0035675},
            WEATHER: OF_THE_RUN,
            "sunny in Paris": OF_THE_RUN,
        },
    ),
    "vercel-ai": Arrives(
        calls={
            "Weather in Paris and Rome?": {
                "tokens": (102, 18, 0, 0),
                "finish_reason": "tool-calls",
            },
            "What breaks?": {"error_type": "AI_APICallError"},
            WEATHER: {"tokens": (98, 9, 0, 0)},
        },
        run={"name": "weather-agent"},
    ),
}
