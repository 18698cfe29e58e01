"""
How others speak OpenAI's and Anthropic's wires: what each provider's reference documents that differs.

Tool calls without an index or with the same one, content in parts, reasoning and usage in places of
their own, numbers that are no JSON, errors with a good status, endpoints of their own.
"""

import base64
from typing import Any

from . import HI, JSON, STREAM, USER, Case, answer, aws_frame, call, js, reasoning, sse, text
from .anthropic import ASK, HOST, body, delta, event, frame, start
from .openai_chat import PATH, ask, chunk, said
from .openai_responses import body as response

DONE = [chunk({}, "stop"), "[DONE]"]
CALLED = [chunk({}, "tool_calls"), "[DONE]"]
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(200)).decode()
SEALED = base64.b64encode(bytes(range(256))).decode()
PARIS, ROME = {"city": "Paris"}, {"city": "Rome"}
BOTH = [call("a", "get_weather", **PARIS), call("b", "get_weather", **ROME)]


def streamed(name: str, host: str, chunks: list[Any], expect: Any, **more: Any) -> Case:
    more = {"path": PATH, "headers": STREAM, **more}
    path = more.pop("path")
    expect = {"status": "success", "warnings": (), "stream": True, **expect}
    return Case(name, path, ask(stream=True), expect, sse(*chunks), host=host, **more)


def whole(name: str, host: str, content: Any, expect: Any, **more: Any) -> Case:
    more = {"path": PATH, "request": ask(), **more}
    path, request = more.pop("path"), more.pop("request")
    raw = content if isinstance(content, bytes) else js(content)
    return Case(name, path, request, expect, raw, headers=JSON, host=host, **more)


def tool(id: str | None, arguments: str, index: int | None = None, **more: Any) -> Any:
    function = {"name": "get_weather", "arguments": arguments, **more}
    found: dict[str, Any] = {"function": {k: v for k, v in function.items() if v is not None}}
    found |= {"id": id} if id is not None else {}
    return found | ({"index": index} if index is not None else {})


def calls(*deltas: Any) -> Any:
    return chunk({"tool_calls": list(deltas)})


TOOLS = {"tool_calls": [{k: v for k, v in c.items() if k != "type"} for c in BOTH]}
ONE = {"tool_calls": TOOLS["tool_calls"][:1]}

