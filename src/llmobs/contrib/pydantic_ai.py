"""
Record what agents of Pydantic AI do: runs, tools, calls of models.

::

    from llmobs.contrib import pydantic_ai

    pydantic_ai.instrument()

Stands on the instrumentation that Pydantic AI has itself, ``Agent.instrument_all``, with a tracer provider whose spans
go to llmobs and nowhere else (`llmobs.contrib.opentelemetry`). Needs ``opentelemetry-sdk``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from llmobs.client.async_client import Recording
from llmobs.contrib._wire.call import CaptureContent, checked_mode
from llmobs.runtime.troubles import Troubles

__all__ = ["instrument", "uninstrument"]

_troubles = Troubles()
_ours: list[Any] = []


def instrument(
    *, llmobs_client: Recording | None = None, capture_content: CaptureContent = "full"
) -> None:
    """
    Have all agents traced for llmobs; twice is harmless, the options of the last time hold.

    Where the application has called ``Agent.instrument_all`` already, that stays as it is, and a warning says what
    to do: add `llmobs.contrib.opentelemetry.LLMObsSpanProcessor` to its tracer provider.

    Args:
        llmobs_client: Records what happens outside any run; by default the default client.
        capture_content: As of `llmobs.instrument`.

    Raises:
        ImportError: ``pydantic-ai`` or ``opentelemetry-sdk`` is not installed.
        ValueError: *capture_content* is none of the three.
    """
    checked_mode(capture_content)
    theirs = import_module("pydantic_ai")
    opentelemetry = import_module("llmobs.contrib.opentelemetry")
    settings = import_module("pydantic_ai.models.instrumented").InstrumentationSettings
    uninstrument()
    if _instrumentation(theirs.Agent):
        _troubles.log(
            "instrumented",
            "llmobs: agents of Pydantic AI are instrumented already, which stays as it is: add "
            "llmobs.contrib.opentelemetry.LLMObsSpanProcessor to the tracer provider in use.",
        )
        return
    provider = opentelemetry.tracer_provider(llmobs_client, capture_content=capture_content)
    ours = settings(tracer_provider=provider, include_content=capture_content != "metadata")
    theirs.Agent.instrument_all(ours)
    _ours.append((ours, provider))


def _instrumentation(agent: Any) -> Any:
    """Return what all agents are instrumented with; None if a release does not tell: nothing public does."""
    return getattr(agent, "_instrument_default", None)


def uninstrument() -> None:
    """Undo :func:`instrument`."""
    for ours, provider in _ours:
        agent = import_module("pydantic_ai").Agent
        if _instrumentation(agent) in (ours, None):  # somebody else's stays
            agent.instrument_all(False)
        provider.shutdown()
    _ours.clear()
