"""
Events that something cannot write as they are: plainer copies of them.

An event is made well-formed before it leaves (`llmobs.pipeline.sanitise`); what slips through (a
value whose own code raises, a third party's event, a spool of another version) must cost itself,
not its event, and never its batch.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec

from llmobs.codec import fields_of, identifier
from llmobs.errors import SinkRejectedError
from llmobs.events import ErrorInfo, Event
from llmobs.runtime.time_slices import in_slices

__all__ = ["mend", "refuse_unwritten", "write_all", "write_or_mend"]

R = TypeVar("R")

MAX_INTEGER: Final = 2**63 - 1
_PLAIN: Final = (str, int, float, bool, str | None, int | None, float | None, bool | None, datetime)


def write_or_mend(write: Callable[[Event], R], event: Event) -> R:
    """
    Return ``write(event)``; where that raises, of the first plainer copy that can be written.

    Raises:
        Exception: What writing the plainest copy raised.
    """
    try:
        return write(event)
    except Exception as error:  # noqa: BLE001 - one odd event must not cost its batch
        failure = error
    for plainer in _plainer(event):
        try:
            return write(plainer)
        except Exception as error:  # noqa: BLE001 - the next one is plainer
            failure = error
    raise failure


async def write_all(
    write: Callable[[Event], R], events: Sequence[Event]
) -> tuple[list[R], dict[str, str]]:
    """
    Write *events* one by one, mended where need be, resting between slices.

    Returns:
        What ``write`` returned, and the ids of those it could not, with the reason.
    """
    unwritten: dict[str, str] = {}
    written: list[R] = []

    def write_one(event: Event) -> None:
        try:
            written.append(write_or_mend(write, event))
        except Exception as error:  # noqa: BLE001 - told to the caller
            unwritten[event.event_id] = f"cannot be written: {type(error).__name__}: {error}"

    await in_slices(write_one, events)
    return written, unwritten


def refuse_unwritten(unwritten: Mapping[str, str]) -> None:
    """
    Account for events that could not be written, the others being delivered.

    Raises:
        SinkRejectedError: There are any; names them.
    """
    if unwritten:
        raise SinkRejectedError(next(iter(unwritten.values())), events=unwritten, delivered=True)


def _plainer(event: Event) -> Iterator[Event]:
    well_typed = copy(event)
    mend(well_typed)
    yield well_typed
    bare = copy(well_typed)
    for field in fields_of(type(bare)):
        if field.type not in _PLAIN:
            setattr(bare, field.name, _default(field))
    error = getattr(well_typed, "error", None)
    if error is not None:
        bare.error = copy(error)  # type: ignore[attr-defined]
        bare.error.context = None  # type: ignore[attr-defined]
    bare.warnings = (*well_typed.warnings, "what is no plain text could not be written; left out")
    yield bare


def mend(event: Event) -> None:
    """Give every field of *event* a value of its declared type; says in ``warnings`` what was lost."""
    for field in fields_of(type(event)):
        value = getattr(event, field.name)
        if not _fits(value, field.type):
            setattr(event, field.name, _instead(field, value))
            # The kind and not the value: nobody has redacted it.
            words = f"{field.name} held a {type(value).__name__} that cannot be written; left out"
            warnings = event.warnings
            event.warnings = (*(warnings if type(warnings) is tuple else ()), words)


def _fits(value: Any, kind: Any) -> bool:
    if isinstance(value, datetime):
        return type(value) is datetime and value.tzinfo is not None
    if type(value) is int and not -MAX_INTEGER <= value <= MAX_INTEGER:
        return False
    try:
        if type(value) is ErrorInfo:
            value = msgspec.structs.asdict(value)
        msgspec.convert(value, kind)
    except Exception:  # noqa: BLE001 - a value's own code
        return False
    return True


def _instead(field: Any, value: Any) -> Any:
    if field.name == "timestamp":
        with suppress(Exception):
            moment = value.timestamp() if isinstance(value, datetime) else value
            return datetime.fromtimestamp(moment, UTC)
        return datetime.now(UTC)
    if field.name in ("event_id", "run_id"):
        return identifier(value)
    if field.name == "error":
        parts = {name: getattr(value, name, None) for name in ("message", "type", "code", "stack")}
        texts: dict[str, Any] = {n: v for n, v in parts.items() if type(v) is str}
        return ErrorInfo(**{"message": "error", **texts})
    return _default(field)


def _default(field: Any) -> Any:
    if field.default is not msgspec.NODEFAULT:
        return field.default
    return None if field.default_factory is msgspec.NODEFAULT else field.default_factory()
