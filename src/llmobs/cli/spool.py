"""``llmobs spool``."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import anyio
import click
import msgspec
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from llmobs.cli.options import json_option
from llmobs.cli.output import ExitCode, complain, console, notes, write_json
from llmobs.client.async_client import AsyncClient
from llmobs.describe.words import count, moment, visible
from llmobs.errors import ConfigurationError
from llmobs.pipeline.spool import Spool, SpoolFile, batches_in, rescue
from llmobs.settings import Settings
from llmobs.sinks import resolve

__all__ = ["spool"]


class Waiting(msgspec.Struct):
    """What waits for one sink."""

    sink: str
    batches: int
    events: int
    size_bytes: int
    oldest: datetime | None


@click.command()
@click.option(
    "--dir", "directory", type=click.Path(path_type=Path), metavar="PATH",
    help="The spool. Default: LLMOBS_SPOOL_DIR.",
)  # fmt: skip
@click.option("--send", is_flag=True, help="Send now what waits.")
@click.option(
    "--timeout", type=float, default=60.0, show_default=True, help="Seconds that sending may take."
)
@json_option
def spool(directory: Path | None, send: bool, timeout: float, json: bool) -> None:
    """List the events that wait on disk, by sink; with --send, deliver them. What dead processes left is among them."""
    settings = Settings() if directory is None else Settings(spool_dir=directory)
    if settings.spool_dir is None:
        raise ConfigurationError("there is no spool: set LLMOBS_SPOOL_DIR, or give --dir PATH")
    spools = [Spool.of(sink, settings) for sink in resolve(settings.sink, settings)]
    for folder in settings.spool_dir.expanduser().glob("*/"):
        rescue(folder)  # what a process that was killed held for a decision waits, too
    problem = anyio.run(_send, settings, spools, timeout) if send else None
    waiting = [_waiting(one.sink, one.files()) for one in spools]
    ours = {one.directory for one in spools}
    for folder in sorted(settings.spool_dir.expanduser().glob("*/")):
        if folder not in ours and (files := batches_in(folder)):
            waiting.append(_waiting(f"{folder.name} (of another sink or project)", files))
            if send:
                problem = problem or (
                    f"{folder.name} belongs to a sink that LLMOBS_SINK does not name, "
                    "or to another LLMOBS_PROJECT_ID"
                )
    if json:
        write_json({"sinks": waiting, "problem": problem})
    else:
        console().print(_table(waiting))
    if problem is not None:
        complain(f"not everything could be sent: {problem}")
        raise click.exceptions.Exit(ExitCode.FAILED)


def _waiting(name: str, files: Sequence[SpoolFile]) -> Waiting:
    return Waiting(
        sink=name,
        batches=len(files),
        events=sum(file.events for file in files),
        size_bytes=sum(file.size for file in files),
        oldest=datetime.fromtimestamp(files[0].modified, UTC) if files else None,
    )


async def _send(settings: Settings, spools: list[Spool], timeout: float) -> str | None:
    """Let a client replay the spools; return what kept it from finishing."""

    def left() -> int:
        return sum(file.events for spool in spools for file in spool.files())

    total = left()
    deadline = time.monotonic() + timeout
    bar = Progress(
        TextColumn("sending"), BarColumn(), MofNCompleteColumn(), console=notes(), transient=True
    )
    with bar:
        task = bar.add_task("sending", total=total)
        # A client replays its spools as soon as it runs; sending is asked for, whatever is recorded.
        async with AsyncClient(settings, shutdown_timeout=1.0, enabled=True) as client:
            while (waiting := left()) and time.monotonic() < deadline:
                bar.update(task, completed=max(0, total - waiting))
                await anyio.sleep(0.05)
            if waiting:
                return client.statistics().last_error or f"out of time after {timeout:g} s"
    return None


def _table(waiting: list[Waiting]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name, side in (
        ("sink", "left"),
        ("events", "right"),
        ("batches", "right"),
        ("KB", "right"),
    ):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    table.add_column("oldest")
    for one in waiting:
        table.add_row(
            visible(one.sink),
            count(one.events),
            count(one.batches),
            count(one.size_bytes // 1024),
            "" if one.oldest is None else moment(one.oldest),
        )
    return table
