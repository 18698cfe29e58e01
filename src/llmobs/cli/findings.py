"""What redaction finds in what is stored already: shared by ``redact`` and ``scan``."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click
import msgspec

from llmobs.codec import decode, encode
from llmobs.errors import ConfigurationError
from llmobs.events import Event, RunEvent
from llmobs.redaction.events import EventRedactor, Pseudonyms
from llmobs.redaction.kinds import KINDS
from llmobs.redaction.redactor import Redactor
from llmobs.redaction.replacing import FAILED
from llmobs.redaction.rules_of_users import UserRules, user_rules
from llmobs.redaction.spans import Span
from llmobs.runtime.time_slices import finish

if TYPE_CHECKING:
    from rich.table import Table

    from llmobs.redaction.presidio import PresidioOptions

__all__ = ["Beside", "Inspector", "beside", "rules_of", "rules_options", "table"]

F = TypeVar("F", bound=Callable[..., Any])


class Beside(NamedTuple):
    """What looks through texts after our own finders."""

    find: Callable[[str], list[Span]]
    redactor: Redactor
    """Redacts what that finds."""


def rules_options(command: F) -> F:
    """Add the options that say what is looked for; see `rules_of`."""
    kinds = click.option(
        "--kind", "kinds", multiple=True, type=click.Choice(tuple(KINDS)),
        help="Only this kind; may be given several times. Default: those of the rules.",
    )  # fmt: skip
    rules = click.option(
        "--redaction", metavar="PATH",
        help="The rules of your clients, JSON or TOML. Default: those of LLMOBS_REDACTION, else the built-in ones.",
    )  # fmt: skip
    return rules(kinds(command))


def rules_of(redaction: str | None, kinds: Sequence[str]) -> UserRules:
    """
    Return the rules that ``--redaction`` names, or LLMOBS_REDACTION; only *kinds* of them if there are any.

    Raises:
        ConfigurationError: They cannot be used.
    """
    said = redaction or os.environ.get("LLMOBS_REDACTION")
    try:
        rules = user_rules(said) if said else UserRules()
    except ValueError as error:
        name = "--redaction" if redaction else "redaction (LLMOBS_REDACTION)"
        raise ConfigurationError(f"{name}: {error}") from None
    return rules.only(kinds) if kinds else rules


def beside(rules: UserRules) -> Beside | None:
    """
    Return what finds beside our finders, where *rules* say so: Presidio.

    Raises:
        ConfigurationError: It is not installed, or does not know what it is to look for.
    """
    if rules.presidio is None:
        return None
    from llmobs.redaction.presidio import presidio_redactor

    try:
        find = _finder(rules.presidio)
    except ValueError as error:
        raise ConfigurationError(f"redaction: {error}") from None
    extra = presidio_redactor(find, rules.replace, rules.allowed)
    return Beside(find, Redactor(kinds=(), extra=extra))


@cache
def _finder(options: "PresidioOptions") -> Callable[[str], list[Span]]:
    from llmobs.redaction.presidio import presidio_finder

    # It takes a second to make, and several places are looked through.
    return presidio_finder(options)


class Inspector:
    """
    Redacts what is stored already, and counts what went.

    Args:
        rules: What to look for.

    Raises:
        ConfigurationError: Presidio cannot be asked as they say.
    """

    def __init__(self, rules: UserRules) -> None:
        self._replace = rules.replace
        rules.replace = self._counted
        ours = Redactor(rules=rules)
        self._texts = [ours]
        self._redactors = [EventRedactor(ours, ours, pseudonyms=Pseudonyms(rules.key))]
        if (more := beside(rules)) is not None:
            self._texts.append(more.redactor)
            self._redactors.append(EventRedactor(more.redactor, None))
        self._went: Counter[str] = Counter()
        self.found: Counter[tuple[str, str]] = Counter()
        """How often, by kind and field."""
        self.events = 0
        """Looked at."""

    def _counted(self, kind: str, rule: str, value: str) -> str:
        self._went[kind] += 1
        return self._replace(kind, rule, value)

    def redacted(self, event: Event) -> Event:
        """Return *event* as it should be: itself, if nothing is to be taken out."""
        self.events += 1
        return self._clean(event)

    def is_run_clean(self, run: RunEvent) -> bool:
        """Whether nothing is to be taken out of what is kept of a run besides its events."""
        return self._clean(run, "runs: ") is run

    def _clean(self, event: Event, where: str = "") -> Event:
        clean = decode(encode(event))
        for redactor in self._redactors:
            finish(redactor.steps(clean))
        if encode(clean) == encode(event):
            return event
        for name in event.__struct_fields__:
            old, new = getattr(event, name), getattr(clean, name)
            if name != "warnings" and encode(old) != encode(new):
                self._count(f"{where}{name}", old, new)
        return clean

    def _count(self, name: str, old: Any, new: Any) -> None:
        if isinstance(old, msgspec.Struct):
            for part in old.__struct_fields__:
                if getattr(old, part) != getattr(new, part):
                    self._count(f"{name}.{part}", getattr(old, part), getattr(new, part))
            return
        self._look(name, old)

    def text(self, name: str, text: str) -> str:
        """Return *text*, of something that is no event, as it should be."""
        clean: str = self._look(name, text)
        return clean

    def _look(self, name: str, value: Any) -> Any:
        self._went.clear()
        clean = value
        for texts in self._texts:
            clean = texts.value(clean)
        for kind, times in self._went.items():
            self.found[kind, name] += times
        if not self._went and encode(clean) != encode(value):
            self.found[f"what takes too long to look through: {FAILED}", name] += 1
        return clean


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> "Table":
    """Return *rows* as a table without lines; columns whose name begins with ``#`` hold figures."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, header_style="dim")
    for name in columns:
        made.add_column(name.removeprefix("#"), justify="right" if name[0] == "#" else "left")
    for row in rows:
        made.add_row(*row)
    return made
