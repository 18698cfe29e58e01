"""
Streams that end where they should not: what is known at each point of a cut, and no more.

Anthropic API reference, "Streaming messages": the usage of ``message_start`` counts the input, its
output tokens are a placeholder; that of ``message_delta`` is cumulative and final.
"""

from typing import Any

from . import STREAM, Case, answer, reasoning, sse, text
from .anthropic import ASK, COUNTS, EVENTS, HOST, SAID, START, delta, event, frame, start
from .anthropic import PATH as MESSAGES
from .openai_chat import PATH as CHAT
from .openai_chat import ask, chunk
from .openai_responses import PATH as RESPONSES
from .openai_responses import body as response

INPUT = {"tokens_input": 1110, "tokens_cached": 1000, "tokens_cache_write": 100}
NO_OUTPUT = {"tokens_output": None, "tokens_reasoning": None}
OVERLOADED = (
    "error",
    {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
)


def messages(
    name: str, events: list[Any], expect: Any, *, closed: bool = True, **more: Any
) -> Case:
    more = {"headers": STREAM, "host": HOST, "path": MESSAGES, **more}
    path = more.pop("path")
    body = more.pop("body", sse(*events))
    return Case(name, path, {**ASK, "stream": True}, expect, body, closed=closed, **more)


def began(**usage: Any) -> Any:
    return event("message_start", message={**START, "usage": usage})


def ended(usage: Any, stop: str = "end_turn") -> Any:
    return event("message_delta", delta={"stop_reason": stop, "stop_sequence": None}, usage=usage)


HELLO = [start(0, type="text", text=""), delta(0, type="text_delta", text="Hello")]

CASES = [
    *(
        messages(
            f"closed after {count} of the events: the input is known, the output is not",
            EVENTS[:count],
            {"status": "cancelled", "finish_reason": None, **INPUT, **NO_OUTPUT},
        )
        for count in range(1, 15)
    ),
    messages(
        "closed at the stop reason: nothing is missing",
        EVENTS[:15],
        {"status": "success", "response": [SAID], "finish_reason": "tool_use", **COUNTS},
    ),
    messages(
        "cut by the server at the stop reason: nothing is missing",
        EVENTS[:15],
        {"status": "success", "response": [SAID], **COUNTS},
        closed=False,
    ),
    messages(
        "cut by the server in the middle",
        EVENTS[:9],
        {
            "status": "error",
            "error": {
                "message": "the stream ended before the answer did",
                "type": "incomplete_stream",
                "code": None,
            },
            **INPUT,
            **NO_OUTPUT,
        },
        closed=False,
    ),
    messages(
        "a message_delta without a stop reason is no end",
        [
            *EVENTS[:10],
            event("message_delta", delta={"stop_reason": None}, usage={"output_tokens": 20}),
        ],
        {"status": "cancelled", "tokens_output": 20, "tokens_input": 1110},
    ),
    messages(
        "servers that know their input only at the end (LiteLLM, vLLM): cut, nothing is known",
        [began(input_tokens=0, output_tokens=0), *HELLO],
        {"status": "cancelled", "tokens_input": None, "tokens_output": None},
    ),
    messages(
        "servers that know their input only at the end: whole",
        [
            began(input_tokens=0, output_tokens=0),
            *HELLO,
            ended({"input_tokens": 12, "output_tokens": 3}),
            event("message_stop"),
        ],
        {"status": "success", "tokens_input": 12, "tokens_output": 3, "warnings": ()},
        closed=False,
    ),
    messages(
        "all of the input from the cache: a fresh input of nothing is a count",
        [began(input_tokens=0, cache_read_input_tokens=9, output_tokens=1), *HELLO],
        {"status": "cancelled", "tokens_input": 9, "tokens_cached": 9, "tokens_output": None},
    ),
    messages(
        "overloaded, and the SDK closes the stream",
        [*EVENTS[:8], OVERLOADED],
        {
            "status": "error",
            "error": {"message": "Overloaded", "type": "overloaded_error", "code": None},
            "response": [answer(reasoning("hm"), text("Hel"), finish="")],
            **INPUT,
            **NO_OUTPUT,
        },
    ),
    messages(
        "Bedrock: closed early",
        EVENTS[:8],
        {"status": "cancelled", **INPUT, **NO_OUTPUT},
        path="/model/claude/invoke-with-response-stream",
        body=b"".join(frame(each[1]) for each in EVENTS[:8]),
        headers={"content-type": "application/vnd.amazon.eventstream"},
        host="bedrock-runtime.us-east-1.amazonaws.com",
    ),
    messages(
        "Vertex: closed early",
        EVENTS[:8],
        {"status": "cancelled", **INPUT, **NO_OUTPUT},
        path="/v1/projects/p/locations/global/publishers/anthropic/models/claude-opus-4-8:streamRawPredict",
        host="aiplatform.googleapis.com",
    ),
    messages(
        "counts that come as floats and as texts",
        [
            began(
                input_tokens="10",
                cache_read_input_tokens=1000.0,
                cache_creation_input_tokens="100",
                output_tokens=1.0,
            ),
            *HELLO,
            ended({"output_tokens": "50", "output_tokens_details": {"thinking_tokens": 30.0}}),
            event("message_stop"),
        ],
        {**{k: v for k, v in COUNTS.items() if k != "service_tier"}, "warnings": ()},
        closed=False,
    ),
    Case(
        "chat, closed early",
        CHAT,
        ask(stream=True),
        {
            "status": "cancelled",
            "response": [answer(text("Hello"), finish="")],
            "tokens_input": None,
        },
        sse(chunk({"content": "Hello"})),
        headers=STREAM,
        closed=True,
    ),
    Case(
        "chat, closed at the finish reason",
        CHAT,
        ask(stream=True),
        {"status": "success", "response": [answer(text("Hello"), finish="stop")]},
        sse(chunk({"content": "Hello"}), chunk({}, "stop")),
        headers=STREAM,
        closed=True,
    ),
    Case(
        "chat: an error in the stream, and the SDK closes it",
        CHAT,
        ask(stream=True),
        {
            "status": "error",
            "error": {"message": "Oh no", "type": "server_error", "code": "502"},
            "response": [answer(text("Hello"), finish="")],
        },
        sse(
            chunk({"content": "Hello"}),
            {"error": {"message": "Oh no", "type": "server_error", "code": 502}},
        ),
        headers=STREAM,
        closed=True,
    ),
    Case(
        "OpenRouter: the error comes with a chunk whose finish reason is error",
        CHAT,
        ask(stream=True),
        {
            "status": "error",
            "error": {"message": "Provider disconnected", "type": None, "code": "server_error"},
        },
        b": OPENROUTER PROCESSING\n\n"
        + sse(
            chunk({"content": "Hello"}),
            chunk(
                {"content": ""},
                "error",
                error={"code": "server_error", "message": "Provider disconnected"},
            ),
        ),
        headers=STREAM,
        host="openrouter.ai",
        closed=True,
    ),
    Case(
        "responses: an error event, and the SDK goes on to the end",
        RESPONSES,
        {"model": "gpt-5", "input": "Hi", "stream": True},
        {
            "status": "error",
            "error": {"message": "Oh no", "type": None, "code": "server_error"},
            "tokens_input": None,
        },
        sse(
            (
                "response.created",
                {"type": "response.created", "response": response(output=[], usage=None)},
            ),
            (
                "error",
                {
                    "type": "error",
                    "code": "server_error",
                    "message": "Oh no",
                    "param": None,
                    "sequence_number": 2,
                },
            ),
        ),
        headers=STREAM,
        host="api.openai.com",
    ),
]
