"""
Amazon Bedrock's ``Converse``, ``ConverseStream`` and ``CountTokens`` (Bedrock Runtime API reference, of
each; compared with the types of botocore's service model, 1.44.8). Amazon Nova speaks the same words in
``InvokeModel``.
"""

from typing import Any

from llmobs.contrib._wire.params import request_params
from llmobs.contrib._wire.usage import anthropic_usage
from llmobs.contrib._wire.wire import Fields, StreamEvent, Wire
from llmobs.recorded.jsontext import Json, as_count, as_list, as_object, as_text, json_or_text
from llmobs.recorded.messages import blob, message, text_part, tool_call, tool_calls_of
from llmobs.runtime.time_slices import Steps, now_and_then

__all__ = ["COUNT", "EVENTS", "WIRE", "medium", "usage_of"]

_MEDIA = {"image": "image", "video": "video", "audio": "audio", "document": "document"}
_TYPES = {"document": "application", "image": "image", "video": "video", "audio": "audio"}
EVENTS = frozenset(
    {
        "messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop",
        "metadata",
    }
)  # fmt: skip
"""Names of the events of a stream."""


def _request(body: Json) -> Fields:
    prompt = []
    system = body.get("system")
    if said := _parts(system if type(system) is list else [{"text": system}] if system else []):
        prompt.append(message("system", said))
    prompt += [
        message(as_text(item.get("role")) or "user", _parts(item.get("content")))
        for item in map(as_object, as_list(body.get("messages")))
    ]
    return {"prompt": prompt, "request_params": request_params(body)}


def _parts(content: Any) -> list[Json]:
    return [part for block in as_list(content) for part in _part(as_object(block))]


def _part(block: Json) -> list[Json]:
    """The parts that one block is: an object with one member, which names its kind."""
    kind, value = next(iter(block.items()), ("", None))
    inside = as_object(value)
    if kind == "text":
        return [text_part(as_text(value) or "")]
    if kind == "toolUse":
        return [tool_call(inside.get("toolUseId"), inside.get("name"), inside.get("input"))]
    if kind == "toolResult":
        return [_result(inside)]
    if kind == "reasoningContent":
        # Sealed ones hold bytes that only the provider can read.
        said = as_text(as_object(inside.get("reasoningText")).get("text")) or ""
        return [text_part(said, "reasoning")]
    if kind == "guardContent":
        return [text_part(as_text(as_object(inside.get("text")).get("text")) or "")]
    if kind == "citationsContent":
        texts = (as_text(as_object(each).get("text")) for each in as_list(inside.get("content")))
        return [text_part("".join(filter(None, texts)))]
    if kind == "cachePoint":
        return []
    if kind in _MEDIA:
        return [medium(kind, inside)]
    return [{"type": kind or "unknown", **inside}]


def medium(kind: str, value: Json) -> Json:
    """Return the part for a picture, a sound, a film or a document, as blocks of contents hold one."""
    source = as_object(value.get("source"))
    place = as_text(as_object(source.get("s3Location")).get("uri"))
    if place is not None:
        return {"type": "uri", "modality": _MEDIA[kind], "uri": place}
    if as_text(source.get("text")):
        return text_part(source["text"])
    named = f"{_TYPES[kind]}/{as_text(value.get('format')) or 'octet-stream'}"
    return blob(_MEDIA[kind], named, source.get("bytes"))


def _result(value: Json) -> Json:
    part: Json = {"type": "tool_call_response"}
    if as_text(value.get("toolUseId")):
        part["id"] = value["toolUseId"]
    blocks = [as_object(block) for block in as_list(value.get("content"))]
    if blocks and all("text" in block for block in blocks):
        part["response"] = "".join(as_text(block["text"]) or "" for block in blocks)
    elif len(blocks) == 1 and "json" in blocks[0]:
        part["response"] = blocks[0]["json"]
    else:
        part["response"] = [
            {"type": "json", "json": block["json"]} if "json" in block else inner
            for block in blocks
            for inner in (_part(block) if "json" not in block else [block])
        ]
    if value.get("status") == "error":
        part["is_error"] = True
    return part


def _response(body: Json) -> Fields:
    said = as_object(as_object(body.get("output")).get("message"))
    parts = _parts(said.get("content"))
    finish = as_text(body.get("stopReason"))
    answers = [message(as_text(said.get("role")) or "assistant", parts, finish_reason=finish or "")]
    kept = ("additionalModelResponseFields", "trace", "metrics", "performanceConfig")
    cited = [
        each
        for block in map(as_object, as_list(said.get("content")))
        for each in as_list(as_object(block.get("citationsContent")).get("citations"))
    ]
    return {
        "response": answers if parts or finish else [],
        "finish_reason": finish,
        "tool_calls": tool_calls_of(answers),
        "service_tier": as_text(as_object(body.get("serviceTier")).get("type")),
        "response_metadata": {k: body[k] for k in kept if body.get(k)}
        | ({"citations": cited} if cited else {})
        or None,
        **usage_of(body.get("usage")),
    }


