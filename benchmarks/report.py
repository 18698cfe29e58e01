"""Results for eyes: a table in the terminal, a section of RESULTS.md."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.harness import Result, show

_HEAD = """\
# Benchmarks

Written by `make bench`; read ratios rather than absolute figures, the machine is shared and small.
Floors are the same job by hand, without redaction, bounds, retries or accounting. Variants are
measured in interleaved rounds, each in a process of its own; figures are medians unless a note
says otherwise. The event is 2 KB of prompt, 1 KB of answer, model, tokens, latency, cost, 5
metadata keys and 3 tags. Peers run in the first three rounds; their pins and how they are driven
are in `benchmarks/peers`.
"""


def to_terminal(result: Result) -> None:
    """Print the table."""
    table = Table(title=result.title, title_justify="left", caption_justify="left")
    for number, column in enumerate(result.columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=not number)
    for row in result.rows:
        table.add_row(*map(show, row))
    out = Console(width=None if sys.stdout.isatty() else 140)
    out.print(table)
    for budget in result.budgets:
        out.print(f"  {'[green]✓' if budget.met else '[red]✗'}[/] {budget}", highlight=False)
    if result.notes:
        out.print(f"  [dim]{result.notes}[/]", highlight=False)
    out.print()


def to_markdown(result: Result) -> str:
    """The same as a section."""
    lines = [
        f"{result.title}",
        "",
        "| " + " | ".join(result.columns) + " |",
        "|---|" + "---:|" * (len(result.columns) - 1),
        *("| " + " | ".join(map(show, row)) + " |" for row in result.rows),
        "",
    ]
    lines += [f"- {'✓' if budget.met else '✗'} {budget}" for budget in result.budgets]
    if result.notes:
        lines += ["", result.notes]
    machine = (
        f"{os.cpu_count()} processors, {platform.system()}, Python {platform.python_version()}"
    )
    lines += ["", f"<sub>{datetime.now(UTC):%Y-%m-%d}, {machine}</sub>", ""]
    return "\n".join(lines)


def update(path: Path, name: str, section: str, order: Sequence[str]) -> None:
    """Put *section* into the file in place of the one of the same name."""
    text = path.read_text() if path.exists() else ""
    parts = dict(re.findall(r"^## (\w+)\n\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    parts[name] = section
    known = [*(n for n in order if n in parts), *(n for n in parts if n not in order)]
    path.write_text(_HEAD + "".join(f"\n## {n}\n\n{parts[n].rstrip()}\n" for n in known))
