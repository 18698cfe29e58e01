"""
What our own OTLP sink says under names of its own (`llmobs.sinks.otlp`): read back as it was written.

Where an event's id stands among the attributes, nobody else wrote them.
"""

from collections.abc import Mapping
from typing import Any, Final

from llmobs.contrib._spans.flat import read_json
from llmobs.contrib._wire.wire import Fields
from llmobs.events import ErrorInfo, Event
from llmobs.recorded import semconv
from llmobs.recorded.jsontext import as_text

__all__ = ["set_own"]

_FIELDS: Final = {
    semconv.STATUS: "status",
    semconv.TAGS: "tags",
    semconv.WARNINGS: "warnings",
    semconv.WEIGHT: "weight",
    semconv.ERROR_CODE: "error_code",
    # of calls
    semconv.COST_USD: "cost_usd",
    semconv.COST_SOURCE: "cost_source",
    semconv.ERRORS: "errors",
    semconv.PROMPT_TEMPLATE_ID: "prompt_template_id",
    semconv.REQUEST_ID: "request_id",
    semconv.SERVICE_TIER: "service_tier",
    # of steps
    semconv.STEP_NUMBER: "step_number",
    semconv.STEP_TYPE: "step_type",
    # of checks, and of what passed a threshold
    semconv.ASSERTION_TYPE: "assertion_type",
    semconv.ASSERTION_EXPECTED: "expected",
    semconv.ASSERTION_ACTUAL: "actual",
    semconv.SEVERITY: "severity",
    semconv.DETECTION_METHOD: "detection_method",
    semconv.GROUND_TRUTH: "ground_truth",
    semconv.RECOMMENDATIONS: "recommendations",
    semconv.ALERT_TYPE: "alert_type",
    semconv.ALERT_THRESHOLD: "threshold",
    semconv.ALERT_ACTUAL: "actual_value",
    semconv.ALERT_WINDOW_MINUTES: "window_minutes",
    semconv.ALERT_MODELS: "affected_models",
    # of runs
    semconv.RUN_KIND: "kind",
    semconv.RUN_CLIENT_ID: "client_run_id",
    semconv.RUN_PARENT_ID: "parent_run_id",
    semconv.RUN_EVENTS: "events",
    semconv.RUN_ERRORS: "errors",
    semconv.RUN_TOKENS_INPUT: "tokens_input",
    semconv.RUN_TOKENS_OUTPUT: "tokens_output",
    semconv.RUN_COST_USD: "cost_usd",
}
_JSON: Final = frozenset({"expected", "actual"})
_PREFIXES: Final = {
    semconv.METADATA_PREFIX: "metadata",
    semconv.RESPONSE_METADATA_PREFIX: "response_metadata",
    semconv.CONTEXT_PREFIX: "context",
    semconv.USAGE_OTHER_PREFIX: "usage",
    semconv.REQUEST_PREFIX: "request_params",
    semconv.ERROR_CONTEXT_PREFIX: "error_context",
}
"""What follows these is a key of the application's."""
_BOTH: Final = frozenset({"usage", "request_params"})
"""Of these the conventions have names for some keys."""
_OURS: Final = "llmobs."


def set_own(event: Event, attributes: Mapping[str, Any]) -> None:
    """Set what *attributes* say of *event* in words of ours; nothing if others wrote them."""
    if semconv.EVENT_ID not in attributes:
        return
    found: Fields = {}
    for name, value in attributes.items():
        if (field := _FIELDS.get(name)) is not None:
            found[field] = read_json(value) if field in _JSON else value
        elif name.startswith(_OURS):
            for prefix, field in _PREFIXES.items():
                if name.startswith(prefix):
                    found.setdefault(field, {})[name.removeprefix(prefix)] = read_json(value)
    for field in _BOTH & found.keys():
        found[field] = {**(getattr(event, field, None) or {}), **found[field]}
    error = getattr(event, "error", None)
    if type(error) is ErrorInfo:
        if error.message == error.type == found.get("status"):  # it was told of none
            event.error = None  # type: ignore[attr-defined]
        error.code = as_text(found.get("error_code")) or error.code
        error.context = found.get("error_context", error.context)
    for field, value in found.items():
        if field not in event.__struct_fields__:
            continue
        if type(value) is tuple:  # of anything: in a list of texts it is mended later
            value = list(value)
        if value != getattr(event, field):
            setattr(event, field, value)
