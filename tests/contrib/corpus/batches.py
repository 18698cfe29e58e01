"""
Results of batches, as providers hand them out, and the events they must give.

Shapes: OpenAI's API reference, "Batch"; Anthropic's, "Message Batches"; Gemini's "Batch API" and the types
of google-genai; Mistral's "Batch"; texts are made up.
"""

from dataclasses import dataclass, field
from typing import Any

from . import answer, js, text

CREATED = 1_793_500_000


@dataclass
class Batch:
    """A body of results; of each event, in order, the fields it must have."""

    name: str
    path: str
    body: bytes
    expect: list[dict[str, Any]]
    host: str = "api.openai.com"
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/jsonl"})
    limit: int = 1_000_000


def lines(*items: Any) -> bytes:
    return b"".join((item if isinstance(item, bytes) else js(item)) + b"\n" for item in items)


def line(custom_id: str, body: Any, status: int = 200, error: Any = None) -> dict[str, Any]:
    """One line of OpenAI's."""
    response = {"status_code": status, "request_id": f"req_{custom_id}", "body": body}
    return {
        "id": f"batch_req_{custom_id}",
        "custom_id": custom_id,
        "response": None if error else response,
        "error": error,
    }


def chat(words: str, **more: Any) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{words[:9]}",
        "object": "chat.completion",
        "created": CREATED,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": words},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
        **more,
    }


def message(words: str, **usage: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": [{"type": "text", "text": words}],
        "stop_reason": "end_turn",
        "usage": {
            "input_tokens": 1000,
            "output_tokens": 100,
            "service_tier": "batch",
            **usage,
        },
    }


