"""
The text of a conversation, whoever wrote its messages down.

A message is a dict with a ``role`` and its ``parts`` (the GenAI conventions, which the doors of
llmobs write) or its ``content`` (OpenAI's and Anthropic's own words, which applications hand over).
"""

from typing import Any, Final

__all__ = ["text_in"]

MAX_DEPTH: Final = 16
"""Levels of messages and parts that are followed."""

_SPOKEN: Final = frozenset({None, "message", "text", "input_text", "output_text", "refusal"})
"""Types of messages and parts that are there to be read; reasoning, tools and files are not."""


def text_in(value: Any) -> str:
    """
    Return the text in a prompt or an answer: itself, or that of its messages, a line for each part.

    Roles, reasoning, calls of tools and their results, pictures and sounds are left out; a value
    without any text is the empty one.
    """
    return "\n".join(_texts(value, 0))


def _texts(value: Any, depth: int) -> list[str]:
    kind = type(value)
    if kind is str:
        return [value] if value else []
    if depth > MAX_DEPTH:
        return []
    if kind is list:
        return [text for each in value for text in _texts(each, depth + 1)]
    if kind is dict and _is_spoken(value.get("type")):
        for name in ("parts", "content", "text", "refusal"):
            if value.get(name):
                return _texts(value[name], depth + 1)
    return []


def _is_spoken(kind: Any) -> bool:
    return (kind is None or type(kind) is str) and kind in _SPOKEN
