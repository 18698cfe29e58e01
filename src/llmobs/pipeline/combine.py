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


def combine(event: PromptCallEvent, told: Sequence[PromptCallEvent]) -> None:
    """
    Make *event* tell what any of *told* does.

    Args:
        event: One of *told*; it stays what and where it is.
        told: The same call, as each who saw it would tell of it. The first one's word counts most.
    """
    best = told[0]
    for seen in told[1:]:
        _add(best, seen)
    if best is not event:
        for field in _fields:
            if field.name not in _IDENTITY:
                setattr(event, field.name, getattr(best, field.name))


def _add(told: PromptCallEvent, seen: PromptCallEvent) -> None:
    warnings = (*told.warnings, *(each for each in seen.warnings if each not in told.warnings))
    failed_unseen = told.status == Status.SUCCESS and told.error is None
    for field in _fields:
        name = field.name
        if name in _IDENTITY or name in ("latency_ms", "status", "error", "warnings"):
            continue
        if any(getattr(told, whole) != getattr(seen, whole) for whole in _WHOLES.get(name, ())):
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
