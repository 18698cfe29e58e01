"""
One call seen by several doors is one event: where nothing encloses it, by id, or by model and time.

LlamaIndex through OpenInference is the example: its package does not install beside our constraints, so
its spans are made here as `openinference-instrumentation-llama-index` 4.6 makes them over
`llama-index-llms-openai` 0.8: not current, without any attribute until they end, their ``end_time`` that
of the return of the generator.
"""

import asyncio
import time
from typing import Any

import httpx2
import pytest
from opentelemetry.sdk.trace import TracerProvider

from llmobs import Client, PromptCallEvent, RunEvent
from llmobs.contrib.opentelemetry import tracer_provider
from llmobs.testing import CapturedEvents

from .capture.mock import JSON, WHOLE, answering, ask, client_over
from .corpus import js

URL = "http://mock.test/v1/chat/completions"
STREAM: Any = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
CHUNKS = [
    b'data: {"id":"c-1","model":"gpt-4o","choices":[{"delta":{"content":"Hello"}}]}\n\n',
    (
        b'data: {"id":"c-1","model":"gpt-4o","choices":[{"delta":{},"finish_reason":"stop"}],'
        b'"usage":{"prompt_tokens":3,"completion_tokens":1}}\n\n'
    ),
    b"data: [DONE]\n\n",
]
ANSWERED = {
    "openinference.span.kind": "LLM",
    "llm.model_name": "gpt-4o",
    "llm.token_count.prompt": 3,
    "llm.token_count.completion": 1,
    "llm.input_messages.0.message.role": "user",
    "llm.input_messages.0.message.content": "hi",
    "llm.output_messages.0.message.content": "Hello",
    "session.id": "s1",
}
UNANSWERED = {k: ANSWERED[k] for k in ("openinference.span.kind", "llm.model_name")}


def llama_stream(provider: TracerProvider, http: httpx2.Client) -> None:
    """As `OpenAI.stream_chat` goes on: the request leaves when the caller asks for the first piece."""
    span = provider.get_tracer("openinference").start_span("OpenAI.stream_chat")
    end_time = time.time_ns()
    with http.stream("POST", URL, content=js(STREAM)) as response:
        response.read()
    span.set_attributes(ANSWERED)
    span.end(end_time)


@pytest.mark.parametrize("inside_a_run", [True, False])
def test_a_stream_read_where_its_span_is_not_current(
    events: CapturedEvents, provider: TracerProvider, client: Client, inside_a_run: bool
) -> None:
    with client_over(answering(*CHUNKS), client) as http:
        if inside_a_run:
            with client.run() as run:
                llama_stream(provider, http)
            assert run.tokens_input == 3
        else:
            llama_stream(provider, http)
    [call] = events.of(PromptCallEvent)
    [recorded] = events.of(RunEvent)
    assert (call.tokens_input, call.tokens_output) == (3, 1)
    assert (call.response_id, call.http_status) == ("c-1", 200), "what the transport knows"
    assert call.span_id, "what the span knows"
    assert call.run_id == recorded.run_id
    assert (recorded.events, recorded.tokens_input) == (1, 3)
    assert events[-1] is recorded


@pytest.mark.parametrize("inside_a_run", [True, False])
def test_a_stream_that_begins_after_its_span_has_ended(
    events: CapturedEvents, provider: TracerProvider, client: Client, inside_a_run: bool
) -> None:
    async def stream(http: httpx2.Client) -> None:
        span = provider.get_tracer("openinference").start_span("OpenAI.astream_chat")
        span.set_attributes(UNANSWERED)
        span.end()
        with http.stream("POST", URL, content=js(STREAM)) as response:
            response.read()

    with client_over(answering(*CHUNKS), client) as http:
        if inside_a_run:
            with client.run():
                asyncio.run(stream(http))
        else:
            asyncio.run(stream(http))
    [call] = events.of(PromptCallEvent)
    [recorded] = events.of(RunEvent)
    assert (call.tokens_input, call.response_id, call.http_status) == (3, "c-1", 200)
    assert (recorded.events, recorded.tokens_input) == (1, 3)


