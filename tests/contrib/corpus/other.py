"""The smaller endpoints, errors, and everything that is broken."""

import gzip
import zlib
from typing import Any

from . import HI, JSON, STREAM, USER, Case, answer, js, sse, text
from .openai_chat import PATH, ask, chunk, said

HELLO = [answer(text("Hello"), finish="stop")]
ANTHROPIC = {"model": "claude", "max_tokens": 9, "messages": USER}
CHUNKS = [chunk({"content": "Hello"}), chunk({}, "stop"), "[DONE]"]


def failure(status: int, body: Any, error: dict[str, Any], path: str = PATH) -> Case:
    request = ask() if path == PATH else ANTHROPIC
    raw = body if isinstance(body, bytes) else js(body)
    return Case(
        f"{status} {error['type']} {path}",
        path,
        request,
        {"status": "error", "error": error, "http_status": status, "prompt": HI, "response": ""},
        raw,
        status,
        {"content-type": "application/json" if raw.startswith(b"{") else "text/html"},
    )


def openai_error(message: str, kind: str, code: str | None = None) -> Any:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def anthropic_error(message: str, kind: str) -> Any:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


def error(message: str, kind: str, code: str | None = None) -> dict[str, Any]:
    return {"message": message, "type": kind, "code": code}


LONG = "x" * 40_000

