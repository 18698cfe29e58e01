"""
What every field of every event is, and what becomes of it: one table that redaction and
``capture_content`` go by, and from which the reference page and the tests are made.

A field that is not in the table fails a test: whoever adds one decides here what it may tell.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple

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
    HallucinationDetectedEvent,
    PerformanceAlertEvent,
    PromptCallEvent,
    RunEvent,
    Severity,
    Status,
    StepType,
    ToolCallEvent,
)

__all__ = ["FIELDS", "Field", "Kind", "OnlyMetadata", "Redacted", "every_field"]


class Kind(Enum):
    """What a field holds."""

    CONTENT = "content"
    """What people, models and tools wrote."""
    PERSON = "person"
    """On whose behalf: what the application calls the person."""
    LABEL = "label"
    """Words that the application chose, to find things by."""
    NAME = "name"
    """What figures are grouped by: models, providers, services, versions, kinds of errors."""
    IDENTIFIER = "identifier"
    """What joins events, runs, traces and conversations."""
    ENUM = "enum"
    """One of our own words, or of the caller's in its place."""
    FIGURE = "figure"
    """Numbers and times."""
    PARTS = "parts"
    """Has fields of its own, each with its own line in this table."""


class Redacted(Enum):
    """What redaction does to a field."""

    REPLACED = "replaced"
    """What is found gives way to a placeholder; by your own ``redactor``, too."""
    REPLACED_BY_US = "replaced, not by `redactor`"
    """What is found gives way to a placeholder; your own ``redactor`` is not asked."""
    RENAMED = "renamed"
    """An id in which anything is found is replaced as a whole, by the same one wherever it stands."""
    KEPT = "kept"
    """It holds no text."""
    BY_PART = "by part"
    """Each of its own fields by its own rule."""


class OnlyMetadata(Enum):
    """What ``capture_content="metadata"`` does to a field; what stays is redacted."""

    LEFT_OUT = "left out"
    """It does not leave the process."""
    STAYS = "stays"
    """Redacted, whatever ``redact_pii`` says."""
    ONE_WORD = "stays if one word"
    """Others told it: what is no single word of at most 128 characters is left out."""
    BY_PART = "by part"
    """Each of its own fields by its own rule."""


class Field(NamedTuple):
    """What was decided of a field."""

    kind: Kind
    redacted: Redacted
    only_metadata: OnlyMetadata
    why: str
    words: type[Enum] | None = None
    """Of an enum: our own words, which are never touched."""


def _content(why: str, redacted: Redacted = Redacted.REPLACED) -> Field:
    return Field(Kind.CONTENT, redacted, OnlyMetadata.LEFT_OUT, why)


def _person(why: str) -> Field:
    return Field(Kind.PERSON, Redacted.REPLACED, OnlyMetadata.STAYS, why)


def _label(why: str) -> Field:
    return Field(Kind.LABEL, Redacted.REPLACED, OnlyMetadata.STAYS, why)


def _name(why: str) -> Field:
    return Field(Kind.NAME, Redacted.REPLACED_BY_US, OnlyMetadata.STAYS, why)


def _told_name(why: str) -> Field:
    return Field(Kind.NAME, Redacted.REPLACED_BY_US, OnlyMetadata.ONE_WORD, why)


def _identifier(why: str) -> Field:
    return Field(Kind.IDENTIFIER, Redacted.RENAMED, OnlyMetadata.STAYS, why)


def _told_identifier(why: str) -> Field:
    return Field(Kind.IDENTIFIER, Redacted.RENAMED, OnlyMetadata.ONE_WORD, why)


def _enum(words: type[Enum], why: str) -> Field:
    return Field(Kind.ENUM, Redacted.REPLACED_BY_US, OnlyMetadata.STAYS, why, words)


def _figure(why: str = "A number tells nothing of what was said.") -> Field:
    return Field(Kind.FIGURE, Redacted.KEPT, OnlyMetadata.STAYS, why)