def gemini(words: str) -> dict[str, Any]:
    return {
        "candidates": [
            {
                "content": {"role": "model", "parts": [{"text": words}]},
                "finishReason": "STOP",
                "index": 0,
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 1000,
            "candidatesTokenCount": 100,
            "totalTokenCount": 1100,
        },
        "modelVersion": "gemini-2.5-flash",
        "responseId": f"r-{words}",
    }


def operation(responses: list[Any], name: str = "inlinedResponses", **metadata: Any) -> bytes:
    """A polled operation of Gemini's: it tells the output twice."""
    output = {name: {"inlinedResponses": responses}}
    kept = {"@type": "type.googleapis.com/x", "state": "BATCH_STATE_SUCCEEDED", **metadata}
    found = {"name": "batches/b1", "metadata": {**kept, "output": output}, "done": True}
    return js({**found, "response": {"@type": "type.googleapis.com/y", **output}})


HELLO = [answer(text("Hello"), finish="stop")]
BATCHED = {"service_tier": "batch", "prompt": "", "stream": None, "latency_ms": None}
USED = {"tokens_input": 1000, "tokens_output": 100}
FILE = "/v1/files/file-1/content"
GOOGLE = "generativelanguage.googleapis.com"
JSON = {"content-type": "application/json; charset=UTF-8"}

BATCHES = [
    Batch(
        "OpenAI's chats, one of which failed, one of which was not asked",
        FILE,
        lines(
            line("a", chat("Hello")),
            line("b", {"error": {"message": "no", "type": "invalid_request_error"}}, status=400),
            line("c", None, error={"code": "batch_expired", "message": "too late"}),
        ),
        [
            {
                **BATCHED,
                **USED,
                "operation": "chat",
                "provider": "openai",
                "model": "gpt-4o-mini-2024-07-18",
                "response": HELLO,
                "status": "success",
                "http_status": 200,
                "request_id": "req_a",
                "response_metadata": {"custom_id": "a"},
                "warnings": (),
            },
            {
                "status": "error",
                "http_status": 400,
                "error": ("no", "invalid_request_error"),
                "response_metadata": {"custom_id": "b"},
            },
            {"status": "error", "error": ("too late", None), "tokens_input": None},
        ],
    ),
    Batch(
        "OpenAI's responses, embeddings, completions, moderations; the last without a line end",
        "/openai/files/file-2/content",
        lines(
            line(
                "r",
                {
                    "id": "resp_1",
                    "object": "response",
                    "created_at": CREATED,
                    "model": "gpt-4o-mini",
                    "status": "completed",
                    "output": [
                        {
                            "type": "message",
                            "role": "assistant",
                            "content": [{"type": "output_text", "text": "Hello"}],
                        }
                    ],
                    "usage": {"input_tokens": 10, "output_tokens": 2, "total_tokens": 12},
                },
            ),
            line(
                "e",
                {
                    "object": "list",
                    "data": [{"object": "embedding", "embedding": [0.1, 0.2]}],
                    "model": "text-embedding-3-small",
                    "usage": {"prompt_tokens": 4, "total_tokens": 4},
                },
            ),
            line(
                "t",
                {
                    "object": "text_completion",
                    "model": "gpt-3.5-turbo-instruct",
                    "choices": [{"text": "Hello", "index": 0, "finish_reason": "stop"}],
                },
            ),
            line("m", {"id": "modr-1", "model": "omni-moderation-latest", "results": []}),
        )[:-1],
        [
            {"operation": "chat", "response_id": "resp_1", "tokens_output": 2},
            {
                "operation": "embeddings",
                "response_metadata": {"vectors": 1, "dimensions": 2, "custom_id": "e"},
                "tokens_input": 4,
            },
            {"operation": "text_completion", "response": HELLO},
            {"operation": "moderation", "provider": "azure.ai.openai"},
        ],
        host="mine.openai.azure.com",
    ),
    Batch(
        "a line that is no JSON, an empty one, one too long to keep",
        FILE,
        lines(
            line("a", chat("Hello")),
            b'{"custom_id": "b", "resp',
            b"",
            line("c", chat("x" * 50_000)),
            b"no JSON at all",
            line("d", chat("Hello")),
        ),
        [
            {"status": "success", **USED},
            {"status": "error", "error": ("the answer is no complete JSON", "invalid_response")},
            {
                "status": "success",
                "warnings": ("response: 20000 of 50419 bytes kept; the middle is missing",),
            },
            {"status": "error", "response_metadata": {"custom_id": None}},
            {"status": "success", **USED},
        ],
        limit=20_000,
    ),
    Batch(
        "Anthropic's: succeeded, errored, canceled, expired",
        "/v1/messages/batches/msgbatch_1/results",
        lines(
            {"custom_id": "a", "result": {"type": "succeeded", "message": message("Hello")}},
            {
                "custom_id": "b",
                "result": {
                    "type": "errored",
                    "error": {
                        "type": "error",
                        "error": {"type": "invalid_request_error", "message": "no"},
                        "request_id": "req_b",
                    },
                },
            },
            {"custom_id": "c", "result": {"type": "canceled"}},
            {"custom_id": "d", "result": {"type": "expired"}},
        ),
        [
            {
                **BATCHED,
                **USED,
                "operation": "chat",
                "provider": "anthropic",
                "model": "claude-sonnet-4-5-20250929",
                "response": [answer(text("Hello"), finish="end_turn")],
                "response_id": "msg_1",
                "status": "success",
                "response_metadata": {"custom_id": "a"},
            },
            {
                "status": "error",
                "error": ("no", "invalid_request_error"),
                "request_id": "req_b",
            },
            {"status": "cancelled", "error": None, "response": ""},
            {"status": "error", "error": ("not processed before the batch expired", "expired")},
        ],
        host="api.anthropic.com",
        headers={"content-type": "application/x-jsonl"},
    ),
    Batch(
        "Gemini's, within the operation",
        "/v1beta/batches/b1",
        operation(
            [
                {"response": gemini(']}\\"{['), "metadata": {"key": "a"}},
                {"error": {"code": 13, "message": "no"}, "metadata": {"key": "b"}},
                {"response": gemini("without a name")},
            ],
            model="models/gemini-2.5-flash",
            displayName='"inlinedResponses": [',
        ),
        [
            {
                **BATCHED,
                **USED,
                "provider": "gcp.gemini",
                "model": "gemini-2.5-flash",
                "response": [answer(text(']}\\"{['), finish="STOP")],
                "response_metadata": {"custom_id": "a"},
                "status": "success",
            },
            {"status": "error", "error": ("no", None), "model": "gemini-2.5-flash"},
            {"response_metadata": {"custom_id": None}, "status": "success"},
        ],
        host=GOOGLE,
        headers=JSON,
    ),
    Batch(
        "Gemini's embeddings, within the operation",
        "/v1beta/batches/b2",
        operation(
            [
                {"response": {"embedding": {"values": [0.1, 0.2, 0.3]}, "tokenCount": "7"}},
                {"response": {"embedding": {"values": [0.1, 0.2, 0.3]}, "tokenCount": "8"}},
            ],
            "inlinedEmbedContentResponses",
            model="models/gemini-embedding-001",
        ),
        [
            {
                "operation": "embeddings",
                "model": "gemini-embedding-001",
                "tokens_input": tokens,
                "response_metadata": {"vectors": 1, "dimensions": 3, "custom_id": None},
            }
            for tokens in (7, 8)
        ],
        host=GOOGLE,
        headers=JSON,
    ),
    Batch(
        "Gemini's, as a file",
        "/download/v1beta/files/batch-b1:download?alt=media",
        lines(
            {"key": "a", "response": gemini("Hello")},
            {"key": "b", "error": {"code": 3, "message": "no"}},
        ),
        [
            {**USED, "response": [answer(text("Hello"), finish="STOP")], "status": "success"},
            {"status": "error", "error": ("no", None)},
        ],
        host=GOOGLE,
        headers={"content-type": "application/octet-stream"},
    ),
    Batch(
        "Gemini's, still under way",
        "/v1beta/batches/b3",
        js({"name": "batches/b3", "metadata": {"state": "BATCH_STATE_RUNNING"}}),
        [],
        host=GOOGLE,
        headers=JSON,
    ),
    Batch(
        "Mistral's, within the job",
        "/v1/batch/jobs/j1?inline=true",
        js({"id": "j1", "status": "SUCCESS", "outputs": [line("a", chat("Hello"))], "errors": []}),
        [{**USED, "provider": "mistral_ai", "response": HELLO, "service_tier": "batch"}],
        host="api.mistral.ai",
        headers=JSON,
    ),
    Batch(
        "the requests of a batch, read back",
        FILE,
        lines({"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {}}),
        [],
    ),
    Batch("lines of somebody's own", FILE, lines({"id": 1, "response": "yes"}), []),
    Batch("a picture", FILE, b"\x89PNG\r\n" + bytes(range(256)) * 40, []),
    Batch("a text", FILE, b'{"custom_id": "a", "response": "x"}\n', []),
    Batch("nothing", FILE, b"", []),
    Batch("nested too deeply", FILE, b'{"custom_id":' + b"[" * 100_000 + b"\n", []),
]
