"""The one table of questions: what the JSON API answers, and agents may ask."""

from collections.abc import Callable, Mapping, Sequence
from inspect import getdoc
from typing import Any, Final

import msgspec

from llmobs.answers import compare, failures, live, overview, run, runs, search, whose
from llmobs.answers.asked import FILTERS, LIMIT, PAGING, SIDES, TEXT, Part, braced

__all__ = ["QUESTIONS", "Question"]


class Question(msgspec.Struct, frozen=True):
    """Something that can be asked."""

    path: str
    """Of its JSON under ``/api/v1``; what stands in braces is any text, and handed over by this name."""
    ask: Callable[..., Any]
    """``(store, asked, **names)``: returns the answer, plain data, or raises one of `llmobs.answers.errors`."""
    takes: Mapping[str, Part] = {}
    """What else may be said, by name."""
    period: str = ""
    """The stretch of time unless another is asked for; empty: all."""
    page: str = ""
    """Path of its page, where that is another."""

    @property
    def name(self) -> str:
        """What it is called."""
        return self.ask.__name__

    @property
    def names(self) -> Sequence[str]:
        """What its path has in braces."""
        return braced(self.path)

    @property
    def words(self) -> str:
        """What it answers, in a line."""
        words = " ".join((getdoc(self.ask) or "").split("\n\n")[0].split()).removeprefix("Return ")
        return f"{words[:1].upper()}{words[1:]}"


LIST: Final = {**FILTERS, **PAGING}

QUESTIONS: Final[Sequence[Question]] = (
    Question("/overview", overview.overview, FILTERS, period=overview.PERIOD, page="/"),
    Question("/runs", runs.runs, {**LIST, **TEXT}),
    Question("/search", search.search, {**TEXT, **LIST}),
    Question("/runs/{run_id}", run.run, run.PAGING),
    Question("/events/{event_id}", run.event),
    Question("/errors", failures.errors, LIST, period=failures.PERIOD),
    Question("/compare", compare.compare, {**FILTERS, **SIDES}, period=compare.PERIOD),
    Question("/users", whose.users, LIST),
    Question("/sessions", whose.sessions, LIST),
    Question("/live", live.live, {**FILTERS, "limit": LIMIT}),
)
