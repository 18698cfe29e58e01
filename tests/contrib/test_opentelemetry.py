"""The span processor: spans of every convention, how they hang together, and what is left alone."""

import gc
import json
from contextlib import nullcontext
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, Tracer

from llmobs import (
    AgentStepEvent,
    Client,
    ErrorEvent,
    PromptCallEvent,
    RunEvent,
    ToolCallEvent,
    current_tracker,
)
from llmobs.contrib._spans.flat import read_json, unflatten
from llmobs.contrib.opentelemetry import LLMObsSpanProcessor, tracer_provider
from llmobs.runtime.context import inside, own_traffic
from llmobs.testing import CapturedEvents, capture_events

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.provider.name": "p"}


@pytest.fixture
def tracer(provider: TracerProvider) -> Tracer:
    return provider.get_tracer("tests")


def one(tracer: Tracer, attributes: Any, *, name: str = "span", events: Any = ()) -> None:
    with tracer.start_as_current_span(name, attributes=attributes) as span:
        for event, inside in events:
            span.add_event(event, inside)


TEXT = [{"type": "text", "content": "hello"}]
ASKED = [{"role": "user", "parts": TEXT}]
SAID = [{"role": "assistant", "parts": TEXT, "finish_reason": "stop"}]
TODAY = {
    **CHAT,
    "gen_ai.response.model": "m-2026",
    "gen_ai.response.id": "r1",
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.response.time_to_first_chunk": 0.25,
    "gen_ai.request.temperature": 0.5,
    "gen_ai.request.stream": True,
    "gen_ai.conversation.id": "c1",
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 20,
    "gen_ai.usage.cache_read.input_tokens": 60,
    "gen_ai.usage.cache_write.input_tokens": 5,
    "gen_ai.usage.reasoning.output_tokens": 7,
    "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "be brief"}]),
    "gen_ai.input.messages": json.dumps(ASKED),
    "gen_ai.output.messages": json.dumps(SAID),
    "server.address": "api.example.test",
}
SYSTEM = {"role": "system", "parts": [{"type": "text", "content": "be brief"}]}


def test_todays_convention(events: CapturedEvents, tracer: Tracer) -> None:
    one(tracer, TODAY)
    call, run = events
    assert isinstance(call, PromptCallEvent)
    assert (call.model, call.model_version, call.provider) == ("m", "m-2026", "p")
    assert (call.tokens_input, call.tokens_output) == (100, 20)
    assert (call.tokens_cached, call.tokens_cache_write, call.tokens_reasoning) == (60, 5, 7)
    assert (call.finish_reason, call.response_id, call.session_id) == ("stop", "r1", "c1")
    assert (call.stream, call.time_to_first_token_ms) == (True, 250)
    assert call.request_params == {"temperature": 0.5}
    assert call.prompt == [SYSTEM, *ASKED]
    assert call.response == SAID
    assert call.server_address == "api.example.test"
    assert call.latency_ms is not None
    assert call.latency_ms >= 0
    assert call.trace_id == call.run_id == run.run_id
    assert isinstance(run, RunEvent)
    assert (run.name, run.events, run.tokens_input) == ("span", 1, 100)


TOOL_CALL = {"id": "c1", "name": "f", "arguments": {"x": 1}}
PREVIOUS: dict[str, tuple[Any, Any]] = {
    "events of v1.28": (
        {"gen_ai.system": "openai", "gen_ai.operation.name": "chat", "gen_ai.request.model": "m"},
        [
            ("gen_ai.system.message", {"content": "be brief"}),
            ("gen_ai.user.message", {"content": "hello"}),
            (
                "gen_ai.choice",
                {
                    "finish_reason": "stop",
                    "message": json.dumps({"role": "assistant", "content": "hello"}),
                },
            ),
        ],
    ),
    "content events": (
        {"gen_ai.system": "openai", "gen_ai.request.model": "m"},
        [
            (
                "gen_ai.content.prompt",
                {
                    "gen_ai.prompt": json.dumps(
                        [
                            {"role": "system", "content": "be brief"},
                            {"role": "user", "content": "hello"},
                        ]
                    )
                },
            ),
            (
                "gen_ai.content.completion",
                {
                    "gen_ai.completion": json.dumps(
                        [{"role": "assistant", "content": "hello", "finish_reason": "stop"}]
                    )
                },
            ),
        ],
    ),
    "attributes by position": (
        {
            "gen_ai.system": "openai",
            "gen_ai.request.model": "m",
            "gen_ai.prompt.0.role": "system",
            "gen_ai.prompt.0.content": "be brief",
            "gen_ai.prompt.1.role": "user",
            "gen_ai.prompt.1.content": "hello",
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.content": "hello",
            "gen_ai.completion.0.finish_reason": "stop",
        },
        [],
    ),
    "the details event": (
        {"gen_ai.system": "openai", "gen_ai.request.model": "m"},
        [
            (
                "gen_ai.client.inference.operation.details",
                {
                    "gen_ai.system_instructions": TODAY["gen_ai.system_instructions"],
                    "gen_ai.input.messages": TODAY["gen_ai.input.messages"],
                    "gen_ai.output.messages": TODAY["gen_ai.output.messages"],
                },
            )
        ],
    ),
}


