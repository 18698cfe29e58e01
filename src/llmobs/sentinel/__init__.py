"""
The API of the LLM Sentinel document over llmobs: change the import, keep the code.

It is names, defaults and error types over one `llmobs.Client` with the Kafka sink. What differs
from the original is in the guide "Migrate from LLM Sentinel". Beware of the default topic:
``llm-telemetry`` here, as the document has it, and ``llm.telemetry`` on Sentinel's servers.
"""

from llmobs.sentinel._mapping import from_prompt_call, to_prompt_call
from llmobs.sentinel.builders import TelemetryEventBuilder
from llmobs.sentinel.client import AsyncSentinelClient, SentinelClient
from llmobs.sentinel.config import SentinelConfig
from llmobs.sentinel.events import PromptInfo, ResponseInfo, TelemetryEvent
from llmobs.sentinel.exceptions import (
    ConfigurationError,
    ConnectionError,
    SendError,
    SentinelError,
    TimeoutError,
    ValidationError,
)
from llmobs.sentinel.types import AnomalyType, DetectionMethod, Severity

__all__ = [
    "AnomalyType",
    "AsyncSentinelClient",
    "ConfigurationError",
    "ConnectionError",
    "DetectionMethod",
    "PromptInfo",
    "ResponseInfo",
    "SendError",
    "SentinelClient",
    "SentinelConfig",
    "SentinelError",
    "Severity",
    "TelemetryEvent",
    "TelemetryEventBuilder",
    "TimeoutError",
    "ValidationError",
    "__version__",
    "from_prompt_call",
    "to_prompt_call",
]

__version__ = "0.1.0"
"""Version of the API, as the document states it; `llmobs.__version__` is the package's."""
