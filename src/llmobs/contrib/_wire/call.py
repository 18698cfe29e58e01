"""
One call of a model as a transport sees it: from the request to the event.

Doors of all HTTP clients use it alike: `recognise` tells from method, host and path what a request
calls, `begin` makes a :class:`Call` of it, :meth:`Call.respond` notes the head of the answer and returns the
`Copy` to which its body is added as it passes, and :meth:`Call.end` records it.

What happens while the host waits is here and kept short; what can wait is in `reading`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache, partial
from time import perf_counter, time
from typing import Any, Final, Literal, NamedTuple

from llmobs.capture.joining import sightings
from llmobs.capture.operations import sighting_around, status_of
from llmobs.capture.sighting import Sighting
from llmobs.capture.tracker import Tracker
from llmobs.capture.where import place_of
from llmobs.client.async_client import Recording
from llmobs.client.sync_client import default_client
from llmobs.contrib._wire import openai_responses
from llmobs.contrib._wire.batch import Result, Results
from llmobs.contrib._wire.body import Copy, clip, decoder
from llmobs.contrib._wire.ending import Ending, status_at_end
from llmobs.contrib._wire.latest import Latest
from llmobs.contrib._wire.reading import Exchange, read_exchange
from llmobs.contrib._wire.recognise import Target
from llmobs.contrib._wire.shapes import Shape
from llmobs.events import ErrorInfo, Event, PromptCallEvent, Status
from llmobs.recorded.ids import derived_id, new_id
from llmobs.redaction.events import EventRedactor
from llmobs.redaction.redactor import Redactor
from llmobs.runtime.context import Frame, current_frame
from llmobs.runtime.time_slices import Steps, finish
from llmobs.runtime.troubles import internal_errors

__all__ = [
    "CAPTURE_HEADER",
    "Call",
    "CaptureContent",
    "Options",
    "begin",
    "checked_mode",
    "policy",
    "report",
    "under_way",
]

CaptureContent = Literal["full", "redacted", "metadata"]

CAPTURE_HEADER: Final = "x-llmobs-capture-content"
"""Request header that sets ``capture_content`` for one call; taken out before the request leaves."""

_RETRY_HEADER: Final = "x-stainless-retry-count"
_AWS_HEADER: Final = "amz-sdk-request"
"""Of AWS's SDKs: ``attempt=2; max=3``."""
_AZURE_HEADER: Final = "x-ms-client-request-id"
"""Of azure-core's clients: each attempt of a request bears the same, and no number."""
_DEFAULT_BYTES: Final = 1024 * 1024
_OVERHEAD_BYTES: Final = 3 * 1024
"""Memory of a call beside its bodies: itself, the heads of request and answer."""
_HEADERS: Final = {
    given: name
    for name in (_RETRY_HEADER, _AWS_HEADER, _AZURE_HEADER, "user-agent", CAPTURE_HEADER)
    for given in (name, name.encode())
}
_SDKS: Final = ("ollama-python/", "cohere/", "speakeasy-sdk/python")
"""How the user agents of SDKs begin that know a model server from others; the last is Mistral's."""
_AWS_ATTEMPT: Final = re.compile(r"attempt=(\d{1,6})")
_shown: Final = Latest[tuple[str, Shape], None]()
"""Hosts that gave an answer of a shape: their failures are believed, too."""
_attempts: Final = Latest[str, int]()
"""How often something was asked under one id."""
_MODES: Final = frozenset({"full", "redacted", "metadata"})


def checked_mode(capture_content: str) -> str:
    """
    Return *capture_content* if it is one.

    Raises:
        ValueError: It is not.
    """
    if capture_content not in _MODES:
        raise ValueError(
            f"capture_content={capture_content!r}: must be 'full', 'redacted' or 'metadata'"
        )
    return capture_content


class Options(NamedTuple):
    """How calls of one client are recorded."""

    client: Recording | None = None
    """Records what happens outside any run; the default client if None."""
    capture_content: CaptureContent = "full"
    include_usage: bool = False


@lru_cache(maxsize=256)
def _telling(names: tuple[Any, ...]) -> list[tuple[int, str]]:
    """Return where among headers of these *names* those stand that are looked at, and which they are."""
    kinds = ((at, _HEADERS.get(name.lower())) for at, name in enumerate(names))
    return [(at, kind) for at, kind in kinds if kind is not None]


