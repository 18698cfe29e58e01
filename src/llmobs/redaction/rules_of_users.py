"""What an application says about redaction (``redaction=``): kinds, patterns, names, exceptions."""

from __future__ import annotations

import fnmatch
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from json import loads
from pathlib import Path
from re import _constants as constants  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any, Final, get_args

from llmobs.redaction.kinds import DEFAULT_KINDS, KINDS, placeholders
from llmobs.redaction.named import find_named
from llmobs.redaction.names import SecretNames
from llmobs.redaction.plain import has_escape, spelt
from llmobs.redaction.replacing import ACTIONS, Action, Replace, replacer
from llmobs.redaction.spans import LONGEST_RUN, Reach, Span
from llmobs.runtime.time_slices import Steps

if TYPE_CHECKING:
    from llmobs.redaction.functions import Function
    from llmobs.redaction.presidio import PresidioOptions

__all__ = ["UserRules", "user_rules"]

_KEYS: Final = (
    "kinds", "patterns", "names", "allow", "action", "key", "integers", "functions", "presidio",
)  # fmt: skip
_WINDOW: Final = 4_096
"""Characters a user's pattern sees at a stretch: what is not linear stays bounded."""
_OVERLAP: Final = 512
_LONGEST_NAME: Final = 256
_JOINT: Final = "[-_. ]?"
# Up to the sign behind a name.
_NAMED: Final = r"(?:{})[ \t]{{0,4}}\\{{0,8}}[\"'`]?[ \t]{{0,4}}[:=]"
_SLOWEST: Final = 0.05
"""Seconds a user's pattern may take for one window."""


class TooSlowError(Exception):
    """A user's pattern took too long; the field it looked at goes."""


