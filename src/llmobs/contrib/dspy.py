"""
Record what programs of DSPy do: modules, calls of models, tools.

::

    from llmobs.contrib import dspy

    dspy.instrument()

Stands on DSPy's public callbacks: one is added to ``dspy.settings.callbacks``.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from importlib import import_module
from typing import Any, Final

from llmobs.capture.operations import AgentStep, Operation, PromptCall, ToolCall
from llmobs.capture.tracker import Tracker
from llmobs.client.async_client import Recording
from llmobs.contrib._agents.hooks import Hook, hook
from llmobs.contrib._agents.telling import plain, tell_call
from llmobs.contrib._agents.work import OpenWork
from llmobs.contrib._wire.call import CaptureContent
from llmobs.contrib._wire.openai_chat import WIRE as CHAT
from llmobs.events import StepType
from llmobs.runtime.troubles import internal_errors

__all__ = ["instrument", "uninstrument"]


class _Callback(Hook):
    """What becomes a ``BaseCallback``."""

    def _begin(self, call_id: str, make: Any, run_name: str, note: Any = None) -> None:
        with internal_errors("begin what DSPy does"):
            self.work.begin(call_id, make, run_name=run_name, note=note)

    def _end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        with internal_errors("record what DSPy did"):
            piece = self.work.get(call_id)
            model = None if piece is None else piece.note
            self.work.end(call_id, exception, tell=lambda made: _tell(made, outputs, model))

    def on_module_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Begin a step."""
        name, given = type(instance).__name__, _given(inputs)

        def make(tracker: Tracker) -> AgentStep:
            return tracker.agent_step(name, StepType.REASONING, input_data=plain(given))

        self._begin(call_id, make, name)

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Begin a call."""

        def make(tracker: Tracker) -> PromptCall:
            call = tracker.prompt_call(model=str(getattr(instance, "model", "")))
            prompt = inputs.get("prompt")
            asked = inputs.get("messages") or [{"role": "user", "content": prompt or ""}]
            tell_call(call, CHAT.request({"messages": plain(asked)}))
            return call

        self._begin(call_id, make, "lm", instance)

    def on_tool_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Begin a tool."""
        name = str(getattr(instance, "name", "tool"))
        self._begin(call_id, lambda tracker: tracker.tool_call(name, input=_given(inputs)), name)

    on_module_end = on_lm_end = on_tool_end = _end


def _given(inputs: Mapping[str, Any]) -> Any:
    return inputs.get("kwargs") or {k: v for k, v in inputs.items() if v not in ((), {})}


def _tell(operation: Operation, outputs: Any, model: Any) -> None:
    if isinstance(operation, PromptCall):
        _tell_call(operation, outputs, _figures(model, outputs))
    elif isinstance(operation, ToolCall):
        operation.output = plain(outputs)
    elif isinstance(operation, AgentStep):
        stored = getattr(outputs, "_store", None)  # a Prediction's own
        operation.output_data = plain(outputs if stored is None else dict(stored))


def _tell_call(call: PromptCall, outputs: Any, figures: Mapping[str, Any]) -> None:
    answers = plain(outputs) if isinstance(outputs, list) else ()
    said = [each if isinstance(each, dict) else {"text": each} for each in answers]
    choices = [
        {"message": {**each, "role": "assistant", "content": each.get("text")}} for each in said
    ]
    usage = plain(figures.get("usage"))
    body = {"choices": choices, "usage": usage, "model": figures.get("response_model")}
    tell_call(call, CHAT.response(body))
    if not usage and figures.get("cost"):  # what its cache answers costs what it cost then
        call.add(cost_usd=0.0, cost_source="cache")


def _figures(model: Any, outputs: Any) -> Mapping[str, Any]:
    """Return what the history of a model has of a call: no callback is given it."""
    for entry in reversed(getattr(model, "history", None) or ()):
        if entry.get("outputs") is outputs:
            found: Mapping[str, Any] = entry
            return found
    return {}


_undo: Final = ExitStack()


def instrument(
    *, llmobs_client: Recording | None = None, capture_content: CaptureContent = "full"
) -> None:
    """
    Add a callback to DSPy's settings; twice is harmless, the options of the last time hold.

    Args:
        llmobs_client: Records what happens outside any run; by default the default client.
        capture_content: As of `llmobs.instrument`.

    Raises:
        ImportError: ``dspy`` is not installed.
        ValueError: *capture_content* is none of the three.
    """
    work = OpenWork("dspy", llmobs_client, capture_content)
    theirs: Any = import_module("dspy")
    uninstrument()
    callback = hook(_Callback, theirs.utils.BaseCallback, work)
    theirs.settings.callbacks.append(callback)
    _undo.callback(_take_out, callback)
    _undo.callback(work.close)


def _take_out(callback: Any) -> None:
    callbacks: list[Any] = import_module("dspy").settings.callbacks
    if callback in callbacks:
        callbacks.remove(callback)


def uninstrument() -> None:
    """Undo :func:`instrument`."""
    _undo.close()
