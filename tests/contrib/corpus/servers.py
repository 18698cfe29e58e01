"""
Servers that speak a wire of somebody else's: which they are, what they add; Cohere's first chat; settings by name.

Shapes: "protocol.py" of vLLM and SGLang, the server's README of llama.cpp, LM Studio's and Ollama's docs on
OpenAI's API, LiteLLM's "Response Headers"; Cohere's API reference, "Chat (V1)", and the types of its SDK.
"""

from typing import Any

from . import HI, JSON, STREAM, USER, Case, answer, js, sse, text
from .openai_chat import PATH, ask

LINES = {"content-type": "application/stream+json"}
USED = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
HELLO = [answer(text("Hello"), finish="stop")]


def by(
    server: str | None,
    body: dict[str, Any] | None = None,
    choice: dict[str, Any] | None = None,
    *,
    host: str = "localhost",
    **more: Any,
) -> list[Case]:
    """An answer of a server, and its stream; its signs are in each chunk, as far as they are of a choice."""
    about = {"id": "1", "model": "llama", "created": 1, **(body or {})}
    whole = {"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
    pieces = [({"role": "assistant", "content": "Hel"}, None), ({"content": "lo"}, "stop")]
    chunks = [
        {**about, "choices": [{"index": 0, "delta": d, "finish_reason": f, **(choice or {})}]}
        for d, f in pieces
    ]
    expect = {"provider": server or "openai", "response": HELLO, "cost_usd": None, "warnings": ()}
    request = {**ask(), "model": "llama"}
    answered = {**about, "choices": [{"index": 0, **whole, **(choice or {})}], "usage": USED}
    name = f"answered by {server} at {host}"
    return [
        Case(name, PATH, request, {**expect, **more}, js(answered), headers=JSON, host=host),
        Case(
            f"{name}, streamed",
            PATH,
            {**request, "stream": True},
            {**expect, **more, "status": "success"},
            sse(*chunks, {**about, "choices": [], "usage": USED}, "[DONE]"),
            headers=STREAM,
            host=host,
        ),
    ]


GATEWAY = by(None, host="litellm.internal")[0]
GATEWAY.name = "a gateway tells what the call cost"
GATEWAY.headers = {**JSON, "x-litellm-response-cost": "0.00012", "x-litellm-model-id": "m1"}
GATEWAY.expect |= {"cost_usd": 0.00012, "cost_source": "provider"}
NO_PRICE = by(None, host="litellm.internal")[0]
NO_PRICE.name = "a gateway that knows no price"
NO_PRICE.headers = {**JSON, "x-litellm-response-cost": "0.0"}

BEHIND = by(None, {"provider": "DeepInfra"}, host="openrouter.ai")
for each in BEHIND:
    each.name += ", by somebody behind it"
    each.expect |= {"provider": "openrouter", "response_metadata": {"provider": "DeepInfra"}}

LLAMA = {"prompt": "Hi", "n_predict": 5, "cache_prompt": True}
LLAMA_ENDED = {
    "index": 0,
    "stop": True,
    "stop_type": "limit",
    "model": "llama.gguf",
    "tokens_predicted": 5,
    "tokens_evaluated": 9,
    "timings": {"prompt_n": 2, "cache_n": 7, "predicted_n": 5},
}
LLAMA_TOLD = {
    "provider": "llama_cpp",
    "operation": "text_completion",
    "prompt": "Hi",
    "request_params": {"max_tokens": 5, "cache_prompt": True},
    "model_version": "llama.gguf",
    "response": [answer(text("Hello"), finish="limit")],
    "tokens_input": 9,
    "tokens_cached": 7,
    "tokens_output": 5,
    "cost_usd": None,
    "status": "success",
    "warnings": (),
}


def llama(name: str, expect: Any, sent: bytes, request: Any = LLAMA, **more: Any) -> Case:
    more = {"headers": JSON, **more}
    return Case(f"llama.cpp's own completion{name}", "/completion", request, expect, sent, **more)


BILLED = {
    "billed_units": {"input_tokens": 4.0, "output_tokens": 6.0},
    "tokens": {"input_tokens": 70.0, "output_tokens": 6.0},
}
V1: Any = {"host": "api.cohere.com"}
V1_ASKED: dict[str, Any] = {
    "model": "command-r",
    "message": "Hi",
    "preamble": "Be kind",
    "chat_history": [
        {"role": "USER", "message": "Hello"},
        {"role": "CHATBOT", "message": "Hello you"},
    ],
    "p": 0.5,
    "k": 3,
    "max_tokens": 9,
}
V1_ANSWER: dict[str, Any] = {
    "response_id": "r1",
    "generation_id": "g1",
    "text": "Hello",
    "finish_reason": "COMPLETE",
    "citations": [{"start": 0, "end": 5, "text": "Hello", "document_ids": ["d1"]}],
    "meta": BILLED,
}
V1_TOLD: dict[str, Any] = {
    "provider": "cohere",
    "response": [answer(text("Hello"), finish="COMPLETE")],
    "finish_reason": "COMPLETE",
    "tokens_input": 4,
    "tokens_output": 6,
    "status": "success",
    "warnings": (),
}


def lines(*events: Any) -> bytes:
    return b"".join(js(event) + b"\n" for event in events)


V1_STREAM = (
    {"event_type": "stream-start", "generation_id": "g1", "is_finished": False},
    {"event_type": "text-generation", "text": "Hel", "is_finished": False},
    {"event_type": "text-generation", "text": "lo", "is_finished": False},
)
V1_END = {
    "event_type": "stream-end",
    "finish_reason": "COMPLETE",
    "response": {key: V1_ANSWER[key] for key in V1_ANSWER if key != "finish_reason"},
    "is_finished": True,
}
CALLED = {"name": "look", "parameters": {"q": "x"}}
LOOK = {"type": "tool_call", "name": "look", "arguments": {"q": "x"}}

CASES = [
    *BEHIND,
    *by("ollama", {"system_fingerprint": "fp_ollama"}),
    *by("vllm", {"kv_transfer_params": None}, {"stop_reason": None}, host="10.1.2.3"),
    *by("sglang", {}, {"matched_stop": 128009}, host="gpu.internal"),
    *by("llama_cpp", {"timings": {"prompt_n": 4, "predicted_n": 2}}),
    *by("lm_studio", {"stats": {"tokens_per_second": 51.4}}),
    *by(None, {"system_fingerprint": "fp_1"}),
    *by("groq", {"kv_transfer_params": None}, host="api.groq.com"),
    GATEWAY,
    NO_PRICE,
    Case(
        "cohere's first chat",
        "/v1/chat",
        V1_ASKED,
        {
            **V1_TOLD,
            "prompt": [
                {"role": "system", "parts": [text("Be kind")]},
                {"role": "user", "parts": [text("Hello")]},
                {"role": "assistant", "parts": [text("Hello you")]},
                *HI,
            ],
            "request_params": {"top_p": 0.5, "top_k": 3, "max_tokens": 9},
            "response_id": "r1",
            "response_metadata": {"citations": V1_ANSWER["citations"]},
        },
        js(V1_ANSWER),
        headers=JSON,
        **V1,
    ),
    Case(
        "cohere's first chat, streamed",
        "/v1/chat",
        {**V1_ASKED, "stream": True},
        {**V1_TOLD, "stream": True, "response_id": "r1"},
        lines(*V1_STREAM, V1_END),
        headers=LINES,
        **V1,
    ),
    Case(
        "cohere's first chat, as events",
        "/v1/chat",
        {**V1_ASKED, "stream": True},
        {**V1_TOLD, "stream": True},
        sse(*V1_STREAM, V1_END),
        headers=STREAM,
        **V1,
    ),
    Case(
        "cohere's first chat: a stream that ends in an error",
        "/v1/chat",
        {**V1_ASKED, "stream": True},
        {"status": "error", "finish_reason": "ERROR"},
        lines(*V1_STREAM, {**V1_END, "finish_reason": "ERROR"}),
        headers=LINES,
        **V1,
    ),
    Case(
        "cohere's first chat: a stream that just ends",
        "/v1/chat",
        {**V1_ASKED, "stream": True},
        {"status": "error", "tokens_output": None, "response": [answer(text("Hello"), finish="")]},
        lines(*V1_STREAM),
        headers=LINES,
        **V1,
    ),
    Case(
        "cohere's first chat: tools, and what they brought",
        "/v1/chat",
        {
            "message": "",
            "tool_results": [{"call": CALLED, "outputs": [{"a": 1}]}],
            "chat_history": [{"role": "CHATBOT", "message": "", "tool_calls": [CALLED]}],
        },
        {
            "prompt": [
                {"role": "assistant", "parts": [LOOK]},
                {
                    "role": "tool",
                    "parts": [
                        {
                            "type": "tool_call_response",
                            "response": {"call": CALLED, "outputs": [{"a": 1}]},
                        }
                    ],
                },
            ],
            "response": [answer(LOOK, finish="COMPLETE")],
        },
        js({"text": "", "tool_calls": [CALLED], "finish_reason": "COMPLETE"}),
        headers=JSON,
        **V1,
    ),
    Case(
        "Gemini's settings, by the conventions' names",
        "/v1beta/models/gemini-2.5-flash:generateContent",
        {
            "contents": [{"parts": [{"text": "Hi"}]}],
            "generationConfig": {
                "temperature": 0.1,
                "topP": 0.5,
                "top_k": 3,
                "maxOutputTokens": 9,
                "stopSequences": ["x"],
                "seed": 1,
                "candidateCount": 2,
                "frequencyPenalty": 0.1,
                "presencePenalty": 0.2,
                "responseMimeType": "application/json",
            },
            "toolConfig": {"mode": "AUTO"},
        },
        {
            "request_params": {
                "temperature": 0.1,
                "top_p": 0.5,
                "top_k": 3,
                "max_tokens": 9,
                "stop_sequences": ["x"],
                "seed": 1,
                "n": 2,
                "frequency_penalty": 0.1,
                "presence_penalty": 0.2,
                "responseMimeType": "application/json",
                "toolConfig": {"mode": "AUTO"},
            },
        },
        js({"candidates": []}),
        headers=JSON,
        host="generativelanguage.googleapis.com",
    ),
    Case(
        "Ollama's settings, by the conventions' names",
        "/api/chat",
        {
            "model": "llama3.2",
            "messages": USER,
            "stream": False,
            "options": {"num_predict": 5, "top_k": 2, "stop": ["x"], "num_ctx": 4096},
            "keep_alive": "5m",
        },
        {
            "request_params": {
                "max_tokens": 5,
                "top_k": 2,
                "stop": ["x"],
                "num_ctx": 4096,
                "keep_alive": "5m",
            },
        },
        js(
            {
                "model": "llama3.2",
                "created_at": "x",
                "message": {"role": "assistant", "content": "x"},
                "done": True,
            }
        ),
        headers=JSON,
        host="localhost",
    ),
    Case(
        "Mistral's settings, by the conventions' names",
        PATH,
        {**ask(), "random_seed": 7, "temperature": 0.3},
        {"request_params": {"seed": 7, "temperature": 0.3}, "provider": "mistral_ai"},
        js({"choices": []}),
        headers=JSON,
        host="api.mistral.ai",
    ),
    llama("", LLAMA_TOLD, js({**LLAMA_ENDED, "content": "Hello"}), host="localhost"),
    llama(
        ", streamed",
        {**LLAMA_TOLD, "stream": True},
        sse(
            {"index": 0, "content": "Hel", "stop": False},
            {"index": 0, "content": "lo", "stop": False},
            {**LLAMA_ENDED, "content": ""},
        ),
        {**LLAMA, "stream": True},
        headers=STREAM,
        host="localhost",
    ),
    llama(
        " of several prompts, by an older server",
        {
            "prompt": ["Hi", "Ho"],
            "response": [answer(text("A"), finish="eos"), answer(text("B"), finish="eos")],
            "tokens_input": 4,
            "tokens_output": 2,
        },
        js(
            [
                {
                    "content": said,
                    "stop": True,
                    "stopped_eos": True,
                    "tokens_evaluated": 2,
                    "tokens_predicted": 1,
                }
                for said in "AB"
            ]
        ),
        {**LLAMA, "prompt": ["Hi", "Ho"]},
        host="localhost",
    ),
    llama(
        " whose stream breaks off",
        {"status": "error", "response": [answer(text("Hel"), finish="")]},
        sse({"index": 0, "content": "Hel", "stop": False}),
        {**LLAMA, "stream": True},
        headers=STREAM,
        host="localhost",
    ),
]
