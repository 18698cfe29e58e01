"""
Record what crews of CrewAI do: crews, tasks, agents, flows, tools, calls of models.

::

    from llmobs.contrib import crewai

    crewai.instrument()

Reads the events of CrewAI's public event bus. Its handlers run in other threads, in any order; so ``emit`` is wrapped,
which runs where the work does.
"""

from __future__ import annotations

from contextlib import ExitStack
from importlib import import_module
from typing import Any, Final

from llmobs.capture.operations import AgentStep, Operation, PromptCall, ToolCall
from llmobs.capture.tracker import Tracker
from llmobs.client.async_client import Recording
from llmobs.contrib._agents.telling import plain, tell_call, tell_failure
from llmobs.contrib._agents.work import OpenWork
from llmobs.contrib._patching import IsOn, Patches
from llmobs.contrib._wire.call import CaptureContent
from llmobs.contrib._wire.openai_chat import WIRE as CHAT
from llmobs.events import StepType
from llmobs.recorded.jsontext import as_object
from llmobs.runtime.troubles import internal_errors

__all__ = ["instrument", "uninstrument"]

_STEPS: Final = {
    "crew_kickoff": "crew_name",
    "task": "task_name",
    "agent_execution": "agent_role",
    "lite_agent_execution": "agent_role",
    "flow": "flow_name",
    "method_execution": "method_name",
    "llm_guardrail": "guardrail",
}
"""Kinds of events that are steps, and where their names stand."""
_BEGINS: Final = "_started"
_ENDS: Final = ("_completed", "_finished")
_FAILS: Final = ("_failed", "_error")

_patches: Final = Patches()
_undo: Final = ExitStack()


def instrument(
    *, llmobs_client: Recording | None = None, capture_content: CaptureContent = "full"
) -> None:
    """
    Read the events of CrewAI's bus; twice is harmless, the options of the last time hold.

    Args:
        llmobs_client: Records what happens outside any run; by default the default client.
        capture_content: As of `llmobs.instrument`.

    Raises:
        ImportError: ``crewai`` is not installed.
        ValueError: *capture_content* is none of the three.
    """
    work = OpenWork("crewai", llmobs_client, capture_content)
    bus = import_module("crewai.events.event_bus").CrewAIEventsBus
    uninstrument()
    _patches.around(bus, "emit", lambda original, is_on: _emitting(work, original, is_on))
    _undo.callback(work.give_up)
    _undo.callback(_patches.undo)


def uninstrument() -> None:
    """Undo :func:`instrument`."""
    _undo.close()


def _emitting(work: OpenWork, original: Any, is_on: IsOn) -> Any:
    def emit(bus: Any, source: Any, event: Any, *args: Any, **kwargs: Any) -> Any:
        future = original(bus, source, event, *args, **kwargs)  # gives the event its place
        if is_on():
            with internal_errors("record an event of CrewAI"):
                _record_event(work, event)
        return future

    return emit


def _record_event(work: OpenWork, event: Any) -> None:
    event_type: str = event.type
    if event_type.endswith(_BEGINS):
        kind = event_type.removesuffix(_BEGINS)
        if kind in ("llm_call", "tool_usage") or kind in _STEPS:
            work.begin(
                event.event_id,
                lambda tracker: _operation(tracker, kind, event),
                parent=event.parent_event_id,
                run_name=kind,
            )
    elif event_type.endswith((*_ENDS, *_FAILS)):
        work.end(event.started_event_id, tell=lambda operation: _tell(operation, event))


def _operation(tracker: Tracker, kind: str, event: Any) -> Operation:
    if kind == "llm_call":
        call = tracker.prompt_call(model=str(event.model or ""))
        asked = event.messages
        asked = [{"role": "user", "content": asked}] if isinstance(asked, str) else plain(asked)
        tell_call(call, CHAT.request({"messages": asked, "tools": plain(event.tools)}))
        return call
    if kind == "tool_usage":
        return tracker.tool_call(event.tool_name, input=plain(event.tool_args))
    agent = getattr(event, "agent", None)  # who is not named otherwise when it begins
    name = str(getattr(event, _STEPS[kind], None) or getattr(agent, "role", None) or kind)
    given = getattr(event, "inputs", None) or getattr(event, "task_prompt", None)
    step_type = StepType.VALIDATION if kind == "llm_guardrail" else StepType.REASONING
    return tracker.agent_step(name, step_type, input_data=plain(given))


def _tell(operation: Operation, event: Any) -> None:
    if event.type.endswith(_FAILS):
        tell_failure(operation, "crewai", str(event.error))
    elif isinstance(operation, PromptCall):
        said = plain(event.response)
        content = said if isinstance(said, str) else None
        calls = said if isinstance(said, list) else None
        message = {"role": "assistant", "content": content, "tool_calls": calls}
        choice = {"message": message, "finish_reason": event.finish_reason}
        body = {"choices": [choice], "id": event.response_id, "usage": as_object(event.usage)}
        tell_call(operation, CHAT.response(body))
    elif isinstance(operation, ToolCall):
        operation.output = plain(event.output)
    elif isinstance(operation, AgentStep):
        said = getattr(event, "output", None)
        operation.output_data = plain(getattr(said, "raw", said))
