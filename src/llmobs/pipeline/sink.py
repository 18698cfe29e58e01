"""What a sink is: the protocol every destination implements, and the batches it is given."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from llmobs.codec import encode
from llmobs.events import Event

__all__ = ["Batch", "Sink"]


class Batch:
    """
    Events to deliver together, redacted, priced and complete.

    Args:
        events: At least one, oldest first.
    """

    __slots__ = ("_json", "events")

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self._json: list[bytes] | None = None

    def __len__(self) -> int:
        return len(self.events)

    def json(self) -> list[bytes]:
        """Return the native JSON of each event, made once per batch."""
        if self._json is None:
            self._json = [encode(event) for event in self.events]
        return self._json


@runtime_checkable
class Sink(Protocol):
    """
    Where batches go. All methods run in the pipeline's event loop, one call at a time.

    A sink is opened before its first batch, and again after ``open`` failed. It must not retry,
    queue or redact: the pipeline does. ``max_batch_events`` and ``max_batch_bytes`` lower the
    client's own batch limits where the destination has smaller ones; None leaves them alone.
    """

    name: str
    """Short name for statistics and logs, without secrets."""
    max_batch_events: int | None
    max_batch_bytes: int | None

    async def open(self) -> None:
        """
        Get ready (connect, create files).

        Raises:
            SinkError: Not possible now; the pipeline tries again.
            StoreError, ConfigurationError: Not possible until somebody mends it; tried again rarely.
        """

    async def send(self, batch: Batch) -> None:
        """
        Deliver *batch*; returning means every event is safe at the destination.

        Raises:
            SinkUnavailableError: Try again later.
            SinkMisconfiguredError: Something else answers there: a wrong URL. Tried again rarely.
            SinkUnauthorizedError: The key is refused. Tried again rarely.
            SinkTooLargeError: Send it in smaller pieces.
            SinkRejectedError: The batch, or the events it names, will never be taken.
        """

    async def aclose(self) -> None:
        """Release what ``open`` acquired; must be safe without ``open`` and when called twice."""
