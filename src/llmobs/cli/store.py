"""``llmobs store``."""

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click

from llmobs.cli.options import (
    as_age,
    as_bytes,
    is_json_lines,
    json_option,
    store_option,
    store_path,
)
from llmobs.cli.output import write_json
from llmobs.describe.words import moment, visible
from llmobs.errors import StoreError, StoreNotFoundError
from llmobs.runtime.units import in_words
from llmobs.store.backup import back_up
from llmobs.store.engine import open_reader, open_writer
from llmobs.store.records import RetentionPolicy, RunFilter, StoreInfo

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
        ("size", f"{in_words(found.bytes)}, {in_words(found.free_bytes)} of it free"),
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
        click.echo(f"{visible(str(path))}: {in_words(before)} before, {in_words(after)} now")


@store.command()
@store_option
@click.option(
    "--older-than", metavar="TIME", callback=as_age,
    help="Runs that ended so long ago: 30d, 12h, 8w.",
)  # fmt: skip
@click.option(
    "--larger-than", metavar="SIZE", callback=as_bytes,
    help="The oldest, until the rest fits: 500MB, 5GB.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only say how many it would be.")
@json_option
def prune(
    store: str | None,
    older_than: timedelta | None,
    larger_than: int | None,
    dry_run: bool,
    json: bool,
) -> None:
    """
    Remove old runs, each whole, a few at a time; sums by the hour stay, so cost keeps its history.
    """
    if older_than is None and larger_than is None:
        raise click.UsageError("say what goes: --older-than TIME, --larger-than SIZE, or both")
    policy = RetentionPolicy(
        since=None if older_than is None else datetime.now(UTC) - older_than,
        bytes=larger_than,
    )
    path = _existing(store)
    with open_reader(path) as reader:
        before = reader.count_runs()
        if dry_run:
            if larger_than is not None:
                raise click.UsageError("--dry-run can tell by --older-than only")
            _say(
                {"runs": reader.count_runs(RunFilter(ended_before=policy.since))}, json, "would go"
            )
            return
        writer = open_writer(path)
        try:
            while writer.prune(policy):
                time.sleep(PAUSE_SECONDS)
        finally:
            writer.close()
        _say({"runs": max(before - reader.count_runs(), 0)}, json, "removed")


@store.command()
@click.argument("path", type=click.Path(path_type=Path))
@store_option
@click.option("--replace", is_flag=True, help="Replace PATH, at once, when the copy is whole.")
@click.option(
    "--no-check", is_flag=True, help="Do not read the copy through to see that it is sound."
)
@json_option
def backup(path: Path, store: str | None, replace: bool, no_check: bool, json: bool) -> None:
    """
    Copy the store to PATH as it is at this moment, while applications and a collector write to it.

    Nobody waits for it, and PATH is whole or is not there. It is a store like any other: name it with
    --store, or put it in the store's place to restore it. The keys of a collector are not in it.
    """
    made = back_up(_existing(store), path, replace=replace, check=not no_check)
    if json:
        write_json({"path": str(path), "bytes": made.bytes, "seconds": made.seconds})
    else:
        click.echo(f"{visible(str(path))}: {in_words(made.bytes)} in {made.seconds:.1f} s")


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
    try:
        for left in writer.rebuild():
            hours += 1
            if left % 100 == 0 and sys.stderr.isatty():
                click.echo(f"{left:,} hours to go", err=True)
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
