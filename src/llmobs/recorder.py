"""The client as trackers see it: where events go."""

from typing import Any, Final, Protocol

from llmobs.context import Run
from llmobs.events import Event
from llmobs.pipeline.buffer import Complete
from llmobs.pipeline.statistics import DropReason

__all__ = ["NO_RECORDER", "Recorder"]


class Recorder(Protocol):
    """The client, as trackers see it."""

    enabled: bool

    def record(
        self,
        event: Event,
        run: Run | None,
        size: int,
        failed: bool,
        complete: Complete | None = None,
    ) -> None:
        """Take in *event*, of *size* bytes; never raises."""

    def refuse(self, event: Event, run: Run | None, reason: DropReason) -> None:
        """Count *event* as dropped."""

    def expect(self) -> None:
        """Look after what waits in `llmobs.sightings` for the end of a call."""


class _NoRecorder:
    enabled = False

    def record(self, *args: Any, **kwargs: Any) -> None:
        """Drop it."""

    def refuse(self, *args: Any, **kwargs: Any) -> None:
        """Drop it."""

    def expect(self) -> None:
        """Do nothing."""


NO_RECORDER: Final[Recorder] = _NoRecorder()
"""Records nothing: what trackers hold where no client is at hand."""
