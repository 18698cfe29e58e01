"""What the collector does to each event before it is stored: bounded, completed, redacted, priced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar, cast

from llmobs.client.build import price_stage, redact_stage
from llmobs.codec import bound_event
from llmobs.events import Event
from llmobs.pipeline.intake import Entry
from llmobs.pipeline.prepare import Complete, Identity
from llmobs.runtime.troubles import Troubles
from llmobs.settings import Settings

__all__ = ["Preparation", "Read", "ReadsBody"]


class Read(Protocol):
    """What was read of a body; a struct of msgspec, so that it passes between processes."""

    events: list[Any]
    """Events; filed (`llmobs.store.filed`) where a worker has read them."""


R = TypeVar("R", bound=Read)
E = TypeVar("E", bound=Event)
ReadsBody = Callable[[bytes], R]
"""
A function of a module, which reads a body and nothing else: it may run in another process.

Raises:
    RefusedError: The body is not what it says it is.
"""


class Preparation:
    """
    Does to events what is done to those recorded in process. It belongs to one thread at a time.

    Args:
        settings: Redaction, content and prices are as they say.
        key: What identifiers are renamed by, where the settings name no key; by default this process's.

    Raises:
        ConfigurationError: The rules of redaction cannot be used.
    """

    def __init__(self, settings: Settings, *, key: bytes | None = None) -> None:
        unknown = Identity(
            client=None,
            project_id=settings.project_id,
            service_name=None,
            environment=None,
            release=None,
        )
        self._price = price_stage(settings)
        self._complete = Complete(unknown)
        self._redact = redact_stage(settings, key=key)
        self._redact.tell(self._count_failures, Troubles())
        self.failures = 0
        """Values, or events, left out since a function of the operator's failed or took too long."""
        self.may_be_divided = not self._redact.has_state
        """Whether several processes that prepare by these settings do what one would."""

    def warm_up(self) -> None:
        """Load what the first event would wait for: a third of a second."""
        self._price.warm_up_now()

    def read(self, read: ReadsBody[R], body: bytes, project: str | None) -> R:
        """
        Read *body*, and prepare what it brought.

        Raises:
            RefusedError: As *read* does.
        """
        found = read(body)
        found.events = self.prepare(found.events, project)
        return found

    def prepare(self, events: Sequence[E], project: str | None) -> list[E]:
        """
        Return *events* prepared: as a rule themselves, and copies where a function had a say.

        Args:
            events: What came.
            project: Whose they are, whatever they say; None: as they say.
        """
        entries = []
        for event in events:
            bound_event(event)
            if project is not None:
                event.project_id = project
            entries.append(Entry(event, 0))
            self._complete.run_now(entries[-1])
        self._redact.run_in_time(entries)
        for entry in entries:
            self._price.run_now(entry)
        return [cast("E", entry.event) for entry in entries]

    def close(self) -> None:
        """End: a function of the operator's that hangs holds up nobody."""
        self._redact.reset()

    def _count_failures(self, count: int) -> None:
        self.failures += count
