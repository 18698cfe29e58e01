"""``llmobs show``."""

from collections.abc import Iterator
from typing import Final

import click
from msgspec.structs import asdict, replace
from rich.text import Text

from llmobs.cli.options import json_option, limit_option, named_run, open_store, store_option
from llmobs.cli.output import console, notes, write_json
from llmobs.cli.waterfall import Waterfall, end_of
from llmobs.describe.events import error_line, error_of, warnings_of
from llmobs.describe.words import duration, moment, money, one_line, sum_of
from llmobs.events import RunEvent
from llmobs.store.engine import ReadsStore
from llmobs.store.records import MAX_CHILDREN, Evaluation, RunDetail, RunSummary

__all__ = ["show"]

MAX_EVALUATIONS: Final = 20
"""How many are shown."""
BAD: Final = ("failed", "hallucination")
"""Labels that are bad news."""


@click.command()
@click.argument("run", metavar="RUN")
@store_option
@click.option("--full", is_flag=True, help="Show texts whole, and stack traces.")
@limit_option(500, "How many events at most, beside the run's own.")
@json_option
def show(run: str, store: str | None, full: bool, limit: int, json: bool) -> None:
    """
    Show one run as a tree: times, tokens, cost, errors, what was asked and answered.

    RUN is its id, or enough of the beginning or end; what its caller called it; or: last.
    """
    with open_store(store) as reader:
        run_id = named_run(reader, run)
        detail = reader.run(run_id) if json else _read(reader, run_id, limit)
    if json:
        children = [asdict(child) for child in detail.children]
        write_json(
            {
                "run": asdict(detail.summary),
                "children": children,
                "evaluations": [asdict(one) for one in detail.evaluations],
                "events": detail.events,
            }
        )
        return
    out = console()
    for line in _heading(detail, full):
        out.print(line, soft_wrap=True)
    out.print()
    started = detail.summary.started
    # What a request leaves to the background lasts longer than the request.
    end = max([detail.summary.duration_ms, *(end_of(e, started) for e in detail.events)])
    drawing = Waterfall(out, started=started, total_ms=end, full=full)
    drawing.draw(detail.events)
    if detail.unreadable:
        notes().print(f"{detail.unreadable} events cannot be read by this llmobs", style="yellow")
    if detail.total > len(detail.events) + detail.unreadable:
        notes().print(
            f"the first {len(detail.events):,} of {detail.total:,} events; more with --limit",
            style="dim",
        )


def _read(reader: ReadsStore, run_id: str, limit: int) -> RunDetail:
    """Return a run with so many of its events: what the store gives at once is bounded in bytes, too."""
    detail = page = reader.run(run_id, limit=limit)
    events, unreadable = [*detail.events], detail.unreadable
    own = sum(isinstance(event, RunEvent) for event in events)
    while page.next is not None and (left := limit + own - len(events) - unreadable) > 0:
        page = reader.run(run_id, limit=left, after=page.next)
        events += (event for event in page.events if not isinstance(event, RunEvent))
        unreadable += page.unreadable
    return replace(detail, events=events, unreadable=unreadable)


def _heading(detail: RunDetail, full: bool) -> Iterator[Text]:
    run = detail.summary
    yield Text.assemble(("run ", "dim"), (one_line(run.run_id), "bold cyan"))
    outcome = " ".join(filter(None, (str(run.http_status or ""), run.outcome or "open")))
    yield Text.assemble(
        (f"{one_line(run.name or run.kind or 'job')}  ", "bold"),
        (one_line(outcome), "red" if run.failed else "green" if run.status else "yellow"),
    )
    yield Text(" · ".join(_sums(run)))
    if about := _about(detail):
        yield Text(about, style="dim")
    if run.parent_run_id:
        yield Text.assemble(("parent run ", "dim"), (one_line(run.parent_run_id), "cyan"))
    if detail.children:
        yield Text("child runs", style="dim")
    for child in detail.children:
        status = child.outcome or "open"
        yield Text.assemble(
            "  ",
            (one_line(child.run_id), "cyan"),
            f"  {one_line(child.name or child.kind or 'job', 60)}  ",
            (one_line(status), "red" if child.failed else "green" if child.status else "yellow"),
            f"  {duration(child.duration_ms)}",
        )
    if len(detail.children) == MAX_CHILDREN:
        yield Text(f"  more with llmobs runs --parent {one_line(run.run_id)}", style="dim")
    for one in detail.evaluations[:MAX_EVALUATIONS]:
        yield _evaluation(one)
    if (left := len(detail.evaluations) - MAX_EVALUATIONS) > 0:
        yield Text(f"  {left:,} evaluations more: llmobs show --json has them", style="dim")
    yield from _outcomes([event for event in detail.events if isinstance(event, RunEvent)], full)


def _outcomes(attempts: list[RunEvent], full: bool) -> Iterator[Text]:
    """Say how the run ended: the last attempt's error is the outcome, those before are its history."""
    for number, event in enumerate(attempts, 1):
        is_last = number == len(attempts)
        if error := error_of(event):
            attempt = (event.metadata or {}).get("attempt", number)
            which = "" if is_last else f"attempt {one_line(str(attempt), 20)}: "
            yield Text(f"✗ {which}{error_line(error)}", style="red" if is_last else "dim")
        for warning in warnings_of(event, full=full):
            yield Text(f"! {warning}", style="yellow")


def _evaluation(one: Evaluation) -> Text:
    score = None if one.score is None else f"{one.score:g}"
    by = None if one.source in (None, "code") else f"by {one.source}"
    words = [one_line(text, 60) for text in (score, one.label, one.explanation, by) if text]
    line = Text.assemble(("evaluation ", "dim"), one_line(one.name or "", 60), "  ")
    return line.append(" · ".join(words), "red" if one.label in BAD else "")


def _sums(run: RunSummary) -> Iterator[str]:
    yield f"{moment(run.started)} UTC"
    yield duration(run.duration_ms)
    if run.calls:
        yield f"{run.calls} call{'s' if run.calls > 1 else ''}"
        tokens = (sum_of(n, run.uncounted) for n in (run.tokens_input, run.tokens_output))
        yield "{} in + {} out".format(*tokens)
        yield f"cost {money(run.cost_usd, run.unpriced)}"
    if run.errors:
        yield f"{run.errors} failed"


def _about(detail: RunDetail) -> str:
    run = detail.summary
    values = {
        "user": run.user_id,
        "session": run.session_id,
        "client run id": run.client_run_id,
        "service": run.service_name if run.service_name != "unknown_service" else None,
        "environment": run.environment,
        "project": run.project_id if run.project_id != "default" else None,
        "release": run.release,
        "tags": " ".join(
            dict.fromkeys((*run.tags, *(tag for event in detail.events for tag in event.tags)))
        ),
        "trace": run.trace_id
        or next((event.trace_id for event in detail.events if event.trace_id), None),
        "stands for": f"{run.weight:g} runs" if run.weight != 1 else None,
    }
    return " · ".join(f"{name} {one_line(value, 60)}" for name, value in values.items() if value)
