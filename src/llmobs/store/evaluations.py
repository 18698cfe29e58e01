"""What checks and ratings said: each of it, and added up by name."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec.structs import fields

from llmobs.store.query import conditions, number, where_clause
from llmobs.store.records import MAX_LABELS, Evaluation, EvaluationGroup, RunFilter
from llmobs.store.values import COERCE, as_number, as_text

__all__ = ["add_up_evaluations", "list_evaluations"]

Rows = Callable[[str, Sequence[Any]], Sequence[Sequence[Any]]]
"""Runs a query and returns all its rows."""

_COLUMNS: Final = {field.name: field.type for field in fields(Evaluation)}
_SELECT: Final = ", ".join(f"{'e' if name == 'event_id' else 'v'}.{name}" for name in _COLUMNS)


def list_evaluations(rows: Rows, where: RunFilter) -> list[Evaluation]:
    """
    Return the evaluations of the runs that fit, in the order they came.

    Args:
        rows: How to ask.
        where: Which runs.
    """
    source, values = _source(where)
    found = rows(f"SELECT {_SELECT} FROM {source} ORDER BY v.id", values)  # noqa: S608
    return [
        Evaluation(**{
            name: COERCE[type](value)
            for (name, type), value in zip(_COLUMNS.items(), row, strict=True)
        })
        for row in found
    ]  # fmt: skip


def add_up_evaluations(rows: Rows, where: RunFilter, limit: int) -> list[EvaluationGroup]:
    """
    Add up the evaluations of the runs that fit by their names, the most frequent first.

    Args:
        rows: How to ask.
        where: Which runs.
        limit: How many names at most.
    """
    parts, values = conditions(where)
    source = "evaluations v"
    if parts:
        source = _joined(rows, where)
    if where.project_id is not None:
        source += " JOIN events e ON e.id = v.id"
        parts.append(_OF_PROJECT)
        values += [where.project_id] * 2
    score = number("v.score")
    found = rows(
        f"SELECT v.name, v.label, count(*), count({score}), total({score}), min({score}), max({score})"  # noqa: S608
        f" FROM {source}{where_clause(parts)} GROUP BY v.name, v.label ORDER BY count(*) DESC, v.label",
        values,
    )
    groups: dict[Any, _Group] = {}
    for name, label, *sums in found:
        groups.setdefault(name, _Group()).add(label, *sums)
    most = sorted(groups.items(), key=lambda each: (-each[1].count, as_text(each[0])))
    return [group.named(name) for name, group in most[:limit]]


class _Group:
    """Evaluations of one name; first come those whose label is the most frequent."""

    def __init__(self) -> None:
        self.count = self.scored = 0
        self.total = 0.0
        self.ends: list[Any] = []
        self.labels: list[tuple[str, int]] = []

    def add(self, label: Any, count: int, scored: int, total: float, *ends: Any) -> None:
        self.count += count
        self.scored += scored
        self.total += total
        self.ends += [end for end in ends if end is not None]
        if label is not None and len(self.labels) < MAX_LABELS:
            self.labels.append((as_text(label), count))

    def named(self, name: Any) -> EvaluationGroup:
        return EvaluationGroup(
            name=None if name is None else as_text(name),
            evaluations=self.count,
            scored=self.scored,
            score=as_number(self.total / self.scored) if self.scored else None,
            lowest=as_number(min(self.ends, default=None)),
            highest=as_number(max(self.ends, default=None)),
            labels=self.labels,
        )


_OF_PROJECT: Final = "coalesce(e.project_id, ?) = ?"
"""In a run that services of several projects share."""


def _joined(rows: Rows, where: RunFilter) -> str:
    """Return SQL for runs ``r`` and their evaluations ``v``, beginning with those that are fewer."""
    since = RunFilter(since=where.since, until=where.until)
    parts, values = conditions(since)
    ((rated,),) = rows("SELECT count(*) FROM evaluations", ())
    ((began,),) = rows(
        f"SELECT count(*) FROM (SELECT 1 FROM runs r{where_clause(parts)} LIMIT ?)",  # noqa: S608
        [*values, rated],
    )
    if 2 * began < rated:  # finding a run takes half as long as finding what was said of one
        return "runs r CROSS JOIN evaluations v ON v.run_id = r.run_id"
    # In the order of runs, which are found one beside the other; SQLite would take them in that of names.
    ordered = "SELECT id, run_id, name, label, score FROM evaluations ORDER BY run_id LIMIT -1"
    return f"({ordered}) v CROSS JOIN runs r ON r.run_id = v.run_id"


def _source(where: RunFilter) -> tuple[str, list[Any]]:
    """Return SQL for the evaluations ``v`` of the runs that fit, and their events ``e``."""
    parts, values = conditions(where)
    join = " JOIN runs r ON r.run_id = v.run_id" if parts else ""
    if where.project_id is not None:
        parts.append(_OF_PROJECT)
        values += [where.project_id] * 2
    return f"evaluations v JOIN events e ON e.id = v.id{join}{where_clause(parts)}", values
