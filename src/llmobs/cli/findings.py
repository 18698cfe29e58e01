"""What redaction finds in events that are stored already: shared by ``redact`` and ``scan``."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from llmobs.codec import decode, encode
from llmobs.events import Event
from llmobs.redaction.events import EventRedactor
from llmobs.redaction.kinds import KINDS
from llmobs.redaction.redactor import Redactor
from llmobs.redaction.scan import find
from llmobs.runtime.time_slices import finish

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Inspector", "kind_option", "table"]

kind_option: Final = click.option(
    "--kind", "kinds", multiple=True, type=click.Choice(tuple(KINDS)),
    help="Only this kind; may be given several times. Default: those that are on by default.",
)  # fmt: skip


class Inspector:
    """
    Redacts events that are stored already, and counts what went.

    Args:
        kinds: What to look for; empty for what is on by default.
    """

    def __init__(self, kinds: Sequence[str]) -> None:
        self.kinds = tuple(kinds)
        self._kinds = self.kinds or None
        redactor = Redactor(kinds=self._kinds)
        self._redactor = EventRedactor(redactor, redactor)
        self.found: Counter[tuple[str, str]] = Counter()
        """How often, by kind and field."""
        self.events = 0
        """Looked at."""

    def redacted(self, event: Event) -> Event:
        """Return *event* as it should be: itself, if nothing is to be taken out."""
        self.events += 1
        clean = decode(encode(event))
        finish(self._redactor.steps(clean))
        if encode(clean) == encode(event):
            return event
        for name in event.__struct_fields__:
            old, new = getattr(event, name), getattr(clean, name)
            if name != "warnings" and encode(old) != encode(new):
                self._count(name, old, new)
        return clean

    def _count(self, name: str, old: Any, new: Any) -> None:
        if isinstance(old, msgspec.Struct):
            for part in old.__struct_fields__:
                if getattr(old, part) != getattr(new, part):
                    self._count(f"{name}.{part}", getattr(old, part), getattr(new, part))
            return
        kinds = Counter(span.kind for text in _texts(old) for span in find(text, self._kinds))
        for kind, times in kinds.items():
            self.found[kind, name] += times

    def word(self, name: str, text: str) -> None:
        """Look at a word that is no event's, as hourly sums have them."""
        for span in find(text, self._kinds):
            self.found[span.kind, name] += 1


def _texts(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple):
            waiting += one


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> "Table":
    """Return *rows* as a table without lines; columns whose name begins with ``#`` hold figures."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, header_style="dim")
    for name in columns:
        made.add_column(name.removeprefix("#"), justify="right" if name[0] == "#" else "left")
    for row in rows:
        made.add_row(*row)
    return made
