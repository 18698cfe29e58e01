"""The application's own functions of what stands at a path: ``prompt_call.metadata.customer``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, get_args

from llmobs.codec import AnyEvent
from llmobs.events import ErrorInfo, Event
from llmobs.recorded.values import snapshot
from llmobs.redaction.fields import Redacted, every_field
from llmobs.redaction.replacing import FAILED
from llmobs.runtime.troubles import comes_from_outside

__all__ = ["Function", "Functions", "checked_functions"]

Function = Callable[[Any], Any]
"""Takes what stands at a path, and returns what is recorded in its place."""

_KINDS: Final = {str(kind.__struct_config__.tag): kind for kind in get_args(AnyEvent)}
_MAY_CHANGE: Final = frozenset({Redacted.REPLACED, Redacted.REPLACED_BY_US})
_PARTS: Final = 2
_SCALARS: Final = (str, int, float, bool)


class Functions:
    """
    Calls functions of what stands at their paths, and fails closed.

    Args:
        by_path: As `checked_functions` returns it.
    """

    def __init__(self, by_path: Mapping[str, Function]) -> None:
        self.failures = 0
        """Values replaced because a function raised."""
        self._of: dict[type[Event], list[tuple[str, Sequence[str], Function]]] = {}
        for path, function in by_path.items():
            for kind, name in _fields(path):
                self._of.setdefault(kind, []).append((name, path.split(".")[_PARTS:], function))

    def concerns(self, event: Event) -> bool:
        """Whether any function is of something in events like this."""
        return type(event) in self._of

    def apply(self, event: Event) -> None:
        """Replace what stands at their paths by what the functions make of it."""
        self._replace(event, self._called)

    def withhold(self, event: Event) -> None:
        """Replace what stands at their paths: the functions did not say by what."""
        self._replace(event, lambda function, value: FAILED)

    def _replace(self, event: Event, call: Callable[[Function, Any], Any]) -> None:
        for name, parts, function in self._of.get(type(event), ()):
            value = getattr(event, name)
            if isinstance(value, ErrorInfo):
                for part in value.__struct_fields__:
                    if parts and fnmatchcase(part, parts[0]):
                        inner = getattr(value, part)
                        setattr(value, part, _walk(inner, parts[1:], function, call))
            elif value is not None:
                setattr(event, name, _walk(value, parts, function, call))

    def _called(self, function: Function, value: Any) -> Any:
        try:
            new = function(value if isinstance(value, _SCALARS) else snapshot(value))
        except BaseException as error:
            if comes_from_outside(error, can_be_closed=False):
                raise
            self.failures += 1
            return FAILED
        return new if isinstance(new, str) else snapshot(new)


def _walk(
    value: Any, parts: Sequence[str], function: Function, call: Callable[[Function, Any], Any]
) -> Any:
    """Return *value* with what stands at *parts* in it replaced; items of lists stand where these do."""
    if value is None:
        return None
    if not parts:
        return call(function, value)
    if isinstance(value, (list, tuple)):
        return [_walk(item, parts, function, call) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _walk(item, parts[1:], function, call) if fnmatchcase(str(key), parts[0]) else item
        for key, item in value.items()
    }


def _fields(path: str) -> list[tuple[type[Event], str]]:
    kind, _, rest = path.partition(".")
    name = rest.partition(".")[0]
    return [
        (of, field)
        for event_type, of in _KINDS.items()
        if fnmatchcase(event_type, kind)
        for field, about in every_field(of).items()
        if fnmatchcase(field, name) and (about.redacted in _MAY_CHANGE or field == "error")
    ]


def checked_functions(said: Any) -> dict[str, Function]:
    """
    Return *said*, functions by path.

    Raises:
        ValueError: It is no such mapping, or a path leads nowhere; the message says where paths lead.
    """
    if not isinstance(said, Mapping):
        raise ValueError("functions: must be a mapping of paths to functions")
    for path, function in said.items():
        if not isinstance(path, str) or not callable(function):
            raise ValueError(f"functions: {path}: must be a function; in a file there are none")
        if path.count(".") < 1 or not _fields(path):
            raise ValueError(
                f"functions: {path}: leads to no content, person, label or name; a path is "
                f"EVENT.FIELD.KEY, such as prompt_call.metadata.customer or *.error.message, "
                f"with the events {', '.join(_KINDS)}"
            )
    return dict(said)
