"""What is asked for: the filters, the stretch of time and the place in a list that an address holds."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import nan
from typing import Any, Final, Literal
from urllib.parse import quote_plus

import msgspec

from llmobs.answers.errors import AddressError
from llmobs.store.records import RunFilter, to_microseconds

__all__ = [
    "FILTERS",
    "LIMIT",
    "MAX_LENGTH",
    "MAX_LIMIT",
    "PAGING",
    "PARTS",
    "PERIODS",
    "TEXT",
    "Asked",
    "Part",
    "braced",
    "cursor_after",
    "read_address",
]

PERIODS: Final[Mapping[str, timedelta]] = {
    "1h": timedelta(hours=1),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
"""Stretches of time up to now, by what they are called."""


class Part(msgspec.Struct, frozen=True):
    """Something that an address may say."""

    words: str
    """What it asks for."""
    field: str = ""
    """Of `RunFilter`, where it is no more than that."""
    kind: Literal["text", "number", "integer", "score", "time"] = "text"
    pattern: str = ""
    """A regular expression that it fits; empty: any text."""


FILTERS: Final[Mapping[str, Part]] = {
    "period": Part(
        f"The stretch of time up to now: {', '.join(PERIODS)} or all.",
        pattern=f"^({'|'.join(PERIODS)}|all)$",
    ),
    "since": Part("Runs that began at this time or later, instead of a period.", "since", "time"),
    "until": Part("Runs that began before this time.", "until", "time"),
    "model": Part("Runs that asked this model; * stands for any characters.", "model"),
    "name": Part("Runs whose route or name contains this, whatever the case.", "name"),
    "status": Part(
        "Runs that ended so; failed: also those in which anything did; running; cut off.", "status"
    ),
    "tag": Part("Runs that carry exactly this tag.", "tag"),
    "user": Part("Runs of this user.", "user_id"),
    "session": Part("Runs of this session.", "session_id"),
    "trace": Part("Runs that are part of this W3C trace.", "trace_id"),
    "parent": Part("Runs that this run started.", "parent_run_id"),
    "route": Part("Runs of exactly this name.", "route"),
    "release": Part("Runs of this version of the application.", "release"),
    "service": Part("Runs that this service recorded.", "service_name"),
    "error": Part(
        "Runs in which something failed for this cause: a fingerprint that errors told.", "error"
    ),
    "calls": Part(
        "Runs with calls of models (of this model, if one is given): any; failed; streamed.",
        "calls",
        pattern="^(any|failed|streamed)$",
    ),
    "prompt": Part("Runs that asked with exactly this template of a prompt.", "prompt"),
    "project": Part("Runs of this project; a key for one project sees no other.", "project_id"),
    "cost": Part("Runs that cost at least so many US dollars.", "min_cost_usd", "number"),
    "latency": Part("Runs that took at least so many milliseconds.", "min_latency_ms", "number"),
    "tokens": Part("Runs that used at least so many tokens.", "min_tokens", "number"),
    "evaluation": Part("Runs with an evaluation of exactly this name.", "evaluation"),
    "label": Part("Runs with an evaluation that says exactly this word.", "evaluation_label"),
    "score": Part("Runs with an evaluation of at least this score.", "min_score", "score"),
    "score_to": Part("Runs with an evaluation of at most this score.", "max_score", "score"),
}
"""Which runs are asked about."""
LIMIT: Final = Part("How many things to tell at most.", kind="integer")
PAGING: Final[Mapping[str, Part]] = {
    "cursor": Part("Where to go on: next_cursor of the answer before.", pattern=r"^-?[0-9]{1,18} "),
    "limit": LIMIT,
}
"""Where in a list that is ordered by time."""
SIDES: Final[Mapping[str, Part]] = {
    "by": Part(
        "What is compared: run, model, release or prompt.", pattern="^(run|model|release|prompt)$"
    ),
    "left": Part("One of the two: the id of a run, or a name."),
    "right": Part("The other one."),
}
"""What is beside what."""
TEXT: Final[Mapping[str, Part]] = {
    "text": Part(
        "Words of prompts, answers, tools and errors; in double quotes, those that stand together."
    ),
}
"""What is searched for."""
PARTS: Final[Mapping[str, Part]] = {
    **FILTERS,
    **PAGING,
    **SIDES,
    **TEXT,
    "pause": Part("That the live page stands still; of a browser without JavaScript."),
}
"""All that an address may say, by name; what else stands there is nobody's."""
CALLS: Final = ("any", "failed", "streamed")
_STATES: Final = {"failed": "failed", "running": "running", "cut off": "cut_off"}
"""What is asked for as a status, and is none that a run ends with."""
MAX_LENGTH: Final = 1_000
"""Characters of one value: ids and names are shorter."""
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
MAX_LIMIT: Final = 500
"""Things in one answer."""


