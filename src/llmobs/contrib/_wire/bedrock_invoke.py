"""
Amazon Bedrock's ``InvokeModel``: each family of models has words of its own (Bedrock user guide,
"Inference request parameters and response fields").

Which family it is, the shape tells: a model may be named by the ARN of a profile, which says nothing.
"""

from collections.abc import Mapping
from typing import Any, Final

from llmobs.contrib._wire import (
    anthropic_messages,
    bedrock,
    cohere,
    cohere_v1,
    openai_chat,
    rerank,
)
from llmobs.contrib._wire.bedrock_asked import asked
from llmobs.contrib._wire.wire import Fields, StreamEvent, Wire
from llmobs.recorded.jsontext import Json, as_count, as_list, as_object, as_text
from llmobs.recorded.messages import message, text_part
from llmobs.runtime.time_slices import Steps, now_and_then

__all__ = ["METRICS", "WIRE", "told_in"]

METRICS = "amazon-bedrock-invocationMetrics"
"""Bedrock's own count, in the last chunk of a stream; of an answer that is none, in its headers."""


def told_in(headers: Mapping[str, str]) -> Json:
    """Return what *headers* count, under the names that streams have for it."""
    found = {
        "inputTokenCount": headers.get("x-amzn-bedrock-input-token-count"),
        "outputTokenCount": headers.get("x-amzn-bedrock-output-token-count"),
        "cacheReadInputTokenCount": headers.get("x-amzn-bedrock-cache-read-input-token-count"),
        "cacheWriteInputTokenCount": headers.get("x-amzn-bedrock-cache-write-input-token-count"),
    }
    return {name: count for name, count in found.items() if count is not None}


_OTHERS: Final = (
    # members that only these requests have, how they are read, what they are
    ({"message"}, cohere_v1.CHAT, "chat"),
    ({"query", "documents"}, rerank.WIRE, "retrieval"),
    ({"input_type"}, cohere.EMBED, "embeddings"),
)


def _request(body: Json) -> Fields:
    # The body's own `model` is not what Bedrock was asked for.
    body = {key: value for key, value in body.items() if key != "model"}
    if "messages" in body:
        if "anthropic_version" in body:
            fields = anthropic_messages.WIRE.request(body)
        elif "inferenceConfig" in body or "schemaVersion" in body or _is_nova(body):
            fields = bedrock.WIRE.request(body)
        else:
            fields = openai_chat.WIRE.request(body)
        return fields | {"model": None}
    for members, wire, operation in _OTHERS:
        if body.keys() >= members:
            return wire.request(body) | {"model": None, "operation": operation}
    return asked(body)


def _said(value: Any) -> list[Json]:
    return [text_part(value)] if as_text(value) else []


def _is_nova(body: Json) -> bool:
    """Whether contents are lists of objects that name no type."""
    blocks = [
        as_object(block)
        for item in map(as_object, as_list(body.get("messages")))
        for block in as_list(item.get("content"))
    ]
    return bool(blocks) and all("type" not in block for block in blocks)


def _response(body: Json) -> Fields:
    if "stopReason" in body or as_object(as_object(body.get("output")).get("message")):
        fields = bedrock.WIRE.response(body)
    elif body.get("type") == "message" or type(body.get("content")) is list:
        fields = anthropic_messages.WIRE.response(body)
    elif any("message" in as_object(each) for each in as_list(body.get("choices"))):
        fields = openai_chat.WIRE.response(_as_openai(body))
    elif "generation_id" in body:
        fields = cohere_v1.CHAT.response(body)
    elif any("relevance_score" in as_object(each) for each in as_list(body.get("results"))):
        fields = rerank.WIRE.response(body)
    elif not body.keys().isdisjoint(_VECTORS) or "embedding" in _first(body.get("data")):
        fields = _vectors(body)
    elif not body.keys().isdisjoint(("images", "artifacts")):
        fields = _pictures(body)
    else:
        fields = _completed(body)
    return _counted(fields, body)


_VECTORS: Final = ("embedding", "embeddings", "embeddingsByType")


def _first(items: Any) -> Json:
    return as_object(next(iter(as_list(items)), None))


def _as_openai(body: Json) -> Json:
    """Return an answer or a piece of one with OpenAI's names: Mistral's pieces are messages, and have a stop_reason."""
    choices = [
        {
            **each,
            "delta": each.get("delta") or each.get("message"),
            "finish_reason": each.get("finish_reason") or each.get("stop_reason"),
        }
        for each in map(as_object, as_list(body.get("choices")))
    ]
    return {**body, "choices": choices}


def _vectors(body: Json) -> Fields:
    """Read vectors: Titan's one, perhaps by type, Cohere's by type, Nova's and Marengo's each with its kind."""
    given = as_list(body.get("embeddings")) or as_list(body.get("data"))
    if not given and body.get("embedding"):
        given = [body]
    vectors = [as_object(each).get("embedding") for each in given]
    if typed := as_object(body.get("embeddingsByType")):
        vectors = vectors or [next(iter(typed.values()))]
    fields = cohere.EMBED.response({**body, "embeddings": vectors} if any(vectors) else body)
    taken = bedrock.usage_of({"inputTokens": body.get("inputTextTokenCount")})
    return {**fields, **{name: value for name, value in taken.items() if value is not None}}


