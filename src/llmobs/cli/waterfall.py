"""A run as a drawing: the tree, when each part began, how long it took."""

import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import chain
from math import isfinite
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from llmobs.cli.title import colour_of, title
from llmobs.describe.events import contents, error_line, error_of, figures, warnings_of
from llmobs.describe.tree import Node, nodes
from llmobs.describe.words import duration, one_line, visible
from llmobs.events import Event, RunEvent

__all__ = ["Waterfall", "end_of"]

_TIMES = 20
"""Columns for when it began and how long it took."""
_WIDEST: Final = 160
"""Columns of the drawing at most; where there is more room, texts alone use it."""
_SHOWN = 200
"""Characters of a prompt or answer shown unless all is asked for."""
FULL_CHARACTERS: Final = 200_000
"""Characters of a text shown at most: more nobody reads in a terminal."""


def end_of(event: Event, started: datetime) -> float:
    """Return when *event* ended, in milliseconds since *started*."""
    latency = getattr(event, "latency_ms", None)
    offset = (event.timestamp - started).total_seconds() * 1000
    return offset + (latency if latency is not None and isfinite(latency) else 0.0)


def _wrapped(text: str, width: int, style: str) -> Iterator[Text]:
    for line in text.split("\n"):
        if cell_len(line) <= width:
            yield Text(line, style=style)
            continue
        # Words are kept whole where there are any; rich's own wrapping takes a minute for 10 MB.
        for part in textwrap.wrap(line, width, replace_whitespace=False, drop_whitespace=False):
            while cell_len(part) > width:  # characters that take two columns
                fitting = set_cell_size(part, width).rstrip(" ") or part[:1]
                yield Text(fitting, style=style)
                part = part[len(fitting) :]
            yield Text(part, style=style)


class Waterfall:
    """
    Draws the events of one run.

    Args:
        out: Where to; its width is used.
        started: When the run began.
        total_ms: How long it took.
        full: Show texts whole, and stack traces.
    """

    def __init__(
        self, out: Console, *, started: datetime, total_ms: float, full: bool = False
    ) -> None:
        self._width = max(60, out.width)
        drawn = min(self._width, _WIDEST)
        self._bar = max(12, (drawn - _TIMES) // 3)
        self._head = drawn - _TIMES - self._bar - 1
        self._out = out
        self._started = started
        self._total = total_ms if isfinite(total_ms) and total_ms > 0 else 1.0
        self._full = full

    def draw(self, events: Sequence[Event]) -> None:
        """Print one block of lines per event; the run's own event is left to the heading."""
        for node in nodes([event for event in events if not isinstance(event, RunEvent)]):
            # At once: rich needs as long for a line as for many.
            block = Text("\n").join(self._lines(node))
            self._out.print(block, no_wrap=True, crop=True, overflow="ellipsis")

    def _lines(self, node: Node[Event]) -> Iterator[Text]:
        event = node.event
        offset = (event.timestamp - self._started).total_seconds() * 1000
        latency = getattr(event, "latency_ms", None)
        head = Text.assemble((node.branch, "dim"), title(event))
        if self._width <= _WIDEST:
            head.truncate(self._head, overflow="ellipsis")
        head.pad_right(max(self._head - head.cell_len, 0))
        times = f" {'+' + duration(offset):>9} {duration(latency):>9} "
        yield Text.assemble(head, (times, "dim"), self._bar_of(event, offset, latency))
        indent = Text(node.trunk, style="dim")
        if words := figures(event):
            yield from self._below(indent, "", " · ".join(words), "dim")
        if error := error_of(event):
            yield from self._below(indent, "✗ ", error_line(error), "red")
            if self._full and error.stack:
                yield from self._below(indent, "  ", error.stack.rstrip(), "dim")
        for sign, text in contents(event, full=self._full):
            yield from self._below(indent, f"{sign} ", text, "")
        for warning in warnings_of(event, full=self._full):
            yield from self._below(indent, "! ", warning, "yellow")

    def _bar_of(self, event: Event, offset: float, latency: float | None) -> Text:
        if latency is None or not isfinite(latency) or not isfinite(offset):
            latency = 0.0
        start = min(max(int(self._bar * offset / self._total), 0), self._bar - 1)
        length = min(max(round(self._bar * latency / self._total), 1), self._bar - start)
        return Text(" " * start + "━" * length, style=colour_of(event))

    def _below(self, indent: Text, sign: str, text: str, colour: str) -> Iterator[Text]:
        room = self._width - indent.cell_len - len(sign)
        if self._full:
            left_out = len(text) - FULL_CHARACTERS
            lines = _wrapped(visible(text[:FULL_CHARACTERS]), max(room, 20), colour)
            if left_out > 0:
                words = f"… {left_out:,} characters more: llmobs export has them"
                lines = chain(lines, [Text(words, style="yellow")])
        else:
            shown = min(_SHOWN, 2 * room)
            lines = iter(Text(one_line(text, shown), style=colour).wrap(self._out, max(room, 20)))
        for number, line in enumerate(lines):
            line.rstrip()
            yield Text.assemble(
                indent, (sign if number == 0 else " " * len(sign), "bold dim"), line
            )
