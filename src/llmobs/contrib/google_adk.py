"""
Record what agents of Google's Agent Development Kit do: agents, the agents they hand over to, tools, calls of models.

::

    from llmobs.contrib import google_adk

    google_adk.instrument()

Stands on the kit's public plugins: one is put before those of each ``Runner`` that runs. No plugin is told of the end
of a run that is cancelled, nor which code between two events is the consumer's; so ``run_async`` and ``run_live`` of
``Runner`` are wrapped, too. Of live sessions the agents and their tools are told; turns are calls of
`llmobs.contrib.websockets`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final
from weakref import WeakSet

from llmobs.capture.tracker import Tracker
from llmobs.client.async_client import Recording
from llmobs.contrib._agents.blocks import piece_per_call
from llmobs.contrib._agents.hooks import hook
from llmobs.contrib._agents.work import OpenWork
from llmobs.contrib._google_adk.plugin import LIVE, Plugin
from llmobs.contrib._patching import Patches
from llmobs.contrib._wire.call import CaptureContent

__all__ = ["instrument", "uninstrument"]

_NOTES: Final = {"run_async": "run", "run_live": LIVE}

_patches: Final = Patches()
_runners: Final[WeakSet[Any]] = WeakSet()


def instrument(
    *, llmobs_client: Recording | None = None, capture_content: CaptureContent = "full"
) -> None:
    """
    Record what all runners do, those there are and those made later; twice is harmless, the last options hold.

    Args:
        llmobs_client: Records what happens outside any run; by default the default client.
        capture_content: As of `llmobs.instrument`.

    Raises:
        ImportError: ``google-adk`` is not installed.
        ValueError: *capture_content* is none of the three.
    """
    work = OpenWork("google_adk", llmobs_client, capture_content)
    runner = import_module("google.adk.runners").Runner
    theirs = import_module("google.adk.plugins.base_plugin").BasePlugin
    uninstrument()
    plugin = hook(Plugin, theirs, work, name="llmobs")

    def begin(tracker: Tracker, runner: Any, *args: Any, **kwargs: Any) -> None:
        if plugin not in runner.plugin_manager.plugins:  # those of a tool's runner are its agent's
            runner.plugin_manager.plugins.insert(0, plugin)  # others may answer in its stead
        _runners.add(runner)

    # Of agents that hand over, or that a callback answers for, no end is told.
    how: dict[str, Any] = {"enters": True, "whole": True, "gives_up": False}
    for name, note in _NOTES.items():
        _patches.around(runner, name, piece_per_call(work, begin, note=note, **how))


def uninstrument() -> None:
    """Undo :func:`instrument`."""
    _patches.undo()
    for runner in _runners:
        manager = runner.plugin_manager
        manager.plugins[:] = [each for each in manager.plugins if not isinstance(each, Plugin)]
    _runners.clear()
