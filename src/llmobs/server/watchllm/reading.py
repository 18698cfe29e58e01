"""Bodies in WatchLLM's form, read as its server reads them: events, and what it would say of the others."""

import json
from typing import Any

import msgspec

from llmobs.server.bodies import check_json
from llmobs.server.watchllm.events import from_watchllm
from llmobs.server.watchllm.rules import parse_batch, parse_event, refusals

__all__ = ["MAX_ISSUES", "CheckedEvent", "ReadWires", "read_batch", "read_one"]

MAX_ISSUES = 100
"""Complaints that an answer repeats; a batch of nonsense has more."""


class CheckedEvent(msgspec.Struct):
    """An event that came, by what it says of itself, and why it is refused, if it is."""

    project: str
    event_id: str
    reasons: list[str]
    """Why it is refused; empty where it is among the events."""


class ReadWires(msgspec.Struct):
    """What a body was read as."""

    events: list[Any] = []
    """See `llmobs.server.preparing.Read`."""
    checked: list[CheckedEvent] = []
    """Of each event that came, in order; empty where there are issues."""
    issues: list[str] = []
    """What is wrong with the body as a whole, as far as an answer repeats it."""
    more: int = 0
    """Issues beyond these."""
    is_json: bool = True


def read_batch(body: bytes) -> ReadWires:
    """
    Read ``{"events": [...]}``.

    Raises:
        RefusedError: 413 it holds too many values.
    """
    return _read(body, parse_batch)


def read_one(body: bytes) -> ReadWires:
    """
    Read one event.

    Raises:
        RefusedError: 413 it holds too many values.
    """
    return _read(body, _parse_one)


def _parse_one(body: Any) -> tuple[list[dict[str, Any]], list[Any]]:
    wire, issues = parse_event(body)
    return [] if issues else [wire], issues


def _read(body: bytes, parse: Any) -> ReadWires:
    try:
        wires, issues = parse(_json(body))
    except (ValueError, RecursionError):
        return ReadWires(is_json=False)
    if issues:
        said = [str(issue) for issue in issues[:MAX_ISSUES]]
        return ReadWires(issues=said, more=len(issues) - len(said))
    read = ReadWires()
    for wire in wires:
        checked = CheckedEvent(wire["project_id"], wire["event_id"], refusals(wire))
        read.checked.append(checked)
        if not checked.reasons:
            read.events.append(from_watchllm(wire))
    return read


def _json(raw: bytes) -> Any:
    """Read JSON as JavaScript does: replace bad UTF-8, skip a BOM, know no NaN, take half of a pair."""
    check_json(raw)
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return json.loads(raw.decode("utf-8", "replace"), parse_constant=_no_constant)


def _no_constant(word: str) -> Any:
    raise ValueError(word)
