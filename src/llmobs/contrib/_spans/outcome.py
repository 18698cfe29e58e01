"""How spans ended: what went wrong, in whose words."""

from __future__ import annotations

import re
from typing import Any, Final

from llmobs.contrib._spans.kinds import LANGSMITH_KIND
from llmobs.contrib._spans.span import SpanLike
from llmobs.events import ErrorInfo, Status
from llmobs.recorded import semconv
from llmobs.recorded.jsontext import as_text

__all__ = ["outcome_of"]

_CANCELLED: Final = ("CancelledError", "Cancelled", "GeneratorExit", "KeyboardInterrupt")
_REPR: Final = re.compile(r"([A-Za-z_][\w.]{0,200})\((.{0,100000})\)\Z", re.S)


def outcome_of(span: SpanLike) -> tuple[Status, ErrorInfo | None]:
    """Return how *span*, which has ended, ended."""
    attributes = span.attributes or {}
    raised: Any = next(
        (
            event.attributes or {}
            for event in reversed(span.events)
            if event.name == semconv.EXCEPTION
        ),
        None,
    )
    kind = as_text(attributes.get(semconv.ERROR_TYPE))
    failed = span.status.status_code.name == "ERROR"
    if raised is not None and LANGSMITH_KIND in attributes:
        raised, failed = _langsmith(raised), True  # its spans all say that they are fine
    if raised is None and kind is None and not failed:
        return Status.SUCCESS, None
    if not failed and kind is None:
        return Status.SUCCESS, None  # an exception that was handled
    raised = raised or {}
    exception = as_text(raised.get(semconv.EXCEPTION_TYPE))
    words = as_text(raised.get(semconv.EXCEPTION_MESSAGE)) or as_text(span.status.description)
    name = kind or exception or "error"
    info = ErrorInfo(
        message=words or name, type=name, stack=as_text(raised.get(semconv.EXCEPTION_STACKTRACE))
    )
    if (exception or name).rpartition(".")[2] in _CANCELLED:
        return Status.CANCELLED, info
    if "timeout" in name.lower() or "timeout" in (exception or "").lower():
        return Status.TIMEOUT, info
    return Status.ERROR, info


def _langsmith(raised: Any) -> dict[str, Any]:
    """Read an exception whose message is its representation and its traceback."""
    said = as_text(raised.get(semconv.EXCEPTION_MESSAGE)) or ""
    said, _, stack = said.partition("\n\nTraceback")
    shown = _REPR.match(said.strip())
    if shown is None:
        return {**raised, semconv.EXCEPTION_MESSAGE: said}
    words = shown[2].strip()
    if len(words) > 1 and words[0] == words[-1] and words[0] in "'\"":
        words = words[1:-1]
    return {
        semconv.EXCEPTION_TYPE: shown[1],
        semconv.EXCEPTION_MESSAGE: words,
        semconv.EXCEPTION_STACKTRACE: f"Traceback{stack}" if stack else None,
    }
