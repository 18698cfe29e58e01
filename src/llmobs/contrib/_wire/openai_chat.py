"""
Chat completions, as OpenAI and everybody compatible speaks them.

The deltas of a stream are merged to the message they are pieces of: texts follow each other; what
identifies (ids, types, indexes) stands; objects merge member by member; items of a list merge with
those of the same ``index`` and type, and else follow each other. Content may come in texts and in
parts. Which call of a tool a delta belongs to is said by its index and id, and where servers leave
these out or repeat them, by its name: see `_Calls`.

Wire rules: OpenAI API reference, "Chat" and "Chat: streaming"; reasoning in ``reasoning_content``
(DeepSeek, vLLM) or ``reasoning`` (Groq, OpenRouter), OpenRouter's ``reasoning_details``; Mistral's
content chunks; usage in ``x_groq`` (Groq).
"""

from collections.abc import Callable
from typing import Any, Final

from llmobs.contrib._wire.params import request_params
from llmobs.contrib._wire.usage import openai_usage
from llmobs.contrib._wire.wire import Fields, StreamEvent, Wire
from llmobs.recorded.jsontext import Json, as_list, as_object, as_text, loads
from llmobs.recorded.messages import message_of, tool_calls_of
from llmobs.runtime.time_slices import Steps, now_and_then

__all__ = [
    "FIM",
    "WIRE",
    "Message",
    "chat_message",
    "chat_request",
    "common_response",
]

_STAND: Final = frozenset({"id", "type", "index", "role", "format", "object", "mime_type"})


class Message:
    """A message whose deltas are coming in."""

    def __init__(self) -> None:
        self._members: Json = {}
        self._content = _Content()
        self._calls = _Calls()

    def add(self, delta: Json) -> None:
        """Merge the next *delta* in."""
        for key, value in delta.items():
            if key == "tool_calls":
                for call in map(as_object, as_list(value)):
                    self._calls.add(call)
            elif key == "content":
                self._content.add(value)
            elif key == "function_call":  # the legacy form: one, without an id
                self._calls.add({"function": value, "index": -1})
            else:
                _merge(self._members, key, value)

    def whole(self) -> Json:
        """The message as an answer that is not streamed has it."""
        said: Json = _joined(self._members)
        said["content"] = self._content.whole()
        if calls := self._calls.whole():
            said["tool_calls"] = calls
        return said


class _Texts(list[str]):
    """Pieces of one text."""


class _Items(dict[Any, Json]):
    """Items of one list, by what tells them apart."""


def _merge(target: Json, key: str, value: Any) -> None:
    known = target.get(key)
    if value is None:
        return
    if type(value) is str and key not in _STAND:
        if type(known) is not _Texts:
            known = target[key] = _Texts()
        known.append(value)
    elif type(value) is dict:
        if type(known) is not dict:
            known = target[key] = {}
        for inner, piece in value.items():
            _merge(known, inner, piece)
    elif type(value) is list:
        if type(known) is not _Items:
            known = target[key] = _Items()
        for item in value:
            index = item.get("index") if type(item) is dict else None
            place = (index, str(item.get("type"))) if type(index) is int else len(known)
            _merge(known.setdefault(place, {}), "item", item)
    elif value != "" or known is None:
        target[key] = value


def _joined(value: Any) -> Any:
    if type(value) is _Texts:
        return "".join(value)
    if type(value) is _Items:
        return [_joined(item.get("item")) for item in value.values()]
    if type(value) is dict:
        return {key: _joined(inner) for key, inner in value.items()}
    return value


class _Content:
    """Content that comes in texts, or in lists of parts: what is of one kind becomes one part."""

    def __init__(self) -> None:
        self._parts: list[tuple[str, Any]] = []
        self._is_text = True

    def add(self, value: Any) -> None:
        if type(value) is str:
            self._text("text", value)
            return
        for part in as_list(value):
            self._is_text = False
            kind = as_object(part).get("type")
            words = as_object(part).get("thinking" if kind == "thinking" else "text")
            if kind == "thinking" and type(words) is list:  # Mistral's: parts once more
                words = "".join(as_text(as_object(inner).get("text")) or "" for inner in words)
            if kind in ("text", "thinking") and type(words) is str:
                self._text(kind, words)
            elif part:
                self._parts.append(("", part))

    def _text(self, kind: str, words: str) -> None:
        if not self._parts or self._parts[-1][0] != kind:
            self._parts.append((kind, _Texts()))
        self._parts[-1][1].append(words)

    def whole(self) -> Any:
        if self._is_text:
            return "".join("".join(words) for _, words in self._parts) or None
        return [
            {"type": kind, kind: "".join(piece)} if kind else piece for kind, piece in self._parts
        ]