@pytest.mark.parametrize("name", PREVIOUS)
def test_earlier_conventions(events: CapturedEvents, tracer: Tracer, name: str) -> None:
    attributes, inside = PREVIOUS[name]
    usage = {"gen_ai.usage.prompt_tokens": 9, "gen_ai.usage.completion_tokens": 3}
    one(tracer, {**attributes, **usage}, events=inside)
    [call] = events.of(PromptCallEvent)
    assert (call.model, call.provider, call.operation) == ("m", "openai", "chat")
    assert (call.tokens_input, call.tokens_output) == (9, 3)
    assert call.prompt == [SYSTEM, *ASKED]
    assert call.response == SAID
    assert call.finish_reason == "stop"


def test_tools_asked_for_by_position(events: CapturedEvents, tracer: Tracer) -> None:
    one(
        tracer,
        {
            "gen_ai.system": "openai",
            "gen_ai.request.model": "m",
            "gen_ai.completion.0.tool_calls.0.id": "c1",
            "gen_ai.completion.0.tool_calls.0.name": "f",
            "gen_ai.completion.0.tool_calls.0.arguments": '{"x": 1}',
        },
    )
    assert events.of(PromptCallEvent)[0].tool_calls == [TOOL_CALL]


def test_openinference(events: CapturedEvents, tracer: Tracer) -> None:
    one(
        tracer,
        {
            "openinference.span.kind": "LLM",
            "llm.system": "openai",
            "llm.model_name": "m-2026",
            "llm.invocation_parameters": '{"model": "m", "temperature": 0.5, "stream": true}',
            "llm.input_messages.0.message.role": "system",
            "llm.input_messages.0.message.content": "be brief",
            "llm.input_messages.1.message.role": "user",
            "llm.input_messages.1.message.contents.0.message_content.type": "text",
            "llm.input_messages.1.message.contents.0.message_content.text": "hello",
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.tool_calls.0.tool_call.id": "c1",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "f",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"x": 1}',
            "llm.token_count.prompt": 9,
            "llm.token_count.completion": 3,
            "llm.token_count.prompt_details.cache_read": 4,
            "llm.finish_reason": "tool_calls",
            "llm.tools.0.tool.json_schema": '{"type": "function"}',
            "output.value": '{"id": "r1"}',
        },
        events=[("First Token Stream Event", {})],
    )
    [call] = events.of(PromptCallEvent)
    assert (call.model, call.model_version, call.provider) == ("m", "m-2026", "openai")
    assert call.prompt == [SYSTEM, *ASKED]
    assert call.tool_calls == [TOOL_CALL]
    assert (call.tokens_input, call.tokens_output, call.tokens_cached) == (9, 3, 4)
    assert (call.finish_reason, call.response_id) == ("tool_calls", "r1")
    assert call.request_params == {"temperature": 0.5, "tools": [{"type": "function"}]}
    assert call.time_to_first_token_ms is not None


