"""How the body of an answer ended, and whether an answer with a good status failed all the same."""

import re
from enum import Enum
from typing import Any, Final

from llmobs.codec import encode
from llmobs.contrib._wire import framing
from llmobs.contrib._wire.body import Copy
from llmobs.events import ErrorInfo, Status
from llmobs.recorded.cutting import cut_text
from llmobs.recorded.jsontext import Json, as_list, as_object, as_text, loads

__all__ = ["Ending", "error_in", "status_at_end"]


class Ending(Enum):
    """How the answer's body ended."""

    WHOLE = "whole"
    CLOSED = "closed"
    """The caller closed it before its end."""
    FAILED = "failed"
    """An exception ended the request or the body."""


_BRACE: Final = ord("}")
_ANSWER_BYTES: Final = 1024
"""JSON that ends with a longer piece brings an answer, and no error under a good status."""

_WHOLE: Final = Ending.WHOLE  # each look into an Enum takes as long as a call of a function
_SUCCESS: Final = Status.SUCCESS

_END_MARKS: Final = (
    b"[DONE]",
    b"message_stop",
    b"messageStop",
    b"response.completed",
    b"response.incomplete",
    b"response.done",
    b"conversation.response.done",
    b"interaction.completed",
)
_END: Final = re.compile(
    rb'"(?:stop_reason|finish_reason|finishReason|blockReason|generated_text)"\s*:\s*"'
    rb'|"(?:image_generation\.completed|image_edit\.completed|speech\.audio\.done|transcript\.text\.done)"'
)
_LINES: Final = (b"data:", b"event:", b": ")
"""How lines of server-sent events begin; no line of JSON does."""
_INNER_LINES: Final = (b"\ndata:", b"\rdata:", b"\nevent:", b"\n: ")


def status_at_end(copy: Copy, ending: Ending) -> Status:
    """
    Judge by its last bytes how an answer with a good HTTP status went.

    A guess that costs a microsecond or two, for the request path, where it decides what is kept of
    a run that is not sampled; `read_exchange` knows.
    """
    if ending is _WHOLE and copy.chunks:
        piece = copy.chunks[-1]
        if len(piece) > _ANSWER_BYTES and piece[-1] == _BRACE:
            return _SUCCESS  # mostly
    last = copy.last_bytes
    is_json = ending is _WHOLE and last[-1:] == b"}"
    # Searches for words find nothing nearly always, ten times faster than patterns do.
    if b"rror" in last or b"failed" in last:
        if _brings_error(last, is_all=len(last) == copy.total):
            return Status.ERROR
    elif is_json:
        return _SUCCESS
    for mark in _END_MARKS:
        if mark in last:
            return Status.SUCCESS
    if not _is_stream(last):  # no server-sent events, or one very long one
        if b":exception-type" in last:  # Amazon's
            return Status.ERROR
        is_whole = ending is Ending.WHOLE or last.rstrip().endswith(b"}")
        return Status.SUCCESS if is_whole else Status.CANCELLED
    if _END.search(last):
        return Status.SUCCESS
    if ending is Ending.WHOLE:
        return Status.ERROR  # it just ends
    # Clients give up on what they cannot read: closing it was no wish of the application.
    return Status.CANCELLED if _is_readable(last) else Status.ERROR


def _is_stream(last: bytes) -> bool:
    return last.startswith(_LINES) or any(line in last for line in _INNER_LINES)


def _brings_error(last: bytes, is_all: bool) -> bool:
    if not _is_stream(last):
        if is_all and _is_error("", last):
            return True
        line = last.rstrip().rpartition(b"\n")[2]  # NDJSON
        return line.startswith(b"{") and _is_error("", line)
    splitter = framing.EventSplitter()
    events = [*splitter.feed(last), splitter.rest()]
    return any(
        _is_error(*framing.fields_of(event))
        for event in events
        if b"rror" in event or b"failed" in event
    )


def _is_error(name: str, text: bytes) -> bool:
    if not text:
        return False
    try:
        return error_in(as_object(loads(text)), name) is not None
    except ValueError:
        return name == "error"  # Anthropic's SDK raises what it says, whatever that is


def _is_readable(last_bytes: bytes) -> bool:
    """Whether the last whole event can be read; the first may have lost its beginning."""
    whole = framing.EventSplitter().feed(last_bytes)
    text = framing.fields_of(whole[-1])[1] if whole else b""
    try:
        return not text or len(whole) == 1 or type(loads(text)) is dict
    except ValueError:
        return False


def error_in(body: Json, name: str = "", *, strict: bool = True) -> ErrorInfo | None:
    """
    Return the error a body or an event of a stream reports, in any provider's words.

    OpenAI and Azure: ``error`` with message, type, code; Anthropic: ``error`` inside ``type:
    error``; responses: ``response.error``, or the event itself; Mistral's conversations: the event; Cohere: in
    the event that ends a stream; Mistral and vLLM: flat, ``object`` is ``error``; FastAPI: ``detail``;
    OpenRouter: also in a choice; MiniMax: ``base_resp``; Google: ``status`` names
    its type; Ollama: a text.
    """
    error = body.get("error") or _error_of_choices(body) or _error_at_end(body)
    if error is None and body.get("type") == "response.failed":
        error = as_object(body.get("response")).get("error")
    if error is None and body.get("type") == "response.done":
        response = as_object(body.get("response"))
        details = as_object(response.get("status_details"))
        error = details.get("error") if response.get("status") == "failed" else None
    if error is None and body.get("type") == "conversation.response.error":
        error = body
    if error is None and (not strict or "error" in (name, body.get("type"), body.get("object"))):
        error = body
    if not error:
        return None
    if type(error) is not dict:
        return ErrorInfo(message=_within(str(error), 4000))
    words = next((w for name in _WORDS if (w := as_text(error.get(name)))), None)
    if words is None:
        words = _within(encode(error).decode("utf-8", "replace"), 4000)
    code = error.get("code", error.get("status_code"))
    kind = as_text(error.get("type")) or as_text(error.get("status"))
    return ErrorInfo(
        message=words,
        type=None if kind == "error" else kind,
        code=None if code is None else _within(str(code), 200),
    )


_WORDS: Final = ("message", "detail", "status_msg")


def _error_at_end(body: Json) -> Any:
    """Cohere ends a stream that failed as one that did not: by its words, or the reason alone."""
    if body.get("type") == "message-end":
        delta = as_object(body.get("delta"))
    elif body.get("event_type") == "stream-end":  # version 1
        delta = body
    else:
        return None
    failed = delta.get("finish_reason") in ("ERROR", "TIMEOUT")
    return delta.get("error") or (delta["finish_reason"] if failed else None)


def _within(text: str, limit: int) -> str:
    return text if len(text) <= limit else cut_text(text, limit)


def _error_of_choices(body: Json) -> Any:
    for choice in as_list(body.get("choices")):
        if error := as_object(choice).get("error"):
            return error
    outcome = as_object(body.get("base_resp"))
    return outcome if outcome.get("status_code") else None
