"""
llama.cpp's own completions, ``/completion``: an answer, or its pieces as server-sent events, the last of which
has the figures (its server's README, "POST /completion"). What it speaks of OpenAI's wire is read as that.
"""

from llmobs.contrib._wire.params import request_params
from llmobs.contrib._wire.usage import llama_cpp_usage
from llmobs.contrib._wire.wire import Fields, StreamEvent, Wire
from llmobs.recorded.jsontext import Json, as_list, as_object, as_text
from llmobs.recorded.messages import message, text_part
from llmobs.runtime.time_slices import Steps, now_and_then

__all__ = ["WIRE"]


def _request(body: Json) -> Fields:
    given = body.get("prompt")
    if type(given) is list and given and all(type(each) is int for each in given):
        given = f"[{len(given)} token ids]"
    return {
        "model": as_text(body.get("model")),
        "stream": True if body.get("stream") is True else None,
        "prompt": given,
        "request_params": request_params(body),
    }


def _response(body: Json) -> Fields:
    answered = [as_object(each) for each in as_list(body.get("data"))] or [
        body
    ]  # to several prompts
    reasons = [_reason(each) for each in answered]
    answers = [
        message("assistant", [text_part(text)], finish_reason=reason or "")
        for each, reason in zip(answered, reasons, strict=True)
        if type(text := each.get("content")) is str
    ]
    return {
        "model_version": as_text(answered[0].get("model")),
        "response": answers,
        "finish_reason": reasons[0],
        **llama_cpp_usage(answered),
    }


def _reason(body: Json) -> str | None:
    """Return why it ended: one word, or of older servers a member for each."""
    if reason := as_text(body.get("stop_type")):
        return None if reason == "none" else reason
    return next((name for name in ("eos", "word", "limit") if body.get(f"stopped_{name}")), None)


def _assemble(events: list[StreamEvent]) -> Steps[tuple[Json, bool]]:
    pieces: list[str] = []
    body: Json = {}
    for number, data in enumerate(event.data for event in events):
        yield from now_and_then(number)
        pieces.append(as_text(data.get("content")) or "")
        body = data
    return {**body, "content": "".join(pieces)}, body.get("stop") is True


WIRE = Wire(_request, _response, _assemble, lambda data: bool(data.get("content")))
