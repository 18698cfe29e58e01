"""
Record what LangChain and LangGraph do: chains, calls of models, tools, retrievers.

::

    from llmobs.contrib.langchain import LLMObsCallbackHandler

    handler = LLMObsCallbackHandler()
    chain.invoke(question, config={"callbacks": [handler]})

Stands on the public callback API of ``langchain-core``. Where the transport of the model's client is
recorded too (`llmobs.contrib.openai` and its like), each call is one event that holds what either saw.
"""

from __future__ import annotations

import functools
from asyncio import CancelledError
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler

from llmobs.capture.operations import AgentStep, PromptCall, SeveralCalls, ToolCall
from llmobs.client.async_client import Recording
from llmobs.contrib._agents.table import MAX_OPEN
from llmobs.contrib._duplicate import count_duplicate
from llmobs.contrib._langchain import calls
from llmobs.contrib._langchain import messages as reading
from llmobs.contrib._langchain.runs import OpenRun, OpenRuns, RunContext
from llmobs.events import (
    AgentStepEvent,
    Event,
    PromptCallEvent,
    Status,
    StepType,
    ToolCallEvent,
)
from llmobs.runtime.context import current_frame, set_frame
from llmobs.runtime.troubles import internal_errors

__all__ = ["LLMObsCallbackHandler"]

F = TypeVar("F", bound=Callable[..., None])

_HIDDEN: Final = "langsmith:hidden"
"""LangGraph's tag for its own plumbing (``langgraph.constants.TAG_HIDDEN``)."""
_ATTEMPT: Final = "retry:attempt:"
_OWN_TAGS: Final = ("seq:", "map:", "condition:", "branch:", "retry:", "langsmith:", "graph:")
_OWN_METADATA: Final = ("ls_", "lc_", "langgraph_", "checkpoint_", "__", "run_")
_STEP_TYPES: Final = {"parser": StepType.OUTPUT}


def _guarded(method: F) -> F:
    """Keep errors of ours out of the chain."""

    @functools.wraps(method)
    def guarded(*args: Any, **kwargs: Any) -> None:
        with internal_errors("record what LangChain does"):
            method(*args, **kwargs)

    return guarded  # type: ignore[return-value]


