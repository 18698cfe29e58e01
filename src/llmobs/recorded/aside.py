"""What callers hand over that no field can hold."""

from typing import Any

from llmobs.recorded.printable import one_line
from llmobs.recorded.values import as_dict, snapshot

__all__ = ["field_name", "set_aside"]

MAX_NAME = 100


def field_name(name: str) -> str:
    """Return *name* as it may be quoted; a long one is no name, and what is cut cannot be redacted."""
    name = one_line(name)
    return name if len(name) <= MAX_NAME else "a field with a long name"


def set_aside(event: Any, name: str, value: Any, why: str) -> None:
    """
    Keep *value* in the ``metadata`` of *event*, and say in ``warnings`` why it has no other place.

    Warnings never quote values: these are content, which may have to be redacted, or left out.

    Args:
        event: Has both fields.
        name: Under which it was handed over.
        value: Of any type.
        why: In a few words.
    """
    name = field_name(name)
    metadata = {} if event.metadata is None else as_dict(event.metadata)
    key = name
    while key in metadata:
        key += "_"
    event.metadata = {**metadata, key: snapshot(value)}
    event.warnings = (*event.warnings, f"{name}: {why}; kept in metadata")
