"""Google's Gemini, by API key and as Vertex has it: answers, streams, embeddings, counts of tokens.

Wire rules: Gemini API reference ("Generating content", "Embeddings", "Counting tokens") and the types
of the `google-genai` package.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from . import openai_other, tokens
from .answers import answer
from .conversation import Answer, Event, Framing, Json, Question, Reply, Tool, Usage, joined
from .errors import WireError
from .openai_chat import cached, output_tokens
from .words import identifier

_FINISH = {"length": "MAX_TOKENS"}
_PICTURE_TOKENS = 258


def generate(body: Json, seed: str) -> Reply:
    """Answer `:generateContent`. What the model refuses is blocked before it is answered."""
    said, usage = answers(body)
    return Reply(_whole(body, said, usage, seed), usage, tuple(said))


def stream(body: Json, seed: str) -> Reply:
    """Answer `:streamGenerateContent`: server-sent events with `alt=sse`, else a JSON array."""
    said, usage = answers(body)
    framing = Framing.SSE if body.get("alt") == "sse" else Framing.ARRAY
    return Reply(list(_events(body, said, usage, seed)), usage, tuple(said), framing)


def embed(body: Json, seed: str) -> Reply:
    """Answer `:embedContent` of the Gemini API, whose answers tell no tokens."""
    [vector], _ = _vectors([_text(body["content"])], body.get("outputDimensionality"), seed)
    return Reply({"embedding": {"values": vector}}, Usage(0, 0))


def embed_several(body: Json, seed: str) -> Reply:
    """Answer `:batchEmbedContents`."""
    texts = [_text(each["content"]) for each in body["requests"]]
    size = body["requests"][0].get("outputDimensionality")
    vectors, _ = _vectors(texts, size, seed)
    return Reply({"embeddings": [{"values": vector} for vector in vectors]}, Usage(0, 0))


def predict(body: Json, seed: str) -> Reply:
    """Answer Vertex's `:predict` of a model of embeddings."""
    texts = [each["content"] for each in body["instances"]]
    size = (body.get("parameters") or {}).get("outputDimensionality")
    vectors, counts = _vectors(texts, size, seed)
    predictions = [
        {"embeddings": {"values": vector, "statistics": {"token_count": count, "truncated": False}}}
        for vector, count in zip(vectors, counts, strict=True)
    ]
    return Reply({"predictions": predictions}, Usage(sum(counts), 0))


def count_tokens(body: Json, seed: str) -> Reply:
    """Answer `:countTokens`."""
    total = _usage(body.get("generateContentRequest") or body, []).prompt
    return Reply({"totalTokens": total}, Usage(total, 0))


def to_question(body: Json) -> Question:
    """Read a request; raises `WireError` 400 when nothing is asked."""
    contents = body.get("contents")
    if not contents:
        raise WireError(400, "contents is not specified")
    asked = [at for at, item in enumerate(contents) if item.get("role") != "model" and _text(item)]
    last = asked[-1] if asked else 0
    config = camel(body.get("generationConfig"))
    calling = camel(camel(body.get("toolConfig")).get("functionCallingConfig"))
    named = calling.get("allowedFunctionNames") or ["*"]
    thoughts = camel(config.get("thinkingConfig"))
    later = [part for item in contents[last:] for part in item.get("parts") or ()]
    return Question(
        text=_text(contents[last]),
        tools=() if calling.get("mode") == "NONE" else tuple(_tools(body)),
        must_call=named[0] if calling.get("mode") == "ANY" else None,
        results=tuple(
            json.dumps(part["functionResponse"].get("response"))
            for part in later
            if "functionResponse" in part
        ),
        images=sum("inlineData" in part for part in contents[last].get("parts") or ()),
        schema=config.get("responseJsonSchema") or _lower(config.get("responseSchema")),
        max_tokens=config.get("maxOutputTokens"),
        stop=tuple(config.get("stopSequences") or ()),
        thinks=bool(thoughts.get("includeThoughts")),
    )


def _tools(body: Json) -> Iterator[Tool]:
    for tool in body.get("tools") or ():
        for item in map(camel, camel(tool).get("functionDeclarations") or ()):
            schema = item.get("parametersJsonSchema") or _lower(item.get("parameters")) or {}
            yield Tool(item["name"], item.get("description") or "", schema)


def camel(item: Json | None) -> Json:
    """An object whose names are written in camel case, as Google takes them in both ways."""
    return {re.sub("_([a-z])", lambda at: at[1].upper(), k): v for k, v in (item or {}).items()}


