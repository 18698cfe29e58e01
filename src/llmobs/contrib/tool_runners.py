"""
Record the tools that the SDKs of Anthropic and OpenAI run by themselves.

::

    from llmobs.contrib import tool_runners

    tool_runners.instrument()

These are ``client.beta.messages.tool_runner`` of ``anthropic`` and ``ResponsesToolRunner`` of ``openai``. Neither has
a hook: ``call`` of Anthropic's function tools and the constructors of OpenAI's registered functions are wrapped. The
calls of models between them are recorded at the wire.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final

from llmobs.capture.operations import ToolCall
from llmobs.capture.tracker import Tracker
from llmobs.client.async_client import Recording
from llmobs.contrib._agents.blocks import piece_per_call
from llmobs.contrib._agents.work import OpenWork
from llmobs.contrib._importing import Imports
from llmobs.contrib._patching import Patches
from llmobs.contrib._wire.call import CaptureContent

__all__ = ["instrument", "uninstrument"]

_patches: Final = Patches()
_imports: Final = Imports()


def instrument(
    *, llmobs_client: Recording | None = None, capture_content: CaptureContent = "full"
) -> None:
    """
    Record the tools that these SDKs run, whichever of them is imported, before or later; twice is harmless.

    Args:
        llmobs_client: Records what happens outside any run; by default the default client.
        capture_content: As of `llmobs.instrument`.

    Raises:
        ValueError: *capture_content* is none of the three.
    """
    work = OpenWork("tool_runners", llmobs_client, capture_content)
    uninstrument()
    _imports.when("anthropic.lib.tools._beta_functions", lambda module: _anthropic(module, work))
    _imports.when("openai.lib.responses_tool_runner", lambda module: _openai(module, work))


def uninstrument() -> None:
    """Undo :func:`instrument`."""
    _imports.forget()
    _patches.undo()


def _anthropic(module: ModuleType, work: OpenWork) -> None:
    calling = piece_per_call(work, _tool_of_anthropic, _tell, run_name="tool")
    for name in ("BetaFunctionTool", "BetaAsyncFunctionTool"):
        if (kind := getattr(module, name, None)) is not None:  # older releases have not both
            _patches.around(kind, "call", calling)


def _tool_of_anthropic(tracker: Tracker, tool: Any, given: Any) -> ToolCall:
    return tracker.tool_call(str(tool.name), input=given)


def _openai(module: ModuleType, work: OpenWork) -> None:
    def wrap_execute(function: Any) -> None:
        def make(tracker: Tracker, given: Any, **more: Any) -> ToolCall:
            return tracker.tool_call(str(function.tool.get("name")), input=given)

        calling = piece_per_call(work, make, _tell, run_name="tool")
        execute = calling(function.execute, _patches.__bool__)
        object.__setattr__(function, "execute", execute)  # it is frozen

    for name in ("RegisteredFunction", "AsyncRegisteredFunction"):
        if (kind := getattr(module, name, None)) is not None:
            _patches.after(kind, "__init__", wrap_execute, "record what a registered function does")


def _tell(tool: Any, output: Any) -> None:
    tool.output = output
