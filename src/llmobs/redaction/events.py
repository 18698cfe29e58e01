"""Events redacted field by field, as the table of `llmobs.redaction.fields` says."""

import os
import re
from collections.abc import Callable, Sequence
from enum import Enum
from hashlib import blake2b
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec

from llmobs.codec import AnyEvent
from llmobs.events import ClientInfo, ErrorInfo, Event
from llmobs.redaction.fields import Kind, OnlyMetadata, Redacted, every_field
from llmobs.redaction.redactor import Redactor
from llmobs.runtime.time_slices import Steps

__all__ = ["PROCESS_KEY", "EventRedactor", "Pseudonyms", "strip_content"]

PROCESS_KEY: Final = os.urandom(32)
"""What identifiers are renamed by where nobody named a key."""
"""Of pseudonyms, where nobody gave one. Drawn once in a process, so that forked workers share it."""
_PSEUDONYM: Final = "redacted-"
_SAFE: Final = (
    "[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"
    "|(?=[0-9]*[a-f])(?:[0-9a-f]{16}){1,2}"  # digits alone may be a card's
    f"|{_PSEUDONYM}[0-9a-f]{{32}}"
    # What OpenAI and Anthropic call answers, requests and tool calls.
    "|(?:chatcmpl-|cmpl-|resp_|req_|msg_|run_|call_|toolu_)(?=[0-9]{0,11}[A-Za-z])[0-9A-Za-z]{1,64}"
)
_ARE_SAFE: Final = re.compile(f"(?:{_SAFE})(?:\n(?:{_SAFE}))*")
"""UUIDs, ids of W3C traces, our pseudonyms, providers' ids, one a line: nearly all ids there are."""
_MEMORY: Final = 4_096
_ONE_WORD: Final = re.compile(r"[\w.:/@+#$<>\[\]~=-]{1,128}")


class Pseudonyms:
    """
    What stands for identifiers, the same one for the same id; nobody gets back from it.

    Args:
        key: Known to all who are to rename alike; without one it is the process's own, and that of
            those forked from it. Whoever has it, and a list of addresses, finds out whose one is.
        own: That of another process, in place of this one's.
    """

    def __init__(self, key: str = "", *, own: bytes | None = None) -> None:
        named = blake2b(key.encode(), person=b"llmobs ids").digest() if key else None
        self._key = named or own or PROCESS_KEY

    def of(self, text: str) -> str:
        """Return what stands for *text*."""
        digest = blake2b(text.encode("utf-8", "surrogatepass"), key=self._key, digest_size=16)
        return _PSEUDONYM + digest.hexdigest()


class _Plan(NamedTuple):
    """The fields of one class of events, by what becomes of them."""

    contents: tuple[str, ...]
    """Anything, long or short, by all rules."""
    labels: tuple[str, ...]
    """Short texts, by all rules."""
    names: tuple[str, ...]
    """Short texts, by our rules."""
    containers: tuple[str, ...]
    """Not short texts, by our rules."""
    identifiers: tuple[str, ...]
    left_out: tuple[tuple[str, Any], ...]
    """Without content: these, with what they hold then."""
    one_word: tuple[str, ...]
    words: dict[str, frozenset[str]]
    """Our own, by field."""
    short: tuple[str, ...]
    """Both."""
    get_contents: Callable[[Event], tuple[Any, ...]]
    get_containers: Callable[[Event], tuple[Any, ...]]
    get_short: Callable[[Event], tuple[Any, ...]]
    get_labels: Callable[[Event], tuple[Any, ...]]
    get_names: Callable[[Event], tuple[Any, ...]]
    get_identifiers: Callable[[Event], tuple[Any, ...]]


