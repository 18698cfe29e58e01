"""
OpenAI's realtime responses (API reference, "Realtime", of client and server events), as `dialogue` notes
them: what was asked as a request of the responses API would have it, then the events of one response.

Sound is told by its length and, once there is one, its transcript. Older names of events, of the beta and
of Azure's preview, are read too.
"""

from typing import Any, Final

from llmobs.contrib._wire import openai_responses
from llmobs.contrib._wire.usage import openai_usage
from llmobs.contrib._wire.wire import Fields, StreamEvent, Wire
from llmobs.events import Status
from llmobs.recorded.jsontext import Json, as_list, as_object, as_text
from llmobs.recorded.messages import message, text_part
from llmobs.runtime.time_slices import Steps, now_and_then

__all__ = ["SOUND", "TRANSCRIPTION", "WIRE"]

SOUND: Final = "llmobs.sound"
"""Type of an event of ours beside the provider's: seconds of sound that were sent and that came."""
_TEXT_DELTA: Final = "response.output_text.delta"
_DELTAS: Final = {
    "response.text.delta": _TEXT_DELTA,
    "response.audio_transcript.delta": _TEXT_DELTA,
    "response.output_audio_transcript.delta": _TEXT_DELTA,
}
"""Types of events that bring pieces of what is said, as those of responses are called."""
_HEARD: Final = frozenset({"input_audio", "audio", "output_audio"})


def _request(body: Json) -> Fields:
    items = [_item(as_object(item)) for item in as_list(body.get("input"))]
    return openai_responses.WIRE.request({**body, "input": items}) | {"stream": True}


def _item(item: Json) -> Json:
    """An item of a conversation as one of responses; what was said aloud as its transcript."""
    if "content" not in item:
        return item
    return {**item, "content": [_part(as_object(part)) for part in as_list(item["content"])]}


def _part(part: Json) -> Json:
    if part.get("type") not in _HEARD:
        return part
    words = as_text(part.get("transcript"))
    if words:
        return {"type": "input_text", "text": words}
    return {"type": "blob", "modality": "audio", "content": ""}


def _response(body: Json) -> Fields:
    details = as_object(body.get("status_details"))
    items = [_item(as_object(item)) for item in as_list(body.get("output"))]
    reason = {"reason": details.get("reason")}
    fields = openai_responses.WIRE.response({**body, "output": items, "incomplete_details": reason})
    sound = as_object(body.get(SOUND))
    kept = {
        name: sound[name] for name in ("audio_seconds_in", "audio_seconds_out") if sound.get(name)
    }
    kept |= {name: body[name] for name in ("conversation_id", "metadata") if body.get(name)}
    fields["response_metadata"] = kept or None
    if body.get("status") == "cancelled":
        fields["status"] = Status.CANCELLED
    return fields


def _is_content(data: Json) -> bool:
    kind = data.get("type")
    if kind == "response.done":  # no piece came before
        return bool(as_object(data.get("response")).get("output"))
    return type(kind) is str and kind.endswith(".delta")


def _assemble(events: list[StreamEvent]) -> Steps[tuple[Json, bool]]:
    sound: Json = {}
    last: Json | None = None
    pieces = []
    for number, event in enumerate(events):
        yield from now_and_then(number)
        kind = str(event.data.get("type"))
        if kind == SOUND:
            sound = event.data
        elif kind == "response.done" and event.is_whole:
            last = as_object(event.data.get("response"))
        else:
            pieces.append(event._replace(data={**event.data, "type": _DELTAS.get(kind, kind)}))
    body: Json = {}
    is_cut = False
    if last is None or not last.get("output"):  # of one that failed, only the pieces may be there
        body, is_cut = yield from openai_responses.WIRE.assemble(pieces)
    final = {name: value for name, value in (last or {}).items() if name != "output" or value}
    return {**body, **final, SOUND: sound}, last is not None or is_cut


WIRE = Wire(_request, _response, _assemble, _is_content)


def _heard(body: Json) -> Fields:
    said = as_text(body.get("transcript"))
    answers = [message("assistant", [text_part(said)], finish_reason="stop")] if said else []
    usage = openai_usage({"usage": body.get("usage")})
    return {"response": answers, "finish_reason": "stop" if said else None, **usage}


def _asked_to_hear(body: Json) -> Fields:
    heard: Any = [message("user", [{"type": "blob", "modality": "audio", "content": ""}])]
    return {"model": as_text(body.get("model")), "prompt": heard}


TRANSCRIPTION = Wire(_asked_to_hear, _heard)
"""What was said to the model, written down by another one, which is charged for apart."""
