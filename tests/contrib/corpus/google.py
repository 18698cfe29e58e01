"""Gemini, also by way of Vertex: Gemini API reference and the types of google-genai."""

from typing import Any

from . import HI, JSON, STREAM, Case, answer, js, reasoning, sse, text

HOST = "generativelanguage.googleapis.com"
MODEL = "/v1beta/models/gemini-3-pro"
VERTEX = "/v1/projects/p/locations/global/publishers/google/models/"
ASK = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
USAGE = {
    "promptTokenCount": 1000,
    "cachedContentTokenCount": 800,
    "toolUsePromptTokenCount": 50,
    "candidatesTokenCount": 20,
    "thoughtsTokenCount": 30,
    "totalTokenCount": 1100,
    "promptTokensDetails": [
        {"modality": "TEXT", "tokenCount": 742},
        {"modality": "IMAGE", "tokenCount": 258},
    ],
    "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 800}],
    "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 20}],
}
COUNTS = {
    "tokens_input": 1050,
    "tokens_cached": 800,
    "tokens_output": 50,
    "tokens_reasoning": 30,
    "usage": {
        "input_tool_tokens": 50,
        "input_text_tokens": 742,
        "input_image_tokens": 258,
        "cache_text_read_tokens": 800,
        "output_text_tokens": 20,
    },
}


def part(**more: Any) -> dict[str, Any]:
    return more


