"""Which run somebody means who knows its id, a piece of it, or what its caller called it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from llmobs.store.records import AmbiguousRunError, RunNotFoundError
from llmobs.store.values import as_text

__all__ = ["resolved"]

CANDIDATES: Final = 5
"""That are named where several fit."""

Rows = Callable[[str, Sequence[Any]], Sequence[Sequence[Any]]]
"""Runs a query and returns all its rows."""


def resolved(rows: Rows, text: str, project: str | None, path: Path) -> str:
    """
    Return the id of the one run that *text* names.

    Args:
        rows: How to ask.
        text: What is known of it.
        project: Whose it is; None: anybody's. Nothing is told of the runs of others.
        path: What is asked, for those who are told that there is none.

    Raises:
        RunNotFoundError: There is none.
        AmbiguousRunError: There are several; it has some of them.
    """
    if not text:
        raise RunNotFoundError("a run id cannot be empty")
    for condition, values in (
        ("run_id = ?", [text]),
        ("client_run_id = ?", [text]),
        ("run_id BETWEEN ? AND ? || char(1114111)", [text] * 2),
        ("substr(run_id, -length(?)) = ?", [text] * 2),
    ):
        if project is not None:
            condition, values = f"({condition}) AND project_id = ?", [*values, project]
        query = f"SELECT run_id FROM runs WHERE {condition} ORDER BY started DESC LIMIT ?"  # noqa: S608
        found = [as_text(row[0]) for row in rows(query, [*values, CANDIDATES + 1])]
        if len(found) > 1:
            raise AmbiguousRunError(
                f"several runs fit {text!r}: give more characters, or the whole id",
                found[:CANDIDATES],
            )
        if found:
            return found[0]
    raise RunNotFoundError(f"no run in {path} has an id that begins or ends with {text!r}")
