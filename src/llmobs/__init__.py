"""
LLM observability for Python web applications.

One line of middleware gives every request a run; what it does with a language model is recorded
under that run and delivered in the background. Importing this starts nothing and reads nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from llmobs.errors import (
    ConfigurationError,
    DeliveryError,
    DeliveryTimeoutError,
    LLMObsError,
    MissingExtraError,
    SinkError,
    SinkMisconfiguredError,
    SinkRejectedError,
    SinkTooLargeError,
    SinkUnauthorizedError,
    SinkUnavailableError,
    StoreCorruptError,
    StoreError,
    StoreNotFoundError,
    StoreVersionError,
)
from llmobs.recorded.printable import redact_with

if TYPE_CHECKING:
    from llmobs.capture.operations import AgentStep, PromptCall, ToolCall
    from llmobs.capture.tracker import Tracker
    from llmobs.client.async_client import AsyncClient
    from llmobs.client.decorator import observe
    from llmobs.client.sync_client import (
        Client,
        current_tracker,
        default_client,
        flush_on_signals,
        run,
    )
    from llmobs.contrib._doors import instrument, uninstrument
    from llmobs.events import (
        AgentStepEvent,
        AlertType,
        AssertionFailedEvent,
        AssertionType,
        ClientInfo,
        DetectionMethod,
        ErrorEvent,
        ErrorInfo,
        EvaluationEvent,
        EvaluationSource,
        Event,
        EventType,
        HallucinationDetectedEvent,
        PerformanceAlertEvent,
        PromptCallEvent,
        RunEvent,
        Severity,
        Status,
        StepType,
        ToolCallEvent,
    )
    from llmobs.pipeline.statistics import DropReason, FlushReport, SinkState, Statistics
    from llmobs.policy import Drop, Stage
    from llmobs.runtime.context import Run, bind_run, current_run
    from llmobs.settings import Settings

__all__ = [
    "AgentStep",
    "AgentStepEvent",
    "AlertType",
    "AssertionFailedEvent",
    "AssertionType",
    "AsyncClient",
    "Client",
    "ClientInfo",
    "ConfigurationError",
    "DeliveryError",
    "DeliveryTimeoutError",
    "DetectionMethod",
    "Drop",
    "DropReason",
    "ErrorEvent",
    "ErrorInfo",
    "EvaluationEvent",
    "EvaluationSource",
    "Event",
    "EventType",
    "FlushReport",
    "HallucinationDetectedEvent",
    "LLMObsError",
    "MissingExtraError",
    "PerformanceAlertEvent",
    "PromptCall",
    "PromptCallEvent",
    "Run",
    "RunEvent",
    "Settings",
    "Severity",
    "SinkError",
    "SinkMisconfiguredError",
    "SinkRejectedError",
    "SinkState",
    "SinkTooLargeError",
    "SinkUnauthorizedError",
    "SinkUnavailableError",
    "Stage",
    "Statistics",
    "Status",
    "StepType",
    "StoreCorruptError",
    "StoreError",
    "StoreNotFoundError",
    "StoreVersionError",
    "ToolCall",
    "ToolCallEvent",
    "Tracker",
    "bind_run",
    "current_run",
    "current_tracker",
    "default_client",
    "flush_on_signals",
    "instrument",
    "observe",
    "run",
    "uninstrument",
]

__version__ = "0.1.0"
"""As in pyproject.toml. Not read from the installed metadata: that blocks, and clients carry it."""


def _redact(text: str) -> str:
    from llmobs.redaction.said import redact_said  # when something is said

    return redact_said(text)


redact_with(_redact)

# Loaded when first asked for: clients bring anyio and asyncio, events msgspec; a command line
# that says its version wants none of them.
_LATER = {
    "AgentStep": "capture.operations",
    "AgentStepEvent": "events",
    "AlertType": "events",
    "AssertionFailedEvent": "events",
    "AssertionType": "events",
    "AsyncClient": "client.async_client",
    "Client": "client.sync_client",
    "ClientInfo": "events",
    "DetectionMethod": "events",
    "Drop": "policy",
    "DropReason": "pipeline.statistics",
    "ErrorEvent": "events",
    "ErrorInfo": "events",
    "EvaluationEvent": "events",
    "EvaluationSource": "events",
    "Event": "events",
    "EventType": "events",
    "FlushReport": "pipeline.statistics",
    "HallucinationDetectedEvent": "events",
    "PerformanceAlertEvent": "events",
    "PromptCall": "capture.operations",
    "PromptCallEvent": "events",
    "Run": "runtime.context",
    "RunEvent": "events",
    "Settings": "settings",
    "Severity": "events",
    "SinkState": "pipeline.statistics",
    "Stage": "policy",
    "Statistics": "pipeline.statistics",
    "Status": "events",
    "StepType": "events",
    "ToolCall": "capture.operations",
    "ToolCallEvent": "events",
    "Tracker": "capture.tracker",
    "bind_run": "runtime.context",
    "current_run": "runtime.context",
    "current_tracker": "client.sync_client",
    "default_client": "client.sync_client",
    "flush_on_signals": "client.sync_client",
    "instrument": "contrib._doors",
    "observe": "client.decorator",
    "run": "client.sync_client",
    "uninstrument": "contrib._doors",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        value = getattr(import_module(f"llmobs.{_LATER[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'llmobs' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
