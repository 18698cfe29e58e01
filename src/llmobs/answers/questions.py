"""The one table of questions: what the JSON API answers, and agents may ask."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from llmobs.answers import failures, overview, run, runs, whose

__all__ = ["QUESTIONS", "Question"]


class Question(msgspec.Struct, frozen=True):
    """Something that can be asked."""

    path: str
    """Of its page, and of its JSON under ``/api/v1``; what stands in braces is handed to it by name."""
    ask: Callable[..., Any]
    """``(store, asked, **names)``: returns the answer, plain data, or raises one of `llmobs.answers.errors`."""
    period: str = ""
    """The stretch of time unless another is asked for; empty: all."""


QUESTIONS: Final[Sequence[Question]] = (
    Question("/", overview.overview, period=overview.PERIOD),
    Question("/runs", runs.runs),
    Question("/runs/{run_id}", run.run),
    Question("/events/{event_id}", run.event),
    Question("/errors", failures.errors, period=failures.PERIOD),
    Question("/users", whose.users),
    Question("/sessions", whose.sessions),
)