def test_openinference_chains_tools_and_searches(events: CapturedEvents, tracer: Tracer) -> None:
    kind = "openinference.span.kind"
    with tracer.start_as_current_span(
        "plan", attributes={kind: "AGENT", "input.value": '{"q": 1}', "output.value": "done"}
    ):
        one(tracer, {kind: "TOOL", "tool.name": "search", "tool.parameters": '{"q": 1}'})
        one(
            tracer,
            {
                kind: "RETRIEVER",
                "input.value": "pages",
                "retrieval.documents.0.document.id": "1",
                "retrieval.documents.0.document.content": "page",
            },
            name="library",
        )
    tool, search = events.of(ToolCallEvent)
    [step] = events.of(AgentStepEvent)
    assert (tool.tool_name, tool.input, tool.parent_id) == ("search", {"q": 1}, step.event_id)
    assert (search.tool_name, search.input) == ("library", "pages")
    assert search.output == [{"id": "1", "content": "page"}]
    assert (step.step_name, step.step_number) == ("plan", 1)
    assert (step.input_data, step.output_data) == ({"q": 1}, "done")


def test_agents_and_tools(events: CapturedEvents, tracer: Tracer) -> None:
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"}
    tool = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "search",
        "gen_ai.tool.call.id": "c1",
        "gen_ai.tool.call.arguments": '{"q": 1}',
        "gen_ai.tool.call.result": "found",
    }
    with tracer.start_as_current_span("invoke_agent planner", attributes=agent):
        one(tracer, CHAT)
        with tracer.start_as_current_span("GET", kind=SpanKind.CLIENT):
            one(tracer, tool, name="execute_tool search")
    call, used, step, run = events
    assert isinstance(used, ToolCallEvent)
    assert isinstance(step, AgentStepEvent)
    assert (used.tool_name, used.tool_id) == ("search", "c1")
    assert (used.input, used.output) == ({"q": 1}, "found")
    assert step.step_name == "planner"
    assert call.parent_id == used.parent_id == step.event_id, "through the span in between"
    assert step.parent_id is None
    assert {event.run_id for event in events} == {run.run_id}


def test_other_spans_leave_nothing(events: CapturedEvents, tracer: Tracer) -> None:
    with tracer.start_as_current_span("GET /", kind=SpanKind.SERVER):
        one(tracer, {"http.request.method": "GET"})
        one(tracer, {"gen_ai.provider.name": "anthropic", "http.route": "/v1/models"})
        one(tracer, {"gen_ai.operation.name": "something new"})
    assert events == []


def test_spans_inside_a_run(events: CapturedEvents, tracer: Tracer, client: Client) -> None:
    with (
        client.run("r1") as run,
        run.agent_step("plan") as step,
        tracer.start_as_current_span("a", attributes={"gen_ai.operation.name": "invoke_agent"}),
    ):
        with run.tool_call("search") as tool:
            one(tracer, CHAT)
        one(tracer, CHAT)
    used, inner, outer, agent = (
        events.of(ToolCallEvent)[0],
        *events.of(PromptCallEvent),
        events.of(AgentStepEvent)[0],
    )
    assert {event.run_id for event in events} == {"r1"}
    assert inner.parent_id == tool.event_id == used.event_id
    assert outer.parent_id == agent.event_id
    assert agent.parent_id == step.event_id
    assert len(events.of(RunEvent)) == 1


def test_what_comes_after_the_run_or_beside_it_stays_in_its_trace(
    events: CapturedEvents, tracer: Tracer
) -> None:
    with tracer.start_as_current_span("first", attributes=CHAT) as first:
        pass
    context = trace.set_span_in_context(trace.NonRecordingSpan(first.get_span_context()))
    with tracer.start_as_current_span("late", context=context, attributes=CHAT):
        pass
    assert len({event.run_id for event in events}) == 1


def test_links_join_runs(events: CapturedEvents, tracer: Tracer) -> None:
    step = {"gen_ai.operation.name": "invoke_agent"}
    with tracer.start_as_current_span("producer", attributes=step) as producer:
        pass
    link = Link(producer.get_span_context())
    with tracer.start_as_current_span("consumer", attributes=CHAT, links=[link]):
        pass
    [agent] = events.of(AgentStepEvent)
    [call] = events.of(PromptCallEvent)
    assert call.run_id == agent.run_id
    assert call.parent_id == agent.event_id
    assert call.trace_id != agent.trace_id
    assert call.metadata == {"links": [{"trace_id": agent.trace_id, "span_id": agent.span_id}]}
    assert len(events.of(RunEvent)) == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("bad"), "error"),
        (TimeoutError("late"), "timeout"),
    ],
)
def test_exceptions(events: CapturedEvents, tracer: Tracer, error: Exception, status: str) -> None:
    with pytest.raises(type(error)), tracer.start_as_current_span("s", attributes=CHAT):
        raise error
    [call] = events.of(PromptCallEvent)
    assert call.status == status
    assert call.error is not None
    assert call.error.message == str(error)
    assert call.error.stack is not None
    [run] = events.of(RunEvent)
    assert (run.status, run.errors) == ("error", 1)