under_way: Final[ContextVar[Target | None]] = ContextVar("llmobs_call_under_way", default=None)
"""Set by a door to what is called while what it wraps sends the request: a door further in steps aside."""


def begin(
    target: Target,
    headers: Iterable[tuple[Any, Any]],
    body: bytes | None,
    options: Options,
    *,
    remove: Callable[[Any], object],
    started: float | None = None,
) -> Call | None:
    """
    Return the call that a request starts, or None if it is none of ours to record.

    Args:
        target: What `recognise` says of its method, host and path.
        headers: Names and values as they are sent, both text or both bytes.
        body: As sent; None if it is not in memory (uploads).
        options: How the door was told to record.
        remove: Takes a header, by its name as given, out of the request: `CAPTURE_HEADER` is ours. Not
            called where a signature speaks of that header (AWS's): the request would be refused.
        started: When the request came to the door (``time.perf_counter``); by default now.
    """
    if under_way.get() == target:
        return None  # another one is the call of who answers in this process, a gateway perhaps
    attempt = 1
    mode: str = options.capture_content
    is_sdk = False
    asked: Any = None
    sent = list(headers)
    for at, kind in _telling(next(zip(*sent, strict=True), ())):
        name, value = sent[at]
        text = value if type(value) is str else str(value, "latin-1")
        if kind == _RETRY_HEADER:
            attempt = int(text) + 1 if text.isdecimal() else 1
            is_sdk = True
        elif kind == _AWS_HEADER:
            told = _AWS_ATTEMPT.search(text)
            attempt = int(told[1]) if told else 1
        elif kind == _AZURE_HEADER:
            attempt = _attempts.get(text, 0) + 1
            _attempts.put(text, attempt)
        elif kind == CAPTURE_HEADER:
            # A typing error must not reveal what was to be hidden.
            mode, asked = text if text in _MODES else "metadata", name
        elif text.startswith("llmobs/"):
            return None
        else:
            is_sdk = is_sdk or text.startswith(_SDKS)
    if asked is not None and not _is_signed(headers):
        remove(asked)
    shape = None if is_sdk else target.shape
    mark = target.wire.mark
    if mark and (body is None or body.find(mark) < 0):  # "in" takes twice the time for short bodies
        return None
    if shape is not None and (body is None or not all(name in body for name in shape.asks)):
        return None
    frame = place_of(current_frame())
    run = None if frame is None else frame.run
    if not isinstance(run, Tracker):
        # Results of one batch are one run, whoever reads them.
        run_id = derived_id("batch", target.host, target.batch) if target.batch else None
        frame, run = None, Tracker(options.client or default_client(), run_id)
        run.standalone = True
    if not run.client.enabled:
        return None
    kind_of_call = Fetch if target.answer_id else Batch if target.batch else Call
    call = kind_of_call(target, run, frame, mode, body, attempt, started)
    call.shape = shape
    if shape is not None and shape.port:
        call.port = _port_of(sent)
    return call


def _port_of(headers: Iterable[tuple[Any, Any]]) -> str:
    """Return the port that the request names as its host's; empty if it is the scheme's own."""
    told = [value for name, value in headers if name.lower() in ("host", b"host")]
    text: Any = told[0] if told else ""
    _, _, port = (text if type(text) is str else str(text, "latin-1")).rpartition(":")
    return port if port.isdecimal() else ""


def _is_signed(headers: Iterable[tuple[Any, Any]]) -> bool:
    """Whether the request's signature covers `CAPTURE_HEADER` (AWS, "Signature Version 4", SignedHeaders)."""
    told = (value for name, value in headers if name.lower() in ("authorization", b"authorization"))
    return any(
        CAPTURE_HEADER in (text if type(text) is str else str(text, "latin-1")) for text in told
    )


def report(error: Exception) -> None:
    """Log an error of our own; entering the guard only for errors saves a microsecond per call."""
    with internal_errors("capture a model call"):
        raise error


# Each look into an Enum takes as long as a call of a function.
_SUCCESS: Final = Status.SUCCESS
_CANCELLED: Final = Status.CANCELLED
_WHOLE: Final = Ending.WHOLE


