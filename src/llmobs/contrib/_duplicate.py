"""What one door is told of more than once."""

from datetime import UTC, datetime
from typing import Any, Final

from llmobs.capture.tracker import Tracker
from llmobs.events import AgentStepEvent, Event, PromptCallEvent, ToolCallEvent
from llmobs.pipeline.statistics import DropReason
from llmobs.recorded.ids import new_id

__all__ = ["count_duplicate"]

_REQUIRED: Final[dict[type[Event], dict[str, Any]]] = {
    AgentStepEvent: {"step_number": 0, "step_name": ""},
    PromptCallEvent: {"model": ""},
    ToolCallEvent: {"tool_name": ""},
}


def count_duplicate(tracker: Tracker, kind: type[Event]) -> None:
    """Count an event of *kind* that was not made: the same was recorded already."""
    event = kind(
        event_id=new_id(),
        run_id=tracker.run_id,
        timestamp=datetime.now(UTC),
        **_REQUIRED[kind],
    )
    tracker.client.refuse(event, tracker, DropReason.DUPLICATE)  # one call, one event
