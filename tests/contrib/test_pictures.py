"""No door keeps a picture, however deep it sits: its kind and size stand for it."""

import base64
import json
from typing import Any

import httpx2
import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableLambda
from opentelemetry.sdk.trace import TracerProvider

from llmobs import Client
from llmobs.codec import encode
from llmobs.contrib.httpx import RecordingTransport
from llmobs.contrib.langchain import LLMObsCallbackHandler
from llmobs.testing import CapturedEvents
from tests.contrib.corpus import js

DATA = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(500)).decode()
URL = f"data:image/png;base64,{DATA}"
SEALED = base64.b64encode(bytes(range(256))).decode()
SOURCE = {"type": "base64", "media_type": "image/png", "data": DATA}


def nothing_of_it_is_kept(events: CapturedEvents, times: int = 1) -> None:
    for event in events:
        event.event_id = event.run_id = ""
    kept = encode(list(events)).decode()
    assert DATA[:40] not in kept
    assert DATA[200:240] not in kept
    assert SEALED[:40] not in kept
    assert kept.count("508") >= times
    assert kept.count("image/png") >= times


WIRE: dict[str, tuple[str, Any, Any]] = {
    "computer use of responses": (
        "/v1/responses",
        {
            "model": "computer-use",
            "input": [
                {
                    "type": "computer_call_output",
                    "call_id": "a",
                    "output": {"type": "computer_screenshot", "image_url": URL},
                },
                {"type": "reasoning", "summary": [], "encrypted_content": SEALED},
                {"type": "compaction", "encrypted_content": SEALED},
                {
                    "type": "function_call_output",
                    "call_id": "b",
                    "output": [{"type": "input_image", "image_url": URL}],
                },
            ],
        },
        {
            "output": [
                {"type": "image_generation_call", "id": "ig", "result": DATA},
                {
                    "type": "code_interpreter_call",
                    "outputs": [{"type": "image", "url": URL}],
                },
            ]
        },
    ),
    "results of tools of messages": (
        "/v1/messages",
        {
            "model": "claude",
            "max_tokens": 9,
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "tool_result",
                            "tool_use_id": "a",
                            "content": [
                                {"type": "image", "source": SOURCE},
                                {
                                    "type": "search_result",
                                    "content": [{"type": "image", "source": SOURCE}],
                                },
                            ],
                        },
                        {
                            "type": "document",
                            "source": {
                                "type": "content",
                                "content": [{"type": "image", "source": SOURCE}],
                            },
                        },
                    ],
                }
            ],
        },
        {
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": SEALED},
                {"type": "tool_use", "id": "a", "name": "draw", "input": {"on": {"image": URL}}},
                {
                    "type": "web_search_tool_result",
                    "content": [{"type": "web_search_result", "encrypted_content": SEALED}],
                },
                {
                    "type": "web_fetch_tool_result",
                    "content": {"content": {"type": "document", "source": SOURCE}},
                },
            ]
        },
    ),
    "chat": (
        "/v1/chat/completions",
        {
            "model": "gpt-4o",
            "messages": [
                {"role": "tool", "tool_call_id": "a", "content": json.dumps({"shot": URL})},
                {"role": "user", "content": f"What is ![this]({URL})?"},
                {"role": "user", "content": [{"type": "video_url", "video_url": {"url": URL}}]},
            ],
            "prediction": {"type": "content", "content": [{"type": "text", "text": URL}]},
        },
        {
            "choices": [
                {
                    "message": {
                        "content": "here",
                        "images": [{"type": "image_url", "image_url": {"url": URL}}],
                        "tool_calls": [
                            {
                                "id": "a",
                                "function": {"name": "f", "arguments": js({"x": [URL]}).decode()},
                            }
                        ],
                    }
                }
            ]
        },
    ),
}


@pytest.mark.parametrize("name", WIRE)
def test_at_the_wire(name: str, events: CapturedEvents, client: Client) -> None:
    path, asked, said = WIRE[name]
    inner = httpx2.MockTransport(lambda request: httpx2.Response(200, json=said))
    with httpx2.Client(transport=RecordingTransport(inner, llmobs_client=client)) as http:
        http.post(f"https://api.openai.com{path}", json=asked)
    nothing_of_it_is_kept(events, times=4)


def test_in_spans(events: CapturedEvents, provider: TracerProvider) -> None:
    tracer = provider.get_tracer("tests")
    blob = {"type": "blob", "modality": "image", "mime_type": "image/png", "content": DATA}
    tool = {"type": "tool_call_response", "id": "a", "response": {"shots": [{"url": URL}]}}
    asked = json.dumps([{"role": "user", "parts": [blob, tool]}])
    spans: list[dict[str, Any]] = [
        {"gen_ai.operation.name": "chat", "gen_ai.input.messages": asked},
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "f",
            "gen_ai.tool.call.arguments": json.dumps({"a": {"b": URL}}),
            "gen_ai.tool.call.result": f"not JSON: {URL}",
        },
        {"openinference.span.kind": "CHAIN", "input.value": json.dumps({"a": [SOURCE]})},
    ]
    for attributes in spans:
        with tracer.start_as_current_span("span", attributes=attributes):
            pass
    nothing_of_it_is_kept(events, times=5)


def test_in_chains(events: CapturedEvents, client: Client) -> None:
    handler = LLMObsCallbackHandler(client)
    image = {"type": "image_url", "image_url": {"url": URL}}
    call = {"id": "a", "name": "draw", "args": {"on": {"image": URL}}}
    given = {
        "shots": [{"deep": {"er": URL}}],
        "raw": base64.b64decode(DATA),
        "messages": [
            HumanMessage([image]),
            AIMessage("", tool_calls=[call]),
            ToolMessage([image, {"type": "custom", "shot": {"source": SOURCE}}], tool_call_id="a"),
        ],
        "documents": [Document(page_content="x", metadata={"thumbnail": URL})],
    }
    chain = RunnableLambda(lambda value: {"again": value})
    chain.invoke(given, config={"callbacks": [handler]})
    nothing_of_it_is_kept(events, times=12)
