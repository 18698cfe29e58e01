"""
Ollama's own wire: chat, generate, embeddings; streams are lines of JSON.

Wire rules: Ollama API reference, and the types of the ``ollama`` package. Durations are nanoseconds.
"""

from collections.abc import Callable
from typing import Any, Final

from llmobs.contrib._wire import openai_other
from llmobs.contrib._wire.params import request_params
from llmobs.contrib._wire.usage import ollama_usage
from llmobs.contrib._wire.wire import Fields, StreamEvent, Wire
from llmobs.recorded.jsontext import Json, as_list, as_object, as_text
from llmobs.recorded.messages import blob, message, message_of, parts_of, text_part, tool_calls_of
from llmobs.runtime.time_slices import Steps, now_and_then

__all__ = ["CHAT", "EMBEDDINGS", "GENERATE"]

_DURATIONS: Final = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")
_SAID: Final = ("content", "thinking")
_NOT_PARAMS: Final = ("images", "context")


def _message(value: Any) -> Json:
    item = as_object(value)
    role = as_text(item.get("role")) or "assistant"
    plain = {key: item[key] for key in item if key not in ("images", "thinking", "tool_name")}
    read = message_of({**plain, "role": role})
    if tool := as_text(item.get("tool_name")):
        read["name"] = tool
    thought = as_text(item.get("thinking"))
    first = [text_part(thought, "reasoning")] if thought else []
    return {**read, "parts": [*first, *read["parts"], *_images(item)]}


def _images(item: Json) -> list[Json]:
    return [blob("image", None, image) for image in as_list(item.get("images"))]


def _asked(body: Json, prompt: list[Json]) -> Fields:
    params = request_params({k: v for k, v in body.items() if k not in _NOT_PARAMS})
    return {
        "model": as_text(body.get("model")),
        "stream": None if body.get("stream") is False else True,  # it streams unless told not to
        "prompt": prompt,
        "request_params": params,
    }


def _chat_request(body: Json) -> Fields:
    return _asked(body, [_message(item) for item in as_list(body.get("messages"))])


def _generate_request(body: Json) -> Fields:
    system = parts_of(as_text(body.get("system")))
    asked = [*parts_of(as_text(body.get("prompt"))), *parts_of(as_text(body.get("suffix")))]
    prompt = [message("system", system)] if system else []
    return _asked(body, [*prompt, message("user", [*asked, *_images(body)])])


def _answered(body: Json, said: Json) -> Fields:
    reason = as_text(body.get("done_reason"))
    answers = [{**said, "finish_reason": reason or ""}] if said["parts"] or reason else []
    return {
        "model_version": as_text(body.get("model")),
        "response": answers,
        "finish_reason": reason,
        "tool_calls": tool_calls_of(answers),
        "response_metadata": _durations(body) or None,
        **ollama_usage(body),
    }


def _durations(body: Json) -> Json:
    return {key: body[key] for key in _DURATIONS if type(body.get(key)) is int}


def _chat_response(body: Json) -> Fields:
    return _answered(body, _message(body.get("message")))


def _generate_response(body: Json) -> Fields:
    found = {"content": body.get("response"), "thinking": body.get("thinking")}
    return _answered(body, _message(found))


def _assembler(where: Callable[[Json], Json], text: str) -> Any:
    def assemble(events: list[StreamEvent]) -> Steps[tuple[Json, bool]]:
        body: Json = {}
        said: dict[str, list[str]] = {text: [], "thinking": []}
        role = None
        calls: list[Any] = []
        for number, data in enumerate(event.data for event in events):
            yield from now_and_then(number)
            body.update({k: v for k, v in data.items() if k != "message"})
            piece = where(data)
            role = role or as_text(piece.get("role"))
            calls += as_list(piece.get("tool_calls"))
            for key, texts in said.items():
                if found := as_text(piece.get(key)):
                    texts.append(found)
        whole: Json = {key: "".join(texts) for key, texts in said.items()}
        if text == "content":
            body["message"] = {"role": role or "assistant", "tool_calls": calls, **whole}
        else:
            body.update(whole)
        return body, body.get("done") is True

    return assemble


def _chat_is_content(data: Json) -> bool:
    piece = as_object(data.get("message"))
    return any(piece.get(key) for key in (*_SAID, "tool_calls"))


def _embedding_response(body: Json) -> Fields:
    fields = openai_other.EMBEDDINGS.response(body)
    return {**fields, "response_metadata": {**fields["response_metadata"], **_durations(body)}}


CHAT = Wire(
    _chat_request,
    _chat_response,
    _assembler(lambda data: as_object(data.get("message")), "content"),
    _chat_is_content,
)
GENERATE = Wire(
    _generate_request,
    _generate_response,
    _assembler(lambda data: data, "response"),
    lambda data: bool(data.get("response") or data.get("thinking")),
)
EMBEDDINGS = Wire(openai_other.EMBEDDINGS.request, _embedding_response)