def test_like_calls_at_once_are_paired_each_once(
    events: CapturedEvents,
    provider: TracerProvider,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "llmobs.capture.joining.WAIT_SECONDS", 600.0
    )  # a busy machine takes its time
    tracer = provider.get_tracer("openinference")
    with client_over(answering(*CHUNKS), client) as http, client.run() as run:
        spans = [tracer.start_span("OpenAI.stream_chat") for _ in range(20)]
        for span in spans:
            span.set_attribute("llm.model_name", "gpt-4o")
        for _ in spans:
            with http.stream("POST", URL, content=js(STREAM)) as response:
                response.read()
        for span in spans:
            span.set_attributes(ANSWERED)
            span.end()
    calls = events.of(PromptCallEvent)
    assert len(calls) == 20
    assert run.tokens_input == 60
    assert {call.http_status for call in calls} == {200}
    assert all("paired by order" in str(call.warnings) for call in calls)


def test_other_models_and_other_runs_stay_apart(
    events: CapturedEvents, provider: TracerProvider, client: Client
) -> None:
    tracer = provider.get_tracer("openinference")
    with client_over(answering(*CHUNKS), client) as http, client.run():
        other = tracer.start_span("OpenAI.stream_chat", attributes={"llm.model_name": "gpt-5"})
        with client.run(), http.stream("POST", URL, content=js(STREAM)) as response:
            response.read()
        with http.stream("POST", URL, content=js(STREAM)) as response:
            response.read()
        other.set_attributes({**ANSWERED, "llm.model_name": "gpt-5"})
        other.end()
    assert len(events.of(PromptCallEvent)) == 3


def test_what_a_block_waits_for_is_counted_and_closing_settles_it() -> None:
    client = Client(sink="memory:")
    with client_over(answering(*CHUNKS), client) as http:
        with client.run(), client.run().prompt_call(model="gpt-4o", prompt="told") as block:
            request = http.build_request("POST", URL, content=js(STREAM))
            response = http.send(request, stream=True)
        assert client.statistics().pending == client.flush(5).pending == 1
        client.close()
        response.read()
        response.close()
    counted = client.statistics()
    assert (counted.accepted, counted.delivered, counted.pending) == (1, 1, 0)
    [event] = client._pipeline.workers[0].sink.events  # type: ignore[attr-defined]
    assert (event.event_id, event.prompt, event.status) == (block.event_id, "told", "cancelled")
    assert "usage unknown" in str(event.warnings)


def test_a_stream_outside_any_block_is_settled_by_closing() -> None:
    client = Client(sink="memory:")
    with client_over(answering(*CHUNKS), client) as http:
        response = http.send(http.build_request("POST", URL, content=js(STREAM)), stream=True)
        client.close()
        response.read()
    counted = client.statistics()
    assert (counted.accepted, counted.delivered, counted.pending) == (1, 1, 0)


def test_a_runs_event_waits_for_its_streams(events: CapturedEvents, client: Client) -> None:
    with client_over(answering(*CHUNKS), client) as http:
        with client.run() as run:
            response = http.send(http.build_request("POST", URL, content=js(STREAM)), stream=True)
        assert events == []
        response.read()
    call, recorded = events
    assert isinstance(call, PromptCallEvent)
    assert isinstance(recorded, RunEvent)
    assert recorded.tokens_input == run.tokens_input == 3


def test_flush_does_not_wait_for_who_still_looks() -> None:
    with Client(sink="memory:") as client:
        provider = tracer_provider(client)
        attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
        with (
            client_over(answering(WHOLE, headers=JSON), client) as http,
            provider.get_tracer("t").start_as_current_span("chat", attributes=attributes),
        ):
            ask(http)
            assert client.statistics().pending == 1
            report = client.flush(5)
            assert (report.delivered, report.pending) == (1, 0)
        client.flush(5)
        provider.shutdown()
    counted = client.statistics()
    assert counted.dropped == {"duplicate": 1}, "the span told of it when it had left"
    assert counted.accepted == counted.delivered + 1 == 3
