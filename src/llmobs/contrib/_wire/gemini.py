"""
Google's Gemini, also as Vertex speaks it: answers, streams, embeddings, counting of tokens.

Wire rules: Gemini API reference, "Generating content", "Embeddings", "Counting tokens", and the types
of the ``google-genai`` package. Names may be written in camel case or with underscores.
"""

import re
from typing import Any, Final

from llmobs.contrib._wire.openai_other import vector_figures
from llmobs.contrib._wire.params import request_params
from llmobs.contrib._wire.usage import gemini_usage
from llmobs.contrib._wire.wire import Fields, StreamEvent, Wire
from llmobs.recorded.jsontext import Json, as_count, as_list, as_object, as_text
from llmobs.recorded.messages import blob, message, text_part, tool_call, tool_calls_of
from llmobs.runtime.time_slices import Steps, now_and_then

__all__ = ["COUNT", "EMBEDDINGS", "STREAM", "WIRE", "camel", "file_part", "joined", "modality"]

_CONTENT: Final = frozenset({"contents", "systemInstruction"})
_OF_CANDIDATES: Final = (
    "groundingMetadata", "citationMetadata", "urlContextMetadata", "safetyRatings", "finishMessage",
)  # fmt: skip
_OF_THE_ANSWER: Final = ("responseId", "modelVersion", "promptFeedback", "usageMetadata", "error")
_CAPITAL: Final = re.compile("_([a-z])")


def camel(item: Json) -> Json:
    """Return *item* with the names of its members as answers have them."""
    return {_CAPITAL.sub(lambda found: found[1].upper(), key): item[key] for key in item}


def _request(body: Json) -> Fields:
    body = camel(body)
    prompt = []
    if system := _parts(as_object(body.get("systemInstruction")).get("parts")):
        prompt.append(message("system", system))
    prompt += [_message(item, "user") for item in as_list(body.get("contents"))]
    rest = {key: value for key, value in body.items() if key not in _CONTENT}
    rest["generationConfig"] = camel(as_object(body.get("generationConfig")))
    return {"prompt": prompt, "request_params": request_params(rest)}


def _message(item: Any, role: str) -> Json:
    content = as_object(item)
    said = as_text(content.get("role")) or role
    parts = _parts(content.get("parts"))
    if parts and all(part["type"] == "tool_call_response" for part in parts):
        said = "tool"
    return message("assistant" if said == "model" else said, parts)


def _parts(value: Any) -> list[Json]:
    # A single part may stand without its list.
    items = [value] if type(value) is dict else as_list(value)
    return [part for item in items if (part := _part(camel(as_object(item))))]


def _part(item: Json) -> Json | None:
    """Return one part in our words; None for one that only carries the signature of a thought."""
    if type(text := item.get("text")) is str:
        return (
            text_part(text, "reasoning" if item.get("thought") is True else "text")
            if text
            else None
        )
    if call := as_object(item.get("functionCall")):
        return tool_call(call.get("id"), call.get("name"), call.get("args") or {})
    if found := as_object(item.get("functionResponse")):
        known = {key: found[key] for key in ("id", "name") if found.get(key)}
        return {"type": "tool_call_response", **known, "response": found.get("response")}
    if found := camel(as_object(item.get("inlineData"))):
        kind = as_text(found.get("mimeType"))
        return blob(modality(kind), kind, found.get("data"))
    if found := camel(as_object(item.get("fileData"))):
        return file_part(found.get("fileUri") or "", as_text(found.get("mimeType")))
    if found := as_object(item.get("executableCode")):
        return {"type": "executable_code", **found}
    if found := as_object(item.get("codeExecutionResult")):
        return {"type": "code_execution_result", **found}
    rest = {key: item[key] for key in item if key not in ("thoughtSignature", "thought")}
    return {"type": next(iter(rest)), **rest} if rest else None


def modality(mime_type: str | None) -> str:
    kind = (mime_type or "").partition("/")[0]
    return kind if kind in ("image", "audio", "video") else "document"


def file_part(uri: str, mime_type: str | None, kind: str = "") -> Json:
    """Return what stands for a file that is elsewhere, of a *kind* if its type is not told."""
    part = {"type": "uri", "modality": modality(mime_type or kind), "uri": uri}
    return {**part, "mime_type": mime_type} if mime_type else part


def _response(body: Json) -> Fields:
    answers = []
    reasons = []
    figures: Json = {}
    for candidate in map(as_object, as_list(body.get("candidates"))):
        reason = as_text(candidate.get("finishReason"))
        reasons += [reason] if reason else []
        said = _message(candidate.get("content"), "assistant")
        answers.append({**said, "finish_reason": reason or ""})
        for key in _OF_CANDIDATES:
            if candidate.get(key):
                figures.setdefault(key, candidate[key])
    feedback = as_object(body.get("promptFeedback"))
    if feedback:
        figures["promptFeedback"] = feedback
    usage = as_object(body.get("usageMetadata"))
    if traffic := as_text(usage.get("trafficType")):
        figures["trafficType"] = traffic
    return {
        "response_id": as_text(body.get("responseId")),
        "model_version": as_text(body.get("modelVersion")),
        "response": answers,
        # A prompt that is blocked has no answer, but a reason.
        "finish_reason": reasons[0] if reasons else as_text(feedback.get("blockReason")),
        "tool_calls": tool_calls_of(answers),
        "response_metadata": figures or None,
        **gemini_usage(body),
    }


def _is_content(data: Json) -> bool:
    return any(
        _parts(as_object(as_object(candidate).get("content")).get("parts"))
        for candidate in as_list(data.get("candidates"))
    )


