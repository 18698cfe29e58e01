"""Redaction: e-mail addresses, payment cards, keys and tokens leave before anything is shipped.

Values are redacted, never a serialised event: no escape is broken, no identifier taken for a card.
What is found and how is in `llmobs.redaction.scan`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Set
from typing import Any

from llmobs.redaction.kinds import DEFAULT_KINDS, chosen, placeholder
from llmobs.redaction.scan import CHUNK, Span, finding
from llmobs.runtime.time_slices import Steps, finish
from llmobs.runtime.troubles import comes_from_outside

__all__ = ["FAILED", "Redactor", "redact_text", "redacting"]

FAILED = "[REDACTION_FAILED]"
"""What stands in place of a value that could not be redacted."""

_BRIEF = 128  # characters of a text that is redacted without a pause
_DEEPEST = 1_000  # containers within containers
_MANY = 256  # items of a container looked at without a pause
_MEMORABLE = 64  # characters of the longest string remembered as clean
_MEMORY = 4_096  # strings remembered


def redact_text(text: str, kinds: Iterable[str] | None = None) -> str:
    """Return ``text`` with everything sensitive replaced by a token that names its kind.

    - e-mail addresses: ``[REDACTED_EMAIL]``
    - payment card numbers (13 to 19 digits in the usual groups, checksum holds): ``[REDACTED_CC]``
    - API keys of OpenAI, Anthropic, AWS, GitHub, Slack and Google, and private key blocks:
      ``[REDACTED_KEY]``
    - JSON web tokens, and ``Bearer`` with its token: ``[REDACTED_TOKEN]``

    The same object comes back if there was nothing to replace. Any string is accepted, lone
    surrogates included, and the time grows with its length only.
    """
    return finish(redacting(text, chosen(kinds)))


def redacting(text: str, kinds: Set[str] = DEFAULT_KINDS, chunk: int = CHUNK) -> Steps[str]:
    """Do the work of :func:`redact_text` in steps of some 0.1 ms, whatever the text.

    ``chunk`` characters are searched at a stretch; the result does not depend on it.
    """
    spans = yield from finding(text, kinds, chunk)
    return (yield from _replace(text, spans)) if spans else text


def _replace(text: str, spans: list[Span]) -> Steps[str]:
    """Return *text* with *spans*, in order, replaced; uses them up."""
    parts: list[str] = []
    pieces: list[str] = []
    done = 0
    spans.reverse()
    while spans:
        start, end, kind, rule = spans.pop()  # all at once: letting go of them is a long step
        if len(spans) % _MANY == _MANY - 1:
            parts.append("".join(pieces))
            pieces.clear()
            yield
        pieces += text[done:start], placeholder(kind, rule)
        done = end
    parts += "".join(pieces), text[done:]
    return "".join(parts)


class Redactor:
    """Redacts every string within a value, and fails closed.

    ``kinds`` are the names of what to look for (None: what is on by default; ``()``: nothing), and
    ``extra`` (the user's own rule) is applied to the result. Should a finder or it raise, or it not
    return a string, the whole string is replaced by `FAILED`.

    One redactor serves one pipeline task; its counter is not locked.
    """

    def __init__(
        self,
        *,
        kinds: Iterable[str] | None = None,
        extra: Callable[[str], str] | None = None,
    ) -> None:
        self._kinds = chosen(kinds)
        self._extra = extra
        # Names, tags and keys come again with every event: those in which nothing was found need
        # no second look. The user's own rule may change its mind, so with one nothing is kept.
        self._clean: set[str] = set()
        self.failures = 0
        """Strings replaced because a rule raised, and containers nested too deeply."""

    def value(self, obj: Any) -> Any:
        """Return ``obj`` with its strings redacted: in lists, tuples, and dicts (keys too).

        ``obj`` is never changed. Containers in which nothing had to go are returned as they are, so
        usually this is ``obj`` itself. A container more than 1,000 levels down, or one that
        contains itself, becomes `FAILED`. Everything else (numbers, bytes, None) passes.
        """
        return finish(self.steps(obj))

    def steps(self, obj: Any) -> Steps[Any]:
        """Do the work of :meth:`value` in steps of some 0.1 ms."""
        if isinstance(obj, str):
            return (yield from self._string(obj))
        if not isinstance(obj, (dict, list, tuple)) or self._is_known(obj):
            return obj
        # An explicit stack: data may be nested deeper than the interpreter's recursion limit.
        stack = [_Level(obj, None)]
        above = {id(obj)}
        looked_at = 0
        while True:
            level = stack[-1]
            for key, item in level.items:
                looked_at += 1
                if looked_at % _MANY == 0:
                    yield
                if isinstance(item, str):
                    new: Any = item if item in self._clean else (yield from self._string(item))
                elif isinstance(item, (dict, list, tuple)):
                    if item and id(item) not in above and len(stack) < _DEEPEST:
                        above.add(id(item))
                        stack.append(_Level(item, key))
                        break
                    new = FAILED if item else item
                    self.failures += bool(item)
                else:
                    continue
                if new is not item:
                    level.put(key, new)
            else:
                stack.pop()
                above.discard(id(level.source))
                result = yield from level.result(self._string)
                if not stack:
                    return result
                if result is not level.source:
                    stack[-1].put(level.key, result)

    def _is_known(self, obj: dict[Any, Any] | list[Any] | tuple[Any, ...]) -> bool:
        """Whether *obj* is flat and every text in it was found clean before."""
        clean = self._clean
        if len(obj) > _MANY:
            return False
        if isinstance(obj, dict):
            for key in obj:
                if key not in clean and isinstance(key, str):
                    return False
            obj = list(obj.values())
        for item in obj:
            if isinstance(item, str):
                if item not in clean:
                    return False
            elif isinstance(item, (dict, list, tuple)):
                return False
        return True

    def _string(self, text: str) -> Steps[str]:
        if text in self._clean:
            return text
        try:
            new = text
            if self._kinds:
                steps = redacting(text, self._kinds)
                new = finish(steps) if len(text) <= _BRIEF else (yield from steps)
            if self._extra is not None:
                new = self._extra(new)
            if not isinstance(new, str):
                raise TypeError(new)  # counted like any other failure
        except BaseException as error:
            if comes_from_outside(error, can_be_closed=False):
                raise
            self.failures += 1
            return FAILED
        if new is text or new == text:
            if len(text) <= _MEMORABLE and self._extra is None:
                if len(self._clean) >= _MEMORY:
                    self._clean.clear()
                self._clean.add(text)
            return text
        return new


class _Level:
    """One container being walked: its items still to come, and its copy once something changed."""

    __slots__ = ("copy", "items", "key", "source")

    def __init__(self, source: dict[Any, Any] | list[Any] | tuple[Any, ...], key: Any) -> None:
        self.source = source
        self.key = key  # under which it stands in the container above
        self.items: Iterator[tuple[Any, Any]] = iter(
            source.items() if isinstance(source, dict) else enumerate(source)
        )
        self.copy: dict[Any, Any] | list[Any] | None = None

    def put(self, key: Any, value: Any) -> None:
        if self.copy is None:
            self.copy = dict(self.source) if isinstance(self.source, dict) else list(self.source)
        self.copy[key] = value

    def result(self, redact: Callable[[str], Steps[str]]) -> Steps[Any]:
        """Return the source if nothing changed, else the changed copy, of the same kind."""
        source = self.source
        if isinstance(source, dict):
            return (yield from self._with_redacted_keys(source, redact))
        if self.copy is None:
            return source
        return tuple(self.copy) if isinstance(source, tuple) else self.copy

    def _with_redacted_keys(
        self, source: dict[Any, Any], redact: Callable[[str], Steps[str]]
    ) -> Steps[dict[Any, Any]]:
        renamed: dict[str, str] = {}
        for number, key in enumerate(source):
            if number % _MANY == _MANY - 1:
                yield
            if isinstance(key, str):
                new = yield from redact(key)
                if new is not key:
                    renamed[key] = new
        values = source if self.copy is None else self.copy
        assert isinstance(values, dict)
        if not renamed:
            return values
        result: dict[Any, Any] = {}
        for key, value in values.items():
            name = new = renamed.get(key, key) if isinstance(key, str) else key
            count = 1
            while name in result:  # two addresses as keys: neither value is lost
                count += 1
                name = f"{new} {count}"
            result[name] = value
        return result
