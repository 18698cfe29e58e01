"""Redaction that is not ours: called in a thread, not for longer than a limit, and it fails closed."""

from collections.abc import Callable, Sequence

from llmobs.codec import weigh
from llmobs.events import ErrorInfo, Event
from llmobs.pipeline.intake import Entry
from llmobs.pipeline.sanitise import sanitise
from llmobs.pipeline.user_code import UserCode
from llmobs.runtime.time_slices import gently
from llmobs.runtime.troubles import Troubles

__all__ = ["OwnRedaction"]


class OwnRedaction:
    """
    Calls the application's functions of what is recorded.

    Args:
        apply: Redacts an event in place; given, too, what it was when that was done last.
        withhold: Takes out of an event whatever they might have taken out.
        failures: How many values were replaced so far as a function raised.
        code: The thread they are called in.
    """

    def __init__(
        self,
        apply: Callable[[Event, Event | None], None],
        withhold: Callable[[Event], None],
        failures: Callable[[], int],
        *,
        code: UserCode,
    ) -> None:
        self._apply = apply
        self._withhold = withhold
        self._failures = failures
        self._code = code
        self.count_failures: Callable[[int], object] = _nobody
        """Told how many values, or events, they cost."""
        self.troubles: Troubles | None = None
        """Where trouble is logged."""

    async def redact(self, entries: Sequence[Entry], before: Event | None = None) -> None:
        """Redact *entries*, a few; their events are replaced by others."""
        clean: list[Event] = []
        in_time = await self._code.call(self._work(entries, before, clean))
        self._replace(entries, list(clean), in_time)

    def redact_in_time(self, entries: Sequence[Entry]) -> None:
        """Do the same, holding up the caller."""
        clean: list[Event] = []
        in_time = self._code.call_now(self._work(entries, None, clean))
        self._replace(entries, list(clean), in_time)

    def _work(
        self, entries: Sequence[Entry], before: Event | None, clean: list[Event]
    ) -> Callable[[], None]:
        events = [entry.event for entry in entries]

        def work() -> None:
            for event in gently(events):
                clean.append(self._redacted(event, before))  # noqa: PERF401 - looked at meanwhile

        return work

    def _replace(self, entries: Sequence[Entry], done: list[Event], in_time: bool) -> None:
        for entry, event in zip(entries, done, strict=False):
            entry.size += weigh(event) - weigh(entry.event)
            entry.event = event
        if not in_time:
            late = entries[len(done) :]
            for entry in late:
                self._withhold(entry.event)
                sanitise(entry.event)
            self.count_failures(len(late))
            if self.troubles is not None:
                self.troubles.log(
                    "slow-redaction",
                    "llmobs: a redactor of yours takes too long; what it was to look at is left out of %d events",
                    len(late),
                )

    def redact_now(self, entry: Entry, before: Event | None = None) -> None:
        """Redact *entry*, holding up the caller for as long as it takes."""
        entry.event = self._redacted(entry.event, before)

    def close(self) -> None:
        """End the thread, once it answers."""
        self._code.close()

    def _redacted(self, event: Event, before: Event | None) -> Event:
        copy: Event = event.__copy__()  # type: ignore[attr-defined]  # values are replaced, not changed
        error = getattr(copy, "error", None)
        if isinstance(error, ErrorInfo):
            copy.error = error.__copy__()  # type: ignore[attr-defined]
        failures = self._failures()
        self._apply(copy, before)
        if failed := self._failures() - failures:
            self.count_failures(failed)
        sanitise(copy)
        return copy


def _nobody(count: int) -> None:
    """Count nowhere: nobody asks."""
