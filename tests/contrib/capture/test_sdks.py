"""Every kind of call with the real SDKs: the host sees the same, and what is recorded happened."""

from typing import Any

import anthropic
import openai
import pytest

from llmobs import Client, PromptCallEvent
from llmobs.contrib import anthropic as anthropic_door
from llmobs.contrib import openai as openai_door
from llmobs.testing import CapturedEvents

from .scenarios import ANTHROPIC, LONG, OPENAI, see, see_async, streamed

STREAMED = [name for name in OPENAI if name != "embeddings"]


def only(events: CapturedEvents) -> PromptCallEvent:
    [event] = events
    assert isinstance(event, PromptCallEvent)
    return event


def parts_of(event: PromptCallEvent, kind: str) -> list[str]:
    return [
        "".join(part["content"] for part in message["parts"] if part["type"] == kind)
        for message in event.response or []
    ]


def calls_of(event: PromptCallEvent) -> list[tuple[str, Any]]:
    return [(call["name"], call["arguments"]) for call in event.tool_calls or []]


def check_openai(event: PromptCallEvent, call: tuple[str, dict[str, Any]], answer: Any) -> None:
    """Compare the event with the answer as the SDK read it (of an unstreamed call)."""
    path, arguments = call
    assert event.status == "success"
    assert event.warnings == ()
    assert event.model == arguments["model"]
    assert event.model_version == answer["model"]
    assert event.http_status == 200
    assert event.request_id
    assert event.provider == "openai"
    assert event.attempt == 1
    if "choices" in answer and "chat" in path:
        messages = [choice["message"] for choice in answer["choices"]]
        assert parts_of(event, "text") == [m["content"] or "" for m in messages]
        assert parts_of(event, "refusal") == [m["refusal"] or "" for m in messages]
        assert event.finish_reason == answer["choices"][0]["finish_reason"]
        asked = [c["function"] for m in messages for c in m["tool_calls"] or []]
        assert [name for name, _ in calls_of(event)] == [f["name"] for f in asked]
        assert len(event.response) == len(messages)
        assert event.response_id
    if path == "responses.create":
        texts = [
            part["text"]
            for item in answer["output"]
            if item["type"] == "message"
            for part in item["content"]
        ]
        assert parts_of(event, "text") == ["".join(texts)]


def check_openai_usage(event: PromptCallEvent, usage: Any) -> None:
    inside = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    outside = usage.get("completion_tokens_details") or usage.get("output_tokens_details") or {}
    assert event.tokens_input == usage.get("prompt_tokens", usage.get("input_tokens"))
    assert event.tokens_output == usage.get("completion_tokens", usage.get("output_tokens"))
    assert event.tokens_cached == inside.get("cached_tokens")
    assert event.tokens_reasoning == outside.get("reasoning_tokens")


@pytest.mark.parametrize("name", OPENAI)
def test_openai(
    name: str, plain_gpt: openai.OpenAI, gpt: openai.OpenAI, events: CapturedEvents
) -> None:
    expected = see(plain_gpt, OPENAI[name])
    assert events == []
    assert see(gpt, OPENAI[name]) == expected
    event = only(events)
    check_openai(event, OPENAI[name], expected[0])
    check_openai_usage(event, expected[0]["usage"])
    assert event.stream is None


@pytest.mark.parametrize("name", STREAMED)
def test_openai_streamed(
    name: str, plain_gpt: openai.OpenAI, gpt: openai.OpenAI, events: CapturedEvents
) -> None:
    whole = see(plain_gpt, OPENAI[name])[0]
    call = streamed(OPENAI[name])
    assert see(gpt, call) == see(plain_gpt, call)
    event = only(events)
    check_openai(event, call, whole)
    assert event.stream is True
    assert event.time_to_first_token_ms is not None
    assert event.latency_ms is not None
    assert 0 < event.time_to_first_token_ms <= event.latency_ms
    if "responses" in call[0]:
        check_openai_usage(event, whole["usage"])
    else:
        assert event.tokens_input is None  # nobody asked for it


def test_a_conversation_compacted(
    plain_gpt: openai.OpenAI, gpt: openai.OpenAI, events: CapturedEvents
) -> None:
    call = ("responses.compact", {"model": "gpt-5", "input": LONG, "instructions": "Be kind"})
    [expected] = see(plain_gpt, call)
    assert see(gpt, call) == [expected]
    event = only(events)
    assert (event.operation, event.model, event.status) == ("chat", "gpt-5", "success")
    check_openai_usage(event, expected["usage"])
    assert event.warnings == ()
    assert "encrypted_content, " in str(event.response)
    assert expected["output"][-1]["encrypted_content"] not in str(event.response)


def test_counting_the_tokens_of_responses_spends_none(
    gpt: openai.OpenAI, events: CapturedEvents
) -> None:
    counted = gpt.responses.input_tokens.count(model="gpt-5", input="Explain queues")
    event = only(events)
    assert (event.operation, event.tokens_input) == ("count_tokens", None)
    assert event.response_metadata == {"input_tokens": counted.input_tokens}


