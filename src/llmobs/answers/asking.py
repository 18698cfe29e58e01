"""Asks the store, and tells apart why there is no answer: for every door, which says it in its own form."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeVar

import msgspec

from llmobs.answers.asked import Asked, read_address
from llmobs.answers.errors import AddressError, NotFoundError, SeveralError
from llmobs.errors import SinkUnavailableError, StoreError
from llmobs.runtime.troubles import Troubles
from llmobs.store.engine import ReadsStore

__all__ = ["NoAnswer", "ask"]

T = TypeVar("T")

_troubles = Troubles()


class NoAnswer(msgspec.Struct, frozen=True):
    """Why there is none."""

    status: Literal[400, 404, 503]
    """Of HTTP: what is asked for cannot be; nothing is there; the store cannot be read now."""
    words: str
    field: str = ""
    """Which part of the question is at fault."""
    what: str = ""
    """What was looked for and is not there: ``run``, ``event``."""
    candidates: Sequence[str] = ()
    """Where several things are called so: some of their ids."""


def ask(
    open_store: Callable[[], ReadsStore],
    query: Mapping[str, str],
    question: Callable[[ReadsStore, Asked], T],
    *,
    period: str = "",
    project: str | None = None,
) -> T | NoAnswer:
    """
    Return what *question* returns, or why it cannot be answered; blocking.

    Args:
        open_store: Opens the store that is asked.
        query: What the address says.
        question: Called with the store and what is asked for.
        period: The stretch of time unless another is asked for; empty: all.
        project: The one project that may be seen; None: all of them.
    """
    try:
        asked = read_address(query, period=period, project=project)
        with open_store() as store:
            return question(store, asked)
    except AddressError as error:
        return NoAnswer(400, str(error), error.field)
    except SeveralError as error:
        return NoAnswer(404, str(error), f"{error.what}_id", error.what, error.candidates)
    except NotFoundError as error:
        return NoAnswer(404, str(error), f"{error.what}_id", error.what)
    except (StoreError, SinkUnavailableError) as error:
        _troubles.log("ask", "llmobs: the store cannot be read: %s", error)
        return NoAnswer(503, "The store cannot be read now; the log of whoever serves it says why.")
