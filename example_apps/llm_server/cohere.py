"""Cohere's chat, embed and rerank (API reference, version 2, and the types of the `cohere` package).

Its messages and tools are written as OpenAI's; its answers and its streams are not.
"""

import json
from collections.abc import Iterator
from dataclasses import replace

from . import openai_chat, openai_other, tokens
from .answers import answer
from .conversation import Answer, Event, Json, Reply, Usage
from .errors import WireError
from .words import identifier, number

_FINISH = {
    "stop": "COMPLETE",
    "stop_sequence": "STOP_SEQUENCE",
    "length": "MAX_TOKENS",
    "tools": "TOOL_CALL",
    "refusal": "COMPLETE",
}
_PREAMBLE = 66  # tokens of the model's own instructions: used, but not billed
_DOCUMENTS_PER_SEARCH = 100


def chat(body: Json, seed: str) -> Reply:
    """Answer `POST /v2/chat`; `documents` are cited by the answer's first word."""
    question = openai_chat.to_question(body)
    if (body.get("thinking") or {}).get("type") == "enabled":
        question = replace(question, thinks=True)
    item = answer(question)
    usage = openai_chat.usage_of(body, [item])
    citations = _citations(item, body.get("documents") or [])
    head = identifier("", 32, seed)
    # For the server's own account: the plan of its calls is what it thought.
    said = replace(item, thinking=_plan(item)) if item.calls else item
    if body.get("stream"):
        return Reply(list(_events(head, item, citations, usage, seed)), usage, (said,))
    content: list[Json] = []
    if item.thinking:
        content.append({"type": "thinking", "thinking": item.thinking})
    if item.text:
        content.append({"type": "text", "text": item.text})
    message: Json = {"role": "assistant", "content": content}
    if item.calls:
        message |= {"tool_plan": _plan(item), "tool_calls": _calls(item, seed)}
    if citations:
        message["citations"] = citations
    finish = _FINISH[item.ending]
    whole = {"id": head, "message": message, "finish_reason": finish, "usage": _usage(usage)}
    return Reply(whole, usage, (said,))


def embed(body: Json, seed: str) -> Reply:
    """Answer `POST /v2/embed` for texts."""
    found = openai_other.embeddings({**body, "input": body.get("texts")}, seed)
    assert isinstance(found.content, dict)
    vectors = [each["embedding"] for each in found.content["data"]]
    billed = {"input_tokens": float(found.usage.prompt)}
    content = {
        "id": identifier("", 32, seed),
        "embeddings": {"float": vectors},
        "texts": body["texts"],
        "meta": {"api_version": {"version": "2"}, "billed_units": billed},
        "response_type": "embeddings_by_type",
    }
    return Reply(content, found.usage)


def rerank(body: Json, seed: str) -> Reply:
    """Answer `POST /v2/rerank`: documents that share words with the query come first."""
    query = set(tokens.pieces(str(body["query"]).lower()))
    documents = [each if isinstance(each, str) else each["text"] for each in body["documents"]]
    if not documents:
        raise WireError(400, "documents must not be empty")
    scores = [
        len(query & set(tokens.pieces(text.lower()))) / len(query)
        + number(text, body["query"]) % 1000 / 1e6
        for text in documents
    ]
    order = sorted(range(len(documents)), key=lambda place: -scores[place])[: body.get("top_n")]
    searches = -(-len(documents) // _DOCUMENTS_PER_SEARCH)
    content = {
        "id": identifier("", 32, seed),
        "results": [{"index": place, "relevance_score": scores[place]} for place in order],
        "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": searches}},
    }
    return Reply(content, Usage(0, 0))


def _usage(usage: Usage) -> Json:
    return {
        "billed_units": {"input_tokens": float(usage.prompt), "output_tokens": float(usage.output)},
        "tokens": {
            "input_tokens": float(usage.prompt + _PREAMBLE),
            "output_tokens": float(usage.output),
        },
        "cached_tokens": float(usage.cache_read),
    }


def _plan(item: Answer) -> str:
    return f"I will use {' and '.join(call.name for call in item.calls)}."


def _calls(item: Answer, seed: str) -> list[Json]:
    return [
        {
            "id": identifier(f"{call.name}_", 12, seed, place),
            "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
        }
        for place, call in enumerate(item.calls)
    ]


def _citations(item: Answer, documents: list[str | Json]) -> list[Json]:
    words = item.text.split(" ", 1)[0]
    if not documents or not words:
        return []
    first = documents[0]
    data = {"id": "doc:0", "content": first} if isinstance(first, str) else first["data"]
    source = {"type": "document", "id": "doc:0", "document": data}
    cited = {"start": 0, "end": len(words), "text": words, "sources": [source]}
    return [{**cited, "type": "TEXT_CONTENT"}]


def _event(
    kind: str, index: int | None = None, *, is_token: bool = False, **message: object
) -> Event:
    place = {} if index is None else {"index": index}
    delta = {"delta": {"message": message}} if message else {}
    return Event({"type": kind, **place, **delta}, kind, is_token=is_token)


def _events(
    head: str, item: Answer, citations: list[Json], usage: Usage, seed: str
) -> Iterator[Event]:
    empty: Json = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": []}
    start = {"type": "message-start", "id": head, "delta": {"message": {**empty, "citations": []}}}
    yield Event(start, "message-start")
    place = 0
    for kind, text in (("thinking", item.thinking), ("text", item.text)):
        if not text:
            continue
        yield _event("content-start", place, content={"type": kind, kind: ""})
        for piece in tokens.pieces(text):
            yield _event("content-delta", place, is_token=True, content={kind: piece})
        if kind == "text":
            for number_, cited in enumerate(citations):
                yield _event("citation-start", number_, citations=cited)
                yield _event("citation-end", number_)
        yield _event("content-end", place)
        place += 1
    if item.calls:
        for piece in tokens.pieces(_plan(item)):
            yield _event("tool-plan-delta", is_token=True, tool_plan=piece)
    for number_, call in enumerate(_calls(item, seed)):
        said = {**call["function"], "arguments": ""}
        yield _event("tool-call-start", number_, tool_calls={**call, "function": said})
        for piece in tokens.pieces(call["function"]["arguments"]):
            part = {"function": {"arguments": piece}}
            yield _event("tool-call-delta", number_, is_token=True, tool_calls=part)
        yield _event("tool-call-end", number_)
    delta = {"finish_reason": _FINISH[item.ending], "usage": _usage(usage)}
    yield Event({"type": "message-end", "id": head, "delta": delta}, "message-end")
