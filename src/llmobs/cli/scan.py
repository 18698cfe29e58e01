"""``llmobs scan``."""

import os
import time
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from rich.text import Text

from llmobs.cli.findings import Inspector, kind_option, table
from llmobs.cli.options import (
    is_json_lines,
    json_option,
    spool_of,
    spool_option,
    store_option,
    store_path,
)
from llmobs.cli.output import ExitCode, console, write_json
from llmobs.codec import decode, encode
from llmobs.describe.words import one_line, several
from llmobs.errors import StoreNotFoundError
from llmobs.events import Event
from llmobs.pipeline.rewrite import rewrite_spool, spooled_events
from llmobs.redaction.redactor import redact_text
from llmobs.store.engine import open_reader, open_writer
from llmobs.store.records import GroupBy

__all__ = ["scan"]

PAUSE_SECONDS: Final = 0.005
"""Between two steps: applications write meanwhile."""
_WORDS: Final[tuple[GroupBy, ...]] = ("model", "provider", "route", "release")


class Place(msgspec.Struct):
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
@kind_option
@click.option("--fix", is_flag=True, help="Redact in place, so that no byte of it is left.")
@json_option
def scan(
    files: tuple[Path, ...],
    store: str | None,
    spool: Path | None,
    kinds: tuple[str, ...],
    fix: bool,
    json: bool,
) -> None:
    """
    Find what an older version, or a rule that was off, left in the store and the spool, or in FILES.

    Says how often, by kind and field, never what. With --fix it is redacted where it lies, while
    applications write; files must be nobody's. Exit code 5: found, and not fixed.
    """
    places = [(_store if _is_store(path) else _file)(path, Inspector(kinds), fix) for path in files]
    spool = spool_of(spool)
    if not files or store is not None:
        path = store_path(store)
        if path.exists():
            look = _file if is_json_lines(path) else _store
            places.append(look(path, Inspector(kinds), fix))
        elif store is not None or spool is None:
            raise StoreNotFoundError(f"there is no store at {path}: name one with --store PATH")
    if spool is not None and (not files or store is not None):
        places.append(_spool(spool, Inspector(kinds), fix))
    if json:
        write_json({"places": places})
    else:
        _show(places, fix)
    if any((place.found and not fix) or (fix and place.left) for place in places):
        raise click.exceptions.Exit(ExitCode.FOUND)


def _store(path: Path, look: Inspector, fix: bool) -> Place:
    concerned: dict[str, None] = {}
    unreadable = 0
    with open_reader(path) as reader:
        for stored in reader.events():
            event = stored.decode()
            if event is None:
                unreadable += 1
            elif look.redacted(event) is not event:
                concerned[stored.run_id] = None
        for by in _WORDS:
            for group in reader.cost(by):
                look.word(f"hourly sums: {by}", group.key or "")
    place = _place(path, look)
    if unreadable:
        what = f"{several(unreadable, 'event')} that this llmobs cannot read"
        place.left = (f"{what}, and their runs, are left alone",)
    if fix:  # what was fixed before may be in the log still
        writer = open_writer(path)
        try:
            while writer.adopt():
                time.sleep(PAUSE_SECONDS)
            fixing = Inspector(look.kinds)
            for run_id in concerned:
                place.fixed += writer.rewrite(run_id, fixing.redacted)[0]
                time.sleep(PAUSE_SECONDS)
            writer.redact_sums(partial(redact_text, kinds=look.kinds or None))
            if not writer.leave_no_trace():
                what = (
                    "somebody reads the store, whose log holds what was there until they are done"
                )
                place.left = (*place.left, f"{what}: run this again")
        finally:
            writer.close()
    return place


def _spool(directory: Path, look: Inspector, fix: bool) -> Place:
    if not fix:
        for event in spooled_events(directory):
            look.redacted(event)
        return _place(directory, look)
    done = rewrite_spool(directory, look.redacted)
    place = _place(directory, look)
    place.fixed = done.changed
    if done.busy:
        what = f"{several(done.busy, 'file')} in use by a running process"
        place.left = (f"{what}: run this again",)
    if done.unreadable:
        place.left = (
            *place.left,
            f"{several(done.unreadable, 'line')} that this llmobs cannot read",
        )
    return place


def _is_store(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"


def _file(path: Path, look: Inspector, fix: bool) -> Place:
    clean: list[bytes] = []
    fixed = 0
    with path.open("rb") as file:
        if _read(file.readline()) is None:
            file.seek(0)
            clean.append(_redacted(file.read(), look))
            fixed = 1
        else:
            file.seek(0)
            for line in file:
                if (event := _read(line)) is None:
                    clean.append(_redacted(line, look))
                    continue
                new = look.redacted(event)
                fixed += new is not event
                clean.append(line if new is event else encode(new) + b"\n")
    place = _place(path, look)
    data = b"".join(clean)
    if fix and place.found and b"\0" in data:
        place.left = ("it is no text: it is left alone",)
    elif fix and place.found:
        _replace(path.resolve(), data)
        place.fixed = fixed
    return place


def _redacted(data: bytes, look: Inspector) -> bytes:
    text = data.decode("utf-8", "surrogateescape")
    look.word("text", text)
    return redact_text(text, look.kinds or None).encode("utf-8", "surrogateescape")


def _read(line: bytes) -> Event | None:
    try:
        return decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _replace(path: Path, data: bytes) -> None:
    new = path.with_name(f".{path.name}.new")
    try:
        with new.open("xb") as file:
            os.fchmod(file.fileno(), path.stat().st_mode & 0o777)
            file.write(data)
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _place(path: Path, look: Inspector) -> Place:
    found: list[dict[str, Any]] = [
        {"kind": kind, "field": field, "found": times}
        for (kind, field), times in sorted(look.found.items())
    ]
    return Place(str(path), look.events, found)


def _show(places: list[Place], fix: bool) -> None:
    out = console()
    for number, place in enumerate(places):
        if number:
            out.print()
        events = several(place.events, "event") if place.events else ""
        head = Text.assemble((one_line(place.place), "bold"), "  ", (events, "dim"))
        out.print(head, soft_wrap=True)
        if not place.found:
            out.print("nothing found", style="green")
        else:
            rows = [(str(f["kind"]), str(f["field"]), f"{f['found']:,}") for f in place.found]
            out.print(table(("kind", "field", "#found"), rows))
        if place.fixed:
            out.print(f"✓ redacted in place: {place.fixed:,}", style="green")
        elif place.found and not fix:
            out.print("→ llmobs scan --fix redacts it in place", style="dim")
        for words in place.left:
            out.print(f"! {words}", style="yellow")
