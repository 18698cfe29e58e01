"""What a span tells of: decided by a few of its attributes, on the host's path."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from llmobs.recorded import semconv

__all__ = ["INFERENCE_KIND", "INFERENCE_MODEL", "Kind", "kind_of", "operation_of"]


class Kind(Enum):
    """What a span becomes."""

    CALL = "prompt_call"
    TOOL = "tool_call"
    STEP = "agent_step"


INFERENCE_KIND: Final = "openinference.span.kind"
INFERENCE_MODEL: Final = "llm.model_name"

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
_ALSO: Final = {
    "completion": semconv.CHAT,
    "responses": semconv.CHAT,
    "messages": semconv.CHAT,
    "anthropic_messages": semconv.CHAT,
    "embedding": semconv.EMBEDDINGS,
}
"""Operations by the names of functions (LiteLLM's), where the convention has a word for them."""

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


def operation_of(value: Any) -> str | None:
    """Return the convention's word for an operation; LiteLLM's asynchronous functions begin with an *a*."""
    if value is None or str(value) in _OPERATIONS:
        return None if value is None else str(value)
    name = str(value)
    for known in (name, name.removeprefix("a")):
        if known in _ALSO or known in _OPERATIONS:
            return _ALSO.get(known, known)
    return name


def _unknown(attributes: Mapping[str, Any]) -> Kind | None:
    """Return what a span is whose operation no convention knows: a call, if a model was asked."""
    asked = semconv.REQUEST_MODEL in attributes or semconv.RESPONSE_MODEL in attributes
    provider = semconv.PROVIDER_NAME in attributes or semconv.SYSTEM in attributes
    return Kind.CALL if asked and provider else None


def kind_of(attributes: Mapping[str, Any] | None) -> Kind | None:
    """Return what a span with *attributes* becomes, or None if it is about something else."""
    if not attributes:
        return None
    operation = attributes.get(semconv.OPERATION_NAME)
    if operation is not None:
        return _OPERATIONS.get(str(operation)) or _unknown(attributes)
    inference = attributes.get(INFERENCE_KIND)
    if inference is not None:
        return _INFERENCE.get(str(inference).upper())
    if semconv.SYSTEM in attributes and semconv.REQUEST_MODEL in attributes:
        return Kind.CALL  # before v1.29 calls of models were the only spans
    if semconv.TOOL_NAME in attributes:
        return Kind.TOOL  # Pydantic AI before its third version
    return None
