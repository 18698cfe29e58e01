"""
What a Kafka record says, as an event: LLM Sentinel's ``TelemetryEvent``, or llmobs' own JSON.

Reading is generous: whatever Sentinel's SDKs have ever written is understood, also what its own
server refuses (a time with two offsets, NaN, half a surrogate pair). What is not of its type is
mended later, as everywhere. The id is the sender's, or follows from the record's bytes, so that the
same record is the same event however often it comes.
"""

import ast
import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final
from uuid import NAMESPACE_OID, UUID, uuid5

import msgspec

from llmobs.codec import clean_text, decode, fields_of
from llmobs.errors import LLMObsError
from llmobs.events import ErrorInfo, Event, EventType, PromptCallEvent, Status
from llmobs.server.bodies import MAX_BODY_BYTES, MAX_MENDED, RefusedError, check_json
from llmobs.sinks._sentinel import ANNOTATED, NOTES_KEY, OTHER_ID, UNKNOWN

__all__ = ["ReadRecords", "UnreadableError", "packed", "read", "read_records"]

_NAMESPACE: Final = UUID("7c8f1d0e-56a4-5b0e-9b1d-0f2f8b6d4a11")
"""Of ids made from the bytes of a record that names none."""
_NATIVE: Final = b'{"event_type"'
"""How llmobs' own JSON begins."""
_KINDS: Final = frozenset(EventType)
_SAID_UNKNOWN: Final = {
    "prompt.tokens": "tokens_input",
    "response.tokens": "tokens_output",
    "latency_ms": "latency_ms",
    "cost_usd": "cost_usd",
}
_ALWAYS: Final = ("user_id", "session_id")
"""What Sentinel's users put into the metadata under the same names."""
_TYPES: Final = {f.name: f.type for f in fields_of(PromptCallEvent)}
_TWO_OFFSETS = re.compile(r"[+-]\d\d:?\d\d[Zz]$", re.ASCII)
_LEAP_SECOND = re.compile(r"(?<=:\d\d:)60", re.ASCII)


class UnreadableError(LLMObsError):
    """A record is no event; says why, without quoting it."""


class ReadRecords(msgspec.Struct):
    """What records were read as."""

    events: list[Any] = []
    """See `llmobs.server.preparing.Read`."""
    indexes: list[int] = []
    """The place of each among the records."""
    unread: dict[int, str] = {}
    """By their places, what no events are, and why."""


_Packed = list[tuple[bytes | None, int]]
_packer = msgspec.msgpack.Encoder()
_unpacker = msgspec.msgpack.Decoder(_Packed)


def packed(records: Iterable[Any]) -> bytes:
    """Return the values and times of aiokafka's *records* as a body for `read_records`."""
    return _packer.encode([(record.value, record.timestamp) for record in records])


def read_records(body: bytes) -> ReadRecords:
    """Return what each of the records is that were `packed`."""
    found = ReadRecords()
    for index, (value, arrived_ms) in enumerate(_unpacker.decode(body)):
        try:
            found.events.append(read(value, arrived_ms))
        except UnreadableError as why:
            found.unread[index] = str(why)
        else:
            found.indexes.append(index)
    return found


class _Telemetry(msgspec.Struct, gc=False):
    prompt: Any = None
    response: Any = None
    event_id: Any = None
    timestamp: Any = None
    service_name: Any = None
    trace_id: Any = None
    span_id: Any = None
    model: Any = ""
    latency_ms: Any = None
    cost_usd: Any = None
    metadata: Any = None
    errors: Any = ()
    event_type: Any = None


_decoder = msgspec.json.Decoder(_Telemetry)


def read(value: bytes | None, arrived_ms: int = 0) -> Event:
    """
    Return the event that the value of a record holds.

    Args:
        value: As it came.
        arrived_ms: When the broker got it, milliseconds since 1970: taken where the record says no
            time that can be read.

    Raises:
        UnreadableError: It holds none.
    """
    if not value:
        raise UnreadableError("the record has no value")
    if len(value) > MAX_BODY_BYTES:
        raise UnreadableError(f"{len(value)} bytes are more than {MAX_BODY_BYTES}")
    try:
        check_json(value)
        if value.startswith(_NATIVE):
            return decode(value)
        said = _parse(value)
        if type(said.event_type) is str and said.event_type in _KINDS:
            return decode(value)
    except RefusedError:
        raise UnreadableError("it holds too many values") from None
    except msgspec.ValidationError as error:
        raise UnreadableError(
            f"no event of llmobs, nor of Sentinel: {_without_values(error)}"
        ) from None
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UnreadableError(f"no JSON: {type(error).__name__}") from None
    if type(said.prompt) is not dict or type(said.response) is not dict:
        raise UnreadableError("neither event_type, as llmobs has it, nor prompt and response")
    return _event(said, value, arrived_ms)