class Call(Sighting):
    """A call under way; ends once, with :meth:`end`."""

    __slots__ = (
        "_answer", "_error", "_headers", "_http_status", "_limit", "_mode",
        "_request", "_status", "_target", "_timestamp", "_warnings", "attempt", "copy", "decoded", "done",
        "ending", "form_model", "latency_ms", "port", "shape",
    )  # fmt: skip

    def __init__(
        self,
        target: Target,
        tracker: Tracker,
        frame: Frame | None,
        mode: str,
        body: bytes | None,
        attempt: int,
        started: float | None,
    ) -> None:
        now = time()
        super().__init__(
            "wire", tracker, event_id=new_id(now), is_home=frame is not None, started=started
        )
        settings = getattr(tracker.client, "settings", None)
        self._limit: int = _DEFAULT_BYTES if settings is None else settings.capture_bytes
        self._target = target
        self._mode = mode
        self._request = None if body is None else clip(body, self._limit)
        self.form_model: str | None = None
        """The model of a form (uploads), whose body is not kept; for doors to set."""
        self.attempt = attempt
        """Which one of the same request this is, from 1; for doors to set where a library retries."""
        self._http_status: int | None = None
        self._headers: Any = None
        self._error: ErrorInfo | None = None
        self._status = _SUCCESS
        self._timestamp: Any = now
        """The clock's reading, as in `llmobs.capture.building`: the pipeline makes a datetime of it."""
        self._warnings: tuple[str, ...] = ()
        self.model = target.model
        self.copy: Copy | None = None
        self.decoded = False
        """Whether the copy holds the body without its content encoding; for doors to set."""
        self.done = False
        self.shape: Shape | None = None
        """What shows at the end whether this was a call of a model, if nothing else did."""
        self.port = ""
        """Where it went, if the shape asks."""
        self.latency_ms = 0.0
        self.ending = _WHOLE
        if frame is not None:
            self.parent_id = frame.event_id
        self._answer: PromptCallEvent | None = None
        self._begin(frame)

    def _begin(self, frame: Frame | None) -> None:
        sightings.begin(self, sighting_around(frame, self))

    @property
    def target(self) -> Target:
        """What is called."""
        return self._target

    # The request path.

    def respond(self, status: int, headers: Any) -> Copy:
        """
        Note the head of the answer; returns where its body is to be copied.

        Args:
            status: HTTP status.
            headers: A mapping of names to values, both text; not the response, into which its
                client may read the whole body.
        """
        self._http_status = status
        self._headers = headers
        self.copy = Copy(self._limit)
        return self.copy

    def ask(self, body: bytes) -> None:
        """Say what was asked where the request did not tell it whole, or told it piece by piece."""
        self._request = clip(body, self._limit)

    def end(self, ending: Ending, error: BaseException | None = None) -> None:
        """Record it, the first time; what goes wrong here is reported, never raised."""
        if self.done:
            return
        self.done = True
        try:
            self._finish(ending, error)
        except Exception as ours:  # noqa: BLE001 - reported; the host must not notice
            report(ours)

    def _finish(self, ending: Ending, error: BaseException | None) -> None:
        self.latency_ms = (perf_counter() - self.started) * 1000
        self.ending = ending
        copy = self.copy
        if copy is not None:
            copy.close()
        status = self._http_status
        if status is not None and 300 <= status < 400:
            sightings.drop(self)  # a redirect: the client asks again, elsewhere
            return
        if self.shape is not None and not self._shows(self.shape):
            sightings.drop(self)  # the host's own affair
            return
        if error is not None:
            self._status = _status_of(error)
            if self._status is not _CANCELLED:
                # Not the exception itself: its traceback holds on to the host's frames.
                self._error = ErrorInfo.of(error)
        elif status is not None and status >= 400:
            self._status = Status.ERROR
        elif copy is not None:
            self._status = status_at_end(copy, ending)
        failed = self._status is not _SUCCESS and self._status is not _CANCELLED
        self.has_usage = self._status is _SUCCESS
        size = _OVERHEAD_BYTES if copy is None else _OVERHEAD_BYTES + copy.weight
        if self._request is not None:
            beginning, rest = self._request
            size += len(beginning) if rest is None else len(beginning) + len(rest)
        target = self._target
        event = PromptCallEvent(
            event_id=self.event_id,
            run_id=self.tracker.run_id,
            parent_id=self.parent_id,
            timestamp=self._timestamp,
            model=target.model,
            operation=target.operation,
            provider=target.provider,
            server_address=target.host,
            latency_ms=self.latency_ms,
            status=self._status,
            attempt=self.attempt,
            http_status=self._http_status,
            error=self._error,
            warnings=self._warnings,
        )
        self.size = size
        self._end(event, failed)

    def _end(self, event: PromptCallEvent, failed: bool) -> None:
        if (
            self._target.wire is openai_responses.WIRE
            and self._request is not None
            and not failed
            and b'"background"' in self._request[0]
            and _BACKGROUND.search(self._request[0])
        ):
            finish(self.read(event))
            if event.response_id and not _is_final(event):
                # The provider works on: the call ends when its answer is fetched.
                self.is_read = True
                self._answer = event
                sightings.await_answer(self, event.response_id)
                return
            self.is_read = True
        sightings.end(self, event, self.size, failed)

    def answered_by(self, answer: PromptCallEvent, size: int) -> None:
        """End a call whose provider worked in the background: this is its answer."""
        event = self._answer
        assert event is not None
        apply_policy(answer, self._mode)
        for name in _ANSWER:
            value = getattr(answer, name)
            setattr(event, name, value if value is not None else getattr(event, name))
        event.latency_ms = (perf_counter() - self.started) * 1000
        self.has_usage = event.tokens_input is not None
        sightings.end(self, event, self.size + size, event.failed)

    def _shows(self, shape: Shape) -> bool:
        """Whether this was a call of a model, by its answer; of a failure, see `shapes`."""
        place = (self._target.host, shape)
        copy = self.copy
        answer = b""
        if copy is not None and copy.total:
            answer = copy.ends("" if self.decoded else self._headers.get("content-encoding", ""))
        if copy is None or (self._http_status or 0) >= 400:
            return place in _shown or shape.shows_failure(self._asked_ends(), self.port, answer)
        if copy.total == 0:
            return place in _shown
        if not shape.shows(answer):
            return False
        _shown.put(place, None)
        return True

    def _asked_ends(self) -> bytes:
        """Return some of the beginning and of the end of the request."""
        beginning, rest = self._request or (b"", None)
        return beginning[:_ENDS] + b"\n" + (rest or beginning)[-_ENDS:]

    # What the joining asks.

    def look(self) -> None:
        """Find the model in the request."""
        if self._request is None:
            return
        body = self._request[0]
        at = body.find(b'"model"')  # a pattern would take its time for a long body
        if at >= 0 and (found := _MODEL.match(body, at)):
            self.model = found[1].decode("utf-8", "replace")

    def cut(self, why: str) -> None:
        """End it although its answer has not: what comes from now on is not kept."""
        words = f"{why}: usage unknown"
        if self._answer is not None:
            event = self._answer
            sightings.take_awaited(event.response_id or "")
            event.finish_reason = None
            event.warnings = (*event.warnings, words)
            sightings.end(self, event, self.size, False)
            return
        self._warnings = (*self._warnings, words)
        if self.copy is not None:
            self.copy = _so_far(self.copy)
        self.end(Ending.CLOSED)

    def read(self, event: PromptCallEvent) -> Steps[None]:
        """Read what passed; in the pipeline."""
        exchange = Exchange(
            target=self._target,
            request=self._request,
            form_model=self.form_model,
            started=self.started,
            status=self._http_status,
            headers={k.lower(): v for k, v in self._headers.items()} if self._headers else {},
            copy=self.copy,
            ending=self.ending,
            decoded=self.decoded,
        )
        yield from read_exchange(exchange, event)
        apply_policy(event, self._mode)

    def limit(self, event: PromptCallEvent) -> None:
        """What this call must not tell, nobody else does either."""
        if self._mode != "full":
            apply_policy(event, self._mode)

    def release(self) -> None:
        """Let go of the copies."""
        self.copy = self._request = self._headers = None


