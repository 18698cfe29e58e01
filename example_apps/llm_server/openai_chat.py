"""OpenAI chat completions: request to question, answers to a body or to the chunks of a stream.

Wire rules: the OpenAI API reference, "Chat", and the types of the `openai` package.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, zip_longest
from typing import Any

from . import images, tokens
from .answered import arrived
from .answers import answer
from .conversation import Answer, Event, Json, Question, Reply, Tool, Usage, joined
from .errors import WireError
from .words import identifier

CACHE_FLOOR = 1024
"""Shorter prompts are never cached (OpenAI's rule, and Anthropic's for most models)."""

_CACHE_STEP = 128
_FINISH = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tools": "tool_calls",
    "refusal": "stop",
}
_REASONING_MODELS = ("o1", "o3", "o4", "gpt-5")


def reply(body: Json, seed: str) -> Reply:
    """Answer a chat completions request; `seed` makes the ids of this answer."""
    question = to_question(body)
    answers = [answer(replace(question, variant=index)) for index in range(body.get("n") or 1)]
    usage = usage_of(body, answers)
    head = {
        "id": identifier("chatcmpl-", 29, seed),
        "created": arrived(),
        "model": body["model"],
        "service_tier": "default"
        if body.get("service_tier") in (None, "auto")
        else body["service_tier"],
        "system_fingerprint": identifier("fp_", 10, body["model"]),
    }
    if body.get("stream"):
        with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        events = list(_events(head, answers, usage, seed, with_usage=with_usage))
        return Reply(events, usage, tuple(answers))
    choices = [_choice(index, item, seed) for index, item in enumerate(answers)]
    whole = {**head, "object": "chat.completion", "choices": choices, "usage": wire_usage(usage)}
    return Reply(whole, usage, tuple(answers))


def to_question(body: Json) -> Question:
    """Read a request; raises `WireError` 400 when a required part is missing."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise WireError(
            400,
            "Missing required parameter: 'messages'.",
            param="messages",
            code="missing_required_parameter",
        )
    last_user = max(
        (at for at, item in enumerate(messages) if item.get("role") == "user"), default=0
    )
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        choice = choice.get("function", {}).get("name", "*")
    tools = () if choice == "none" else tuple(map(_tool, body.get("tools") or ()))
    form = body.get("response_format") or {}
    schema = (
        form.get("json_schema", {}).get("schema") if form.get("type") == "json_schema" else None
    )
    if form.get("type") == "json_object":
        schema = {"type": "object", "properties": {"answer": {"type": "string"}}}
    stop = body.get("stop") or ()
    return Question(
        text=text_of(messages[last_user].get("content")),
        tools=tools,
        must_call={"auto": None, "none": None, None: None, "required": "*"}.get(choice, choice),
        parallel=body.get("parallel_tool_calls") is not False,
        results=tuple(
            text_of(item.get("content"))
            for item in messages[last_user:]
            if item.get("role") == "tool"
        ),
        images=sum(
            1
            for part in _parts(messages[last_user].get("content"))
            if part.get("type") == "image_url"
        ),
        schema=schema,
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        thinks=thinks(body["model"], body.get("reasoning_effort")),
    )


def thinks(model: str, effort: str | None) -> bool:
    """Whether the model reasons before it answers: a reasoning model, or an effort asked for."""
    return effort not in (None, "none") or (effort is None and model.startswith(_REASONING_MODELS))


def text_of(content: Any) -> str:
    """The text of a message's content, be it a string or a list of parts."""
    if isinstance(content, str):
        return content
    return joined(part.get("text") or part.get("refusal") or "" for part in _parts(content))


def usage_of(body: Json, answers: list[Answer]) -> Usage:
    """Count a request and its answers. A long conversation finds its earlier turns in the cache."""
    counts = [_message_tokens(item) for item in body["messages"]]
    offered = tokens.count(json.dumps(body["tools"])) if body.get("tools") else 0
    prompt = sum(counts) + offered + 3  # three tokens prime the answer (OpenAI cookbook)
    thinking = sum(tokens.count(item.thinking) for item in answers)
    return Usage(
        prompt, sum(map(output_tokens, answers)), thinking, cached(prompt, prompt - counts[-1])
    )