def test_an_exception_somebody_handled_is_no_failure(
    events: CapturedEvents, tracer: Tracer
) -> None:
    with tracer.start_as_current_span("s", attributes=CHAT) as span:
        span.record_exception(ValueError("handled"))
    assert events.of(PromptCallEvent)[0].status == "success"


def test_a_status_without_an_exception(events: CapturedEvents, tracer: Tracer) -> None:
    with tracer.start_as_current_span("s", attributes={**CHAT, "error.type": "429"}) as span:
        span.set_status(Status(StatusCode.ERROR, "too many"))
    [call] = events.of(PromptCallEvent)
    assert call.error is not None
    assert (call.status, call.error.type, call.error.message) == ("error", "429", "too many")


def test_exclusive_counts_are_made_inclusive(events: CapturedEvents, tracer: Tracer) -> None:
    one(
        tracer,
        {
            **CHAT,
            "gen_ai.usage.input_tokens": 10,
            "gen_ai.usage.cache_read_input_tokens": 90,
            "gen_ai.usage.cache_creation_input_tokens": 5,
        },
    )
    [call] = events.of(PromptCallEvent)
    assert (call.tokens_input, call.tokens_cached, call.tokens_cache_write) == (105, 90, 5)


def test_redaction_and_sampling_apply() -> None:
    with Client(sink="memory:", redact_pii=True) as client:
        provider = tracer_provider(client)
        with capture_events() as events:
            text = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "a@b.com"}]}])
            one(provider.get_tracer("t"), {**CHAT, "gen_ai.input.messages": text})
        assert "a@b.com" not in str(events)
    with Client(sink="memory:", sample_rate=0.0) as client:
        provider = tracer_provider(client)
        one(provider.get_tracer("t"), CHAT)
        assert client.statistics().dropped == {"sampled": 2}
        provider.shutdown()


def test_metadata_only() -> None:
    with Client(sink="memory:", capture_content="metadata") as client:
        provider = tracer_provider(client)
        with capture_events() as events:
            one(provider.get_tracer("t"), TODAY)
    [call] = events.of(PromptCallEvent)
    assert (call.prompt, call.response, call.tokens_input) == ("", "", 100)


def test_our_own_traffic_is_left_alone(events: CapturedEvents, tracer: Tracer) -> None:
    token = own_traffic.set(True)
    try:
        one(tracer, CHAT)
    finally:
        own_traffic.reset(token)
    assert events == []


def test_the_global_provider_is_left_alone(provider: TracerProvider) -> None:
    before = trace.get_tracer_provider()
    assert tracer_provider() is not before
    assert trace.get_tracer_provider() is before


def test_spans_never_ended_do_not_pile_up(events: CapturedEvents, client: Client) -> None:
    processor = LLMObsSpanProcessor(client, max_open=10)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("t")
    spans = [tracer.start_span("s", attributes=CHAT) for _ in range(50)]
    assert len(processor._spans) == 10
    for span in spans:
        span.end()
    assert len(events.of(PromptCallEvent)) == 10
    assert len(processor._spans) == 0
    provider.shutdown()


def test_a_block_around_a_span_makes_one_event(
    events: CapturedEvents, tracer: Tracer, client: Client
) -> None:
    with client.run() as run, run.prompt_call(model="mine") as call:
        one(tracer, TODAY)
        call.finish(response="in my words")
    [event] = events.of(PromptCallEvent)
    assert (event.event_id, event.model, event.response) == (call.event_id, "mine", "in my words")
    assert (event.tokens_input, event.prompt) == (100, [SYSTEM, *ASKED])