CASES = [
    Case(
        "legacy completions",
        "/v1/completions",
        {"model": "gpt-3.5-turbo-instruct", "prompt": "Hi", "max_tokens": 5},
        {
            "operation": "text_completion",
            "prompt": "Hi",
            "response": [answer(text("Hello"), finish="length")],
            "tokens_output": 5,
        },
        js(
            {
                "model": "gpt-3.5-turbo-instruct",
                "choices": [{"text": "Hello", "index": 0, "finish_reason": "length"}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 5, "total_tokens": 6},
            }
        ),
        headers=JSON,
    ),
    Case(
        "legacy completions, streamed, of token ids",
        "/v1/completions",
        {"model": "m", "prompt": [1, 2, 3], "stream": True},
        {"prompt": "[3 token ids]", "response": HELLO, "status": "success"},
        sse(
            {"choices": [{"text": "Hel", "index": 0, "finish_reason": None}]},
            {"choices": [{"text": "lo", "index": 0, "finish_reason": "stop"}]},
            "[DONE]",
        ),
        headers=STREAM,
    ),
    Case(
        "embeddings: figures, no vectors",
        "/v1/embeddings",
        {"model": "text-embedding-3-small", "input": ["a", [1, 2]], "encoding_format": "float"},
        {
            "operation": "embeddings",
            "prompt": ["a", "[2 token ids]"],
            "response": "",
            "response_metadata": {"vectors": 2, "dimensions": 3},
            "tokens_input": 4,
            "tokens_output": None,
        },
        js(
            {
                "data": [{"embedding": [0.1, 0.2, 0.3]}, {"embedding": [0.1, 0.2, 0.3]}],
                "model": "text-embedding-3-small",
                "usage": {"prompt_tokens": 4, "total_tokens": 4},
            }
        ),
        headers=JSON,
    ),
    Case(
        "pictures made: figures only",
        "/v1/images/generations",
        {"model": "gpt-image-1", "prompt": "a secret cat", "size": "1024x1024"},
        {
            "operation": "generate_content",
            "prompt": "",
            "request_params": {"size": "1024x1024"},
            "response_metadata": {"images": 1},
            "tokens_input": 10,
        },
        js(
            {
                "created": 1,
                "data": [{"b64_json": "AAAA"}],
                "usage": {"input_tokens": 10, "output_tokens": 90, "total_tokens": 100},
            }
        ),
        headers=JSON,
        host="api.openai.com",
    ),
    Case(
        "speech: a body that is no text",
        "/v1/audio/speech",
        {"model": "tts-1", "input": "a secret", "voice": "alloy"},
        {"prompt": "", "request_params": {"voice": "alloy"}, "status": "success", "warnings": ()},
        b"\xff\xfb\x90\x00" * 100,
        headers={"content-type": "audio/mpeg"},
        host="api.openai.com",
    ),
    failure(
        400,
        openai_error("Bad", "invalid_request_error", "unknown_parameter"),
        error("Bad", "invalid_request_error", "unknown_parameter"),
    ),
    failure(
        401,
        openai_error("No key", "invalid_request_error", "invalid_api_key"),
        error("No key", "invalid_request_error", "invalid_api_key"),
    ),
    failure(
        429,
        openai_error("Slow down", "requests", "rate_limit_exceeded"),
        error("Slow down", "requests", "rate_limit_exceeded"),
    ),
    failure(500, openai_error("Oh no", "server_error"), error("Oh no", "server_error")),
    failure(502, b"<h1>Bad gateway</h1>", error("<h1>Bad gateway</h1>", "502")),
    failure(503, b"", error("HTTP 503", "503")),
    failure(404, {"detail": "Not Found"}, error("Not Found", "404")),
    failure(
        400,
        {"object": "error", "message": "too long", "type": "BadRequestError", "code": 400},
        error("too long", "BadRequestError", "400"),
    ),
    failure(429, {"error": "busy"}, error("busy", "429")),
    failure(
        529,
        anthropic_error("Overloaded", "overloaded_error"),
        error("Overloaded", "overloaded_error"),
        "/v1/messages",
    ),
    failure(
        400,
        anthropic_error("max_tokens: required", "invalid_request_error"),
        error("max_tokens: required", "invalid_request_error"),
        "/v1/messages",
    ),
    Case(
        "an error in the middle of a chat stream",
        PATH,
        ask(stream=True),
        {
            "status": "error",
            "error": error("Oh no", "server_error"),
            "response": [answer(text("Hello"), finish="")],
        },
        sse(CHUNKS[0], openai_error("Oh no", "server_error")),
        headers=STREAM,
    ),
    Case(
        "gzip",
        PATH,
        ask(),
        {"response": HELLO, "warnings": ()},
        gzip.compress(said({"content": "Hello"})),
        headers={**JSON, "content-encoding": "gzip"},
    ),
    Case(
        "deflate without its wrapper",
        PATH,
        ask(),
        {"response": HELLO, "warnings": ()},
        zlib.compress(said({"content": "Hello"}))[2:-4],
        headers={**JSON, "content-encoding": "deflate"},
    ),
    Case(
        "a stream in gzip",
        PATH,
        ask(stream=True),
        {"response": HELLO, "warnings": (), "status": "success"},
        gzip.compress(sse(*CHUNKS)),
        headers={**STREAM, "content-encoding": "gzip"},
    ),
    Case(
        "an encoding nobody knows",
        PATH,
        ask(),
        {
            "response": "",
            "status": "success",
            "warnings": (
                "response: the body is encoded as 'rot13', which cannot be read here",
                "response: not JSON",
            ),
        },
        b"uryyb",
        headers={**JSON, "content-encoding": "rot13"},
    ),
    Case(
        "JSON cut short by the provider",
        PATH,
        ask(),
        {
            "status": "error",
            "error": error("the answer is no complete JSON", "invalid_response", None),
            "response": [answer(text("Hell"), finish="")],
            "warnings": ("response: the JSON is incomplete",),
        },
        said({"content": "Hello"}).partition(b'o"}')[0],
        headers=JSON,
    ),
    Case(
        "garbage",
        PATH,
        ask(),
        {
            "status": "error",
            "error": error("the answer is no complete JSON", "invalid_response"),
            "warnings": ("response: not JSON",),
            "response": "",
        },
        bytes(range(256)),
        headers=JSON,
    ),
    Case(
        "garbage called gzip",
        PATH,
        ask(),
        {"status": "success", "response": ""},
        bytes(range(256)),
        headers={**JSON, "content-encoding": "gzip"},
    ),
    Case(
        "garbage within a stream: the rest is read",
        PATH,
        ask(stream=True),
        {
            "response": HELLO,
            "status": "success",
            "warnings": ("response: an event is not JSON; left out",),
        },
        sse(CHUNKS[0]) + b"data: \xff\xfe{\n\n" + sse(*CHUNKS[1:]),
        headers=STREAM,
    ),
    Case(
        "a stream that just ends",
        PATH,
        ask(stream=True),
        {
            "status": "error",
            "error": error("the stream ended before the answer did", "incomplete_stream"),
            "response": [answer(text("Hello"), finish="")],
        },
        sse(CHUNKS[0]),
        headers=STREAM,
    ),
    Case(
        "a stream without its last mark, but with a finish reason, is whole",
        PATH,
        ask(stream=True),
        {"status": "success", "response": HELLO},
        sse(*CHUNKS[:2]).rstrip(),
        headers=STREAM,
    ),
    Case(
        "shapes no provider documents",
        PATH,
        {"model": ["gpt"], "messages": {"role": 5}, "stream": "yes"},
        {"status": "success", "model": "", "prompt": "", "tokens_input": None},
        js({"id": 5, "choices": "none", "usage": ["many"], "model": {}}),
        headers=JSON,
    ),
    Case(
        "a provider that lies about usage",
        PATH,
        ask(),
        {
            "tokens_input": 10,
            "tokens_output": None,
            "tokens_cached": None,
            "tokens_reasoning": None,
            "warnings": (
                "usage: output is not a count; left out",
                "usage: total is not a count; left out",
                "usage: cached is more than the whole; left out",
                "usage: reasoning is more than the whole; left out",
            ),
        },
        said(
            {"content": "Hello"},
            usage={
                "prompt_tokens": 10,
                "completion_tokens": -3,
                "total_tokens": -1,
                "prompt_tokens_details": {"cached_tokens": 10**9},
                "completion_tokens_details": {"reasoning_tokens": 7},
            },
        ),
        headers=JSON,
    ),
    Case(
        "an answer longer than what is kept: usage and reason are at its end",
        PATH,
        ask(),
        {
            "finish_reason": None,
            "tokens_input": 5,
            "tokens_output": 7,
            "response_id": "c-1",
            "status": "success",
        },
        said(
            {"content": LONG},
            usage={"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
        ),
        headers=JSON,
        limit=10_000,
    ),
    Case(
        "a stream longer than what is kept",
        PATH,
        ask(stream=True),
        {"tokens_input": 5, "finish_reason": "stop", "status": "success", "stream": True},
        sse(
            *[chunk({"content": "word "})] * 500,
            chunk({}, "stop"),
            chunk(usage={"prompt_tokens": 5, "completion_tokens": 7}),
            "[DONE]",
        ),
        headers=STREAM,
        limit=20_000,
    ),
    Case(
        "a request longer than what is kept: the model is at its end",
        PATH,
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is it?"},
                        {
                            "type": "image_url",
                            "image_url": {"url": f"data:image/png;base64,{LONG}"},
                        },
                    ],
                }
            ],
            "model": "gpt-4o",
            "temperature": 0,
        },
        {
            "model": "gpt-4o",
            "request_params": {"temperature": 0},
            "response": HELLO,
            "warnings": ("request: too long; the middle is missing",),
        },
        said({"content": "Hello"}),
        headers=JSON,
        limit=10_000,
    ),
    Case(
        "nothing may be kept",
        PATH,
        ask(),
        {"status": "success", "prompt": "", "response": "", "http_status": 200},
        said({"content": "Hello"}),
        headers=JSON,
        limit=0,
    ),
]
