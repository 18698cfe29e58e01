"""
Answers longer than what is kept of them: the figures survive, whatever the size of what holds them.

OpenAI API reference, "Responses: streaming events": the last event repeats the whole answer, usage
stands behind its output; "Image streaming": each picture is one event, usage is in the last one.
"""

from typing import Any

from . import JSON, STREAM, Case, js, sse
from .anthropic import ASK, EVENTS, HOST, delta, frame
from .openai_chat import PATH as CHAT
from .openai_chat import ask, chunk
from .openai_responses import EXPECT, body

LIMIT = 40_000
"""Bytes kept; 5,000 of them of the end."""
PIECE = "word " * 20
FIGURES = (
    "tokens_input", "tokens_output", "tokens_cached", "tokens_reasoning", "tokens_cache_write",
    "response_id", "finish_reason", "status", "service_tier",
)  # fmt: skip


def deltas(count: int) -> list[Any]:
    kind = "response.output_text.delta"
    return [(kind, {"type": kind, "output_index": 0, "delta": PIECE})] * count


def said(words: int) -> list[Any]:
    part = {"type": "output_text", "text": "word " * words, "annotations": []}
    return [{"type": "message", "role": "assistant", "content": [part]}]


def responses(name: str, events: list[Any], expect: Any, **more: Any) -> Case:
    ask = {"model": "gpt-5", "input": "Hi", "stream": True}
    more = {"headers": STREAM, "host": "api.openai.com", "limit": LIMIT, **more}
    return Case(name, "/v1/responses", ask, expect, sse(*events), **more)


def created(**more: Any) -> Any:
    kind = "response.created"
    return kind, {
        "type": kind,
        "response": body(output=[], usage=None, status="in_progress", **more),
    }


def last(kind: str, **more: Any) -> Any:
    return kind, {"type": kind, "response": body(**more), "sequence_number": 999}


KNOWN = {name: EXPECT[name] for name in FIGURES if name in EXPECT}
PICTURE = "iVBORw0KGgo" + "A" * 100_000
IMAGE_USAGE = {
    "input_tokens": 50,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 50},
    "output_tokens": 4160,
    "total_tokens": 4210,
}
IMAGE_COUNTS = {"tokens_input": 50, "tokens_output": 4160, "status": "success"}


def picture(kind: str, **more: Any) -> Any:
    return kind, {"type": kind, "b64_json": PICTURE, "created_at": 1, "size": "1024x1024", **more}


def images(name: str, events: list[Any], path: str = "/v1/images/generations") -> Case:
    ask = {"model": "gpt-image-1", "prompt": "a cat", "stream": True, "partial_images": 2}
    return Case(
        name,
        path,
        ask,
        IMAGE_COUNTS,
        sse(*events),
        headers=STREAM,
        host="api.openai.com",
        limit=LIMIT,
    )


LONG_TEXT = delta(1, type="text_delta", text=PIECE)

