"""OpenAI's smaller endpoints: legacy completions, embeddings; audio and images for figures only."""

from typing import Any

from llmobs.contrib._wire.openai_chat import common_response
from llmobs.contrib._wire.params import request_params
from llmobs.contrib._wire.usage import spoken_characters
from llmobs.contrib._wire.wire import Fields, StreamEvent, Wire
from llmobs.recorded.jsontext import Json, as_list, as_object, as_text
from llmobs.recorded.messages import message, message_of, text_part
from llmobs.runtime.time_slices import Steps, now_and_then

__all__ = ["COMPLETIONS", "EMBEDDINGS", "MEDIA", "vector_figures"]


def _texts(value: Any) -> Any:
    """A text, or several; of token ids only how many."""
    if type(value) is str:
        return value
    items = as_list(value)
    if items and type(items[0]) is int:
        return f"[{len(items)} token ids]"
    return [_one(item) for item in items]


def _one(item: Any) -> Any:
    """A text, token ids, or what Jina and Voyage embed beside them: parts, pictures, chunks."""
    if type(item) is str:
        return item
    if type(item) is dict:
        kinds = {"image": {"type": "image_url", "image_url": item.get("image")}}
        content = item.get("content") or item.get("text") or [kinds["image"]]
        return message_of({"role": "user", "content": content})
    if any(type(each) is str for each in as_list(item)):
        return message_of({"role": "user", "content": item})
    return f"[{len(as_list(item))} token ids]"


def _request(body: Json, content: str) -> Fields:
    return {
        "model": as_text(body.get("model")),
        "stream": True if body.get("stream") is True else None,
        "prompt": _texts(body.get(content)),
        "request_params": request_params(body),
    }


def _completion_response(body: Json) -> Fields:
    choices = [as_object(choice) for choice in as_list(body.get("choices"))]
    answers = [
        message(
            "assistant",
            [text_part(as_text(choice.get("text")) or "")],
            finish_reason=as_text(choice.get("finish_reason")) or "",
        )
        for choice in choices
    ]
    reasons = [reason for choice in choices if (reason := as_text(choice.get("finish_reason")))]
    return {
        **common_response(body),
        "response": answers,
        "finish_reason": reasons[0] if reasons else None,
    }


def _completion_assemble(events: list[StreamEvent]) -> Steps[tuple[Json, bool]]:
    body: Json = {}
    choices: dict[Any, Json] = {}
    for number, data in enumerate(event.data for event in events):
        yield from now_and_then(number)
        body.update({key: data[key] for key in ("id", "model", "usage") if data.get(key)})
        for part in map(as_object, as_list(data.get("choices"))):
            index = part.get("index")
            choice = choices.setdefault(index if type(index) is int else 0, {"text": []})
            if text := as_text(part.get("text")):
                choice["text"].append(text)
            choice["finish_reason"] = part.get("finish_reason") or choice.get("finish_reason")
    finished = bool(choices) and all(choice["finish_reason"] for choice in choices.values())
    body["choices"] = [
        {**choices[index], "text": "".join(choices[index]["text"])} for index in sorted(choices)
    ]
    return body, finished


def _completion_is_content(data: Json) -> bool:
    return any(as_text(as_object(choice).get("text")) for choice in as_list(data.get("choices")))


def _embedding_request(body: Json) -> Fields:
    # Ollama's first one has a prompt, Voyage's pictures and chunks are inputs.
    names = (name for name in ("input", "inputs", "prompt") if name in body)
    return _request(body, next(names, "input"))


def vector_figures(vectors: list[Any]) -> Json:
    """
    Return how many *vectors* there are, and of how many numbers.

    They are not kept: they are large, and what they came from can be read back from them.
    """
    figures: Json = {"vectors": len(vectors)}
    if vectors and type(vectors[0]) is list:
        figures["dimensions"] = len(vectors[0])
    return figures


def _embedding_response(body: Json) -> Fields:
    data = as_list(body.get("data"))
    if not data and ("embeddings" in body or "embedding" in body):  # Ollama's own two
        vectors = as_list(body.get("embeddings")) or [body.get("embedding")]
        data = [{"embedding": vector} for vector in vectors if vector]
        body = {**body, "usage": {"prompt_tokens": body.get("prompt_eval_count")}}
    if any(type(as_object(item).get("data")) is list for item in data):  # Voyage's, by document
        data = [chunk for item in data for chunk in as_list(as_object(item).get("data"))]
    vectors = [as_object(item).get("embedding") for item in data]
    figures = vector_figures(vectors)
    if vectors and type(vectors[0]) is str:  # base64 of 32-bit floats
        figures["dimensions"] = len(vectors[0]) * 3 // 4 // 4
    return {**common_response(body), "response_metadata": figures}


def _media_request(body: Json) -> Fields:
    figures = ("n", "size", "quality", "style", "voice", "response_format", "speed", "language")
    return {
        "model": as_text(body.get("model")),
        "stream": True if body.get("stream") is True else None,
        "request_params": {k: body[k] for k in figures if body.get(k) is not None} or None,
        **spoken_characters(body),
    }


def _media_response(body: Json) -> Fields:
    fields = common_response(body)
    if images := as_list(body.get("data")):
        fields["response_metadata"] = {"images": len(images)}
    elif type(body.get("duration")) in (int, float):
        fields["response_metadata"] = {"duration_seconds": body["duration"]}
    return fields


def _media_assemble(events: list[StreamEvent]) -> Steps[tuple[Json, bool]]:
    yield from ()
    usage = [event.data["usage"] for event in events if event.data.get("usage")]
    ended = any(
        not event.is_whole or str(event.data.get("type")).endswith((".done", ".completed"))
        for event in events
    )
    return {"usage": usage[-1]} if usage else {}, ended


COMPLETIONS = Wire(
    lambda body: _request(body, "prompt"),
    _completion_response,
    _completion_assemble,
    _completion_is_content,
)
EMBEDDINGS = Wire(_embedding_request, _embedding_response)
MEDIA = Wire(_media_request, _media_response, _media_assemble, keeps_content=False)
