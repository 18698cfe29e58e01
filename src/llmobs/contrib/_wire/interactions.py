"""
Gemini's interactions: steps of models and agents, the newer of its two interfaces.

Wire rules: Gemini API reference, "Interactions", and the types of the ``google-genai`` package (from 2.34 on; what
the first previews called ``outputs`` is read as contents). Names may be written in camel case, as Vertex does.
"""

from typing import Any, Final

from llmobs.contrib._wire.gemini import camel, file_part, modality
from llmobs.contrib._wire.params import request_params
from llmobs.contrib._wire.usage import gemini_usage
from llmobs.contrib._wire.wire import Fields, StreamEvent, Wire
from llmobs.events import ErrorInfo, Status
from llmobs.recorded.jsontext import Json, as_count, as_list, as_object, as_text
from llmobs.recorded.messages import blob, message, text_part, tool_call, tool_calls_of
from llmobs.runtime.time_slices import Steps, now_and_then

__all__ = ["WIRE"]

_NOT_PARAMS: Final = frozenset({"input", "systemInstruction"})
_MEDIA: Final = frozenset({"image", "audio", "video", "document"})
_ROLES: Final = {"user_input": "user", "function_result": "tool"}
"""By the types of steps; all others are the model's."""
_COUNTS: Final = (
    ("promptTokenCount", "totalInputTokens"),
    ("toolUsePromptTokenCount", "totalToolUseTokens"),
    ("candidatesTokenCount", "totalOutputTokens"),
    ("thoughtsTokenCount", "totalThoughtTokens"),
    ("cachedContentTokenCount", "totalCachedTokens"),
    ("totalTokenCount", "totalTokens"),
)
_BY_MODALITY: Final = (
    ("promptTokensDetails", "inputTokensByModality"),
    ("toolUsePromptTokensDetails", "toolUseTokensByModality"),
    ("cacheTokensDetails", "cachedTokensByModality"),
    ("candidatesTokensDetails", "outputTokensByModality"),
)
_KEPT: Final = ("previousInteractionId", "environmentId", "background")


def _request(body: Json) -> Fields:
    body = camel(body)
    prompt = []
    if system := as_text(body.get("systemInstruction")):
        prompt.append(message("system", [text_part(system)]))
    given = body.get("input")
    if type(given) is str:
        prompt.append(message("user", [text_part(given)]))
    prompt += _messages([given] if type(given) is dict else as_list(given), "user")
    rest = {key: value for key, value in body.items() if key not in _NOT_PARAMS}
    rest["generationConfig"] = camel(as_object(body.get("generationConfig")))
    return {
        "model": as_text(body.get("model")) or as_text(body.get("agent")),
        "stream": True if body.get("stream") is True else None,
        "prompt": prompt,
        "request_params": request_params(rest),
    }


def _messages(items: list[Any], role: str) -> list[Json]:
    """Return steps, turns or contents as messages; neighbours of one role are one."""
    found: list[Json] = []
    for item in map(camel, map(as_object, items)):
        said = as_text(item.get("role")) or _ROLES.get(str(item.get("type")), "")
        if not said:
            said = "assistant" if _is_models(item) else role
        said = "assistant" if said == "model" else said
        parts = _parts(item)
        if found and found[-1]["role"] == said:
            found[-1]["parts"] += parts
        elif parts:
            found.append(message(said, parts))
    return found


def _is_models(item: Json) -> bool:
    kind = as_text(item.get("type")) or ""
    return kind in ("model_output", "thought") or kind.endswith(("_call", "_result"))


def _parts(item: Json) -> list[Json]:
    """Return a step or a content in our words."""
    kind = as_text(item.get("type")) or ""
    if type(text := item.get("text")) is str:
        return [text_part(text)] if text else []
    if kind in ("user_input", "model_output", ""):  # the last, a turn of the first previews
        content = item.get("content")
        if type(content) is str:
            return [text_part(content)]
        return [part for each in as_list(content) for part in _parts(camel(as_object(each)))]
    if kind == "thought":
        texts = (as_text(as_object(each).get("text")) for each in as_list(item.get("summary")))
        return [text_part(text, "reasoning") for text in texts if text]
    if kind == "function_call":
        return [tool_call(item.get("id"), item.get("name"), item.get("arguments") or {})]
    if kind == "function_result":
        known = {"id": item.get("callId"), "name": item.get("name")}
        named = {key: value for key, value in known.items() if value}
        return [{"type": "tool_call_response", **named, "response": item.get("result")}]
    if kind in _MEDIA:
        mime = as_text(item.get("mimeType"))
        if uri := as_text(item.get("uri")):
            return [file_part(uri, mime, kind)]
        return [blob(modality(mime or kind), mime, item.get("data"))]
    name = kind.removesuffix("_call").removesuffix("_result")
    word = "server_tool_call" if kind.endswith("_call") else "server_tool_call_response"
    rest = {key: value for key, value in item.items() if key != "signature"}
    return [{"type": word, "name": name, word: rest}]


