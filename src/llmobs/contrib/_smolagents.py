"""
Calls of the models that agents of smolagents use, applications' own among them.

These change with smolagents' classes of models and messages, not with how it runs agents.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from inspect import isfunction
from typing import Any, Final

from llmobs.capture.operations import AgentStep, PromptCall
from llmobs.capture.tracker import Tracker
from llmobs.contrib._agents.blocks import piece_per_call
from llmobs.contrib._agents.telling import plain, tell_answer, tell_call
from llmobs.contrib._agents.work import OpenWork, Piece
from llmobs.contrib._patching import IsOn, Patches
from llmobs.contrib._wire.openai_chat import WIRE as CHAT
from llmobs.runtime.forks import ForkLock
from llmobs.runtime.troubles import internal_errors

__all__ = ["Models"]

_ROLES: Final = {"tool-call": "assistant", "tool-response": "user"}
"""As smolagents itself sends them."""


class Models:
    """
    Classes of models whose calls are recorded.

    Args:
        work: What the calls belong to.
        patches: Undo it.
        before: Told before each call what that happens in.
    """

    def __init__(
        self, work: OpenWork, patches: Patches, before: Callable[[Piece | None], object]
    ) -> None:
        self._work = work
        self._patches = patches
        self._before = before
        self._known: set[tuple[type, str]] = set()
        self._lock = ForkLock()

    def record(self, kind: type) -> None:
        """Record what models of *kind* are asked."""
        for name in ("generate", "generate_stream"):
            owner = next((each for each in kind.__mro__ if name in vars(each)), kind)
            with self._lock:
                if isfunction(vars(owner).get(name)) and (owner, name) not in self._known:
                    self._known.add((owner, name))
                    self._patches.around(owner, name, self._asking)

    def _asking(self, original: Any, is_on: IsOn) -> Any:
        asked = piece_per_call(self._work, _call, _tell, run_name="call")(original, is_on)

        def ask(*args: Any, **kwargs: Any) -> Any:
            inner = self._work.innermost(AgentStep, PromptCall)
            if inner is not None and isinstance(inner.operation, PromptCall):
                return original(*args, **kwargs)  # by the method of a subclass
            if is_on():
                with internal_errors("begin a step of smolagents"):
                    self._before(inner)
            return asked(*args, **kwargs)

        return ask


def _call(
    tracker: Tracker, model: Any, messages: Any = (), *args: Any, **kwargs: Any
) -> PromptCall:
    call = tracker.prompt_call(model=str(getattr(model, "model_id", None) or ""))
    schema = import_module("smolagents.models").get_tool_json_schema
    tools = [schema(tool) for tool in kwargs.get("tools_to_call_from") or ()]
    tell_call(call, CHAT.request({"messages": [_message(m) for m in messages], "tools": tools}))
    return call


def _message(said: Any) -> Any:
    fields = said if isinstance(said, dict) else vars(said)
    role = str(getattr(fields.get("role"), "value", fields.get("role")))
    calls = [{"id": c.id, "function": vars(c.function)} for c in fields.get("tool_calls") or ()]
    content = plain(fields.get("content"))
    return {"role": _ROLES.get(role, role), "content": content, "tool_calls": calls or None}


def _tell(call: PromptCall, result: Any) -> None:
    if isinstance(result, list):  # of a stream
        result = import_module("smolagents.models").agglomerate_stream_deltas(result)
    if result is None:
        return
    tell_answer(call, _message(result), result.raw)
    if (usage := result.token_usage) is not None and (usage.input_tokens or usage.output_tokens):
        call.tokens_input, call.tokens_output = usage.input_tokens, usage.output_tokens
