"""
Record what agents of smolagents do: agents, the agents they manage, their steps, tools, calls of models.

::

    from llmobs.contrib import smolagents

    smolagents.instrument()

What smolagents tells of its steps, it tells the callbacks of a step when it is over. So what begins is seen where it
begins: ``MultiStepAgent.run``, ``Tool.__call__`` and ``generate`` and ``generate_stream`` of the models that agents
use are wrapped; ``CallbackRegistry.callback`` tells of the steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from importlib import import_module
from typing import Any, Final

from llmobs.capture.operations import AgentStep, ToolCall
from llmobs.capture.tracker import Tracker
from llmobs.client.async_client import Recording
from llmobs.contrib._agents.blocks import piece_per_call
from llmobs.contrib._agents.telling import plain, tell_result
from llmobs.contrib._agents.work import OpenWork, Piece
from llmobs.contrib._patching import IsOn, Patches
from llmobs.contrib._smolagents import Models
from llmobs.contrib._wire.call import CaptureContent
from llmobs.runtime.context import bind_run
from llmobs.runtime.troubles import internal_errors

__all__ = ["instrument", "uninstrument"]

_AGENT: Final = "agent"
_STEP: Final = "step"

_patches: Final = Patches()


def instrument(
    *, llmobs_client: Recording | None = None, capture_content: CaptureContent = "full"
) -> None:
    """
    Record all agents of smolagents; twice is harmless, the options of the last time hold.

    Args:
        llmobs_client: Records what happens outside any run; by default the default client.
        capture_content: As of `llmobs.instrument`.

    Raises:
        ImportError: ``smolagents`` is not installed.
        ValueError: *capture_content* is none of the three.
    """
    work = OpenWork("smolagents", llmobs_client, capture_content)
    agents, tools = import_module("smolagents.agents"), import_module("smolagents.tools")
    registry = import_module("smolagents.memory").CallbackRegistry
    executor = import_module("smolagents.local_python_executor")
    uninstrument()
    models = Models(work, _patches, partial(_begin_step, work))
    _patches.around(agents.MultiStepAgent, "run", partial(_running, work, models))
    _patches.around(registry, "callback", partial(_stepping, work))
    for kind in (tools.Tool, tools.PipelineTool):
        _patches.around(kind, "__call__", piece_per_call(work, _tool, tell_result, run_name="tool"))
    if hasattr(executor, "timeout"):
        _patches.around(executor, "timeout", _timing)


def uninstrument() -> None:
    """Undo :func:`instrument`."""
    _patches.undo()


def _running(work: OpenWork, models: Models, original: Any, is_on: IsOn) -> Any:
    def pass_on(agent: Any, task: Any, steps: Iterator[Any]) -> Any:
        return (yield from steps)

    wrapper = piece_per_call(work, _agent, note=_AGENT, whole=True)
    at_once, in_turns = wrapper(original, is_on), wrapper(pass_on, is_on)

    def run(agent: Any, task: Any, stream: bool = False, *args: Any, **kwargs: Any) -> Any:
        with internal_errors("find the model of an agent of smolagents"):
            models.record(type(agent.model))
        if stream:
            return in_turns(agent, task, original(agent, task, True, *args, **kwargs))
        return at_once(agent, task, False, *args, **kwargs)

    return run


def _agent(tracker: Tracker, agent: Any, task: Any, *args: Any, **kwargs: Any) -> AgentStep:
    name = str(agent.name or type(agent).__name__)
    return tracker.agent_step(name, input_data=plain(task))


def _begin_step(work: OpenWork, inner: Piece | None) -> None:
    if inner is not None and inner.note == _AGENT:  # each begins with a call
        work.begin(object(), lambda tracker: tracker.agent_step("step"), note=_STEP)


def _stepping(work: OpenWork, original: Any, is_on: IsOn) -> Any:
    def callback(registry: Any, memory_step: Any, *args: Any, **kwargs: Any) -> None:
        with internal_errors("record a step of smolagents"):
            if is_on():
                _end_step(work, memory_step)
        original(registry, memory_step, *args, **kwargs)

    return callback


def _end_step(work: OpenWork, memory_step: Any) -> None:
    piece = work.innermost(AgentStep)
    if piece is None:
        return
    if piece.note == _STEP:
        error = getattr(memory_step, "error", None) or piece.raised()
        work.end(piece.key, error, tell=lambda step: _tell_step(step, memory_step))
    elif hasattr(memory_step, "output"):  # the answer of the agent
        tell_result(piece.operation, memory_step.output)


def _tell_step(step: Any, memory_step: Any) -> None:
    plan = getattr(memory_step, "plan", None)
    if plan is not None:
        step.step_name, step.output_data = "plan", plain(plan)
        return
    calls = [{call.name: call.arguments} for call in memory_step.tool_calls or ()]
    step.input_data = plain(memory_step.code_action or calls or None)
    step.output_data = plain(memory_step.observations or memory_step.action_output)


def _tool(tracker: Tracker, tool: Any, *args: Any, **kwargs: Any) -> ToolCall:
    kwargs.pop("sanitize_inputs_outputs", None)
    given: Any = dict(zip(tool.inputs, args, strict=False)) | kwargs
    return tracker.tool_call(str(tool.name), input=plain(given))


def _timing(original: Any, is_on: IsOn) -> Any:
    """Have code that an agent writes run inside its step, although another thread runs it."""

    def timeout(seconds: Any) -> Any:
        decorate = original(seconds)
        return lambda function: decorate(bind_run(function) if is_on() else function)

    return timeout
