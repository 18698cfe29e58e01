"""
What the answer to ``events/batch`` says about the events: kept, refused one by one, or not ours.

The status does not tell: WatchLLM's server answers 200 when it refused events, and when the key
is wrong; ``llmobs serve`` has a verdict on each event that it refused.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llmobs.errors import SinkError, SinkRejectedError, SinkUnauthorizedError, SinkUnavailableError
from llmobs.events import Event
from llmobs.recorded.printable import brief
from llmobs.sinks._answer import MAX_WORDS, HTTPAnswer, error_for, refuse_some

__all__ = ["read_refusals"]

_ISSUE = re.compile(r"(?:^|[ ,:])events\.(\d{1,9})\b[^,]*(?:,(?! ?events\.\d)[^,]*)*")
_REFUSED = re.compile(r"Event (\S+): (.*)", re.DOTALL)
_NO_ACCESS = "Invalid API key"


Say = Callable[[str], str]


def read_refusals(
    answer: HTTPAnswer, say: Say, events: Sequence[Event], id_of: Callable[[Event], str]
) -> SinkError | None:
    """
    Return the error an answer amounts to; None if every event was kept.

    Args:
        answer: What came back.
        say: Returns the server's words without our secrets.
        events: What was sent.
        id_of: Returns the id an event has on the wire.
    """
    words = brief(say(answer.words()), MAX_WORDS)
    if answer.status in (400, 422):
        return _schema_issues(answer, say, events) or error_for(answer, words)
    if (error := error_for(answer, words)) is not None:
        return error
    if not answer.body.strip():
        return None
    body = answer.json()
    if not isinstance(body, dict):
        return SinkUnavailableError(
            f"HTTP {answer.status} with something that is not the JSON of this protocol; "
            "is the URL right?"
        )
    if "refused" in body:
        return _verdicts(body["refused"], say, events)
    if body.get("success") is not False:
        if "success" in body or not body.get("error"):
            return None
        return SinkUnavailableError(f"HTTP {answer.status} with an error: {words}")
    return _refused(body, say, events, {id_of(event): event for event in events})


def _verdicts(refused: Any, say: Say, events: Sequence[Event]) -> SinkError | None:
    """Read the verdicts of ``llmobs serve``: ``{"index", "message", ...}``; the others are stored."""
    named: dict[str, str] = {}
    for verdict in refused if isinstance(refused, list) else ():
        match verdict:
            case {"index": int(index), "message": str(words)} if 0 <= index < len(events):
                named[events[index].event_id] = say(words)[:MAX_WORDS]
    return SinkRejectedError(_sum_up(named), events=named, delivered=True) if named else None


def _schema_issues(answer: HTTPAnswer, say: Say, events: Sequence[Event]) -> SinkError | None:
    """Read ``events.<index>.<field>: <reason>, …``; the server stored nothing."""
    body = answer.json()
    text = body.get("error") if isinstance(body, dict) else None
    if not isinstance(text, str):
        return None
    named: dict[str, str] = {}
    for issue in _ISSUE.finditer(text):
        index = int(issue[1])
        if index < len(events):
            reason = say(issue[0].strip(" ,:").removeprefix(f"events.{index}").lstrip("."))
            known = named.get(events[index].event_id)
            reason = f"{known}, {reason}" if known else reason
            named[events[index].event_id] = brief(reason, MAX_WORDS)
    if not named:
        return None
    return SinkRejectedError(_sum_up(named), events=named)


def _refused(
    body: Mapping[str, Any], say: Say, events: Sequence[Event], by_wire_id: Mapping[str, Event]
) -> SinkError | None:
    named: dict[str, str] = {}
    no_access: list[str] = []
    unnamed: list[str] = []
    for project, text in _complaints(body):
        match = _REFUSED.match(text)
        if match is not None and (event := by_wire_id.get(match[1])) is not None:
            named[event.event_id] = brief(say(match[2]), MAX_WORDS)
        elif text.startswith(_NO_ACCESS):
            text = brief(say(text), MAX_WORDS)
            no_access.append(text)
            # With several projects in one batch, those the key opens were stored.
            named.update(
                (e.event_id, text) for e in events if (e.project_id or "default") == project
            )
        else:
            unnamed.append(brief(say(text), MAX_WORDS))
    processed = body.get("total_processed")
    kept = processed if isinstance(processed, int) else None
    if no_access and not kept:
        return SinkUnauthorizedError(f"{no_access[0]} (project {events[0].project_id!r})")
    if kept is not None and kept >= len(events) and not named:
        return None  # what it complains of is not in this batch
    missing = len(events) - (kept or 0) - len(named)
    if missing > 0 and (unnamed or kept):
        words = unnamed[0] if unnamed else "refused without a reason"
        if not kept and not named:
            return SinkRejectedError(words)
        rest = [event for event in events if event.event_id not in named]
        named.update(refuse_some(rest, missing, words).events)
    if not named:
        return SinkUnavailableError("success is false, and the answer does not say why")
    # A server that kept nothing has not kept what it does not name either.
    return SinkRejectedError(_sum_up(named), events=named, delivered=kept != 0)


def _complaints(body: Mapping[str, Any]) -> list[tuple[Any, str]]:
    """Return (project, text) for each error in the results."""
    found: list[tuple[Any, str]] = []
    results = body.get("results")
    for result in results if isinstance(results, list) else ():
        if isinstance(result, dict):
            errors = result.get("errors")
            found += [
                (result.get("projectId"), str(text))
                for text in (errors if isinstance(errors, list) else ())
            ]
    error = body.get("error")
    if not found and isinstance(error, str):
        found.append((None, error))
    return found


def _sum_up(named: Mapping[str, str]) -> str:
    first = next(iter(named.values()))
    return first if len(named) == 1 else f"{first} (and {len(named) - 1} more)"
