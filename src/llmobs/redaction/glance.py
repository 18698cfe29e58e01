"""Tells at a glance that nothing in a value has to go: of nearly all values."""

from __future__ import annotations

import re
from typing import Any, Final

from llmobs.redaction.kinds import DEFAULT_KINDS
from llmobs.redaction.numbers import is_card
from llmobs.redaction.pieces import header_weight, pieces_of
from llmobs.redaction.rules_of_users import UserRules
from llmobs.redaction.scan import GLANCE, Sight, glance_at

__all__ = ["BASE64", "Glance"]

BASE64: Final = re.compile(r"[0-9A-Za-z+/]{20,65536}+={0,2}")
"""What may be bytes, which may be a text."""

_MEMORABLE: Final = 64
"""Characters of the longest text remembered."""
_MEMORY: Final = 4_096
"""Texts remembered."""
_DEEPEST: Final = 16
"""Containers within containers."""
_CONTAINER: Final = 16
"""An item of a container counts as so many characters."""


class Glance:
    """
    Looks at whole values, without a pause, of no more than some thousand characters.

    What it lets pass, a closer look would, too; of what it does not let pass nothing is known.

    Args:
        rules: What is looked for.
        extra: Whether the application has a rule of its own, which may find anything, each time anew.
    """

    def __init__(self, rules: UserRules, *, extra: bool) -> None:
        self._integers = rules.integers
        self._weight = rules.names.weight
        self._knows_texts = not extra and not rules.has_patterns and rules.kinds <= DEFAULT_KINDS
        # Names, tags and keys come again with every event: those in which nothing was found need
        # no second look. The user's own rule may change its mind, so with one nothing is kept.
        self._remembers = not extra
        self.clean: set[str] = set()
        """Short texts in which nothing was found."""
        self._names: set[str] = set()
        """Those of them that, as names, say of no value that it is secret."""
        self._seen: tuple[str, list[Sight]] | None = None  # the last text that did not pass
        self._left = 0

    def remember(self, text: str) -> None:
        """Keep in mind that nothing was found in *text*."""
        if len(text) <= _MEMORABLE and self._remembers:
            if len(self.clean) >= _MEMORY:
                self.clean.clear()
            self.clean.add(text)

    def passes(self, value: Any) -> bool:
        """Whether nothing in *value* has to go."""
        self._left = GLANCE
        kind = type(value)
        if kind is str:
            return self._text(value)
        if kind is dict or kind is list or kind is tuple:
            return self._container(value, 0)
        return not isinstance(value, (str, dict, list, tuple))

    def passes_text(self, text: str) -> bool:
        """Whether nothing in *text* has to go."""
        if self._seen is not None and self._seen[0] is text:
            return False
        self._left = GLANCE
        return self._text(text)

    def seen_in(self, text: str) -> list[Sight] | None:
        """Return what was seen in *text*, if it was the last to be glanced at and did not pass."""
        seen, self._seen = self._seen, None
        return seen[1] if seen is not None and seen[0] is text else None

    def _text(self, text: str) -> bool:
        if text in self.clean:
            return True
        self._left -= len(text)
        if not self._knows_texts or self._left < 0:
            return False
        sights = glance_at(text)
        if sights:
            self._seen = (text, sights)
            return False
        if BASE64.fullmatch(text):
            return False
        self.remember(text)
        return True

    def _container(self, source: dict[Any, Any] | list[Any] | tuple[Any, ...], depth: int) -> bool:
        self._left -= _CONTAINER * len(source)
        if self._left < 0 or depth > _DEEPEST:
            return False
        if isinstance(source, dict):
            for key in source:
                if key not in self._names and isinstance(key, str) and not self._name(key):
                    return False
            items: Any = source.values()
        else:
            items = source
            if len(source) > 1 and not self._joined(source):
                return False
        for item in items:
            kind = type(item)
            if kind is str:
                if not self._text(item):
                    return False
            elif kind is dict or kind is list or kind is tuple:
                if item and not self._container(item, depth + 1):
                    return False
            elif isinstance(item, (str, dict, list, tuple)) or (
                self._integers and kind is int and is_card(str(item))
            ):
                return False
        return True

    def _name(self, key: str) -> bool:
        """Whether nothing has to go in *key*, nor under it because that is its name."""
        if type(key) is not str or not self._text(key) or self._weight(key):
            return False
        if key in self.clean:
            if len(self._names) >= _MEMORY:
                self._names.clear()
            self._names.add(key)
        return True

    def _joined(self, source: list[Any] | tuple[Any, ...]) -> bool:
        """Whether nothing has to go that is split over the texts of *source*."""
        first = source[0]
        if isinstance(first, str):
            if header_weight(source):
                return False
            try:
                return self._text("".join(source))
            except TypeError:  # not all of them are texts
                return True
        if isinstance(first, dict):
            return self._text("".join(pieces_of(source)[0]))
        return True
