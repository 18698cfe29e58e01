"""``llmobs runs``."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llmobs.cli.options import (
    filters,
    json_option,
    limit_option,
    open_store,
    run_filter,
    store_option,
)
from llmobs.cli.output import UNCUT, console, notes, write_json
from llmobs.describe.words import count, duration, money, one_line, short_id, sum_of
from llmobs.store.records import RunSummary

__all__ = ["runs"]


@click.command()
@store_option
@limit_option(20, "How many at most.")
@filters(
    "user", "session", "tag", "status", "failed", "model", "name", "since", "until", "parent", "trace",
    "client_run_id",
)  # fmt: skip
@json_option
def runs(store: str | None, limit: int, json: bool, **which: Any) -> None:
    """List runs, the latest first."""
    where = run_filter(**which)
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
    out.print(_table(found, out))
    if total > len(found):
        notes().print(f"the latest {len(found)} of {total:,} runs; more with --limit", style="dim")


def _table(found: list[RunSummary], out: Console) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", expand=out.is_terminal)
    # Where there is little room, the name keeps it: it is what one looks for.
    columns = [column for column in _COLUMNS if column.least <= out.width < column.most]
    for column in columns:
        table.add_column(column.title, no_wrap=True, **column.options)
    for run in found:
        table.add_row(*(column.cell(run) for column in columns))
    return table


def _status(run: RunSummary) -> Text:
    status = "ok" if run.status == "success" else run.outcome or "-"
    word = str(run.http_status) if run.http_status else one_line(status, 16)
    if run.errors:
        word += f" ✗{run.errors}"
    style = "red" if run.failed else "yellow" if run.errors else "green" if run.status else "dim"
    return Text(word, style=style)


class _Column(NamedTuple):
    title: str
    cell: Callable[[RunSummary], Text]
    least: int = 0
    """Columns a terminal must have to have room for it,"""
    most: int = UNCUT + 1
    """and those from which another takes its place."""
    options: dict[str, Any] = {"justify": "right"}  # noqa: RUF012 - a tuple's default


_COLUMNS: Final = (
    _Column("run", lambda run: Text(short_id(run.run_id)), options={"style": "cyan"}),
    _Column("started UTC", lambda run: Text(f"{run.started:%m-%d %H:%M:%S}"), 76, options={}),
    _Column("UTC", lambda run: Text(f"{run.started:%H:%M:%S}"), 48, 76, {}),
    _Column(
        "name",
        lambda run: Text(one_line(run.name or run.kind or "-")),
        options={"overflow": "ellipsis", "ratio": 1},
    ),
    _Column(
        "user",
        lambda run: Text(one_line(run.user_id or "", 20)),
        110,
        options={"overflow": "ellipsis"},
    ),
    _Column("status", _status, options={}),
    _Column("time", lambda run: Text(duration(run.duration_ms)), 40),
    _Column("calls", lambda run: Text(count(run.calls)), 72),
    _Column(
        "tokens",
        lambda run: Text(sum_of(run.tokens_input + run.tokens_output, run.uncounted)),
        66,
    ),
    _Column("cost", lambda run: Text(money(run.cost_usd, run.unpriced)), 52),
)