def _pictures(body: Json) -> Fields:
    """Read pictures, which are not kept: Titan's and Nova's ``images``, Stability's, its first ones' ``artifacts``."""
    made = as_list(body.get("images")) or as_list(body.get("artifacts"))
    reasons = [*as_list(body.get("finish_reasons")), _first(made).get("finishReason")]
    return {
        "operation": "generate_content",
        "response_metadata": {"images": len(made)},
        "finish_reason": next(filter(None, map(as_text, reasons)), None),
    }


def _counted(fields: Fields, body: Json) -> Fields:
    """Add Bedrock's own count where the model's answer does not bring both."""
    if fields.get("tokens_input") is not None and fields.get("tokens_output") is not None:
        return fields
    metrics = as_object(body.get(METRICS))
    counts = bedrock.usage_of(
        {
            "inputTokens": metrics.get("inputTokenCount"),
            "outputTokens": metrics.get("outputTokenCount"),
            "cacheReadInputTokens": metrics.get("cacheReadInputTokenCount"),
            "cacheWriteInputTokens": metrics.get("cacheWriteInputTokenCount"),
        }
    )
    return fields | {name: value for name, value in counts.items() if value is not None}


def _completed(body: Json) -> Fields:
    """
    Read a completion: Claude's first ``completion``, Titan's ``results``, Llama's ``generation``, Mistral's
    ``outputs``, Cohere's ``generations`` and ``text``, DeepSeek's ``choices``, AI21's ``completions``,
    Pegasus' ``message``.
    """
    lists = ("results", "outputs", "generations", "choices", "completions")
    found = [as_object(item) for name in lists for item in as_list(body.get(name))]
    answers = [_answer(item) for item in found or [body]]
    answers = [each for each in answers if each["parts"] or each["finish_reason"]]
    taken, given = body.get("prompt_token_count"), body.get("generation_token_count")
    if taken is None and given is None:
        taken = body.get("inputTextTokenCount")
        counts = [as_count(item.get("tokenCount")) for item in found]
        known = [count for count in counts if count is not None]
        given = sum(known) if known else None
    usage = {"inputTokens": taken, "outputTokens": given}
    # A text alone may be asked for Titan's vector, too.
    is_titan = "inputTextTokenCount" in body
    return {
        **({"operation": "text_completion"} if is_titan else {}),
        "response_id": as_text(body.get("id")) or as_text(body.get("generation_id")),
        "response": answers,
        "finish_reason": answers[0]["finish_reason"] or None if answers else None,
        **bedrock.usage_of(usage),
    }


def _answer(item: Json) -> Json:
    inner = as_object(item.get("data"))
    names = ("outputText", "generation", "text", "completion", "message")
    text = next((t for name in names if (t := as_text(item.get(name)))), None)
    text = text or as_text(inner.get("text"))
    reasons = ("completionReason", "stop_reason", "finish_reason", "finishReason")
    finish = next((r for name in reasons if (r := as_text(item.get(name)))), None)
    finish = finish or as_text(as_object(item.get("finishReason")).get("reason"))
    return message("assistant", _said(text), finish_reason=finish or "")


def _is_content(data: Json) -> bool:
    if "event_type" in data:
        return cohere_v1.CHAT.is_content(data)
    if "type" in data and "completion" not in data:
        return anthropic_messages.WIRE.is_content(data)
    if not data.keys().isdisjoint(bedrock.EVENTS):
        return bedrock.WIRE.is_content(data)
    if openai_chat.WIRE.is_content(_as_openai(data)):
        return True
    return any(each["parts"] for each in _completed(data)["response"])


def _assemble(events: list[StreamEvent]) -> Steps[tuple[Json, bool]]:
    metrics: Json = {}
    first: Json = {}
    for number, event in enumerate(events):
        yield from now_and_then(number)
        metrics = as_object(event.data.get(METRICS)) or metrics
        first = first or event.data
    if not first.keys().isdisjoint(bedrock.EVENTS):
        body, ended = yield from bedrock.WIRE.assemble(events)
    elif "event_type" in first:
        body, ended = yield from cohere_v1.CHAT.assemble(events)
    elif str(first.get("type")).startswith(("message_", "content_", "ping")):
        body, ended = yield from anthropic_messages.WIRE.assemble(events)
        body.setdefault("type", "message")
    elif not _first(first.get("choices")).keys().isdisjoint(("delta", "message")):
        named = []
        for number, event in enumerate(events):
            yield from now_and_then(number)
            named.append(event._replace(data=_as_openai(event.data)))
        body, ended = yield from openai_chat.WIRE.assemble(named)
    else:
        body, ended = yield from _pieces(events)
    return {**body, METRICS: metrics} if metrics else body, ended or bool(metrics)


def _pieces(events: list[StreamEvent]) -> Steps[tuple[Json, bool]]:
    """Put pieces of a completion together."""
    texts: list[str] = []
    finish = None
    body: Json = {}
    for number, (_, data, *_) in enumerate(events):
        yield from now_and_then(number)
        taken = _completed(data)
        for each in taken["response"][:1]:
            texts += [part["content"] for part in each["parts"]]
        finish = taken["finish_reason"] or finish
        counts = ("prompt_token_count", "generation_token_count", "inputTextTokenCount", "id")
        body.update({key: data[key] for key in counts if data.get(key) is not None})
        if (given := data.get("totalOutputTextTokenCount")) is not None:
            body["generation_token_count"] = given
            body["prompt_token_count"] = body.get("inputTextTokenCount")
    return {**body, "text": "".join(texts), "stop_reason": finish}, finish is not None


WIRE = Wire(_request, _response, _assemble, _is_content)
