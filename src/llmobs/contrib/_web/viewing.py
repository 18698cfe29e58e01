"""What doors that show the viewer in an application decide alike: of which store, to whom, until when."""

import signal
from pathlib import Path
from typing import Any, Final, Literal

from llmobs.capture.tracker import NO_RECORDER, Tracker
from llmobs.contrib._web.hosts import Authority, Hosts
from llmobs.errors import ConfigurationError, MissingExtraError
from llmobs.store.engine import path_in

__all__ = [
    "ANYBODY",
    "FORBIDDEN",
    "Anybody",
    "check_may_see",
    "check_packages",
    "is_meant_for_this_machine",
    "leave_out",
    "server_is_ending",
    "store_of",
]

Anybody = Literal["anybody"]
ANYBODY: Final[Anybody] = "anybody"
FORBIDDEN: Final = (
    "You may not see this",
    "These pages show what users said and what models answered. Whoever runs this application says who may see them.",
)
"""Title and words for whom the application does not let see."""


def store_of(given: str | Path | None, sink: Any) -> Path:
    """
    Return the path of the store to show.

    Args:
        given: Its path or URL; None: the first one that *sink* names.
        sink: The setting: URLs.

    Raises:
        ConfigurationError: There is none.
    """
    if given is not None:
        return path_in(given)
    urls = sink.split() if isinstance(sink, str) else sink if isinstance(sink, list | tuple) else ()
    for url in urls:
        if isinstance(url, str) and url.lower().startswith("sqlite:"):
            return path_in(url)
    raise ConfigurationError(
        "viewer: the sink is no SQLite file, so there is no store to show here: name one, "
        "store='sqlite:////var/lib/shop/llmobs.db', or open the pages of the collector you send to"
    )


def check_may_see(may_see: Any) -> None:
    """
    See that it was said who may see the pages.

    Raises:
        ConfigurationError: It was not.
    """
    if may_see != ANYBODY and not callable(may_see):
        raise ConfigurationError(
            "viewer: may_see is missing: these pages show prompts and answers. Give what lets your own "
            "people in, for instance a function that takes the request and returns whether they may; "
            "or 'anybody', on a machine that nobody else can reach"
        )


def check_packages() -> None:
    """
    See that what pages are made with is installed.

    Raises:
        MissingExtraError: It is not; says how to get it.
    """
    try:
        import jinja2  # noqa: F401
    except ImportError:
        raise MissingExtraError("jinja2", "serve") from None


def is_meant_for_this_machine(host: str | None) -> bool:
    """
    Whether a ``Host`` header names an address or this machine, and no name that a stranger may have pointed
    here (see `llmobs.contrib._web.hosts`).
    """
    named = None if host is None else Authority.parse(host)
    return host is None or (named is not None and Hosts().knows(named))


def leave_out(tracker: Tracker | None) -> None:
    """Record nothing of a request for the pages: who looks at runs would make one of each look."""
    if tracker is not None:
        tracker.client = NO_RECORDER


def server_is_ending() -> bool:
    """
    Whether the server was asked to end, as far as that can be seen.

    uvicorn, also in gunicorn's workers, waits for open streams, and tells applications only when they have
    ended. But its handler of SIGTERM knows.
    """
    owner = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return getattr(owner, "should_exit", False) is True
