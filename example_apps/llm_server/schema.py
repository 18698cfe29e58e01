"""Makes a value that fits a JSON schema, with words and numbers taken from a text.

Covers what the SDK helpers send for structured output and tools: objects, arrays, enums, constants,
`$ref`, `anyOf`, and the common string formats. No validation: an unknown keyword is ignored.
"""

import re
from typing import Any

from .conversation import Json
from .words import keywords, pick

_FORMATS = {
    "date": "2026-01-15",
    "date-time": "2026-01-15T09:30:00Z",
    "time": "09:30:00",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000001",
}
_MAX_DEPTH = 8  # a schema may refer to itself


def fill(schema: Json, text: str) -> Any:
    """A value for `schema`, the same one for the same `text`."""
    return _fill(schema, text, "", schema, 0)


def _fill(schema: Json, text: str, name: str, root: Json, depth: int) -> Any:
    schema = _resolved(schema, root)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return pick(schema["enum"], text, name)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = next((item for item in kind if item != "null"), "null")
    if kind == "object":
        wanted = schema.get("properties", {})
        if depth >= _MAX_DEPTH:
            wanted = {key: wanted[key] for key in schema.get("required", ()) if key in wanted}
        return {key: _fill(item, text, key, root, depth + 1) for key, item in wanted.items()}
    if kind == "array":
        size = 0 if depth >= _MAX_DEPTH else max(schema.get("minItems", 0), 2)
        size = min(size, schema.get("maxItems", size))
        item = schema.get("items", {"type": "string"})
        return [_fill(item, text, f"{name}{index}", root, depth + 1) for index in range(size)]
    if kind in ("integer", "number"):
        return _number(schema, text, name, whole=kind == "integer")
    if kind == "boolean":
        return pick((True, False), text, name)
    return None if kind == "null" else _string(schema, text, name)


def _resolved(schema: Json, root: Json) -> Json:
    for _ in range(_MAX_DEPTH):
        if "$ref" in schema:
            target: Any = root
            for key in schema["$ref"].removeprefix("#").strip("/").split("/"):
                target = target.get(key, {}) if key else root
            schema = target
        elif options := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
            schema = next((item for item in options if item.get("type") != "null"), options[0])
        else:
            break
    return schema


def _number(schema: Json, text: str, name: str, *, whole: bool) -> int | float:
    found = re.findall(r"-?\d+(?:\.\d+)?", text)
    value = float(pick(found, text, name)) if found else float(pick(range(1, 100), text, name))
    value = max(value, schema.get("minimum", value))
    value = min(value, schema.get("maximum", value))
    return int(value) if whole else value


def _string(schema: Json, text: str, name: str) -> str:
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    words = keywords(text) or ["nothing"]
    if re.search(r"answer|summary|text|reason|description|explanation|content|query", name):
        return " ".join(text.split())[:200] or "nothing"
    if re.search(r"title|name|subject|topic", name):
        return " ".join(words[:3]).title()
    return str(pick(words, text, name))