def cached(prompt: int, prefix: int) -> int:
    """Cached tokens: what precedes the last message of a long prompt, in steps of 128."""
    return prefix // _CACHE_STEP * _CACHE_STEP if prompt >= CACHE_FLOOR else 0


def output_tokens(item: Answer) -> int:
    """Tokens of an answer: its thinking, its text, and its calls."""
    calls = sum(
        tokens.count(call.name) + tokens.count(json.dumps(call.arguments)) for call in item.calls
    )
    return tokens.count(item.thinking) + tokens.count(item.text) + calls


def wire_usage(usage: Usage) -> Json:
    """`usage` as chat completions write it: cached and reasoning tokens are parts of the totals."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.output,
        "total_tokens": usage.prompt + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.thinking,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _parts(content: Any) -> list[Json]:
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _tool(item: Json) -> Tool:
    function = item.get("function") or item.get("custom") or {}
    return Tool(
        function.get("name", ""),
        function.get("description") or "",
        function.get("parameters") or {},
    )


def _message_tokens(item: Json) -> int:
    total = 4 + tokens.count(text_of(item.get("content")))  # three for the frame, one for the role
    total += 1 + tokens.count(item["name"]) if item.get("name") else 0
    total += tokens.count(json.dumps(item["tool_calls"])) if item.get("tool_calls") else 0
    pictures = (
        part["image_url"] for part in _parts(item.get("content")) if part.get("type") == "image_url"
    )
    return total + sum(
        images.openai_tokens(one.get("url", ""), one.get("detail", "auto")) for one in pictures
    )


def _calls(item: Answer, seed: str) -> list[Json]:
    return [
        {
            "id": identifier("call_", 24, seed, place),
            "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
        }
        for place, call in enumerate(item.calls)
    ]


def _choice(index: int, item: Answer, seed: str) -> Json:
    refused = item.ending == "refusal"
    message: Json = {"role": "assistant", "content": item.text, "refusal": None, "annotations": []}
    if refused:
        message |= {"content": None, "refusal": item.text}
    if item.calls:
        message |= {"content": None, "tool_calls": _calls(item, f"{seed}{index}")}
    return {
        "index": index,
        "message": message,
        "logprobs": None,
        "finish_reason": _FINISH[item.ending],
    }


def _events(
    head: Json, answers: list[Answer], usage: Usage, seed: str, *, with_usage: bool
) -> Iterator[Event]:
    tail = {"usage": None} if with_usage else {}

    def chunk(
        index: int, delta: Json, finish: str | None = None, *, is_token: bool = True
    ) -> Event:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        return Event(
            {**head, "object": "chat.completion.chunk", "choices": [choice], **tail},
            is_token=is_token,
        )

    def chunks(index: int, item: Answer) -> Iterator[Event]:
        yield chunk(
            index, {"role": "assistant", "content": None if item.calls else "", "refusal": None}
        )
        key = "refusal" if item.ending == "refusal" else "content"
        for piece in tokens.pieces(item.text):
            yield chunk(index, {key: piece})
        for place, call in enumerate(_calls(item, f"{seed}{index}")):
            arguments = call["function"]["arguments"]
            start = {**call, "function": {**call["function"], "arguments": ""}, "index": place}
            yield chunk(index, {"tool_calls": [start]})
            for piece in tokens.pieces(arguments):
                yield chunk(
                    index, {"tool_calls": [{"index": place, "function": {"arguments": piece}}]}
                )
        yield chunk(index, {}, _FINISH[item.ending], is_token=False)

    # Several choices arrive interleaved, as they do from the real server.
    rounds = zip_longest(*(chunks(index, item) for index, item in enumerate(answers)))
    yield from (event for event in chain.from_iterable(rounds) if event)
    if with_usage:
        last = {
            **head,
            "object": "chat.completion.chunk",
            "choices": [],
            "usage": wire_usage(usage),
        }
        yield Event(last)
    yield Event("[DONE]")
