"""What the docstrings below attributes say, for documents that are made from the code."""

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from types import MappingProxyType
from typing import Any

__all__ = ["attribute_docs"]


def attribute_docs(kind: type) -> Mapping[str, str]:
    """
    Return the docstring below each attribute of *kind*, its own before those of its bases here, as one line.

    Nothing where the source is not there, as in an application frozen into one file.
    """
    docs: dict[str, str] = {}
    package = kind.__module__.partition(".")[0]
    for each in reversed(kind.__mro__):
        if each.__module__.partition(".")[0] == package:
            docs |= _classes(each.__module__).get(each.__qualname__, {})
    return docs


@cache
def _classes(module: str) -> Mapping[str, Mapping[str, str]]:
    """Return what is said of the attributes of each class of *module*, by its name."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (KeyError, OSError, TypeError):
        return MappingProxyType({})
    return {
        each.name: {name: " ".join(words.split()) for name, words in _attributes(each)}
        for each in tree.body
        if isinstance(each, ast.ClassDef)
    }


def _attributes(kind: ast.ClassDef) -> Iterator[tuple[str, str]]:
    bodies = [each.body for each in kind.body if getattr(each, "name", "") == "__init__"]  # type: ignore[attr-defined]
    for statement, after in (pair for body in (kind.body, *bodies) for pair in pairwise(body)):
        target: Any = getattr(statement, "target", None) or next(
            iter(getattr(statement, "targets", ())), None
        )
        name = getattr(target, "id", None) or getattr(target, "attr", None)
        if name and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            words = after.value.value
            if isinstance(words, str):
                yield name, words