class _Calls:
    """
    Calls of tools that come in pieces.

    - The index says which call; without one, the id does, and without an id it is the last one.
    - A new id is a new call, whatever the index: some servers say 0 each time.
    - A name begins a new call if the last one has all its arguments and this brings more, or has
      another name and no index tells them apart. The same name again is no news; another one goes on.
    """

    def __init__(self) -> None:
        self._all: list[Json] = []
        self._by_index: dict[int, Json] = {}
        self._by_id: dict[str, Json] = {}

    def add(self, delta: Json) -> None:
        index, call_id = delta.get("index"), as_text(delta.get("id"))
        kind = "custom" if type(delta.get("custom")) is dict else "function"
        said = as_object(delta.get(kind))
        call = self._known(index, call_id, said)
        if call is None:
            place = index if type(index) is int else 0
            call = {"id": call_id, "type": kind, "name": "", "said": _Texts(), "place": place}
            self._all.append(call)
        if type(index) is int:
            self._by_index[index] = call
        if call_id:
            call["id"] = call_id
            self._by_id[call_id] = call
        name = as_text(said.get("name")) or ""
        if name != call["name"]:
            call["name"] += name
        words = said.get("input" if kind == "custom" else "arguments")
        if type(words) is str:
            call["said"].append(words)
        elif words is not None:  # Ollama's, Gemini's: an object, at once
            call["object"] = words

    def _known(self, index: Any, call_id: str | None, said: Json) -> Json | None:
        has_index = type(index) is int
        if has_index:
            call = self._by_index.get(index)
        elif call_id in self._by_id:
            call = self._by_id[call_id]
        else:
            call = self._all[-1] if self._all else None
        if call is None:
            return None
        if call_id and call["id"] and call_id != call["id"]:
            return self._by_id.get(call_id)  # another one, maybe begun before
        name = as_text(said.get("name"))
        if not name or not call["name"] or (call_id and call_id == call["id"]):
            return call
        if not has_index and name != call["name"]:
            return None
        adds = said.get("arguments") or said.get("input")
        return None if adds and _is_whole(call) else call

    def whole(self) -> list[Json]:
        return [
            {
                "id": call["id"],
                "type": call["type"],
                call["type"]: {
                    "name": call["name"],
                    "input" if call["type"] == "custom" else "arguments": call["object"]
                    if "object" in call
                    else "".join(call["said"]),
                },
            }
            for call in sorted(self._all, key=lambda call: call["place"])
        ]


def _is_whole(call: Json) -> bool:
    """Whether the arguments are a whole object: no beginning of one is."""
    if "object" in call:
        return True
    said: list[str] = call["said"]
    if not said or not said[-1].rstrip().endswith("}"):
        return False
    try:
        return type(loads("".join(said))) is dict
    except ValueError:
        return False


def common_response(body: Json) -> Fields:
    """Read what all of OpenAI's answers have in common."""
    return {
        "response_id": as_text(body.get("id")),
        "model_version": as_text(body.get("model")),
        "service_tier": as_text(body.get("service_tier")),
        **openai_usage(body),
    }


def chat_message(item: Json) -> Json:
    """One message, of a request or of an answer."""
    return message_of({**item, "role": as_text(item.get("role")) or "assistant"})


def chat_request(body: Json, read: Callable[[Json], Json] = chat_message) -> Fields:
    """Read the body of a chat whose messages are read by *read*."""
    return {
        "model": as_text(body.get("model")),
        "stream": True if body.get("stream") is True else None,
        "prompt": [read(as_object(item)) for item in as_list(body.get("messages"))],
        "request_params": request_params(body),
    }


def _response(body: Json) -> Fields:
    answers = []
    finish = None
    for choice in map(as_object, as_list(body.get("choices"))):
        reason = as_text(choice.get("finish_reason"))
        finish = finish or reason
        answers.append(
            {**chat_message(as_object(choice.get("message"))), "finish_reason": reason or ""}
        )
    # `provider`: who answered behind OpenRouter (its API reference, "Responses")
    kept = (
        "system_fingerprint",
        "prompt_filter_results",
        "citations",
        "search_results",
        "provider",
    )
    return {
        **common_response(body),
        "response": answers,
        "finish_reason": finish,
        "tool_calls": tool_calls_of(answers),
        "response_metadata": {k: body[k] for k in kept if body.get(k)} or None,
    }


def _delta(choice: Json) -> Json:
    """Perplexity's chunks hold the message so far beside the delta, some servers' instead of it."""
    return as_object(choice.get("delta") if "delta" in choice else choice.get("message"))


def _is_content(data: Json) -> bool:
    for choice in as_list(data.get("choices")):
        delta = _delta(as_object(choice))
        if any(value for key, value in delta.items() if key != "role"):
            return True
    return False


_OF_THE_ANSWER = (
    "id", "model", "service_tier", "system_fingerprint", "prompt_filter_results", "citations",
    "search_results", "provider",
)  # fmt: skip
"""Members of chunks that speak of the whole answer."""


def _assemble(events: list[StreamEvent]) -> Steps[tuple[Json, bool]]:
    body: Json = {}
    messages: dict[int, Message] = {}
    reasons: dict[int, Any] = {}
    for number, data in enumerate(event.data for event in events):
        yield from now_and_then(number)
        body.update({key: data[key] for key in _OF_THE_ANSWER if data.get(key)})
        parts = [as_object(choice) for choice in as_list(data.get("choices"))]
        inside = [data, as_object(data.get("x_groq")), *parts]  # Groq; in the choice: Moonshot
        if usage := next((found["usage"] for found in inside if found.get("usage")), None):
            body["usage"] = usage
        for part in parts:
            given = part.get("index")
            index = given if type(given) is int else 0
            reasons[index] = part.get("finish_reason") or reasons.get(index)
            messages.setdefault(index, Message()).add(_delta(part))
    body["choices"] = [
        {"message": messages[index].whole(), "finish_reason": reasons[index]}
        for index in sorted(messages)
    ]
    return body, bool(reasons) and all(reasons.values())


def _fim_request(body: Json) -> Fields:
    """Mistral's "fill in the middle": texts before and behind; answered as a chat is."""
    asked = [text for name in ("prompt", "suffix") if (text := as_text(body.get(name)))]
    return {**chat_request(body), "prompt": asked[0] if len(asked) == 1 else asked}


WIRE = Wire(chat_request, _response, _assemble, _is_content)
FIM = Wire(_fim_request, _response, _assemble, _is_content)
