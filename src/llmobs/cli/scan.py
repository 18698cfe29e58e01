"""``llmobs scan``."""

import time
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from rich.text import Text

from llmobs.cli.findings import Inspector, rules_of, rules_options, table
from llmobs.cli.options import (
    is_json_lines,
    json_option,
    spool_of,
    spool_option,
    store_option,
    store_path,
)
from llmobs.cli.output import ExitCode, console, write_json
from llmobs.describe.words import one_line, several
from llmobs.errors import StoreNotFoundError
from llmobs.pipeline.replacing import Replacement, locked_file
from llmobs.pipeline.rewrite import Rewritten, rewrite_lines, rewrite_spool
from llmobs.store.engine import ReadsStore, open_reader, open_writer

__all__ = ["scan"]

PAUSE_SECONDS: Final = 0.005
"""Between two steps: applications write meanwhile."""
PASSES: Final = 3
"""How often what was stored meanwhile is looked at."""


class ScanReport(msgspec.Struct):
    """What was found in one place."""

    place: str
    events: int
    found: list[dict[str, Any]]
    fixed: int = 0
    """Events that are another now."""
    left: tuple[str, ...] = ()
    """What could not be looked into or fixed."""


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@store_option
@spool_option
@rules_options
@click.option("--fix", is_flag=True, help="Redact in place, so that no byte of it is left.")
@json_option
def scan(
    files: tuple[Path, ...],
    store: str | None,
    spool: Path | None,
    kinds: tuple[str, ...],
    redaction: str | None,
    fix: bool,
    json: bool,
) -> None:
    """
    Find what an older version, or a rule that was off, left in the store and the spool, or in FILES.

    Says how often, by kind and field, never what. With --fix it is redacted where it lies, while
    applications write; other files than llmobs's own must be nobody's. Exit code 5: found, and not fixed.
    """

    def inspector() -> Inspector:
        return Inspector(rules_of(redaction, kinds))

    reports = [(_store if _is_store(path) else _file)(path, inspector(), fix) for path in files]
    spool = spool_of(spool)
    if not files or store is not None:
        path = store_path(store)
        if path.exists():
            look = _file if is_json_lines(path) else _store
            reports.append(look(path, inspector(), fix))
        elif store is not None or spool is None:
            raise StoreNotFoundError(f"there is no store at {path}: name one with --store PATH")
    if spool is not None and (not files or store is not None):
        reports.append(_spool(spool, inspector(), fix))
    if json:
        write_json({"places": reports})
    else:
        _show(reports, fix)
    if any((report.found and not fix) or (fix and report.left) for report in reports):
        raise click.exceptions.Exit(ExitCode.FOUND)


def _store(path: Path, look: Inspector, fix: bool) -> ScanReport:
    with open_reader(path) as reader:
        progress = _Progress()
        concerned = _in_events(reader, look, progress)
        concerned |= _beside_events(reader, look, concerned)
        for name, word in reader.words_of_sums():
            look.text(f"hourly sums: {name}", word)
        report = _report(path, look)
        if fix:
            _fix(path, reader, look, concerned, progress, report)
    if progress.unreadable:
        what = several(progress.unreadable, "event")
        report.left = (*report.left, f"{what} that this llmobs cannot read: left alone")
    return report


def _fix(
    path: Path,
    reader: ReadsStore,
    look: Inspector,
    concerned: set[str],
    progress: "_Progress",
    report: ScanReport,
) -> None:
    writer = open_writer(path)
    try:
        while writer.adopt():
            time.sleep(PAUSE_SECONDS)
        writer.finish_rewrites()
        for _ in range(PASSES):
            for run_id in concerned:
                report.fixed += writer.rewrite(run_id, look.redacted).changed
            concerned = _in_events(reader, look, progress)
            if not concerned:
                break
        writer.redact_sums(lambda word: look.text("", word))
        if not writer.leave_no_trace():  # what was fixed before may be in the log still
            what = "somebody reads the store, whose log holds what was there until they are done"
            report.left = (*report.left, f"{what}: run this again")
    finally:
        writer.close()


