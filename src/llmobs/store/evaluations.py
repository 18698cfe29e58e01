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
    source, values = _source(where)
    score = number("v.score")
    groups = rows(
        f"SELECT v.name, count(*), count({score}), avg({score}), min({score}), max({score})"  # noqa: S608
        f" FROM {source} GROUP BY v.name ORDER BY count(*) DESC, v.name LIMIT ?",
        [*values, limit],
    )
    labels: dict[str | None, list[tuple[str, int]]] = {}
    said = rows(
        f"SELECT v.name, v.label, count(*) FROM {source} GROUP BY v.name, v.label"  # noqa: S608
        " HAVING v.label IS NOT NULL ORDER BY count(*) DESC, v.label LIMIT ?",
        [*values, limit * MAX_LABELS],
    )
    for name, label, count in said:
        of_name = labels.setdefault(name, [])
        if len(of_name) < MAX_LABELS:
            of_name.append((as_text(label), count))
    return [
        EvaluationGroup(
            name=None if name is None else as_text(name), evaluations=count, scored=scored,
            score=as_number(mean), lowest=as_number(lowest), highest=as_number(highest),
            labels=labels.get(name, ()),
        )
        for name, count, scored, mean, lowest, highest in groups
    ]  # fmt: skip


def _source(where: RunFilter) -> tuple[str, list[Any]]:
    """Return SQL for the evaluations ``v`` of the runs that fit, and their events ``e``."""
    parts, values = conditions(where)
    join = " JOIN runs r ON r.run_id = v.run_id" if parts else ""
    if where.project_id is not None:  # in a run that services of several projects share
        parts.append("coalesce(e.project_id, ?) = ?")
        values += [where.project_id] * 2
    return f"evaluations v JOIN events e ON e.id = v.id{join}{where_clause(parts)}", values
