"""``llmobs cost``."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, Final, get_args

import click
from msgspec.structs import asdict
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llmobs.cli.options import filters, json_option, open_store, run_filter, store_option
from llmobs.cli.output import console, notes, write_json
from llmobs.describe.words import count, duration, money, one_line, sum_of
from llmobs.store.records import CostGroup, GroupBy

__all__ = ["cost"]


@click.command()
@store_option
@click.option(
    "--by", type=click.Choice(get_args(GroupBy)), default="model", show_default=True,
    help="What to add up by; days are UTC.",
)  # fmt: skip
@filters("user", "session", "tag", "model", "name", "since", "until")
@json_option
def cost(store: str | None, by: GroupBy, json: bool, **which: Any) -> None:
    """
    Add up calls, tokens, cost and times, per model or otherwise.

    p50 and p95 are how long half, and 95 of 100, of the calls took at most that did not fail. A call
    with several tags counts for each of them, in the total once.
    """
    where = run_filter(**which)
    remarks = notes()
    with open_store(store) as reader:
        quiet = json or not remarks.is_terminal
        with nullcontext() if quiet else remarks.status("adding up"):
            groups = reader.cost(by, where)
            # By another key each call is in one group only.
            total = _total(reader.cost("model", where) if by in ("tag", "prompt") else groups)
    if json:
        write_json({"by": by, "groups": groups, "total": asdict(total) | {"key": None}})
        return
    if not groups:
        remarks.print("no calls of a model" + ("" if where == run_filter() else " like this"))
        return
    out = console()
    out.print(_table(out, by, groups, total))
    if total.calls and total.estimated_calls != total.calls:
        remarks.print(
            f"these are the calls that were kept; with their weights about"
            f" {count(round(total.estimated_calls))} calls, {money(total.estimated_cost_usd)}",
            style="dim",
        )
    if total.unpriced:
        unknown = [one_line(group.key or "-", 40) for group in groups if group.unpriced]
        named = f" ({', '.join(unknown[:3])}{', …' if len(unknown) > 3 else ''})"
        remarks.print(
            Text(
                f"without a known price: {total.unpriced:,} of {total.calls:,} calls{named};"
                " give your own prices with LLMOBS_PRICES",
                style="yellow",
            ),
            soft_wrap=True,
        )


def _total(groups: Sequence[CostGroup]) -> CostGroup:
    """Return the sum of *groups*, without what cannot be added up: means and percentiles."""

    def add(name: str) -> Any:
        known = [value for group in groups if (value := getattr(group, name)) is not None]
        return sum(known) if known or not name.endswith("_usd") else None

    sums = {name: add(name) for name in CostGroup.__struct_fields__ if name in _ADDED}
    rest = dict.fromkeys(CostGroup.__struct_fields__)
    return CostGroup(**{**rest, **sums, "key": "total"})


_ADDED: Final = (
    "calls", "failed", "tokens_input", "tokens_output", "tokens_cached", "tokens_cache_write",
    "tokens_reasoning", "cost_usd", "unpriced", "uncounted", "estimated_calls",
    "estimated_cost_usd",
)  # fmt: skip


def _table(out: Console, by: GroupBy, groups: Sequence[CostGroup], total: CostGroup) -> Table:
    table = Table(
        box=None,
        padding=(0, 1, 0, 0),
        header_style="bold",
        show_footer=True,
        expand=out.is_terminal,
    )
    sums = {
        "calls": count(total.calls),
        "failed": count(total.failed),
        "in": sum_of(total.tokens_input, total.uncounted),
        "cached": count(total.tokens_cached),
        "out": sum_of(total.tokens_output, total.uncounted),
        "p50": "",
        "p95": "",
        "cost": money(total.cost_usd, total.unpriced),
    }
    table.add_column(by, "total", no_wrap=True, overflow="ellipsis", ratio=1, footer_style="bold")
    for title, figure in sums.items():
        table.add_column(title, figure, justify="right", no_wrap=True, footer_style="bold")
    for group in groups:
        table.add_row(
            Text(one_line(group.key or "-")),
            Text(count(group.calls)),
            Text(count(group.failed), style="red" if group.failed else "dim"),
            Text(sum_of(group.tokens_input, group.uncounted)),
            Text(count(group.tokens_cached)),
            Text(sum_of(group.tokens_output, group.uncounted)),
            Text(duration(group.latency_p50_ms)),
            Text(duration(group.latency_p95_ms)),
            Text(money(group.cost_usd, group.unpriced)),
        )
    return table
