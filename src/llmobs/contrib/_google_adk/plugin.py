"""What the kit tells its plugins: agents, tools and calls of models, which become blocks of a run."""

from __future__ import annotations

from typing import Any, Final

from llmobs.capture.operations import AgentStep, PromptCall, ToolCall
from llmobs.contrib._agents.hooks import Hook
from llmobs.contrib._agents.telling import plain, tell_result
from llmobs.contrib._agents.work import Piece
from llmobs.contrib._google_adk import contents
from llmobs.runtime.troubles import internal_errors

__all__ = ["LIVE", "Plugin"]

LIVE: Final = "live"
"""Noted of a run that is a live session."""


class Plugin(Hook):
    """What becomes a ``BasePlugin``: its callbacks run in the task that does what they tell of."""

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
            self._end_untold_call()
            name, asked = str(agent.name), contents.said(callback_context.user_content)
            self.work.begin(
                object(), lambda tracker: tracker.agent_step(name, input_data=asked), note=agent
            )

    async def after_agent_callback(self, *, agent: Any, callback_context: Any) -> None:
        """Record the step; that it was cancelled is told here, too."""
        with internal_errors("record an agent of the Agent Development Kit"):
            piece = self.work.innermost(AgentStep, note=agent)
            error = None if piece is None else piece.raised()
            if error is None:
                self._end_untold_call()
            self._end(piece, error, whole=True)

    async def on_agent_error_callback(self, *, agent: Any, error: Any, **kwargs: Any) -> None:
        """Record the step, and what ended it."""
        with internal_errors("record an agent of the Agent Development Kit"):
            self._end(self.work.innermost(AgentStep, note=agent), error, whole=True)

    async def before_model_callback(self, *, callback_context: Any, llm_request: Any) -> None:
        """Begin a call."""
        with internal_errors("begin a call of the Agent Development Kit"):
            self._end_untold_call()
            run = self.work.innermost(type(None))
            if run is None or run.note != LIVE:  # which tells of a connection, not of its turns
                self.work.begin(object(), lambda tracker: contents.call_of(tracker, llm_request))

    async def after_model_callback(self, *, callback_context: Any, llm_response: Any) -> None:
        """Note the first piece of an answer, or record the call."""
        with internal_errors("record a call of the Agent Development Kit"):
            piece = self.work.innermost(PromptCall)
            if piece is None or not isinstance(piece.operation, PromptCall):
                return
            if llm_response.partial:
                piece.operation.first_token()
                return
            self._end(piece, tell=lambda call: contents.tell(call, llm_response))
            agent = self.work.innermost(AgentStep)
            if agent is not None and llm_response.content is not None:
                tell_result(agent.operation, contents.said(llm_response.content))

    async def on_model_error_callback(self, *, error: Any, **kwargs: Any) -> None:
        """Record the call, and what ended it."""
        with internal_errors("record a call of the Agent Development Kit"):
            self._end(self.work.innermost(PromptCall), error)

    async def before_tool_callback(self, *, tool: Any, tool_args: Any, tool_context: Any) -> None:
        """Begin a tool."""
        with internal_errors("begin a tool of the Agent Development Kit"):
            self._end_untold_call()
            name, given, tool_id = str(tool.name), plain(tool_args), tool_context.function_call_id
            self.work.begin(
                object(),
                lambda tracker: tracker.tool_call(name, input=given, tool_id=tool_id),
                note=tool_context,
            )

    async def after_tool_callback(self, *, tool_context: Any, result: Any, **kwargs: Any) -> None:
        """Record the tool."""
        with internal_errors("record a tool of the Agent Development Kit"):
            piece = self.work.innermost(ToolCall, note=tool_context)
            self._end(piece, tell=lambda tool: tell_result(tool, result))

    async def on_tool_error_callback(self, *, tool_context: Any, error: Any, **kwargs: Any) -> None:
        """Record the tool, and what ended it: an error or a cancellation."""
        with internal_errors("record a tool of the Agent Development Kit"):
            self._end(self.work.innermost(ToolCall, note=tool_context), error)

    def _end(self, piece: Piece | None, error: Any = None, **more: Any) -> None:
        if piece is not None:
            self.work.end(piece.key, error, **more)

    def _end_untold_call(self) -> None:
        """Record a call whose end was not told: a callback has answered in the model's stead."""
        piece = self.work.innermost(AgentStep, ToolCall, PromptCall)
        if piece is not None and isinstance(piece.operation, PromptCall):
            piece.operation.add(cost_usd=0.0, cost_source="google_adk")
            self._end(piece)
