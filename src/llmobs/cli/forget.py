"""``llmobs forget``."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final, Literal

import click
import msgspec
from rich.padding import Padding
from rich.text import Text

from llmobs import __version__
from llmobs.cli.options import (
    is_json_lines,
    json_option,
    spool_of,
    spool_option,
    store_option,
    store_path,
)
from llmobs.cli.output import ExitCode, console, write_json
from llmobs.codec import clean_text, encode
from llmobs.describe.words import one_line, several
from llmobs.errors import StoreNotFoundError
from llmobs.events import Event, RunEvent
from llmobs.pipeline.rewrite import (
    Rewritten,
    events_in,
    rewrite_lines,
    rewrite_spool,
    spooled_events,
)
from llmobs.redaction.scan import find
from llmobs.runtime.paths import create
from llmobs.sinks import safe_url
from llmobs.store.engine import ReadsStore, WritesStore, open_reader, open_writer
from llmobs.store.records import RunFilter, Selected, Selector

__all__ = ["forget"]

PAUSE_SECONDS: Final = 0.005
"""Between two steps: applications write meanwhile."""
PASSES: Final = 3
"""How often what arrived meanwhile is looked for again."""


class Erasure(msgspec.Struct):
    """The protocol: names nobody."""

    at: datetime
    by: str
    """What was asked for: a user, a session or a run."""
    selector: str | None
    """A hash of their id, with a key that is in the store only; None where there is no SQLite store."""
    llmobs: str
    dry_run: bool
    runs: int = 0
    """Erased as a whole, from the store."""
    shared_runs: int = 0
    """Others have a part in them: only events of theirs went."""
    events: int = 0
    """Erased from the store."""
    spooled_events: int = 0
    """Erased from the spool."""
    traces_overwritten: bool | None = None
    """Whether no file of the store holds anything of it any more; None where none was changed."""
    still_to_come: list[str] = []
    """What may arrive later, or could not be reached now."""
    out_of_reach: list[str] = []
    """Where copies may be that this cannot erase."""


@click.command()
@click.option(
    "--user", metavar="ID", help="Everything of this person; - reads the id from standard input."
)
@click.option("--session", metavar="ID", help="Everything of this session (conversation).")
@click.option("--run", metavar="ID", help="This run; its whole id.")
@store_option
@spool_option
@click.option("--dry-run", is_flag=True, help="Only say how much it would be.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--protocol", type=click.Path(path_type=Path, dir_okay=False), metavar="PATH",
    help="A line of JSON is added there. Default: beside the store, *.erasures.jsonl.",
)  # fmt: skip
@json_option
def forget(
    user: str | None,
    session: str | None,
    run: str | None,
    store: str | None,
    spool: Path | None,
    dry_run: bool,
    yes: bool,
    protocol: Path | None,
    json: bool,
) -> None:
    """
    Erase a person, a session or a run from the store and the spool, so that no byte of it is left.

    Runs in which others have a part lose the events that are theirs. Runs and hourly sums are then what
    they would be had it never been. The protocol says when and how much, and names nobody.
    """
    named: dict[Literal["user", "session", "run"], str | None] = {
        "user": user,
        "session": session,
        "run": run,
    }
    given = [Selector(kind, value) for kind, value in named.items() if value is not None]
    if len(given) != 1:
        raise click.UsageError("say whom or what: --user ID, --session ID or --run ID")
    (whom,) = given
    if whom.value == "-":
        whom = Selector(whom.kind, sys.stdin.readline().rstrip("\r\n"))
    whom = Selector(whom.kind, clean_text(whom.value))  # as it is stored
    if not whom.value:
        raise click.UsageError("an id cannot be empty")
    path, spool = store_path(store), spool_of(spool)
    if not path.is_file() and (store is not None or spool is None):
        raise StoreNotFoundError(f"there is no store at {path}: name one with --store PATH")
    if not dry_run and not yes and sys.stdin.isatty():
        click.confirm(f"Erase this {whom.kind} for good?", abort=True)
    done = Erasure(datetime.now(UTC), whom.kind, None, __version__, dry_run)
    if not dry_run:  # before anything is gone that nobody could write down
        protocol = protocol or path.with_name(f"{path.name}.erasures.jsonl")
        create(protocol)
    _erase(whom, path if path.is_file() else None, spool, done)
    done.still_to_come += _still_to_come(whom, done)
    done.out_of_reach = list(_out_of_reach(path))
    if protocol is not None and not dry_run:
        with protocol.open("ab") as file:
            file.write(encode(done) + b"\n")
    if json:
        write_json(done)
    else:
        _show(done, whom, path, spool, protocol)
    if done.traces_overwritten is False:
        raise click.exceptions.Exit(ExitCode.FAILED)


def _erase(whom: Selector, path: Path | None, spool: Path | None, done: Erasure) -> None:
    if path is None:
        if spool is not None:
            _from_spool(whom, spool, set(), set(), done)
        return
    if is_json_lines(path):
        _from_lines(whom, path, spool, done)
        return
    with open_reader(path) as reader:
        if done.dry_run:
            theirs = _count(reader, reader.select(whom), whom, done)
            if spool is not None:
                _from_spool(whom, spool, *theirs, done)
            return
        writer = open_writer(path)
        try:
            while writer.adopt():
                time.sleep(PAUSE_SECONDS)
            writer.finish_rewrites()
            done.selector = writer.keyed_hash(whom.value)
            # While we look, something may come, or leave the spool for the store.
            for _ in range(PASSES):
                before = done.events + done.spooled_events
                theirs = _from_store(reader, writer, whom, done)
                if spool is not None:
                    whole = _from_spool(whom, spool, *theirs, done)
                    _whole_runs(reader, writer, whole - theirs[0], whom, done)
                if done.events + done.spooled_events == before:
                    break
            done.traces_overwritten = writer.leave_no_trace()  # of an erasure before this one, too
        finally:
            writer.close()


def _count(
    reader: ReadsStore, found: Selected, whom: Selector, done: Erasure
) -> tuple[set[str], set[str]]:
    done.runs, done.shared_runs = len(found.whole), len(found.shared)
    done.events = sum(reader.count_events(RunFilter(run_id=run_id)) for run_id in found.whole)
    for run_id in found.shared:
        events = (stored.decode() for stored in reader.events(RunFilter(run_id=run_id)))
        done.events += sum(event is not None and whom.fits(event) for event in events)
    return set(found.whole), set(found.shared)


def _from_store(
    reader: ReadsStore, writer: WritesStore, whom: Selector, done: Erasure
) -> tuple[set[str], set[str]]:
    found = reader.select(whom)
    _whole_runs(reader, writer, found.whole, whom, done)
    unreadable = 0
    for run_id in found.shared:
        what = writer.rewrite(run_id, partial(_of_the_others, whom))
        done.events += what.removed
        done.shared_runs += what.changed + what.removed > 0
        unreadable += what.unreadable > 0
    if unreadable:
        words = f"{several(unreadable, 'run')} that others share, in which something cannot be read"
        done.still_to_come = [f"{words}: erase with --run"]
    return set(found.whole), set(found.shared)


def _of_the_others(whom: Selector, event: Event) -> Event | None:
    """Return what others keep of an event in a run that they share."""
    if not whom.fits(event):
        return event
    if not isinstance(event, RunEvent):
        return None
    bare = copy(event)  # how it ended is theirs, too
    bare.user_id = bare.session_id = bare.client_run_id = bare.metadata = bare.error = None
    bare.tags = bare.warnings = ()
    return bare


def _whole_runs(
    reader: ReadsStore,
    writer: WritesStore,
    runs: "set[str] | tuple[str, ...]",
    whom: Selector,
    done: Erasure,
) -> None:
    for run_id in runs:
        where = RunFilter(run_id=run_id)
        # What the spool says of a run is not all there is to know.
        if any(
            getattr(one, f"{whom.kind}_id") not in (None, whom.value)
            for one in reader.runs(1, where=where)
        ):
            continue
        events = reader.count_events(where)
        if writer.erase([run_id]):
            done.runs += 1
            done.events += events


def _from_lines(whom: Selector, path: Path, spool: Path | None, done: Erasure) -> None:
    """Erase from a file of JSON lines: whose its runs are is told by its lines, as in the spool."""
    concerned: set[str] = set()
    wholes: set[str] = set()
    found = Rewritten()
    for _ in range(1 if done.dry_run else PASSES):
        # What the spool says of a run holds for what the file has of it, and the other way round.
        waiting = spooled_events(spool) if spool is not None else ()
        whole, shared = _runs_of(whom, chain(events_in(path), waiting), set(), set())
        change = _changing(whom, whole, shared, concerned)
        found = rewrite_lines(path, change, dry_run=done.dry_run)
        wholes |= whole
        done.events += found.removed
        if not done.dry_run:
            done.traces_overwritten = done.traces_overwritten is not False and found.overwritten
        if spool is not None:
            _from_spool(whom, spool, whole, shared, done)
        if not found.removed + found.changed:
            break
    done.runs, done.shared_runs = len(concerned & wholes), len(concerned - wholes)
    if found.unreadable:
        what = f"{several(found.unreadable, 'line')} of {path.name} that this llmobs cannot read"
        done.still_to_come.append(what)


def _from_spool(
    whom: Selector, spool: Path, whole: set[str], shared: set[str], done: Erasure
) -> set[str]:
    """Erase what waits on disk; return the runs that are all theirs."""
    whole, shared = _runs_of(whom, spooled_events(spool), whole, shared)
    change = _changing(whom, whole, shared, set())
    found = rewrite_spool(spool, change, dry_run=done.dry_run)
    done.spooled_events += found.removed
    done.still_to_come = [words for words in done.still_to_come if "of the spool" not in words]
    if found.busy:
        done.still_to_come.append(
            f"{several(found.busy, 'file')} of the spool in use by a running process: run this again"
        )
    if found.unreadable:
        done.still_to_come.append(
            f"{several(found.unreadable, 'line')} of the spool that this llmobs cannot read"
        )
    if not found.overwritten:
        done.still_to_come.append(
            "a batch on disk that has another name, under which it is as it was"
        )
    return whole


def _runs_of(
    whom: Selector, events: Iterable[Event], whole: set[str], shared: set[str]
) -> tuple[set[str], set[str]]:
    """
    Return the runs that are all theirs, as far as *events* tell, with those that these started for nobody
    else; and the runs in which they have a part.

    Args:
        whom: Who they are.
        events: In any order.
        whole: Runs known to be theirs.
        shared: Runs known to be others', too.
    """
    theirs, others = set(whole), set(shared)
    started: dict[str, set[str]] = {}
    for event in events:
        if whom.fits(event):
            theirs.add(event.run_id)
        elif whom.fits_another(event):
            others.add(event.run_id)
        elif whom.kind == "user" and isinstance(event, RunEvent) and event.parent_run_id:
            started.setdefault(event.parent_run_id, set()).add(event.run_id)
    shared = (theirs & others) | shared
    theirs -= others
    waiting = list(theirs)
    while waiting:
        new = started.pop(waiting.pop(), set()) - theirs - others
        theirs |= new
        waiting += new
    return theirs, shared


def _changing(
    whom: Selector, whole: set[str], shared: set[str], concerned: set[str]
) -> Callable[[Event], Event | None]:
    """
    Return what makes of an event what is left of it.

    Of a run that came since *whole* and *shared* were looked for nobody knows yet whose it is.

    Args:
        whom: Who they are.
        whole: Runs that are theirs.
        shared: Runs in which they have a part.
        concerned: Gets the runs of which something changes.
    """

    def change(event: Event) -> Event | None:
        if event.run_id in whole:
            left = None
        elif event.run_id in shared:
            left = _of_the_others(whom, event)
        else:
            return event
        if left is not event:
            concerned.add(event.run_id)
        return left

    return change


def _still_to_come(whom: Selector, done: Erasure) -> Iterator[str]:
    if not done.dry_run:
        yield "what running applications hold: run this again when they have delivered it"
    if not done.events + done.spooled_events and find(whom.value):
        words = (
            "is of a kind that redaction takes out before it is stored: whose it was cannot be told"
        )
        yield f"this {whom.kind} id {words}"


def _out_of_reach(path: Path) -> Iterator[str]:
    for url in os.environ.get("LLMOBS_SINK", "").split():
        if not url.lower().startswith(("sqlite:", "console:", "memory:")):
            yield f"what was delivered to {safe_url(url)}"
    yield "what was delivered elsewhere before: Kafka, OTLP, HTTP, files"
    yield f"backups, exports and other copies of {path.name}; logs"


def _show(
    done: Erasure, whom: Selector, path: Path, spool: Path | None, protocol: Path | None
) -> None:
    out = console()
    verb = "would go" if done.dry_run else "erased"
    words = [several(done.runs, "run"), several(done.events, "event")]
    if done.shared_runs:
        words.insert(1, f"a part of {several(done.shared_runs, 'run')} that others share")
    lines = [("store", f"{', '.join(words)} {verb}", one_line(str(path)))]
    if spool is not None:
        lines.append(
            ("spool", f"{several(done.spooled_events, 'event')} {verb}", one_line(str(spool)))
        )
    for name, said, where in lines:
        out.print(Text.assemble((f"{name:<9}", "dim"), (said, "bold")), soft_wrap=True)
        out.print(Text(f"{'':<9}{where}", "dim"), soft_wrap=True)
    if done.traces_overwritten is not None:
        clean = done.traces_overwritten
        if clean:
            said = "no file of the store holds a byte of it any more"
        elif is_json_lines(path):
            said = "the file has another name, under which it is as it was"
        else:
            said = "somebody reads the store: its log holds it until they are done; run this again"
        out.print(Text.assemble((f"{'traces':<9}", "dim"), (said, "green" if clean else "red")))
    if not done.dry_run:
        out.print(Text.assemble(("protocol ", "dim"), one_line(str(protocol))), soft_wrap=True)
    for title, remarks in (
        ("still to come", done.still_to_come),
        ("out of reach", done.out_of_reach),
    ):
        if remarks:
            out.print()
            out.print(Text(title, "yellow" if remarks is done.still_to_come else "dim"))
        for remark in remarks:
            out.print(Padding(Text(f"· {one_line(remark)}"), (0, 0, 0, 2), expand=False))
