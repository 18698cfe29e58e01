"""
Record the calls that LiteLLM makes, whatever provider they go to.

::

    from llmobs.contrib import litellm

    litellm.instrument()

Stands on LiteLLM's public ``CustomLogger``. Where the transport is recorded, too, a call is one event: LiteLLM
knows its cost, its tags, and answers that come from its cache or that no wire of ours reads; the transport, what
really passed.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Mapping
from datetime import datetime
from importlib import import_module
from typing import Any, Final

from llmobs.capture.operations import PromptCall
from llmobs.capture.tracker import Tracker
from llmobs.client.async_client import Recording
from llmobs.contrib._agents.hooks import Hook, hook
from llmobs.contrib._agents.telling import tell_call, tell_failure
from llmobs.contrib._agents.work import OpenWork
from llmobs.contrib._wire.call import CaptureContent
from llmobs.contrib._wire.openai_chat import WIRE as CHAT
from llmobs.contrib._wire.openai_other import COMPLETIONS, EMBEDDINGS
from llmobs.contrib._wire.openai_responses import WIRE as RESPONSES
from llmobs.contrib._wire.wire import Wire
from llmobs.recorded.jsontext import as_object
from llmobs.recorded.providers import provider_name
from llmobs.runtime.troubles import internal_errors

__all__ = ["instrument", "uninstrument"]

_WIRES: Final[Mapping[str, tuple[Wire, str, str]]] = {
    "completion": (CHAT, "chat", "messages"),
    "text_completion": (COMPLETIONS, "text_completion", "prompt"),
    "responses": (RESPONSES, "chat", "input"),
    "embedding": (EMBEDDINGS, "embeddings", "input"),
}
"""By what LiteLLM calls its functions: in whose words it answers, which operation it is, where what is asked stands."""


class _Logger(Hook):
    """What becomes a ``CustomLogger``."""

    is_on = True

    async def async_pre_call_deployment_hook(self, kwargs: Any, call_type: Any) -> None:
        """Begin an asynchronous call, in the task that makes it."""
        with internal_errors("begin a call of LiteLLM"):
            self._begin(kwargs, str(getattr(call_type, "value", call_type)).removeprefix("a"))

    def log_pre_api_call(self, model: Any, messages: Any, kwargs: Any) -> None:
        """Begin a call, unless it has begun."""
        with internal_errors("begin a call of LiteLLM"):
            self._begin({"model": model, **kwargs}, str(kwargs.get("call_type")).removeprefix("a"))

    def _begin(self, told: Mapping[str, Any], call_type: str) -> None:
        key = told.get("litellm_call_id")
        if not self.is_on or call_type not in _WIRES or key is None or self.work.get(key):
            return

        def make(tracker: Tracker) -> PromptCall:
            model = str(told.get("model") or "")
            call = tracker.prompt_call(model=model, operation=_WIRES[call_type][1])
            # Of a stream that is left LiteLLM tells nobody; the transport sees it.
            call.on_cancelled = lambda: self.work.end(key, CancelledError())
            return call

        self.work.begin(key, make, run_name=call_type, ends_late=True)

    def log_success_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Record a call that was answered, or failed."""
        self._end(kwargs, start_time, end_time)

    async def async_log_success_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Record a call that was answered, or failed."""
        self._end(kwargs, start_time, end_time)

    log_failure_event = log_success_event
    async_log_failure_event = async_log_success_event

    def _end(self, kwargs: Any, start_time: Any, end_time: Any) -> None:
        with internal_errors("record a call of LiteLLM"):
            payload = as_object(kwargs.get("standard_logging_object"))
            error = kwargs.get("exception")
            self._begin(kwargs, str(payload.get("call_type")).removeprefix("a"))  # of its cache

            def tell(call: Any) -> None:
                if isinstance(start_time, datetime) and isinstance(end_time, datetime):
                    call.add(latency_ms=(end_time - start_time).total_seconds() * 1000)
                _tell(call, payload)

            is_error = isinstance(error, BaseException)
            self.work.end(kwargs.get("litellm_call_id"), error if is_error else None, tell=tell)


def _tell(call: PromptCall, payload: Mapping[str, Any]) -> None:
    call_type = str(payload.get("call_type")).removeprefix("a")
    wire, _, asked = _WIRES[call_type]
    params = as_object(payload.get("model_parameters"))
    tell_call(call, wire.request({**params, asked: payload.get("messages")}))
    if payload.get("status") == "failure":
        tell_failure(call, "litellm", str(payload.get("error_str") or ""))
    elif (answer := as_object(payload.get("response"))) != {}:
        tell_call(call, wire.response(answer))
    is_cached = payload.get("cache_hit") is True
    cost = 0.0 if is_cached else payload.get("response_cost")
    if is_cached or cost:
        call.add(cost_usd=cost, cost_source="cache" if is_cached else "litellm")
    first = payload.get("completionStartTime")
    if payload.get("stream") and isinstance(first, float):
        call.add(stream=True, time_to_first_token_ms=(first - payload["startTime"]) * 1000)
    for field, value in (
        ("provider", provider_name(str(payload.get("custom_llm_provider") or ""))),
        ("tags", payload.get("request_tags")),
        ("user_id", payload.get("end_user")),
    ):
        if value:
            call.add(**{field: value})


_added: list[Any] = []


def instrument(
    *, llmobs_client: Recording | None = None, capture_content: CaptureContent = "full"
) -> None:
    """
    Add a logger to LiteLLM's callbacks; twice is harmless, the options of the last time hold.

    Args:
        llmobs_client: Records what happens outside any run; by default the default client.
        capture_content: As of `llmobs.instrument`.

    Raises:
        ImportError: ``litellm`` is not installed.
        ValueError: *capture_content* is none of the three.
    """
    work = OpenWork("litellm", llmobs_client, capture_content)
    theirs: Any = import_module("litellm.integrations.custom_logger").CustomLogger
    uninstrument()
    logger = hook(_Logger, theirs, work)
    import_module("litellm").callbacks.append(logger)
    _added.append(logger)


def uninstrument() -> None:
    """Undo :func:`instrument`."""
    for logger in _added:
        logger.is_on = False
        litellm = import_module("litellm")
        litellm.logging_callback_manager.remove_callback_from_all_lists(logger)
    _added.clear()
