"""
Calls of models told afterwards: what every application spends its time in.

Parameters, order and defaults are those of the WatchLLM document; further ones follow. They are
not keyword-only, as Python looks the default of each keyword-only parameter up in a dict: half a
microsecond a call. Nor may a call here take more than 30 arguments (a keyword is two), beyond
which Python packs them into a tuple and a dict: two microseconds.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from sys import getsizeof
from typing import Any, Final, Never

from llmobs.capture.building import MAX_BITS, MAX_LATENCY_MS, began, kept, kept_tags, set_more
from llmobs.capture.run import RecordedRun
from llmobs.codec import identifier, texts, weigh, weighed
from llmobs.events import ErrorInfo, PromptCallEvent, Status, is_failure
from llmobs.recorded.ids import new_id

__all__ = ["SHORT", "ErrorLike", "LogCalls"]

ErrorLike = BaseException | Mapping[str, Any] | ErrorInfo | str
"""What may describe an error: an exception, a mapping with ``message``, a text."""

SHORT: Final = 80
"""Texts up to this length are in `OVERHEAD_BYTES` where weighing each would cost more than it says."""
_SUCCESS = Status.SUCCESS
_FURTHER: Final = (
    "operation", "provider", "finish_reason", "tokens_cached", "tokens_cache_write",
    "tokens_reasoning", "usage", "time_to_first_token_ms", "stream", "response_id", "request_id",
    "http_status", "service_tier", "server_address", "request_params", "prompt_embedding",
    "response_embedding", "errors", "parent_id", "trace_id", "span_id", "session_id",
    "service_name",
)  # fmt: skip
"""Fields that few calls tell: they go on together, or not at all."""


class LogCalls(RecordedRun):
    """A run that is told of calls of models afterwards; the arguments are those of `RecordedRun`."""

    def log_prompt_call(
        self,
        prompt: Any,
        model: str,
        response: Any,
        tokens_input: int | None = None,
        tokens_output: int | None = None,
        latency_ms: float | None = None,
        status: Status | str = _SUCCESS,
        error: ErrorLike | None = None,
        prompt_template_id: str | None = None,
        model_version: str | None = None,
        response_metadata: Mapping[str, Any] | None = None,
        tool_calls: Sequence[Mapping[str, Any]] | None = None,
        tags: Sequence[str] | None = None,
        user_id: str | None = None,
        release: str | None = None,
        operation: str | None = None,
        provider: str | None = None,
        finish_reason: str | None = None,
        cost_usd: float | None = None,
        tokens_cached: int | None = None,
        tokens_cache_write: int | None = None,
        tokens_reasoning: int | None = None,
        usage: Mapping[str, int] | None = None,
        time_to_first_token_ms: float | None = None,
        stream: bool | None = None,
        response_id: str | None = None,
        request_id: str | None = None,
        http_status: int | None = None,
        service_tier: str | None = None,
        server_address: str | None = None,
        request_params: Mapping[str, Any] | None = None,
        prompt_embedding: Sequence[float] | None = None,
        response_embedding: Sequence[float] | None = None,
        errors: Sequence[str] | None = None,
        event_id: str | None = None,
        timestamp: datetime | None = None,
        parent_id: str | None = None,
        trace_id: str | None = None,
        span_id: str | None = None,
        session_id: str | None = None,
        service_name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        **unknown: Never,
    ) -> str:
        """
        Record one call of a model.

        Args:
            prompt: Text, or a list of messages.
            model: The model asked.
            response: Text, or a list of messages.
            tokens_input: Tokens of the prompt, cached ones included; None if unknown.
            tokens_output: Tokens of the answer, reasoning included; None if unknown.
            latency_ms: Milliseconds from the request to the last byte.
            status: How it ended.
            error: What went wrong.
            prompt_template_id: Your id of the prompt's template.
            model_version: The model that answered.
            response_metadata: Anything else about the answer.
            tool_calls: Tools the model asked for.
            tags: Added to the run's tags.
            user_id: Overrides the run's.
            release: Overrides the run's.
            operation: What the model was asked for, ``chat`` by default. This and what follows are
                fields of `llmobs.events.PromptCallEvent`.
            event_id: A UUID of your own; a new one by default.
            timestamp: When it began; by default now, less the latency.
            parent_id: Event it happened inside; by default the enclosing with-block.
            unknown: What is no field is kept in the event's warnings.
        """
        further = None if (
            operation is None and provider is None and finish_reason is None and
            tokens_cached is None and tokens_cache_write is None and tokens_reasoning is None and
            usage is None and time_to_first_token_ms is None and stream is None and
            response_id is None and request_id is None and http_status is None and
            service_tier is None and server_address is None and request_params is None and
            prompt_embedding is None and response_embedding is None and errors is None and
            parent_id is None and trace_id is None and span_id is None and session_id is None and
            service_name is None
        ) else (
            operation, provider, finish_reason, tokens_cached, tokens_cache_write, tokens_reasoning,
            usage, time_to_first_token_ms, stream, response_id, request_id, http_status, service_tier,
            server_address, request_params, prompt_embedding, response_embedding, errors, parent_id,
            trace_id, span_id, session_id, service_name,
        )  # fmt: skip
        return self._log_prompt_call(
            prompt, model, response, tokens_input, tokens_output, latency_ms, status, error,
            prompt_template_id, model_version, response_metadata, tool_calls, tags, user_id,
            release, cost_usd, metadata, event_id, timestamp, further, unknown,
        )  # fmt: skip

    def _log_prompt_call(
        self,
        prompt: Any,
        model: str,
        response: Any,
        tokens_input: int | None,
        tokens_output: int | None,
        latency_ms: float | None,
        status: Status | str,
        error: Any,
        prompt_template_id: str | None,
        model_version: str | None,
        response_metadata: Mapping[str, Any] | None,
        tool_calls: Sequence[Mapping[str, Any]] | None,
        tags: Sequence[str] | None,
        user_id: str | None,
        release: str | None,
        cost_usd: float | None,
        metadata: Any,
        event_id: str | None,
        timestamp: datetime | None,
        further: tuple[Any, ...] | None,
        unknown: Mapping[str, Any],
    ) -> str:
        # What every application spends its time in: one look at each value, in one function.
        now = time.time()
        if type(prompt) is str:
            size = len(prompt) if prompt.isascii() else getsizeof(prompt)
        else:
            prompt, size = weighed(prompt)
        if type(response) is str:
            size += len(response) if response.isascii() else getsizeof(response)
        else:
            response, more = weighed(response)
            size += more
        if type(model) is not str or len(model) > SHORT:
            model, size = kept(model, size)
        if type(tokens_input) is int:
            if tokens_input.bit_length() > MAX_BITS:
                tokens_input, size = kept(tokens_input, size)
        elif tokens_input is not None:
            tokens_input, size = kept(tokens_input, size)
        if type(tokens_output) is int:
            if tokens_output.bit_length() > MAX_BITS:
                tokens_output, size = kept(tokens_output, size)
        elif tokens_output is not None:
            tokens_output, size = kept(tokens_output, size)
        if type(latency_ms) is float and 0 < latency_ms < MAX_LATENCY_MS:
            begin: Any = now - latency_ms / 1000
        else:
            begin = began(now, latency_ms)
            if type(latency_ms) is not float and latency_ms is not None:
                latency_ms, size = kept(latency_ms, size)
        words: tuple[str, ...] = ()
        if tags is not None:
            words, size = kept_tags(tags, size)
        if cost_usd is not None and type(cost_usd) is not float:
            cost_usd, size = kept(cost_usd, size)
        if metadata is not None:
            metadata, more = weighed(metadata)
            size += more
        event = PromptCallEvent(
            event_id=new_id(now) if event_id is None else identifier(event_id),
            run_id=self._run_id,
            timestamp=begin,
            prompt=prompt,
            model=model,
            response=response,
            tokens_input=tokens_input,
            tokens_output=tokens_output,
            latency_ms=latency_ms,
            status=status,
            tags=words,
            cost_usd=cost_usd,
            metadata=metadata,
        )
        failed = False
        if status is not _SUCCESS or error is not None:
            if type(status) is not Status:
                event.status, size = kept(status, size)
            if error is not None:
                event.error = ErrorInfo.of(error)
                size += weigh(event.error)
            failed = is_failure(status, error)
        if prompt_template_id is not None:
            event.prompt_template_id, size = kept(prompt_template_id, size)
        if model_version is not None:
            event.model_version, size = kept(model_version, size)
        if response_metadata is not None:
            event.response_metadata, size = kept(response_metadata, size)
        if tool_calls is not None:
            event.tool_calls, size = kept(tool_calls, size)
        if user_id is not None:
            event.user_id, size = kept(user_id, size)
        if release is not None:
            event.release, size = kept(release, size)
        if further is not None:
            for name, value in zip(_FURTHER, further, strict=True):
                if value is not None:
                    value, size = kept(value, size)
                    setattr(event, name, value)
        if timestamp is not None:
            event.timestamp, size = kept(timestamp, size)
        if unknown:
            size += set_more(event, unknown)
        return self._record(event, size, failed)

    def track(
        self,
        service: str,
        model: str,
        prompt: Any,
        response: Any,
        latency_ms: float,
        prompt_tokens: int,
        completion_tokens: int,
        cost_usd: float | None = None,
        finish_reason: str = "stop",
        trace_id: str | None = None,
        span_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        errors: Sequence[str] | None = None,
        prompt_embedding: Sequence[float] | None = None,
        response_embedding: Sequence[float] | None = None,
    ) -> str:
        """
        Record one call of a model, in the words of the LLM Sentinel document; does not wait.

        Args:
            service: Name of the calling service.
            model: The model asked.
            prompt: Text, or a list of messages.
            response: Text, or a list of messages.
            latency_ms: Milliseconds from the request to the last byte.
            prompt_tokens: Tokens of the prompt.
            completion_tokens: Tokens of the answer.
            cost_usd: What it cost, if you know; else it is priced.
            finish_reason: Why the model stopped.
            errors: Error texts; any makes it a failure.
        """
        said = texts(errors)
        return self.log_prompt_call(
            prompt, model, response, prompt_tokens, completion_tokens, latency_ms,
            Status.ERROR if said else Status.SUCCESS, finish_reason=finish_reason,
            cost_usd=cost_usd, prompt_embedding=prompt_embedding,
            response_embedding=response_embedding, errors=said or None, trace_id=trace_id,
            span_id=span_id, service_name=service, metadata=metadata,
        )  # fmt: skip