class UserRules:
    """Checked rules of an application."""

    def __init__(
        self,
        kinds: frozenset[str] = DEFAULT_KINDS,
        patterns: Mapping[str, re.Pattern[str]] | None = None,
        names: Iterable[str] = (),
        allow: Sequence[str] | Mapping[str, Sequence[str]] = (),
        action: Action = "plain",
        key: str = "",
        integers: bool = False,
        functions: Mapping[str, Function] | None = None,
        presidio: PresidioOptions | None = None,
    ) -> None:
        self.functions = dict(functions or {})
        """The application's functions, by path."""
        self.presidio = presidio
        """What Presidio is asked for, if it is."""
        self.kinds = kinds
        self.action: Action = action
        """What is put in place of a match."""
        self.key = key
        """The secret of hashes and of renamed identifiers; empty for one of the process's own."""
        self.integers = integers
        """Whether whole numbers that are card numbers go, too."""
        self.slowest = _SLOWEST
        self.names = SecretNames(names)
        self.replace: Replace = replacer(action, key)
        self._patterns = {
            name: (pattern, min(max(_OVERLAP, _longest(pattern)), _WINDOW // 2))
            for name, pattern in (patterns or {}).items()
        }
        self._placeholders = placeholders(self._patterns)
        self._named = _behind(self.names.more, re.escape)
        self._spelt = _behind(self.names.more, spelt)
        by_kind = allow if isinstance(allow, Mapping) else {"": allow}
        self._allowed = {
            kind: re.compile("|".join(map(fnmatch.translate, globs)), re.IGNORECASE)
            for kind, globs in by_kind.items()
            if globs
        }
        self.has_patterns = bool(self._patterns) or self._named is not None
        self.has_exceptions = bool(self._allowed)

    def only(self, kinds: Iterable[str]) -> UserRules:
        """Return rules that look for *kinds* alone, and do with them what these do."""
        rules = copy(self)
        rules.kinds = frozenset(kinds)
        rules._patterns, rules._named, rules.has_patterns = {}, None, False  # noqa: SLF001 - of this class
        rules.presidio = None
        return rules

    def is_placeholder(self, value: str) -> bool:
        """Whether *value* is, as a whole, what stands in place of a match: a word that only begins so is not."""
        return self._placeholders.fullmatch(value) is not None

    def allowed(self, value: str, kind: str) -> bool:
        """Whether *value*, which is of *kind*, is one of those that stay."""
        return any(of in self._allowed and self._allowed[of].match(value) for of in ("", kind))

    def find(self, text: str) -> Steps[list[Span]]:
        """
        Return what the user's patterns find in *text*, and what stands under the user's names.

        Raises:
            TooSlowError: One of them took too long.
        """
        spans: list[Span] = []
        for name, (pattern, overlap) in self._patterns.items():
            for low in range(0, max(1, len(text)), _WINDOW - overlap):
                began = time.thread_time()
                spans += (
                    Span(start, end, name, name) for start, end in _matches(pattern, text, low)
                )
                if time.thread_time() - began > self.slowest:
                    raise TooSlowError
                yield
        if self._named and self._spelt and "secret" in self.kinds:
            reach = Reach()
            named = (self._spelt if has_escape(text) else self._named).finditer
            for low in range(0, max(1, len(text)), _WINDOW):
                # A name that begins in this window may end in the next.
                for found in named(text, low, low + _WINDOW + _LONGEST_NAME):
                    find_named(text, found.end() - 1, reach, spans, self.names)
                yield
        return spans


def _behind(names: Iterable[str], form: Callable[[str], str]) -> re.Pattern[str] | None:
    """Return what matches one of *names*, whose characters are in a *form*, up to its sign; None for no names."""
    forms = [_JOINT.join(map(form, name)) for name in names]
    return re.compile(_NAMED.format("|".join(forms)), re.IGNORECASE) if forms else None


def _longest(pattern: re.Pattern[str]) -> int:
    longest: int = parser.parse(pattern.pattern).getwidth()[1]
    return longest


def _matches(pattern: re.Pattern[str], text: str, low: int) -> Iterator[tuple[int, int]]:
    """Yield where *pattern* matches in the window of *text* that begins at *low*."""
    high = low + _WINDOW
    for found in pattern.finditer(text, low, high):
        start, end = found.span()
        if end >= high and len(text) > high:
            # As if the text ended there: it may be more, or none at all.
            whole = pattern.match(text, start, start + LONGEST_RUN)
            end = start if whole is None else whole.end()
        if end > start:
            yield start, end


def user_rules(said: Mapping[str, Any] | str | Path) -> UserRules:
    """
    Return the rules that *said*, the value of ``redaction=``, asks for: a mapping, or a file of one.

    - ``kinds``: a list of the kinds to look for, or which to switch: ``{"phone": true, "iban": false}``
    - ``patterns``: regular expressions of your own, by the name of what they find
    - ``names``: more names whose values are secret, whatever they are
    - ``allow``: what stays although it was found, with ``*`` and ``?``: ``*@our-company.example``; a list,
      or lists by kind
    - ``action``: what stands in place of a match (`llmobs.redaction.replacing.Action`)
    - ``key``: the secret of ``action="hashed"``, and of how identifiers are renamed: alike wherever it is the same
    - ``integers``: true, and whole numbers that are card numbers go, too
    - ``functions``: functions of your own, by the path of what they are of: ``*.metadata.customer``
    - ``presidio``: true, or its entities, or a mapping (`llmobs.redaction.presidio.PresidioOptions`)

    Raises:
        ValueError: It names what there is not, or a pattern that may take for ever.
    """
    if not isinstance(said, Mapping):
        said = _read(said)
    if unknown := sorted(set(said) - set(_KEYS)):
        raise ValueError(f"{', '.join(unknown)}: unknown; there are {', '.join(_KEYS)}")
    action = said.get("action", "plain")
    if action not in ACTIONS:
        raise ValueError(f"action={action!r}: must be one of {', '.join(get_args(Action))}")
    key = said.get("key", "")
    if (action == "hashed" or key) and not (isinstance(key, str) and len(key) >= 16):
        needs = "action='hashed' needs a key" if action == "hashed" else "key: a text is needed"
        raise ValueError(f"{needs} of at least 16 characters")
    patterns = said.get("patterns", {})
    if not isinstance(patterns, Mapping):
        raise ValueError("patterns: must be a mapping of names to regular expressions")
    return UserRules(
        _kinds(said.get("kinds")),
        {name: checked_pattern(name, text) for name, text in patterns.items()},
        _texts("names", said.get("names", ())),
        _allow(said.get("allow", ()), () if said.get("presidio") else {*KINDS, *patterns}),
        action,
        key,
        bool(said.get("integers", False)),
        _functions(said["functions"]) if "functions" in said else None,
        _presidio(said["presidio"]) if "presidio" in said else None,
    )


def _functions(said: Any) -> dict[str, Function]:
    from llmobs.redaction.functions import checked_functions  # seldom asked for

    return checked_functions(said)


def _presidio(said: Any) -> PresidioOptions | None:
    from llmobs.redaction.presidio import presidio_options  # seldom asked for

    return presidio_options(said)


def _read(file: Any) -> Mapping[str, Any]:
    """Return the mapping in *file*: JSON, or TOML where its name ends so; or JSON itself."""
    if not isinstance(file, (str, Path)):
        raise ValueError("must be a mapping, or the path of a JSON or TOML file")
    import tomllib  # it compiles patterns of its own

    written = str(file).lstrip().startswith("{")
    try:
        text = str(file) if written else Path(file).expanduser().read_text("utf-8")
        said = tomllib.loads(text) if Path(file).suffix == ".toml" and not written else loads(text)
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{'what is given' if written else file}: {error}") from None
    if not isinstance(said, Mapping):
        raise ValueError(f"{file}: must hold a mapping")
    return said


def _texts(name: str, values: Any) -> list[str]:
    if not isinstance(values, (list, tuple, set, frozenset)) or not all(
        isinstance(value, str) for value in values
    ):
        raise ValueError(f"{name}: must be a list of texts")
    return list(values)


def _allow(said: Any, kinds: Collection[str]) -> dict[str, list[str]]:
    """Return globs by kind, one of *kinds* if these are known; by "" those for all."""
    if not isinstance(said, Mapping):
        said = {"": _texts("allow", said)}
    elif kinds and (unknown := sorted(map(str, said.keys() - kinds))):
        raise ValueError(f"allow: {', '.join(unknown)}: no kind; there are {', '.join(KINDS)}")
    return {
        kind: _texts(f"allow: {kind}" if kind else "allow", globs) for kind, globs in said.items()
    }


def _kinds(said: Any) -> frozenset[str]:
    switches = (
        said if isinstance(said, Mapping) else dict.fromkeys(() if said is None else said, True)
    )
    if unknown := sorted(map(str, switches.keys() - KINDS.keys())):
        raise ValueError(f"kinds: {', '.join(unknown)}: no kind; there are {', '.join(KINDS)}")
    on = set(DEFAULT_KINDS) if said is None or isinstance(said, Mapping) else set()
    for name, switch in switches.items():
        (on.add if switch else on.discard)(name)
    return frozenset(on)


def checked_pattern(name: str, text: Any) -> re.Pattern[str]:
    """
    Return *text* as a pattern.

    Raises:
        ValueError: It is none, matches nothing at all, or may take time that grows without measure.
    """
    if not isinstance(text, str):
        raise ValueError(f"patterns: {name}: must be a regular expression, as text")
    try:
        pattern = re.compile(text)
        tree = parser.parse(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"patterns: {name}: {error}") from None
    if tree.getwidth()[0] > _WINDOW // 2:
        raise ValueError(
            f"patterns: {name}: at most {_WINDOW // 2} characters are looked at as one"
        )
    if pattern.match(""):
        raise ValueError(f"patterns: {name}: it matches the empty text")
    if _is_catastrophic(tree, False):
        raise ValueError(
            f"patterns: {name}: a repetition within a repetition, or of alternatives that begin alike, "
            "may take for ever; give the inner one a fixed length, or make it possessive: (a++b)*"
        )
    return pattern


_REPEATS: Final = frozenset({constants.MAX_REPEAT, constants.MIN_REPEAT})
_ASSERTIONS: Final = frozenset({constants.ASSERT, constants.ASSERT_NOT})
_REFERENCES: Final = frozenset({constants.GROUPREF, constants.GROUPREF_EXISTS})
_MANY: Final = 8


def _is_catastrophic(tree: Any, repeated: bool) -> bool:
    """Whether what can vary in length, or go several ways, is itself repeated."""
    for operation, argument in tree:
        if operation in _REPEATS:
            least, most, body = argument
            varies = most != least and most > 1
            if repeated and varies:
                return True
            if _is_catastrophic(body, repeated or most > _MANY):
                return True
        elif operation is constants.BRANCH:
            if repeated and not _begin_apart(argument[1]):
                return True
            if any(_is_catastrophic(branch, repeated) for branch in argument[1]):
                return True
        elif operation is constants.SUBPATTERN:
            if _is_catastrophic(argument[3], repeated):
                return True
        elif operation in _ASSERTIONS:
            if _is_catastrophic(argument[1], repeated):
                return True
        elif repeated and operation in _REFERENCES:
            return True
    return False


def _begin_apart(branches: Any) -> bool:
    firsts = [branch[0] if len(branch) else None for branch in branches]
    literals = [first[1] for first in firsts if first is not None and first[0] is constants.LITERAL]
    return len(literals) == len(firsts) == len(set(literals))