def body(*parts: Any, finish: str | None = "STOP", **more: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    candidate |= more.pop("candidate", {})
    return {
        "candidates": [candidate],
        "modelVersion": "gemini-3-pro-001",
        "responseId": "r1",
        **more,
    }


CHUNKS = [
    body(
        part(text="h", thought=True),
        finish=None,
        usageMetadata={
            "promptTokenCount": 1000,
            "candidatesTokenCount": 1,
            "totalTokenCount": 1001,
        },
    ),
    body(part(text="m", thought=True), finish=None),
    body(part(text="Hel"), finish=None),
    body(part(text='lo "[{\\'), finish=None),
    body(
        part(functionCall={"name": "f", "args": {"x": 1}}, thoughtSignature="c2lnbmVk"), finish=None
    ),
    body(part(functionCall={"name": "g", "args": {}}), finish=None),
    body(part(text="", thoughtSignature="c2lnbmVk"), usageMetadata=USAGE),
]
SAID = answer(
    reasoning("hm"),
    text('Hello "[{\\'),
    {"type": "tool_call", "name": "f", "arguments": {"x": 1}},
    {"type": "tool_call", "name": "g", "arguments": {}},
    finish="STOP",
)
ARRAY = b"[" + b"\n,\r\n".join(map(js, CHUNKS)) + b"]\n"
WRONG = {"error": {"code": 503, "message": "Overloaded", "status": "UNAVAILABLE"}}
ERROR = {"message": "Overloaded", "type": "UNAVAILABLE", "code": "503"}


def case(name: str, method: str, expect: Any, sent: bytes, request: Any = ASK, **more: Any) -> Case:
    more = {"headers": JSON, "host": HOST, **more}
    return Case(name, f"{more.pop('at', MODEL)}:{method}", request, expect, sent, **more)


STREAMED = {
    "response": [SAID],
    "finish_reason": "STOP",
    "stream": True,
    "status": "success",
    "warnings": (),
    **COUNTS,
}
STREAM_PATH = "streamGenerateContent"

CASES = [
    case(
        "thoughts, text, cached and tool tokens",
        "generateContent",
        {
            "operation": "chat",
            "provider": "gcp.gemini",
            "model": "gemini-3-pro",
            "model_version": "gemini-3-pro-001",
            "response_id": "r1",
            "prompt": [{"role": "system", "parts": [text("Be kind")]}, *HI],
            "request_params": {"temperature": 0.2, "cachedContent": "cachedContents/1"},
            "response": [answer(reasoning("hm"), text("Hello"), finish="STOP")],
            "stream": None,
            "warnings": (),
            **COUNTS,
        },
        js(
            body(
                part(text="hm", thought=True, thoughtSignature="c2lnbmVk"),
                part(text="Hello"),
                usageMetadata=USAGE,
            )
        ),
        {
            **ASK,
            "systemInstruction": {"parts": [{"text": "Be kind"}]},
            "generationConfig": {"temperature": 0.2},
            "cachedContent": "cachedContents/1",
        },
    ),
    case("streamed as events", STREAM_PATH, STREAMED, sse(*CHUNKS, end="\r\n"), headers=STREAM),
    case("streamed as an array", STREAM_PATH, STREAMED, ARRAY),
    case(
        "an array that ends in an error",
        STREAM_PATH,
        {"status": "error", "error": ERROR, "tokens_output": None, "tokens_input": 1000},
        b"[" + js(CHUNKS[0]) + b"\n,\r\n" + js(WRONG) + b"]",
    ),
    case(
        "events that end in an error",
        STREAM_PATH,
        {"status": "error", "error": ERROR, "response": [answer(reasoning("h"), finish="")]},
        sse(CHUNKS[0], WRONG),
        headers=STREAM,
    ),
    case(
        "an array left early",
        STREAM_PATH,
        {"status": "cancelled", "tokens_input": 1000, "tokens_output": None, "error": None},
        b"[" + b"\n,\r\n".join(map(js, CHUNKS[:3])) + b"\n,\r\n" + js(CHUNKS[3])[:40],
        closed=True,
    ),
    case(
        "an array that just ends",
        STREAM_PATH,
        {"status": "error", "finish_reason": None},
        b"[" + b"\n,\r\n".join(map(js, CHUNKS[:3])),
    ),
    case(
        "an array too long to keep",
        STREAM_PATH,
        {"status": "success", "finish_reason": "STOP", **COUNTS},
        b"["
        + b"\n,\r\n".join(
            map(js, [CHUNKS[0], *[body(part(text="x" * 90), finish=None)] * 300, CHUNKS[-1]])
        )
        + b"]",
        limit=16_000,
    ),
    case(
        "a call whose arguments come in pieces",
        STREAM_PATH,
        {
            "tool_calls": [{"id": "c1", "name": "f", "arguments": {"place": "Paris", "n": 3}}],
            "provider": "gcp.vertex_ai",
            "model": "gemini-3-pro",
        },
        sse(
            body(part(functionCall={"id": "c1", "name": "f", "willContinue": True}), finish=None),
            *(
                body(part(functionCall={"partialArgs": [piece], "willContinue": True}), finish=None)
                for piece in (
                    {"jsonPath": "$.place", "stringValue": "Pa", "willContinue": True},
                    {"jsonPath": "$.place", "stringValue": "ris"},
                    {"jsonPath": "$.n", "numberValue": 3},
                )
            ),
            body(part(functionCall={})),
        ),
        headers=STREAM,
        host="aiplatform.googleapis.com",
        at=f"{VERTEX}gemini-3-pro",
    ),
    case(
        "files, results of functions, code that ran",
        "generateContent",
        {
            "prompt": [
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
                        {
                            "type": "uri",
                            "modality": "document",
                            "uri": "gs://a/b",
                            "mime_type": "application/pdf",
                        },
                    ],
                },
                {
                    "role": "tool",
                    "parts": [
                        {
                            "type": "tool_call_response",
                            "id": "c1",
                            "name": "f",
                            "response": {"result": 4},
                        }
                    ],
                },
            ],
            "response": [
                answer(
                    {"type": "executable_code", "language": "PYTHON", "code": "print(1)"},
                    {"type": "code_execution_result", "outcome": "OUTCOME_OK", "output": "1"},
                    finish="STOP",
                )
            ],
        },
        js(
            body(
                part(executableCode={"language": "PYTHON", "code": "print(1)"}),
                part(codeExecutionResult={"outcome": "OUTCOME_OK", "output": "1"}),
            )
        ),
        {
            "contents": [
                {
                    "role": "user",
                    "parts": [
                        {"inline_data": {"mime_type": "image/png", "data": "iVBORw0KGgo="}},
                        {"fileData": {"mimeType": "application/pdf", "fileUri": "gs://a/b"}},
                    ],
                },
                {
                    "role": "user",
                    "parts": [
                        {"functionResponse": {"id": "c1", "name": "f", "response": {"result": 4}}}
                    ],
                },
            ]
        },
    ),
    case(
        "grounded: each query of Gemini 3 is a search",
        "generateContent",
        {
            "usage": {"web_searches": 2},
            "response_metadata": {"groundingMetadata": {"webSearchQueries": ["a", "b"]}},
        },
        js(
            body(
                part(text="Hello"),
                candidate={"groundingMetadata": {"webSearchQueries": ["a", "b"]}},
            )
        ),
    ),
    case(
        "a prompt that is blocked",
        "generateContent",
        {
            "status": "success",
            "finish_reason": "SAFETY",
            "tokens_input": 9,
            "tokens_output": 0,
            "response_metadata": {"promptFeedback": {"blockReason": "SAFETY"}},
            "warnings": (),
        },
        js(
            {
                "promptFeedback": {"blockReason": "SAFETY"},
                "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9},
            }
        ),
    ),
    case(
        "a total that is no sum",
        "generateContent",
        {"tokens_input": 9, "warnings": ("usage: the total is not the sum of its parts",)},
        js(body(part(text="a"), usageMetadata={"promptTokenCount": 9, "totalTokenCount": 5})),
    ),
    case(
        "refused",
        "generateContent",
        {"status": "error", "error": ERROR, "prompt": HI},
        js(WRONG),
        status=503,
    ),
    case(
        "refused, as an array",
        STREAM_PATH,
        {"status": "error", "error": ERROR, "stream": True},
        js([WRONG]),
        status=503,
    ),
    case(
        "counting tokens of Gemini spends none",
        "countTokens",
        {"operation": "count_tokens", "tokens_input": None, "prompt": HI},
        js({"totalTokens": 12}),
    ),
    case(
        "embedding of one content",
        "embedContent",
        {
            "operation": "embeddings",
            "model": "gemini-embedding-001",
            "prompt": "Hi",
            "request_params": {"taskType": "CLUSTERING"},
            "response_metadata": {"vectors": 1, "dimensions": 2},
        },
        js({"embedding": {"values": [0.1, 0.2]}}),
        {"content": {"parts": [{"text": "Hi"}]}, "taskType": "CLUSTERING"},
        at="/v1beta/models/gemini-embedding-001",
    ),
    case(
        "embeddings of several contents",
        "batchEmbedContents",
        {"prompt": ["a", "b"], "response_metadata": {"vectors": 2, "dimensions": 1}},
        js({"embeddings": [{"values": [0.1]}, {"values": [0.2]}]}),
        {"requests": [{"content": {"parts": [{"text": word}]}} for word in "ab"]},
    ),
    case(
        "Vertex's embeddings count their tokens",
        "predict",
        {
            "operation": "embeddings",
            "prompt": ["a", "b"],
            "tokens_input": 7,
            "model": "text-embedding-005",
            "provider": "gcp.vertex_ai",
        },
        js(
            {
                "predictions": [
                    {"embeddings": {"values": [0.1], "statistics": {"token_count": count}}}
                    for count in (3, 4)
                ]
            }
        ),
        {"instances": [{"content": word} for word in "ab"]},
        host="us-central1-aiplatform.googleapis.com",
        at=f"{VERTEX}text-embedding-005",
    ),
]
