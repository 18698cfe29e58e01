"""The optional keywords of the ``log_*`` methods, for type checkers and editors."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict

__all__ = ["CommonFields", "PromptCallFields"]


class CommonFields(TypedDict, total=False):
    """Keywords every ``log_*`` method takes beside its own."""

    event_id: str
    """A UUID of your own; a new one by default."""
    timestamp: datetime
    """When it began; by default now, less the latency."""
    parent_id: str
    """Event it happened inside; by default the enclosing with-block."""
    trace_id: str
    span_id: str
    session_id: str
    service_name: str
    metadata: Mapping[str, Any]


class PromptCallFields(CommonFields, total=False):
    """Optional keywords of ``log_prompt_call``; see `llmobs.events.PromptCallEvent`."""

    operation: str
    provider: str
    finish_reason: str
    cost_usd: float
    tokens_cached: int
    tokens_cache_write: int
    tokens_reasoning: int
    usage: Mapping[str, int]
    time_to_first_token_ms: float
    stream: bool
    response_id: str
    request_id: str
    http_status: int
    service_tier: str
    server_address: str
    request_params: Mapping[str, Any]
    prompt_embedding: Sequence[float]
    response_embedding: Sequence[float]
    errors: Sequence[str]
