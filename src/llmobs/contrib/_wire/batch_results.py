"""
The results of batches: answers that were asked for together, and are fetched hours later.

- OpenAI and who is compatible (Azure, Groq, Mistral, Together): the content of a file, a line for each
  request: ``custom_id`` and ``response`` with ``status_code`` and ``body``, or ``error`` (API reference,
  "Batch", "The request output object").
- Anthropic: a line for each, ``custom_id`` and ``result``, which ``succeeded``, ``errored``, was
  ``canceled`` or ``expired`` (API reference, "Retrieve Message Batch results").
- Gemini: within the operation that is polled, ``inlinedResponses``; or a file of lines with ``key``
  (Gemini API, "Batch API"; the types of ``google-genai``). Mistral: within the job, ``outputs`` (its API
  reference, "Get Batch Job", ``inline``).

What was asked is not told again: `batch_requests` knows it, if this process did it.
"""

import re
from datetime import UTC, datetime
from typing import Any, Final

from llmobs.contrib._wire import (
    anthropic_messages,
    gemini,
    mistral,
    moderations,
    openai_chat,
    openai_other,
    openai_responses,
)
from llmobs.contrib._wire.items import ArrayItems, LineItems, request_name
from llmobs.contrib._wire.wire import Fields, Wire
from llmobs.events import Status
from llmobs.recorded.jsontext import Json, as_list, as_object, as_text

__all__ = ["INLINED", "INLINED_REQUESTS", "LINES", "OUTPUTS", "TIER"]

TIER: Final = "batch"
"""``service_tier`` of what came in a batch; most providers charge half."""
_ABOUT: Final = " of the batch"
"""Under this name the answer holds what the line says around it; no provider has such a name."""

_OPERATIONS: Final = {
    # `object`: how it is read, what it was
    "chat.completion": (openai_chat.WIRE, "chat"),
    "response": (openai_responses.WIRE, "chat"),
    "text_completion": (openai_other.COMPLETIONS, "text_completion"),
}
_SHAPES: Final = (
    # a member that only these have
    ("choices", openai_chat.WIRE, "chat"),
    ("stop_reason", anthropic_messages.WIRE, "chat"),
    ("candidates", gemini.WIRE, "chat"),
    ("promptFeedback", gemini.WIRE, "chat"),
    ("embedding", gemini.EMBEDDINGS, "embeddings"),
    ("results", moderations.WIRE, "moderation"),
    ("pages", mistral.OCR, "generate_content"),
)


def _unwrap(line: Json) -> Json:
    """Return the answer as the request alone would have had it, and what the line says around it."""
    said = line.get("response")
    named = request_name(line.get("custom_id"), line.get("key"), line.get("metadata"))
    about = {"custom_id": named}
    body = as_object(said)
    if "status_code" in body:
        about |= {name: body.get(name) for name in ("status_code", "request_id")}
        body = as_object(body.get("body"))
    if result := as_object(line.get("result")):
        about["result"] = result.get("type")
        # An error stands in one of its own: {"type": "error", "error": {...}, "request_id": ...}.
        body = as_object(result.get("message")) or as_object(result.get("error"))
        about["request_id"] = body.get("request_id")
        if result.get("type") == "expired":
            body = {
                "error": {"type": "expired", "message": "not processed before the batch expired"}
            }
    elif error := line.get("error"):
        body = {"error": error}
    return {**body, _ABOUT: about}


_ASKED: Final = (
    # a member that only these have, in the order to look
    ("messages", openai_chat.WIRE),
    ("contents", gemini.WIRE),
    ("content", gemini.EMBEDDINGS),
    ("prompt", openai_other.COMPLETIONS),
    ("document", mistral.OCR),
    ("inputs", mistral.CONVERSATIONS),
)
_ASKED_AT: Final = (
    ("/responses", openai_responses.WIRE),
    ("/moderations", moderations.WIRE),
    ("/generations", openai_other.MEDIA),
)


def _request(item: Json) -> Fields:
    """Read one request of a batch, as it stands among the others."""
    if params := as_object(item.get("params")):
        return anthropic_messages.WIRE.request(params)
    body = as_object(item.get("body")) or as_object(item.get("request"))
    url = as_text(item.get("url")) or ""
    at_url = (wire for ending, wire in _ASKED_AT if url.endswith(ending))
    by_member = (wire for name, wire in _ASKED if name in body)
    wire = next(at_url, None) or next(by_member, openai_other.EMBEDDINGS)
    return wire.request(body)


def _reader(body: Json) -> tuple[Wire | None, str]:
    kind = body.get("object")
    if type(kind) is str and kind in _OPERATIONS:
        return _OPERATIONS[kind]
    if data := as_list(body.get("data")):
        if "embedding" in as_object(data[0]):
            return openai_other.EMBEDDINGS, "embeddings"
        return openai_other.MEDIA, "generate_content"
    found = ((wire, operation) for name, wire, operation in _SHAPES if name in body)
    return next(found, (None, ""))


def _response(body: Json) -> Fields:
    about = as_object(body.get(_ABOUT))
    wire, operation = _reader(body)
    fields = wire.response(body) if wire is not None else {}
    created = body.get("created", body.get("created_at"))
    status = about.get("status_code")
    named = about.get("custom_id")
    return {
        **fields,
        "operation": operation or None,
        "timestamp": _moment(created),
        "service_tier": TIER,
        "http_status": status if type(status) is int and 100 <= status < 600 else None,
        "request_id": as_text(about.get("request_id")),
        "status": Status.CANCELLED if about.get("result") == "canceled" else None,
        "response_metadata": {**(fields.get("response_metadata") or {}), "custom_id": named},
    }


_EARLIEST: Final = 1_577_836_800
"""2020, in seconds: nobody asked a model in batches before."""


def _moment(seconds: Any) -> datetime | None:
    """Return when the provider says it answered: the reading may be hours later."""
    if type(seconds) not in (int, float) or seconds < _EARLIEST:
        return None
    now = datetime.now(UTC)
    return datetime.fromtimestamp(seconds, UTC) if seconds <= now.timestamp() else now


def _wire(items: Any) -> Wire:
    return Wire(_request, _response, unwrap=_unwrap, items=items)


INLINED_REQUESTS: Final = re.compile(rb'"requests"\s{0,64}:\s{0,64}\[')
"""Where the requests of a batch begin that stand in the request which makes it."""


LINES: Final = _wire(LineItems)
INLINED: Final = _wire(lambda: ArrayItems(re.compile(rb'"inlinedResponses"\s{0,64}:\s{0,64}\[')))
OUTPUTS: Final = _wire(lambda: ArrayItems(re.compile(rb'"outputs"\s{0,64}:\s{0,64}\[')))
