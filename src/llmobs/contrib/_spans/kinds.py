"""What a span tells of: decided by a few of its attributes, on the host's path."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from llmobs import semconv

__all__ = ["INFERENCE_KIND", "Kind", "kind_of"]


class Kind(Enum):
    """What a span becomes."""

    CALL = "prompt_call"
    TOOL = "tool_call"
    STEP = "agent_step"


INFERENCE_KIND: Final = "openinference.span.kind"

_OPERATIONS: Final = {
    semconv.CHAT: Kind.CALL,
    semconv.TEXT_COMPLETION: Kind.CALL,
    semconv.GENERATE_CONTENT: Kind.CALL,
    semconv.EMBEDDINGS: Kind.CALL,
    semconv.EXECUTE_TOOL: Kind.TOOL,
    semconv.RETRIEVAL: Kind.TOOL,
    semconv.INVOKE_AGENT: Kind.STEP,
    semconv.CREATE_AGENT: Kind.STEP,
    semconv.INVOKE_WORKFLOW: Kind.STEP,
    semconv.PLAN: Kind.STEP,
}
_INFERENCE: Final = {
    "LLM": Kind.CALL,
    "EMBEDDING": Kind.CALL,
    "TOOL": Kind.TOOL,
    "RETRIEVER": Kind.TOOL,
    "RERANKER": Kind.TOOL,
    "AGENT": Kind.STEP,
    "CHAIN": Kind.STEP,
    "GUARDRAIL": Kind.STEP,
    "EVALUATOR": Kind.STEP,
    "PROMPT": Kind.STEP,
}


def kind_of(attributes: Mapping[str, Any] | None) -> Kind | None:
    """Return what a span with *attributes* becomes, or None if it is about something else."""
    if not attributes:
        return None
    operation = attributes.get(semconv.OPERATION_NAME)
    if operation is not None:
        return _OPERATIONS.get(str(operation))
    inference = attributes.get(INFERENCE_KIND)
    if inference is not None:
        return _INFERENCE.get(str(inference).upper())
    if semconv.SYSTEM in attributes and semconv.REQUEST_MODEL in attributes:
        return Kind.CALL  # before v1.29 calls of models were the only spans
    return None
