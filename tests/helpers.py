"""Small things several tests need."""

import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from llmobs.errors import LLMObsError
from llmobs.events import Event, PromptCallEvent
from llmobs.pipeline.sink import Batch
from llmobs.recorded.ids import new_id


def make_event(**fields: Any) -> PromptCallEvent:
    """Return a prompt call with the required fields filled in."""
    fields = {"event_id": new_id(), "run_id": "run-1", "timestamp": datetime.now(UTC), **fields}
    return PromptCallEvent(**fields)


def poll(condition: Callable[[], Any], timeout: float = 10.0, what: str = "condition") -> Any:
    """Return the first true value of *condition*; fail after *timeout* seconds."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError(f"{what} did not come true within {timeout} s")


_threads_before: set[threading.Thread] = set()


def note_threads() -> None:
    """Remember the threads that run now: called before each test."""
    _threads_before.clear()
    _threads_before.update(threading.enumerate())


def llmobs_threads() -> list[str]:
    """Return the names of our threads that this test started; others may have left a client open."""
    started = set(threading.enumerate()) - _threads_before
    return sorted(thread.name for thread in started if thread.name.startswith("llmobs"))


class ScriptedSink:
    """Keeps what it takes; before that, raises what it is told to, once each."""

    max_batch_events: int | None = None
    max_batch_bytes: int | None = None

    def __init__(self, script: Iterable[Exception | None] = (), name: str = "scripted") -> None:
        self.name = name
        self.script = list(script)
        self.batches: list[list[Event]] = []
        self.attempts = 0
        self.opened = 0
        self.closed = 0

    @property
    def events(self) -> list[Event]:
        return [event for batch in self.batches for event in batch]

    @property
    def ids(self) -> list[str]:
        return [event.event_id for event in self.events]

    async def open(self) -> None:
        self.opened += 1

    async def send(self, batch: Batch) -> None:
        self.attempts += 1
        if self.script:
            error = self.script.pop(0)
            if error is not None:
                if isinstance(error, LLMObsError):
                    self.on_refusal(batch, error)
                raise error
        self.batches.append(list(batch.events))

    def on_refusal(self, batch: Batch, error: LLMObsError) -> None:
        """What a sink does with the events it does not refuse."""

    async def aclose(self) -> None:
        self.closed += 1
