"""
What LlamaIndex's models, tools and retrievers are asked and answer, as blocks of a run.

These are classes of ``llama-index-core``; who is told of their calls is a package of its own.
"""

from __future__ import annotations

from typing import Any, Final

from llmobs.capture.operations import AgentStep, Operation, PromptCall, ToolCall
from llmobs.capture.tracker import Tracker
from llmobs.contrib._agents.telling import plain, tell_answer, tell_call
from llmobs.contrib._wire.openai_chat import WIRE as CHAT
from llmobs.events import Status, StepType
from llmobs.recorded.jsontext import Json, as_object

__all__ = ["operation", "tell"]

_CALLS: Final = frozenset(
    {
        "chat", "achat", "stream_chat", "astream_chat", "complete", "acomplete",
        "stream_complete", "astream_complete",
    }
)  # fmt: skip
"""Methods of models that are calls; others, such as ``predict``, go through one of these."""
_EMBEDDINGS: Final = ("get_", "aget_")


def operation(tracker: Tracker, name: str, instance: Any, given: Json) -> Operation | None:
    """
    Return the block that records a method's call; None for what only groups what is inside.

    Args:
        tracker: Makes it.
        name: Class and method, as LlamaIndex names the span.
        instance: Whose method it is, if anybody's.
        given: Its arguments by name.
    """
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


def tell(operation: Operation, result: Any) -> None:
    """Fill in a block with what the method returned."""
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
