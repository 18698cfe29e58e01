"""``llmobs tail``."""

import time
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from llmobs.cli.describe import error_line, error_of, figures, title
from llmobs.cli.options import JsonOption, StoreOption, open_store
from llmobs.cli.output import console, write_line
from llmobs.cli.text import duration, short_id
from llmobs.store.records import StoredEvent

__all__ = ["tail"]

POLL_SECONDS = 0.3
"""How often the store is asked for more: a query on its primary key."""


def tail(
    store: StoreOption = None,
    lines: Annotated[
        int,
        typer.Option("--lines", "-n", min=0, metavar="N", help="Begin with the last N events."),
    ] = 10,
    follow: Annotated[bool, typer.Option(help="Wait for more, until Ctrl-C.")] = True,
    json: JsonOption = False,
) -> None:
    """Show events as they are stored, one line each."""
    out = console()
    with open_store(store) as reader:
        events = reader.latest(max(lines, 1))
        after = events[-1].id if events else 0
        _write(out, events if lines else [], json)
        while follow:
            events = reader.tail(after)
            if events:
                after = events[-1].id
                _write(out, events, json)
            else:
                time.sleep(POLL_SECONDS)


def _write(out: Console, events: list[StoredEvent], json: bool) -> None:
    for stored in events:
        if json:
            write_line(stored.body)
        else:
            line = _line(stored)
            if out.is_terminal:
                line.truncate(out.width, overflow="ellipsis")
            out.print(line, soft_wrap=True)
    out.file.flush()


def _line(stored: StoredEvent) -> Text:
    event = stored.decode()
    if event is None:
        return Text(f"event {stored.id} cannot be read by this llmobs", style="yellow")
    words = [*figures(event)]
    if (latency := getattr(event, "latency_ms", None)) is not None:
        words.insert(0, duration(latency))
    line = Text.assemble(
        (f"{event.timestamp:%H:%M:%S} ", "dim"),
        (f"{short_id(event.run_id):<9} ", "cyan"),
        title(event),
        "  ",
        " · ".join(words),
    )
    if error := error_of(event):
        line.append(f"  ✗ {error_line(error)}", "red")
    return line
