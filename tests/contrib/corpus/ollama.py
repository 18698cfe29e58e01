"""Ollama's own wire: Ollama API reference."""

from typing import Any

from . import HI, JSON, USER, Case, answer, js, reasoning, text

NDJSON = {"content-type": "application/x-ndjson"}
END = {
    "done": True,
    "done_reason": "stop",
    "total_duration": 5_000_000_000,
    "load_duration": 1_000,
    "prompt_eval_count": 11,
    "prompt_eval_duration": 2_000,
    "eval_count": 7,
    "eval_duration": 3_000,
}
FIGURES = {
    "total_duration": 5_000_000_000,
    "load_duration": 1_000,
    "prompt_eval_duration": 2_000,
    "eval_duration": 3_000,
}
ASK = {"model": "qwen3", "messages": USER, "think": True}
CALLS = [{"function": {"name": name, "arguments": {"x": 1}}} for name in "fg"]


def line(done: Any = None, **said: Any) -> dict[str, Any]:
    return {"model": "qwen3", "created_at": "2026", **said, **(done or {"done": False})}


def says(done: Any = None, **message: Any) -> dict[str, Any]:
    return line(done, message={"role": "assistant", "content": "", **message})


def lines(*items: Any) -> bytes:
    return b"".join(js(item) + b"\n" for item in items)


CHUNKS = [
    says(thinking="h"),
    says(thinking="m"),
    says(content="Hel"),
    says(content="lo"),
    says(tool_calls=CALLS[:1]),
    says(tool_calls=CALLS[1:]),
    says(END),
]
TOOLS = [{"type": "tool_call", "name": name, "arguments": {"x": 1}} for name in "fg"]
SAID = {
    "response": [answer(reasoning("hm"), text("Hello"), *TOOLS, finish="stop")],
    "tool_calls": [{"name": name, "arguments": {"x": 1}} for name in "fg"],
    "finish_reason": "stop",
    "tokens_input": 11,
    "tokens_output": 7,
    "response_metadata": FIGURES,
    "status": "success",
    "warnings": (),
}
CHAT = "/api/chat"
CASES = [
    Case(
        "Ollama's chat in lines",
        CHAT,
        ASK,
        {
            **SAID,
            "stream": True,
            "provider": "ollama",
            "model": "qwen3",
            "prompt": HI,
            "request_params": {"think": True},
            "cost_usd": None,
        },
        lines(*CHUNKS),
        headers=NDJSON,
        host="localhost",
    ),
    Case(
        "Ollama's chat at once",
        CHAT,
        {**ASK, "stream": False},
        {**SAID, "stream": None},
        js(says(END, thinking="hm", content="Hello", tool_calls=CALLS)),
        headers=JSON,
    ),
    Case(
        "Ollama: pictures and results of tools",
        CHAT,
        {
            "model": "qwen3",
            "messages": [
                {"role": "user", "content": "Hi", "images": ["iVBORw0KGgo="]},
                {"role": "tool", "content": "4", "tool_name": "f"},
            ],
        },
        {
            "prompt": [
                {
                    "role": "user",
                    "parts": [
                        text("Hi"),
                        {"type": "blob", "modality": "image", "content": "", "size": 8},
                    ],
                },
                {
                    "role": "tool",
                    "parts": [{"type": "tool_call_response", "response": "4"}],
                    "name": "f",
                },
            ]
        },
        lines(*CHUNKS),
        headers=NDJSON,
    ),
    Case(
        "Ollama: an error in the stream",
        CHAT,
        ASK,
        {
            "status": "error",
            "error": {"message": "model runner stopped", "type": None, "code": None},
            "response": [answer(reasoning("h"), finish="")],
        },
        lines(CHUNKS[0], {"error": "model runner stopped"}),
        headers=NDJSON,
    ),
    Case(
        "Ollama: left early",
        CHAT,
        ASK,
        {"status": "cancelled", "tokens_output": None, "error": None, "warnings": ()},
        lines(*CHUNKS[:3]) + js(CHUNKS[3])[:30],
        headers=NDJSON,
        closed=True,
    ),
    Case(
        "Ollama: a stream that just ends",
        CHAT,
        ASK,
        {"status": "error"},
        lines(*CHUNKS[:3]),
        headers=NDJSON,
    ),
    Case(
        "Ollama: too long to keep",
        CHAT,
        ASK,
        {"status": "success", "tokens_input": 11, "tokens_output": 7, "finish_reason": "stop"},
        lines(*[says(content="x" * 90)] * 300, says(END)),
        headers=NDJSON,
        limit=16_000,
    ),
    Case(
        "Ollama: no such model",
        CHAT,
        ASK,
        {
            "status": "error",
            "error": {"message": "model 'qwen3' not found", "type": "404", "code": None},
        },
        js({"error": "model 'qwen3' not found"}),
        404,
        JSON,
    ),
    Case(
        "Ollama's generate in lines",
        "/api/generate",
        {"model": "qwen3", "prompt": "Hi", "system": "Be kind"},
        {
            "operation": "text_completion",
            "prompt": [{"role": "system", "parts": [text("Be kind")]}, *HI],
            "response": [answer(reasoning("hm"), text("Hello"), finish="stop")],
            "stream": True,
            "tokens_input": 11,
            "tokens_output": 7,
            "response_metadata": FIGURES,
        },
        lines(
            line(response="", thinking="hm"),
            line(response="Hel"),
            line(response="lo"),
            line(END, response="", context=[1, 2, 3]),
        ),
        headers=NDJSON,
    ),
    Case(
        "Ollama's embeddings tell how long they took",
        "/api/embed",
        {"model": "all-minilm", "input": "Hi"},
        {
            "tokens_input": 8,
            "response_metadata": {"vectors": 1, "dimensions": 2, "total_duration": 9},
        },
        js(
            {
                "model": "all-minilm",
                "embeddings": [[0.1, 0.2]],
                "prompt_eval_count": 8,
                "total_duration": 9,
            }
        ),
        headers=JSON,
    ),
]
