"""``llmobs import``."""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Final

import click
import msgspec

from llmobs.capture.building import OVERHEAD_BYTES
from llmobs.cli.options import json_option, store_option, store_path
from llmobs.cli.output import ExitCode, notes, write_json
from llmobs.cli.records import Lines
from llmobs.client.sync_client import Client
from llmobs.describe.words import visible
from llmobs.errors import StoreNotFoundError
from llmobs.settings import Settings
from llmobs.sinks.sqlite import SQLiteSink
from llmobs.store.engine import open_reader

__all__ = ["import_"]

PATIENCE_SECONDS: Final = 600.0
"""How long the last events may take to be written."""


class Imported(msgspec.Struct):
    """What became of the lines."""

    events: int = 0
    new: int = 0
    """The others were in the store already."""
    dropped: dict[str, int] = {}
    """By reason; see docs/reference/drop-reasons.md."""
    unreadable: int = 0
    """Lines that are no event of this llmobs."""


@click.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@store_option
@json_option
def import_(files: Sequence[str], store: str | None, json: bool) -> None:
    """
    Read events from JSON lines into a SQLite store, redacted and priced like all others.

    FILE may be - for standard input.
    """
    path = store_path(store)
    # Whatever the application's own settings, everything that can be read arrives.
    settings = Settings(
        sink=SQLiteSink(path),
        enabled=True,
        sample_rate=1.0,
        overflow="block",
        durability="memory",
        spool_dir=None,
    )
    before = _count(path)
    result = Imported()
    with Client(settings) as client:
        with notes().status("importing") if notes().is_terminal else nullcontext():
            for name in files:
                _read(name, client, result)
            client.flush(PATIENCE_SECONDS)
        result.dropped = dict(client.statistics().dropped)
    result.new = _count(path) - before
    if json:
        write_json(result)
    else:
        _say(result, path)
    if result.unreadable or result.dropped:
        raise click.exceptions.Exit(ExitCode.FAILED)


def _read(name: str, client: Client, result: Imported) -> None:
    lines = Lines(sys.stdin.buffer if name == "-" else Path(name).expanduser())
    for event, size in lines.read():
        client.record(event, None, size + OVERHEAD_BYTES, event.failed)
        result.events += 1
    result.unreadable += lines.unreadable + lines.unfinished
    lines.close()


def _count(path: Path) -> int:
    try:
        with open_reader(path) as reader:
            return reader.count_events()
    except StoreNotFoundError:
        return 0


def _say(result: Imported, path: Path) -> None:
    known = result.events - result.new - sum(result.dropped.values())
    words = [f"{result.new:,} events are new in {path}"]
    if known > 0:
        words.append(f"{known:,} were there already")
    words += [f"{count:,} dropped: {reason}" for reason, count in result.dropped.items()]
    if result.unreadable:
        words.append(f"{result.unreadable:,} lines are no event of this llmobs")
    sys.stdout.write(visible("; ".join(words)) + "\n")