class _Progress:
    """How far the events of a store were looked at."""

    last = 0
    """Number of the last one."""
    unreadable = 0


def _in_events(reader: ReadsStore, look: Inspector, progress: _Progress) -> set[str]:
    """Return the runs in whose events something is found, of those that came since the last look."""
    concerned: set[str] = set()
    for stored in reader.events(after=progress.last):
        progress.last = stored.id
        event = stored.decode()
        if event is None:
            progress.unreadable += 1
        elif look.redacted(event) is not event:
            concerned.add(stored.run_id)
    return concerned


def _beside_events(reader: ReadsStore, look: Inspector, known: set[str]) -> set[str]:
    """Return the runs, but for those *known*, of which something is found elsewhere."""
    concerned = {run_id for run_id, part in reader.parts() if look.redacted(part) is not part}
    concerned |= {id for id, text in reader.left_over() if look.text("messages", text) != text}
    for run in reader.runs_as_events():
        if run.run_id not in known and not look.is_run_clean(run):
            concerned.add(run.run_id)
    return concerned


def _spool(directory: Path, look: Inspector, fix: bool) -> ScanReport:
    done = rewrite_spool(directory, look.redacted, dry_run=not fix)
    report = _report(directory, look)
    _say_what_is_left(report, done, fix)
    if done.busy:
        what = f"{several(done.busy, 'file')} in use by a running process"
        report.left = (*report.left, f"{what}: run this again")
    if done.unreadable:
        what = f"{several(done.unreadable, 'line')} that this llmobs cannot read"
        report.left = (*report.left, what)
    return report


def _say_what_is_left(report: ScanReport, done: Rewritten, fix: bool) -> None:
    if not fix:
        return
    report.fixed = done.changed
    if not done.overwritten:
        report.left = ("a file has another name, under which it is as it was",)


def _is_store(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"


def _file(path: Path, look: Inspector, fix: bool) -> ScanReport:
    if is_json_lines(path):
        done = rewrite_lines(
            path, look.redacted, lambda line: _redacted(line, look), dry_run=not fix
        )
        report = _report(path, look)
        _say_what_is_left(report, done, fix)
        return report
    data = path.read_bytes()
    clean = _redacted(data, look)
    report = _report(path, look)
    if fix and report.found and b"\0" in data:
        report.left = ("it is no text: it is left alone",)
    elif fix and report.found:
        path = path.resolve()
        with locked_file(path) as old:
            new = Replacement(path, old, path.with_name(f".{path.name}.new"))
            new.file.write(clean)
            _say_what_is_left(report, Rewritten(changed=1, overwritten=new.take_over()), fix)
    return report


def _redacted(data: bytes, look: Inspector) -> bytes:
    text = data.decode("utf-8", "surrogateescape")
    return look.text("text", text).encode("utf-8", "surrogateescape")


def _report(path: Path, look: Inspector) -> ScanReport:
    found: list[dict[str, Any]] = [
        {"kind": kind, "field": field, "found": times}
        for (kind, field), times in sorted(look.found.items())
    ]
    return ScanReport(str(path), look.events, found)


def _show(reports: list[ScanReport], fix: bool) -> None:
    out = console()
    for number, report in enumerate(reports):
        if number:
            out.print()
        events = several(report.events, "event") if report.events else ""
        head = Text.assemble((one_line(report.place), "bold"), "  ", (events, "dim"))
        out.print(head, soft_wrap=True)
        if not report.found:
            out.print("nothing found", style="green")
        else:
            rows = [(str(f["kind"]), str(f["field"]), f"{f['found']:,}") for f in report.found]
            out.print(table(("kind", "field", "#found"), rows))
        if report.fixed:
            out.print(f"✓ redacted in place: {report.fixed:,}", style="green")
        elif report.found and not fix:
            out.print("→ llmobs scan --fix redacts it in place", style="dim")
        for words in report.left:
            out.print(f"! {words}", style="yellow")
