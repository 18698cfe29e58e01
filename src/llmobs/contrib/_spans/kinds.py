"""What a span tells of: decided by a few of its attributes, on the host's path."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from llmobs.recorded import semconv

__all__ = [
    "INFERENCE_KIND",
    "INFERENCE_MODEL",
    "LANGFUSE_KIND",
    "LANGSMITH_KIND",
    "LOGFIRE_KIND",
    "LOGFIRE_REQUEST",
    "OPENLIT_ARGUMENTS",
    "TRACELOOP_KIND",
    "VERCEL_OPERATION",
    "Kind",
    "kind_of",
    "operation_of",
]


class Kind(Enum):
    """What a span becomes."""

    CALL = "prompt_call"
    TOOL = "tool_call"
    STEP = "agent_step"


INFERENCE_KIND: Final = "openinference.span.kind"
INFERENCE_MODEL: Final = "llm.model_name"
LANGFUSE_KIND: Final = "langfuse.observation.type"
LANGSMITH_KIND: Final = "langsmith.span.kind"
LOGFIRE_KIND: Final = "logfire.span_type"
LOGFIRE_REQUEST: Final = "request_data"
OPENLIT_ARGUMENTS: Final = "function.args"
TRACELOOP_KIND: Final = "traceloop.span.kind"
VERCEL_OPERATION: Final = "ai.operationId"

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

_CALLS: Final = ("llm", "embedding", "generation", "completion", "chat")
_TOOLS: Final = ("tool", "retriever", "reranker")
_STEPS: Final = (
    "agent", "chain", "guardrail", "evaluator", "prompt", "parser", "workflow", "task", "span",
    "event",
)  # fmt: skip
_NAMED: Final = {
    **dict.fromkeys(_CALLS, Kind.CALL),
    **dict.fromkeys(_TOOLS, Kind.TOOL),
    **dict.fromkeys(_STEPS, Kind.STEP),
}
"""The words of those who give each span a kind: OpenInference, Langfuse, LangSmith, OpenLLMetry."""

_VERCEL_CALLS: Final = (".doGenerate", ".doStream", ".doEmbed")


def operation_of(value: Any) -> str | None:
    """Return the convention's word for an operation; LiteLLM's asynchronous functions begin with an *a*."""
    if value is None or str(value) in _OPERATIONS:
        return None if value is None else str(value)
    name = str(value)
    for known in (name, name.removeprefix("a")):
        if known in _ALSO or known in _OPERATIONS:
            return _ALSO.get(known, known)
    return name


def kind_of(attributes: Mapping[str, Any] | None) -> Kind | None:
    """Return what a span with *attributes* becomes, or None if it is about something else."""
    if not attributes:
        return None
    operation = attributes.get(semconv.OPERATION_NAME)
    if operation is not None:
        kind = _OPERATIONS.get(str(operation))
        if kind is Kind.CALL and _opens_stream(attributes):
            return None
        if kind is not None:
            return kind
    for name in (INFERENCE_KIND, LANGFUSE_KIND, LANGSMITH_KIND, TRACELOOP_KIND):
        if (said := attributes.get(name)) is not None:
            return _NAMED.get(str(said).lower())
    if (said := attributes.get(VERCEL_OPERATION)) is not None:
        return _vercel(str(said))
    if LOGFIRE_REQUEST in attributes and LOGFIRE_KIND in attributes:
        return None if _opens_stream(attributes) else Kind.CALL
    return _unknown(attributes, operation)


def _unknown(attributes: Mapping[str, Any], operation: Any) -> Kind | None:
    """Return what a span is whose operation no convention knows: a call, if a model was asked."""
    if operation is not None:
        asked = semconv.REQUEST_MODEL in attributes or semconv.RESPONSE_MODEL in attributes
        provider = semconv.PROVIDER_NAME in attributes or semconv.SYSTEM in attributes
        return Kind.CALL if asked and provider else None
    if semconv.SYSTEM in attributes and semconv.REQUEST_MODEL in attributes:
        return Kind.CALL  # before v1.29 calls of models were the only spans
    if semconv.TOOL_NAME in attributes:
        return Kind.TOOL  # Pydantic AI before its third version
    return Kind.STEP if OPENLIT_ARGUMENTS in attributes else None


def _vercel(operation: str) -> Kind | None:
    if operation.endswith(_VERCEL_CALLS):
        return Kind.CALL
    if operation.endswith((".doRerank", ".toolCall")):
        return Kind.TOOL
    # What surrounds them sums them up: never a call, or everything would be counted twice.
    return Kind.STEP if operation.startswith("ai.") else None


_ANSWERED: Final = (
    semconv.RESPONSE_ID,
    semconv.OUTPUT_MESSAGES,
    semconv.USAGE_INPUT_TOKENS,
    "response_data",
    "logfire.level_num",
)


def _opens_stream(attributes: Mapping[str, Any]) -> bool:
    """
    Whether this is Logfire's span of a stream's beginning.

    It ends before the answer comes; the log that follows repeats all of it, and is the call.
    """
    if attributes.get(LOGFIRE_KIND) != "span" or LOGFIRE_REQUEST not in attributes:
        return False
    return not any(name in attributes for name in _ANSWERED)
