"""
What published instrumentations write of contents, and what comes of it.

The attributes are those of openinference-instrumentation-openai-agents 2.6, -smolagents 0.1.43,
-llama-index 4.6, -crewai 1.1, -pydantic-ai 0.1.30, -google-genai 1.4, of azure-ai-inference 1.0.0b9,
LiteLLM's callback and Pydantic AI's own spans.
"""

import json
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from llmobs import PromptCallEvent, ToolCallEvent
from llmobs.contrib._spans.genai import first_reason
from llmobs.testing import CapturedEvents

KIND = "openinference.span.kind"
SCHEMA = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
ARGUMENTS = {"query": "weather"}

TOOLS: dict[str, tuple[dict[str, Any], Any]] = {
    "openai-agents": (
        {
            KIND: "TOOL",
            "tool.name": "search",
            "tool.parameters": json.dumps(SCHEMA),
            "input.value": json.dumps(ARGUMENTS),
        },
        ARGUMENTS,
    ),
    "openai-agents, a handover": (
        {KIND: "TOOL", "tool.name": "search", "input.value": "triage", "output.value": "expert"},
        "triage",
    ),
    "smolagents": (
        {
            KIND: "TOOL",
            "tool.name": "search",
            "tool.parameters": json.dumps({"query": {"type": "string", "description": "What"}}),
            "input.value": json.dumps({"args": [], "kwargs": ARGUMENTS}),
        },
        {"args": [], "kwargs": ARGUMENTS},
    ),
    "llama-index": (
        {
            KIND: "TOOL",
            "tool.name": "search",
            "tool.parameters": json.dumps({**SCHEMA, "title": "search"}),
            "input.value": json.dumps({"kwargs": ARGUMENTS}),
        },
        {"kwargs": ARGUMENTS},
    ),
    "llama-index, arguments unknown": (
        {KIND: "TOOL", "tool.name": "search", "tool.parameters": json.dumps(SCHEMA)},
        None,
    ),
    "smolagents, arguments unknown": (
        {
            KIND: "TOOL",
            "tool.name": "search",
            "tool.parameters": json.dumps({"query": {"type": "string", "description": "What"}}),
        },
        None,
    ),
    "crewai": (
        {
            KIND: "TOOL",
            "tool.name": "search",
            "tool.parameters": json.dumps({**SCHEMA, "title": "Search"}),
            "input.value": json.dumps(ARGUMENTS),
        },
        ARGUMENTS,
    ),
    "pydantic-ai over OpenInference": (
        {
            KIND: "TOOL",
            "tool.name": "search",
            "tool_call.id": "c1",
            "tool.parameters": json.dumps(ARGUMENTS),
            "input.value": json.dumps(ARGUMENTS),
        },
        ARGUMENTS,
    ),
    "arguments as parameters alone": (
        {KIND: "TOOL", "tool.name": "search", "tool.parameters": json.dumps(ARGUMENTS)},
        ARGUMENTS,
    ),
    "no arguments, and a schema": (
        {
            KIND: "TOOL",
            "tool.name": "search",
            "tool.parameters": json.dumps(SCHEMA),
            "input.value": "{}",
        },
        None,
    ),
    "pydantic-ai": (
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "search",
            "gen_ai.tool.call.arguments": json.dumps(ARGUMENTS),
        },
        ARGUMENTS,
    ),
    "pydantic-ai before its third version": (
        {
            "gen_ai.tool.name": "search",
            "gen_ai.tool.call.id": "c1",
            "tool_arguments": json.dumps(ARGUMENTS),
            "tool_response": "sunny",
        },
        ARGUMENTS,
    ),
}


@pytest.mark.parametrize("name", TOOLS)
def test_arguments_of_tools(events: CapturedEvents, provider: TracerProvider, name: str) -> None:
    attributes, expected = TOOLS[name]
    record(provider, attributes)
    [tool] = events.of(ToolCallEvent)
    assert (tool.tool_name, tool.input) == ("search", expected)


MESSAGES = "llm.output_messages"
THOUGHT = {"type": "reasoning", "content": "hm"}
ANSWER = {"type": "text", "content": "hello"}
LLM = {KIND: "LLM", "llm.model_name": "m"}