def usage_of(value: Any) -> Fields:
    """
    Read ``usage``: its input leaves out what was read from the cache and written to it, as
    Anthropic's does (Bedrock user guide, "Prompt caching"); ``cacheDetails`` tells for how long.
    """
    usage = as_object(value)
    written = {
        f"ephemeral_{each.get('ttl')}_input_tokens": each.get("inputTokens")
        for each in map(as_object, as_list(usage.get("cacheDetails")))
    }
    return anthropic_usage(
        ({"cache_creation": written} if written else {})
        | {
            theirs: usage[name]
            for name, theirs in (
                ("inputTokens", "input_tokens"),
                ("outputTokens", "output_tokens"),
                ("cacheReadInputTokens", "cache_read_input_tokens"),
                ("cacheReadInputTokenCount", "cache_read_input_tokens"),  # Nova's own
                ("cacheWriteInputTokens", "cache_creation_input_tokens"),
                ("cacheWriteInputTokenCount", "cache_creation_input_tokens"),
            )
            if usage.get(name) is not None
        }
    )


def _is_content(data: Json) -> bool:
    inner = data if "delta" in data or "start" in data else as_object(next(iter(data.values()), 0))
    return bool(as_object(inner.get("delta")) or as_object(inner.get("start")))


def _assemble(events: list[StreamEvent]) -> Steps[tuple[Json, bool]]:
    body: Json = {}
    role = "assistant"
    blocks: dict[Any, _Block] = {}
    ended = False
    for number, (name, data, *_) in enumerate(events):
        yield from now_and_then(number)
        if name not in EVENTS:  # Nova names them inside
            name = next((key for key in data if key in EVENTS), "")
            data = as_object(data.get(name))
        index = data.get("contentBlockIndex")
        if name == "messageStart":
            role = as_text(data.get("role")) or role
        elif name == "contentBlockStart":
            blocks.setdefault(index, _Block()).start(as_object(data.get("start")))
        elif name == "contentBlockDelta":
            blocks.setdefault(index, _Block()).add(as_object(data.get("delta")))
        elif name == "messageStop":
            body.update(data)
            ended = as_text(data.get("stopReason")) is not None
        elif name == "metadata":
            body.update(data)
    content = [block.whole() for block in blocks.values()]
    body["output"] = {"message": {"role": role, "content": content}}
    return body, ended


class _Block:
    """A block whose deltas are coming in."""

    def __init__(self) -> None:
        self._kind = ""
        self._start: Json = {}
        self._texts: list[str] = []
        self._thoughts: list[str] | None = None
        self._input: list[str] = []
        self._results: list[Any] = []
        self._citations: list[Json] = []
        self._other: Json = {}

    def start(self, start: Json) -> None:
        self._kind, value = next(iter(start.items()), ("", None))
        self._start = as_object(value)

    def add(self, delta: Json) -> None:
        if type(delta.get("text")) is str:
            self._texts.append(delta["text"])
        elif thought := as_object(delta.get("reasoningContent")):
            self._thoughts = self._thoughts or []
            self._thoughts.append(as_text(thought.get("text")) or "")
        elif use := as_object(delta.get("toolUse")):
            self._input.append(as_text(use.get("input")) or "")
        elif cited := as_object(delta.get("citation")):
            self._citations.append(cited)
        elif "toolResult" in delta:
            self._results += as_list(delta["toolResult"])
        else:
            self._other.update(delta)

    def whole(self) -> Json:
        if self._kind == "toolUse" or self._input:
            return {"toolUse": {**self._start, "input": json_or_text("".join(self._input)) or {}}}
        if self._kind == "toolResult" or self._results:
            return {"toolResult": {**self._start, "content": self._results}}
        if self._thoughts is not None:
            return {"reasoningContent": {"reasoningText": {"text": "".join(self._thoughts)}}}
        text = "".join(self._texts)
        if self._citations:
            return {"citationsContent": {"content": [{"text": text}], "citations": self._citations}}
        if self._kind and self._kind in self._other:  # a picture: its format comes first
            return {self._kind: {**self._start, **as_object(self._other[self._kind])}}
        return self._other or {"text": text}


def _count_request(body: Json) -> Fields:
    # What is to be counted may also be the body of InvokeModel, in base64.
    return _request(as_object(as_object(body.get("input")).get("converse")))


def _count_response(body: Json) -> Fields:
    # Not usage: nothing was spent.
    return {"response_metadata": {"input_tokens": as_count(body.get("inputTokens"))}}


WIRE = Wire(_request, _response, _assemble, _is_content)
COUNT = Wire(_count_request, _count_response)
