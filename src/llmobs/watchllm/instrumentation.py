"""
``auto_instrument`` and what belongs to it, over `llmobs.contrib.openai` and `.anthropic`.

Nothing is patched here; the capture is those doors'.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final

from llmobs.capture.tracker import NO_RECORDER, Tracker
from llmobs.codec import texts
from llmobs.recorded.ids import new_id
from llmobs.runtime.context import Entry, current_frame, current_run
from llmobs.runtime.forks import ForkLock
from llmobs.runtime.log import own_logger
from llmobs.watchllm.client import WatchLLMClient
from llmobs.watchllm.costs import MODEL_PRICING, calculate_cost

__all__ = [
    "MODEL_PRICING",
    "auto_instrument",
    "calculate_cost",
    "disable_instrumentation",
    "get_client",
    "get_current_run_id",
    "is_instrumented",
    "trace",
]

_DOORS: Final = {"openai": "llmobs.contrib.openai", "anthropic": "llmobs.contrib.anthropic"}

logger = own_logger("watchllm")

_lock = ForkLock()
_client: WatchLLMClient | None = None
_opened: list[str] = []


def auto_instrument(
    api_key: str,
    project_id: str,
    instrument_openai: bool = True,
    instrument_anthropic: bool = True,
    **client_kwargs: Any,
) -> WatchLLMClient:
    """
    Record the model calls of all clients of ``openai`` and ``anthropic`` made from now on.

    Called again, it goes on with a client of the new settings and closes the one before.

    Args:
        api_key: Your WatchLLM API key.
        project_id: Your project.
        instrument_openai: Whether to cover the package ``openai``, if it is installed.
        instrument_anthropic: Whether to cover the package ``anthropic``, if it is installed.
        client_kwargs: Further parameters of `WatchLLMClient`.

    Returns:
        The client that records; also what `get_client` returns.

    Raises:
        ConfigurationError: A setting is wrong.
    """
    global _client
    client = WatchLLMClient(api_key, project_id, **client_kwargs)
    wanted = {"openai": instrument_openai, "anthropic": instrument_anthropic}
    with _lock:
        _close_doors()
        previous, _client = _client, client
        for package in (package for package, is_wanted in wanted.items() if is_wanted):
            try:
                import_module(_DOORS[package]).instrument(llmobs_client=client)
            except ImportError:
                logger.info("the package %s is not installed, nothing to instrument", package)
            else:
                _opened.append(package)
        if not _opened:
            logger.warning("nothing was instrumented: is openai or anthropic installed?")
    if previous is not None:
        previous.close()
    return client


def disable_instrumentation() -> None:
    """Undo `auto_instrument`, and close its client: what is queued is delivered."""
    global _client
    with _lock:
        _close_doors()
        client, _client = _client, None
    if client is not None:
        client.close()


def _close_doors() -> None:
    while _opened:
        import_module(_DOORS[_opened.pop()]).uninstrument()


def get_client() -> WatchLLMClient | None:
    """Return the client of `auto_instrument`; None when it is not on."""
    return _client


def is_instrumented() -> bool:
    """Tell whether `auto_instrument` is on."""
    return _client is not None


@contextmanager
def trace(
    run_id: str | None = None, user_id: str | None = None, tags: Sequence[str] | None = None
) -> Iterator[str]:
    """
    Put everything recorded in the block under one run, and give its id.

    It sends no event of its own; for one, use ``client.run()``.

    Args:
        run_id: The run's id; a new one by default.
        user_id: On whose behalf.
        tags: Carried by all events of the block.
    """
    outer = current_frame()
    recorder: Any = _client
    if recorder is None:
        recorder = outer.run.client if outer and isinstance(outer.run, Tracker) else NO_RECORDER
    run = Tracker(recorder, run_id)
    run.standalone = True
    run.user_id = user_id
    run.tags = texts(tags)
    entry = Entry(run)
    try:
        yield run.run_id
    finally:
        here = entry.is_of_this_context()
        run.left = not here
        entry.leave(here)


def get_current_run_id() -> str:
    """Return the id of the current run; outside any, a new one each time."""
    run = current_run()
    return new_id() if run is None else run.run_id