CASES = [
    # Tool calls in pieces.
    streamed(
        "Ollama: every call says index 0",
        "localhost",
        [
            calls(tool("a", '{"city":"Paris"}', 0)),
            calls(tool("b", '{"city":"Rome"}', 0)),
            *CALLED,
        ],
        TOOLS,
    ),
    streamed(
        "several calls of one index, in pieces",
        "gateway.test",
        [
            calls(tool("a", "", 0)),
            calls(tool(None, '{"city":', 0, name=None)),
            calls(tool(None, '"Paris"}', 0, name=None)),
            calls(tool("b", "", 0)),
            calls(tool(None, '{"city":"Rome"}', 0, name=None)),
            *CALLED,
        ],
        TOOLS,
    ),
    streamed(
        "no index: one call in two pieces",
        "gateway.test",
        [calls(tool("a", '{"city":')), calls(tool(None, '"Paris"}', name=None)), *CALLED],
        ONE,
    ),
    streamed(
        "vLLM: the name in every piece",
        "vllm.internal",
        [calls(tool("a", '{"city":', 0)), calls(tool(None, '"Paris"}', 0)), *CALLED],
        ONE,
    ),
    streamed(
        "id and name in every piece",
        "gateway.test",
        [calls(tool("a", '{"city":', 0)), calls(tool("a", '"Paris"}', 0)), *CALLED],
        ONE,
    ),
    streamed(
        "Gemini: ids that are empty, thought signatures",
        "generativelanguage.googleapis.com",
        [
            chunk(
                {
                    "tool_calls": [
                        {
                            "id": "",
                            "type": "function",
                            "function": {"name": "get_weather", "arguments": js(city).decode()},
                            "extra_content": {"google": {"thought_signature": SEALED}},
                        }
                    ]
                }
            )
            for city in (PARIS, ROME)
        ]
        + DONE,
        {
            "provider": "gcp.gemini",
            "tool_calls": [
                {"name": "get_weather", "arguments": PARIS},
                {"name": "get_weather", "arguments": ROME},
            ],
        },
        path="/v1beta/openai/chat/completions",
    ),
    streamed(
        "Mistral: calls whole, in one delta",
        "api.mistral.ai",
        [
            calls(tool("a", '{"city":"Paris"}', 0), tool("b", '{"city":"Rome"}', 1)),
            *CALLED,
        ],
        {"provider": "mistral_ai", **TOOLS},
    ),
    streamed(
        "arguments that are objects already",
        "gateway.test",
        [
            chunk({"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": {"x": 1}}}]}),
            *CALLED,
        ],
        {"tool_calls": [{"id": "a", "name": "f", "arguments": {"x": 1}}]},
    ),
    streamed(
        "a custom tool in pieces",
        "api.openai.com",
        [
            chunk(
                {
                    "tool_calls": [
                        {
                            "index": 0,
                            "id": "a",
                            "type": "custom",
                            "custom": {"name": "sql", "input": "SELECT "},
                        }
                    ]
                }
            ),
            chunk({"tool_calls": [{"index": 0, "custom": {"input": "1"}}]}),
            *CALLED,
        ],
        {"tool_calls": [{"id": "a", "name": "sql", "arguments": "SELECT 1"}]},
    ),
    streamed(
        "the legacy function call in pieces",
        "api.openai.com",
        [
            chunk({"function_call": {"name": "f", "arguments": ""}}),
            chunk({"function_call": {"arguments": '{"x":'}}),
            chunk({"function_call": {"arguments": "1}"}}),
            chunk({}, "function_call"),
            "[DONE]",
        ],
        {"tool_calls": [{"name": "f", "arguments": {"x": 1}}], "finish_reason": "function_call"},
    ),
    # What else a delta holds.
    streamed(
        "OpenAI: annotations are no content",
        "api.openai.com",
        [
            chunk({"content": "See"}),
            *[
                chunk(
                    {
                        "annotations": [
                            {"type": "url_citation", "url_citation": {"url": "https://a.test"}}
                        ]
                    }
                )
            ]
            * 3,
            *DONE,
        ],
        {"response": [answer(text("See"), finish="stop")]},
    ),
    streamed(
        "OpenAI: an answer spoken, its transcript in pieces",
        "api.openai.com",
        [
            chunk({"role": "assistant", "audio": {"id": "audio_1", "transcript": "Hel"}}),
            chunk({"audio": {"transcript": "lo"}}),
            chunk({"audio": {"data": "QUJDRA=="}}),
            chunk({"audio": {"data": "QUJD"}}),
            chunk({"audio": {"expires_at": 5}}),
            *DONE,
        ],
        {
            "response": [
                answer(
                    {"type": "blob", "modality": "audio", "content": "", "size": 7},
                    text("Hello"),
                    finish="stop",
                )
            ]
        },
    ),
    streamed(
        "OpenRouter: reasoning and its details",
        "openrouter.ai",
        [
            chunk(
                {
                    "content": "",
                    "reasoning": p,
                    "reasoning_details": [{"type": "reasoning.text", "text": p, "index": 0}],
                }
            )
            for p in ("h", "m")
        ]
        + [
            chunk(
                {
                    "content": "4",
                    "reasoning_details": [
                        {"type": "reasoning.encrypted", "data": SEALED, "index": 1}
                    ],
                }
            )
        ]
        + DONE,
        {"response": [answer(reasoning("hm"), text("4"), finish="stop")], "provider": "openrouter"},
        path="/api/v1/chat/completions",
    ),
    streamed(
        "MiniMax: reasoning in the details alone",
        "api.minimax.io",
        [
            chunk(
                {
                    "reasoning_details": [
                        {"type": "reasoning.text", "id": "r", "format": "M", "index": 0, "text": p}
                    ]
                }
            )
            for p in ("h", "m")
        ]
        + [chunk({"content": "4"}), *DONE],
        {"response": [answer(reasoning("hm"), text("4"), finish="stop")], "provider": "minimax"},
    ),
    whole(
        "MiniMax: reasoning in the details alone, not streamed",
        "api.minimax.io",
        said({"content": "4", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]}),
        {"response": [answer(reasoning("hm"), text("4"), finish="stop")]},
    ),
    whole(
        "OpenRouter: pictures made in a chat",
        "openrouter.ai",
        said(
            {
                "content": "Here",
                "images": [
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
                ],
            }
        ),
        {
            "response": [
                answer(
                    text("Here"),
                    {
                        "type": "blob",
                        "modality": "image",
                        "content": "",
                        "mime_type": "image/png",
                        "size": 208,
                    },
                    finish="stop",
                )
            ]
        },
        path="/api/v1/chat/completions",
    ),
    streamed(
        "Mistral: thinking streams in parts, the answer in texts",
        "api.mistral.ai",
        [
            chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "h"}]}]}),
            chunk(
                {
                    "content": [
                        {
                            "type": "thinking",
                            "thinking": [{"type": "text", "text": "m"}],
                            "closed": True,
                        }
                    ]
                }
            ),
            chunk({"content": "4"}),
            chunk({"content": "2"}),
            *DONE,
        ],
        {"response": [answer(reasoning("hm"), text("42"), finish="stop")]},
    ),
    whole(
        "Mistral: thinking, not streamed",
        "api.mistral.ai",
        said(
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                    {"type": "text", "text": "42"},
                ]
            }
        ),
        {"response": [answer(reasoning("hm"), text("42"), finish="stop")]},
    ),
    streamed(
        "DeepSeek: reasoning first, usage with the finish reason",
        "api.deepseek.com",
        [
            chunk({"role": "assistant", "content": None, "reasoning_content": ""}),
            chunk({"content": None, "reasoning_content": "hm"}),
            chunk({"content": "4", "reasoning_content": None}),
            chunk(
                {"content": ""},
                "stop",
                usage={
                    "prompt_tokens": 9,
                    "completion_tokens": 3,
                    "total_tokens": 12,
                    "prompt_cache_hit_tokens": 4,
                    "prompt_cache_miss_tokens": 5,
                },
            ),
            "[DONE]",
        ],
        {
            "response": [answer(reasoning("hm"), text("4"), finish="stop")],
            "tokens_input": 9,
            "tokens_cached": 4,
            "tokens_output": 3,
        },
        path="/chat/completions",
    ),
    streamed(
        "Moonshot: usage inside the choice",
        "api.moonshot.ai",
        [
            chunk({"content": "4"}),
            {
                "id": "c-1",
                "choices": [
                    {
                        "index": 0,
                        "delta": {},
                        "finish_reason": "stop",
                        "usage": {
                            "prompt_tokens": 9,
                            "completion_tokens": 3,
                            "total_tokens": 12,
                            "cached_tokens": 4,
                        },
                    }
                ],
            },
            "[DONE]",
        ],
        {"tokens_input": 9, "tokens_output": 3, "tokens_cached": 4, "provider": "moonshot_ai"},
    ),
    streamed(
        "Perplexity: each chunk also holds the message so far, and its sources",
        "api.perplexity.ai",
        [
            {
                "id": "c-1",
                "citations": ["https://a.test"],
                "search_results": [{"title": "A", "url": "https://a.test"}],
                "usage": {"prompt_tokens": 9, "completion_tokens": n, "total_tokens": 9 + n},
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": "stop" if n == 2 else None,
                        "message": {"role": "assistant", "content": "Hello"[: 3 * n]},
                        "delta": {"role": "assistant", "content": piece},
                    }
                ],
            }
            for n, piece in ((1, "Hel"), (2, "lo"))
        ],
        {
            "response": [answer(text("Hello"), finish="stop")],
            "tokens_output": 2,
            "response_metadata": {
                "citations": ["https://a.test"],
                "search_results": [{"title": "A", "url": "https://a.test"}],
            },
        },
        path="/chat/completions",
    ),
    streamed(
        "a chunk that holds the message itself",
        "gateway.test",
        [
            {
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": "Hello"},
                        "finish_reason": "stop",
                    }
                ]
            },
            "[DONE]",
        ],
        {"response": [answer(text("Hello"), finish="stop")]},
    ),
    streamed(
        "Azure: the asynchronous filter adds chunks without a delta",
        "mine.openai.azure.com",
        [
            chunk({"content": "Hello"}),
            {
                "id": "",
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": None,
                        "content_filter_results": {},
                        "content_filter_offsets": {"check_offset": 5},
                    }
                ],
            },
            *DONE,
        ],
        {"response": [answer(text("Hello"), finish="stop")], "provider": "azure.ai.openai"},
        path="/openai/v1/chat/completions",
    ),
    *(
        streamed(
            f"{host}: usage with the last choice",
            host,
            [
                chunk({"role": "assistant", "content": "Hello"}),
                chunk(
                    {},
                    "stop",
                    usage={"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
                ),
                "[DONE]",
            ],
            {"tokens_input": 9, "tokens_output": 3, "provider": provider},
        )
        for host, provider in (
            ("api.together.xyz", "together"),
            ("api.fireworks.ai", "fireworks"),
            ("api.cerebras.ai", "cerebras"),
            ("router.huggingface.co", "huggingface"),
            ("api.mistral.ai", "mistral_ai"),
            ("api.x.ai", "x_ai"),
        )
    ),
    # JSON and numbers that only the SDKs read.
    *(
        whole(
            f"chat: {what} in the answer",
            "vllm.internal",
            said(
                {"content": "ODD"}, usage={"prompt_tokens": 9, "completion_tokens": 3}, logprobs=-1
            ).replace(b'"logprobs": -1', b'"logprobs": ' + raw),
            {"status": "success", "tokens_input": 9, "tokens_output": 3, "warnings": ()},
        )
        for what, raw in (
            ("NaN", b"NaN"),
            ("an infinity", b"-Infinity"),
            ("a lone surrogate", rb'"\ud83d"'),
            ("an integer of 40 digits", b"1" * 40),
        )
    ),
    Case(
        "chat: a lone surrogate in a delta",
        PATH,
        ask(stream=True),
        {"status": "success", "tokens_input": 9, "warnings": (), "finish_reason": "stop"},
        sse(
            chunk({"content": "a"}),
            '{"choices": [{"index": 0, "delta": {"content": "\\ud83d"}}]}',
            chunk({}, "stop", usage={"prompt_tokens": 9, "completion_tokens": 3}),
            "[DONE]",
        ),
        headers=STREAM,
    ),
    Case(
        "messages: a lone surrogate in a delta, NaN in the arguments of a tool",
        "/v1/messages",
        {**ASK, "stream": True},
        {
            "status": "success",
            "tokens_input": 9,
            "tokens_output": 3,
            "finish_reason": "tool_use",
            "warnings": (),
        },
        sse(
            event(
                "message_start",
                message={"role": "assistant", "usage": {"input_tokens": 9, "output_tokens": 1}},
            ),
            start(0, type="text", text=""),
            (
                "content_block_delta",
                '{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "\\udc00"}}',
            ),
            start(1, type="tool_use", id="a", name="f", input={}),
            delta(1, type="input_json_delta", partial_json='{"x": NaN}'),
            event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 3}),
            event("message_stop"),
        ),
        headers=STREAM,
        host=HOST,
    ),
    Case(
        "responses: a lone surrogate and an infinity",
        "/v1/responses",
        {"model": "gpt-5", "input": "Hi"},
        {"status": "success", "tokens_input": 50, "tokens_output": 20, "warnings": ()},
        js(response(top_p=-1)).replace(b'"top_p": -1', rb'"top_p": Infinity, "user": "\ud83d"'),
        headers=JSON,
        host="api.openai.com",
    ),
    Case(
        "embeddings with NaN",
        "/v1/embeddings",
        {"model": "m", "input": "a"},
        {
            "status": "success",
            "tokens_input": 4,
            "response_metadata": {"vectors": 1, "dimensions": 2},
        },
        b'{"data": [{"embedding": [NaN, -Infinity]}], "model": "m", "usage": {"prompt_tokens": 4}}',
        headers=JSON,
    ),
    *(
        Case(
            f"{path}: counts that come as floats and as texts",
            path,
            {"model": "m", "input": "a", "messages": USER, "prompt": "a"},
            {
                "tokens_input": 9,
                **({} if path == "/v1/embeddings" else {"tokens_output": 3}),
                "warnings": (),
            },
            js({"usage": {first: 9.0, second: "3", "total_tokens": "12.0"}}),
            headers=JSON,
            host="api.openai.com",
        )
        for path, first, second in (
            ("/v1/chat/completions", "prompt_tokens", "completion_tokens"),
            ("/v1/completions", "prompt_tokens", "completion_tokens"),
            ("/v1/responses", "input_tokens", "output_tokens"),
            ("/v1/embeddings", "prompt_tokens", "completion_tokens"),
            ("/v1/images/generations", "input_tokens", "output_tokens"),
        )
    ),
    # Errors with a good status.
    Case(
        "OpenRouter: the choice says it failed",
        "/api/v1/chat/completions",
        ask(),
        {"status": "error", "error": {"message": "Upstream down", "type": None, "code": "502"}},
        js(
            {
                "id": "c",
                "choices": [
                    {
                        "error": {"code": 502, "message": "Upstream down"},
                        "finish_reason": "error",
                        "message": {"role": "assistant", "content": ""},
                    }
                ],
            }
        ),
        headers=JSON,
        host="openrouter.ai",
    ),
    Case(
        "MiniMax: base_resp says it failed",
        PATH,
        ask(),
        {
            "status": "error",
            "error": {"message": "insufficient balance", "type": None, "code": "1008"},
        },
        js(
            {
                "id": "c",
                "choices": None,
                "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"},
            }
        ),
        headers=JSON,
        host="api.minimax.io",
    ),
    whole(
        "MiniMax: base_resp says it went well",
        "api.minimax.io",
        said({"content": "Hello"}, base_resp={"status_code": 0, "status_msg": ""}),
        {"status": "success", "response": [answer(text("Hello"), finish="stop")]},
    ),
    Case(
        "TGI: an error that is a text, in the stream",
        PATH,
        ask(stream=True),
        {
            "status": "error",
            "error": {"message": "Request failed during generation", "type": None, "code": None},
        },
        sse(
            chunk({"content": "Hello"}),
            {"error": "Request failed during generation", "error_type": "generation"},
        ),
        headers=STREAM,
        closed=True,
    ),
    Case(
        "Bedrock: throttled in the middle of the stream",
        "/model/claude/invoke-with-response-stream",
        {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": USER},
        {
            "status": "error",
            "error": {"message": "Too many requests", "type": "throttlingException", "code": None},
            "tokens_input": 9,
            "tokens_output": None,
        },
        frame(
            {"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}}
        )
        + aws_frame("throttlingException", {"message": "Too many requests"}, "exception"),
        headers={"content-type": "application/vnd.amazon.eventstream"},
        host="bedrock-runtime.us-east-1.amazonaws.com",
        closed=True,
    ),
    Case(
        "the Anthropic wire of others",
        "/api/anthropic/v1/messages",
        {"model": "glm-4.7", "max_tokens": 9, "messages": USER},
        {
            "provider": "z_ai",
            "response": [answer(text("Hello"), finish="end_turn")],
            "tokens_output": 50,
        },
        js(body([{"type": "text", "text": "Hello"}])),
        headers=JSON,
        host="api.z.ai",
    ),
    # Endpoints of their own.
    Case(
        "Mistral: fill in the middle",
        "/v1/fim/completions",
        {"model": "codestral-latest", "prompt": "def f(", "suffix": "return a + b"},
        {
            "operation": "text_completion",
            "provider": "mistral_ai",
            "prompt": ["def f(", "return a + b"],
            "request_params": None,
            "response": [answer(text("a, b):"), finish="stop")],
            "tokens_input": 8,
            "tokens_output": 4,
        },
        said(
            {"content": "a, b):"},
            usage={"prompt_tokens": 8, "completion_tokens": 4, "total_tokens": 12},
        ),
        headers=JSON,
        host="codestral.mistral.ai",
    ),
    Case(
        "Mistral: fill in the middle, streamed",
        "/v1/fim/completions",
        {"model": "codestral-latest", "prompt": "def f(", "stream": True},
        {
            "prompt": "def f(",
            "response": [answer(text("a, b):"), finish="stop")],
            "stream": True,
            "status": "success",
        },
        sse(chunk({"content": "a, "}), chunk({"content": "b):"}), *DONE),
        headers=STREAM,
        host="api.mistral.ai",
    ),
    Case(
        "Mistral: an agent, whose model only the answer names",
        "/v1/agents/completions",
        {"agent_id": "ag_1", "messages": USER},
        {
            "operation": "chat",
            "model": "gpt-4o-2024-08-06",
            "prompt": HI,
            "request_params": {"agent_id": "ag_1"},
            "response": [answer(text("Hello"), finish="stop")],
        },
        said({"content": "Hello"}),
        headers=JSON,
        host="api.mistral.ai",
    ),
    Case(
        "Ollama's own: one embedding",
        "/api/embeddings",
        {"model": "all-minilm", "prompt": "Hi"},
        {
            "operation": "embeddings",
            "provider": "ollama",
            "prompt": "Hi",
            "response_metadata": {"vectors": 1, "dimensions": 3},
            "tokens_input": None,
            "warnings": (),
        },
        js({"embedding": [0.1, 0.2, 0.3]}),
        headers=JSON,
        host="localhost",
    ),
    Case(
        "Ollama's own: several embeddings",
        "/api/embed",
        {"model": "all-minilm", "input": ["Hi", "you"]},
        {
            "prompt": ["Hi", "you"],
            "response_metadata": {"vectors": 2, "dimensions": 2},
            "tokens_input": 8,
            "model_version": "all-minilm",
        },
        js({"model": "all-minilm", "embeddings": [[0.1, 0.2], [0.3, 0.4]], "prompt_eval_count": 8}),
        headers=JSON,
        host="localhost",
    ),
    Case(
        "Open WebUI: OpenAI's embeddings at Ollama's address",
        "/api/embeddings",
        {"model": "m", "input": "Hi"},
        {"response_metadata": {"vectors": 1, "dimensions": 2}, "tokens_input": 3, "prompt": "Hi"},
        js({"data": [{"embedding": [1, 2]}], "model": "m", "usage": {"prompt_tokens": 3}}),
        headers=JSON,
        host="localhost",
    ),
    Case(
        "OpenAI: a conversation compacted",
        "/v1/responses/compact",
        {"model": "gpt-5", "input": "Hi"},
        {
            "operation": "chat",
            "response_id": "resp_1",
            "tokens_input": 50,
            "tokens_output": 20,
            "response": [
                answer(
                    {
                        "type": "server_tool_call",
                        "name": "compaction",
                        "server_tool_call": {
                            "type": "compaction",
                            "id": "cmp_1",
                            "encrypted_content": "[encrypted_content, 256 bytes]",
                        },
                    },
                    finish="",
                )
            ],
        },
        js(
            {
                "id": "resp_1",
                "object": "response.compaction",
                "output": [{"type": "compaction", "id": "cmp_1", "encrypted_content": SEALED}],
                "usage": response()["usage"],
            }
        ),
        headers=JSON,
        host="api.openai.com",
    ),
    Case(
        "OpenAI: tokens of a request counted",
        "/v1/responses/input_tokens",
        {"model": "gpt-5", "input": "Hi"},
        {
            "operation": "count_tokens",
            "tokens_input": None,
            "response_metadata": {"input_tokens": 9},
            "prompt": HI,
        },
        js({"object": "response.input_tokens", "input_tokens": 9}),
        headers=JSON,
        host="api.openai.com",
    ),
    # Pictures below the first level.
    Case(
        "computer use: screenshots are named",
        "/v1/responses",
        {
            "model": "computer-use-preview",
            "input": [
                {
                    "type": "computer_call_output",
                    "call_id": "a",
                    "output": {
                        "type": "computer_screenshot",
                        "image_url": f"data:image/png;base64,{PNG}",
                    },
                }
            ],
        },
        {
            "prompt": [
                {
                    "role": "assistant",
                    "parts": [
                        {
                            "type": "server_tool_call",
                            "name": "computer_call_output",
                            "server_tool_call": {
                                "type": "computer_call_output",
                                "call_id": "a",
                                "output": {
                                    "type": "computer_screenshot",
                                    "image_url": "[image/png, 208 bytes]",
                                },
                            },
                        }
                    ],
                }
            ]
        },
        js(response()),
        headers=JSON,
        host="api.openai.com",
    ),
]