CASES = [
    responses(
        "the last event fits into the end that is kept",
        [created(), *deltas(400), last("response.completed", output=said(100))],
        KNOWN,
    ),
    responses(
        "the last event is longer than the end that is kept",
        [created(), *deltas(400), last("response.completed", output=said(8000))],
        KNOWN,
    ),
    responses(
        "the last event is longer than all that is kept",
        [created(), *deltas(4), last("response.completed", output=said(40_000))],
        KNOWN,
    ),
    responses(
        "the last event begins in what is kept and ends beyond",
        [created(), *deltas(200), last("response.completed", output=said(4000))],
        KNOWN,
    ),
    responses(
        "usage stands before a long output",
        [
            created(),
            *deltas(400),
            (
                "response.completed",
                {
                    "type": "response.completed",
                    "response": {
                        "id": "resp_1",
                        "status": "completed",
                        "service_tier": "flex",
                        "usage": body()["usage"],
                        "output": said(8000),
                    },
                },
            ),
        ],
        KNOWN,
    ),
    responses(
        "long and incomplete",
        [
            created(),
            *deltas(400),
            last(
                "response.incomplete",
                output=said(8000),
                status="incomplete",
                incomplete_details={"reason": "max_output_tokens"},
            ),
        ],
        {**KNOWN, "finish_reason": "max_output_tokens"},
    ),
    responses(
        "long, and failed at the end",
        [
            created(),
            *deltas(400),
            (
                "response.failed",
                {
                    "type": "response.failed",
                    "response": {
                        "id": "resp_1",
                        "status": "failed",
                        "error": {"code": "server_error", "message": "Oh no"},
                        "instructions": "word " * 3000,
                        "usage": None,
                    },
                },
            ),
        ],
        {
            "status": "error",
            "error": {"code": "server_error", "message": "Oh no", "type": None},
            "tokens_input": None,
        },
    ),
    responses(
        "long, and closed before its end",
        [created(), *deltas(400)],
        {"status": "cancelled", "tokens_input": None, "response_id": "resp_1"},
        closed=True,
    ),
    images(
        "pictures streamed: usage is at the end of the last one",
        [
            picture("image_generation.partial_image", partial_image_index=0),
            picture("image_generation.partial_image", partial_image_index=1),
            picture("image_generation.completed", usage=IMAGE_USAGE),
        ],
    ),
    images(
        "pictures streamed: usage stands before the picture",
        [
            picture("image_generation.partial_image", partial_image_index=0),
            (
                "image_generation.completed",
                {"type": "image_generation.completed", "usage": IMAGE_USAGE, "b64_json": PICTURE},
            ),
        ],
    ),
    images(
        "pictures edited and streamed",
        [picture("image_edit.completed", usage=IMAGE_USAGE)],
        "/v1/images/edits",
    ),
    Case(
        "a picture that is not streamed",
        "/v1/images/generations",
        {"model": "gpt-image-1", "prompt": "a cat"},
        IMAGE_COUNTS,
        js({"created": 1, "data": [{"b64_json": PICTURE}], "size": "auto", "usage": IMAGE_USAGE}),
        headers=JSON,
        host="api.openai.com",
        limit=LIMIT,
    ),
    Case(
        "usage in the middle of a long answer",
        CHAT,
        ask(),
        {"tokens_input": 5, "tokens_output": 7, "status": "success"},
        js(
            {
                "choices": [{"message": {"role": "assistant", "content": "x" * 50_000}}],
                "usage": {"prompt_tokens": 5, "completion_tokens": 7},
                "prompt_logprobs": [{"a": -1.5, "b": -2.5}] * 5_000,
            }
        ),
        headers=JSON,
        limit=LIMIT,
    ),
    Case(
        "a long stream without its last mark",
        CHAT,
        ask(stream=True),
        {"tokens_input": 5, "finish_reason": "stop", "status": "success"},
        sse(
            *[chunk({"content": PIECE}, usage=None)] * 500,
            chunk({}, "stop", usage=None),
            chunk(usage={"prompt_tokens": 5, "completion_tokens": 7}),
        ).rstrip(),
        headers=STREAM,
        limit=LIMIT,
    ),
    Case(
        "Anthropic: a long stream",
        "/v1/messages",
        {**ASK, "stream": True},
        {
            "tokens_input": 1110,
            "tokens_output": 50,
            "status": "success",
            "finish_reason": "tool_use",
        },
        sse(*EVENTS[:9], *[LONG_TEXT] * 600, *EVENTS[9:]),
        headers=STREAM,
        host=HOST,
        limit=LIMIT,
    ),
    Case(
        "Bedrock: a long stream in Amazon's frames",
        "/model/claude/invoke-with-response-stream",
        {k: v for k, v in ASK.items() if k != "model"},
        {
            "tokens_input": 1110,
            "tokens_output": 50,
            "status": "success",
            "finish_reason": "tool_use",
        },
        b"".join(frame(each[1]) for each in (*EVENTS[:9], *[LONG_TEXT] * 600, *EVENTS[9:])),
        headers={"content-type": "application/vnd.amazon.eventstream"},
        host="bedrock-runtime.us-east-1.amazonaws.com",
        limit=LIMIT,
    ),
]
