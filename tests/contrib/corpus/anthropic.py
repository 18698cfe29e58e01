"""Anthropic's messages, also by way of Bedrock and Vertex."""

import base64
from typing import Any

from . import HI, JSON, STREAM, USER, Case, answer, aws_frame, call, js, reasoning, sse, text

PATH = "/v1/messages"
HOST = "api.anthropic.com"
USAGE = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 100,
    "cache_read_input_tokens": 1000,
    "output_tokens": 50,
    "output_tokens_details": {"thinking_tokens": 30},
    "service_tier": "standard",
}
COUNTS = {
    "tokens_input": 1110,
    "tokens_cached": 1000,
    "tokens_cache_write": 100,
    "tokens_output": 50,
    "tokens_reasoning": 30,
    "service_tier": "standard",
}
ASK = {"model": "claude-sonnet-4-6", "max_tokens": 99, "messages": USER}


def body(content: list[Any], stop: str | None = "end_turn", **more: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-6-2026",
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": USAGE,
        **more,
    }


START = body([], None, usage={**USAGE, "output_tokens": 1, "output_tokens_details": None})


def event(kind: str, **data: Any) -> Any:
    return kind, {"type": kind, **data}


def start(index: int, **block: Any) -> Any:
    return event("content_block_start", index=index, content_block=block)


def delta(index: int, **delta: Any) -> Any:
    return event("content_block_delta", index=index, delta=delta)


EVENTS: list[Any] = [
    event("message_start", message=START),
    start(0, type="thinking", thinking=""),
    event("ping"),
    delta(0, type="thinking_delta", thinking="hm"),
    delta(0, type="signature_delta", signature="xyz"),
    event("content_block_stop", index=0),
    start(1, type="text", text=""),
    delta(1, type="text_delta", text="Hel"),
    delta(1, type="text_delta", text="lo"),
    event("content_block_stop", index=1),
    start(2, type="tool_use", id="a", name="f", input={}),
    delta(2, type="input_json_delta", partial_json='{"x":'),
    delta(2, type="input_json_delta", partial_json=" 1}"),
    event("content_block_stop", index=2),
    event(
        "message_delta",
        delta={"stop_reason": "tool_use", "stop_sequence": None},
        usage={"output_tokens": 50, "output_tokens_details": {"thinking_tokens": 30}},
    ),
    event("message_stop"),
]
SAID = answer(reasoning("hm"), text("Hello"), call("a", "f", x=1), finish="tool_use")


def frame(event: Any) -> bytes:
    """A chunk of ``invoke-with-response-stream``."""
    return aws_frame("chunk", {"bytes": base64.b64encode(js(event)).decode(), "p": "abc"})


