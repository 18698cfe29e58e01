"""How a request ended: what its answer's header says, and the run event that is recorded."""

import time
from typing import Any

from llmobs.capture.tracker import Tracker
from llmobs.contrib._web.origin import LateTracker
from llmobs.events import Status
from llmobs.recorded.ids import is_valid_run_id

__all__ = ["Ending"]


class Ending:
    """
    What a door knows about the end of one request.

    Args:
        tracker: The request's run.
    """

    __slots__ = ("_run_id", "ended", "error", "status", "tracker")

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker
        self.status: int | None = None
        """HTTP status of the answer; None before there is one."""
        self.ended: float | None = None
        """When the last byte went out, by ``time.perf_counter``; None while it has not."""
        self.error: BaseException | None = None
        """What the application raised."""
        self._run_id = tracker.run_id

    def answered_id(self) -> str | None:
        """Return the run's id for the answer's header; to be called when the answer begins."""
        tracker = self.tracker
        if type(tracker) is LateTracker and not tracker.adopted:
            tracker.adopt()
        run_id = tracker.run_id
        if run_id is not self._run_id and not is_valid_run_id(run_id):
            return None  # the application's own id: recorded as it is, but not fit for a header
        return run_id

    def client_left(self) -> bool:
        """Whether `error` only says that the client is gone."""
        return False

    @property
    def failed(self) -> bool:
        """Whether it ended in an exception of the application, or in an answer of 500 or more."""
        if isinstance(self.error, Exception):
            return not self.client_left()
        return self.status is not None and self.status >= 500

    def finish(self, always: bool, method: str | None, route: str | None, name: str) -> None:
        """
        Record the run: it ended when the body did, whatever background tasks did after.

        Args:
            always: Record it even if nothing happened in it.
            method: HTTP method.
            route: Template of the route that took it.
            name: What it is called, unless the application has named it.
        """
        tracker = self.tracker
        if tracker.name is None:
            tracker.name = name
        left = self.client_left()
        if self.status is None and isinstance(self.error, Exception) and not left:
            self.status = 500  # what the server, or the framework outside us, answers
        ended = self.ended if self.ended is not None else time.perf_counter()
        tracker.finish(
            error=self.error,
            latency_ms=(ended - tracker.started) * 1000,
            always=always,
            method=method,
            route=route,
            http_status=self.status,
            **self._status(left),
        )

    def _status(self, left: bool) -> dict[str, Any]:
        if left:
            return {"status": Status.CANCELLED}
        if self.error is not None:
            return {}
        if self.status is not None and self.status >= 500:
            return {"status": Status.ERROR}
        if self.tracker.kind == "http" and self.status is not None and self.ended is None:
            return {"status": Status.CANCELLED}  # the client left before the body was complete
        return {}
