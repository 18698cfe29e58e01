"""``llmobs runs``."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from llmobs.cli.options import (
    ClientRunOption,
    FailedOption,
    JsonOption,
    ModelOption,
    NameOption,
    SinceOption,
    StatusOption,
    StoreOption,
    UserOption,
    open_store,
    run_filter,
)
from llmobs.cli.output import console, notes, write_json
from llmobs.cli.text import count, duration, money, one_line, short_id
from llmobs.store.records import RunSummary

__all__ = ["runs"]

WIDE = 110
"""Columns of a terminal that also has room for the user."""


def runs(
    store: StoreOption = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, metavar="N", help="How many at most.")
    ] = 20,
    user: UserOption = None,
    status: StatusOption = None,
    failed: FailedOption = False,
    model: ModelOption = None,
    name: NameOption = None,
    since: SinceOption = None,
    client_run_id: ClientRunOption = None,
    json: JsonOption = False,
) -> None:
    """List runs, the latest first."""
    where = run_filter(user, status, failed, model, name, since, client_run_id=client_run_id)
    with open_store(store) as reader:
        found = reader.runs(limit, where=where)
        total = reader.count_runs(where)
    if json:
        write_json(found)
        return
    out = console()
    if not found:
        notes().print("no runs" if total == 0 and where == run_filter() else "no runs like this")
        return
    out.print(_table(found, wide=out.width >= WIDE))
    if total > len(found):
        notes().print(f"the latest {len(found)} of {total:,} runs; more with --limit", style="dim")


def _table(found: list[RunSummary], *, wide: bool) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", expand=True)
    table.add_column("run", no_wrap=True, style="cyan")
    table.add_column("started UTC", no_wrap=True)
    table.add_column("name", no_wrap=True, overflow="ellipsis", ratio=1)
    if wide:
        table.add_column("user", no_wrap=True, overflow="ellipsis", max_width=20)
    table.add_column("status", no_wrap=True)
    for title in ("time", "calls", "tokens", "cost"):
        table.add_column(title, no_wrap=True, justify="right")
    for run in found:
        cells = [
            Text(short_id(run.run_id)),
            Text(f"{run.started:%m-%d %H:%M:%S}"),
            Text(one_line(run.name or run.kind or "-")),
            _status(run),
            Text(duration(run.duration_ms)),
            Text(count(run.calls)),
            Text(count(run.tokens_input + run.tokens_output)),
            Text(money(run.cost_usd, run.unpriced)),
        ]
        if wide:
            cells.insert(3, Text(one_line(run.user_id or "")))
        table.add_row(*cells)
    return table


def _status(run: RunSummary) -> Text:
    status = "ok" if run.status == "success" else run.status or "-"
    word = str(run.http_status) if run.http_status else one_line(status, 16)
    if run.errors:
        word += f" ✗{run.errors}"
    style = "red" if run.failed else "yellow" if run.errors else "green" if run.status else "dim"
    return Text(word, style=style)
