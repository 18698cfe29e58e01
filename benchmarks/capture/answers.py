"""What is asked of each provider and what it answers, over a transport without a network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import httpx2

__all__ = ["ANSWERS", "CHUNKS", "PROMPT", "Answers", "ask_openai", "play"]

CHUNKS: Final = 200
"""Pieces of a streamed answer."""
PROMPT: Final = "Explain queues to me, please. " * 70
_ANSWER: Final = "A queue keeps what cannot be done yet. " * 26


def _openai(choice: dict[str, Any], kind: str, **more: Any) -> dict[str, Any]:
    head = {"id": "chatcmpl-1", "created": 1, "model": "gpt-4o-2024-08-06", "object": kind}
    return {**head, "choices": [{"index": 0, "finish_reason": None, **choice}], **more}


def _gemini(text: str, **more: Any) -> dict[str, Any]:
    content = {"role": "model", "parts": [{"text": text}]}
    return {
        "candidates": [{"index": 0, "content": content, **more}],
        "modelVersion": "gemini-3-pro",
    }


def _event(data: dict[str, Any]) -> bytes:
    name = f"event: {data['type']}\n" if "type" in data else ""
    return f"{name}data: {json.dumps(data)}\n\n".encode()


_CHUNK: Final = "chat.completion.chunk"
_OPENAI_USAGE: Final = {"prompt_tokens": 400, "completion_tokens": 200, "total_tokens": 600}
_GEMINI_USAGE: Final = {
    "promptTokenCount": 400,
    "candidatesTokenCount": 200,
    "totalTokenCount": 600,
}
_MESSAGE: Final[dict[str, Any]] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 400, "output_tokens": 1},
}
_WORD: Final = {"type": "text_delta", "text": "word "}

ANSWERS: Final[dict[str, tuple[dict[str, Any], list[bytes]]]] = {
    "openai": (
        _openai(
            {"message": {"role": "assistant", "content": _ANSWER}, "finish_reason": "stop"},
            "chat.completion",
            usage=_OPENAI_USAGE,
        ),
        [
            *[_event(_openai({"delta": {"content": "word "}}, _CHUNK))] * CHUNKS,
            _event(_openai({"delta": {}, "finish_reason": "stop"}, _CHUNK)),
            b"data: [DONE]\n\n",
        ],
    ),
    "anthropic": (
        {
            **_MESSAGE,
            "content": [{"type": "text", "text": _ANSWER}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 400, "output_tokens": 200},
        },
        [
            _event({"type": "message_start", "message": _MESSAGE}),
            _event(
                {
                    "type": "content_block_start",
                    "index": 0,
                    "content_block": {"type": "text", "text": ""},
                }
            ),
            *[_event({"type": "content_block_delta", "index": 0, "delta": _WORD})] * CHUNKS,
            _event({"type": "content_block_stop", "index": 0}),
            _event(
                {
                    "type": "message_delta",
                    "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                    "usage": {"output_tokens": 200},
                }
            ),
            _event({"type": "message_stop"}),
        ],
    ),
    "gemini": (
        _gemini(_ANSWER, finishReason="STOP") | {"usageMetadata": _GEMINI_USAGE},
        [
            *[_event(_gemini("word "))] * CHUNKS,
            _event(_gemini("", finishReason="STOP") | {"usageMetadata": _GEMINI_USAGE}),
        ],
    ),
}
"""By SDK: an answer in one piece, and one in `CHUNKS` pieces and a few."""


class _Body(httpx2.SyncByteStream):
    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces


class Answers(httpx2.BaseTransport):
    """
    Answers at once: as a stream if the request asks for one.

    Args:
        sdk: Whose provider this is, of `ANSWERS`.
    """

    def __init__(self, sdk: str) -> None:
        whole, self._stream = ANSWERS[sdk]
        self._whole = [json.dumps(whole).encode()]

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        if b'"stream":true' in request.content or b"alt=sse" in request.url.query:
            headers = {"content-type": "text/event-stream"}
            return httpx2.Response(200, headers=headers, stream=_Body(self._stream))
        headers = {"content-type": "application/json", "x-request-id": "req_1"}
        return httpx2.Response(200, headers=headers, stream=_Body(self._whole))


def ask_openai(*, stream: bool) -> httpx2.Request:
    """Return a request for a chat completion, as the openai package makes it."""
    asked = {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": PROMPT}],
        "temperature": 0.2,
        "stream": stream,
    }
    return httpx2.Request(
        "POST",
        "https://api.openai.com/v1/chat/completions",
        headers={
            "Accept": "application/json", "Accept-Encoding": "gzip, deflate",
            "Authorization": "Bearer k", "Connection": "keep-alive",
            "User-Agent": "OpenAI/Python 3.54.0", "X-Stainless-Arch": "x64",
            "X-Stainless-Async": "false", "X-Stainless-Lang": "python",
            "X-Stainless-OS": "Linux", "X-Stainless-Package-Version": "3.54.0",
            "X-Stainless-Runtime": "CPython", "X-Stainless-Runtime-Version": "3.11.7",
            "x-stainless-read-timeout": "600", "x-stainless-retry-count": "0",
            "Content-Type": "application/json",
        },
        content=json.dumps(asked, separators=(",", ":")),
    )  # fmt: skip


def play(transport: Any, request: httpx2.Request) -> None:
    """Send *request*, read its answer and close it."""
    response = transport.handle_request(request)
    for _ in response.stream:
        pass
    response.stream.close()
