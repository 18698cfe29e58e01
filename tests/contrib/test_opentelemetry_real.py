"""Real instrumentations over the local model server, alone and beside a recorded transport."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest
from opentelemetry.instrumentation import _semconv
from opentelemetry.sdk.trace import TracerProvider

from llmobs import Client, PromptCallEvent, RunEvent
from llmobs.contrib import httpx as wire
from llmobs.testing import CapturedEvents
from tests.support.llm_server import llm_server

__all__ = ["llm_server"]

ASKED: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}]


class OpenAICaller:
    """Calls with the `openai` package."""

    keeps_content = True
    broken = "gpt-4o-fail-429"

    def __init__(self, url: str) -> None:
        options: Any = {"base_url": f"{url}/v1", "api_key": "any", "max_retries": 0}
        self.sync = openai.OpenAI(**options)
        self.asynchronous = openai.AsyncOpenAI(**options)

    def ask(self, model: str = "gpt-4o") -> None:
        self.sync.chat.completions.create(model=model, messages=ASKED)

    def stream(self) -> None:
        options: Any = {"stream": True, "stream_options": {"include_usage": True}}
        for _ in self.sync.chat.completions.create(model="gpt-4o", messages=ASKED, **options):
            pass

    async def ask_async(self) -> None:
        async with self.asynchronous as client:
            await client.chat.completions.create(model="gpt-4o", messages=ASKED)


class AnthropicCaller:
    """Calls with the `anthropic` package, which traces itself."""

    keeps_content = True
    broken = "claude-fail-429"

    def __init__(self, url: str, provider: TracerProvider) -> None:
        options: Any = {"base_url": url, "api_key": "any", "max_retries": 0}
        options["open_telemetry"] = {
            "tracer_provider": provider,
            "traces": {"content_mode": "content"},
        }
        self.sync = anthropic.Anthropic(**options)
        self.asynchronous = anthropic.AsyncAnthropic(**options)
        self._ask: Any = {"max_tokens": 100, "system": "Be brief.", "messages": ASKED[1:]}

    def ask(self, model: str = "claude-sonnet-4-6") -> None:
        self.sync.messages.create(model=model, **self._ask)

    def stream(self) -> None:
        with self.sync.messages.stream(model="claude-sonnet-4-6", **self._ask) as stream:
            stream.get_final_message()

    async def ask_async(self) -> None:
        async with self.asynchronous as client:
            await client.messages.create(model="claude-sonnet-4-6", **self._ask)


Caller = OpenAICaller | AnthropicCaller
INSTRUMENTATIONS = ("anthropic", "openai-v2", "openai-v2 latest", "openinference")


@pytest.fixture(params=INSTRUMENTATIONS)
def caller(
    request: pytest.FixtureRequest,
    provider: TracerProvider,
    llm_server: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Caller]:
    undo: Callable[[], Any] = lambda: None  # noqa: E731
    found: Caller
    if request.param == "anthropic":
        found = AnthropicCaller(llm_server, provider)
    else:
        if request.param == "openinference":
            from openinference.instrumentation.openai import OpenAIInstrumentor
        else:
            from opentelemetry.instrumentation.openai_v2 import (  # type: ignore[assignment]
                OpenAIInstrumentor,
            )

            latest = "latest" in request.param
            # Read once per process: each of these tests must be the first.
            stability = _semconv._OpenTelemetrySemanticConventionStability
            monkeypatch.setattr(stability, "_initialized", False)
            monkeypatch.setattr(stability, "_OTEL_SEMCONV_STABILITY_SIGNAL_MAPPING", {})
            if latest:
                monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "gen_ai_latest_experimental")
                monkeypatch.setenv(
                    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY"
                )
        instrumentor: Any = OpenAIInstrumentor()
        instrumentor.instrument(tracer_provider=provider, skip_dep_check=True)
        undo = instrumentor.uninstrument
        found = OpenAICaller(llm_server)
        # The convention before v1.37 puts content into log records, which are no spans.
        found.keeps_content = request.param != "openai-v2"
    yield found
    undo()
    found.sync.close()


@pytest.fixture(params=["spans", "spans and transport"])
def transport(request: pytest.FixtureRequest, caller: Caller, client: Client) -> bool:
    if "transport" in request.param:
        for each in (caller.sync, caller.asynchronous):
            wire.instrument(each._client, llmobs_client=client)
    return "transport" in request.param


def check(call: PromptCallEvent, caller: Caller, transport: bool) -> None:
    assert call.status == "success"
    assert call.model in ("gpt-4o", "claude-sonnet-4-6")
    assert call.model_version
    assert call.provider in ("openai", "anthropic")
    assert call.tokens_input
    assert call.tokens_output
    assert call.response_id
    assert call.latency_ms
    assert call.cost_usd
    if transport:
        assert call.http_status == 200
    if transport or caller.keeps_content:
        roles = [each["role"] for each in call.prompt]
        assert roles == ["system", "user"]
        assert call.prompt[1]["parts"] == [{"type": "text", "content": "hello"}]
        assert call.response[0]["parts"][0]["content"]


def test_calls(events: CapturedEvents, caller: Caller, transport: bool, client: Client) -> None:
    dropped = client.statistics().dropped.get("duplicate", 0)
    caller.ask()
    caller.stream()
    asyncio.run(caller.ask_async())
    calls = events.of(PromptCallEvent)
    assert len(calls) == 3, "one call, one event"
    for call in calls:
        check(call, caller, transport)
    streamed = calls[1]
    if transport or isinstance(caller, AnthropicCaller):
        assert streamed.stream is True
        assert streamed.time_to_first_token_ms
    assert len(events.of(RunEvent)) == 3, "each call is a trace of its own"
    assert len({event.run_id for event in events}) == 3
    assert client.statistics().dropped.get("duplicate", 0) == dropped, "joined, not dropped"


def test_failures(events: CapturedEvents, caller: Caller, transport: bool) -> None:
    with pytest.raises((openai.RateLimitError, anthropic.RateLimitError)):
        caller.ask(caller.broken)
    [call] = events.of(PromptCallEvent)
    assert call.status == "error"
    assert call.error is not None
    assert events.of(RunEvent)[0].errors == 1


def test_inside_a_run(
    events: CapturedEvents, caller: Caller, transport: bool, client: Client
) -> None:
    with client.run("r1") as run, run.agent_step("ask") as step:
        caller.ask()
    [call] = events.of(PromptCallEvent)
    assert (call.run_id, call.parent_id) == ("r1", step.event_id)
    check(call, caller, transport)
    assert run.tokens_input == call.tokens_input
    assert len(events.of(RunEvent)) == 1


def test_inside_a_block(
    events: CapturedEvents, caller: Caller, transport: bool, client: Client
) -> None:
    with client.run() as run, run.prompt_call(model="mine") as block:
        caller.ask()
    [call] = events.of(PromptCallEvent)
    assert (call.event_id, call.model) == (block.event_id, "mine")
    assert call.tokens_output
    assert len(events) == 2


def test_inside_an_agents_span(
    events: CapturedEvents, caller: Caller, transport: bool, provider: TracerProvider
) -> None:
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"}
    with provider.get_tracer("t").start_as_current_span("invoke_agent", attributes=agent):
        caller.ask()
        caller.ask()
    first, second, step, run = events
    assert first.parent_id == second.parent_id == step.event_id
    assert {event.run_id for event in events} == {run.run_id}
    assert isinstance(run, RunEvent)
    assert run.events == 3
