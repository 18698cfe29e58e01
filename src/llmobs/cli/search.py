"""``llmobs search``."""

import shlex
from datetime import UTC, datetime
from typing import Any, Final

import click
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
from llmobs.cli.output import console, notes, write_json
from llmobs.describe.words import several, short_id, visible
from llmobs.errors import LLMObsError
from llmobs.store.records import Found, QueryError, Snippet

__all__ = ["search"]

INDEX_SECONDS: Final = 5.0
"""That indexing may take first: where no server does it, what came since the last search."""


@click.command()
@click.argument("text")
@store_option
@limit_option(20, "How many at most.")
@filters("user", "session", "tag", "status", "failed", "model", "name", "since", "until")
@click.option("--before", metavar="CURSOR", help="Go on where the page before ended.")
@json_option
def search(
    text: str, store: str | None, limit: int, before: str | None, json: bool, **which: Any
) -> None:
    """
    Find events by words of their prompts, answers, tools and errors, the latest first.

    All words of TEXT must stand in an event; words in double quotes must stand together.
    """
    where = run_filter(**which)
    after = None if before is None else _cursor(before)
    with open_store(store) as reader:
        try:
            reader.index_texts(INDEX_SECONDS)
        except LLMObsError as error:
            notes().print(f"what came lately may be missing: {error}", style="yellow")
        try:
            found = reader.search(text, limit, before=after, where=where)
        except QueryError as error:
            raise click.UsageError(str(error)) from None
    if json:
        write_json(found)
        return
    if found.hits:
        console().print(_table(found))
    else:
        notes().print("nothing like this")
    _say_what_is_left(found)


def _cursor(text: str) -> tuple[datetime, str]:
    moment, _, event_id = text.partition("/")
    try:
        return datetime.fromisoformat(moment).astimezone(UTC), event_id
    except (ValueError, OverflowError):
        words = f"{text!r} is no cursor: write what the page before ended with"
        raise click.BadParameter(words, param_hint="--before") from None


def _table(found: Found) -> Table:
    out = console()
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", expand=out.is_terminal)
    table.add_column("run", style="cyan", no_wrap=True)
    table.add_column("UTC", no_wrap=True)
    table.add_column("found", ratio=1)
    for hit in found.hits:
        table.add_row(
            short_id(hit.run.run_id), f"{hit.timestamp:%m-%d %H:%M:%S}", _marked(hit.snippet)
        )
    return table


def _marked(snippet: tuple[Snippet, ...]) -> Text:
    text = Text()
    for part in snippet:
        text.append(visible(part.text), "bold yellow" if part.hit else "")
    return text


def _say_what_is_left(found: Found) -> None:
    if found.older is not None:
        moment, event_id = found.older
        so_far = "there are more"
        if found.searched_to is not None:
            so_far = f"searched back to {found.searched_to:%Y-%m-%d %H:%M:%S} UTC"
        cursor = shlex.quote(visible(f"{moment.isoformat()}/{event_id}"))
        notes().print(f"{so_far}; go on with --before {cursor}", style="dim")
    if found.waiting.events:
        notes().print(
            f"{several(found.waiting.events, 'event')} of {found.waiting.of:,} are not indexed yet, and so not "
            "found: search again, or let llmobs serve do it",
            style="yellow",
        )
