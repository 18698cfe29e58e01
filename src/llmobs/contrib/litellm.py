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
from contextlib import ExitStack
from datetime import datetime
from importlib import import_module
from typing import Any, Final

from llmobs.capture.operations import PromptCall
from llmobs.capture.tracker import Tracker
from llmobs.client.async_client import Recording
from llmobs.contrib import _litellm as payloads
from llmobs.contrib._agents.hooks import Hook, hook
from llmobs.contrib._agents.work import OpenWork
from llmobs.contrib._wire.call import CaptureContent
from llmobs.recorded.jsontext import as_object
from llmobs.runtime.troubles import internal_errors

__all__ = ["instrument", "uninstrument"]

_undo: Final = ExitStack()


class _Logger(Hook):
    """What becomes a ``CustomLogger``."""

    async def async_pre_call_deployment_hook(self, kwargs: Any, call_type: Any) -> None:
        """Begin an asynchronous call, in the task that makes it."""
        with internal_errors("begin a call of LiteLLM"):
            self._begin(kwargs, call_type)

    def log_pre_api_call(self, model: Any, messages: Any, kwargs: Any) -> None:
        """Begin a call, unless it has begun."""
        with internal_errors("begin a call of LiteLLM"):
            self._begin({"model": model, **kwargs}, kwargs.get("call_type"))

    def _begin(self, kwargs: Mapping[str, Any], call_type: Any) -> None:
        key, function = kwargs.get("litellm_call_id"), payloads.function_of(call_type)
        if function not in payloads.OPERATIONS or key is None or self.work.get(key):
            return

        def make(tracker: Tracker) -> PromptCall:
            model = str(kwargs.get("model") or "")
            call = tracker.prompt_call(model=model, operation=payloads.OPERATIONS[function])
            # Of a stream that is left LiteLLM tells nobody; the transport sees it.
            call.on_cancelled = lambda: self.work.end(key, CancelledError())
            return call

        self.work.begin(key, make, run_name=function, ends_late=True)

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
            self._begin(kwargs, payload.get("call_type"))  # of its cache

            def tell(call: Any) -> None:
                if isinstance(start_time, datetime) and isinstance(end_time, datetime):
                    call.add(latency_ms=(end_time - start_time).total_seconds() * 1000)
                payloads.tell(call, payload)

            is_error = isinstance(error, BaseException)
            self.work.end(kwargs.get("litellm_call_id"), error if is_error else None, tell=tell)


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
    logger, litellm = hook(_Logger, theirs, work), import_module("litellm")
    litellm.callbacks.append(logger)
    _undo.callback(litellm.logging_callback_manager.remove_callback_from_all_lists, logger)
    _undo.callback(work.close)


def uninstrument() -> None:
    """Undo :func:`instrument`."""
    _undo.close()
