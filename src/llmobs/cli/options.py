"""Options that several commands share."""

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from llmobs.errors import ConfigurationError, StoreNotFoundError
from llmobs.events import Status
from llmobs.runtime.paths import path_of
from llmobs.runtime.units import age_of, bytes_of, rate_of
from llmobs.store.engine import ReadsStore, open_reader
from llmobs.store.records import RunFilter, RunNotFoundError

__all__ = [
    "as_age",
    "as_bytes",
    "as_rate",
    "filters",
    "json_option",
    "limit_option",
    "named_run",
    "open_store",
    "run_filter",
    "spool_of",
    "spool_option",
    "store_option",
    "store_path",
]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

store_option: Final = click.option(
    "--store",
    metavar="PATH",
    help="The SQLite or JSON lines file, or its URL. Default: the one LLMOBS_SINK names, else llmobs.db.",
)
spool_option: Final = click.option(
    "--spool", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="PATH",
    help="The directory of what waits on disk. Default: LLMOBS_SPOOL_DIR.",
)  # fmt: skip
json_option: Final = click.option("--json", is_flag=True, help="Write JSON, for programs.")


def limit_option(default: int, help: str) -> Callable[[F], F]:
    """Return the option that bounds how much is shown."""
    return click.option(
        "--limit", "-n", type=click.IntRange(min=1), metavar="N", default=default,
        show_default=True, help=help,
    )  # fmt: skip


def _reading(read: Callable[[str, str], T]) -> Callable[..., T | None]:
    """Return a callback of an option that *read* reads."""

    def callback(ctx: click.Context, option: click.Parameter, text: str | None) -> T | None:
        try:
            return None if text is None else read(text, option.opts[0])
        except ConfigurationError as error:
            raise click.UsageError(str(error), ctx) from None

    return callback


as_age: Final = _reading(age_of)
"""Callback of an option that is an age: ``30d``."""
as_bytes: Final = _reading(bytes_of)
"""Callback of an option that is a size: ``20GB``."""
as_rate: Final = _reading(rate_of)
"""Callback of an option that is a rate: ``100/s``."""


def _status(ctx: click.Context, option: click.Parameter, text: str | None) -> str | None:
    if text is None:
        return None
    status = "success" if text.lower() == "ok" else text.lower()
    if status not in list(Status):
        raise click.BadParameter(f"{text!r} is none of ok, {', '.join(Status)}")
    return status


_FILTERS: Final[dict[str, Callable[[Any], Any]]] = {
    "user": click.option("--user", metavar="ID", help="Only what this user asked for."),
    "session": click.option("--session", metavar="ID", help="Only this session (conversation)."),
    "tag": click.option("--tag", metavar="TAG", help="Only what carries this tag."),
    "status": click.option(
        "--status", metavar="STATUS", callback=_status,
        help=f"Only runs that ended so: ok, {', '.join(Status)}.",
    ),
    "failed": click.option(
        "--failed", is_flag=True, help="Only what failed, or in which anything did."
    ),
    "model": click.option(
        "--model", metavar="MODEL", help="Only this model; * stands for any characters."
    ),
    "name": click.option(
        "--name", metavar="TEXT", help="Only runs whose name (or route) contains this."
    ),
    "since": click.option(
        "--since", metavar="TIME", help="Only since then: 30m, 2h, 7d, today, 2026-11-21T14:00."
    ),
    "until": click.option("--until", metavar="TIME", help="Only before then; as --since."),
    "parent": click.option("--parent", metavar="RUN", help="Only runs that this run started."),
    "trace": click.option("--trace", metavar="ID", help="Only runs of this W3C trace."),
    "client_run_id": click.option(
        "--client-run-id", metavar="ID", help="Only runs that an untrusted caller gave this id."
    ),
}  # fmt: skip


def filters(*names: str) -> Callable[[F], F]:
    """Return the options *names* that choose among runs; see :func:`run_filter`."""

    def add(command: F) -> F:
        for name in reversed(names):
            command = _FILTERS[name](command)
        return command

    return add


_AGO: Final = re.compile(r"(\d{1,9})\s*([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DEFAULT: Final = "llmobs.db"


def store_path(given: str | None) -> Path:
    """
    Return the path of the store: the one given, else the first file that LLMOBS_SINK names.

    Raises:
        ConfigurationError: A ``sqlite:`` or ``jsonl:`` URL has no path.
    """
    # Settings would say the same, and load all that can be recorded.
    named = [given] if given else os.environ.get("LLMOBS_SINK", "").split()
    for kind in ("sqlite", "jsonl"):
        for url in named:
            if url.lower().startswith(f"{kind}:"):
                return Path(path_of(url, example=f"{kind}:///llmobs.db")).expanduser()
    return Path(given or _DEFAULT).expanduser()


def spool_of(given: Path | None) -> Path | None:
    """Return the spool's directory: the one given, else that of LLMOBS_SPOOL_DIR; None if there is none."""
    named = given or os.environ.get("LLMOBS_SPOOL_DIR")
    path = Path(named).expanduser() if named else None
    return path if path is not None and path.is_dir() else None


def open_store(given: str | None) -> ReadsStore:
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
        return open_reader(path)
    except StoreNotFoundError as error:
        hint = "" if given else " with --store PATH or LLMOBS_SINK=sqlite:///PATH"
        raise StoreNotFoundError(f"{error}{hint}") from None


def is_json_lines(path: Path) -> bool:
    """Whether *path* holds JSON lines, and not a SQLite database; an empty file, if it is named so."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError:
        return False
    if not head:
        return path.suffix in _OF_LINES
    return head.lstrip(b"\xef\xbb\xbf \r\n").startswith(b"{")


_OF_LINES: Final = frozenset({".jsonl", ".ndjson"})


def named_run(reader: ReadsStore, text: str) -> str:
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


def time_of(text: str | None, option: str) -> datetime | None:
    """Read the options ``--since`` and ``--until``."""
    if text is None:
        return None
    now = datetime.now(UTC)
    try:
        if match := _AGO.fullmatch(text.strip()):
            return now - timedelta(**{_UNITS[match[2]]: int(match[1])})
        day = f"{now.astimezone():%Y-%m-%d}" if text == "today" else text
        return datetime.fromisoformat(day).astimezone(UTC)  # without an offset it is local
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{text!r} is no time: write 30m, 2h, 7d, today, 2026-11-21 or 2026-11-21T14:00 (local; 14:00Z is UTC)",
            param_hint=option,
        ) from None


def run_filter(
    user: str | None = None,
    session: str | None = None,
    tag: str | None = None,
    status: str | None = None,
    failed: bool = False,
    model: str | None = None,
    name: str | None = None,
    since: str | None = None,
    until: str | None = None,
    run_id: str | None = None,
    client_run_id: str | None = None,
    parent: str | None = None,
    trace: str | None = None,
) -> RunFilter:
    """Return what the options of a command say about runs."""
    return RunFilter(
        run_id=run_id,
        client_run_id=client_run_id,
        parent_run_id=parent,
        trace_id=trace,
        user_id=user,
        session_id=session,
        tag=tag,
        status=status,
        failed=failed,
        model=model,
        name=name,
        since=time_of(since, "--since"),
        until=time_of(until, "--until"),
    )
