"""
Record what the OpenAI Agents SDK does: agents, handoffs, guardrails, tools, calls of models.

::

    from llmobs.contrib import openai_agents

    openai_agents.instrument()

Stands on the SDK's public tracing: one processor is added to those there are, so its own export is left
as it is. Where the transport of the model's client is recorded too, each call is one event that holds
what either saw.
"""

from __future__ import annotations

from contextlib import ExitStack
from importlib import import_module
from typing import Any, Final

from llmobs.client.async_client import Recording
from llmobs.contrib import _openai_agents as spans
from llmobs.contrib._agents.work import OpenWork
from llmobs.contrib._wire.call import CaptureContent
from llmobs.runtime.troubles import internal_errors

__all__ = ["LLMObsTracingProcessor", "instrument", "uninstrument"]

_undo: Final = ExitStack()


class LLMObsTracingProcessor:
    """
    A ``TracingProcessor`` of the SDK, for ``agents.add_trace_processor()``.

    What happens inside a run of llmobs belongs to that; else each trace of the SDK is a run of its own,
    with its ``run`` event at the end. Nothing that goes wrong in it reaches the agents.

    Args:
        client: Records what happens outside any run; by default the default client.
        capture_content: As of `llmobs.instrument`.

    Raises:
        ValueError: *capture_content* is none of the three.
    """

    def __init__(
        self, client: Recording | None = None, *, capture_content: CaptureContent = "full"
    ) -> None:
        self._work = OpenWork("openai_agents", client, capture_content)

    def on_trace_start(self, trace: Any) -> None:
        """Note where what happens in the trace belongs."""
        with internal_errors("begin a trace of the Agents SDK"):
            piece = self._work.begin(trace.trace_id, run_name=trace.name)
            if piece is not None and piece.is_own:
                exported = trace.export() or {}
                piece.tracker.session_id = exported.get("group_id")
                piece.tracker.metadata = exported.get("metadata") or None

    def on_trace_end(self, trace: Any) -> None:
        """Record the run, if the trace is one; what was left open in it was given up."""
        with internal_errors("end a trace of the Agents SDK"):
            self._work.end(trace.trace_id, self._ended_by(trace.trace_id), whole=True)

    def on_span_start(self, span: Any) -> None:
        """Begin a step, a tool or a call."""
        with internal_errors("begin a span of the Agents SDK"):
            parent = span.parent_id if self._work.get(span.parent_id) else span.trace_id
            if self._work.get(parent) is None:
                return
            data = span.span_data
            self._work.begin(
                span.span_id, lambda tracker: spans.operation(tracker, data), parent=parent
            )

    def on_span_end(self, span: Any) -> None:
        """Record the step, the tool or the call."""
        with internal_errors("record a span of the Agents SDK"):
            error = self._ended_by(span.span_id)
            self._work.end(
                span.span_id, error, tell=lambda operation: spans.tell(operation, span, error)
            )

    def _ended_by(self, key: str) -> BaseException | None:
        # The SDK ends its spans in `finally` and `__exit__`: what is raised there is told nowhere else.
        piece = self._work.get(key)
        return None if piece is None else piece.raised()

    def close(self) -> None:
        """Record no more traces; those that are open are recorded to their end."""
        self._work.close()

    def shutdown(self) -> None:
        """Do nothing: the client is its owner's to close."""

    def force_flush(self) -> None:
        """Do nothing: what has ended is with the client; flush that."""


def instrument(
    *, llmobs_client: Recording | None = None, capture_content: CaptureContent = "full"
) -> None:
    """
    Add the processor to those of the SDK; twice is harmless, the options of the last time hold.

    Args:
        llmobs_client: Records what happens outside any run; by default the default client.
        capture_content: As of `llmobs.instrument`.

    Raises:
        ImportError: ``openai-agents`` is not installed.
        ValueError: *capture_content* is none of the three.
    """
    processor = LLMObsTracingProcessor(llmobs_client, capture_content=capture_content)
    add = import_module("agents.tracing").add_trace_processor
    uninstrument()
    add(processor)
    _undo.callback(processor.close)


def uninstrument() -> None:
    """Record no more; the SDK has no way to take a processor away, so it stays there and does nothing."""
    _undo.close()