class Fetch(Call):
    """A request for the answer of a call that was made before: it ends that call, and is none itself."""

    __slots__ = ()

    def _begin(self, frame: Frame | None) -> None:
        pass

    def _end(self, event: PromptCallEvent, failed: bool) -> None:
        if failed and self._http_status != 200:
            return
        finish(self.read(event))
        self.is_read = True
        if not _is_final(event):
            return
        key = self._target.answer_id
        call = sightings.take_awaited(key)
        news = sightings.is_news(key)
        if isinstance(call, Call):
            call.answered_by(event, self.size)
        elif news and (event.response_metadata or {}).get("background"):
            # Another process asked: its event has no usage, so that totals count it once.
            event.latency_ms = None
            sightings.begin(self)
            sightings.end(self, event, self.size, event.failed)


class Batch(Call):
    """
    A request for the results of a batch: each of them becomes an event, and the request none.

    An event's id is made of the batch and the name of the request in it: who reads the results
    again, here or in another process, adds nothing.
    """

    __slots__ = ("_results",)

    def _begin(self, frame: Frame | None) -> None:
        self._results: Results | None = None

    def respond(self, status: int, headers: Any) -> Copy:
        """Note the head of the answer; returns what takes the results as they come."""
        items = self._target.wire.items
        if status != 200 or items is None:
            return super().respond(status, headers)
        encoding = headers.get("content-encoding") or "identity"
        self.copy = self._results = Results(
            self._limit, items(), self._decoding(encoding.lower()), self._take
        )
        return self._results

    def _decoding(self, encoding: str) -> Callable[[bytes], bytes]:
        decode = None if encoding == "identity" else decoder(encoding)

        def decoded(data: bytes) -> bytes:
            if self.decoded or encoding == "identity":
                return data
            if decode is None:
                raise ValueError(encoding)
            return decode(data)

        return decoded

    def _finish(self, ending: Ending, error: BaseException | None) -> None:
        if self._results is not None and ending is Ending.WHOLE:
            self._results.finish()
        self.release()

    def _take(self, result: Result) -> None:
        target = self._target
        event_id = derived_id("batch", target.host, target.batch, result.name)
        if not sightings.is_news(event_id):
            return
        event = PromptCallEvent(
            event_id=event_id,
            run_id=self.tracker.run_id,
            parent_id=self.parent_id or "",
            timestamp=datetime.now(UTC),
            operation=target.operation,
            provider=target.provider,
            server_address=target.host,
        )
        self.tracker.record(
            event,
            size=result.body.weight + _OVERHEAD_BYTES,
            failed=result.failed,
            complete=partial(self._complete, result),
        )

    def _complete(self, result: Result, event: Event) -> Steps[None]:
        assert isinstance(event, PromptCallEvent)
        exchange = Exchange(
            target=self._target,
            request=None,
            form_model=result.model,
            started=self.started,
            status=200,
            headers={"content-type": "application/json"},
            copy=result.body,
            ending=Ending.WHOLE,
            decoded=True,
        )
        yield from read_exchange(exchange, event)
        if event.failed and not result.failed:
            self.tracker.failures += 1
        apply_policy(event, self._mode)


