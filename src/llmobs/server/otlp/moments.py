"""Moments that log records tell of: verdicts by OpenTelemetry's convention, and what our own sink writes."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from llmobs.contrib._spans.about import about
from llmobs.contrib._spans.own import set_own
from llmobs.events import (
    AssertionFailedEvent,
    ErrorEvent,
    ErrorInfo,
    EvaluationEvent,
    EvaluationSource,
    Event,
    HallucinationDetectedEvent,
    PerformanceAlertEvent,
)
from llmobs.recorded import semconv
from llmobs.recorded.jsontext import as_text

__all__ = ["MOMENTS", "fill_moment", "is_moment"]

Attributes = Mapping[str, Any]


def is_moment(name: str, attributes: Attributes) -> bool:
    """Whether such a record is kept: exceptions that others log are their applications', not of models."""
    return name != semconv.EXCEPTION or semconv.EVENT_ID in attributes


def fill_moment(event: Event, attributes: Attributes) -> None:
    """Set in *event* what its record says beside what it is about."""
    for field, value in about(attributes).items():
        setattr(event, field, value)
    set_own(event, attributes)


def _error(attributes: Attributes, common: dict[str, Any]) -> Event:
    get = attributes.get
    kind = as_text(get(semconv.EXCEPTION_TYPE))
    error = ErrorInfo(
        message=as_text(get(semconv.EXCEPTION_MESSAGE)) or kind or "unknown error",
        type=kind,
        stack=as_text(get(semconv.EXCEPTION_STACKTRACE)),
    )
    return ErrorEvent(error=error, **common)


def _verdict(attributes: Attributes, common: dict[str, Any]) -> Event:
    get = attributes.get
    name = as_text(get(semconv.EVALUATION_NAME)) or ""
    score = get(semconv.EVALUATION_SCORE_VALUE)
    score = score if isinstance(score, (int, float)) else None
    explanation = as_text(get(semconv.EVALUATION_EXPLANATION))
    if semconv.ASSERTION_TYPE in attributes:
        return AssertionFailedEvent(assertion_name=name, **common)
    if semconv.DETECTION_METHOD in attributes:
        return HallucinationDetectedEvent(
            confidence_score=score, flagged_content=explanation or "", **common
        )
    return EvaluationEvent(
        name=name,
        score=score,
        label=as_text(get(semconv.EVALUATION_SCORE_LABEL)),
        explanation=explanation,
        source=as_text(get(semconv.EVALUATION_SOURCE)) or EvaluationSource.CODE,
        **common,
    )


def _alert(attributes: Attributes, common: dict[str, Any]) -> Event:
    return PerformanceAlertEvent(**common)


MOMENTS: Final[Mapping[str, Callable[[Attributes, dict[str, Any]], Event]]] = {
    semconv.EVALUATION_RESULT: _verdict,
    semconv.EXCEPTION: _error,
    semconv.PERFORMANCE_ALERT: _alert,
}
"""What makes an event of a record, by the name of the event that it is, of its attributes and other fields."""
