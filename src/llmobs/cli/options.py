"""Options that several commands share."""

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from llmobs.errors import StoreNotFoundError
from llmobs.events import Status
from llmobs.sinks import path_of
from llmobs.store.reader import Reader
from llmobs.store.records import RunFilter, RunNotFoundError

__all__ = [
    "ClientRunOption",
    "FailedOption",
    "JsonOption",
    "ModelOption",
    "NameOption",
    "SinceOption",
    "StatusOption",
    "StoreOption",
    "UserOption",
    "named_run",
    "open_store",
    "run_filter",
    "store_path",
]

StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="PATH",
        show_default=False,
        help="The SQLite or JSON lines file, or its URL. Default: the one LLMOBS_SINK names, else llmobs.db.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
UserOption = Annotated[
    str | None, typer.Option("--user", metavar="ID", help="Only runs of this user.")
]
ClientRunOption = Annotated[
    str | None,
    typer.Option(
        "--client-run-id", metavar="ID", help="Only runs that an untrusted caller gave this id."
    ),
]


def _status(text: str) -> str:
    status = "success" if text.lower() == "ok" else text.lower()
    if status not in list(Status):
        raise typer.BadParameter(f"{text!r} is none of ok, {', '.join(Status)}")
    return status


StatusOption = Annotated[
    str | None,
    typer.Option(
        parser=_status, metavar="STATUS", help=f"Only runs that ended so: ok, {', '.join(Status)}."
    ),
]
FailedOption = Annotated[
    bool, typer.Option("--failed", help="Only runs that failed, or in which anything did.")
]
ModelOption = Annotated[
    str | None,
    typer.Option(metavar="MODEL", help="Only this model; * stands for any characters."),
]
NameOption = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Only runs whose name (or route) contains this."),
]
SinceOption = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Only since then: 30m, 2h, 7d, today, 2026-11-21T14:00."),
]

_AGO: Final = re.compile(r"(\d{1,9})\s*([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DEFAULT: Final = "llmobs.db"


def store_path(given: str | None) -> Path:
    """
    Return the path of the store: the one given, else the first file that LLMOBS_SINK names.

    Raises:
        ConfigurationError: A ``sqlite:`` or ``jsonl:`` URL has no path.
    """
    # Settings would say the same, half a second later.
    named = [given] if given else os.environ.get("LLMOBS_SINK", "").split()
    for kind in ("sqlite", "jsonl"):
        for url in named:
            if url.lower().startswith(f"{kind}:"):
                return Path(path_of(url, example=f"{kind}:///llmobs.db")).expanduser()
    return Path(given or _DEFAULT).expanduser()


def open_store(given: str | None) -> Reader:
    """
    Open the store for reading.

    Raises:
        StoreNotFoundError: There is none yet.
        StoreError: It is damaged, or from a newer llmobs.
    """
    path = store_path(given)
    try:
        if is_json_lines(path):
            from llmobs.cli.lines import LinesReader

            return LinesReader(path)
        return Reader(path)
    except StoreNotFoundError as error:
        hint = "" if given else " with --store PATH or LLMOBS_SINK=sqlite:///PATH"
        raise StoreNotFoundError(f"{error}{hint}") from None


def is_json_lines(path: Path) -> bool:
    """Whether *path* holds JSON lines, and not a SQLite database."""
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip(b"\xef\xbb\xbf \r\n").startswith(b"{")
    except OSError:
        return False


def named_run(reader: Reader, text: str) -> str:
    """
    Return the id of the run that the command line names: by its id or part of it, or as ``last``.

    Raises:
        RunNotFoundError: There is none.
        AmbiguousRunError: There are several.
    """
    wanted = text.strip().removeprefix("…")
    if wanted != "last":
        return reader.resolve(wanted)
    latest = reader.runs(1)
    if not latest:
        raise RunNotFoundError("the store has no runs yet")
    return latest[0].run_id


def since_time(text: str | None) -> datetime | None:
    """Read the option ``--since``."""
    if text is None:
        return None
    now = datetime.now(UTC)
    try:
        if match := _AGO.fullmatch(text.strip()):
            return now - timedelta(**{_UNITS[match[2]]: int(match[1])})
        if text == "today":
            return now.replace(hour=0, minute=0, second=0, microsecond=0)
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is no time: write 30m, 2h, 7d, today, 2026-11-21 or 2026-11-21T14:00 (UTC)",
            param_hint="--since",
        ) from None


def run_filter(
    user: str | None = None,
    status: str | None = None,
    failed: bool = False,
    model: str | None = None,
    name: str | None = None,
    since: str | None = None,
    run_id: str | None = None,
    client_run_id: str | None = None,
) -> RunFilter:
    """Return what the options of a command say about runs."""
    return RunFilter(
        run_id=run_id,
        client_run_id=client_run_id,
        user_id=user,
        status=status,
        failed=failed,
        model=model,
        name=name,
        since=since_time(since),
    )
