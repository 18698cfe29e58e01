"""What of a captured call is kept (``capture_content``), and how it joins the event of a block."""

from typing import Any, Final

import msgspec

from llmobs.events import PromptCallEvent, Status
from llmobs.pipeline.prepare import strip_content
from llmobs.pipeline.redaction import Redactor

__all__ = ["apply_policy", "merge"]

_TEXTS: Final = ("prompt", "response", "tool_calls", "request_params", "response_metadata")


def apply_policy(event: PromptCallEvent, mode: str) -> None:
    """
    Take from *event* what *mode* does not allow to be kept.

    Args:
        event: A call as read from the wire.
        mode: ``full``, ``redacted`` (even where the client does not redact) or ``metadata``.
    """
    if mode == "metadata":
        strip_content(event)
    elif mode == "redacted":
        redactor = Redactor()
        for name in _TEXTS:
            setattr(event, name, redactor.value(getattr(event, name)))
        if event.error is not None:
            event.error.message = redactor.value(event.error.message)
            event.error.stack = redactor.value(event.error.stack)


_IDENTITY: Final = frozenset({"event_id", "run_id", "timestamp", "parent_id", "latency_ms"})


def merge(told: PromptCallEvent, seen: PromptCallEvent) -> None:
    """
    Add to *told*, which the application recorded, what was *seen* of the same call on the wire.

    What the application told stays; what it left open is filled in.
    """
    warnings = (*told.warnings, *seen.warnings)
    failed_unseen = told.status == Status.SUCCESS and told.error is None
    for field in msgspec.structs.fields(told):
        name = field.name
        if name in _IDENTITY or name in ("status", "error", "warnings"):
            continue
        default: Any = field.default
        if getattr(told, name) in (default, None, "", (), []):
            value = getattr(seen, name)
            if value not in (default, None):
                setattr(told, name, value)
    if failed_unseen and seen.status != Status.SUCCESS:
        told.status, told.error = seen.status, seen.error
    # A block that ended before its stream did not see the last byte.
    told.latency_ms = max(told.latency_ms or 0.0, seen.latency_ms or 0.0)
    told.warnings = warnings
