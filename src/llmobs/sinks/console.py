"""A sink for development: one readable line per event."""

import sys
from collections.abc import Callable
from typing import Any, Self

from llmobs.codec import snapshot
from llmobs.events import (
    AgentStepEvent,
    ErrorEvent,
    ErrorInfo,
    Event,
    PromptCallEvent,
    RunEvent,
)
from llmobs.pipeline.mend import write_or_mend
from llmobs.pipeline.sink import Batch
from llmobs.recorded.printable import printable

__all__ = ["ConsoleSink", "describe"]


def _to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")


class ConsoleSink:
    """
    Args:
        write: Takes one line; standard error by default.
    """

    max_batch_events: int | None = None
    max_batch_bytes: int | None = None

    def __init__(self, write: Callable[[str], object] = _to_stderr) -> None:
        self.name = "console"
        self._write = write

    @classmethod
    def from_url(cls, url: str, settings: Any) -> Self:
        """Build one for ``console:``."""
        return cls()

    async def open(self) -> None:
        """Nothing to prepare."""

    async def send(self, batch: Batch) -> None:
        """Write a line per event."""
        for event in batch.events:
            self._write(write_or_mend(describe, event))

    async def aclose(self) -> None:
        """Nothing to release."""


def describe(event: Event) -> str:
    """Return one line about *event*: when, which run, what, how long, how many tokens, what it cost."""
    words = [f"{event.timestamp:%H:%M:%S.%f}"[:-3], event.run_id[-12:], event.event_type.value]
    if isinstance(event, AgentStepEvent):
        words.append(f"{event.step_number} {event.step_name}")
    elif event.subject and not isinstance(event, ErrorEvent):  # whose error is told below
        words.append(event.subject)
    if isinstance(event, PromptCallEvent):
        words.append(f"{event.tokens_input or 0}+{event.tokens_output or 0} tokens")
    elif isinstance(event, RunEvent):
        words.append(f"{event.events} events")
        if event.client_run_id is not None:
            words.append(f"client run id {event.client_run_id}")
        if event.parent_run_id is not None:
            words.append(f"parent run {event.parent_run_id}")
    latency = getattr(event, "latency_ms", None)
    if latency is not None:
        words.append(f"{latency:.0f} ms")
    cost = getattr(event, "cost_usd", None)
    if cost is not None:
        words.append(f"${cost:.6f}")
    status = getattr(event, "status", None)
    if status not in (None, "success"):
        words.append(str(snapshot(status)))
    error = getattr(event, "error", None)
    if isinstance(error, ErrorInfo):
        words.append(f"{error.type or 'error'}: {error.message[:200]}")
    # What was recorded may hold terminal commands: only what can be printed reaches the terminal.
    return printable("  ".join(words))
