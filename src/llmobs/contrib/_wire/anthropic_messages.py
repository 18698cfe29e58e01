"""
Anthropic's messages and token counting, also as Bedrock and Vertex speak them.

Wire rules: Anthropic API reference, "Messages", "Streaming messages", "Count tokens".
"""

from typing import Any

from llmobs.contrib._wire.params import request_params
from llmobs.contrib._wire.usage import anthropic_usage
from llmobs.contrib._wire.wire import Fields, StreamEvent, Wire
from llmobs.recorded.jsontext import Json, as_count, as_list, as_object, as_text, json_or_text
from llmobs.recorded.messages import message, message_of, parts_of, tool_calls_of
from llmobs.runtime.time_slices import Steps, now_and_then

__all__ = ["COUNT", "WIRE"]


def _request(body: Json) -> Fields:
    prompt = []
    if system := parts_of(body.get("system")):
        prompt.append(message("system", system))
    prompt += [message_of(item) for item in map(as_object, as_list(body.get("messages")))]
    return {
        "model": as_text(body.get("model")),
        "stream": True if body.get("stream") is True else None,
        "prompt": prompt,
        "request_params": request_params(body),
    }


def _response(body: Json) -> Fields:
    finish = as_text(body.get("stop_reason"))
    said = parts_of(body.get("content"))
    answers = [message(as_text(body.get("role")) or "assistant", said, finish_reason=finish or "")]
    usage = as_object(body.get("usage"))
    figures = {
        key: body[key] for key in ("stop_sequence", "stop_details", "container") if body.get(key)
    }
    figures |= {k: usage[k] for k in ("cache_creation", "server_tool_use", "speed") if usage.get(k)}
    return {
        "response_id": as_text(body.get("id")),
        "model_version": as_text(body.get("model")),
        # "Fast mode" has prices of its own, in whichever tier.
        "service_tier": "fast"
        if usage.get("speed") == "fast"
        else as_text(usage.get("service_tier")),
        "response": answers if said or finish else [],
        "finish_reason": finish,
        "tool_calls": tool_calls_of(answers),
        "response_metadata": figures or None,
        **anthropic_usage(usage),
    }


def _is_content(data: Json) -> bool:
    if data.get("type") == "content_block_start":
        # Blocks that start empty are not content yet; a tool's name is.
        block = as_object(data.get("content_block"))
        kind = block.get("type")
        return bool(block.get(kind)) if kind in ("text", "thinking") else kind is not None
    return data.get("type") == "content_block_delta"


_DELTAS = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "input_json_delta": "partial_json",
    "compaction_delta": "content",
}


def _assemble(events: list[StreamEvent]) -> Steps[tuple[Json, bool]]:
    body: Json = {}
    usage: Json = {}
    blocks: dict[Any, Json] = {}
    pieces: dict[tuple[Any, str], list[str]] = {}
    ended = False
    for number, data in enumerate(event.data for event in events):
        yield from now_and_then(number)
        kind = data.get("type")
        if kind == "message_start":
            body = dict(as_object(data.get("message")))
            usage.update(_known_at_start(as_object(body.get("usage"))))
        elif kind == "content_block_start":
            blocks[data.get("index")] = dict(as_object(data.get("content_block")))
        elif kind == "content_block_delta":
            delta = as_object(data.get("delta"))
            key = _DELTAS.get(str(delta.get("type")))
            if key is not None and type(delta.get(key)) is str:
                pieces.setdefault((data.get("index"), key), []).append(delta[key])
        elif kind == "message_delta":
            body.update(as_object(data.get("delta")))
            ended = ended or as_text(body.get("stop_reason")) is not None
            # Counts here are cumulative; those left out keep what message_start said.
            usage.update({k: v for k, v in as_object(data.get("usage")).items() if v is not None})
        elif kind == "message_stop":
            ended = True
    for (index, key), texts in pieces.items():
        block = blocks.setdefault(index, {"type": "thinking" if key == "thinking" else "text"})
        if key == "partial_json":
            block["input"] = json_or_text("".join(texts))
        else:
            block[key] = (as_text(block.get(key)) or "") + "".join(texts)
    body["content"] = list(blocks.values())
    body["usage"] = usage
    return body, ended


def _known_at_start(usage: Json) -> Json:
    """
    What ``message_start`` knows: the input. Its counts of the output are placeholders until
    ``message_delta`` brings them; so is an input of nothing (servers that only speak this wire).
    """
    known = {k: v for k, v in usage.items() if not k.startswith("output_tokens")}
    if not any(v for k, v in known.items() if k.endswith("input_tokens")):
        known = {k: v for k, v in known.items() if not k.endswith("input_tokens")}
    return known


def _count_response(body: Json) -> Fields:
    # Not usage: nothing was spent, and a run's totals must not contain it.
    return {"response_metadata": {"input_tokens": as_count(body.get("input_tokens"))}}


WIRE = Wire(_request, _response, _assemble, _is_content)
COUNT = Wire(_request, _count_response)
