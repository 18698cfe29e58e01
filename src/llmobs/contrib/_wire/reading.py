"""
From what passed on the wire to the fields of an event. Runs in the pipeline, after the call.

Nothing here trusts a provider: what cannot be read is said in the event's ``warnings``.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from llmobs.contrib._wire import bedrock_invoke, framing
from llmobs.contrib._wire.body import Copy, Piece, pieces
from llmobs.contrib._wire.ending import Ending, error_in
from llmobs.contrib._wire.partial import read_head, read_tail
from llmobs.contrib._wire.recognise import Target
from llmobs.contrib._wire.servers import told_by_server
from llmobs.contrib._wire.wire import Fields, StreamEvent
from llmobs.events import ErrorInfo, PromptCallEvent, Status
from llmobs.recorded.cutting import cut_text
from llmobs.recorded.jsontext import Json, as_object, loads
from llmobs.recorded.media import without_media
from llmobs.runtime.time_slices import Steps, now_and_then

__all__ = ["Ending", "Exchange", "read_exchange"]

MAX_MESSAGE: Final = 1_000
"""Characters of an answer that is no JSON which are kept as the message of a failure."""


class Exchange(NamedTuple):
    """One request and what came back."""

    target: Target
    request: tuple[bytes, bytes | None] | None
    """Its body, see `body.clip`; None if it was not in memory (uploads)."""
    form_model: str | None
    """The model of a form (uploads), whose body is not kept."""
    started: float
    status: int | None
    headers: Mapping[str, str]
    """Of the answer; keys in lower case."""
    copy: Copy | None
    ending: Ending
    decoded: bool = False
    """The copy holds the body without its content encoding already."""


_LINES: Final = ("ndjson", "jsonl", "stream+json")
"""Content types of a JSON value a line; the last is Cohere's."""
_REQUEST_IDS: Final = ("x-request-id", "request-id", "apim-request-id", "x-amzn-requestid")


def read_exchange(exchange: Exchange, event: PromptCallEvent) -> Steps[None]:
    """Set the fields of *event* that *exchange* tells; what is there and not told stays."""
    reader = _Reader(exchange)
    fields = yield from reader.read()
    fields["model"] = fields.get("model") or fields.get("model_version")  # Mistral's agents
    # Bedrock's `InvokeModel` tells it in a header (its API reference).
    tier = exchange.headers.get("x-amzn-bedrock-service-tier")
    fields["service_tier"] = fields.get("service_tier") or tier
    # A conversation that the provider keeps is the run's, unless that has one of its own.
    if event.session_id is not None:
        fields.pop("session_id", None)
    event.warnings = (*event.warnings, *fields.pop("warnings", ()), *reader.warnings)
    for name, value in fields.items():
        if value is not None and value != []:
            setattr(event, name, without_media(value))