def _parts(of: str) -> Field:
    return Field(Kind.PARTS, Redacted.BY_PART, OnlyMetadata.BY_PART, f"See {of}.")


_ERROR: Final = _parts("error info")
_STATUS: Final = _enum(Status, "Failures are counted by it; callers may have words of their own.")
_TIME: Final = _figure("How long it took is a number.")
_MODEL: Final = _name("Costs and failures are grouped by model; a name may be made of anything.")

FIELDS: Final[Mapping[type, Mapping[str, Field]]] = {
    Event: {
        "event_id": _identifier("Stores keep one event per id; callers may choose it."),
        "run_id": _identifier("Joins the events of a run; callers may choose it, requests may send it."),
        "timestamp": _figure("When it was; what is no time is kept in `metadata`."),
        "parent_id": _identifier("Joins what happened inside; is another event's id."),
        "trace_id": _identifier("Joins a trace; callers may hand over any text."),
        "span_id": _identifier("Joins a trace; callers may hand over any text."),
        "project_id": _name("Whose events they are; set once, in the settings."),
        "service_name": _name("Groups by service; set once, mostly in the settings."),
        "environment": _name("Groups by environment; set once, in the settings."),
        "release": _name("Groups by version; set once, mostly in the settings."),
        "user_id": _person(
            "Recorded on purpose, to count and find by person, so it stays under every setting. An id "
            "tells nobody; an address or a number that is found gives way, and its users are one then: "
            "hand over an id."
        ),
        "session_id": _identifier(
            "Joins a conversation. One named after an address is renamed, so that two people's "
            "conversations do not become one."
        ),
        "tags": _label("Words to find it by; yours."),
        "metadata": _content(
            "Anything, and what had no place elsewhere: unknown fields, counts that are none."
        ),
        "client": _parts("client info"),
        "warnings": _label(
            "Our words, with names of fields in them. The values they are about are in `metadata`."
        ),
        "standalone": _figure("Yes or no."),
        "weight": _figure(),
    },
    PromptCallEvent: {
        "prompt": _content("What people wrote."),
        "model": _MODEL,
        "response": _content("What the model wrote."),
        "tokens_input": _figure(),
        "tokens_output": _figure(),
        "latency_ms": _TIME,
        "status": _STATUS,
        "error": _ERROR,
        "prompt_template_id": _label("Your name of a template."),
        "model_version": _MODEL,
        "response_metadata": _content("Whatever the provider or the application added."),
        "tool_calls": _content("Arguments are what the model wrote."),
        "operation": _name("Groups by kind of call."),
        "provider": _name("Groups by provider."),
        "finish_reason": _told_name("The provider's word; gateways put anything there."),
        "cost_usd": _figure(),
        "cost_source": _name("Where the price is from; callers may say so themselves."),
        "tokens_cached": _figure(),
        "tokens_cache_write": _figure(),
        "tokens_reasoning": _figure(),
        "usage": Field(
            Kind.FIGURE, Redacted.REPLACED_BY_US, OnlyMetadata.STAYS,
            "Counts; their names are lower-case words of at most 64 characters.",
        ),
        "time_to_first_token_ms": _TIME,
        "stream": _figure("Yes or no."),
        "response_id": _told_identifier("To ask the provider about it; gateways put anything there."),
        "request_id": _told_identifier("To ask the provider about it; gateways put anything there."),
        "http_status": _figure(),
        "attempt": _figure(),
        "service_tier": _told_name("Prices depend on it; gateways put anything there."),
        "server_address": _name("Which host was asked; without user and password."),
        "request_params": _content("Tool definitions and formats are written by people."),
        "prompt_embedding": _content(
            "Numbers, which redaction leaves; a text can be guessed from its vector.", Redacted.KEPT
        ),
        "response_embedding": _content(
            "Numbers, which redaction leaves; a text can be guessed from its vector.", Redacted.KEPT
        ),
        "errors": _content("Error texts quote what failed."),
    },
    ToolCallEvent: {
        "tool_name": _label("Groups by tool; yours."),
        "input": _content("What the model wrote."),
        "output": _content("What the tool found."),
        "latency_ms": _TIME,
        "status": _STATUS,
        "error": _ERROR,
        "tool_id": _told_identifier("Joins a call to its result; the provider's, or anything."),
    },
    AgentStepEvent: {
        "step_number": _figure(),
        "step_name": _label("Groups by step; yours."),
        "step_type": _enum(StepType, "Groups by kind of step; callers may have words of their own."),
        "input_data": _content("What the step was given."),
        "output_data": _content("What came of it."),
        "latency_ms": _TIME,
        "status": _STATUS,
        "reasoning": _content("What the model wrote."),
        "context": _content("Anything."),
        "error": _ERROR,
    },
    ErrorEvent: {
        "error": _ERROR,
        "context": _content("Anything."),
    },
    AssertionFailedEvent: {
        "assertion_name": _label("Groups by check; yours."),
        "assertion_type": _enum(AssertionType, "Groups by kind of check."),
        "expected": _content("What should have been said."),
        "actual": _content("What was said."),
        "severity": _enum(Severity, "Groups by severity."),
    },
    HallucinationDetectedEvent: {
        "detection_method": _enum(DetectionMethod, "Groups by method."),
        "confidence_score": _figure(),
        "flagged_content": _content("What the model wrote."),
        "ground_truth": _content("What is true, in words."),
        "recommendations": _content("What to do about it, in words."),
    },
    EvaluationEvent: {
        "name": _label("Evaluations are averaged by it; yours."),
        "score": _figure(),
        "label": _told_name("Evaluations are counted by it; browsers and models may put anything there."),
        "explanation": _content("Why, in the words of a person or a model."),
        "source": _enum(EvaluationSource, "Groups by who says so; callers may have words of their own."),
    },
    PerformanceAlertEvent: {
        "alert_type": _enum(AlertType, "Groups by kind of alert."),
        "threshold": _figure(),
        "actual_value": _figure(),
        "window_minutes": _figure(),
        "affected_models": _MODEL,
    },
    RunEvent: {
        "kind": _name("http, websocket or job."),
        "name": _label("Method and route template, or your name of a job."),
        "client_run_id": _identifier("A stranger's header: its characters are checked, its words are not."),
        "parent_run_id": _identifier("Joins a task to the request that enqueued it."),
        "method": _name("HTTP method."),
        "route": _name("A template, never the path, nor the query."),
        "http_status": _figure(),
        "latency_ms": _TIME,
        "status": _STATUS,
        "error": _ERROR,
        "events": _figure(),
        "errors": _figure(),
        "tokens_input": _figure(),
        "tokens_output": _figure(),
        "cost_usd": _figure(),
    },
    ErrorInfo: {
        "message": _content("Error messages quote what failed. Without content, the type stands for it."),
        "type": _told_name("Failures are grouped by it; providers and callers may put anything there."),
        "code": _told_name("Failures are grouped by it; providers and callers may put anything there."),
        "stack": _content("Ends with the message, its causes, notes and groups."),
        "context": _content("Anything."),
    },
    ClientInfo: {
        "hostname": _name("Which machine; the operating system's name of it."),
        "sdk_version": _name("Which llmobs."),
        "platform": _name("Which Python."),
    },
}  # fmt: skip
"""By the class that declares it, every field."""


def _decided(kind: type, name: str) -> Field:
    for declaring in kind.__mro__:
        if name in (table := FIELDS.get(declaring, {})):
            return table[name]
    raise KeyError(f"{kind.__name__}.{name}: add it to FIELDS in {__name__}")


def every_field(kind: type) -> Mapping[str, Field]:
    """Return what was decided of each field of *kind*, inherited ones too, in their order."""
    names: tuple[str, ...] = kind.__struct_fields__  # type: ignore[attr-defined]
    return {name: _decided(kind, name) for name in names}
