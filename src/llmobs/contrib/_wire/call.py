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
from types import NoneType
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
from llmobs.redaction.events import EventRedactor
from llmobs.redaction.redactor import Redactor
from llmobs.runtime.context import Entry, Frame
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
_NOTING_NOTHING: Final = frozenset({NoneType, Entry, Tracker})
"""Frames that see nothing of what happens inside them; most are of these."""


class Call(Sighting):
    """
    A call under way; ends once, with :meth:`end`.

    Args:
        target: What is called.
        tracker: The run it belongs to.
        frame: Where in it; None if the run was made for this call.
        mode: What may be kept of it, one of `MODES`.
        body: What is sent; None if it is not in memory.
        attempt: Which one of the same request this is, from 1.
        started: When the request came to the door (``time.perf_counter``); by default now.
    """

    form_model: str | None = None
    """The model of a form (uploads), whose body is not kept."""
    decoded = False
    """Whether the copy holds the body without its content encoding; for doors to set."""
    shape: Shape | None = None
    """What shows at the end whether this was a call of a model, if nothing else did."""
    port = ""
    """Where it went, if the shape asks."""
    _error: ErrorInfo | None = None
    _warnings: tuple[str, ...] = ()
    _answer: PromptCallEvent | None = None

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
        # What `Sighting` would set, at once: this is on the path of every request.
        self.clock = time()
        self.started = perf_counter() if started is None else started
        self.door = "wire"
        self.tracker = tracker
        self._event_id = None
        self.is_home = frame is not None
        self.parent_id = None if frame is None else frame.event_id
        self._target = target
        if target.model:
            self.model = target.model
        self._mode = mode
        self._limit = limit = tracker.client.capture_bytes
        if body is None:
            self._request = None
        else:
            self._request = (body, None) if len(body) <= limit else clip(body, limit)
        self.attempt = attempt
        """Which one of the same request this is, from 1; for doors to set where a library retries."""
        self._http_status: int | None = None
        self._headers: Any = None
        self.copy: Copy | None = None
        self.latency_ms = 0.0
        self.ending, self._status = _WHOLE, _SUCCESS
        self.size, self.failed, self.done = 0, False, False
        self._begin(frame)

    def _begin(self, frame: Frame | None) -> None:
        self._is_noted = noted = type(frame) not in _NOTING_NOTHING
        sightings.begin(self, sighting_around(frame, self) if noted else None)

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
        size = OVERHEAD_BYTES
        if copy is not None:
            size += copy.close()
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
        if self._request is not None:
            beginning, rest = self._request
            size += len(beginning) if rest is None else len(beginning) + len(rest)
        self.size = size
        self._end(failed)

    def _event(self, run_id: str) -> PromptCallEvent:
        """Make its event, which has yet to be read."""
        # As in `llmobs.capture.building`: the pipeline makes a datetime of it.
        clock: Any = self.clock
        return PromptCallEvent(
            event_id=self.event_id,
            run_id=run_id,
            parent_id=self.parent_id,
            timestamp=clock,
            latency_ms=self.latency_ms,
            status=self._status,
            error=self._error,
            warnings=self._warnings,
        )

    def _end(self, failed: bool) -> None:
        if (
            self._target.wire.in_background
            and self._request is not None
            and not failed
            and b'"background"' in self._request[0]
            and _BACKGROUND.search(self._request[0])
        ):
            event = self._event(self.tracker.run_id)
            finish(self.read(event))
            self.is_read = True
            if event.response_id and not is_final(event):
                # The provider works on: the call ends when its answer is fetched.
                self._answer = event
                sightings.await_answer(self, event.response_id)
                return
            self._tell(event, failed)
        elif self._is_noted or not sightings.pop_alone(self):
            self._tell(self._event(self.tracker.run_id), failed)
        else:
            tracker = self.tracker
            self.failed = failed
            self._run_id, self._shared = tracker.run_id, tracker.shared()
            try:
                tracker.record_later(self._made, self.size, failed, self._complete)
            finally:
                sightings.count_off(tracker)

    def _tell(self, event: PromptCallEvent, failed: bool) -> None:
        """End it as one of those who may have seen the call."""
        self.has_usage = self._status is _SUCCESS
        sightings.end(self, event, self.size, failed)

    def _made(self) -> Event:
        """Make its event, when nobody else has seen the call; in the pipeline."""
        event = self._event(self._run_id)
        (
            event.trace_id, event.span_id, event.user_id, event.session_id, event.release,
            event.service_name, event.standalone, event.tags,
        ) = self._shared  # fmt: skip
        return event

    def _complete(self, event: Event) -> Steps[None]:
        assert isinstance(event, PromptCallEvent)
        yield from self.read(event)
        if event.failed and not self.failed:
            self.tracker.failures += 1
        self.release()

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
    kept.more(bytes(copy.rest or b""))
    kept.room -= kept.kept
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
