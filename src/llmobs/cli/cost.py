"""``llmobs cost``."""

from collections.abc import Sequence
from typing import Any, get_args

import click
from msgspec.structs import asdict
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llmobs.cli.options import filters, json_option, open_store, run_filter, store_option
from llmobs.cli.output import console, notes, write_json
from llmobs.cli.text import count, duration, money, one_line, sum_of
from llmobs.store.records import CostGroup, GroupBy

__all__ = ["cost"]


@click.command()
@store_option
@click.option(
    "--by", type=click.Choice(get_args(GroupBy)), default="model", show_default=True,
    help="Add up by model, provider, day (UTC) or route.",
)  # fmt: skip
@filters("user", "model", "name", "since")
@json_option
def cost(store: str | None, by: GroupBy, json: bool, **which: Any) -> None:
    """Add up calls, tokens and cost, per model or otherwise."""
    where = run_filter(**which)
    remarks = notes()
    with open_store(store) as reader:
        if remarks.is_terminal and not json:
            with remarks.status("adding up"):
                groups = reader.cost(by, where)
        else:
            groups = reader.cost(by, where)
    total = _total(groups)
    if json:
        write_json({"by": by, "groups": groups, "total": asdict(total) | {"key": None}})
        return
    if not groups:
        remarks.print("no calls of a model" + ("" if where == run_filter() else " like this"))
        return
    out = console()
    out.print(_table(out, by, groups, total))
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
    known = [group.cost_usd for group in groups if group.cost_usd is not None]
    return CostGroup(
        key="total",
        calls=sum(group.calls for group in groups),
        failed=sum(group.failed for group in groups),
        tokens_input=sum(group.tokens_input for group in groups),
        tokens_output=sum(group.tokens_output for group in groups),
        tokens_cached=sum(group.tokens_cached for group in groups),
        cost_usd=sum(known) if known else None,
        unpriced=sum(group.unpriced for group in groups),
        uncounted=sum(group.uncounted for group in groups),
        latency_ms=None,
    )


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
        "mean": "",
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
            Text(duration(group.latency_ms)),
            Text(money(group.cost_usd, group.unpriced)),
        )
    return table
