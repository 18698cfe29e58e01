"""
Record what LlamaIndex does: calls of models, embeddings, retrieval, tools, and the steps around them.

::

    from llmobs.contrib import llama_index

    llama_index.instrument()

Stands on LlamaIndex's public instrumentation: a span handler and an event handler at the root dispatcher.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import AsyncGenerator, Generator
from importlib import import_module
from typing import Any, Final

from llmobs.capture.operations import AgentStep, Operation, PromptCall, ToolCall
from llmobs.capture.tracker import Tracker
from llmobs.client.async_client import Recording
from llmobs.contrib._agents import OpenWork, plain, tell_answer, tell_call
from llmobs.contrib._wire.call import CaptureContent
from llmobs.contrib._wire.openai_chat import WIRE as CHAT
from llmobs.events import Status, StepType
from llmobs.recorded.jsontext import Json, as_object
from llmobs.runtime.troubles import internal_errors

__all__ = ["instrument", "uninstrument"]

_CALLS: Final = frozenset(
    {
        "chat", "achat", "stream_chat", "astream_chat", "complete", "acomplete",
        "stream_complete", "astream_complete",
    }
)  # fmt: skip
"""Methods of models that are calls; others, such as ``predict``, go through one of these."""
_EMBEDDINGS: Final = ("get_", "aget_")
_STREAMS: Final = (Generator, AsyncGenerator)


class _Spans:
    """What becomes a ``BaseSpanHandler``."""

    def span_enter(
        self, id_: str, bound_args: Any, instance: Any = None, parent_id: Any = None, **kwargs: Any
    ) -> None:
        """Begin a call, a tool or a step."""
        with internal_errors("begin a span of LlamaIndex"):
            if (work := _work()) is not None:
                work.begin(
                    id_,
                    lambda tracker: _operation(tracker, id_, instance, dict(bound_args.arguments)),
                    parent=parent_id,
                    run_name=_name(id_),
                    ends_late="stream_" in id_,
                )

    def span_exit(
        self, id_: str, bound_args: Any, instance: Any = None, result: Any = None, **kwargs: Any
    ) -> None:
        """Record it; a stream goes on until its events tell of its end."""
        with internal_errors("record a span of LlamaIndex"):
            work = _work()
            piece = None if work is None else work.get(id_)
            if work is None or piece is None:
                return
            call = piece.operation
            if isinstance(call, PromptCall) and isinstance(result, _STREAMS):
                piece.note = "streams"
                call.on_cancelled = lambda: work.end(id_, CancelledError())
                call.add(stream=True)
            else:
                work.end(id_, tell=lambda operation: _tell(operation, result))

    def span_drop(
        self, id_: str, bound_args: Any, instance: Any = None, err: Any = None, **kwargs: Any
    ) -> None:
        """Record what failed."""
        with internal_errors("record a span of LlamaIndex"):
            if (work := _work()) is not None:
                work.end(id_, err)

    def new_span(self, *args: Any, **kwargs: Any) -> None:
        """Keep no span."""

    prepare_to_exit_span = prepare_to_drop_span = new_span


class _Events:
    """What becomes a ``BaseEventHandler``: tells when a streamed answer has ended."""

    def handle(self, event: Any, **kwargs: Any) -> None:
        """Record the call of a stream that was read to its end, or note its first piece."""
        with internal_errors("record an event of LlamaIndex"):
            work, name = _work(), event.class_name()
            piece = None if work is None else work.get(event.span_id)
            if work is None or piece is None or not isinstance(piece.operation, PromptCall):
                return
            if name.endswith("InProgressEvent"):
                piece.operation.first_token()
            elif name in ("LLMChatEndEvent", "LLMCompletionEndEvent") and piece.note:
                work.end(event.span_id, tell=lambda call: _tell(call, event.response))


def _name(span_id: str) -> str:
    return span_id.rsplit("-", 5)[0]  # before its UUID


def _operation(tracker: Tracker, span_id: str, instance: Any, given: Json) -> Operation | None:
    name = _name(span_id)
    method = name.rpartition(".")[2]
    kinds = {kind.__name__ for kind in type(instance).__mro__}
    if "BaseLLM" in kinds and method in _CALLS:
        call = tracker.prompt_call(model=str(instance.metadata.model_name))
        tell_call(call, CHAT.request({"messages": _asked(given), "tools": _tools(given)}))
        return call
    if "BaseEmbedding" in kinds and method.startswith(_EMBEDDINGS):
        model, texts = str(instance.model_name), next(iter(given.values()), "")
        return tracker.prompt_call(model=model, prompt=texts, operation="embeddings")
    if "BaseTool" in kinds and method in ("call", "acall", "__call__"):
        return tracker.tool_call(
            str(instance.metadata.name), input=given.get("kwargs") or given.get("args")
        )
    if "BaseRetriever" in kinds and method in ("retrieve", "aretrieve"):
        asked = next(iter(given.values()), "")
        return tracker.tool_call(
            type(instance).__name__, input={"query": str(getattr(asked, "query_str", asked))}
        )
    if method.startswith("_") and method != "__call__":
        return None
    return tracker.agent_step(name, StepType.REASONING, input_data=plain(given))


def _asked(given: Json) -> list[Json]:
    asked = given.get("messages") or given.get("prompt") or next(iter(given.get("args") or ()), "")
    if isinstance(asked, (list, tuple)):
        return [_message(each) for each in asked]
    return [{"role": "user", "content": str(asked)}]


def _tools(given: Json) -> Any:
    return as_object(given.get("kwargs")).get("tools")


def _message(said: Any) -> Json:
    calls = [
        {
            "id": block.tool_call_id,
            "function": {"name": block.tool_name, "arguments": block.tool_kwargs},
        }
        for block in getattr(said, "blocks", ())
        if getattr(block, "block_type", "") == "tool_call"
    ]
    extra = as_object(getattr(said, "additional_kwargs", None))
    calls = calls or [plain(each) for each in extra.get("tool_calls") or ()]
    return {
        "role": str(getattr(said.role, "value", said.role)),
        "content": said.content,
        "tool_calls": calls or None,
        "tool_call_id": extra.get("tool_call_id"),
    }


def _tell(operation: Operation, result: Any) -> None:
    if isinstance(operation, PromptCall):
        if result is not None and hasattr(result, "raw"):
            said = getattr(result, "message", None)
            answer = (
                {"role": "assistant", "content": result.text} if said is None else _message(said)
            )
            tell_answer(operation, answer, result.raw)
    elif isinstance(operation, ToolCall):
        if isinstance(result, list):  # of a retriever
            operation.output = [
                {"content": each.node.get_content(), "id": each.node.node_id, "score": each.score}
                for each in result
            ]
        else:
            operation.output = plain(getattr(result, "raw_output", result))
            if getattr(result, "is_error", False) is True:
                operation.status = Status.ERROR
    elif isinstance(operation, AgentStep):
        operation.output_data = plain(result)


_used: list[OpenWork] = []
_handlers: list[tuple[Any, Any]] = []


def _work() -> OpenWork | None:
    return _used[0] if _used else None


def instrument(
    *, llmobs_client: Recording | None = None, capture_content: CaptureContent = "full"
) -> None:
    """
    Add handlers to the root dispatcher; twice is harmless, the options of the last time hold.

    Args:
        llmobs_client: Records what happens outside any run; by default the default client.
        capture_content: As of `llmobs.instrument`.

    Raises:
        ImportError: ``llama-index-core`` is not installed.
        ValueError: *capture_content* is none of the three.
    """
    work = OpenWork("llama_index", llmobs_client, capture_content)
    theirs = import_module("llama_index_instrumentation")
    spans = import_module("llama_index_instrumentation.span_handlers").BaseSpanHandler
    events = import_module("llama_index_instrumentation.event_handlers").BaseEventHandler
    uninstrument()
    _used.append(work)
    root: Any = theirs.get_dispatcher()
    ours: Any = (
        type("LLMObsSpanHandler", (_Spans, spans), {})(),
        type("LLMObsEventHandler", (_Events, events), {})(),
    )
    root.add_span_handler(ours[0])
    root.add_event_handler(ours[1])
    _handlers.append(ours)


def uninstrument() -> None:
    """Undo :func:`instrument`."""
    _used.clear()
    for spans, events in _handlers:
        root: Any = import_module("llama_index_instrumentation").get_dispatcher()
        root.span_handlers = [each for each in root.span_handlers if each is not spans]
        root.event_handlers = [each for each in root.event_handlers if each is not events]
    _handlers.clear()