class LLMObsCallbackHandler(BaseCallbackHandler):
    """
    Records runs of LangChain. One handler serves any number of chains, threads and tasks; give it per
    call (``config={"callbacks": [handler]}``) or with a model or chain.

    What happens inside a run of llmobs belongs to that; else each root run of LangChain gets one of
    its own, with its ``run`` event at the end.

    Args:
        client: Records what happens outside any run; by default the default client.
        max_open: Runs of LangChain held open at most; the oldest beyond are recorded as cancelled.
    """

    run_inline = True
    """In the caller's own task and thread: that is how the transport learns what it is part of."""

    def __init__(self, client: Recording | None = None, *, max_open: int = MAX_OPEN) -> None:
        self._runs = OpenRuns(client, max_open)

    # Chains, prompts, parsers, nodes of graphs.

    @_guarded
    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        """Begin a step."""
        hidden = _HIDDEN in (kwargs.get("tags") or ())
        context = self._context_of(serialized, kwargs, None if hidden else AgentStepEvent)
        if context is None:
            return
        step = None
        if not hidden:
            step = context.tracker.agent_step(
                _name(serialized, kwargs, "chain"),
                _STEP_TYPES.get(kwargs.get("run_type") or "", StepType.REASONING),
                input_data=reading.plain(inputs),
                **_common(context, kwargs),
            )
        self._runs.begin(kwargs["run_id"], context, step)

    @_guarded
    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Record the step."""
        run = self._runs.get(run_id)
        if run is not None:
            if run.operation is not None:
                run.operation.output_data = reading.plain(outputs)  # type: ignore[attr-defined]
            self._runs.end(run_id)

    @_guarded
    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Record the step, and what ended it."""
        run = self._runs.get(run_id)
        if run is None:
            return
        if any(kind.__name__ == "GraphBubbleUp" for kind in type(error).__mro__):
            # How LangGraph interrupts a graph to ask a human, or hands over: nothing went wrong.
            about: dict[str, Any] = {"interrupted": type(error).__name__}
            if error.args and error.args[0]:
                about["asked"] = reading.plain(error.args[0])
            if isinstance(run.operation, AgentStep):
                run.operation.context = about
            elif run.operation is not None:
                run.operation.add(metadata=about)
            self._runs.end(run_id)
        else:
            self._runs.end(run_id, error)

    # Calls of models.

    @_guarded
    def on_chat_model_start(
        self, serialized: Any, messages: list[list[Any]], **kwargs: Any
    ) -> None:
        """Begin a call of a chat model."""
        prompt = [each for some in messages for each in some]
        self._call("chat", reading.messages(prompt), serialized, kwargs)

    @_guarded
    def on_llm_start(self, serialized: Any, prompts: list[str], **kwargs: Any) -> None:
        """Begin a call of a completion model."""
        prompt = prompts[0] if len(prompts) == 1 else list(prompts)
        self._call("text_completion", prompt, serialized, kwargs)

    def _call(
        self, operation: str, prompt: Any, serialized: Any, kwargs: Mapping[str, Any]
    ) -> None:
        context = self._context_of(serialized, kwargs, PromptCallEvent)
        if context is None:
            return
        run_id = kwargs["run_id"]
        fields = calls.request(serialized, kwargs)
        fields.update(_common(context, kwargs), operation=operation)
        for tag in kwargs.get("tags") or ():
            if tag.startswith(_ATTEMPT) and tag.removeprefix(_ATTEMPT).isdigit():
                fields["attempt"] = int(tag.removeprefix(_ATTEMPT))
        call = context.tracker.prompt_call(prompt=prompt, **fields)
        call.door = "langchain"
        call.on_cancelled = lambda: self._runs.end(run_id, CancelledError())
        frame, parent = context.frame, context.parent
        if type(frame) is PromptCall and (parent is None or frame is not parent.frame):
            # The application has a block of its own around this call.
            call.outer = frame
            run = OpenRun(context, call, frame)
        elif (kwargs.get("batch_size") or 1) > 1:
            several = frame if type(frame) is SeveralCalls else None
            if several is None:
                parent_id = None if frame is None else frame.event_id
                several = SeveralCalls(context.tracker, current_frame(), parent_id)
            call.start()
            call.outer = several.outer
            set_frame(several)
            run = OpenRun(context, call, several)
        else:
            run = OpenRun(context, call, call.start())
        call.enclose()
        self._runs.add(run_id, run)

    @_guarded
    def on_llm_new_token(
        self, token: Any, *, chunk: Any = None, run_id: UUID, **kwargs: Any
    ) -> None:
        """Note the first piece of a streamed answer."""
        run = self._runs.get(run_id)
        if run is not None:
            self._answering(run)
            if calls.is_content(token, chunk):
                self._first_token(run)

    @_guarded
    def on_stream_event(self, event: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Note the first piece of an answer streamed as events."""
        run = self._runs.get(run_id)
        if run is not None:
            self._answering(run)
            if str(event.get("event", "")).startswith("content-block"):
                self._first_token(run)

    def _answering(self, run: OpenRun) -> None:
        # The request is out. Between the pieces the consumer runs: it is not inside the call.
        if run.operation is not None:
            run.operation.left = True

    def _first_token(self, run: OpenRun) -> None:
        if isinstance(run.operation, PromptCall):
            run.operation.first_token()

    @_guarded
    def on_llm_end(self, response: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Record the call."""
        run = self._runs.get(run_id)
        if run is not None:
            if isinstance(run.operation, PromptCall):
                run.operation.finish(**calls.answer(response))
            self._runs.end(run_id)

    @_guarded
    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Record the call, what came of its answer, and what ended it."""
        run = self._runs.get(run_id)
        if run is None:
            return
        if isinstance(run.operation, PromptCall):
            said = calls.answer(kwargs.get("response"))
            if any(each["parts"] for each in said.get("response", ())):
                run.operation.finish(**said)
            status = getattr(error, "status_code", None)
            if type(status) is int:
                run.operation.add(http_status=status)
        self._runs.end(run_id, error)

    # Tools and retrievers.

    @_guarded
    def on_tool_start(self, serialized: Any, input_str: str, **kwargs: Any) -> None:
        """Begin the use of a tool."""
        context = self._context_of(serialized, kwargs, ToolCallEvent)
        if context is None:
            return
        given = kwargs.get("inputs")
        tool = context.tracker.tool_call(
            _name(serialized, kwargs, "tool"),
            input=input_str if given is None else reading.plain(given),
            tool_id=kwargs.get("tool_call_id"),
            **_common(context, kwargs),
        )
        self._runs.begin(kwargs["run_id"], context, tool)

    @_guarded
    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Record the use of the tool."""
        run = self._runs.get(run_id)
        if run is None:
            return
        if isinstance(run.operation, ToolCall):
            if getattr(output, "type", None) == "tool":  # a message to the model
                run.operation.tool_id = run.operation.tool_id or output.tool_call_id
                if getattr(output, "status", None) == "error":
                    run.operation.status = Status.ERROR
                output = output.content
            run.operation.output = reading.plain(output)
        self._runs.end(run_id)

    @_guarded
    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Record the use of the tool, and what ended it."""
        self.on_chain_error(error, run_id=run_id)

    @_guarded
    def on_retriever_start(self, serialized: Any, query: str, **kwargs: Any) -> None:
        """Begin a search: a tool call, with the documents found as its output."""
        context = self._context_of(serialized, kwargs, ToolCallEvent)
        if context is None:
            return
        search = context.tracker.tool_call(
            _name(serialized, kwargs, "retriever"),
            input={"query": query},
            **_common(context, kwargs),
        )
        self._runs.add(kwargs["run_id"], OpenRun(context, search, search.start()))

    @_guarded
    def on_retriever_end(self, documents: Sequence[Any], *, run_id: UUID, **kwargs: Any) -> None:
        """Record the search."""
        run = self._runs.get(run_id)
        if run is not None:
            if isinstance(run.operation, ToolCall):
                run.operation.output = reading.documents(documents)
            self._runs.end(run_id)

    @_guarded
    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Record the search, and what ended it."""
        self.on_chain_error(error, run_id=run_id)

    @_guarded
    def on_retry(self, retry_state: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Count the attempt that comes after a failed one."""
        run = self._runs.get(run_id)
        if run is not None and isinstance(run.operation, PromptCall):
            run.operation.add(attempt=retry_state.attempt_number + 1)

    # Where things belong.

    def _where(self, parent_run_id: UUID | None) -> RunContext:
        return self._runs.context_for(parent_run_id)

    def _context_of(
        self, serialized: Any, kwargs: Mapping[str, Any], kind: type[Event] | None
    ) -> RunContext | None:
        """Return a run's context; None if it is recorded already, which is counted if it becomes a *kind*."""
        context = self._where(kwargs.get("parent_run_id"))
        if self._runs.is_known(kwargs["run_id"], context):
            if kind is not None:
                count_duplicate(context.tracker, kind)
            return None
        if context.is_own:
            context.tracker.name = _name(serialized, kwargs, "langchain")
            # LangGraph's name for a conversation.
            metadata = kwargs.get("metadata") or {}
            thread = metadata.get("session_id") or metadata.get("thread_id")
            if thread is not None:
                context.tracker.session_id = str(thread)
        return context


def _name(serialized: Any, kwargs: Mapping[str, Any], default: str) -> str:
    described = serialized or {}
    last = (described.get("id") or [None])[-1]
    return str(kwargs.get("name") or described.get("name") or last or default)


def _common(context: RunContext, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that every kind of event has."""
    parent_id = None if context.frame is None else context.frame.event_id
    # Without one it is at the root, whatever is current here.
    fields: dict[str, Any] = {"parent_id": parent_id or ""}
    if own := [tag for tag in kwargs.get("tags") or () if not tag.startswith(_OWN_TAGS)]:
        fields["tags"] = own
    metadata = kwargs.get("metadata")
    if context.parent is None and metadata:
        kept = {k: v for k, v in metadata.items() if not str(k).startswith(_OWN_METADATA)}
        if kept:
            fields["metadata"] = kept
    return fields
