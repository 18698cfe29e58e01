"""Objects that a framework is given to be told of its work."""

from __future__ import annotations

from typing import Any, ClassVar

from llmobs.contrib._agents.work import OpenWork

__all__ = ["Hook", "hook"]


class Hook:
    """What becomes an object of a framework's class; that class is the framework's, which nobody has to have."""

    work: ClassVar[OpenWork]
    """What it is told of."""


def hook(ours: type[Hook], theirs: type, work: OpenWork, **options: Any) -> Any:
    """
    Return an object of both classes, ours first.

    Args:
        ours: Does what it is told of.
        theirs: The framework's.
        work: What it is told of.
        options: Of their constructor.
    """
    kind: Any = type(f"LLMObs{theirs.__name__.removeprefix('Base')}", (ours, theirs), {})
    kind.work = work  # Pydantic's objects have no room for what is no field
    return kind(**options)
