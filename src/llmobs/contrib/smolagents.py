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

from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from inspect import isfunction
from typing import Any, Final

from llmobs.capture.operations import AgentStep, Operation, PromptCall, ToolCall
from llmobs.capture.tracker import Tracker
from llmobs.client.async_client import Recording
from llmobs.contrib._agents.blocks import around_calls
from llmobs.contrib._agents.telling import plain, tell_answer, tell_call
from llmobs.contrib._agents.work import OpenWork
from llmobs.contrib._patching import Patches
from llmobs.contrib._wire.call import CaptureContent
from llmobs.contrib._wire.openai_chat import WIRE as CHAT
from llmobs.events import StepType
from llmobs.runtime.context import bind_run
from llmobs.runtime.forks import ForkLock
from llmobs.runtime.troubles import internal_errors

__all__ = ["instrument", "uninstrument"]

_AGENT: Final = "agent"
_STEP: Final = "step"
_ROLES: Final = {"tool-call": "assistant", "tool-response": "user"}
"""As smolagents itself sends them."""

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
    _patches.around(agents.MultiStepAgent, "run", partial(_running, work, _Models(work)))
    _patches.around(registry, "callback", partial(_stepping, work))
    for kind in (tools.Tool, tools.PipelineTool):
        _patches.around(kind, "__call__", partial(_using, work))
    if hasattr(executor, "timeout"):
        _patches.around(executor, "timeout", _timing)


def uninstrument() -> None:
    """Undo :func:`instrument`."""
    _patches.undo()


IsOn = Callable[[], bool]


def _running(work: OpenWork, models: _Models, original: Any, is_on: IsOn) -> Any:
    def make(
        tracker: Tracker, agent: Any, task: Any = None, *args: Any, **kwargs: Any
    ) -> AgentStep:
        name = str(agent.name or type(agent).__name__)
        return tracker.agent_step(name, StepType.REASONING, input_data=plain(task))

    def pass_on(agent: Any, task: Any, steps: Iterator[Any]) -> Any:
        return (yield from steps)

    options: dict[str, Any] = {"is_on": is_on, "note": _AGENT, "whole": True}
    at_once = around_calls(work, original, make, **options)
    in_turns = around_calls(work, pass_on, make, **options)

    def run(agent: Any, task: Any, stream: bool = False, *args: Any, **kwargs: Any) -> Any:
        with internal_errors("find the model of an agent of smolagents"):
            models.record(type(agent.model))
        if stream:
            return in_turns(agent, task, original(agent, task, True, *args, **kwargs))
        return at_once(agent, task, False, *args, **kwargs)

    return run


def _stepping(work: OpenWork, original: Any, is_on: IsOn) -> Any:
    def callback(registry: Any, memory_step: Any, *args: Any, **kwargs: Any) -> None:
        with internal_errors("record a step of smolagents"):
            if is_on():
                _end_step(work, memory_step)
        original(registry, memory_step, *args, **kwargs)

    return callback


def _end_step(work: OpenWork, told: Any) -> None:
    piece = work.innermost(AgentStep)
    if piece is None:
        return
    if piece.note == _STEP:
        error = getattr(told, "error", None) or piece.raised()
        work.end(piece.key, error, tell=lambda step: _tell_step(step, told))
    elif hasattr(told, "output"):  # the answer of the agent
        piece.operation.output_data = plain(told.output)  # type: ignore[union-attr]


def _tell_step(step: Any, told: Any) -> None:
    plan = getattr(told, "plan", None)
    if plan is not None:
        step.step_name, step.output_data = "plan", plain(plan)
        return
    calls = [{call.name: call.arguments} for call in told.tool_calls or ()]
    step.input_data = plain(told.code_action or calls or None)
    step.output_data = plain(told.observations or told.action_output)


def _using(work: OpenWork, original: Any, is_on: IsOn) -> Any:
    def make(tracker: Tracker, tool: Any, *args: Any, **kwargs: Any) -> ToolCall:
        kwargs.pop("sanitize_inputs_outputs", None)
        given: Any = dict(zip(tool.inputs, args, strict=False)) | kwargs
        return tracker.tool_call(str(tool.name), input=plain(given))

    def tell(tool: Any, result: Any) -> None:
        tool.output = plain(result)

    return around_calls(work, original, make, tell, is_on=is_on, run_name="tool")


def _timing(original: Any, is_on: IsOn) -> Any:
    """Have code that an agent writes run inside its step, although another thread runs it."""

    def timeout(seconds: Any) -> Any:
        decorate = original(seconds)
        return lambda function: decorate(bind_run(function) if is_on() else function)

    return timeout


class _Models:
    """Classes of models that agents use, applications' own among them."""

    def __init__(self, work: OpenWork) -> None:
        self._work = work
        self._known: set[tuple[type, str]] = set()
        self._lock = ForkLock()

    def record(self, kind: type) -> None:
        """Record what models of *kind* are asked."""
        for name in ("generate", "generate_stream"):
            owner = next((each for each in kind.__mro__ if name in vars(each)), kind)
            with self._lock:
                if isfunction(vars(owner).get(name)) and (owner, name) not in self._known:
                    self._known.add((owner, name))
                    _patches.around(owner, name, self._asking)

    def _asking(self, original: Any, is_on: IsOn) -> Any:
        asked = around_calls(self._work, original, _call, _tell_call, is_on=is_on, run_name="call")

        def ask(*args: Any, **kwargs: Any) -> Any:
            inner = self._work.innermost(AgentStep, PromptCall)
            if inner is not None and isinstance(inner.operation, PromptCall):
                return original(*args, **kwargs)  # by the method of a subclass
            if inner is not None and inner.note == _AGENT and is_on():
                with internal_errors("begin a step of smolagents"):  # each begins with a call
                    self._work.begin(object(), _step, note=_STEP)
            return asked(*args, **kwargs)

        return ask


def _step(tracker: Tracker) -> AgentStep:
    return tracker.agent_step("step", StepType.REASONING)


def _call(tracker: Tracker, model: Any, messages: Any = (), *args: Any, **kwargs: Any) -> Operation:
    call = tracker.prompt_call(model=str(getattr(model, "model_id", None) or ""))
    schema = import_module("smolagents.models").get_tool_json_schema
    tools = [schema(tool) for tool in kwargs.get("tools_to_call_from") or ()]
    tell_call(call, CHAT.request({"messages": [_message(m) for m in messages], "tools": tools}))
    return call


def _message(said: Any) -> Any:
    told = said if isinstance(said, dict) else vars(said)
    role = str(getattr(told.get("role"), "value", told.get("role")))
    calls = [{"id": c.id, "function": vars(c.function)} for c in told.get("tool_calls") or ()]
    content = plain(told.get("content"))
    return {"role": _ROLES.get(role, role), "content": content, "tool_calls": calls or None}


def _tell_call(call: Any, result: Any) -> None:
    if isinstance(result, list):  # of a stream
        result = import_module("smolagents.models").agglomerate_stream_deltas(result)
    if result is None:
        return
    tell_answer(call, _message(result), result.raw)
    if (usage := result.token_usage) is not None and (usage.input_tokens or usage.output_tokens):
        call.tokens_input, call.tokens_output = usage.input_tokens, usage.output_tokens
