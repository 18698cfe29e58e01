"""`llmobs.instrument`: all doors of model calls at once."""

from __future__ import annotations

import math
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any, Final, NamedTuple

from llmobs.client.async_client import Recording
from llmobs.contrib._importing import Imports
from llmobs.contrib._patching import one_look
from llmobs.contrib._wire.call import CaptureContent, checked_mode
from llmobs.runtime.troubles import Troubles

__all__ = ["DOORS", "UNREACHED", "instrument", "uninstrument"]


class Door(NamedTuple):
    """A module of ours with ``instrument()`` and ``uninstrument()`` that need no client."""

    name: str
    """Its own, in `llmobs.contrib`."""
    library: str = ""
    """The module whose import it needs; empty: it waits itself."""
    asks_for_usage: bool = False
    """Whether it takes ``include_usage``."""
    sign: str = ""
    """What that module has, where others have modules of the same name."""


DOORS: Final = (
    Door("httpx", asks_for_usage=True),
    Door("aiohttp", "aiohttp"),
    Door("urllib3", "urllib3"),
    Door("botocore", "botocore.client"),
    Door("websockets"),
    Door("openai_agents", "agents.tracing", sign="add_trace_processor"),
    Door("mcp", "mcp.client.session", sign="ClientSession"),
    Door("litellm", "litellm"),
    Door("pydantic_ai", "pydantic_ai"),
    Door("llama_index", "llama_index_instrumentation"),
    Door("dspy", "dspy", sign="settings"),
    Door("crewai", "crewai.events.event_bus"),
    Door("smolagents", "smolagents"),
    Door("google_adk", "google.adk.runners"),
    Door("tool_runners"),
)

UNREACHED: Final = {
    "google.generativeai": "speaks gRPC; google-genai speaks HTTP",
    "vertexai.generative_models": "speaks gRPC; google-genai speaks HTTP",
    "google.cloud.aiplatform_v1": "speaks gRPC; google-genai speaks HTTP",
    "xai_sdk": "speaks gRPC; api.x.ai answers the openai package, too",
}
"""Modules of SDKs to whose calls nothing can be attached, and what to do."""

_imports: Final = Imports()
_opened: Final[set[str]] = set()
_troubles: Final = Troubles(math.inf)


def instrument(
    *,
    llmobs_client: Recording | None = None,
    capture_content: CaptureContent = "full",
    include_usage: bool = False,
) -> None:
    """
    Record the calls of models that this process makes, whatever SDK it uses.

    One line, before or after the imports of SDKs, before or after clients are made: what a library
    that is imported later needs is done then. No SDK is imported by it. Clients that were
    instrumented themselves keep the options they were given with. A process says once which calls
    to known hosts of models it cannot read, and which SDKs nothing can be attached to.

    Twice is harmless; the options of the last time hold.

    Args:
        llmobs_client: Records calls made outside any run; by default the default client.
        capture_content: ``full``; ``redacted``, even if the llmobs client does not redact; or
            ``metadata``, no text at all. A stricter setting of the llmobs client wins.
        include_usage: Ask OpenAI's chat completions for the usage of streams that did not ask
            for it, and keep the extra chunk from the caller. Through httpx2 and httpx alone.

    Raises:
        ValueError: *capture_content* is none of the three.
    """
    options: dict[str, Any] = {
        "llmobs_client": llmobs_client,
        "capture_content": checked_mode(capture_content),
    }
    uninstrument()
    with one_look():
        for door in DOORS:
            more = {"include_usage": include_usage} if door.asks_for_usage else {}
            then = partial(_open, door, options | more)
            if door.library:
                _imports.when(door.library, then)
            else:
                then()
    for library, why in UNREACHED.items():
        _imports.when(library, partial(_say_unreached, why))


def _open(door: Door, options: dict[str, Any], module: ModuleType | None = None) -> None:
    if door.sign and not hasattr(module, door.sign):
        return
    try:
        import_module(f"llmobs.contrib.{door.name}").instrument(**options)
    except (
        ImportError
    ) as error:  # of what it needs besides, as Pydantic AI needs OpenTelemetry's SDK
        _troubles.log(
            f"missing:{door.name}",
            "llmobs: what %s does is not recorded: %s.",
            door.library,
            error,
        )
        return
    _opened.add(door.name)


def _say_unreached(why: str, module: ModuleType) -> None:
    _troubles.log(
        f"unreached:{module.__name__}",
        "llmobs: calls made with %s are not recorded: it %s.",
        module.__name__,
        why,
    )


def uninstrument() -> None:
    """Undo :func:`instrument`: every client and every library is again as it was before."""
    _imports.forget()
    for name in _opened:
        import_module(f"llmobs.contrib.{name}").uninstrument()
    _opened.clear()