def test_two_instrumentations_of_one_call_make_one_event(tracer: Tracer, client: Client) -> None:
    with (
        capture_events() as events,
        tracer.start_as_current_span("agent", attributes={"gen_ai.operation.name": "invoke_agent"}),
        tracer.start_as_current_span("framework", attributes={"openinference.span.kind": "LLM"}),
    ):
        one(tracer, TODAY, name="sdk")
    [call] = events.of(PromptCallEvent)
    [agent] = events.of(AgentStepEvent)
    assert call.tokens_input == 100
    assert call.parent_id == agent.event_id


def test_names_that_spell_structures() -> None:
    attributes = {"p.1.a": 1, "p.0.b.0.c": 2, "p.0.b.0": 3, "p.x": 4, "q.0": 5, "p.0.d.k": 6}
    assert unflatten({"p.1.a": 1, "p.0.b.0.c": 2, "q.0": 5}, "p") == [{"b": [{"c": 2}]}, {"a": 1}]
    assert unflatten(attributes, "p") == [], "positions and names mixed: nothing to rely on"
    assert unflatten({"p." + "0." * 40 + "x": 1}, "p") == []
    assert read_json("{broken") == "{broken"
    assert read_json("[1]") == [1]


def test_a_span_around_several_calls_is_none_itself() -> None:
    with Client(sink="memory:") as client:
        provider = tracer_provider(client)
        tracer = provider.get_tracer("t")
        with tracer.start_as_current_span("framework", attributes=CHAT):
            one(tracer, CHAT, name="sdk")
            one(tracer, CHAT, name="sdk")
        client.flush()
        counted = client.statistics()
        provider.shutdown()
    assert counted.dropped == {"duplicate": 1}
    assert counted.delivered == 3  # the calls and the run
    assert counted.accepted == 4


TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "agent"}


@pytest.mark.parametrize("inside_a_run", [True, False])
def test_what_is_recorded_inside_a_span_belongs_to_it(
    events: CapturedEvents, tracer: Tracer, client: Client, inside_a_run: bool
) -> None:
    with (
        client.run() if inside_a_run else nullcontext() as run,
        tracer.start_as_current_span("agent", attributes=AGENT),
    ):
        with tracer.start_as_current_span("tool", attributes=TOOL):
            current_tracker().log_error("in the tool")
            with tracer.start_as_current_span("something"):
                with current_tracker().agent_step("in something"):
                    current_tracker().log_error("in the step")
                current_tracker().log_error("in something")
        current_tracker().log_error("in the agent")
    current_tracker().log_error("afterwards")
    [tool] = events.of(ToolCallEvent)
    steps = {e.step_name: e for e in events.of(AgentStepEvent)}
    agent, step = steps["agent"], steps["in something"]
    parents = {e.error.message: e.parent_id for e in events.of(ErrorEvent)}
    assert parents == {
        "in the tool": tool.event_id,
        "in the step": step.event_id,
        "in something": tool.event_id,
        "in the agent": agent.event_id,
        "afterwards": None,
    }
    assert step.parent_id == tool.event_id
    assert tool.parent_id == agent.event_id
    [recorded] = events.of(RunEvent)
    runs = [e.run_id for e in events if e.run_id != recorded.run_id]
    assert len(runs) == 1, "only what came afterwards is elsewhere"
    assert run is None or run.run_id == recorded.run_id


def test_a_step_opened_around_a_span_ends_with_it_or_before(
    events: CapturedEvents, tracer: Tracer, client: Client
) -> None:
    with client.run() as run:
        step = run.agent_step("step").start()
        with tracer.start_as_current_span("tool", attributes=TOOL):
            step.end()
            run.log_error("in the tool")
    [tool] = events.of(ToolCallEvent)
    [error] = events.of(ErrorEvent)
    assert error.parent_id == tool.event_id


@pytest.mark.parametrize("inside_a_run", [True, False])
def test_two_processors_record_each_span_once(
    events: CapturedEvents, provider: TracerProvider, client: Client, inside_a_run: bool
) -> None:
    provider.add_span_processor(LLMObsSpanProcessor(client))
    tracer = provider.get_tracer("tests")
    before = client.statistics().dropped.get("duplicate", 0)
    with (
        client.run() if inside_a_run else nullcontext(),
        tracer.start_as_current_span("agent", attributes=AGENT),
        tracer.start_as_current_span("tool", attributes=TOOL),
    ):
        one(tracer, TODAY)
    [step], [tool] = events.of(AgentStepEvent), events.of(ToolCallEvent)
    [call], [run] = events.of(PromptCallEvent), events.of(RunEvent)
    assert (tool.parent_id, call.parent_id) == (step.event_id, tool.event_id)
    assert {e.run_id for e in events} == {run.run_id}
    assert (run.events, step.step_number) == (3, 1)
    assert client.statistics().dropped["duplicate"] - before == 3