def _parse(value: bytes) -> _Telemetry:
    try:
        return _decoder.decode(value)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        if len(value) > MAX_MENDED:
            raise
        # Python's json writes NaN, Infinity and half surrogate pairs, and reads them.
        return msgspec.convert(json.loads(value), _Telemetry)


def _without_values(error: msgspec.ValidationError) -> str:
    """What is wrong and where; of what stands there, nothing."""
    where = str(error).rpartition(" - at ")[2] if " - at " in str(error) else "`$`"
    return f"{where} is missing or of another type" if len(where) < 200 else "a field is wrong"


def _event(said: _Telemetry, value: bytes, arrived_ms: int) -> PromptCallEvent:
    prompt, response = said.prompt, said.response
    event_id = _id(said.event_id, value)
    event = PromptCallEvent(
        event_id=event_id,
        run_id=event_id,
        standalone=True,
        timestamp=arrived_ms / 1000,  # type: ignore[arg-type] # the clock's reading, as at capture
        service_name=said.service_name,
        trace_id=said.trace_id,
        span_id=said.span_id,
        model=said.model,
        prompt=prompt.get("text", ""),
        tokens_input=prompt.get("tokens"),
        prompt_embedding=prompt.get("embedding"),
        response=response.get("text", ""),
        tokens_output=response.get("tokens"),
        finish_reason=response.get("finish_reason"),
        response_embedding=response.get("embedding"),
        latency_ms=said.latency_ms,
        cost_usd=said.cost_usd,
        errors=tuple(said.errors) if type(said.errors) is list else said.errors or (),
    )
    moment = _moment(said.timestamp)
    if moment is not None:
        event.timestamp = moment
    else:
        event.warnings = ("timestamp could not be read; it is when the record was written",)
    if type(said.trace_id) is str and said.trace_id:
        event.run_id = said.trace_id
    if type(said.metadata) is dict:
        _annotated(event, said.metadata)
    elif said.metadata is not None:
        event.metadata = said.metadata
    if event.errors and event.status == Status.SUCCESS:
        event.status = Status.ERROR
    return event


def _id(said: Any, value: bytes) -> str:
    if type(said) is not str or not said:
        return str(uuid5(_NAMESPACE, value.hex()))
    try:
        return str(UUID(said))
    except ValueError:
        return str(uuid5(NAMESPACE_OID, clean_text(said)))  # what the Kafka sink makes of it


def _moment(said: Any) -> datetime | None:
    if type(said) is not str:
        return None
    if _TWO_OFFSETS.search(said):  # Sentinel's SDK puts a Z after every time
        said = said[:-1]
    for text in (said, _LEAP_SECOND.sub("59", said)):
        try:
            moment = datetime.fromisoformat(text.upper())
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    return None


def _annotated(event: PromptCallEvent, metadata: dict[str, Any]) -> None:
    """Put back what the Kafka sink (``annotate``) said in the metadata of a `TelemetryEvent`."""
    run_id = metadata.get("run_id")
    names: Any = _ALWAYS
    if type(run_id) is str and run_id:
        names = ANNOTATED
        event.standalone = False
    for name in names:
        if name in metadata:
            try:
                setattr(event, name, _value(name, metadata[name]))
            except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
                continue  # a word of the sender's own: it stays where it is
            del metadata[name]
    if event.error is not None and event.errors:
        _drop_repetition(event, event.error)
    notes = metadata.pop(NOTES_KEY, None)
    if type(notes) is str:
        _noted(event, notes)
    elif notes is not None:
        metadata[NOTES_KEY] = notes
    event.metadata = metadata or None


def _value(name: str, text: Any) -> Any:
    if type(text) is not str:
        raise TypeError
    kind = _TYPES[name]
    if name == "status":
        return Status(text)
    if kind in (str, str | None):
        return text
    return msgspec.json.decode(text, type=kind)


def _drop_repetition(event: PromptCallEvent, error: ErrorInfo) -> None:
    last = f"{error.type}: {error.message}" if error.type else error.message
    if event.errors[-1] == last:  # the sink says it there for Sentinel's sake
        event.errors = event.errors[:-1]


def _noted(event: PromptCallEvent, notes: str) -> None:
    left = []
    for note in notes.split("; "):
        name = note.removesuffix(UNKNOWN)
        if name != note and name in _SAID_UNKNOWN:
            setattr(event, _SAID_UNKNOWN[name], None)
        elif note.startswith(OTHER_ID) and (known := _original_id(note, event.event_id)):
            if event.run_id == event.event_id:
                event.run_id = known
            event.event_id = known
        else:
            left.append(note)
    if left:
        event.warnings = (*event.warnings, "; ".join(left))


def _original_id(note: str, event_id: str) -> str | None:
    try:
        known = ast.literal_eval(note.removeprefix(OTHER_ID))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    fits = type(known) is str and str(uuid5(NAMESPACE_OID, known)) == event_id
    return known if fits else None