_ENDS: Final = 4096
_BACKGROUND: Final = re.compile(rb'"background" ?: ?true')
_ANSWER: Final = (
    "response", "tool_calls", "tokens_input", "tokens_output", "tokens_cached", "tokens_cache_write",
    "tokens_reasoning", "usage", "finish_reason", "status", "error", "model_version",
    "service_tier", "response_metadata",
)  # fmt: skip


def _is_final(event: PromptCallEvent) -> bool:
    """Whether the provider has done with a response; a stream that broke off says nothing of it."""
    return event.finish_reason not in ("queued", "in_progress") and not (
        event.stream and event.status != Status.SUCCESS and event.tokens_output is None
    )


_MODEL: Final = re.compile(rb'"model" ?: ?"([^"\\]{1,200})"')


def _so_far(copy: Copy) -> Copy:
    """Return what was kept until now: the stream goes on filling the one it has."""
    kept = Copy(copy.limit)
    kept.times = list(copy.times)
    kept.chunks = copy.chunks[: len(kept.times)]
    kept.rest += copy.rest
    kept.room -= sum(map(len, kept.chunks)) + len(kept.rest)
    return kept


_TIMEOUTS: Final = frozenset({"TimeoutException", "TimeoutError"})


def _status_of(error: BaseException) -> Status:
    # The timeouts of httpx, httpx2 and urllib3 are not Python's own TimeoutError; urllib3 calls a
    # refused connection one, too.
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & _TIMEOUTS and "NewConnectionError" not in names:
        return Status.TIMEOUT
    return status_of(error)


def apply_policy(event: PromptCallEvent, mode: str) -> None:
    """As `policy`, at once."""
    steps = policy(mode)
    if steps is not None:
        finish(steps(event))


def policy(mode: str) -> Callable[[Event], Steps[None]] | None:
    """
    Return what takes from an event, in steps, what *mode* does not allow to be kept; None if it allows all.

    Args:
        mode: ``full``, ``redacted`` (even where the client does not redact) or ``metadata``.
    """
    if mode == "full":
        return None
    redactor = Redactor()
    # Identifiers are the client's to rename, by the same rule for all events of a run.
    return EventRedactor(
        redactor, redactor, identifiers=False, keep_content=mode != "metadata"
    ).steps
