"""
Automata that tell whether a pattern is anywhere in a text, in time that grows with its length.

It is Rust's `regex`, which pydantic brings along and lends out as the ``pattern`` of a text.
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic_core import SchemaValidator, core_schema

__all__ = ["automaton"]


def automaton(*patterns: str) -> Callable[[str | bytes], bool]:
    """
    Return what tells whether one of *patterns* is in a text.

    Args:
        patterns: In the words of Rust's `regex`, which knows no look behind.

    It says no of what is not Unicode: lone surrogates, other bytes than UTF-8.
    """
    pattern = "(?s)" + "|".join(patterns)
    schema = core_schema.str_schema(pattern=pattern, regex_engine="rust-regex")
    return SchemaValidator(schema).isinstance_python
