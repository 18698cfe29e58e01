"""Responses that the provider works on in the background: one call, recorded at its end."""

from typing import Any

import httpx2
import openai
import pytest

from llmobs import Client, PromptCallEvent, RunEvent
from llmobs.capture.joining import sightings
from llmobs.contrib import openai as openai_door
from llmobs.testing import CapturedEvents
from tests.contrib.corpus import HI
from tests.contrib.corpus.google import HOST
from tests.contrib.corpus.interactions import HEAD, SAID, STEPS, USAGE

from .mock import client_over


def create(gpt: openai.OpenAI, **options: Any) -> Any:
    return gpt.responses.create(model="gpt-4o", input="hello", background=True, **options)


def test_it_is_recorded_once_at_its_end(
    events: CapturedEvents, gpt: openai.OpenAI, llmobs_client: Client
) -> None:
    with llmobs_client.run() as run:
        queued = create(gpt)
        assert queued.status == "queued"
        assert gpt.responses.retrieve(queued.id).status == "in_progress"
        assert events == []
        assert llmobs_client.statistics().pending == 1
        assert gpt.responses.retrieve(queued.id).status == "completed"
        assert gpt.responses.retrieve(queued.id).status == "completed"
    call, recorded = events
    assert isinstance(call, PromptCallEvent)
    assert isinstance(recorded, RunEvent)
    assert (call.response_id, call.finish_reason, call.status) == (
        queued.id,
        "completed",
        "success",
    )
    assert call.prompt[0]["parts"][0]["content"] == "hello"
    assert call.response[0]["parts"][0]["content"]
    assert call.tokens_output
    assert call.cost_usd
    assert recorded.tokens_output == run.tokens_output == call.tokens_output
    assert llmobs_client.statistics().pending == 0


def test_an_interaction_of_geminis_ends_when_it_is_fetched(
    events: CapturedEvents, llmobs_client: Client
) -> None:
    url = f"https://{HOST}/v1beta/interactions"
    told = iter(
        (
            {"id": "i7", "status": "in_progress"},
            {"id": "i7", "status": "in_progress"},
            {**HEAD, "id": "i7", "steps": STEPS, "usage": USAGE},
        )
    )
    inner = httpx2.MockTransport(lambda request: httpx2.Response(200, json=next(told)))
    with client_over(inner, llmobs_client) as http:
        http.post(url, json={"agent": "deep-research", "input": "Hi", "background": True})
        http.get(f"{url}/i7")
        assert events == []
        http.get(f"{url}/i7")
    [call] = events
    assert isinstance(call, PromptCallEvent)
    assert (call.model, call.prompt) == ("deep-research", HI)
    assert call.response == [SAID]
    assert (call.tokens_input, call.tokens_output) == (1050, 50)
    assert llmobs_client.statistics().pending == 0


def test_a_stream_of_the_answer_ends_it_too(
    events: CapturedEvents, gpt: openai.OpenAI, llmobs_client: Client
) -> None:
    with llmobs_client.run():
        queued = create(gpt)
        for _ in gpt.responses.retrieve(queued.id, stream=True):
            pass
    [call] = events.of(PromptCallEvent)
    assert (call.response_id, call.finish_reason) == (queued.id, "completed")
    assert call.tokens_output


def test_a_stream_left_early_goes_on(
    events: CapturedEvents, gpt: openai.OpenAI, llmobs_client: Client
) -> None:
    with llmobs_client.run():
        with create(gpt, stream=True) as stream:
            first = next(iter(stream))
        for _ in gpt.responses.retrieve(first.response.id, stream=True, starting_after=0):
            pass
    [call] = events.of(PromptCallEvent)
    assert (call.response_id, call.status) == (first.response.id, "success")
    assert call.tokens_output


def test_it_may_be_called_off(events: CapturedEvents, gpt: openai.OpenAI) -> None:
    gpt.responses.cancel(create(gpt).id)
    [call] = events.of(PromptCallEvent)
    assert (call.finish_reason, call.tokens_output) == ("cancelled", None)


def test_a_block_around_it_is_the_same_call(
    events: CapturedEvents, gpt: openai.OpenAI, llmobs_client: Client
) -> None:
    with llmobs_client.run() as run, run.prompt_call(model="mine") as block:
        queued = create(gpt)
        gpt.responses.retrieve(queued.id)
        gpt.responses.retrieve(queued.id)
    [call] = events.of(PromptCallEvent)
    assert (call.event_id, call.model, call.response_id) == (block.event_id, "mine", queued.id)
    assert call.tokens_output


def test_whoever_did_not_ask_records_the_answer_once(
    events: CapturedEvents, gpt: openai.OpenAI, plain_gpt: openai.OpenAI, llmobs_client: Client
) -> None:
    queued = create(plain_gpt)
    with llmobs_client.run():
        for _ in range(3):
            gpt.responses.retrieve(queued.id)
    [call] = events.of(PromptCallEvent)
    assert call.response_id == queued.id
    assert call.tokens_output


def test_an_answer_that_was_no_background_work_is_no_call(
    events: CapturedEvents, gpt: openai.OpenAI
) -> None:
    with pytest.raises(openai.NotFoundError):
        gpt.responses.retrieve("resp_unknown")
    assert events == []


@pytest.mark.parametrize("how", ["close", "expiry"])
def test_one_that_is_never_fetched_ends_as_usage_unknown(llm_server: str, how: str) -> None:
    client = Client(sink="memory:")
    with openai.OpenAI(base_url=f"{llm_server}/v1", api_key="any", max_retries=0) as sdk:
        openai_door.instrument(sdk, llmobs_client=client)
        with client.run():
            create(sdk)
        report = client.flush(5)
        assert report.pending == 2, "the call, and the run, whose totals it belongs to"
        if how == "expiry":
            for held in sightings._held_by(client):
                held.until = 0.0
            sightings.expire(client)
        client.close()
    counted = client.statistics()
    assert (counted.accepted, counted.delivered, counted.pending) == (2, 2, 0)
    call, run = client._pipeline.workers[0].sink.events  # type: ignore[attr-defined]
    assert "usage unknown" in call.warnings[0]
    assert call.tokens_output is None
    assert run.events == 1
