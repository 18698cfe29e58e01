"""
Amazon Bedrock's ``InvokeModel``: each family of models has words of its own (Bedrock user guide,
"Inference request parameters and response fields").

Which family it is, the shape tells: a model may be named by the ARN of a profile, which says nothing.
"""

from collections.abc import Mapping
from typing import Any

from llmobs.contrib._wire import anthropic_messages, bedrock, openai_chat
from llmobs.contrib._wire.params import request_params
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


_PROMPTS = ("prompt", "inputText", "message", "texts")


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
    name = next((name for name in _PROMPTS if name in body), "prompt")
    params = {key: value for key, value in body.items() if key not in (name, "chat_history")}
    fields = {"request_params": request_params(params), "prompt": body.get(name)}
    if name == "message":  # Cohere's command R
        told = [as_object(item) for item in as_list(body.get("chat_history"))]
        fields["prompt"] = [
            message(_ROLES.get(str(item.get("role")), "user"), _said(item.get("message")))
            for item in [*told, {"role": "USER", "message": body[name]}]
        ]
    if name == "texts" or (name == "inputText" and "textGenerationConfig" not in body):
        fields["operation"] = "embeddings"
    else:
        fields.setdefault("operation", "chat" if name == "message" else "text_completion")
    return fields


_ROLES = {"USER": "user", "CHATBOT": "assistant", "SYSTEM": "system", "TOOL": "tool"}


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
        choices = [
            {**each, "finish_reason": each.get("finish_reason") or each.get("stop_reason")}
            for each in map(as_object, as_list(body["choices"]))
        ]
        fields = openai_chat.WIRE.response({**body, "choices": choices})
    else:
        fields = _completed(body)
    return _counted(fields, body)


def _counted(fields: Fields, body: Json) -> Fields:
    """Add Bedrock's own count where the model's answer does not bring both."""
    if fields.get("tokens_input") is not None and fields.get("tokens_output") is not None:
        return fields
    told = as_object(body.get(METRICS))
    counts = bedrock.usage_of(
        {
            "inputTokens": told.get("inputTokenCount"),
            "outputTokens": told.get("outputTokenCount"),
            "cacheReadInputTokens": told.get("cacheReadInputTokenCount"),
            "cacheWriteInputTokens": told.get("cacheWriteInputTokenCount"),
        }
    )
    return fields | {name: value for name, value in counts.items() if value is not None}


def _completed(body: Json) -> Fields:
    """
    Read a completion: Titan's ``results``, Llama's ``generation``, Mistral's ``outputs``, Cohere's
    ``generations`` and ``text``, DeepSeek's ``choices``, AI21's ``completions``.
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
    return {
        "response_id": as_text(body.get("id")) or as_text(body.get("generation_id")),
        "response": answers,
        "finish_reason": answers[0]["finish_reason"] or None if answers else None,
        **bedrock.usage_of(usage),
    }


def _answer(item: Json) -> Json:
    inner = as_object(item.get("data"))
    names = ("outputText", "generation", "text")
    text = next((t for name in names if (t := as_text(item.get(name)))), None)
    text = text or as_text(inner.get("text"))
    reasons = ("completionReason", "stop_reason", "finish_reason")
    finish = next((r for name in reasons if (r := as_text(item.get(name)))), None)
    finish = finish or as_text(as_object(item.get("finishReason")).get("reason"))
    return message("assistant", _said(text), finish_reason=finish or "")


def _is_content(data: Json) -> bool:
    if "type" in data:
        return anthropic_messages.WIRE.is_content(data)
    if not data.keys().isdisjoint(bedrock.EVENTS):
        return bedrock.WIRE.is_content(data)
    if openai_chat.WIRE.is_content(data):
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
    elif str(first.get("type")).startswith(("message_", "content_", "ping")):
        body, ended = yield from anthropic_messages.WIRE.assemble(events)
        body.setdefault("type", "message")
    elif any(type(as_object(c).get("delta")) is dict for c in as_list(first.get("choices"))):
        body, ended = yield from openai_chat.WIRE.assemble(events)
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