# The SDK leaves its async generators unfinished after [DONE], with and without us; trio minds.
@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.anyio
@pytest.mark.parametrize("name", ["text", "tools in parallel", "responses"])
@pytest.mark.parametrize("stream", [False, True])
async def test_openai_async(
    name: str, stream: bool, llm_server: str, llmobs_client: Client, events: CapturedEvents
) -> None:
    call = streamed(OPENAI[name]) if stream else OPENAI[name]
    async with openai.AsyncOpenAI(base_url=f"{llm_server}/v1", api_key="any") as client:
        whole = (await see_async(client, OPENAI[name]))[0]
        expected = await see_async(client, call)
        openai_door.instrument(client, llmobs_client=llmobs_client)
        assert await see_async(client, call) == expected
    event = only(events)
    check_openai(event, call, whole)
    assert event.stream is (True if stream else None)


def check_anthropic(event: PromptCallEvent, answer: Any) -> None:
    assert event.status == "success"
    assert event.warnings == ()
    assert event.finish_reason == answer["stop_reason"]
    blocks = answer["content"]
    for ours, theirs, key in (("text", "text", "text"), ("reasoning", "thinking", "thinking")):
        said = "".join(block[key] for block in blocks if block["type"] == theirs)
        assert parts_of(event, ours) == [said]
    assert calls_of(event) == [
        (block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"
    ]
    usage = answer["usage"]
    read, written = usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]
    assert event.tokens_cached == read
    assert event.tokens_cache_write == written
    assert event.tokens_input == usage["input_tokens"] + read + written
    assert event.tokens_output == usage["output_tokens"]
    assert event.provider == "anthropic"
    assert event.request_id


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ANTHROPIC)
def test_anthropic(
    name: str,
    stream: bool,
    plain_claude: anthropic.Anthropic,
    claude: anthropic.Anthropic,
    events: CapturedEvents,
) -> None:
    whole = see(plain_claude, ANTHROPIC[name])[0]
    call = streamed(ANTHROPIC[name]) if stream else ANTHROPIC[name]
    assert see(claude, call) == see(plain_claude, call)
    event = only(events)
    check_anthropic(event, whole)
    assert (event.time_to_first_token_ms is not None) is stream
    if name == "cached":
        assert event.tokens_cached


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_anthropic_async(
    stream: bool, llm_server: str, llmobs_client: Client, events: CapturedEvents
) -> None:
    plain = ANTHROPIC["tools in parallel"]
    call = streamed(plain) if stream else plain
    async with anthropic.AsyncAnthropic(base_url=llm_server, api_key="any") as client:
        whole = (await see_async(client, plain))[0]
        expected = await see_async(client, call)
        anthropic_door.instrument(client, llmobs_client=llmobs_client)
        assert await see_async(client, call) == expected
    check_anthropic(only(events), whole)


def test_the_scenarios_show_what_they_are_named_for(
    gpt: openai.OpenAI, claude: anthropic.Anthropic, events: CapturedEvents
) -> None:
    """A server that stopped refusing or caching would leave the tests above without a subject."""
    for name in ("refusal", "reasoning", "cached", "tools in parallel", "several choices"):
        see(gpt, OPENAI[name])
    refusal, reasoning, cached, tools, several = events.of(PromptCallEvent)
    assert parts_of(refusal, "refusal") != [""]
    assert reasoning.tokens_reasoning
    assert cached.tokens_cached
    assert len(calls_of(tools)) == 2
    assert len(several.response) == 2
    see(claude, ANTHROPIC["thinking"])
    assert parts_of(events.of(PromptCallEvent)[-1], "reasoning") != [""]


def test_helpers_of_the_sdks_are_seen_too(
    gpt: openai.OpenAI, claude: anthropic.Anthropic, events: CapturedEvents
) -> None:
    ask: Any = {"model": "gpt-4o", "messages": LONG[-1:]}
    with gpt.chat.completions.stream(**ask) as helper:
        helper.until_done()
        final = helper.get_final_completion().choices[0].message.content
    assert parts_of(only(events), "text") == [final]
    events.clear()

    raw = gpt.chat.completions.with_raw_response.create(**ask)
    parsed = raw.parse().choices[0].message.content
    assert parts_of(only(events), "text") == [parsed]
    assert only(events).request_id == raw.headers["x-request-id"]
    events.clear()

    with gpt.chat.completions.with_streaming_response.create(**ask) as response:
        body = b"".join(response.iter_bytes())
    assert parts_of(only(events), "text")[0].encode() in body
    events.clear()

    question: Any = {"model": "claude-sonnet-4-6", "max_tokens": 99, "messages": LONG[-1:]}
    with claude.messages.stream(**question) as stream:
        said = stream.get_final_text()
    assert parts_of(only(events), "text") == [said]
    assert only(events).status == "success"
    events.clear()

    claude.messages.count_tokens(model="claude-sonnet-4-6", messages=LONG[-1:])
    assert only(events).operation == "count_tokens"
    assert only(events).tokens_input is None


def test_azure(llm_server: str, llmobs_client: Client, events: CapturedEvents) -> None:
    client = openai.AzureOpenAI(
        azure_endpoint=llm_server, api_key="any", api_version="2024-10-21", max_retries=0
    )
    openai_door.instrument(client, llmobs_client=llmobs_client)
    seen = see(client, streamed(OPENAI["text"]))
    event = only(events)
    assert event.provider == "azure.ai.openai"
    assert event.model == "gpt-4o"
    text = "".join(
        choice["delta"]["content"] or ""
        for chunk in seen
        for choice in chunk["choices"]
        if choice["delta"]
    )
    assert parts_of(event, "text") == [text]
