"""A run that records: the one way of its events to the client."""

from typing import Any, Final, Protocol

from llmobs.capture.building import OVERHEAD_BYTES, weigh_common, weigh_texts
from llmobs.codec import texts, weighed
from llmobs.events import Event
from llmobs.pipeline.intake import Complete, Make
from llmobs.pipeline.statistics import DropReason
from llmobs.runtime.context import Run, current_frame, innermost_frame, inside

__all__ = ["NO_RECORDER", "RecordedRun", "Recorder", "Shared"]

_NO_TAGS: tuple[str, ...] = ()


class Recorder(Protocol):
    """The client, as a run sees it."""

    enabled: bool
    capture_bytes: int
    """Bytes that are kept of a body, at most."""

    def record(
        self,
        event: Event,
        run: Run | None,
        size: int,
        failed: bool,
        complete: Complete | None = None,
    ) -> None:
        """Take in *event*, of *size* bytes; never raises."""

    def record_later(
        self, make: Make, run: Run, size: int, failed: bool, complete: Complete
    ) -> None:
        """Take in an event that is made in the pipeline; never raises."""

    def refuse(self, event: Event, run: Run | None, reason: DropReason) -> None:
        """Count *event* as dropped."""

    def expect(self) -> None:
        """Look after what waits in `llmobs.capture.joining` for the end of a call."""


class _NoRecorder:
    enabled = False
    capture_bytes = 0

    def record(self, *args: Any, **kwargs: Any) -> None:
        """Drop it."""

    def record_later(self, *args: Any, **kwargs: Any) -> None:
        """Drop it."""

    def refuse(self, *args: Any, **kwargs: Any) -> None:
        """Drop it."""

    def expect(self) -> None:
        """Do nothing."""


NO_RECORDER: Final[Recorder] = _NoRecorder()
"""Records nothing: what trackers hold where no client is at hand."""


Shared = tuple[Any, Any, Any, Any, Any, Any, bool, tuple[str, ...]]
"""``trace_id, span_id, user_id, session_id, release, service_name, standalone, tags`` of an event."""


class RecordedRun(Run):
    """
    A run whose events go to a client.

    Args:
        client: Where they go.
        run_id: The run's id; a new one by default.
    """

    calls_unfiled: list[None]
    """
    As long as there are calls that are neither recorded nor where doors find each other's: `llmobs.capture.joining`
    counts them. A list, since its steps are whole ones: a number would take a lock.
    """

    def __init__(self, client: Recorder, run_id: str | None = None) -> None:
        super().__init__(run_id)
        self.client = client
        self.calls_unfiled = []

    def record(
        self,
        event: Event,
        *,
        size: int = 0,
        failed: bool = False,
        complete: Complete | None = None,
    ) -> str:
        """
        Record an event made elsewhere, under this run: for blocks and for doors that capture.

        Args:
            event: The event; fields it leaves open are taken from the run.
            size: Estimated bytes of its content, and of what *complete* holds on to.
            failed: Whether it reports a failure.
            complete: Fills in the rest later, in the pipeline, off the caller's path.
        """
        if event.tags or event.warnings or getattr(event, "error", None) is not None:
            size += weigh_common(event)
        if event.user_id or event.session_id or event.release or event.service_name:
            size += weigh_texts(event.user_id, event.session_id, event.release, event.service_name)
        return self._record(event, size, failed, complete)

    def _record(
        self,
        event: Event,
        size: int,
        failed: bool,
        complete: Complete | None = None,
    ) -> str:
        if event.parent_id is None:
            frame = innermost_frame() if inside else current_frame()
            if frame is not self and frame is not None and frame.run is self:
                event.parent_id = frame.event_id
        elif type(event.parent_id) is str and not event.parent_id:
            # Of an operation that began in no other.
            event.parent_id = None
        # Setting a field costs more than two looks.
        if (trace_id := self.trace_id) is not None and event.trace_id is None:
            event.trace_id, event.span_id = trace_id, self.span_id
        if (user_id := self.user_id) is not None and event.user_id is None:
            event.user_id = user_id
        if (session_id := self.session_id) is not None and event.session_id is None:
            event.session_id = session_id
        if (release := self.release) is not None and event.release is None:
            event.release = release
        if (service_name := self.service_name) is not None and event.service_name is None:
            event.service_name = service_name
        if self.standalone:
            event.standalone = True
        if (tags := self.tags) is not _NO_TAGS:  # set to anything, perhaps
            event.tags = (*(tags if type(tags) is tuple else texts(tags)), *event.tags)
        self.client.record(event, self, self._count(size, failed), failed, complete)
        return event.event_id

    def record_later(self, make: Make, size: int, failed: bool, complete: Complete) -> None:
        """
        Record an event that is made in the pipeline, off the caller's path.

        Args:
            make: Makes it; what its run `shared` when this was called is for it to fill in.
            size: Estimated bytes of what it is made of.
            failed: Whether it reports a failure.
            complete: As in `record`.
        """
        self.client.record_later(make, self, self._count(size, failed), failed, complete)

    def _count(self, size: int, failed: bool) -> int:
        """Count an event that is recorded now; return what it weighs with all that comes with it."""
        if not self.recorded:
            size += self._weigh_shared()
        self.recorded += 1
        if failed:
            self.failures += 1
        return size + OVERHEAD_BYTES

    def shared(self) -> Shared:
        """Return what its events share, as it is now: for events that are made later."""
        tags, trace_id = self.tags, self.trace_id  # set to anything, perhaps
        return (
            trace_id, None if trace_id is None else self.span_id, self.user_id, self.session_id, self.release,
            self.service_name, self.standalone, tags if type(tags) is tuple else texts(tags),
        )  # fmt: skip

    def _weigh_shared(self) -> int:
        """Estimate the memory of what the events of this run share: the first one counts it."""
        size = weigh_texts(
            self.run_id, self.user_id, self.session_id, self.release, self.service_name
        )
        for value in (self.tags, self.metadata):  # set to anything, perhaps
            if value is not None and value is not _NO_TAGS:
                size += weighed(value)[1]
        return size
