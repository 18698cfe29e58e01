"""What is asked for: the filters, the stretch of time and the place in a list that an address holds."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from llmobs.answers.errors import AddressError
from llmobs.store.records import RunFilter

__all__ = ["PERIODS", "Asked", "place", "read_address"]

PERIODS: Final[Mapping[str, timedelta]] = {
    "1h": timedelta(hours=1),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
"""Stretches of time up to now, by what they are called."""

_TEXTS: Final = {
    "model": "model", "name": "name", "status": "status", "tag": "tag", "user": "user_id",
    "session": "session_id", "trace": "trace_id", "parent": "parent_run_id", "project": "project_id",
    "route": "route", "release": "release", "service": "service_name", "error": "error",
    "prompt": "prompt",
}  # fmt: skip
_FIGURES: Final = {"cost": "min_cost_usd", "latency": "min_latency_ms", "tokens": "min_tokens"}
_KNOWN: Final = {*_TEXTS, *_FIGURES, "period", "since", "until", "cursor", "limit"}
MAX_LENGTH: Final = 1_000
"""Characters of one value: ids and names are shorter."""
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

    def place(self) -> tuple[datetime, str] | None:
        """
        Return where to go on in a list that is ordered by time: the time and the id of the last one told.

        Raises:
            AddressError: No answer said so.
        """
        if self.cursor is None:
            return None
        moment, _, id = self.cursor.partition(" ")
        try:
            return _utc(datetime.fromisoformat(moment)), id
        except (ValueError, OverflowError):
            words = "what an answer said to go on with, and nothing else"
            raise AddressError("cursor", words) from None

    def limit(self, usual: int) -> int:
        """Return how many things to tell at most: *usual* unless another number is asked for."""
        return int(self.given.get("limit", usual))

    def link(self, path: str, **changed: Any) -> str:
        """Return *path* with what is asked for, but for what is *changed*; None leaves out."""
        values = {**self.given, **changed}
        query = urlencode({k: v for k, v in values.items() if v not in (None, "")})
        return f"{path}?{query}" if query else path


def place(moment: datetime, id: str) -> str:
    """Return the cursor that goes on after what has this time and this id; `Asked.place` reads it."""
    return f"{moment.isoformat()} {id}"


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
    given = {name: value for name, value in query.items() if value and name in _KNOWN}
    for name, value in given.items():
        if len(value) > MAX_LENGTH:
            raise AddressError(name, f"longer than {MAX_LENGTH:,} characters")
    if not {"period", "since", "until"} & given.keys() and period:
        given["period"] = period
    now = datetime.now(UTC)
    conditions: dict[str, Any] = {
        field: given[name] for name, field in _TEXTS.items() if name in given
    }
    if conditions.get("status") == "failed":
        del conditions["status"]
        conditions["failed"] = True
    for name, field in _FIGURES.items():
        if name in given:
            conditions[field] = _figure(name, given[name])
    if "limit" in given:
        number = int(given["limit"]) if given["limit"].isascii() and given["limit"].isdigit() else 0
        if not 1 <= number <= MAX_LIMIT:
            words = f"a whole number from 1 to {MAX_LIMIT}, not {given['limit']!r}"
            raise AddressError("limit", words)
    if (stretch := given.get("period")) and stretch != "all":
        if stretch not in PERIODS:
            raise AddressError("period", f"one of {', '.join(PERIODS)} and all, not {stretch!r}")
        conditions["since"] = now - PERIODS[stretch]
    for name in ("since", "until"):
        if name in given:
            conditions[name] = _moment(name, given[name])
    if project is not None:
        conditions["project_id"] = project
    return Asked(given, RunFilter(**conditions), now)


def _figure(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e15:
        raise AddressError(name, f"a number from 0 on, not {text!r}")
    return number


def _moment(name: str, text: str) -> datetime:
    try:
        return _utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        words = f"a time like 2026-11-21T14:00 (UTC), not {text!r}"
        raise AddressError(name, words) from None


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
