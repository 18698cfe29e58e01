"""What an address may say, as JSON Schema: for the document of the API, and for agents."""

from collections.abc import Mapping
from typing import Any, Final

from llmobs.answers.asked import MAX_LENGTH, MAX_LIMIT, Part

__all__ = ["schema_of"]

_BY_KIND: Final[Mapping[str, Mapping[str, Any]]] = {
    "text": {"type": "string", "minLength": 1, "maxLength": MAX_LENGTH},
    "time": {"type": "string", "format": "date-time"},
    "number": {"type": "number", "minimum": 0, "exclusiveMaximum": 1e15},
    "score": {"type": "number", "minimum": -1e15, "maximum": 1e15},
    "integer": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
}


def schema_of(part: Part) -> Mapping[str, Any]:
    """Return what *part* may be."""
    schema = _BY_KIND[part.kind]
    return {**schema, "pattern": part.pattern} if part.pattern else schema
