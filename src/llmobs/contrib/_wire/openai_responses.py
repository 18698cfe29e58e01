"""
OpenAI's responses (API reference, "Responses" and "Streaming events").

A stream ends with an event that holds the whole answer; if that never came, the answer is put
together from what did.
"""

from typing import Any

from llmobs.contrib._wire.openai_chat import common_response
from llmobs.contrib._wire.params import request_params
from llmobs.contrib._wire.wire import Fields, StreamEvent, Wire
from llmobs.recorded.jsontext import Json, as_count, as_list, as_object, as_text
from llmobs.recorded.messages import ITEMS, message, message_of, text_part, tool_calls_of
from llmobs.runtime.time_slices import Steps, now_and_then

__all__ = ["COUNT", "LAST", "WIRE"]

LAST = frozenset({"response.completed", "response.incomplete", "response.failed"})
"""Types of the events that end a stream."""


def _request(body: Json) -> Fields:
    prompt: list[Json] = []
    instructions = body.get("instructions")
    if type(instructions) is str and instructions:
        prompt.append(message("system", [text_part(instructions)]))
    elif type(instructions) is list:
        prompt += [_item(as_object(item), "system") for item in instructions]
    given = body.get("input")
    if type(given) is str and given:
        prompt.append(message("user", [text_part(given)]))
    prompt += [_item(as_object(item), "user") for item in as_list(given)]
    return {
        "model": as_text(body.get("model")),
        "stream": True if body.get("stream") is True else None,
        "prompt": prompt,
        "request_params": request_params(body),
    }


def _item(item: Json, role: str) -> Json:
    """One item of a conversation as a message."""
    kind = item.get("type")
    if kind is None or kind in ITEMS:
        return message_of({"type": "message", **item}, role)
    # Hosted tools: web search, code interpreter, computer use and whatever comes next.
    part = {"type": "server_tool_call", "name": as_text(kind) or "", "server_tool_call": item}
    return message("assistant", [part])


def _response(body: Json) -> Fields:
    items = map(as_object, as_list(body.get("output")))
    said = [part for item in items for part in _item(item, "assistant")["parts"]]
    finish = as_text(as_object(body.get("incomplete_details")).get("reason")) or as_text(
        body.get("status")
    )
    answers = [message("assistant", said, finish_reason=finish or "")] if said else []
    kept = ("previous_response_id", "conversation", "background")
    return {
        **common_response(body),
        "response": answers,
        "finish_reason": finish,
        "tool_calls": tool_calls_of(answers),
        "session_id": as_text(as_object(body.get("conversation")).get("id")),
        "response_metadata": {k: body[k] for k in kept if body.get(k)} or None,
    }


def _is_content(data: Json) -> bool:
    kind = data.get("type")
    if kind in LAST:  # no piece came before
        return bool(as_object(data.get("response")).get("output"))
    return type(kind) is str and kind.endswith(".delta")


def _assemble(events: list[StreamEvent]) -> Steps[tuple[Json, bool]]:
    body: Json = {}
    items: dict[Any, Json] = {}
    for number, event in enumerate(events):
        yield from now_and_then(number)
        data = event.data
        kind = data.get("type")
        if not event.is_whole:
            return _cut(body, items, data), True
        if as_object(data.get("response")):
            body = data["response"]
            if kind in LAST:
                return body, True
        index = data.get("output_index")
        if type(index) is not int:
            continue
        if kind in ("response.output_item.added", "response.output_item.done"):
            items[index] = as_object(data.get("item"))
        elif type(data.get("delta")) is str:
            _add(items.setdefault(index, {}), str(kind), data["delta"])
    output = [_finished(items[index]) for index in sorted(items)]
    return {**body, "output": output, "status": "incomplete"}, False


def _cut(body: Json, items: dict[Any, Json], data: Json) -> Json:
    """The answer if its last event was too long to keep: what came before it, and its figures."""
    last = as_object(data.get("response")) or data
    output = [_finished(items[index]) for index in sorted(items)]
    status = str(data.get("type") or "response.completed").removeprefix("response.")
    return {**body, "status": status, **last, "output": output or last.get("output")}


def _add(item: Json, kind: str, delta: str) -> None:
    key = {
        "response.function_call_arguments.delta": "arguments",
        "response.custom_tool_call_input.delta": "input",
        "response.mcp_call_arguments.delta": "arguments",
        "response.code_interpreter_call_code.delta": "code",
        "response.refusal.delta": "refusal",
        "response.reasoning_text.delta": "thought",
        "response.reasoning_summary_text.delta": "thought",
        "response.output_text.delta": "text",
    }.get(kind)
    if key is not None:
        item.setdefault(f"_{key}", []).append(delta)


def _finished(item: Json) -> Json:
    """An item whose deltas came, but not its end."""
    pieces = {key[1:]: "".join(item[key]) for key in list(item) if key.startswith("_")}
    if not pieces:
        return item
    whole = {key: value for key, value in item.items() if not key.startswith("_")}
    for key in ("arguments", "input", "code"):
        if key in pieces:
            whole[key] = pieces[key]
    content = []
    if "text" in pieces:
        content.append({"type": "output_text", "text": pieces["text"]})
    if "refusal" in pieces:
        content.append({"type": "refusal", "refusal": pieces["refusal"]})
    if "thought" in pieces:
        whole["summary"] = [{"type": "summary_text", "text": pieces["thought"]}]
    return {**whole, "content": content} if content else whole


def _count_response(body: Json) -> Fields:
    # Not usage: nothing was spent, and a run's totals must not contain it.
    return {"response_metadata": {"input_tokens": as_count(body.get("input_tokens"))}}


WIRE = Wire(_request, _response, _assemble, _is_content, in_background=True)
COUNT = Wire(_request, _count_response)
