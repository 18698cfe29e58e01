"""``llmobs tail``."""

import time

import click
from rich.console import Console
from rich.text import Text

from llmobs.cli.lines import LinesReader
from llmobs.cli.options import filters, json_option, open_store, store_option
from llmobs.cli.output import complain, console, write_line
from llmobs.cli.title import title
from llmobs.describe.events import error_line, error_of, figures
from llmobs.describe.words import duration, one_line, short_id
from llmobs.errors import StoreNotFoundError
from llmobs.events import Event
from llmobs.store.engine import ReadsStore
from llmobs.store.records import StoredEvent

__all__ = ["tail"]

POLL_SECONDS = 0.3
"""How often the store is asked for more: a query on its primary key."""
_ABOUT = 30
"""Columns for what an event is about."""


@click.command()
@store_option
@click.option(
    "--lines", "-n", type=click.IntRange(min=0), metavar="N", default=10, show_default=True,
    help="Begin with the last N events.",
)  # fmt: skip
@click.option("--follow/--no-follow", default=True, help="Wait for more, until Ctrl-C.")
@filters("user", "failed")
@json_option
def tail(
    store: str | None, lines: int, follow: bool, user: str | None, failed: bool, json: bool
) -> None:
    """Show events as they are stored, one line each."""
    out = console()

    def write(events: list[StoredEvent]) -> int | None:
        for stored in events:
            _write(out, stored, user, failed, json)
        out.file.flush()
        return events[-1].id if events else None

    with _wait_for(store) if follow else open_store(store) as reader:
        events = reader.latest(max(lines, 1))
        after = write(events if lines else []) or (events[-1].id if events else 0)
        while follow:
            if isinstance(reader, LinesReader):
                reader.refresh()
            if last := write(reader.tail(after)):
                after = last
            else:
                time.sleep(POLL_SECONDS)


def _wait_for(store: str | None) -> ReadsStore:
    """Open the store, as soon as there is one."""
    said = False
    while True:
        try:
            return open_store(store)
        except StoreNotFoundError as error:
            if not said:
                complain(f"{error}; waiting for it")
                said = True
            time.sleep(POLL_SECONDS)


def _write(out: Console, stored: StoredEvent, user: str | None, failed: bool, json: bool) -> None:
    event = stored.decode()
    if (user is not None and getattr(event, "user_id", None) != user) or (
        failed and not (event is not None and event.failed)
    ):
        return
    if json:
        write_line(stored.body)
        return
    line = Text(f"event {stored.id} cannot be read by this llmobs", style="yellow")
    if event is not None:
        line = _line(event)
    if out.is_terminal:
        line.truncate(out.width, overflow="ellipsis")
    out.print(line, soft_wrap=True)


def _line(event: Event) -> Text:
    about = title(event)
    about.truncate(_ABOUT, overflow="ellipsis", pad=True)
    status = str(getattr(event, "status", "-"))
    words = [word for word in figures(event) if word != status]
    if event.user_id:
        words.insert(0, one_line(event.user_id, 20))
    line = Text.assemble(
        (f"{event.timestamp:%H:%M:%S} ", "dim"),
        (f"{short_id(event.run_id):<9} ", "cyan"),
        about,
        (
            f" {'ok' if status == 'success' else one_line(status, 9):<9}",
            "red" if event.failed else "",
        ),
        f"{duration(getattr(event, 'latency_ms', None)):>9}  ",
        " · ".join(words),
    )
    if error := error_of(event):
        line.append(f"  ✗ {error_line(error)}", "red")
    line.rstrip()
    return line
