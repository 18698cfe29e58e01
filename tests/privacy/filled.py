"""Events with something in one field of them, whatever the field holds."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from llmobs.codec import encode
from llmobs.events import ClientInfo, ErrorInfo, Event
from llmobs.recorded.ids import new_id

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def event_with(kind: type[Event], name: str, text: str) -> Any:
    """Return an event of *kind* that holds *text* in the field *name*, as deep as the field goes."""
    values: dict[str, Any] = {"event_id": new_id(), "run_id": "r", "timestamp": NOON}
    if "error" in _required(kind):
        values["error"] = ErrorInfo("failed")
    values[name] = value_for(kind, name, text) or values.get(name)
    if values[name] is None:
        del values[name]
    return kind(**values)


def _required(kind: type[Event]) -> set[str]:
    return {f.name for f in msgspec.structs.fields(kind) if f.default is msgspec.NODEFAULT}


def value_for(kind: type[Event], name: str, text: str) -> Any:
    """Return a value of the type of the field *name* with *text* in it; None if it holds no text."""
    of = {f.name: f.type for f in msgspec.structs.fields(kind)}[name]
    if of in (str, str | None):
        return text
    if of is Any:
        return {"role": "user", text: [{"content": f"say {text}, please"}]}
    if of == tuple[str, ...]:
        return ("first", text)
    if of == dict[str, Any] | None:
        return {"key": {text: [text]}}
    if of == dict[str, int] | None:
        return {text: 1}
    if of == list[dict[str, Any]] | None:
        return [{"id": text, "name": text, "arguments": {"a": f'{{"b": "{text}"}}'}}]
    if of in (ErrorInfo, ErrorInfo | None):
        return ErrorInfo(text, text, text, f"Traceback: {text}", {text: text})
    if of == ClientInfo | None:
        return ClientInfo(text, text, text)
    assert "str" not in str(of) and of is not Any, f"{name}: {of}: say how to fill it"
    return None


def texts_in(event: Event, text: str) -> bool:
    """Tell whether *text* is in the JSON of *event*."""
    return text.encode() in encode(event)
