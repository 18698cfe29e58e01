"""
Record what agents of Google's Agent Development Kit do: agents, the agents they hand over to, tools, calls of models.

::

    from llmobs.contrib import google_adk

    google_adk.instrument()

Stands on the kit's public plugins: one is put before those of each ``Runner`` that runs. No plugin is told of the end
of a run that is cancelled, nor which code between two events is the consumer's; so ``run_async`` and ``run_live`` of
``Runner`` are wrapped, too. Of live sessions the agents and their tools are told; turns are calls of
`llmobs.contrib.websockets`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, Final
from weakref import WeakSet

from llmobs.capture.operations import AgentStep, PromptCall, ToolCall
from llmobs.capture.tracker import Tracker
from llmobs.client.async_client import Recording
from llmobs.contrib._agents import OpenWork, Piece, plain, tell_call
from llmobs.contrib._patching import Patches
from llmobs.contrib._wire.call import CaptureContent
from llmobs.contrib._wire.gemini import WIRE as GEMINI
from llmobs.events import StepType
from llmobs.recorded.jsontext import Json
from llmobs.runtime.troubles import internal_errors

__all__ = ["instrument", "uninstrument"]

_NOTES: Final = {"run_async": "run", "run_live": "live"}
_CONTENT: Final[Json] = {"__all__": {"inline_data": {"data"}, "thought_signature": True}}
"""Of the parts of a message: what is not kept, and would only be encoded."""

_patches: Final = Patches()
_runners: Final[WeakSet[Any]] = WeakSet()


def instrument(
    *, llmobs_client: Recording | None = None, capture_content: CaptureContent = "full"
) -> None:
    """
    Record what all runners do, those there are and those made later; twice is harmless, the last options hold.

    Args:
        llmobs_client: Records what happens outside any run; by default the default client.
        capture_content: As of `llmobs.instrument`.

    Raises:
        ImportError: ``google-adk`` is not installed.
        ValueError: *capture_content* is none of the three.
    """
    work = OpenWork("google_adk", llmobs_client, capture_content)
    runner = import_module("google.adk.runners").Runner
    base = import_module("google.adk.plugins.base_plugin").BasePlugin
    uninstrument()
    kind: Any = type("LLMObsPlugin", (_Plugin, base), {})
    plugin = kind(name="llmobs")
    plugin.work = work

    def begin(tracker: Tracker, runner: Any, *args: Any, **kwargs: Any) -> None:
        if plugin not in runner.plugin_manager.plugins:  # those of a tool's runner are its agent's
            runner.plugin_manager.plugins.insert(0, plugin)  # others may answer in its stead
        _runners.add(runner)

    def running(note: str, original: Any, is_on: Callable[[], bool]) -> Any:
        # Of agents that hand over, or that a callback answers for, no end is told.
        return work.around(
            original, begin, is_on=is_on, note=note, enters=True, whole=True, gives_up=False
        )

    for name, note in _NOTES.items():
        _patches.around(runner, name, partial(running, note))


def uninstrument() -> None:
    """Undo :func:`instrument`."""
    _patches.undo()
    for runner in _runners:
        manager = runner.plugin_manager
        manager.plugins[:] = [each for each in manager.plugins if not isinstance(each, _Plugin)]
    _runners.clear()


class _Plugin:
    """What becomes a ``BasePlugin``: its callbacks run in the task that does what they tell of."""

    work: OpenWork

    async def before_run_callback(self, *, invocation_context: Any) -> None:
        """Note whose the run is."""
        with internal_errors("begin a run of the Agent Development Kit"):
            piece = self.work.innermost(type(None))
            if piece is not None and piece.is_own:
                run, session = piece.tracker, invocation_context.session
                run.name, run.session_id = invocation_context.app_name, session.id
                run.user_id = session.user_id

    async def before_agent_callback(self, *, agent: Any, callback_context: Any) -> None:
        """Begin a step."""
        with internal_errors("begin an agent of the Agent Development Kit"):
            self._settle()
            asked = callback_context.user_content
            said = None if asked is None else _content(asked)

            def make(tracker: Tracker) -> AgentStep:
                return tracker.agent_step(str(agent.name), StepType.REASONING, input_data=said)

            self.work.begin(object(), make, note=agent)

    async def after_agent_callback(self, *, agent: Any, callback_context: Any) -> None:
        """Record the step; that it was cancelled is told here, too."""
        with internal_errors("record an agent of the Agent Development Kit"):
            piece = self.work.innermost(AgentStep, note=agent)
            error = None if piece is None else piece.raised()
            if error is None:
                self._settle()
            self._end(piece, error, whole=True)

    async def on_agent_error_callback(self, *, agent: Any, error: Any, **kwargs: Any) -> None:
        """Record the step, and what ended it."""
        with internal_errors("record an agent of the Agent Development Kit"):
            self._end(self.work.innermost(AgentStep, note=agent), error, whole=True)

    async def before_model_callback(self, *, callback_context: Any, llm_request: Any) -> None:
        """Begin a call."""
        with internal_errors("begin a call of the Agent Development Kit"):
            self._settle()
            run = self.work.innermost(type(None))
            if run is None or run.note != "live":  # which tells of a connection, not of its turns
                self.work.begin(object(), lambda tracker: _call(tracker, llm_request))

    async def after_model_callback(self, *, callback_context: Any, llm_response: Any) -> None:
        """Note the first piece of an answer, or record the call."""
        with internal_errors("record a call of the Agent Development Kit"):
            piece = self.work.innermost(PromptCall)
            if piece is None or not isinstance(piece.operation, PromptCall):
                return
            if llm_response.partial:
                piece.operation.first_token()
                return
            self._end(piece, tell=lambda call: _tell_call(call, llm_response))
            agent = self.work.innermost(AgentStep)
            if agent is not None and llm_response.content is not None:
                agent.operation.output_data = _content(llm_response.content)  # type: ignore[union-attr]

    async def on_model_error_callback(self, *, error: Any, **kwargs: Any) -> None:
        """Record the call, and what ended it."""
        with internal_errors("record a call of the Agent Development Kit"):
            self._end(self.work.innermost(PromptCall), error)

    async def before_tool_callback(self, *, tool: Any, tool_args: Any, tool_context: Any) -> None:
        """Begin a tool."""
        with internal_errors("begin a tool of the Agent Development Kit"):
            self._settle()
            given, tool_id = plain(tool_args), tool_context.function_call_id

            def make(tracker: Tracker) -> ToolCall:
                return tracker.tool_call(str(tool.name), input=given, tool_id=tool_id)

            self.work.begin(object(), make, note=tool_context)

    async def after_tool_callback(self, *, tool_context: Any, result: Any, **kwargs: Any) -> None:
        """Record the tool."""
        with internal_errors("record a tool of the Agent Development Kit"):
            piece = self.work.innermost(ToolCall, note=tool_context)
            self._end(piece, tell=lambda call: setattr(call, "output", plain(result)))

    async def on_tool_error_callback(self, *, tool_context: Any, error: Any, **kwargs: Any) -> None:
        """Record the tool, and what ended it: an error or a cancellation."""
        with internal_errors("record a tool of the Agent Development Kit"):
            self._end(self.work.innermost(ToolCall, note=tool_context), error)

    def _end(self, piece: Piece | None, error: Any = None, **more: Any) -> None:
        if piece is not None:
            self.work.end(piece.key, error, **more)

    def _settle(self) -> None:
        """Record a call whose end was not told: a callback has answered in the model's stead."""
        piece = self.work.innermost(AgentStep, ToolCall, PromptCall)
        if piece is not None and isinstance(piece.operation, PromptCall):
            piece.operation.add(cost_usd=0.0, cost_source="google_adk")
            self._end(piece)


def _content(content: Any) -> Any:
    # Not as JSON: what tools give and return may be anything.
    return plain(content.model_dump(by_alias=True, exclude_none=True, exclude={"parts": _CONTENT}))


def _call(tracker: Tracker, request: Any) -> PromptCall:
    call = tracker.prompt_call(model=str(request.model or ""))
    system = request.config.system_instruction if request.config else None
    if isinstance(system, str):
        system = {"parts": [{"text": system}]}
    elif system is not None:
        system = _content(system)
    contents = [_content(each) for each in request.contents]
    tell_call(call, GEMINI.request({"systemInstruction": system, "contents": contents}))
    return call


def _tell_call(call: Any, response: Any) -> None:
    usage, content = response.usage_metadata, response.content
    reason = response.finish_reason
    candidate = {
        "content": None if content is None else _content(content),
        "finishReason": getattr(reason, "name", reason) or response.error_code,
    }
    body: Json = {"candidates": [candidate], "modelVersion": response.model_version}
    if usage is not None:
        body["usageMetadata"] = usage.model_dump(by_alias=True, exclude_none=True, mode="json")
    tell_call(call, GEMINI.response(body))
