"""
Chat completions, as OpenAI and everybody compatible speaks them.

Wire rules: OpenAI API reference, "Chat"; reasoning in ``reasoning_content`` (DeepSeek, vLLM) or
``reasoning`` (Groq, OpenRouter); usage in ``x_groq`` (Groq).
"""

from typing import Any

from llmobs.contrib._wire.messages import message, parts, text_part, tool_call, tool_calls_of
from llmobs.contrib._wire.usage import openai_usage
from llmobs.contrib._wire.wire import (
    Fields,
    Json,
    StreamEvent,
    Wire,
    as_dict,
    as_list,
    as_text,
)

__all__ = ["WIRE", "common_response", "request_params"]

_NOT_PARAMS = frozenset(
    {"messages", "input", "prompt", "system", "instructions", "model", "stream"}
)


def request_params(body: Json) -> Json | None:
    """Return what a request sets beside its content: temperature and its like, tools, formats."""
    return {k: v for k, v in body.items() if k not in _NOT_PARAMS and v is not None} or None


def common_response(body: Json) -> Fields:
    """Read what all of OpenAI's answers have in common."""
    return {
        "response_id": as_text(body.get("id")),
        "model_version": as_text(body.get("model")),
        "service_tier": as_text(body.get("service_tier")),
        **openai_usage(body.get("usage")),
    }


def _request(body: Json) -> Fields:
    return {
        "model": as_text(body.get("model")),
        "stream": True if body.get("stream") is True else None,
        "prompt": [_message(as_dict(item)) for item in as_list(body.get("messages"))],
        "request_params": request_params(body),
    }


def _message(item: Json) -> Json:
    """One message, of a request or of an answer."""
    role = as_text(item.get("role")) or "assistant"
    if role in ("tool", "function"):
        response = item.get("content")
        if type(response) is list:
            found = parts(response)
            texts = [part["content"] for part in found if part["type"] == "text"]
            response = "".join(texts) if len(texts) == len(found) else found
        answer = {
            "type": "tool_call_response",
            "id": item.get("tool_call_id"),
            "response": response,
        }
        return message(role, [answer], name=as_text(item.get("name")))
    said: list[Json] = []
    if thought := as_text(item.get("reasoning_content")) or as_text(item.get("reasoning")):
        said.append(text_part(thought, "reasoning"))
    said += parts(item.get("content"))
    if refusal := as_text(item.get("refusal")):
        said.append(text_part(refusal, "refusal"))
    if item.get("audio"):
        audio = as_dict(item["audio"])
        said.append({"type": "blob", "modality": "audio", "content": ""})
        if transcript := as_text(audio.get("transcript")):
            said.append(text_part(transcript))
    said += [_tool_call(as_dict(call)) for call in as_list(item.get("tool_calls"))]
    if call := as_dict(item.get("function_call")):
        said.append(tool_call(None, call.get("name"), call.get("arguments")))
    return message(role, said, name=as_text(item.get("name")))


def _tool_call(call: Json) -> Json:
    function = as_dict(call.get("function"))
    if custom := as_dict(call.get("custom")):
        # The input of a custom tool is free text, even where it happens to be JSON.
        part = tool_call(call.get("id"), custom.get("name"), None)
        return {**part, "arguments": custom.get("input")}
    return tool_call(call.get("id"), function.get("name"), function.get("arguments"))


def _response(body: Json) -> Fields:
    answers = []
    finish = None
    for choice in map(as_dict, as_list(body.get("choices"))):
        reason = as_text(choice.get("finish_reason"))
        finish = finish or reason
        answers.append({**_message(as_dict(choice.get("message"))), "finish_reason": reason or ""})
    kept = ("system_fingerprint", "prompt_filter_results", "citations")
    return {
        **common_response(body),
        "response": answers,
        "finish_reason": finish,
        "tool_calls": tool_calls_of(answers),
        "response_metadata": {k: body[k] for k in kept if body.get(k)} or None,
    }


def _is_content(data: Json) -> bool:
    for choice in as_list(data.get("choices")):
        delta = as_dict(as_dict(choice).get("delta"))
        if any(value for key, value in delta.items() if key != "role"):
            return True
    return False


def _assemble(events: list[StreamEvent]) -> tuple[Json, bool]:
    body: Json = {}
    choices: dict[int, Json] = {}
    for data in (event.data for event in events):
        for key in ("id", "model", "service_tier", "system_fingerprint", "prompt_filter_results"):
            if data.get(key):
                body[key] = data[key]
        usage = data.get("usage") or as_dict(data.get("x_groq")).get("usage")
        if usage:
            body["usage"] = usage
        for part in map(as_dict, as_list(data.get("choices"))):
            index = part.get("index")
            choice = choices.setdefault(
                index if type(index) is int else 0, {"message": {}, "finish_reason": None}
            )
            choice["finish_reason"] = part.get("finish_reason") or choice["finish_reason"]
            _add(choice["message"], as_dict(part.get("delta")))
    body["choices"] = [_joined(choices[index]) for index in sorted(choices)]
    finished = bool(choices) and all(choice["finish_reason"] for choice in choices.values())
    return body, finished


def _add(target: Json, delta: Json) -> None:
    """Add one delta: texts are collected in lists and joined at the end."""
    for key, value in delta.items():
        if key == "role":
            target["role"] = value or target.get("role")
        elif key == "tool_calls":
            for call in map(as_dict, as_list(value)):
                _add_call(target.setdefault("tool_calls", {}), call)
        elif key == "function_call":
            _add_texts(target.setdefault("function_call", {}), as_dict(value))
        elif type(value) is str:
            target.setdefault(key, []).append(value)
        elif type(value) is list:  # Mistral streams parts
            target.setdefault("parts", []).extend(value)


def _add_call(calls: dict[Any, Json], call: Json) -> None:
    # Gemini's compatible endpoint leaves the index out and sends each call whole.
    index = call.get("index")
    known = calls.setdefault(index if type(index) is int else len(calls), {})
    for key in ("id", "type"):
        known[key] = known.get(key) or call.get(key)
    for key in ("function", "custom"):
        if type(call.get(key)) is dict:
            _add_texts(known.setdefault(key, {}), call[key])


def _add_texts(target: Json, delta: Json) -> None:
    for key, value in delta.items():
        if type(value) is str:
            target.setdefault(key, []).append(value)


def _joined(choice: Json) -> Json:
    said: Json = {}
    for key, value in choice["message"].items():
        if key == "tool_calls":
            said[key] = [_joined_texts(call) for call in value.values()]
        elif key == "function_call":
            said[key] = _joined_texts(value)
        elif type(value) is list and key != "parts":
            said[key] = "".join(value)
        else:
            said[key] = value
    if "parts" in said:
        text = said.get("content")
        said["content"] = ([{"type": "text", "text": text}] if text else []) + said.pop("parts")
    return {"message": said, "finish_reason": choice["finish_reason"]}


def _joined_texts(value: Any) -> Any:
    if type(value) is list:
        return "".join(value)
    if type(value) is dict:
        return {key: _joined_texts(inner) for key, inner in value.items()}
    return value


WIRE = Wire(_request, _response, _assemble, _is_content)
