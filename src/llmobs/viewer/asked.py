"""What the address of a page asks for."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from llmobs.store.records import RunFilter

__all__ = ["PERIODS", "AddressError", "Asked", "read_address"]

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
}  # fmt: skip
_FIGURES: Final = {"cost": "min_cost_usd", "latency": "min_latency_ms", "tokens": "min_tokens"}
_KNOWN: Final = {*_TEXTS, *_FIGURES, "period", "since", "until", "before", "after"}
MAX_LENGTH: Final = 1_000
"""Characters of one value: ids and names are shorter."""


class AddressError(ValueError):
    """
    An address that asks for what there cannot be.

    Args:
        field: Which part of it.
        words: What is wrong, and what is right.
    """

    def __init__(self, field: str, words: str) -> None:
        super().__init__(f"{field}: {words}")
        self.field = field


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

    def link(self, path: str, **changed: Any) -> str:
        """Return *path* with what is asked for, but for what is *changed*; None leaves out."""
        values = {**self.given, **changed}
        query = urlencode({k: v for k, v in values.items() if v not in (None, "")})
        return f"{path}?{query}" if query else path


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
        moment = datetime.fromisoformat(text)
    except ValueError:
        words = f"a time like 2026-11-21T14:00 (UTC), not {text!r}"
        raise AddressError(name, words) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