def test_processors_of_two_clients_each_record(
    events: CapturedEvents, provider: TracerProvider
) -> None:
    with Client(sink="memory:") as elsewhere:
        provider.add_span_processor(LLMObsSpanProcessor(elsewhere))
        one(provider.get_tracer("tests"), TODAY)
        assert len(events.of(PromptCallEvent)) == len(events.of(RunEvent)) == 2
        assert not elsewhere.statistics().dropped


LITELLM = {
    "completion": "chat",
    "acompletion": "chat",
    "embedding": "embeddings",
    "aembedding": "embeddings",
    "atext_completion": "text_completion",
    "aresponses": "chat",
    "image_generation": "image_generation",
    "chat": "chat",
}


@pytest.mark.parametrize(("operation", "recorded"), LITELLM.items())
@pytest.mark.parametrize("provider_name", ["gen_ai.system", "gen_ai.provider.name"])
@pytest.mark.parametrize("model", ["gen_ai.request.model", "gen_ai.response.model"])
def test_an_operation_no_convention_knows_is_a_call_if_a_model_was_asked(
    events: CapturedEvents,
    tracer: Tracer,
    operation: str,
    recorded: str,
    provider_name: str,
    model: str,
) -> None:
    one(tracer, {"gen_ai.operation.name": operation, provider_name: "openai", model: "gpt-4o"})
    one(tracer, {"gen_ai.operation.name": "search_memory", provider_name: "openai"})
    [call] = events.of(PromptCallEvent)
    assert (call.operation, call.provider) == (recorded, "openai")
    assert "gpt-4o" in (call.model, call.model_version)


def many_messages(count: int) -> dict[str, str]:
    found = {
        "openinference.span.kind": "LLM",
        "llm.model_name": "gpt-4o",
        "llm.system": "openai",
        "input.value": "{}",
    }
    for number in range(count):
        found[f"llm.input_messages.{number}.message.role"] = "user"
        found[f"llm.input_messages.{number}.message.content"] = f"message {number}"
    return found


def test_our_provider_has_no_limits(
    events: CapturedEvents, tracer: Tracer, monkeypatch: pytest.MonkeyPatch
) -> None:
    one(tracer, many_messages(200), events=[("e", {"n": n}) for n in range(200)])
    [call] = events.of(PromptCallEvent)
    assert len(call.prompt) == 200
    assert not call.warnings


@pytest.mark.parametrize("at", ["the start", "the end"])
def test_a_span_beyond_its_limits_is_recorded_and_says_so(
    events: CapturedEvents, client: Client, at: str
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(LLMObsSpanProcessor(client))
    given = many_messages(80)
    first = given if at == "the start" else {k: given[k] for k in list(given)[:6]}
    with provider.get_tracer("tests").start_as_current_span("span", attributes=first) as span:
        span.set_attributes({**given, "llm.token_count.prompt": 5, "llm.token_count.completion": 2})
    provider.shutdown()
    [call] = events.of(PromptCallEvent)
    assert (call.tokens_input, call.tokens_output) == (5, 2)
    assert call.prompt[-1]["parts"][0]["content"] == "message 79"
    [warning] = call.warnings
    assert "attributes of the span dropped by OpenTelemetry's limits" in warning
    if at == "the end":
        assert (call.model, call.provider) == ("gpt-4o", "openai")
        assert call.prompt[0]["parts"][0]["content"] == "message 0"


def test_providers_that_go_hold_on_to_nothing(client: Client) -> None:
    gc.collect()  # what tests before this one left
    before = len(inside)
    for _ in range(3):
        provider = tracer_provider(client)
        provider.get_tracer("tests").start_span("never ended", attributes=TOOL)
        del provider
    gc.collect()
    assert len(inside) == before