class Asked(msgspec.Struct, frozen=True):
    """What an address asks for."""

    given: Mapping[str, str]
    """As it stands there; empty values left out."""
    where: RunFilter
    now: datetime

    @property
    def period(self) -> str:
        """The name of the stretch of time; empty for all."""
        return self.given.get("period", "")

    @property
    def project(self) -> str | None:
        """The one project that is asked about; None: all of them."""
        return self.where.project_id

    @property
    def cursor(self) -> str | None:
        """Where in a list to go on: what the answer before said; None at its beginning."""
        return self.given.get("cursor")

    def position(self) -> tuple[datetime, str] | None:
        """
        Return where to go on in a list that is ordered by time: the time and the id of the last one told.

        Raises:
            AddressError: No answer said so.
        """
        if self.cursor is None:
            return None
        if not _is_cursor(self.cursor):
            words = "what an answer said to go on with, and nothing else"
            raise AddressError("cursor", words)
        moment, _, id = self.cursor.partition(" ")
        return _moment_of(int(moment)), id

    def limit(self, usual: int) -> int:
        """Return how many things to tell at most: *usual* unless another number is asked for."""
        return int(self.given.get("limit", usual))

    def link(self, path: str, **changed: Any) -> str:
        """Return *path* with what is asked for, but for what is *changed*; None leaves out."""
        values = {**self.given, **changed}
        # An id of megabytes would be one in each row; no address of that length is answered.
        query = "&".join(
            f"{_quoted(name)}={_quoted(str(value)[:MAX_LENGTH])}"
            for name, value in values.items()
            if value is not None and value != ""
        )
        return f"{path}?{query}" if query else path


_quoted = lru_cache(1_000)(quote_plus)
"""A page has hundreds of links, which have nearly all in common."""


def braced(path: str) -> list[str]:
    """Return the names that stand in braces in the *path* of a question or a page."""
    return [part.partition("}")[0] for part in path.split("{")[1:]]


def cursor_after(moment: datetime, id: str) -> str:
    """Return the cursor that goes on after what has this time and this id; `Asked.position` reads it."""
    return f"{to_microseconds(moment)} {id}"


def read_address(
    query: Mapping[str, str], *, period: str = "", project: str | None = None
) -> Asked:
    """
    Read the query of an address.

    Args:
        query: Its parts.
        period: The stretch of time where it names none.
        project: The one project that may be seen; None: any.

    Raises:
        AddressError: A part of it cannot be understood.
    """
    given = {name: value for name, value in query.items() if value and name in PARTS}
    for name, value in given.items():
        if len(value) > MAX_LENGTH:
            raise AddressError(name, f"longer than {MAX_LENGTH:,} characters")
    if not {"period", "since", "until"} & given.keys() and period:
        given["period"] = period
    now = datetime.now(UTC)
    conditions: dict[str, Any] = {
        part.field: _READ[part.kind](name, given[name])
        for name, part in PARTS.items()
        if part.field and name in given
    }
    if conditions.get("calls", "any") not in CALLS:
        raise AddressError("calls", f"one of {', '.join(CALLS)}, not {conditions['calls']!r}")
    if (state := _STATES.get(conditions.get("status", ""))) is not None:
        del conditions["status"]
        conditions[state] = True
    if "limit" in given:
        _limit("limit", given["limit"])
    if (stretch := given.get("period")) and stretch != "all":
        if stretch not in PERIODS:
            raise AddressError("period", f"one of {', '.join(PERIODS)} and all, not {stretch!r}")
        conditions.setdefault("since", now - PERIODS[stretch])
    if project is not None:
        conditions["project_id"] = project
    return Asked(given, RunFilter(**conditions), now)


def _limit(name: str, text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= number <= MAX_LIMIT:
        raise AddressError(name, f"a whole number from 1 to {MAX_LIMIT}, not {text!r}")
    return number


def _figure(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e15:
        raise AddressError(name, f"a number from 0 on, not {text!r}")
    return number


def _score(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = nan
    if not -1e15 <= number <= 1e15:
        raise AddressError(name, f"a number, not {text!r}")
    return number


def _moment(name: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        words = f"a time like 2026-11-21T14:00 (UTC), not {text!r}"
        raise AddressError(name, words) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    # Nothing was recorded before or after, and there is room to reckon.
    return max(EARLIEST, min(moment, LATEST)).astimezone(UTC)


def _moment_of(microseconds: int) -> datetime:
    try:
        return EARLIEST + timedelta(microseconds=microseconds)
    except OverflowError:
        return _LAST if microseconds > 0 else _FIRST


_FIRST: Final = datetime(1, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_is_cursor = re.compile(PAGING["cursor"].pattern).match


_READ: Final[Mapping[str, Callable[[str, str], Any]]] = {
    "text": lambda name, text: text, "number": _figure, "integer": _limit, "score": _score,
    "time": _moment,
}  # fmt: skip
