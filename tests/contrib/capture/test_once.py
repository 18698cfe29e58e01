"""One call, one event: inside ``prompt_call()`` blocks the wire adds what the application left open."""

from contextvars import copy_context

import httpx2

from llmobs import Client, PromptCallEvent, RunEvent
from llmobs.sinks._otlp_records import span_ids
from llmobs.testing import CapturedEvents
from tests.contrib.corpus import js

from .mock import ASK, EVENTS, JSON, URL, WHOLE, answering, ask, client_over


def test_a_block_and_the_wire_make_one_event(events: CapturedEvents, llmobs_client: Client) -> None:
    with (
        client_over(answering(WHOLE, headers=JSON), llmobs_client) as http,
        llmobs_client.run() as run,
        run.prompt_call(model="mine", prompt="told") as call,
    ):
        ask(http)
        call.finish(response="in my words", tokens_input=99, metadata={"a": 1})
    [event] = events.of(PromptCallEvent)
    assert event.event_id == call.event_id
    assert (event.model, event.prompt, event.response) == ("mine", "told", "in my words")
    assert event.tokens_input == 99
    assert event.metadata == {"a": 1}
    assert event.tokens_output == 1
    assert event.model_version == "gpt-4o-2024-08-06"
    assert event.finish_reason == "stop"
    assert event.http_status == 200
    assert event.parent_id is None
    assert run.tokens_output == 1
    assert run.recorded == 1


def test_a_block_that_tells_nothing_gets_everything(
    events: CapturedEvents, llmobs_client: Client
) -> None:
    with (
        client_over(answering(*EVENTS), llmobs_client) as http,
        llmobs_client.run() as run,
        run.prompt_call(model="gpt-4o"),
    ):
        ask(http, stream=True)
    [event] = events.of(PromptCallEvent)
    assert event.prompt
    assert event.response[0]["parts"] == [{"type": "text", "content": "Hello"}]
    assert event.stream is True
    assert event.time_to_first_token_ms is not None


def test_a_stream_that_outlives_its_block(events: CapturedEvents, llmobs_client: Client) -> None:
    with client_over(answering(*EVENTS), llmobs_client) as http, llmobs_client.run() as run:
        with run.prompt_call(model="gpt-4o") as call:
            request = http.build_request("POST", URL, content=js({**ASK, "stream": True}))
            response = http.send(request, stream=True)
        assert events == [], "the answer has not ended"
        response.read()
    [event] = events.of(PromptCallEvent)
    assert event.event_id == call.event_id
    assert event.finish_reason == "stop"


def test_attempts_within_a_block(events: CapturedEvents, llmobs_client: Client) -> None:
    statuses = iter([429, 200])

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(next(statuses), content=WHOLE, headers=JSON)

    with (
        client_over(httpx2.MockTransport(answer), llmobs_client) as http,
        llmobs_client.run() as run,
        run.prompt_call(model="gpt-4o") as call,
    ):
        http.post(URL, content=js(ASK))
        http.post(URL, content=js(ASK), headers={"x-stainless-retry-count": "1"})
    failed, whole = events.of(PromptCallEvent)
    assert (failed.http_status, failed.status, failed.parent_id) == (429, "error", call.event_id)
    assert (whole.http_status, whole.event_id, whole.attempt) == (200, call.event_id, 2)
    assert run.tokens_input == 3


def test_two_calls_at_once_within_a_block(events: CapturedEvents, llmobs_client: Client) -> None:
    with (
        client_over(answering(*EVENTS), llmobs_client) as http,
        llmobs_client.run() as run,
        run.prompt_call(model="gpt-4o") as call,
    ):
        request = http.build_request("POST", URL, content=js({**ASK, "stream": True}))
        first = http.send(request, stream=True)
        ask(http, stream=True)
        first.read()
    second, joined = events.of(PromptCallEvent)
    assert second.parent_id == joined.event_id == call.event_id


def test_a_failure_the_application_swallowed_shows(
    events: CapturedEvents, llmobs_client: Client
) -> None:
    error = js({"error": {"message": "busy", "type": "overloaded"}})
    with (
        client_over(answering(error, status=503, headers=JSON), llmobs_client) as http,
        llmobs_client.run() as run,
        run.prompt_call(model="gpt-4o"),
    ):
        ask(http)
    [event] = events.of(PromptCallEvent)
    assert event.status == "error"
    assert event.error is not None
    assert event.error.message == "busy"
    assert run.failures == 1


def test_an_exception_of_the_block_stays(events: CapturedEvents, llmobs_client: Client) -> None:
    with (
        client_over(answering(WHOLE, headers=JSON), llmobs_client) as http,
        llmobs_client.run() as run,
    ):
        call = run.prompt_call(model="m").start()
        ask(http)
        call.end(KeyError("after the answer"))
    [event] = events.of(PromptCallEvent)
    assert event.status == "error"
    assert event.error is not None
    assert event.error.type == "KeyError"
    assert event.tokens_input == 3


def test_a_call_inside_another_step_is_its_own(
    events: CapturedEvents, llmobs_client: Client
) -> None:
    with (
        client_over(answering(WHOLE, headers=JSON), llmobs_client) as http,
        llmobs_client.run() as run,
        run.prompt_call(model="m") as outer,
    ):
        with run.tool_call("ask-again") as tool:
            ask(http)
        outer.finish(response="x")
    inner, told = events.of(PromptCallEvent)
    assert inner.parent_id == tool.event_id
    assert told.http_status is None


def test_a_task_that_outlives_the_block_is_on_its_own(
    events: CapturedEvents, llmobs_client: Client
) -> None:
    with client_over(answering(WHOLE, headers=JSON), llmobs_client) as http:
        with llmobs_client.run() as run, run.prompt_call(model="m") as call:
            inherited = copy_context()
            call.finish(response="x")
        inherited.run(ask, http)
    told, later = events.of(PromptCallEvent)
    assert (later.run_id, later.parent_id) == (told.run_id, None), "the run is still its own"
    assert later.tokens_input == 3


def test_a_redirect_within_a_block_is_no_attempt(
    events: CapturedEvents, llmobs_client: Client
) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.host == "mock.test":
            return httpx2.Response(307, headers={"location": URL.replace("mock", "other")})
        return httpx2.Response(200, content=WHOLE, headers=JSON)

    with (
        client_over(httpx2.MockTransport(answer), llmobs_client) as http,
        llmobs_client.run() as run,
        run.prompt_call(model="m"),
    ):
        http.post(URL, content=js(ASK), follow_redirects=True)
    [event] = events.of(PromptCallEvent)
    assert (event.server_address, event.tokens_input) == ("other.test", 3)


def test_outside_any_run_a_call_has_no_parent_span_that_nobody_exports(
    events: CapturedEvents, llmobs_client: Client
) -> None:
    with client_over(answering(WHOLE, headers=JSON), llmobs_client) as http:
        ask(http)
        with llmobs_client.run():
            ask(http)
    outside, inside = events.of(PromptCallEvent)
    [run] = events.of(RunEvent)
    assert span_ids(outside).parent_id == b""
    assert span_ids(inside).parent_id == span_ids(run).span_id