class _Reader:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._wire = exchange.target.wire
        self.warnings: list[str] = []
        self._spoilt = False

    def read(self) -> Steps[Fields]:
        exchange = self._exchange
        headers = exchange.headers
        fields: Fields = {}
        if exchange.request is not None:
            body = self._json(exchange.request[0], exchange.request[1], "request")
            fields.update(self._understand(self._wire.request, as_object(body), "request"))
        fields["model"] = fields.get("model") or exchange.form_model or exchange.target.model
        fields["request_id"] = next((headers[n] for n in _REQUEST_IDS if headers.get(n)), None)
        if exchange.status is None or exchange.copy is None:
            return fields
        if exchange.status >= 400:
            return fields | self._failure(exchange.status)
        content_type = headers.get("content-type", "").lower()
        if content_type.startswith("text/event-stream"):
            return fields | (yield from self._stream(framing.EventSplitter(), framing.fields_of))
        if "eventstream" in content_type:
            return fields | (yield from self._stream(framing.FrameSplitter(), framing.payload_of))
        if any(kind in content_type for kind in _LINES):
            return fields | (yield from self._stream(framing.LineSplitter(), framing.unnamed))
        if self._wire.comes_as_array and "json" in content_type:
            return fields | (yield from self._stream(framing.ArraySplitter(), framing.unnamed))
        if not self._wire.keeps_content and "json" not in content_type:
            return fields  # a picture or a sound
        return fields | self._whole()

    # Bodies.

    def _pieces(self) -> tuple[list[Piece], bytes | None]:
        """The beginning of the answer, decoded, and its end if there is a gap between them."""
        exchange = self._exchange
        copy = exchange.copy
        assert copy is not None
        encodings = exchange.headers.get("content-encoding", "").lower().replace(" ", "").split(",")
        if exchange.decoded or encodings == ["identity"]:
            encodings = [""]
        found, trouble = pieces(copy, encodings)
        tail = copy.tail
        if trouble:
            self.warnings.append(f"response: {trouble}")
        elif tail is not None:
            self.warnings.append(
                f"response: {copy.kept} of {copy.total} bytes kept; the middle is missing"
            )
        # The end of a compressed body cannot be read without its middle.
        return found, tail if encodings == [""] else (None if tail is None else b"")

    def _json(self, head: bytes, tail: bytes | None, what: str) -> Any:
        """Read JSON, or what there is of it."""
        if tail is None:
            try:
                return loads(head)
            except ValueError:
                value = read_head(head)
                self.warnings.append(
                    f"{what}: not JSON" if value is None else f"{what}: the JSON is incomplete"
                )
                return value
        value = read_head(head)
        if what == "request":
            self.warnings.append(f"{what}: too long; the middle is missing")
        return {**value, **read_tail(tail)} if type(value) is dict else value

    def _understand(self, read: Any, body: Json, what: str) -> Fields:
        try:
            return dict(read(body))
        except Exception:  # noqa: BLE001 - shapes no provider documents; the rest of the event stays
            self.warnings.append(f"{what}: an unexpected shape; not read")
            return {}

    # Answers.

    def _whole(self) -> Fields:
        copy = self._exchange.copy
        assert copy is not None
        found, tail = self._pieces()
        text = b"".join(piece.data for piece in found)
        if not text and self._exchange.ending is not Ending.WHOLE:
            return {"status": _ended_early(self._exchange.ending)}
        before = len(self.warnings)
        body = self._json(text, tail, "response")
        incomplete = len(self.warnings) > before
        if tail is not None and type(body) is dict and body.get("usage") is None:
            body["usage"] = _first_object(copy.usage)  # neither at the beginning nor at the end
        if type(body) is dict and (metrics := bedrock_invoke.told_in(self._exchange.headers)):
            body.setdefault(bedrock_invoke.METRICS, metrics)
        if type(body) is list:  # Hugging Face's
            body = {"data": body}
        if self._wire.unwrap is not None:
            body = self._understand(self._wire.unwrap, as_object(body), "response")
        fields = self._understand(self._wire.response, as_object(body), "response")
        fields = self._told_by_server([as_object(body)]) | fields
        if error := error_in(as_object(body)):
            fields |= {"status": Status.ERROR, "error": error}
        elif self._exchange.ending is Ending.CLOSED and incomplete:
            fields["status"] = Status.CANCELLED
        elif incomplete and self._exchange.ending is Ending.WHOLE and self._is_all(tail):
            fields |= _unreadable("the answer is no complete JSON", "invalid_response")
        elif self._exchange.ending is not Ending.FAILED:
            fields["status"] = fields.get("status") or Status.SUCCESS
        return fields

    def _told_by_server(self, pieces: list[Json]) -> Fields:
        exchange = self._exchange
        return told_by_server(exchange.target.host, exchange.headers, pieces)

    def _is_all(self, tail: bytes | None) -> bool:
        """Whether we had all there was to read: if not, we cannot blame the provider."""
        return tail is None and not any(
            "only its beginning" in w or "cannot be read" in w for w in self.warnings
        )

    def _stream(self, splitter: Any, fields_of: Any) -> Steps[Fields]:
        found, tail = self._pieces()
        events: list[StreamEvent] = []
        done = False
        for piece in found:
            for raw in splitter.feed(piece.data):
                yield from now_and_then(len(events))
                done |= self._read_event(events, raw, piece.time, fields_of)
        raws: list[bytes] = []
        if tail is not None:
            raws = splitter.resume(tail)
            if not any(b'"usage"' in raw for raw in raws):
                events += self._missed()
            for raw in raws:
                done |= self._read_event(events, raw, 0.0, fields_of)
        last = splitter.rest()
        if last.strip() and (tail is None or raws):
            done |= self._read_event(
                events,
                last,
                found[-1].time if tail is None else 0.0,
                fields_of,
                is_cut=self._exchange.ending is not Ending.WHOLE,
            )
        fields: Fields = {"stream": True}
        assembled: Json = {}
        finished = False
        try:
            assembled, finished = yield from self._wire.assemble(events)
        except Exception:  # noqa: BLE001 - as in _understand
            self.warnings.append("response: events of an unexpected shape; not read")
        fields |= self._understand(self._wire.response, assembled, "response")
        fields = self._told_by_server([each.data for each in (*events[:1], *events[-2:])]) | fields
        fields["stream"] = True
        fields["time_to_first_token_ms"] = self._first_token(events)
        ended = done or finished
        error = None
        for number, event in enumerate(events):
            yield from now_and_then(number)
            if error := error_in(event.data, event.name):
                break
        if error is not None:
            fields |= {"status": Status.ERROR, "error": error}
        elif ended and self._exchange.ending is not Ending.FAILED:
            fields.setdefault("status", Status.SUCCESS)  # the answer may say that it was cancelled
        elif self._spoilt and self._exchange.ending is not Ending.FAILED:
            # Clients give up on such a stream: closing it was no wish of the application.
            fields |= _unreadable("the stream holds what is no event", "invalid_response")
        elif self._exchange.ending is Ending.CLOSED:
            fields["status"] = Status.CANCELLED
        elif self._exchange.ending is Ending.WHOLE and self._is_all(tail):
            fields |= _unreadable("the stream ended before the answer did", "incomplete_stream")
        return fields

    def _read_event(
        self,
        events: list[StreamEvent],
        raw: bytes,
        time: float,
        fields_of: Any,
        *,
        is_cut: bool = False,
    ) -> bool:
        """
        Read one event; says whether it is the mark that ends OpenAI's streams.

        *is_cut*: the client left in its middle, which is no fault of the provider's.
        """
        name, text = fields_of(raw)
        if fields_of is framing.fields_of and framing.is_foreign(raw, is_cut=is_cut):
            self._spoil("bytes that are no event")
        if not text:
            return False
        if text.startswith(b"[DONE]"):
            return True
        try:
            data = loads(text)
        except ValueError:
            data = None
        if type(data) is dict:
            events.append(StreamEvent(name, data, time))
        elif not is_cut:
            self._spoil("an event is not JSON")
        return False

    def _missed(self) -> list[StreamEvent]:
        """An event longer than the end that is kept: its figures were noted as it passed."""
        copy = self._exchange.copy
        assert copy is not None
        data = as_object(read_head(b'{"type":' + copy.last_event)) if copy.last_event else {}
        usage = _first_object(copy.usage)
        if usage:
            (as_object(data.get("response")) or data)["usage"] = usage
        return [StreamEvent("", data, 0.0, is_whole=False)] if data else []

    def _spoil(self, words: str) -> None:
        self._spoilt = True
        warning = f"response: {words}; left out"
        if warning not in self.warnings:
            self.warnings.append(warning)

    def _first_token(self, events: list[StreamEvent]) -> float | None:
        for event in events:
            try:
                if event.time and self._wire.is_content(event.data):
                    return (event.time - self._exchange.started) * 1000
            except Exception:  # noqa: BLE001 - as in _understand
                return None
        return None

    def _failure(self, status: int) -> Fields:
        found, _ = self._pieces()
        text = b"".join(piece.data for piece in found)
        error = None
        if text:
            try:
                body = loads(text)
                if type(body) is list and body:  # Gemini's, where its stream is an array
                    body = body[0]
                error = error_in(as_object(body), strict=False)
            except ValueError:
                message = text.decode("utf-8", "replace").strip()
                if len(message) > MAX_MESSAGE:
                    message = cut_text(message, MAX_MESSAGE)
                error = ErrorInfo(message=message or f"HTTP {status}")
        error = error or ErrorInfo(message=f"HTTP {status}")
        named = self._exchange.headers.get("x-amzn-errortype", "").partition(":")[0]
        error.type = error.type or named or str(status)
        # What the request alone tells of usage was not used.
        return {"status": Status.ERROR, "error": error, "usage": None}


def _first_object(text: bytes) -> Json:
    """The object that *text* begins with, whatever follows it; what there is of one that is cut."""
    words = text.decode("utf-8", "replace")
    try:
        return as_object(json.JSONDecoder().raw_decode(words)[0]) if words else {}
    except (ValueError, RecursionError):
        return as_object(read_head(text))


def _ended_early(ending: Ending) -> Status | None:
    return Status.CANCELLED if ending is Ending.CLOSED else None


def _unreadable(message: str, kind: str) -> Fields:
    return {"status": Status.ERROR, "error": ErrorInfo(message=message, type=kind)}