def _lower(schema: Any) -> Any:
    """A schema as others write it: Google's types are in capitals."""
    if isinstance(schema, list):
        return [_lower(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _lower(value) for name, value in schema.items()}
    if isinstance(kind := found.get("type"), str):
        found["type"] = kind.lower()
    return found


def _text(content: Json | str) -> str:
    if isinstance(content, str):
        return content
    return joined(part.get("text") or "" for part in content.get("parts") or ())


def answers(body: Json) -> tuple[list[Answer], Usage]:
    body = camel(body)
    question = to_question(body)
    several = camel(body.get("generationConfig")).get("candidateCount") or 1
    said = [answer(replace(question, variant=variant)) for variant in range(several)]
    if said[0].ending == "refusal":
        return [], _usage(body, [])
    return said, _usage(body, said)


def _usage(body: Json, said: list[Answer]) -> Usage:
    counts = [_content_tokens(item) for item in body["contents"]]
    system = _content_tokens(body.get("systemInstruction") or {})
    offered = tokens.count(json.dumps(body["tools"])) if body.get("tools") else 0
    prompt = system + offered + sum(counts)
    thinking = sum(tokens.count(each.thinking) for each in said)
    read = cached(prompt, prompt - counts[-1])
    return Usage(prompt, sum(map(output_tokens, said)), thinking, read)


def _content_tokens(content: Json) -> int:
    parts = content.get("parts") or ()
    pictures = _PICTURE_TOKENS * sum("inlineData" in part for part in parts)
    others = [part for part in parts if "functionCall" in part or "functionResponse" in part]
    return (
        tokens.count(_text(content)) + pictures + sum(tokens.count(json.dumps(p)) for p in others)
    )


def _wire_usage(usage: Usage) -> Json:
    """Thoughts stand beside the candidates; counts of nothing are left out."""
    told = {
        "promptTokenCount": usage.prompt,
        "candidatesTokenCount": usage.output - usage.thinking,
        "totalTokenCount": usage.prompt + usage.output,
        "thoughtsTokenCount": usage.thinking,
        "cachedContentTokenCount": usage.cache_read,
    }
    counts: Json = {name: count for name, count in told.items() if count}
    counts["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": usage.prompt}]
    return counts


def parts(said: Answer, seed: str) -> Iterator[Json]:
    """Yield the parts of an answer."""
    if said.thinking:
        yield {"text": said.thinking, "thought": True}
    if said.text:
        yield {"text": said.text}
    for place, call in enumerate(said.calls):
        found = {"name": call.name, "args": call.arguments}
        signature = {} if place else {"thoughtSignature": identifier("", 32, seed, "signature")}
        yield {"functionCall": {"id": identifier("", 8, seed, place), **found}, **signature}


def _head(body: Json, seed: str) -> Json:
    return {"modelVersion": f"{body['model']}-001", "responseId": identifier("", 22, seed)}


def _blocked(usage: Usage) -> Json:
    counts = {"promptTokenCount": usage.prompt, "totalTokenCount": usage.prompt}
    return {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": counts}


def _whole(body: Json, said: list[Answer], usage: Usage, seed: str) -> Json:
    if not said:
        return {**_blocked(usage), **_head(body, seed)}
    candidates = [
        {
            "content": {"parts": list(parts(each, f"{seed}{index}")), "role": "model"},
            "finishReason": _FINISH.get(each.ending, "STOP"),
            "index": index,
        }
        for index, each in enumerate(said)
    ]
    return {"candidates": candidates, "usageMetadata": _wire_usage(usage), **_head(body, seed)}


def _events(body: Json, said: list[Answer], usage: Usage, seed: str) -> Iterator[Event]:
    if not said:
        yield Event(_whole(body, said, usage, seed))
        return
    before = {"promptTokenCount": usage.prompt, "totalTokenCount": usage.prompt}
    for index, each in enumerate(said):
        for part in parts(each, f"{seed}{index}"):
            texts = tokens.pieces(part["text"]) if "text" in part else (None,)
            for text in texts:
                piece = part if text is None else {**part, "text": text}
                content = {"parts": [piece], "role": "model"}
                data: Json = {"candidates": [{"content": content, "index": index}]}
                yield Event(data | {"usageMetadata": before} | _head(body, seed), is_token=True)
        content = {"parts": [{"text": ""}], "role": "model"}
        last = {"finishReason": _FINISH.get(each.ending, "STOP"), "index": index}
        data = {"candidates": [{"content": content, **last}], "usageMetadata": _wire_usage(usage)}
        yield Event(data | _head(body, seed))


def _vectors(texts: list[str], size: int | None, seed: str) -> tuple[list[list[float]], list[int]]:
    asked = {"model": "", "input": texts, "dimensions": size or 768}
    found = openai_other.embeddings(asked, seed).content
    assert isinstance(found, dict)
    return [each["embedding"] for each in found["data"]], [tokens.count(text) for text in texts]
