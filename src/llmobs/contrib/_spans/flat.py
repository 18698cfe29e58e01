"""Attributes that spell a structure in their names, and attributes that hold JSON."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

__all__ = ["arguments", "bare", "listed", "read_json", "unflatten"]

_MAX_DEPTH: Final = 16


def unflatten(attributes: Mapping[str, Any], prefix: str) -> list[Any]:
    """
    Return the list that attributes like ``prefix.0.role`` and ``prefix.1.calls.0.name`` spell.

    Positions left out are left out; what contradicts itself is left out too.
    """
    root: dict[str, Any] = {}
    start = f"{prefix}."
    for name, value in attributes.items():
        if not name.startswith(start):
            continue
        path = name[len(start) :].split(".")
        if len(path) > _MAX_DEPTH:
            continue
        node: Any = root
        for step in path[:-1]:
            node = node.setdefault(step, {}) if type(node) is dict else None
        if type(node) is dict:
            node.setdefault(path[-1], value)
    found = _lists(root)
    return found if type(found) is list else []


def _lists(node: Any) -> Any:
    if type(node) is not dict:
        return node
    if node and all(key.isdigit() and len(key) < 9 for key in node):
        return [_lists(node[key]) for key in sorted(node, key=int)]
    return {key: _lists(value) for key, value in node.items()}


def read_json(value: Any) -> Any:
    """Return what the JSON text *value* says; anything else, and what is no JSON, as it is."""
    if type(value) is not str or value[:1] not in ("{", "["):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return value


def bare(value: Any) -> Any:
    """Return a value of which everything is written as JSON, texts too, as `read_json` does else."""
    if type(value) is str and value[:1] == '"' and len(value) > 1:
        found = read_json(f"[{value}]")
        return found[0] if type(found) is list and len(found) == 1 else value
    return list(value) if type(value) is tuple else read_json(value)


def listed(value: Any) -> list[Any]:
    """Return an attribute that holds several values as a list; of anything else, none."""
    return list(value) if type(value) in (list, tuple) else []


def arguments(value: Any) -> Any:
    """Return what a decorated function was given: by name, in order, or both where there are both."""
    if type(value) is not dict or value.keys() != {"args", "kwargs"}:
        return value
    if not value["args"]:
        return value["kwargs"]
    return value if value["kwargs"] else value["args"]
