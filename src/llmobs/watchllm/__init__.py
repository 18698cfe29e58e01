"""
The WatchLLM Python SDK, as its document describes it, on top of llmobs.

Code written for it runs after one change, ``watchllm`` to ``llmobs.watchllm`` in its imports::

    from llmobs.watchllm import Status, WatchLLMClient

    watchllm = WatchLLMClient(api_key="your-api-key", project_id="your-project-id")
    watchllm.log_prompt_call(run_id="run-1", prompt="…", model="gpt-4o", response="…",
                             tokens_input=12, tokens_output=45, latency_ms=1250)
    watchllm.close()

What differs, and how to move on to the native API: docs/how-to/migrate-from-watchllm.md.
"""

from importlib import import_module
from typing import Any

from llmobs.events import (
    AgentStepEvent,
    AlertType,
    AssertionFailedEvent,
    AssertionType,
    DetectionMethod,
    ErrorEvent,
    EventType,
    HallucinationDetectedEvent,
    PerformanceAlertEvent,
    PromptCallEvent,
    Severity,
    Status,
    StepType,
    ToolCallEvent,
)
from llmobs.events import Event as BaseEvent
from llmobs.watchllm.client import WatchLLMClient, init
from llmobs.watchllm.costs import MODEL_PRICING, calculate_cost
from llmobs.watchllm.instrumentation import (
    auto_instrument,
    disable_instrumentation,
    get_client,
    get_current_run_id,
    is_instrumented,
    trace,
)

__all__ = [
    "AgentStepEvent",
    "AlertType",
    "AssertionFailedEvent",
    "AssertionType",
    "BaseEvent",
    "DetectionMethod",
    "ErrorEvent",
    "EventType",
    "HallucinationDetectedEvent",
    "MODEL_PRICING",
    "PerformanceAlertEvent",
    "PromptCallEvent",
    "Severity",
    "Status",
    "StepType",
    "ToolCallEvent",
    "WatchLLMClient",
    "auto_instrument",
    "calculate_cost",
    "disable_instrumentation",
    "get_callback_handler",
    "get_client",
    "get_current_run_id",
    "init",
    "is_instrumented",
    "trace",
]


def get_callback_handler() -> Any:
    """
    Return the class `llmobs.watchllm.langchain.WatchLLMCallbackHandler`.

    Raises:
        ImportError: LangChain is not installed.
    """
    return import_module("llmobs.watchllm.langchain").WatchLLMCallbackHandler
