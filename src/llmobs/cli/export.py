"""``llmobs export``."""

import csv
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import click

from llmobs.cli.options import filters, named_run, open_store, run_filter, store_option, store_path
from llmobs.cli.output import notes, tame_json
from llmobs.cli.table import COLUMNS, flatten
from llmobs.events import EventType
from llmobs.store.records import StoredEvent

__all__ = ["export"]

LONG = 5_000
"""Events from which a progress bar is shown."""


@click.command()
@store_option
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), metavar="FILE",
    help="Default, and -: standard output.",
)  # fmt: skip
@click.option(
    "--format", type=click.Choice(["jsonl", "csv"]), help="Default: by the file's name, else jsonl."
)
@click.option("--run", metavar="RUN", help="Only this run; last is the latest.")
@click.option(
    "--type", "types", type=click.Choice([kind.value for kind in EventType]), multiple=True,
    help="Only events of this type; may be repeated.",
)  # fmt: skip
@filters("user", "session", "tag", "status", "failed", "model", "name", "since", "until")
def export(
    store: str | None,
    output: Path | None,
    format: str | None,
    run: str | None,
    types: Sequence[str],
    **which: Any,
) -> None:
    """Write the events of runs: JSONL as they are stored, or CSV for spreadsheets."""
    if output == Path("-"):
        output = None
    if output is not None and _is_part_of(output, store_path(store)):
        raise click.BadParameter("that is the store itself", param_hint="--output")
    if format is None:
        by_name = output is not None and output.suffix.lower() == ".csv"
        format = "csv" if by_name else "jsonl"
    write = _write_csv if format == "csv" else _write_jsonl
    with open_store(store) as reader:
        run_id = named_run(reader, run) if run else None
        where = run_filter(**which, run_id=run_id)
        total = reader.count_events(where, types=types)
        events = reader.events(where, types=types)
        with _target(output) as file:
            write(_with_progress(events, total, shown=not file.isatty()), file)
    if output is not None:
        notes().print(f"{total:,} events to {output}", markup=False)


def _write_jsonl(events: Iterable[StoredEvent], file: TextIO) -> None:
    for event in events:
        file.write(tame_json(event.body) + "\n")


def _write_csv(events: Iterable[StoredEvent], file: TextIO) -> None:
    rows = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    rows.writeheader()
    for stored in events:
        if (event := stored.decode()) is not None:
            rows.writerow(flatten(event))


def _with_progress(
    events: Iterator[StoredEvent], total: int, *, shown: bool
) -> Iterator[StoredEvent]:
    remarks = notes()
    if not shown or total < LONG or not remarks.is_terminal:
        yield from events
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("exporting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=remarks, transient=True) as progress:
        task = progress.add_task("", total=total)
        for number, event in enumerate(events, 1):
            yield event
            if number % 200 == 0:
                progress.update(task, completed=number)


@contextmanager
def _target(output: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that appears when it is complete; mode 0600: it holds prompts."""
    if output is None:
        yield sys.stdout
        return
    if output.exists() and not output.is_file():  # a pipe, a device
        with output.open("w", encoding="utf-8", newline="") as file:
            yield file
        return
    part = output.with_name(f"{output.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


def _is_part_of(output: Path, store: Path) -> bool:
    files = [store, *(store.with_name(store.name + end) for end in ("-wal", "-shm"))]
    return output.exists() and any(file.exists() and output.samefile(file) for file in files)
