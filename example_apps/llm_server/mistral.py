"""Mistral's chat, fim, embeddings, conversations and text recognition.

Wire rules: Mistral's API reference, and the types of the `mistralai` package. Its chats are written as
OpenAI's; thoughts stand in lists of chunks, calls come whole, and every stream ends with its usage.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from . import openai_chat, openai_other, tokens
from .answered import arrived
from .answers import answer
from .conversation import Answer, Event, Json, Question, Reply, Usage
from .errors import WireError
from .words import identifier

_FINISH = {"length": "length", "tools": "tool_calls"}
_THINKS = "magistral"
AGENTS_MODEL = "mistral-medium-latest"
"""What an agent asks: the request names the agent alone."""


def chat(body: Json, seed: str) -> Reply:
    """Answer `POST /v1/chat/completions`, and `/v1/agents/completions`."""
    question = openai_chat.to_question(body)
    thinks = body["model"].startswith(_THINKS) or question.thinks
    said = answer(replace(question, thinks=thinks))
    usage = replace(openai_chat.usage_of(body, [said]), thinking=0)
    return _completion(body, said, usage, seed)


def fim(body: Json, seed: str) -> Reply:
    """Answer `POST /v1/fim/completions`: what comes between `prompt` and `suffix`."""
    text = f"{body['prompt']}{body.get('suffix') or ''}"
    said = answer(Question(text, max_tokens=body.get("max_tokens")))
    usage = Usage(tokens.count(text), openai_chat.output_tokens(said))
    return _completion(body, said, usage, seed)


def embeddings(body: Json, seed: str) -> Reply:
    """Answer `POST /v1/embeddings`."""
    size = body.get("output_dimension") or 1024
    found = openai_other.embeddings({**body, "dimensions": size}, seed)
    assert isinstance(found.content, dict)
    usage = {**found.content["usage"], "completion_tokens": 0}
    content = {"id": identifier("", 32, seed), **found.content, "usage": usage}
    return Reply(content, found.usage)


def conversation(body: Json, seed: str) -> Reply:
    """Answer `POST /v1/conversations`, and what goes on with one."""
    said = answer(_question(body))
    prompt = tokens.count(json.dumps(body["inputs"])) + tokens.count(body.get("instructions") or "")
    usage = Usage(prompt, openai_chat.output_tokens(said))
    head = body.get("conversation_id") or identifier("conv_", 32, seed)
    outputs = list(_entries(body, said, seed))
    told = {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.output,
        "total_tokens": usage.prompt + usage.output,
        "connector_tokens": None,
    }
    if body.get("stream"):
        return Reply(list(_conversation_events(head, outputs, told)), usage, (said,))
    whole = {"object": "conversation.response", "conversation_id": head, "usage": told}
    return Reply({**whole, "outputs": outputs}, usage, (said,))


def ocr(body: Json, seed: str) -> Reply:
    """Answer `POST /v1/ocr`: one page, which tells where it is from; pages are counted, not tokens."""
    document = body["document"]
    source = str(document.get("document_url") or document.get("image_url"))[:60]
    said = Answer(f"# A page\n\nFrom {source}", "stop")
    page = {
        "index": 0,
        "markdown": said.text,
        "images": [],
        "dimensions": {"dpi": 200, "height": 2200, "width": 1700},
    }
    info = {"pages_processed": 1, "doc_size_bytes": 1000}
    return Reply(
        {"pages": [page], "model": body["model"], "usage_info": info}, Usage(0, 0), (said,)
    )


def _completion(body: Json, said: Answer, usage: Usage, seed: str) -> Reply:
    head = {"id": identifier("", 32, seed), "created": arrived(), "model": body["model"]}
    counts = openai_chat.wire_usage(usage)
    told = {name: counts[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
    if usage.cache_read:
        told["prompt_tokens_details"] = {"cached_tokens": usage.cache_read}
    finish = _FINISH.get(said.ending, "stop")
    if body.get("stream"):
        events = list(
            _events({**head, "object": "chat.completion.chunk"}, said, finish, told, seed)
        )
        return Reply(events, usage, (said,))
    message = {"role": "assistant", "content": _content(said), "tool_calls": _calls(said, seed)}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    whole = {**head, "object": "chat.completion", "choices": [choice], "usage": told}
    return Reply(whole, usage, (said,))


def _content(said: Answer) -> str | list[Json]:
    if not said.thinking:
        return said.text
    return [_thought(said.thinking), {"type": "text", "text": said.text}]


def _thought(text: str) -> Json:
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}


def _calls(said: Answer, seed: str) -> list[Json] | None:
    calls = [
        {
            "id": identifier("", 9, seed, place),
            "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
            "index": place,
        }
        for place, call in enumerate(said.calls)
    ]
    return calls or None


def _events(head: Json, said: Answer, finish: str, usage: Json, seed: str) -> Iterator[Event]:
    def chunk(delta: Json, finish: str | None = None, **more: Any) -> Event:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return Event({**head, "choices": [choice], **more}, is_token=True)

    yield chunk({"role": "assistant", "content": ""})
    for piece in tokens.pieces(said.thinking):
        yield chunk({"content": [_thought(piece)]})
    for piece in tokens.pieces(said.text):
        yield chunk({"content": piece})
    calls = _calls(said, seed)
    last = {"content": "", "tool_calls": calls} if calls else {"content": ""}
    yield chunk(last, finish, usage=usage)
    yield Event("[DONE]")


def _question(body: Json) -> Question:
    given = body.get("inputs")
    if not given:
        raise WireError(422, "inputs: Field required")
    messages = [{"role": "user", "content": given}] if isinstance(given, str) else given
    said = [each for each in messages if each.get("role") == "user"]
    asked = {"model": "", "messages": said or messages, "tools": body.get("tools")}
    results = tuple(
        str(each.get("result")) for each in messages if each.get("type") == "function.result"
    )
    limit = (body.get("completion_args") or {}).get("max_tokens")
    return replace(openai_chat.to_question(asked), results=results, max_tokens=limit)


def _time() -> str:
    return datetime.fromtimestamp(arrived(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _entries(body: Json, said: Answer, seed: str) -> Iterator[Json]:
    times = {"created_at": _time(), "completed_at": _time()}
    model = body.get("model")
    if said.text:
        entry = {"object": "entry", "type": "message.output", **times, "model": model}
        yield {
            **entry,
            "id": identifier("msg_", 32, seed),
            "role": "assistant",
            "content": said.text,
        }
    for place, call in enumerate(said.calls):
        yield {
            "object": "entry",
            "type": "function.call",
            **times,
            "model": model,
            "id": identifier("fc_", 32, seed, place),
            "tool_call_id": identifier("", 9, seed, place),
            "name": call.name,
            "arguments": json.dumps(call.arguments),
        }


def _conversation_events(head: str, outputs: list[Json], usage: Json) -> Iterator[Event]:
    def event(kind: str, *, is_token: bool = False, **more: Any) -> Event:
        return Event({"type": kind, "created_at": _time(), **more}, kind, is_token=is_token)

    yield event("conversation.response.started", conversation_id=head)
    for place, entry in enumerate(outputs):
        kept = ("id", "model", "role", "tool_call_id", "name")
        about = {"output_index": place, **{k: entry[k] for k in kept if k in entry}}
        if entry["type"] == "message.output":
            for piece in tokens.pieces(entry["content"]):
                more = {**about, "content_index": 0, "content": piece}
                yield event("message.output.delta", is_token=True, **more)
        else:
            for piece in tokens.pieces(entry["arguments"]):
                yield event("function.call.delta", is_token=True, **about, arguments=piece)
    yield event("conversation.response.done", usage=usage)
