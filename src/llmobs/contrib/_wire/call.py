"""
One call of a model as a transport sees it: from the request to the event.

Doors of all HTTP clients use it alike: `recognise` tells from method, host and path what a request
calls, `beginning.begin` makes a :class:`Call` of it, :meth:`Call.respond` notes the head of the answer and returns the
`Copy` to which its body is added as it passes, and :meth:`Call.end` records it.

What happens while the host waits is here and kept short; what can wait is in `reading`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from time import perf_counter, time
from typing import Any, Final, Literal

from llmobs.capture.joining import sightings
from llmobs.capture.operations import sighting_around, status_of
from llmobs.capture.sighting import Sighting
from llmobs.capture.tracker import Tracker
from llmobs.contrib._wire.body import Copy, clip
from llmobs.contrib._wire.ending import Ending, status_at_end
from llmobs.contrib._wire.latest import Latest
from llmobs.contrib._wire.reading import Exchange, read_exchange
from llmobs.contrib._wire.recognise import Target
from llmobs.contrib._wire.shapes import Shape
from llmobs.events import ErrorInfo, Event, PromptCallEvent, Status
from llmobs.recorded.ids import new_id
from llmobs.redaction.events import EventRedactor
from llmobs.redaction.redactor import Redactor
from llmobs.runtime.context import Frame
from llmobs.runtime.time_slices import Steps, finish
from llmobs.runtime.troubles import internal_errors

__all__ = [
    "MODES",
    "OVERHEAD_BYTES",
    "Call",
    "CaptureContent",
    "apply_policy",
    "checked_mode",
    "is_final",
    "policy",
    "report",
]

CaptureContent = Literal["full", "redacted", "metadata"]

_DEFAULT_BYTES: Final = 1024 * 1024
OVERHEAD_BYTES: Final = 3 * 1024
"""Memory of a call beside its bodies: itself, the heads of request and answer."""
_shown: Final = Latest[tuple[str, Shape], None]()
"""Hosts that gave an answer of a shape: their failures are believed, too."""
MODES: Final = frozenset({"full", "redacted", "metadata"})


def checked_mode(capture_content: str) -> str:
    """
    Return *capture_content* if it is one.

    Raises:
        ValueError: It is not.
    """
    if capture_content not in MODES:
        raise ValueError(
            f"capture_content={capture_content!r}: must be 'full', 'redacted' or 'metadata'"
        )
    return capture_content


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
        super().__init__("wire", tracker, new_id(now), frame is not None, started)
        settings = getattr(tracker.client, "settings", None)
        self._limit: int = _DEFAULT_BYTES if settings is None else settings.capture_bytes
        self._target = target
        self._mode = mode
        self._request = None if body is None else clip(body, self._limit)
        self.form_model: str | None = None
        """The model of a form (uploads), whose body is not kept."""
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

    def take_form(self, fields: Iterable[Any]) -> None:
        """Note the model of a form whose body is not in memory: *fields* have a name, and a value or a file."""
        for field in fields:
            if field.name == "model":
                value = getattr(field, "value", None)
                self.form_model = (
                    str(value, "utf-8", "replace") if isinstance(value, bytes) else str(value)
                )

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
        size = OVERHEAD_BYTES if copy is None else OVERHEAD_BYTES + copy.weight
        if self._request is not None:
            beginning, rest = self._request
            size += len(beginning) if rest is None else len(beginning) + len(rest)
        event = PromptCallEvent(
            event_id=self.event_id,
            run_id=self.tracker.run_id,
            parent_id=self.parent_id,
            timestamp=self._timestamp,
            latency_ms=self.latency_ms,
            status=self._status,
            error=self._error,
            warnings=self._warnings,
        )
        self.size = size
        self._end(event, failed)

    def _end(self, event: PromptCallEvent, failed: bool) -> None:
        if (
            self._target.wire.in_background
            and self._request is not None
            and not failed
            and b'"background"' in self._request[0]
            and _BACKGROUND.search(self._request[0])
        ):
            finish(self.read(event))
            if event.response_id and not is_final(event):
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
        target = self._target
        event.model = event.model or target.model
        event.operation, event.provider = target.operation, target.provider
        event.server_address = target.host
        event.http_status, event.attempt = self._http_status, self.attempt
        exchange = Exchange(
            target=target,
            request=self._request,
            form_model=self.form_model,
            started=self.started,
            status=self._http_status,
            headers={k.lower(): v for k, v in self._headers.items()} if self._headers else {},
            copy=self.copy,
            ending=self.ending,
            decoded=self.decoded,
        )
        if event.session_id is None:  # read before it is recorded
            event.session_id = self.tracker.session_id
        yield from read_exchange(exchange, event)
        apply_policy(event, self._mode)

    def limit(self, event: PromptCallEvent) -> None:
        """What this call must not tell, nobody else does either."""
        if self._mode != "full":
            apply_policy(event, self._mode)

    def release(self) -> None:
        """Let go of the copies."""
        self.copy = self._request = self._headers = None


_ENDS: Final = 4096
_BACKGROUND: Final = re.compile(rb'"background" ?: ?true')
_ANSWER: Final = (
    "response", "tool_calls", "tokens_input", "tokens_output", "tokens_cached", "tokens_cache_write",
    "tokens_reasoning", "usage", "finish_reason", "status", "error", "model_version",
    "service_tier", "response_metadata",
)  # fmt: skip


def is_final(event: PromptCallEvent) -> bool:
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
