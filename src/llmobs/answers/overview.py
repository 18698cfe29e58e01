"""What happened lately, in figures."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from msgspec.structs import replace

from llmobs.answers.asked import PERIODS, Asked
from llmobs.store.engine import ReadsStore
from llmobs.store.records import (
    Activity,
    CostGroup,
    EvaluationGroup,
    GroupBy,
    RunFilter,
    Whose,
)

__all__ = ["PERIOD", "Overview", "Stretch", "Totals", "overview"]

PERIOD: Final = "24h"
"""That is told of unless another is asked for."""
GROUPS: Final[Sequence[GroupBy]] = ("model", "route", "release")
"""By what calls are added up."""
MAX_GROUPS: Final = 12
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)


class Totals(msgspec.Struct, frozen=True):
    """What a stretch of time adds up to."""

    runs: int
    """That began in it."""
    failed: int
    """Of these, runs that failed or in which anything did."""
    calls: CostGroup | None
    """Of models; None if there was none."""
    since: datetime | None
    """From when on; None: from the beginning."""
    until: datetime | None
    """Until when; None: until now."""


class Stretch(msgspec.Struct, frozen=True):
    """An hour or a day."""

    began: datetime
    """UTC; when it begins."""
    runs: int
    """That began in it."""
    failed: int
    """Of these, runs that failed or in which anything did."""
    calls: CostGroup | None
    """Of models; None if there was none."""


class Overview(msgspec.Struct, frozen=True):
    """The figures of a stretch of time, beside those of the one before."""

    now: Totals
    """The stretch of time that was asked for."""
    before: Totals | None
    """Of as long before; None where all time is asked for."""
    began: datetime
    """UTC; when it begins: with what there is, if all time is asked for."""
    ended: datetime
    """UTC; when it ends: now, if that is earlier."""
    step_seconds: int
    """How long each of *over_time* is: an hour, or a day."""
    over_time: Sequence[Stretch]
    """In order; those in which nothing happened are left out."""
    groups: Mapping[str, Sequence[CostGroup]]
    """By model, route and release: the dearest first, and no more than the first of them."""
    users: Sequence[Whose]
    """Those with the latest run first, and no more than the first of them."""
    evaluations: Sequence[EvaluationGroup]
    """By name, the most frequent first, and no more than the first of them."""
    is_empty: bool
    """Whether there is no run at all, in no stretch of time."""


def overview(store: ReadsStore, asked: Asked) -> Overview:
    """Return what the runs and calls of a stretch of time add up to."""
    where, now = asked.where, asked.now
    length = None if where.since is None else (where.until or now) - where.since
    before = None
    if where.since is not None and length is not None and length > timedelta(0):
        earlier = replace(where, since=where.since - length, until=where.since)
        began = store.activity(int(DAY.total_seconds()), earlier)
        before = _totals(earlier, began, store.cost("all", earlier))
    # Single runs outlive no retention, the hourly sums do: both are asked for what they know.
    step = HOUR if length is not None and length <= 2 * DAY else DAY
    runs = store.activity(int(step.total_seconds()), where)
    by_step: GroupBy = "hour" if step == HOUR else "day"
    calls = store.costs([by_step, "all", *GROUPS], where)
    over_time = _over_time(runs, calls[by_step])
    first = over_time[0].began if over_time else now - PERIODS["30d"]
    return Overview(
        now=_totals(where, runs, calls["all"]),
        before=before,
        began=where.since or first,
        ended=min(where.until or now, now),
        step_seconds=int(step.total_seconds()),
        over_time=over_time,
        users=store.whose("user", MAX_GROUPS, where=where),
        groups={by: calls[by][:MAX_GROUPS] for by in GROUPS},
        evaluations=store.evaluation_groups(where, limit=MAX_GROUPS),
        is_empty=not store.runs(1, where=RunFilter(project_id=asked.project)),
    )


def _totals(where: RunFilter, runs: Sequence[Activity], calls: Sequence[CostGroup]) -> Totals:
    return Totals(
        sum(each.runs for each in runs),
        sum(each.failed for each in runs),
        calls[0] if calls else None,
        where.since,
        where.until,
    )


def _over_time(runs: Sequence[Activity], calls: Sequence[CostGroup]) -> list[Stretch]:
    counted = {each.began: each for each in runs}
    called = {
        datetime.fromisoformat(group.key).replace(tzinfo=UTC): group
        for group in calls
        if group.key is not None
    }
    return [
        Stretch(
            began=at,
            runs=counted[at].runs if at in counted else 0,
            failed=counted[at].failed if at in counted else 0,
            calls=called.get(at),
        )
        for at in sorted(counted.keys() | called.keys())
    ]