def _plan(kind: type[Event]) -> _Plan:
    table = every_field(kind)
    info = {f.name: f for f in msgspec.structs.fields(kind)}

    def of(how: Redacted, *, short: bool) -> tuple[str, ...]:
        names = (name for name, field in table.items() if field.redacted is how)
        return tuple(name for name in names if (info[name].type in (str, str | None)) is short)

    def getter(names: Sequence[str]) -> Callable[[Event], tuple[Any, ...]]:
        if not names:
            return lambda event: ()
        if len(names) == 1:  # a getter of one returns it bare
            return lambda event: (getattr(event, names[0]),)
        return attrgetter(*names)

    long_or_short = tuple(
        n for n in of(Redacted.REPLACED, short=True) if table[n].kind is Kind.CONTENT
    )
    labels = tuple(n for n in of(Redacted.REPLACED, short=True) if n not in long_or_short)
    names = of(Redacted.REPLACED_BY_US, short=True)
    identifiers = of(Redacted.RENAMED, short=True)
    contents = long_or_short + of(Redacted.REPLACED, short=False)
    containers = of(Redacted.REPLACED_BY_US, short=False)
    return _Plan(
        contents=contents,
        labels=labels,
        names=names,
        containers=containers,
        identifiers=identifiers,
        left_out=tuple(
            (name, info[name].default)
            for name, field in table.items()
            if field.only_metadata is OnlyMetadata.LEFT_OUT
        ),
        one_word=tuple(n for n, f in table.items() if f.only_metadata is OnlyMetadata.ONE_WORD),
        words={n: frozenset(w.value for w in f.words) for n, f in table.items() if f.words},
        short=labels + names,
        get_contents=getter(contents),
        get_containers=getter(containers),
        get_short=getter(labels + names),
        get_labels=getter(labels),
        get_names=getter(names),
        get_identifiers=getter(identifiers),
    )


_PLANS: Final[dict[type, _Plan]] = {kind: _plan(kind) for kind in AnyEvent.__args__}


class EventRedactor:
    """
    Takes out of events what may not leave.

    Args:
        all_rules: For what was written and for labels; None leaves them alone.
        our_rules: For names and identifiers: the built-in rules. None leaves them alone.
        keep_content: False removes all content (``capture_content="metadata"``).
        identifiers: False leaves these to another redactor.
        pseudonyms: How identifiers are renamed.
    """

    def __init__(
        self,
        all_rules: Redactor | None,
        our_rules: Redactor | None,
        *,
        keep_content: bool = True,
        identifiers: bool = True,
        pseudonyms: Pseudonyms | None = None,
    ) -> None:
        self._all = all_rules
        self._ours = our_rules
        self._keep_content = keep_content
        self._identifiers = identifiers
        self._pseudonyms = pseudonyms or Pseudonyms()
        # Names come again with every event: those in which nothing was found need no second look.
        self._seen: set[str | None] = set()
        self._client: ClientInfo | None = None
        self._clean_client: ClientInfo | None = None

    @property
    def failures(self) -> int:
        """Values replaced so far as a rule raised or took too long."""
        redactors = {self._all, self._ours} - {None}
        return sum(redactor.failures for redactor in redactors if redactor is not None)

    def passes(self, event: Event) -> bool:
        """Whether it is plain at a glance that nothing in *event* has to go, or changes: of most it is."""
        redactor = self._all
        if redactor is None or redactor is not self._ours or not self._keep_content:
            return False
        plan = _PLANS[type(event)]
        if (
            (event.client is not None and event.client is not self._clean_client)
            or getattr(event, "error", None) is not None
            or not self._seen.issuperset(plan.get_short(event))
        ):
            return False
        passes = redactor.passes
        for value in plan.get_contents(event):
            if value and not passes(value):
                return False
        for value in plan.get_containers(event):
            if value and not passes(value):
                return False
        if self._identifiers:
            for value in plan.get_identifiers(event):
                if value and not (_ARE_SAFE.fullmatch(value) or passes(value)):
                    return False
        return True

    def steps(self, event: Event, before: Event | None = None) -> Steps[None]:
        """
        Redact *event* in place, in steps of some 0.1 ms.

        Args:
            event: What may hold anything.
            before: The same when it was redacted last: content that has not changed is left alone.
        """
        if not self._keep_content:
            strip_content(event)
        plan = _PLANS[type(event)]
        if self._all is not None:
            contents = plan.get_contents(event)
            yield from _replace_each(event, plan.contents, contents, self._all, before)
            if self._all is not self._ours:  # else they go with the names
                labels = plan.get_labels(event)
                yield from _replace_short(event, plan, plan.labels, labels, self._all)
            error = getattr(event, "error", None)
            if type(error) is ErrorInfo and (
                before is None or error != getattr(before, "error", None)
            ):
                error.message = yield from self._all.steps(error.message)
                error.stack = yield from self._all.steps(error.stack)
                error.context = yield from self._all.steps(error.context)
        if self._ours is not None:
            both = self._all is self._ours
            values = plan.get_short(event) if both else plan.get_names(event)
            if not self._seen.issuperset(values):
                names = plan.short if both else plan.names
                if not (yield from _replace_short(event, plan, names, values, self._ours)):
                    if len(self._seen) > _MEMORY:
                        self._seen.clear()
                    self._seen.update(values)
            containers = plan.get_containers(event)
            yield from _replace_each(event, plan.containers, containers, self._ours, before)
            error = getattr(event, "error", None)
            if type(error) is ErrorInfo:
                error.type = yield from self._ours.steps(error.type)
                error.code = yield from self._ours.steps(error.code)
            if event.client is not self._clean_client and event.client is not None:
                event.client = self._redact_client(event.client, self._ours)
            if self._identifiers:
                self._rename(event, plan, self._ours)

    def _redact_client(self, client: ClientInfo, redactor: Redactor) -> ClientInfo:
        if client is self._client and self._clean_client is not None:
            return self._clean_client
        parts = msgspec.structs.asdict(client)
        clean = redactor.value(parts)
        self._client = client
        self._clean_client = client if clean is parts else ClientInfo(**clean)
        return self._clean_client

    def _rename(self, event: Event, plan: _Plan, redactor: Redactor) -> None:
        for name, value in _doubtful(event, plan):
            if redactor.value(value) != value:
                setattr(event, name, self._pseudonyms.of(value))
                words = f"{name} held what redaction takes out; renamed"
                event.warnings = (*event.warnings, words)

    def withhold(self, event: Event) -> None:
        """
        Remove every text of *event* that is not a word of ours: nobody has redacted it. Never raises.

        Identifiers become pseudonyms, so that they still join.
        """
        strip_content(event)
        plan = _PLANS[type(event)]
        defaults = {f.name: f.default for f in msgspec.structs.fields(type(event))}
        for name in (*plan.contents, *plan.labels, *plan.names, *plan.containers):
            value = getattr(event, name)
            if not _is_ours(value, plan.words.get(name, frozenset())):
                setattr(event, name, defaults[name])
        for name in plan.identifiers:
            value = getattr(event, name)
            if value is not None and not (type(value) is str and _ARE_SAFE.fullmatch(value)):
                setattr(event, name, self._pseudonyms.of(value if type(value) is str else name))
        event.client = None
        if getattr(event, "error", None) is not None:
            event.error = ErrorInfo(message="error")  # type: ignore[attr-defined]


