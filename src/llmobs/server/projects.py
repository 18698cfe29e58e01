"""
Keeps what the keys of different projects send apart. Pure.

A run belongs to the project that was there first. What another project's key sends for a run of the same
id (two services share a trace; or somebody guessed it) is a run of its own: nobody writes into somebody
else's, and nothing is lost.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Protocol

from msgspec.structs import replace

from llmobs.events import Event, RunEvent
from llmobs.store.filed import Filed, unfile
from llmobs.store.spans import event_id_of, run_event_id_of

__all__ = ["Arrival", "keep_apart"]


class Arrival(Protocol):
    """What came together."""

    events: list[Event | Filed]
    links: Sequence[Any]
    project: str | None
    """The one whose key it came with; None: it says itself whose it is."""


def keep_apart(
    arrivals: Sequence[Arrival], owners: Callable[[Iterable[str]], Mapping[str, str | None]]
) -> None:
    """
    Give runs that are another project's an id of their own, in place.

    Args:
        arrivals: In the order they are stored.
        owners: Returns whose the runs are that there are already.
    """
    if all(arrival.project is None for arrival in arrivals):
        return
    known = dict(owners({one.run_id for each in arrivals for one in (*each.events, *each.links)}))
    for arrival in arrivals:
        for event in arrival.events:
            known.setdefault(event.run_id, event.project_id)
        if arrival.project is None:
            continue
        # As its events have it by now: redaction may have found something in it.
        project = arrival.events[0].project_id if arrival.events else arrival.project
        project = project or ""
        for one in arrival.links:
            known.setdefault(one.run_id, project)
        moved = {
            run_id: _apart(run_id, project)
            for run_id in {one.run_id for one in (*arrival.events, *arrival.links)}
            if known[run_id] != project
        }
        if moved:
            _move(arrival, moved)


def _apart(run_id: str, project: str) -> str:
    # The same each time, so that what is sent again is found again.
    return blake2b(
        f"{project}\0{run_id}".encode("utf-8", "surrogatepass"), digest_size=16
    ).hexdigest()


def _move(arrival: Arrival, moved: Mapping[str, str]) -> None:
    # Ids of events that spans become are made of the run's: what is settled later looks for them so.
    ids: dict[str, str] = {}
    for link in arrival.links:
        if (run_id := moved.get(link.run_id)) is not None:
            for make in (event_id_of, run_event_id_of):
                ids[make(link.run_id, link.span_id)] = make(run_id, link.span_id)
    for at, one in enumerate(arrival.events):
        if (run_id := moved.get(one.run_id)) is not None:
            event = arrival.events[at] = unfile(one) if isinstance(one, Filed) else one
            if isinstance(event, RunEvent) and event.client_run_id is None:
                event.client_run_id = event.run_id  # by which it can be found
            event.run_id = run_id
            event.event_id = ids.get(event.event_id, event.event_id)
            if event.parent_id is not None:
                event.parent_id = ids.get(event.parent_id, event.parent_id)
    arrival.links = [
        replace(link, run_id=moved[link.run_id], event_id=ids.get(link.event_id, link.event_id))
        if link.run_id in moved
        else link
        for link in arrival.links
    ]
