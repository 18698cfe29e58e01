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

import functools
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from llmobs.client.async_client import Recording
from llmobs.contrib._agents import OpenWork
from llmobs.contrib._importing import Imports
from llmobs.contrib._patching import Patches
from llmobs.contrib._wire.call import CaptureContent
from llmobs.runtime.troubles import internal_errors

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
    for name in ("BetaFunctionTool", "BetaAsyncFunctionTool"):
        if (kind := getattr(module, name, None)) is not None:  # older releases have not both
            _patches.around(kind, "call", lambda call, is_on: _calling(call, is_on, work))


def _calling(call: Any, is_on: Callable[[], bool], work: OpenWork) -> Any:
    def recorded(tool: Any, given: Any) -> Any:
        return _recorded(functools.partial(call, tool), lambda: str(tool.name), is_on, work)(given)

    async def recorded_later(tool: Any, given: Any) -> Any:
        return await recorded(tool, given)

    return recorded_later if inspect.iscoroutinefunction(call) else recorded


def _openai(module: ModuleType, work: OpenWork) -> None:
    for name in ("RegisteredFunction", "AsyncRegisteredFunction"):
        if (kind := getattr(module, name, None)) is None:
            continue

        def take(function: Any) -> None:
            told = function.tool
            execute = _recorded(
                function.execute, lambda: str(told.get("name")), _patches.__bool__, work
            )
            object.__setattr__(function, "execute", execute)  # it is frozen

        _patches.after(kind, "__init__", take, "record what a registered function does")


def _recorded(
    run: Callable[..., Any], name: Callable[[], str], is_on: Callable[[], bool], work: OpenWork
) -> Callable[..., Any]:
    """Return *run*, recorded as a tool; whether it is asynchronous stays as it is."""

    def make(given: Any) -> Any:
        return lambda tracker: tracker.tool_call(name(), input=given)

    def note(piece: Any, output: Any) -> None:
        if piece is not None:
            with internal_errors("read what a tool returned"):
                piece.operation.output = output

    async def later(given: Any, **more: Any) -> Any:
        if not is_on():
            return await run(given, **more)
        with work.piece(make(given), run_name="tool") as piece:
            output = await run(given, **more)
            note(piece, output)
        return output

    def now(given: Any, **more: Any) -> Any:
        if not is_on():
            return run(given, **more)
        with work.piece(make(given), run_name="tool") as piece:
            output = run(given, **more)
            note(piece, output)
        return output

    recorded: Callable[..., Any] = later if inspect.iscoroutinefunction(run) else now
    return functools.wraps(run)(recorded) if hasattr(run, "__name__") else recorded
