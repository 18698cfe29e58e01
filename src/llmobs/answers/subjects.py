"""What an evaluation is about, and how much it may say."""

from typing import Final

import msgspec

from llmobs.store.engine import ReadsStore
from llmobs.store.records import RunFilter

__all__ = ["MAX_EXPLANATION", "Subject", "find_subject"]

MAX_EXPLANATION: Final = 10_000
"""Characters."""


class Subject(msgspec.Struct, frozen=True):
    """What an evaluation is about."""

    run_id: str
    event_id: str | None
    project: str | None
    """Whose the run is, as far as it is known."""
    is_known: bool
    """Whether the run is there; it may come later."""


def find_subject(
    store: ReadsStore, run_id: str | None, event_id: str | None, project: str | None
) -> Subject | None:
    """
    Find what an evaluation is about.

    Args:
        store: Where to look.
        run_id: The run, if it is known.
        event_id: Something in it, if that is meant.
        project: The one project whose runs may be seen; None: any.

    Returns:
        None if the run is not known, and cannot be found by the event.
    """
    if run_id is None:
        stored = store.event(event_id or "", project=project)
        if stored is None:
            return None
        run_id = stored.run_id
    found = store.runs(1, where=RunFilter(run_id=run_id, project_id=project))
    return Subject(run_id, event_id, found[0].project_id if found else project, bool(found))