def _assemble(events: list[StreamEvent]) -> Steps[tuple[Json, bool]]:
    body: Json = {}
    candidates: dict[int, Json] = {}
    for number, data in enumerate(event.data for event in events):
        yield from now_and_then(number)
        body.update({key: data[key] for key in _OF_THE_ANSWER if data.get(key)})
        for piece in map(as_object, as_list(data.get("candidates"))):
            given = piece.get("index")
            index = given if type(given) is int else 0
            whole = candidates.setdefault(index, {"content": {"role": "model", "parts": []}})
            whole.update({k: v for k, v in piece.items() if k != "content" and v})
            parts = whole["content"]["parts"]
            for part in as_list(as_object(piece.get("content")).get("parts")):
                _add(parts, as_object(part))
    for candidate in candidates.values():
        _join(candidate["content"]["parts"])
    body["candidates"] = [candidates[index] for index in sorted(candidates)]
    blocked = as_object(body.get("promptFeedback")).get("blockReason")
    finished = all(each.get("finishReason") for each in candidates.values())
    ended = bool(blocked) or (bool(candidates) and finished)
    if not ended and (usage := as_object(body.get("usageMetadata"))):
        # Counts of the output run along: before the end they are not what is billed.
        ours = {k: v for k, v in usage.items() if k.startswith(("prompt", "cache", "toolUse"))}
        body["usageMetadata"] = ours
    return body, ended


def joined(pieces: list[Json]) -> list[Json]:
    """Return the parts that *pieces* of a stream are."""
    parts: list[Json] = []
    for piece in pieces:
        _add(parts, piece)
    _join(parts)
    return parts


def _join(parts: list[Json]) -> None:
    for part in parts:
        if type(part.get("text")) is list:
            part["text"] = "".join(part["text"])


def _add(parts: list[Json], part: Json) -> None:
    """Add a piece of a stream: texts of one kind join, and so do the arguments of a call."""
    last = parts[-1] if parts else {}
    call = as_object(part.get("functionCall"))
    if type(text := part.get("text")) is str:
        if not text:
            return
        if type(last.get("text")) is list and bool(last.get("thought")) == bool(
            part.get("thought")
        ):
            last["text"].append(text)
        else:
            parts.append({"text": [text], "thought": part.get("thought") is True})
    elif "partialArgs" in call or (call and not call.get("name") and not call.get("args")):
        open_call = as_object(last.get("functionCall"))
        if call.get("name") or not open_call:
            open_call = {**call, "args": {}}
            parts.append({"functionCall": open_call})
        _add_arguments(open_call["args"], as_list(call.get("partialArgs")))
    elif call:
        parts.append({"functionCall": {**call, "args": dict(as_object(call.get("args")))}})
    else:
        parts.append(part)


def _add_arguments(arguments: Json, pieces: list[Any]) -> None:
    """Vertex's ``streamFunctionCallArguments``: each piece names the argument it belongs to."""
    for piece in map(as_object, pieces):
        name = (as_text(piece.get("jsonPath")) or "").removeprefix("$.")
        values = [piece[k] for k in ("stringValue", "numberValue", "boolValue") if k in piece]
        value = values[0] if values else None
        before = arguments.get(name)
        if type(before) is str and type(value) is str:
            arguments[name] = before + value
        elif before is None:
            arguments[name] = value


# Embeddings: Gemini's one and several, Vertex's `predict`.


def _embedding_request(body: Json) -> Fields:
    body = camel(body)
    asked = as_list(body.get("requests")) or as_list(body.get("instances")) or [body]
    found = [camel(as_object(each)) for each in asked]
    contents = [each.get("content") for each in found]
    texts = [each if type(each) is str else _text_of(each) for each in contents]
    kept = ("taskType", "title", "outputDimensionality", "embedContentConfig")
    params = {key: found[0][key] for key in kept if found[0].get(key) is not None}
    params |= as_object(body.get("parameters"))
    return {"prompt": texts[0] if len(texts) == 1 else texts, "request_params": params or None}


def _text_of(content: Any) -> str:
    parts = _parts(as_object(content).get("parts"))
    named = (part.get("content") or f"[{part.get('mime_type') or part['type']}]" for part in parts)
    return "\n".join(str(each) for each in named)


def _embedding_response(body: Json) -> Fields:
    predictions = [as_object(each).get("embeddings") for each in as_list(body.get("predictions"))]
    vectors = predictions or as_list(body.get("embeddings")) or [body.get("embedding")]
    found = [vector for vector in map(as_object, vectors) if vector]
    figures = vector_figures([as_list(vector.get("values")) for vector in found])
    fields: Fields = {"response_metadata": figures, **gemini_usage(body)}
    statistics = [as_object(each.get("statistics")) for each in found]
    counts = [as_count(each.get("token_count", each.get("tokenCount"))) for each in statistics]
    known = [count for count in counts if count is not None]
    if known and len(known) == len(found):
        fields["tokens_input"] = sum(known)
    elif (count := as_count(body.get("tokenCount"))) is not None:  # in a batch
        fields["tokens_input"] = count
    return fields


def _count_request(body: Json) -> Fields:
    return _request(as_object(body.get("generateContentRequest")) or body)


def _count_response(body: Json) -> Fields:
    # Not usage: nothing was spent, and a run's totals must not contain it.
    return {"response_metadata": {"input_tokens": as_count(body.get("totalTokens"))}}


WIRE = Wire(_request, _response, _assemble, _is_content)
STREAM = Wire(
    lambda body: {**_request(body), "stream": True},
    _response,
    _assemble,
    _is_content,
    comes_as_array=True,
)
EMBEDDINGS = Wire(_embedding_request, _embedding_response)
COUNT = Wire(_count_request, _count_response)
