"""What checks and ratings said: each of it, and added up by name."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec.structs import fields, replace

from llmobs.store.query import conditions, number, where_clause
from llmobs.store.records import MAX_LABELS, Evaluation, EvaluationGroup, RunFilter, to_microseconds
from llmobs.store.values import COERCE, as_number, as_text

__all__ = ["add_up_evaluations", "list_evaluations"]

Rows = Callable[[str, Sequence[Any]], Sequence[Sequence[Any]]]
"""Runs a query and returns all its rows."""

MANY: Final = 100
"""Names with their labels, above which all evaluations are looked at, in one pass."""
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
    source, pairs = "evaluations v", None
    if replace(where, since=None, until=None, project_id=None) == RunFilter():
        parts, values = _known(where)
        pairs = _pairs(rows)
    else:
        parts, values = conditions(where)
        source += " JOIN runs r ON r.run_id = v.run_id"
    if where.project_id is not None:
        parts.append(_OF_PROJECT)
        values += [where.project_id] * 2
    found: list[Any] = []
    for score in ("v.score", number("v.score")):
        added = f"count(*), count({score}), total({score}), min({score}), max({score})"
        if pairs is None:
            query = f"SELECT v.name, v.label, {added} FROM {source}{where_clause(parts)} GROUP BY v.name, v.label"  # noqa: S608
            found = [tuple(row) for row in rows(query, values)]
        else:  # each is a stretch of the index
            its = where_clause(["v.name IS ?", "v.label IS ?", *parts])
            query = f"SELECT {added} FROM {source}{its}"  # noqa: S608
            found = [(*pair, *rows(query, [*pair, *values])[0]) for pair in pairs]
        # To look at each score takes as long again. What is no number comes after all that are.
        if all(row[-1] is None or type(row[-1]) in (int, float) for row in found):
            break
    found = [row for row in found if row[2]]
    found.sort(key=lambda row: (-row[2], row[1] is not None, as_text(row[1])))
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


_OF_PROJECT: Final = "coalesce(v.project_id, ?) = ?"
"""In a run that services of several projects share."""


def _pairs(rows: Rows) -> list[tuple[Any, Any]] | None:
    """Return the names with their labels, by leaps in the index of these; None if they are many."""
    pairs: list[tuple[Any, Any]] = []
    after = ""
    values: list[Any] = []
    while True:
        query = f"SELECT name, label FROM evaluations{after} ORDER BY name, label LIMIT 1"  # noqa: S608
        found = rows(query, values)
        if not found and (not pairs or "label" not in after):
            return pairs
        if found:
            if len(pairs) == MANY:
                return None
            name, label = found[0]
            pairs.append((name, label))
            # More labels of the name; NULL comes before all others, and nothing is larger than it.
            after = " WHERE name IS ? AND label " + ("IS NOT NULL" if label is None else "> ?")
            values = [name] if label is None else [name, label]
        else:
            name = pairs[-1][0]
            after = " WHERE name IS NOT NULL" if name is None else " WHERE name > ?"
            values = [] if name is None else [name]


def _known(where: RunFilter) -> tuple[list[str], list[Any]]:
    """Return what *where* says, of the row ``v`` of an evaluation: time and project of its run stand there."""
    tests = [
        ("v.run_started >= ?", where.since and to_microseconds(where.since)),
        ("v.run_started < ?", where.until and to_microseconds(where.until)),
        ("v.run_project = ?", where.project_id),
    ]
    return [test for test, value in tests if value is not None], [
        value for _, value in tests if value is not None
    ]


def _source(where: RunFilter) -> tuple[str, list[Any]]:
    """Return SQL for the evaluations ``v`` of the runs that fit, and their events ``e``."""
    parts, values = conditions(where)
    join = " JOIN runs r ON r.run_id = v.run_id" if parts else ""
    if where.project_id is not None:
        parts.append(_OF_PROJECT)
        values += [where.project_id] * 2
    return f"evaluations v JOIN events e ON e.id = v.id{join}{where_clause(parts)}", values
