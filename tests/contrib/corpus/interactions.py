"""Gemini's interactions: Gemini API reference, "Interactions", and the types of google-genai."""

from typing import Any

from . import JSON, STREAM, Case, answer, call, js, reasoning, sse, text
from .google import HOST

ASK = {"model": "gemini-3-pro", "input": "Hi", "system_instruction": "Be kind"}
ASKED = [
    {"role": "system", "parts": [{"type": "text", "content": "Be kind"}]},
    {"role": "user", "parts": [{"type": "text", "content": "Hi"}]},
]
USAGE = {
    "total_input_tokens": 1000,
    "total_cached_tokens": 800,
    "total_tool_use_tokens": 50,
    "total_output_tokens": 20,
    "total_thought_tokens": 30,
    "total_tokens": 1100,
    "input_tokens_by_modality": [{"modality": "text", "tokens": 1000}],
}
COUNTS = {
    "tokens_input": 1050,
    "tokens_cached": 800,
    "tokens_output": 50,
    "tokens_reasoning": 30,
    "usage": {"input_tool_tokens": 50, "input_text_tokens": 1000},
}
STEPS: list[dict[str, Any]] = [
    {"type": "thought", "summary": [{"type": "text", "text": "hm"}], "signature": "c2ln"},
    {"type": "model_output", "content": [{"type": "text", "text": "Hello"}]},
    {"type": "function_call", "id": "c1", "name": "f", "arguments": {"x": 1}},
]
SAID = answer(reasoning("hm"), text("Hello"), call("c1", "f", x=1), finish="requires_action")
HEAD = {"id": "i1", "model": "gemini-3-pro-001", "status": "requires_action"}
TOLD = {
    "provider": "gcp.gemini",
    "operation": "chat",
    "model": "gemini-3-pro",
    "prompt": ASKED,
    "response": [SAID],
    "finish_reason": "requires_action",
    "response_id": "i1",
    "model_version": "gemini-3-pro-001",
    "status": "success",
    "warnings": (),
    **COUNTS,
}
STARTED = {
    "event_type": "interaction.created",
    "interaction": {"id": "i1", "status": "in_progress"},
}
EVENTS: list[dict[str, Any]] = [
    STARTED,
    {"event_type": "step.start", "index": 0, "step": {"type": "thought"}},
    *(
        {
            "event_type": "step.delta",
            "index": 0,
            "delta": {"type": "thought_summary", "content": {"type": "text", "text": piece}},
        }
        for piece in "hm"
    ),
    {
        "event_type": "step.delta",
        "index": 0,
        "delta": {"type": "thought_signature", "signature": "c2ln"},
    },
    {"event_type": "step.stop", "index": 0},
    {"event_type": "step.start", "index": 1, "step": {"type": "model_output"}},
    *(
        {"event_type": "step.delta", "index": 1, "delta": {"type": "text", "text": piece}}
        for piece in ("Hel", "lo")
    ),
    {
        "event_type": "step.start",
        "index": 2,
        "step": {"type": "function_call", "id": "c1", "name": "f", "arguments": {}},
    },
    *(
        {
            "event_type": "step.delta",
            "index": 2,
            "delta": {"type": "arguments_delta", "arguments": piece},
        }
        for piece in ('{"x"', ": 1}")
    ),
    {"event_type": "step.stop", "index": 2},
]
ENDED = {"event_type": "interaction.completed", "interaction": {**HEAD, "usage": USAGE}}


def case(name: str, expect: Any, sent: bytes, request: Any = ASK, **more: Any) -> Case:
    more = {"headers": JSON, "host": HOST, **more}
    return Case(name, "/v1beta/interactions", request, expect, sent, **more)


CASES = [
    case("an interaction of three steps", TOLD, js({**HEAD, "steps": STEPS, "usage": USAGE})),
    case(
        "an interaction in camel case",
        COUNTS,
        js(
            {
                **HEAD,
                "steps": STEPS,
                "usage": {
                    "totalInputTokens": 1000,
                    "totalCachedTokens": 800,
                    "totalToolUseTokens": 50,
                    "totalOutputTokens": 20,
                    "totalThoughtTokens": 30,
                    "totalTokens": 1100,
                    "inputTokensByModality": [{"modality": "TEXT", "tokens": 1000}],
                },
            }
        ),
    ),
    case(
        "an interaction streamed",
        {**TOLD, "stream": True},
        sse(*EVENTS, ENDED, "[DONE]"),
        {**ASK, "stream": True},
        headers=STREAM,
    ),
    case(
        "an interaction whose stream ends in an error",
        {
            "status": "error",
            "error": {"message": "Overloaded", "type": None, "code": "unavailable"},
            "response": [
                answer(reasoning("hm"), text("Hello"), call("c1", "f", x=1), finish="in_progress")
            ],
        },
        sse(
            *EVENTS,
            {"event_type": "error", "error": {"code": "unavailable", "message": "Overloaded"}},
        ),
        {**ASK, "stream": True},
        headers=STREAM,
    ),
    case(
        "an interaction whose stream breaks off",
        {"status": "error", "tokens_output": None},
        sse(*EVENTS),
        {**ASK, "stream": True},
        headers=STREAM,
    ),
    case(
        "an interaction that failed",
        {"status": "error", "error": {"message": "no", "type": None, "code": "quota"}},
        js({"id": "i1", "status": "failed", "errors": [{"code": "quota", "message": "no"}]}),
    ),
    case(
        "steps, contents and pictures as the input of an interaction",
        {
            "prompt": [
                {
                    "role": "user",
                    "parts": [
                        {"type": "text", "content": "What?"},
                        {
                            "type": "blob",
                            "modality": "image",
                            "content": "",
                            "mime_type": "image/png",
                            "size": 3,
                        },
                    ],
                },
                {"role": "assistant", "parts": [call("c1", "f", x=1)]},
                {
                    "role": "tool",
                    "parts": [
                        {"type": "tool_call_response", "id": "c1", "name": "f", "response": "rain"}
                    ],
                },
            ]
        },
        js({**HEAD, "steps": STEPS}),
        {
            "agent": "deep-research",
            "input": [
                {
                    "type": "user_input",
                    "content": [
                        {"type": "text", "text": "What?"},
                        {"type": "image", "mime_type": "image/png", "data": "AAAA"},
                    ],
                },
                {"type": "function_call", "id": "c1", "name": "f", "arguments": {"x": 1}},
                {"type": "function_result", "call_id": "c1", "name": "f", "result": "rain"},
            ],
        },
    ),
    case(
        "a search by the model within an interaction",
        {
            "response": [
                answer(
                    {
                        "type": "server_tool_call",
                        "name": "google_search",
                        "server_tool_call": {
                            "type": "google_search_call",
                            "id": "s1",
                            "arguments": {"queries": ["tea"]},
                        },
                    },
                    text("Tea."),
                    finish="completed",
                )
            ],
            "tool_calls": None,
        },
        js(
            {
                "id": "i1",
                "status": "completed",
                "steps": [
                    {
                        "type": "google_search_call",
                        "id": "s1",
                        "arguments": {"queries": ["tea"]},
                        "signature": "c2ln",
                    },
                    {"type": "model_output", "content": [{"type": "text", "text": "Tea."}]},
                ],
            }
        ),
    ),
]
