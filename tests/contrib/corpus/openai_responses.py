"""OpenAI's responses."""

from typing import Any

from . import HI, JSON, STREAM, Case, answer, call, js, reasoning, sse, text

PATH = "/v1/responses"
USAGE = {
    "input_tokens": 50,
    "input_tokens_details": {"cached_tokens": 32, "cache_write_tokens": 8},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 12},
    "total_tokens": 70,
}
OUTPUT = [
    {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]},
    {"type": "function_call", "id": "fc_1", "call_id": "a", "name": "f", "arguments": '{"x":1}'},
    {"type": "web_search_call", "id": "ws_1", "status": "completed"},
]
SAID = answer(
    reasoning("hm"),
    text("Hello"),
    call("a", "f", x=1),
    {
        "type": "server_tool_call",
        "name": "web_search_call",
        "server_tool_call": {"type": "web_search_call", "id": "ws_1", "status": "completed"},
    },
    finish="completed",
)


def body(**more: Any) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": "gpt-5-2025",
        "output": OUTPUT,
        "service_tier": "flex",
        "usage": USAGE,
        **more,
    }


EXPECT = {
    "operation": "chat",
    "response": [SAID],
    "finish_reason": "completed",
    "model_version": "gpt-5-2025",
    "response_id": "resp_1",
    "service_tier": "flex",
    "tokens_input": 50,
    "tokens_cached": 32,
    "tokens_cache_write": 8,
    "tokens_output": 20,
    "tokens_reasoning": 12,
    "tool_calls": [{"id": "a", "name": "f", "arguments": {"x": 1}}],
    "status": "success",
    "warnings": (),
}

CASES = [
    Case(
        "everything at once",
        PATH,
        {
            "model": "gpt-5",
            "instructions": "Be kind",
            "input": "Hi",
            "reasoning": {"effort": "low"},
        },
        {
            "prompt": [{"role": "system", "parts": [text("Be kind")]}, *HI],
            "request_params": {"reasoning": {"effort": "low"}},
            **EXPECT,
        },
        js(body()),
        headers=JSON,
        host="api.openai.com",
    ),
    Case(
        "streamed: the last event holds everything",
        PATH,
        {"model": "gpt-5", "input": "Hi", "stream": True},
        {**EXPECT, "stream": True},
        sse(
            ("response.created", {"type": "response.created", "response": body(output=[])}),
            (
                "response.output_text.delta",
                {"type": "response.output_text.delta", "output_index": 1, "delta": "Hello"},
            ),
            ("response.completed", {"type": "response.completed", "response": body()}),
        ),
        headers=STREAM,
        host="api.openai.com",
    ),
    Case(
        "streamed and cut: put together from the deltas",
        PATH,
        {"model": "gpt-5", "input": "Hi", "stream": True},
        {
            "status": "cancelled",
            "response": [
                answer(reasoning("so"), text("Hel"), call("a", "f", x=1), finish="incomplete")
            ],
            "model_version": "gpt-5-2025",
            "tokens_input": None,
        },
        sse(
            {"type": "response.created", "response": body(output=[], usage=None)},
            {
                "type": "response.output_item.added",
                "output_index": 0,
                "item": {"type": "reasoning"},
            },
            {"type": "response.reasoning_summary_text.delta", "output_index": 0, "delta": "so"},
            {"type": "response.output_item.added", "output_index": 1, "item": {"type": "message"}},
            {"type": "response.output_text.delta", "output_index": 1, "delta": "Hel"},
            {
                "type": "response.output_item.added",
                "output_index": 2,
                "item": {"type": "function_call", "call_id": "a", "name": "f", "arguments": ""},
            },
            {
                "type": "response.function_call_arguments.delta",
                "output_index": 2,
                "delta": '{"x":1}',
            },
        ),
        headers=STREAM,
        host="api.openai.com",
        closed=True,
    ),
    Case(
        "a conversation: tool output, picture, reference",
        PATH,
        {
            "model": "gpt-5",
            "input": [
                {
                    "role": "user",
                    "content": [{"type": "input_image", "image_url": "https://a.test/b"}],
                },
                {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "a", "output": "42"},
            ],
        },
        {
            "prompt": [
                {
                    "role": "user",
                    "parts": [{"type": "uri", "modality": "image", "uri": "https://a.test/b"}],
                },
                {"role": "assistant", "parts": [call("a", "f")]},
                {
                    "role": "tool",
                    "parts": [{"type": "tool_call_response", "id": "a", "response": "42"}],
                },
            ]
        },
        js(body()),
        headers=JSON,
        host="api.openai.com",
    ),
    Case(
        "incomplete: the reason is the finish reason",
        PATH,
        {"model": "gpt-5", "input": "Hi"},
        {"finish_reason": "max_output_tokens", "status": "success"},
        js(body(status="incomplete", incomplete_details={"reason": "max_output_tokens"})),
        headers=JSON,
        host="api.openai.com",
    ),
    Case(
        "failed within a good status",
        PATH,
        {"model": "gpt-5", "input": "Hi"},
        {"status": "error", "error": {"message": "Oh no", "code": "server_error", "type": None}},
        js(body(status="failed", output=[], error={"code": "server_error", "message": "Oh no"})),
        headers=JSON,
        host="api.openai.com",
    ),
    Case(
        "an error in the middle of the stream",
        PATH,
        {"model": "gpt-5", "input": "Hi", "stream": True},
        {"status": "error", "error": {"message": "Oh no", "code": "server_error", "type": None}},
        sse(
            {"type": "response.created", "response": body(output=[])},
            ("error", {"type": "error", "code": "server_error", "message": "Oh no"}),
        ),
        headers=STREAM,
        host="api.openai.com",
    ),
    Case(
        "a refusal",
        PATH,
        {"model": "gpt-5", "input": "Hi"},
        {"response": [answer({"type": "refusal", "content": "No."}, finish="completed")]},
        js(body(output=[{"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}])),
        headers=JSON,
        host="api.openai.com",
    ),
    Case(
        "of a conversation that is kept",
        PATH,
        {"model": "gpt-5", "input": "Hi", "conversation": "conv_2"},
        {"session_id": "conv_2", "response_metadata": {"conversation": {"id": "conv_2"}}},
        js(body(conversation={"id": "conv_2"})),
        headers=JSON,
        host="api.openai.com",
    ),
]
