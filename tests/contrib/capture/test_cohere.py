"""Cohere's wire, spoken by `example_apps.llm_server`: what is recorded is what was sent."""

import json
from typing import Any

import httpx2
import pytest

from llmobs import Client, PromptCallEvent
from llmobs.contrib.httpx import instrument
from llmobs.testing import CapturedEvents

from .scenarios import PARAMETERS, USER

TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}
SAYS = [{"role": "user", "content": "Explain queues"}]
CHATS: dict[str, dict[str, Any]] = {
    "text": {"messages": SAYS},
    "cited": {"messages": SAYS, "documents": ["Queues wait."]},
    "thoughts": {"messages": SAYS, "thinking": {"type": "enabled"}},
    "tools in parallel": {"messages": USER, "tools": [TOOL]},
}


def post(
    url: str, path: str, body: Any, client: Client | None = None, **headers: str
) -> httpx2.Response:
    with httpx2.Client(base_url=url) as http:
        if client is not None:
            instrument(http, llmobs_client=client)
        return http.post(path, json={"model": "command-a-03-2025", **body}, headers=headers)


def only(events: CapturedEvents) -> PromptCallEvent:
    [event] = events
    assert isinstance(event, PromptCallEvent)
    return event


def check(event: PromptCallEvent, sent: Any) -> None:
    message, billed = sent["message"], sent["usage"]["billed_units"]
    [answer] = event.response
    spoken = {part["type"]: part["content"] for part in answer["parts"] if "content" in part}
    told = {part["type"]: part[part["type"]] for part in message["content"]}
    assert spoken.get("text") == told.get("text")
    assert spoken.get("reasoning") == (told.get("thinking") or message.get("tool_plan"))
    calls = [
        (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
        for call in message.get("tool_calls", ())
    ]
    recorded = [(call["id"], call["name"], call["arguments"]) for call in event.tool_calls or ()]
    assert [call[1:] for call in recorded] == [call[1:] for call in calls]
    assert (event.response_metadata or {}).get("citations") == message.get("citations")
    assert event.finish_reason == sent["finish_reason"]
    assert (event.tokens_input, event.tokens_output) == (
        billed["input_tokens"],
        billed["output_tokens"],
    )
    assert (event.status, event.warnings, event.provider) == ("success", (), "cohere")


@pytest.mark.parametrize("name", CHATS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_chat(
    name: str, stream: bool, llm_server: str, llmobs_client: Client, events: CapturedEvents
) -> None:
    sent = post(llm_server, "/v2/chat", CHATS[name]).json()
    assert events == []
    answer = post(llm_server, "/v2/chat", {**CHATS[name], "stream": stream}, llmobs_client)
    assert answer.headers["content-type"].startswith("text/event-stream") is stream
    event = only(events)
    check(event, sent)
    assert event.stream is (stream or None)
    assert (event.time_to_first_token_ms is not None) is stream


@pytest.mark.parametrize("status", [400, 429, 500])
def test_an_error_is_recorded(
    status: int, llm_server: str, llmobs_client: Client, events: CapturedEvents
) -> None:
    fault = {"x-fake-fault": str(status)}
    answer = post(llm_server, "/v2/chat", CHATS["text"], llmobs_client, **fault)
    event = only(events)
    assert event.error is not None
    assert (event.status, event.http_status) == ("error", answer.status_code)
    assert event.error.message == answer.json()["message"]


def test_an_error_in_the_stream(
    llm_server: str, llmobs_client: Client, events: CapturedEvents
) -> None:
    body = {**CHATS["text"], "stream": True}
    answer = post(llm_server, "/v2/chat", body, llmobs_client, **{"x-fake-fault": "stream-error"})
    event = only(events)
    assert event.error is not None
    assert event.status == "error"
    assert event.error.message in answer.text
    assert event.response[0]["parts"][0]["content"]


def test_a_stream_left_early(
    llm_server: str, llmobs_client: Client, events: CapturedEvents
) -> None:
    with httpx2.Client(base_url=llm_server) as http:
        instrument(http, llmobs_client=llmobs_client)
        body = {"model": "command-a", "stream": True, **CHATS["text"]}
        fault = {"x-fake-fault": "endless"}
        with http.stream("POST", "/v2/chat", json=body, headers=fault) as answer:
            for line in answer.iter_lines():
                if "content-delta" in line:
                    break
    assert only(events).status == "cancelled"


def test_embed_and_rerank(llm_server: str, llmobs_client: Client, events: CapturedEvents) -> None:
    embed = {"model": "embed-v4.0", "texts": ["a", "b"], "input_type": "search_query"}
    vectors = post(llm_server, "/v2/embed", embed, llmobs_client).json()
    event = only(events)
    assert (event.operation, event.prompt) == ("embeddings", ["a", "b"])
    assert event.tokens_input == vectors["meta"]["billed_units"]["input_tokens"]
    events.clear()
    asked = {"model": "rerank-v3.5", "query": "a queue", "documents": ["a town", "a queue"]}
    ranked = post(llm_server, "/v2/rerank", asked, llmobs_client).json()
    event = only(events)
    assert event.response_metadata == {
        "documents": 2,
        "ranking": [
            {"index": each["index"], "score": each["relevance_score"]} for each in ranked["results"]
        ],
    }
    assert (event.operation, event.usage) == ("retrieval", {"rerank_searches": 1})