def _doubtful(event: Event, plan: _Plan) -> list[tuple[str, str]]:
    """Return the identifiers of *event*, by name, that are none of those well known."""
    values = plan.get_identifiers(event)
    if _ARE_SAFE.fullmatch("\n".join(filter(None, values))):
        return []
    named = zip(plan.identifiers, values, strict=True)
    return [(name, value) for name, value in named if value and not _ARE_SAFE.fullmatch(value)]


def _replace_each(
    event: Event,
    names: tuple[str, ...],
    values: tuple[Any, ...],
    redactor: Redactor,
    before: Event | None,
) -> Steps[None]:
    for name, value in zip(names, values, strict=True):
        if value is None:
            continue
        if before is None or value != getattr(before, name, None):
            if redactor.passes(value):
                continue
            clean = yield from redactor.closely(value)
            if clean is not value:
                setattr(event, name, clean)


def _replace_short(
    event: Event, plan: _Plan, names: tuple[str, ...], values: tuple[Any, ...], redactor: Redactor
) -> Steps[bool]:
    """Replace what is found in *values*, those of the fields *names*; returns whether anything was."""
    clean = yield from redactor.steps(values)
    if clean is values:
        return False
    for name, old, new in zip(names, values, clean, strict=True):
        if new is not old and old not in plan.words.get(name, ()):
            setattr(event, name, new)
    return True


def strip_content(event: Event) -> None:
    """
    Remove all content; of an error, its type and code stay where they are words.

    Never raises: no value is asked anything, not even for its truth.
    """
    plan = _PLANS[type(event)]
    for name, default in plan.left_out:
        setattr(event, name, default)
    for name in plan.one_word:
        value = getattr(event, name)
        if value is not None and not _is_word(value):
            setattr(event, name, None)
    error = getattr(event, "error", None)
    if error is not None:
        known = (error.type, error.code) if type(error) is ErrorInfo else (None, None)
        kind, code = (text if _is_word(text) else None for text in known)
        event.error = ErrorInfo(message=kind or code or "error", type=kind, code=code)  # type: ignore[attr-defined]


def _is_word(value: Any) -> bool:
    return type(value) is str and _ONE_WORD.fullmatch(value) is not None


def _is_ours(value: Any, words: frozenset[str]) -> bool:
    if issubclass(type(value), Enum):
        return True
    return type(value) is str and value in words
