"""The words that fields of events are given in: what happened, how it ended, how bad it is."""

from enum import StrEnum

__all__ = [
    "AlertType",
    "AssertionType",
    "DetectionMethod",
    "EventType",
    "Severity",
    "Status",
    "StepType",
]


class EventType(StrEnum):
    """What happened."""

    PROMPT_CALL = "prompt_call"
    """A call of a model: `PromptCallEvent`."""
    TOOL_CALL = "tool_call"
    """An execution of a tool: `ToolCallEvent`."""
    AGENT_STEP = "agent_step"
    """A step of an agent: `AgentStepEvent`."""
    ERROR = "error"
    """An error of the application: `ErrorEvent`."""
    ASSERTION_FAILED = "assertion_failed"
    """A check that failed: `AssertionFailedEvent`."""
    EVALUATION = "evaluation"
    """What somebody thinks of an answer: `EvaluationEvent`."""
    HALLUCINATION_DETECTED = "hallucination_detected"
    """An answer found to be made up: `HallucinationDetectedEvent`."""
    COST_THRESHOLD_EXCEEDED = "cost_threshold_exceeded"
    """WatchLLM's server's word for a `PERFORMANCE_ALERT`; no event of llmobs has it."""
    PERFORMANCE_ALERT = "performance_alert"
    """A measure that crossed its threshold: `PerformanceAlertEvent`."""
    RUN = "run"
    """A finished run: `RunEvent`."""


class Status(StrEnum):
    """How it ended."""

    SUCCESS = "success"
    """As wanted; the default."""
    ERROR = "error"
    """It failed: an exception, an error of the provider, a 5xx."""
    TIMEOUT = "timeout"
    """It failed because it took too long (``TimeoutError``)."""
    ASSERTION_FAILED = "assertion_failed"
    """It came to an end, and a check on it failed."""
    WARNING = "warning"
    """It came to an end, and something about it is not as wanted; no failure."""
    CANCELLED = "cancelled"
    """Somebody stopped it: a cancelled task, a closed stream; no failure."""


class StepType(StrEnum):
    """What an agent did in a step."""

    REASONING = "reasoning"
    """It thought, or planned; the default."""
    TOOL_CALL = "tool_call"
    """It used a tool."""
    VALIDATION = "validation"
    """It checked something."""
    OUTPUT = "output"
    """It put together what it answers."""


class Severity(StrEnum):
    """How bad it is; members order by meaning, ``LOW < MEDIUM < HIGH < CRITICAL``."""

    LOW = "low"
    """Worth a note."""
    MEDIUM = "medium"
    """Worth a look; the default."""
    HIGH = "high"
    """Users are concerned."""
    CRITICAL = "critical"
    """At once."""

    @property
    def rank(self) -> int:
        """0 for ``LOW`` up to 3 for ``CRITICAL``."""
        return list(Severity).index(self)

    # A plain text compares by meaning too, or `Severity.LOW < "high"` would compare letters.

    def __lt__(self, other: str) -> bool:
        return self.rank < Severity(other).rank

    def __le__(self, other: str) -> bool:
        return self.rank <= Severity(other).rank

    def __gt__(self, other: str) -> bool:
        return self.rank > Severity(other).rank

    def __ge__(self, other: str) -> bool:
        return self.rank >= Severity(other).rank


class AssertionType(StrEnum):
    """What kind of check failed."""

    RESPONSE_FORMAT = "response_format"
    """The answer has not the form asked for."""
    CONTENT_FILTER = "content_filter"
    """A filter of contents refused it."""
    SAFETY_CHECK = "safety_check"
    """It is not safe to show."""
    CUSTOM = "custom"
    """A check of your own; the default."""


class DetectionMethod(StrEnum):
    """How a hallucination was found."""

    HEURISTIC = "heuristic"
    """By rules; the default."""
    MODEL_ENSEMBLE = "model_ensemble"
    """By asking several models."""
    GROUND_TRUTH_VERIFICATION = "ground_truth_verification"
    """By comparing with what is known to be true."""


class EvaluationSource(StrEnum):
    """Who says what an answer is worth."""

    USER = "user"
    """A person."""
    CODE = "code"
    """A check of your own; the default."""
    MODEL = "model"
    """A model that judges."""


class AlertType(StrEnum):
    """Which measure crossed its threshold."""

    COST_SPIKE = "cost_spike"
    """Cost."""
    LATENCY_SPIKE = "latency_spike"
    """Time; the default."""
    ERROR_RATE_SPIKE = "error_rate_spike"
    """Share of failures."""
    TOKEN_LIMIT = "token_limit"  # noqa: S105 - the name of an alert
    """Tokens."""