def _response(body: Json) -> Fields:
    body = camel(body)
    steps = as_list(body.get("steps")) or as_list(body.get("outputs"))
    status = as_text(body.get("status"))
    answers = [
        {**each, "finish_reason": status or ""}
        for each in _messages(steps, "assistant")
        if each["role"] == "assistant"
    ]
    fields: Fields = {
        "response_id": as_text(body.get("id")),
        "model_version": as_text(body.get("model")) or as_text(body.get("agent")),
        "response": answers,
        "finish_reason": status,
        "tool_calls": tool_calls_of(answers),
        "service_tier": as_text(body.get("serviceTier")),
        "response_metadata": {key: body[key] for key in _KEPT if body.get(key)} or None,
        **_usage(camel(as_object(body.get("usage")))),
    }
    if status == "failed":
        error = as_object(next(iter(as_list(body.get("errors"))), None))
        words = as_text(error.get("message")) or "the interaction failed"
        fields |= {
            "status": Status.ERROR,
            "error": ErrorInfo(message=words, code=as_text(error.get("code"))),
        }
    elif status == "cancelled":
        fields["status"] = Status.CANCELLED
    return fields


def _usage(usage: Json) -> Fields:
    """Its counts are those of Gemini's answers by other names: thoughts are beside what is said."""
    counts: Json = {
        name: usage[theirs] for name, theirs in _COUNTS if usage.get(theirs) is not None
    }
    for name, theirs in _BY_MODALITY:
        counts[name] = [
            {"modality": each.get("modality"), "tokenCount": each.get("tokens")}
            for each in map(as_object, as_list(usage.get(theirs)))
        ]
    return gemini_usage({"usageMetadata": counts})


def _kind(data: Json) -> str:
    return as_text(data.get("event_type")) or as_text(data.get("eventType")) or ""


def _is_content(data: Json) -> bool:
    return _kind(data) == "step.delta"


def _assemble(events: list[StreamEvent]) -> Steps[tuple[Json, bool]]:
    body: Json = {}
    steps: dict[int, Json] = {}
    ended = False
    for number, data in enumerate(event.data for event in events):
        yield from now_and_then(number)
        kind = _kind(data)
        index = as_count(data.get("index")) or 0
        if interaction := as_object(data.get("interaction")):
            body.update(
                {
                    key: interaction[key]
                    for key in interaction
                    if interaction[key] not in (None, [], "")
                }
            )
            ended |= interaction.get("status") not in (None, "in_progress", "queued")
        elif kind == "step.start":
            steps[index] = dict(as_object(data.get("step")))
        elif kind == "step.delta":
            _add(steps.setdefault(index, {"type": "model_output"}), as_object(data.get("delta")))
    if steps:
        body["steps"] = [_joined(steps[index]) for index in sorted(steps)]
    return body, ended


def _add(step: Json, delta: Json) -> None:
    """Add a piece to its step: texts and arguments grow, all else stands in it as it comes."""
    kind = as_text(delta.get("type"))
    if kind == "arguments_delta":
        _grow(step, "arguments", delta.get("arguments"))
    elif kind in ("thought_summary", "text") or kind in _MEDIA:
        name = "summary" if kind == "thought_summary" else "content"
        piece = as_object(delta.get("content")) if kind == "thought_summary" else delta
        contents = step[name] = as_list(step.get(name))
        if type(piece.get("text")) is not str:
            contents.append(piece)
            return
        if not contents or "text" not in as_object(contents[-1]):
            contents.append({"type": "text", "text": ""})
        _grow(contents[-1], "text", piece["text"])
    elif kind != "thought_signature":
        step.update({key: value for key, value in delta.items() if key != "type"})


def _grow(item: Json, name: str, text: Any) -> None:
    pieces = item.get(name)
    if type(pieces) is not list:
        item[name] = pieces = [pieces] if type(pieces) is str else []
    if type(text) is str:
        pieces.append(text)


def _joined(step: Json) -> Json:
    grown = [(step, "arguments")]
    for name in ("content", "summary"):
        grown += [(each, "text") for each in map(as_object, as_list(step.get(name)))]
    for item, name in grown:
        if type(item.get(name)) is list:
            item[name] = "".join(map(str, item[name]))
    return step


WIRE = Wire(_request, _response, _assemble, _is_content, in_background=True)