CASES = [
    Case(
        "thinking, text, tools; cached tokens outside the input count",
        PATH,
        {**ASK, "system": [{"type": "text", "text": "Be kind"}], "temperature": 0.2},
        {
            "prompt": [{"role": "system", "parts": [text("Be kind")]}, *HI],
            "response": [
                answer(
                    reasoning("hm"),
                    reasoning(""),
                    text("Hello"),
                    call("a", "f", x=1),
                    finish="tool_use",
                )
            ],
            "tool_calls": [{"id": "a", "name": "f", "arguments": {"x": 1}}],
            "finish_reason": "tool_use",
            "model": "claude-sonnet-4-6",
            "model_version": "claude-sonnet-4-6-2026",
            "provider": "anthropic",
            "response_id": "msg_1",
            "request_id": "req_1",
            "request_params": {"max_tokens": 99, "temperature": 0.2},
            "status": "success",
            "warnings": (),
            **COUNTS,
        },
        js(
            body(
                [
                    {"type": "thinking", "thinking": "hm", "signature": "xyz"},
                    {"type": "redacted_thinking", "data": "opaque"},
                    {"type": "text", "text": "Hello"},
                    {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
                ],
                "tool_use",
            )
        ),
        headers={**JSON, "request-id": "req_1"},
        host=HOST,
    ),
    Case(
        "streamed: usage from the start and from the end",
        PATH,
        {**ASK, "stream": True},
        {"response": [SAID], "finish_reason": "tool_use", "stream": True, "warnings": (), **COUNTS},
        sse(*EVENTS),
        headers=STREAM,
        host=HOST,
    ),
    Case(
        "streamed and closed early: what came is kept",
        PATH,
        {**ASK, "stream": True},
        {
            "status": "cancelled",
            "response": [answer(reasoning("hm"), text("Hel"), finish="")],
            "tokens_input": 1110,
            "finish_reason": None,
        },
        sse(*EVENTS[:8]),
        headers=STREAM,
        host=HOST,
        closed=True,
    ),
    Case(
        "closed after the last event is no early close",
        PATH,
        {**ASK, "stream": True},
        {"status": "success"},
        sse(*EVENTS),
        headers=STREAM,
        host=HOST,
        closed=True,
    ),
    Case(
        "overloaded in the middle of the stream",
        PATH,
        {**ASK, "stream": True},
        {
            "status": "error",
            "error": {"message": "Overloaded", "type": "overloaded_error", "code": None},
            "response": [answer(reasoning("hm"), text("Hel"), finish="")],
        },
        sse(
            *EVENTS[:8],
            (
                "error",
                {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
            ),
        ),
        headers=STREAM,
        host=HOST,
    ),
    Case(
        "pictures, documents and tool results in",
        PATH,
        {
            "model": "claude",
            "max_tokens": 9,
            "system": "Be kind",
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "image",
                            "source": {
                                "type": "base64",
                                "media_type": "image/png",
                                "data": "iVBORw0KGgo=",
                            },
                        },
                        {"type": "image", "source": {"type": "url", "url": "https://a.test/b"}},
                        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
                        {
                            "type": "tool_result",
                            "tool_use_id": "a",
                            "content": [{"type": "text", "text": "42"}],
                        },
                        {
                            "type": "tool_result",
                            "tool_use_id": "b",
                            "content": "broke",
                            "is_error": True,
                        },
                    ],
                }
            ],
        },
        {
            "prompt": [
                {"role": "system", "parts": [text("Be kind")]},
                {
                    "role": "user",
                    "parts": [
                        {
                            "type": "blob",
                            "modality": "image",
                            "content": "",
                            "mime_type": "image/png",
                            "size": 8,
                        },
                        {"type": "uri", "modality": "image", "uri": "https://a.test/b"},
                        {"type": "file", "modality": "document", "file_id": "file_1"},
                        {"type": "tool_call_response", "id": "a", "response": "42"},
                        {
                            "type": "tool_call_response",
                            "id": "b",
                            "response": "broke",
                            "is_error": True,
                        },
                    ],
                },
            ]
        },
        js(body([{"type": "text", "text": "Hello"}])),
        headers=JSON,
        host=HOST,
    ),
    Case(
        "a refusal",
        PATH,
        ASK,
        {
            "finish_reason": "refusal",
            "response": [answer(finish="refusal")],
            "response_metadata": {"stop_details": {"type": "refusal", "category": None}},
        },
        js(body([], "refusal", stop_details={"type": "refusal", "category": None})),
        headers=JSON,
        host=HOST,
    ),
    Case(
        "counting tokens spends none",
        "/v1/messages/count_tokens",
        {"model": "claude", "messages": USER},
        {
            "operation": "count_tokens",
            "tokens_input": None,
            "response_metadata": {"input_tokens": 12},
            "prompt": HI,
        },
        js({"input_tokens": 12}),
        headers=JSON,
        host=HOST,
    ),
    Case(
        "Bedrock: the model is in the path",
        "/model/anthropic.claude-sonnet-4-6-v1%3A0/invoke",
        {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": USER},
        {
            "model": "anthropic.claude-sonnet-4-6-v1:0",
            "provider": "aws.bedrock",
            "request_id": "amzn-1",
            "response": [answer(text("Hello"), finish="end_turn")],
        },
        js(body([{"type": "text", "text": "Hello"}])),
        headers={**JSON, "x-amzn-requestid": "amzn-1"},
        host="bedrock-runtime.us-east-1.amazonaws.com",
    ),
    Case(
        "Bedrock: streams in Amazon's frames",
        "/model/claude/invoke-with-response-stream",
        {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": USER},
        {"response": [SAID], "stream": True, "status": "success", "warnings": (), **COUNTS},
        b"".join(frame(event[1]) for event in EVENTS),
        headers={"content-type": "application/vnd.amazon.eventstream"},
        host="bedrock-runtime.us-east-1.amazonaws.com",
    ),
    Case(
        "Vertex: the model is in the path",
        "/v1/projects/p/locations/global/publishers/anthropic/models/claude-opus-4-8:streamRawPredict",
        {
            "anthropic_version": "vertex-2023-10-16",
            "max_tokens": 9,
            "messages": USER,
            "stream": True,
        },
        {"model": "claude-opus-4-8", "provider": "gcp.vertex_ai", "response": [SAID], **COUNTS},
        sse(*EVENTS),
        headers=STREAM,
        host="aiplatform.googleapis.com",
    ),
]