ANSWERS: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "openai-agents: an item each": (
        {
            f"{MESSAGES}.0.message.role": "assistant",
            f"{MESSAGES}.0.message.contents.0.message_content.type": "reasoning",
            f"{MESSAGES}.0.message.contents.0.message_content.text": "hm",
            f"{MESSAGES}.0.message.contents.0.message_content.id": "rs_1",
            f"{MESSAGES}.0.message.contents.0.message_content.encrypted_content": "AAAA",
            f"{MESSAGES}.1.message.role": "assistant",
            f"{MESSAGES}.1.message.contents.0.message_content.type": "text",
            f"{MESSAGES}.1.message.contents.0.message_content.text": "hello",
        },
        [[THOUGHT], [ANSWER]],
    ),
    "google-genai: parts of one": (
        {
            f"{MESSAGES}.0.message.role": "model",
            f"{MESSAGES}.0.message.contents.0.message_content.type": "reasoning",
            f"{MESSAGES}.0.message.contents.0.message_content.text": "hm",
            f"{MESSAGES}.0.message.contents.0.message_content.signature": "AAAA",
            f"{MESSAGES}.0.message.contents.1.message_content.type": "text",
            f"{MESSAGES}.0.message.contents.1.message_content.text": "hello",
        },
        [[THOUGHT, ANSWER]],
    ),
    "a picture, a sound, a document": (
        {
            f"{MESSAGES}.0.message.role": "assistant",
            f"{MESSAGES}.0.message.contents.0.message_content.type": "image",
            f"{MESSAGES}.0.message.contents.0.message_content.image.image.url": "data:image/png;base64,AAAA",
            f"{MESSAGES}.0.message.contents.1.message_content.type": "audio",
            f"{MESSAGES}.0.message.contents.1.message_content.audio.audio.url": "data:audio/wav;base64,AAAA",
            f"{MESSAGES}.0.message.contents.2.message_content.type": "document",
            f"{MESSAGES}.0.message.contents.2.message_content.document.document.url": "https://x.test/a.pdf",
        },
        [
            [
                {"type": "blob", "modality": "image", "content": "", "mime_type": "image/png", "size": 3},
                {"type": "blob", "modality": "audio", "content": "", "mime_type": "audio/wav", "size": 3},
                {"type": "uri", "modality": "document", "uri": "https://x.test/a.pdf"},
            ]
        ],
    ),
    "a tool asked for, told twice": (
        {
            f"{MESSAGES}.0.message.role": "assistant",
            f"{MESSAGES}.0.message.contents.0.message_content.type": "tool_use",
            f"{MESSAGES}.0.message.tool_calls.0.tool_call.id": "c1",
            f"{MESSAGES}.0.message.tool_calls.0.tool_call.function.name": "search",
            f"{MESSAGES}.0.message.tool_calls.0.tool_call.function.arguments": json.dumps(ARGUMENTS),
        },
        [[{"type": "tool_call", "id": "c1", "name": "search", "arguments": ARGUMENTS}]],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_parts_of_answers(events: CapturedEvents, provider: TracerProvider, name: str) -> None:
    attributes, expected = ANSWERS[name]
    record(provider, {**LLM, **attributes})
    [call] = events.of(PromptCallEvent)
    assert [each["parts"] for each in call.response] == expected
    assert {each["role"] for each in call.response} == {"assistant"}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("stop", "stop"),
        (["stop"], "stop"),
        (("tool_calls", "stop"), "tool_calls"),
        ('["stop"]', "stop"),
        ('"stop"', "stop"),
        ("[]", None),
        ([], None),
        (None, None),
    ],
)
def test_reasons(told: Any, expected: str | None) -> None:
    assert first_reason(told) == expected


@pytest.mark.parametrize(
    "attributes",
    [
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "m",
            "gen_ai.response.finish_reasons": '["stop"]',
        },
        {**LLM, "llm.finish_reason": '["stop"]'},
        {**LLM, "llm.finish_reason": "stop"},
    ],
)
def test_a_reason_told_as_json(
    events: CapturedEvents, provider: TracerProvider, attributes: Any
) -> None:
    record(provider, attributes)
    [call] = events.of(PromptCallEvent)
    assert call.finish_reason == "stop"


def test_the_model_asked_of_google(events: CapturedEvents, provider: TracerProvider) -> None:
    """The instrumentation writes the version that answered over the model that was asked."""
    tracer = provider.get_tracer("tests")
    asked = {KIND: "LLM", "llm.provider": "google", "llm.model_name": "gemini-flash-latest"}
    with tracer.start_as_current_span("GenerateContent", attributes=asked) as span:
        span.set_attribute("input.value", json.dumps({"contents": []}))
        span.set_attribute("llm.model_name", "gemini-2.5-flash")
    [call] = events.of(PromptCallEvent)
    assert (call.model, call.model_version) == ("gemini-flash-latest", "gemini-2.5-flash")


def test_azure_writes_the_body_as_one_attribute(
    events: CapturedEvents, provider: TracerProvider
) -> None:
    called = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    bodies: list[tuple[str, Any]] = [
        ("gen_ai.system.message", {"role": "system", "content": "be brief"}),
        ("gen_ai.user.message", {"role": "user", "content": "hello"}),
        ("gen_ai.assistant.message", {"role": "assistant", "tool_calls": [called]}),
        ("gen_ai.tool.message", {"role": "tool", "tool_call_id": "c1", "content": "42"}),
        ("gen_ai.choice", {"message": {"content": "fine"}, "finish_reason": "stop", "index": 0}),
    ]
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.system": "az.ai.inference",
        "gen_ai.request.model": "gpt-4o",
    }
    record(
        provider,
        attributes,
        [
            (name, {"gen_ai.system": "az.ai.inference", "gen_ai.event.content": json.dumps(body)})
            for name, body in bodies
        ],
    )
    [call] = events.of(PromptCallEvent)
    assert [(each["role"], each["parts"]) for each in call.prompt] == [
        ("system", [{"type": "text", "content": "be brief"}]),
        ("user", [{"type": "text", "content": "hello"}]),
        ("assistant", [{"type": "tool_call", "id": "c1", "name": "f", "arguments": {}}]),
        ("tool", [{"type": "tool_call_response", "id": "c1", "response": "42"}]),
    ]
    assert call.response[0]["parts"] == [{"type": "text", "content": "fine"}]
    assert call.finish_reason == "stop"


def test_results_of_tools_by_pydantic_ais_name(
    events: CapturedEvents, provider: TracerProvider
) -> None:
    part = {"type": "tool_call_response", "id": "c1", "name": "f", "result": "sunny"}
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "m",
        "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [part]}]),
    }
    record(provider, attributes)
    [call] = events.of(PromptCallEvent)
    expected = {"type": "tool_call_response", "id": "c1", "name": "f", "response": "sunny"}
    assert call.prompt[0]["parts"] == [expected]


def record(provider: TracerProvider, attributes: Any, events: Any = ()) -> None:
    tracer = provider.get_tracer("tests")
    with tracer.start_as_current_span("span", attributes=attributes) as span:
        for name, inside in events:
            span.add_event(name, inside)
