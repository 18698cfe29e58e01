"""``llmobs store``."""

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click

from llmobs.cli.options import is_json_lines, json_option, store_option, store_path
from llmobs.cli.output import notes, write_json
from llmobs.cli.text import moment, visible
from llmobs.errors import StoreError, StoreNotFoundError
from llmobs.store.engine import open_reader, open_writer
from llmobs.store.records import Keep, RunFilter, StoreInfo

__all__ = ["store"]

PAUSE_SECONDS: Final = 0.005
"""Between two steps: applications write meanwhile."""


@click.group()
def store() -> None:
    """Look after the SQLite store: what it holds, how large it is, what it keeps."""


@store.command()
@store_option
@json_option
def info(store: str | None, json: bool) -> None:
    """Say what the store is and holds."""
    with open_reader(_existing(store)) as reader:
        found = reader.info()
    if json:
        write_json(found)
        return
    for name, value in _lines(found):
        click.echo(f"{name:<10} {visible(value)}")


def _lines(found: StoreInfo) -> list[tuple[str, str]]:
    lines = [
        ("file", f"{found.path}, schema {found.version}, pages of {found.page_bytes // 1024} KB"),
        ("size", f"{size(found.bytes)}, {size(found.free_bytes)} of it free"),
        ("runs", f"{found.runs:,}"),
        ("events", f"{found.events:,}"),
        ("messages", f"{found.pieces:,} stored once"),
        ("sums", f"{found.hours:,} hours"),
    ]
    if found.oldest is not None and found.latest is not None:
        lines[2] = (
            "runs",
            f"{found.runs:,}, from {moment(found.oldest)} to {moment(found.latest)} UTC",
        )
    if found.sums_from is not None:
        lines[5] = ("sums", f"{found.hours:,} hours, from {moment(found.sums_from)} UTC")
    if found.to_adopt:
        words = "applications change that as they run, llmobs store compact does it now"
        lines.append(
            ("to do", f"{found.to_adopt:,} events in the form of an older llmobs: {words}")
        )
    return lines


@store.command()
@store_option
@json_option
def compact(store: str | None, json: bool) -> None:
    """
    Write the file anew, without free space and in the current form.

    Nobody else may have it open, and the disk needs as much room again; applications that want to
    write meanwhile wait.
    """
    path = _existing(store)
    before = path.stat().st_size
    writer = open_writer(path)
    try:
        writer.compact()
    finally:
        writer.close()
    after = path.stat().st_size
    if json:
        write_json({"bytes_before": before, "bytes_after": after})
    else:
        click.echo(f"{visible(str(path))}: {size(before)} before, {size(after)} now")


@store.command()
@store_option
@click.option("--older-than", metavar="TIME", help="Runs that ended so long ago: 30d, 12h, 8w.")
@click.option("--larger-than", metavar="SIZE", help="The oldest, until the rest fits: 500MB, 5GB.")
@click.option("--dry-run", is_flag=True, help="Only say how many it would be.")
@json_option
def prune(
    store: str | None, older_than: str | None, larger_than: str | None, dry_run: bool, json: bool
) -> None:
    """
    Remove old runs, each whole, a few at a time; sums by the hour stay, so cost keeps its history.
    """
    if older_than is None and larger_than is None:
        raise click.UsageError("say what goes: --older-than TIME, --larger-than SIZE, or both")
    keep = Keep(
        since=None if older_than is None else datetime.now(UTC) - age_of(older_than),
        bytes=None if larger_than is None else bytes_of(larger_than),
    )
    path = _existing(store)
    with open_reader(path) as reader:
        before = reader.count_runs()
        if dry_run:
            if larger_than is not None:
                raise click.UsageError("--dry-run can tell by --older-than only")
            _say({"runs": reader.count_runs(RunFilter(ended_before=keep.since))}, json, "would go")
            return
        writer = open_writer(path)
        try:
            while writer.prune(keep):
                time.sleep(PAUSE_SECONDS)
        finally:
            writer.close()
        _say({"runs": max(before - reader.count_runs(), 0)}, json, "removed")


@store.command()
@store_option
@json_option
def rebuild(store: str | None, json: bool) -> None:
    """
    Count the sums by the hour again from the calls that are there.

    What `prune` removed is then in no sum any more.
    """
    writer = open_writer(_existing(store))
    hours = 0
    remarks = notes()
    try:
        for left in writer.rebuild():
            hours += 1
            if remarks.is_terminal and left % 100 == 0:
                remarks.print(f"{left:,} hours to go", style="dim")
            time.sleep(PAUSE_SECONDS)
    finally:
        writer.close()
    _say({"hours": hours}, json, "counted again")


def _say(found: dict[str, int], json: bool, words: str) -> None:
    if json:
        write_json(found)
    else:
        click.echo(f"{', '.join(f'{number:,} {name}' for name, number in found.items())} {words}")


def _existing(given: str | None) -> Path:
    path = store_path(given)
    if not path.is_file():
        raise StoreNotFoundError(f"there is no store at {path}: name one with --store PATH")
    if is_json_lines(path):
        raise StoreError(f"{path} is a file of JSON lines: this is for SQLite stores")
    return path


_AGE: Final = re.compile(r"(\d{1,6})\s*([hdw])")
_HOURS: Final = {"h": 1, "d": 24, "w": 168}
_SIZE: Final = re.compile(r"(\d{1,12}(?:\.\d+)?)\s*([kmgt]?)b?", re.IGNORECASE)


def age_of(text: str) -> timedelta:
    """Read ``30d``, ``12h`` or ``8w``."""
    if match := _AGE.fullmatch(text.strip().lower()):
        return timedelta(hours=int(match[1]) * _HOURS[match[2]])
    raise click.BadParameter(f"{text!r} is no age: write 12h, 30d or 8w", param_hint="--older-than")


def bytes_of(text: str) -> int:
    """Read ``500MB``, ``5GB`` or a number of bytes."""
    if match := _SIZE.fullmatch(text.strip()):
        return round(float(match[1]) * 10.0 ** (3 * " kmgt".index(match[2].lower() or " ")))
    raise click.BadParameter(f"{text!r} is no size: write 500MB or 5GB", param_hint="--larger-than")


def size(number: int) -> str:
    """Return *number* of bytes in words."""
    value: Any = number
    for unit in ("bytes", "KB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:,.3g} {unit}" if unit != "bytes" else f"{value:,} bytes"
