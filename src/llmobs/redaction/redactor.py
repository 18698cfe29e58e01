"""Redaction: e-mail addresses, payment cards, keys and tokens leave before anything is shipped.

Values are redacted, never a serialised event: no escape is broken, no identifier taken for a card.
What is found and how is in `llmobs.redaction.scan`.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from itertools import accumulate
from typing import Any

from llmobs.redaction.glance import BASE64, Glance
from llmobs.redaction.json_numbers import quote_for
from llmobs.redaction.kinds import DEFAULT_KINDS, chosen
from llmobs.redaction.named import looks_secret
from llmobs.redaction.numbers import is_card
from llmobs.redaction.pieces import CERTAIN, header_weight, pieces_of
from llmobs.redaction.replacing import FAILED, Replace, replacer
from llmobs.redaction.rules_of_users import UserRules
from llmobs.redaction.scan import CHUNK, GLANCE, Sight, Span, finding, glance_at, merged
from llmobs.runtime.time_slices import Steps, finish
from llmobs.runtime.troubles import comes_from_outside

__all__ = ["Redactor", "redact_text", "redacting"]

_BRIEF = 128  # characters of a text that is redacted without a pause
_DEEPEST = 1_000  # containers within containers
_MANY = 256  # items of a container looked at without a pause
_PIECES = 4_096  # of a text that are looked at as one
_LOOSE_RULES = frozenset({"named", "authorization", "cookie", "bearer", "basic", "url"})
"""Rules that go by what stands before a value, which may be the end of another text."""
_FEW = 128  # matches replaced without a pause
_MANY_PIECES = 2_048  # joined at a stretch: texts of few matches are copied once


def redact_text(text: str, kinds: Iterable[str] | None = None) -> str:
    """Return ``text`` with everything sensitive replaced by a token that names its kind.

    - e-mail addresses: ``[REDACTED_EMAIL]``
    - payment card numbers (13 to 19 digits as cards are grouped, checksum holds): ``[REDACTED_CC]``
    - keys, passwords, private key blocks: ``[REDACTED_KEY]``; JSON web tokens, cookies and what follows
      ``Authorization``, ``Bearer`` or ``Basic``: ``[REDACTED_TOKEN]``
    - IBANs and US social security numbers: ``[REDACTED_IBAN]``, ``[REDACTED_SSN]``

    Args:
        text: Any text.
        kinds: What to look for instead, by name: see `llmobs.redaction.kinds.KINDS`.

    The same object comes back if there was nothing to replace. Any string is accepted, lone
    surrogates included, and the time grows with its length only.
    """
    wanted, seen = chosen(kinds), None
    if kinds is None and len(text) <= GLANCE:
        seen = glance_at(text)
        if not seen:
            return text
    return finish(redacting(text, wanted, seen=seen))


def redacting(
    text: str,
    kinds: Set[str] = DEFAULT_KINDS,
    chunk: int = CHUNK,
    seen: Sequence[Sight] | None = None,
) -> Steps[str]:
    """Do the work of :func:`redact_text` in steps of some 0.1 ms, whatever the text.

    ``chunk`` characters are searched at a stretch; the result does not depend on it. ``seen`` is
    what `llmobs.redaction.scan.glance_at` returned, if that was asked.
    """
    spans = yield from finding(text, kinds, chunk, seen)
    return (yield from _replace(text, spans, _PLAIN)) if spans else text


_PLAIN = replacer("plain")


def _replace(text: str, spans: list[Span], replace: Replace) -> Steps[str]:
    """Return *text* with *spans*, in order, replaced; uses them up."""
    parts: list[str] = []
    pieces: list[str] = []
    done = 0
    spans.reverse()
    while spans:
        span = spans.pop()  # all at once: letting go of them is a long step
        if len(spans) % _FEW == _FEW - 1:
            if len(pieces) >= _MANY_PIECES:
                parts.append("".join(pieces))
                pieces.clear()
            yield
        new = replace(span.kind, span.rule, text[span.start : span.end])
        start = span.start
        if quote := quote_for(text, start, span.end):  # JSON stays JSON
            new = f"{quote}{new}{quote}"
            start -= text.startswith("-", start - 1)
        pieces += text[done:start], new
        done = span.end
    pieces.append(text[done:])
    return "".join(parts + pieces)


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
        rules: UserRules | None = None,
        extra: Callable[[str], str] | None = None,
    ) -> None:
        self._rules = rules or UserRules(chosen(kinds))
        if not self._rules.kinds <= DEFAULT_KINDS:
            # Here, and not in the thread that redacts: a fork could cut its import in two.
            import llmobs.redaction.optional  # noqa: F401
        self._weight = self._rules.names.weight
        self._extra = extra
        self._glance = Glance(self._rules, extra=extra is not None)
        self.failures = 0
        """Strings replaced because a rule raised, and containers nested too deeply."""

    def value(self, obj: Any) -> Any:
        """Return ``obj`` with its strings redacted: in lists, tuples, and dicts (keys too).

        ``obj`` is never changed. Containers in which nothing had to go are returned as they are, so
        usually this is ``obj`` itself. A container more than 1,000 levels down, or one that
        contains itself, becomes `FAILED`. Everything else (numbers, bytes, None) passes.
        """
        return obj if self._glance.passes(obj) else finish(self.closely(obj))

    def passes(self, value: Any) -> bool:
        """Whether it is plain at a glance that `value` would return *value* as it is."""
        return self._glance.passes(value)

    def steps(self, obj: Any) -> Steps[Any]:
        """Do the work of :meth:`value` in steps of some 0.1 ms."""
        return obj if self._glance.passes(obj) else (yield from self.closely(obj))

    def closely(self, obj: Any) -> Steps[Any]:
        """Do the same for what does not pass at a glance."""
        if isinstance(obj, str):
            return (yield from self._string(obj))
        integers = self._rules.integers
        hides = "secret" in self._rules.kinds
        # An explicit stack: data may be nested deeper than the interpreter's recursion limit.
        stack = [_Level(obj, None)]
        yield from self._join(stack[-1])
        above = {id(obj)}
        looked_at = 0
        while True:
            level = stack[-1]
            for key, item in level.items:
                looked_at += 1
                if looked_at % _MANY == 0:
                    yield
                weight = 0
                if hides:
                    weight = level.weight or (self._weight(key) if isinstance(key, str) else 0)
                new: Any
                if weight and not isinstance(item, (dict, list, tuple)):
                    new = item if level.is_name(key) else self._hidden(item, weight)
                    if new is item and isinstance(item, str):
                        new = yield from self._string(item)
                elif isinstance(item, str):
                    if self._glance.passes_text(item):
                        continue
                    new = yield from self._string(item)
                elif isinstance(item, (dict, list, tuple)):
                    if item and id(item) not in above and len(stack) < _DEEPEST:
                        above.add(id(item))
                        stack.append(_Level(item, key, weight))
                        yield from self._join(stack[-1])
                        break
                    new = FAILED if item else item
                    self.failures += bool(item)
                elif integers and type(item) is int and is_card(str(item)):
                    new = self._rules.replace("card", "card", str(item))
                else:
                    continue
                if new is not item:
                    level.put(key, new)
            else:
                stack.pop()
                above.discard(id(level.source))
                result = yield from level.result(self._glance.passes_text, self._string)
                if not stack:
                    return result
                if result is not level.source:
                    stack[-1].put(level.key, result)

    def find(self, text: str) -> list[Span]:
        """
        Return what is found in *text*, in order.

        Raises:
            TooSlowError: A pattern of the user's took too long.
        """
        return finish(self._finding(text))

    def _finding(self, text: str) -> Steps[list[Span]]:
        rules = self._rules
        spans = yield from finding(text, rules.kinds, seen=self._glance.seen_in(text))
        if rules.has_patterns:
            spans = merged([*spans, *(yield from rules.find(text))])
        if spans and rules.has_exceptions:
            spans = [s for s in spans if not rules.allowed(text[s.start : s.end], s.kind)]
        return spans

    def _redacting(self, text: str) -> Steps[str]:
        spans = yield from self._finding(text)
        if spans:
            return (yield from _replace(text, spans, self._rules.replace))
        return (yield from self._encoded(text)) if BASE64.fullmatch(text) else text

    def _join(self, level: _Level) -> Steps[None]:
        """Replace what is split over the pieces of a text: chunks of a stream, parts of a message."""
        source = level.source
        if isinstance(source, dict) or not 1 < len(source) <= _PIECES:
            return
        pieces, one_text = pieces_of(source)
        if not pieces:
            return
        text = "".join(pieces)
        ends = list(accumulate(map(len, pieces)))
        rules = self._rules
        try:
            spans = yield from finding(text, rules.kinds)
            for span in reversed(spans):
                start, end, kind, rule = span.start, span.end, span.kind, span.rule
                first, last = bisect(ends, start), bisect(ends, end - 1)
                if first == last or rules.allowed(text[start:end], kind):
                    continue
                if not one_text and not (
                    yield from self._is_split(pieces[first : last + 1], kind, rule)
                ):
                    continue
                begin = start - (ends[first] - len(pieces[first]))
                rest = pieces[last][len(pieces[last]) - (ends[last] - end) :]
                pieces[first] = pieces[first][:begin] + rules.replace(kind, rule, text[start:end])
                pieces[first + 1 : last] = [""] * (last - first - 1)
                pieces[last] = rest
                level.replace_pieces(pieces)
        except BaseException as error:
            if comes_from_outside(error, can_be_closed=False):
                raise
            self.failures += 1
            level.replace_pieces([FAILED] * len(pieces))

    def _is_split(self, pieces: list[str], kind: str, rule: str) -> Steps[bool]:
        """
        Whether what was found across *pieces* of a list is in none of them by itself.

        Texts of a list may be one text or many: numbers one after the other make a card number, and
        an assignment at the end of one text has nothing to do with the next one.
        """
        if kind != "email" and (kind != "secret" or rule in _LOOSE_RULES):
            return False
        for piece in pieces:
            if (yield from finding(piece, frozenset({kind}))):
                return False
        return True

    def _encoded(self, text: str) -> Steps[str]:
        """Return *text*, bytes in base64, with what is sensitive in them replaced."""
        try:
            decoded = a2b_base64(text).decode()
        except ValueError:
            return text  # no text: a picture, a number
        clean = yield from self._redacting(decoded)
        return text if clean is decoded else b2a_base64(clean.encode(), newline=False).decode()

    def _hidden(self, value: Any, weight: int) -> Any:
        """Return what stands for *value*, whose name says that it is secret."""
        if value is None or isinstance(value, bool) or value in ("", b""):
            return value
        if weight < CERTAIN and not (isinstance(value, str) and looks_secret(value)):
            return value
        text = str(value)
        if self._rules.is_placeholder(text) or self._rules.allowed(text, "secret"):
            return value
        return self._rules.replace("secret", "named", text)

    def _string(self, text: str) -> Steps[str]:
        if text in self._glance.clean:
            return text
        try:
            new = text
            if self._rules.kinds or self._rules.has_patterns:
                steps = self._redacting(text)
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
            self._glance.remember(text)
            return text
        return new


class _Level:
    """One container being walked: its items still to come, and its copy once something changed."""

    __slots__ = ("copy", "items", "key", "source", "weight")

    def __init__(
        self, source: dict[Any, Any] | list[Any] | tuple[Any, ...], key: Any, weight: int = 0
    ) -> None:
        self.source = source
        self.weight = weight or header_weight(source)
        """How secret what is in it is, by the name it stands under."""
        self.key = key  # under which it stands in the container above
        self.items: Iterator[tuple[Any, Any]] = iter(
            source.items() if isinstance(source, dict) else enumerate(source)
        )
        self.copy: dict[Any, Any] | list[Any] | None = None

    def replace_pieces(self, pieces: list[str]) -> None:
        """Go on with *pieces* in place of the texts there were."""
        self.copy = [
            piece if isinstance(item, str) else item | {"text": piece}
            for item, piece in zip(self.source, pieces, strict=True)
        ]
        self.items = iter(list(enumerate(self.copy)))

    def is_name(self, key: Any) -> bool:
        """Whether what stands under *key* is the name of a header, and not its value."""
        return key == 0 and header_weight(self.source) > 0

    def put(self, key: Any, value: Any) -> None:
        if self.copy is None:
            self.copy = dict(self.source) if isinstance(self.source, dict) else list(self.source)
        self.copy[key] = value

    def result(
        self, passes: Callable[[str], bool], redact: Callable[[str], Steps[str]]
    ) -> Steps[Any]:
        """Return the source if nothing changed, else the changed copy, of the same kind."""
        source = self.source
        if isinstance(source, dict):
            return (yield from self._with_redacted_keys(source, passes, redact))
        if self.copy is None:
            return source
        return tuple(self.copy) if isinstance(source, tuple) else self.copy

    def _with_redacted_keys(
        self,
        source: dict[Any, Any],
        passes: Callable[[str], bool],
        redact: Callable[[str], Steps[str]],
    ) -> Steps[dict[Any, Any]]:
        renamed: dict[str, str] = {}
        for number, key in enumerate(source):
            if number % _MANY == _MANY - 1:
                yield
            if isinstance(key, str) and not passes(key):
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
