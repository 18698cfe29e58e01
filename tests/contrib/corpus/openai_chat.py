"""Chat completions: OpenAI, Azure, and the dialects of those that are compatible."""

from typing import Any

from . import HI, JSON, STREAM, USER, Case, answer, call, js, reasoning, sse, text

PATH = "/v1/chat/completions"
USAGE = {
    "prompt_tokens": 2006,
    "completion_tokens": 300,
    "total_tokens": 2306,
    "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 256, "audio_tokens": 0},
}
COUNTS = {
    "tokens_input": 2006,
    "tokens_output": 300,
    "tokens_cached": 1920,
    "tokens_reasoning": 256,
}


def ask(**more: Any) -> dict[str, Any]:
    return {"messages": USER, "model": "gpt-4o", **more}


def said(message: dict[str, Any], finish: str = "stop", **more: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return js({"id": "c-1", "model": "gpt-4o-2024-08-06", "choices": [choice], **more})


def chunk(delta: Any = None, finish: str | None = None, index: int = 0, **more: Any) -> Any:
    choices = [] if delta is None else [{"index": index, "delta": delta, "finish_reason": finish}]
    return {"id": "c-1", "model": "gpt-4o-2024-08-06", "choices": choices, **more}


TOOL_DELTAS = [
    chunk({"role": "assistant", "content": None}),
    chunk({"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"x"'}}]}),
    chunk({"tool_calls": [{"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": ""}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]}),
    chunk({"tool_calls": [{"index": 1, "function": {"arguments": '{"y": 2}'}}]}),
    chunk({}, "tool_calls"),
    "[DONE]",
]  # fmt: skip

PICTURE = "data:image/png;base64,iVBORw0KGgo="

CASES = [
    Case(
        "text, cached and reasoning tokens inside the totals",
        PATH,
        ask(temperature=0.5, seed=7),
        {
            "prompt": HI,
            "model": "gpt-4o",
            "model_version": "gpt-4o-2024-08-06",
            "response": [answer(text("Hello"), finish="stop")],
            "finish_reason": "stop",
            "response_id": "c-1",
            "service_tier": "default",
            "request_id": "req_1",
            "request_params": {"temperature": 0.5, "seed": 7},
            "status": "success",
            "stream": None,
            "tool_calls": None,
            "warnings": (),
            "provider": "openai",
            **COUNTS,
        },
        said({"content": "Hello"}, usage=USAGE, service_tier="default"),
        headers={**JSON, "x-request-id": "req_1"},
        host="api.openai.com",
    ),
    Case(
        "parallel tools",
        PATH,
        ask(),
        {
            "response": [answer(call("a", "f", x=1), call("b", "g", y=2), finish="tool_calls")],
            "tool_calls": [
                {"id": "a", "name": "f", "arguments": {"x": 1}},
                {"id": "b", "name": "g", "arguments": {"y": 2}},
            ],
            "finish_reason": "tool_calls",
        },
        said(
            {
                "content": None,
                "tool_calls": [
                    {
                        "id": "a",
                        "type": "function",
                        "function": {"name": "f", "arguments": '{"x":1}'},
                    },
                    {
                        "id": "b",
                        "type": "function",
                        "function": {"name": "g", "arguments": '{"y":2}'},
                    },
                ],
            },
            "tool_calls",
        ),
    ),
    Case(
        "arguments that are no JSON stay text; custom tools take free text",
        PATH,
        ask(),
        {
            "tool_calls": [
                {"id": "a", "name": "f", "arguments": '{"x": '},
                {"id": "b", "name": "sql", "arguments": "[1]"},
            ],
        },
        said(
            {
                "tool_calls": [
                    {
                        "id": "a",
                        "type": "function",
                        "function": {"name": "f", "arguments": '{"x": '},
                    },
                    {"id": "b", "type": "custom", "custom": {"name": "sql", "input": "[1]"}},
                ]
            },
            "tool_calls",
        ),
    ),
    Case(
        "parallel tools, streamed and interleaved",
        PATH,
        ask(stream=True),
        {
            "response": [answer(call("a", "f", x=1), call("b", "g", y=2), finish="tool_calls")],
            "stream": True,
            "status": "success",
            "tokens_input": None,
            "warnings": (),
        },
        sse(*TOOL_DELTAS),
        headers=STREAM,
    ),
    Case(
        "streamed text with usage in a last chunk, CRLF and comments",
        PATH,
        ask(stream=True, stream_options={"include_usage": True}),
        {
            "response": [answer(text("Hello you"), finish="stop")],
            "request_params": {"stream_options": {"include_usage": True}},
            **COUNTS,
        },
        b": keep-alive\r\n\r\n"
        + sse(
            chunk({"role": "assistant", "content": ""}, usage=None),
            chunk({"content": "Hello"}, usage=None),
            chunk({"content": " you"}, usage=None),
            chunk({}, "stop", usage=None),
            chunk(usage=USAGE),
            "[DONE]",
            end="\r\n",
        ),
        headers=STREAM,
    ),
    Case(
        "structured output",
        PATH,
        ask(response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}),
        {
            "response": [answer(text('{"answer": "4"}'), finish="stop")],
            "request_params": {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "a", "schema": {}},
                }
            },
        },
        said({"content": '{"answer": "4"}', "refusal": None}),
    ),
    Case(
        "a refusal",
        PATH,
        ask(),
        {"response": [answer({"type": "refusal", "content": "No."}, finish="stop")]},
        said({"content": None, "refusal": "No."}),
    ),
    Case(
        "a refusal, streamed",
        PATH,
        ask(stream=True),
        {"response": [answer({"type": "refusal", "content": "No."}, finish="stop")]},
        sse(chunk({"refusal": "No"}), chunk({"refusal": "."}), chunk({}, "stop"), "[DONE]"),
        headers=STREAM,
    ),
    Case(
        "several choices, streamed and interleaved",
        PATH,
        ask(stream=True, n=2),
        {
            "response": [answer(text("ab"), finish="stop"), answer(text("cd"), finish="length")],
            "finish_reason": "stop",
        },
        sse(
            chunk({"content": "c"}, index=1),
            chunk({"content": "a"}),
            chunk({"content": "b"}),
            chunk({"content": "d"}, index=1),
            chunk({}, "length", index=1),
            chunk({}, "stop"),
            "[DONE]",
        ),
        headers=STREAM,
    ),
    Case(
        "pictures and sounds in: never their content",
        PATH,
        {
            "model": "gpt-4o",
            "messages": [
                {"role": "developer", "content": [{"type": "text", "text": "Be brief"}]},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is it?"},
                        {"type": "image_url", "image_url": {"url": PICTURE}},
                        {"type": "image_url", "image_url": {"url": "https://a.test/b.png"}},
                        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
                        {"type": "file", "file": {"file_id": "file-1"}},
                    ],
                },
            ],
        },
        {
            "prompt": [
                {"role": "developer", "parts": [text("Be brief")]},
                {
                    "role": "user",
                    "parts": [
                        text("What is it?"),
                        {
                            "type": "blob",
                            "modality": "image",
                            "content": "",
                            "mime_type": "image/png",
                            "size": 8,
                        },
                        {"type": "uri", "modality": "image", "uri": "https://a.test/b.png"},
                        {
                            "type": "blob",
                            "modality": "audio",
                            "content": "",
                            "mime_type": "audio/mp3",
                            "size": 3,
                        },
                        {"type": "file", "modality": "document", "file_id": "file-1"},
                    ],
                },
            ]
        },
        said({"content": "A cat"}),
    ),
    Case(
        "a conversation with tool results",
        PATH,
        {
            "model": "gpt-4o",
            "messages": [
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}],
                },
                {"role": "tool", "tool_call_id": "a", "content": "42"},
                {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "43"}]},
            ],
        },
        {
            "prompt": [
                {"role": "assistant", "parts": [call("a", "f")]},
                {
                    "role": "tool",
                    "parts": [{"type": "tool_call_response", "id": "a", "response": "42"}],
                },
                {
                    "role": "tool",
                    "parts": [{"type": "tool_call_response", "id": "b", "response": "43"}],
                },
            ]
        },
        said({"content": "So 42"}),
    ),
    Case(
        "reasoning beside the answer (DeepSeek), cache hits in its own words",
        PATH,
        ask(model="deepseek-reasoner"),
        {
            "response": [answer(reasoning("hm"), text("4"), finish="stop")],
            "provider": "deepseek",
            "tokens_cached": 64,
            "tokens_input": 100,
        },
        said(
            {"content": "4", "reasoning_content": "hm"},
            usage={"prompt_tokens": 100, "completion_tokens": 5, "prompt_cache_hit_tokens": 64},
        ),
        host="api.deepseek.com",
    ),
    Case(
        "reasoning streamed (vLLM, OpenRouter)",
        PATH,
        ask(stream=True),
        {"response": [answer(reasoning("hm so"), text("4"), finish="stop")]},
        sse(
            chunk({"role": "assistant", "reasoning": "hm"}),
            chunk({"reasoning": " so"}),
            chunk({"content": "4"}),
            chunk({}, "stop"),
            "[DONE]",
        ),
        headers=STREAM,
    ),
    Case(
        "usage of Groq's streams",
        "/openai/v1/chat/completions",
        ask(stream=True),
        {"provider": "groq", "tokens_input": 3, "tokens_output": 1},
        sse(
            chunk({"content": "4"}),
            chunk({}, "stop", x_groq={"usage": {"prompt_tokens": 3, "completion_tokens": 1}}),
            "[DONE]",
        ),
        headers=STREAM,
        host="api.groq.com",
    ),
    Case(
        "xAI counts reasoning beside the output",
        PATH,
        ask(model="grok-4"),
        {"provider": "x_ai", "tokens_output": 110, "tokens_reasoning": 100, "warnings": ()},
        said(
            {"content": "4"},
            usage={
                "prompt_tokens": 5,
                "completion_tokens": 10,
                "total_tokens": 115,
                "completion_tokens_details": {"reasoning_tokens": 100},
            },
        ),
        host="api.x.ai",
    ),
    Case(
        "Mistral answers in parts",
        PATH,
        ask(model="magistral"),
        {"provider": "mistral_ai", "response": [answer(text("4"), finish="stop")]},
        said({"content": [{"type": "text", "text": "4"}]}),
        host="api.mistral.ai",
    ),
    Case(
        "Gemini's compatible streams send tool calls whole and without an index",
        "/v1beta/openai/chat/completions",
        ask(stream=True),
        {
            "provider": "gcp.gemini",
            "response": [answer(call("a", "f", x=1), call("b", "g"), finish="stop")],
        },
        sse(
            chunk(
                {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": '{"x": 1}'}}]}
            ),
            chunk({"tool_calls": [{"id": "b", "function": {"name": "g", "arguments": "{}"}}]}),
            chunk({}, "stop"),
            "[DONE]",
        ),
        headers=STREAM,
        host="generativelanguage.googleapis.com",
    ),
    Case(
        "Azure: deployment in the path, filter results in a first chunk without choices",
        "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21",
        {"messages": USER, "stream": True},
        {
            "model": "my-gpt",
            "provider": "azure.ai.openai",
            "request_id": "apim-1",
            "response": [answer(text("Hello"), finish="content_filter")],
            "response_metadata": {"prompt_filter_results": [{"prompt_index": 0}]},
        },
        sse(
            {"choices": [], "id": "", "model": "", "prompt_filter_results": [{"prompt_index": 0}]},
            chunk({"content": "Hello"}),
            chunk({}, "content_filter"),
            "[DONE]",
        ),
        headers={**STREAM, "apim-request-id": "apim-1"},
        host="mine.openai.azure.com",
    ),
    Case(
        "the legacy function call",
        PATH,
        ask(),
        {"tool_calls": [{"name": "f", "arguments": {"x": 1}}], "finish_reason": "function_call"},
        said(
            {"content": None, "function_call": {"name": "f", "arguments": '{"x":1}'}},
            "function_call",
        ),
    ),
    Case(
        "an answer spoken",
        PATH,
        ask(modalities=["text", "audio"]),
        {
            "response": [
                answer(
                    {"type": "blob", "modality": "audio", "content": "", "size": 3},
                    text("Hello"),
                    finish="stop",
                )
            ]
        },
        said({"content": None, "audio": {"id": "x", "data": "AAAA", "transcript": "Hello"}}),
    ),
]
