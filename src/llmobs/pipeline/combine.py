"""Several accounts of one call, made into one."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from llmobs.events import PromptCallEvent, Status

__all__ = ["combine"]

_IDENTITY: Final = frozenset({"event_id", "run_id", "timestamp", "parent_id"})
_WHOLES: Final = {
    "tokens_cached": ("tokens_input",),
    "tokens_cache_write": ("tokens_input",),
    "tokens_reasoning": ("tokens_output",),
    "usage": ("tokens_input", "tokens_output"),
    "cost_source": ("cost_usd",),
}
"""What only means something beside the figure it is about, which comes before it in the event."""
_fields: Final = msgspec.structs.fields(PromptCallEvent)


def combine(event: PromptCallEvent, reports: Sequence[PromptCallEvent]) -> None:
    """
    Make *event* tell what any of *reports* does.

    Args:
        event: One of *reports*; it stays what and where it is.
        reports: The same call, as each who saw it would tell of it. The first one's word counts most.
    """
    best = reports[0]
    for other in reports[1:]:
        _add(best, other)
    if best is not event:
        for field in _fields:
            if field.name not in _IDENTITY:
                setattr(event, field.name, getattr(best, field.name))


def _add(best: PromptCallEvent, other: PromptCallEvent) -> None:
    warnings = (*best.warnings, *(each for each in other.warnings if each not in best.warnings))
    failed_unseen = best.status == Status.SUCCESS and best.error is None
    for field in _fields:
        name = field.name
        if name in _IDENTITY or name in ("latency_ms", "status", "error", "warnings"):
            continue
        if any(getattr(best, whole) != getattr(other, whole) for whole in _WHOLES.get(name, ())):
            continue
        default: Any = field.default
        if getattr(best, name) in (default, None, "", (), []):
            value = getattr(other, name)
            if value not in (default, None):
                setattr(best, name, value)
    if failed_unseen and other.status != Status.SUCCESS:
        best.status, best.error = other.status, other.error
    # A block that ended before its stream did not see the last byte.
    best.latency_ms = max(best.latency_ms or 0.0, other.latency_ms or 0.0)
    best.warnings = warnings
