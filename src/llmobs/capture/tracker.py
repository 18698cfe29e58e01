"""
The handle of a run: everything an application records, it records through a tracker.

All methods are synchronous, thread-safe, take microseconds and never raise because of what they
are given; they return the id of the event.
"""

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Never, Self

from llmobs.capture.building import as_given, build
from llmobs.capture.joining import sightings
from llmobs.capture.log import ErrorLike, Log
from llmobs.capture.operations import (
    AgentStep,
    PromptCall,
    ToolCall,
    call_fields,
    common_fields,
    status_of,
)
from llmobs.capture.run import NO_RECORDER, RecordedRun, Recorder
from llmobs.codec import snapshot
from llmobs.events import ErrorInfo, RunEvent, StepType
from llmobs.recorded.ids import new_id
from llmobs.runtime.context import Entry

__all__ = ["NO_RECORDER", "ErrorLike", "Recorder", "Tracker", "has_any"]


_HERE: Final = "entries"
"""Where it is entered: by several tasks or threads at once, perhaps."""


def has_any(run: RecordedRun) -> bool:
    """Whether anything was recorded in *run*, or is about to be."""
    # Asked twice: another thread may have recorded the last of its calls meanwhile.
    return bool(run.recorded or sightings.has_calls(run) or run.recorded)


class Tracker(Log):
    """
    Records what happens in one run. Made by ``client.run()`` and the middlewares; as a context
    manager it is the current run of the block and records the run itself at the end.

    Args:
        client: Where events go.
        run_id: The run's id; a new one by default.
    """

    _raised: BaseException | None = None
    """The first error that left one of several blocks."""

    def __init__(self, client: Recorder, run_id: str | None = None) -> None:
        super().__init__(client, run_id)
        # In a dict: its steps are whole ones, and threads share it. Not in the run's own: once that has
        # been asked for, each look at an attribute takes five times as long.
        self._entered: dict[str, list[Entry]] = {}

    def __enter__(self) -> Self:
        self.standalone = False
        self.left = False
        entry = Entry(self)
        self._entered.setdefault(_HERE, []).append(entry)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        entries = self._entered.get(_HERE)
        if not entries:
            return
        is_here, entry = False, entries[-1]
        for each in reversed(entries):
            if each.is_of_this_context():
                is_here, entry = True, each
                break
        entries.remove(entry)
        # Who takes the empty list away was the last one inside.
        is_last = not entries and self._entered.pop(_HERE, None) is not None
        if is_last and not is_here:
            self.left = True
        entry.leave(is_here)
        if is_last:
            error, self._raised = self._raised if error is None else error, None
            self.finish(error=error)
        elif error is not None:
            self._raised = error if self._raised is None else self._raised

    def finish(
        self,
        *,
        error: BaseException | None = None,
        latency_ms: float | None = None,
        always: bool = False,
        **fields: Any,
    ) -> None:
        """
        Record the run itself, if it failed or anything was recorded in it.

        Args:
            error: What ended it, if it failed.
            latency_ms: How long it took; by default until now.
            always: Record it even if nothing happened in it.
            fields: Further fields of `llmobs.events.RunEvent`.
        """
        always = always is True or issubclass(type(error), Exception)
        if not (always or has_any(self)) or not self.client.enabled:
            return
        if latency_ms is None:
            latency_ms = (time.perf_counter() - self.started) * 1000
        values: dict[str, Any] = {
            "event_id": new_id(),
            "timestamp": self.timestamp,
            "latency_ms": latency_ms,
            "metadata": None if self.metadata is None else snapshot(self.metadata),
            "error": None if error is None else ErrorInfo.of(error),
            "status": None if error is None else status_of(error),
            **as_given(fields),
        }

        def write(warning: str | None) -> None:
            of_run = {
                "kind": self.kind,
                "name": self.name,
                "client_run_id": self.client_run_id,
                "parent_run_id": self.parent_run_id,
                "events": self.recorded,
                "errors": self.failures,
            }
            event, size, failed = build(RunEvent, self.run_id, {**of_run, **values})
            if warning is not None:
                event.warnings = (*event.warnings, warning)
            recorded, failures = self.recorded, self.failures
            self.record(event, size=size, failed=failed)
            self.recorded, self.failures = recorded, failures

        sightings.when_resolved(self, write)

    # Operations that time themselves.

    def prompt_call(
        self,
        *,
        model: str,
        prompt: Any = "",
        prompt_template_id: str | None = None,
        model_version: str | None = None,
        response_metadata: Mapping[str, Any] | None = None,
        tool_calls: Sequence[Mapping[str, Any]] | None = None,
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
        tags: Sequence[str] | None = None,
        user_id: str | None = None,
        release: str | None = None,
        parent_id: str | None = None,
        trace_id: str | None = None,
        span_id: str | None = None,
        session_id: str | None = None,
        service_name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        **unknown: Never,
    ) -> PromptCall:
        """
        Return a block around one call of a model; it times itself and records what ends it.

        Args:
            model: The model asked.
            prompt: Text, or the messages as given to the model.
            prompt_template_id: Your id of the prompt's template. This and what follows are fields of
                `llmobs.events.PromptCallEvent`, and may be told in `PromptCall.finish` as well.
            unknown: What is no field is kept in the event's warnings.
        """
        return PromptCall(
            self,
            model=model,
            prompt=prompt,
            fields=call_fields(
                (
                    prompt_template_id, model_version, response_metadata, tool_calls, operation,
                    provider, finish_reason, cost_usd, tokens_cached, tokens_cache_write,
                    tokens_reasoning, usage, time_to_first_token_ms, stream, response_id,
                    request_id, http_status, service_tier, server_address, request_params,
                    prompt_embedding, response_embedding, errors, tags, user_id, release,
                    parent_id, trace_id, span_id, session_id, service_name, metadata,
                ),
                unknown,
            ),
        )  # fmt: skip

    def agent_step(
        self,
        step_name: str,
        step_type: StepType | str = StepType.REASONING,
        *,
        input_data: Any = None,
        step_number: int | None = None,
        tags: Sequence[str] | None = None,
        user_id: str | None = None,
        release: str | None = None,
        parent_id: str | None = None,
        trace_id: str | None = None,
        span_id: str | None = None,
        session_id: str | None = None,
        service_name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        **unknown: Never,
    ) -> AgentStep:
        """
        Return a block around one step of an agent; what is recorded inside becomes its children.

        Args:
            step_name: What the step is called.
            step_type: What the agent does in it.
            input_data: What it starts from.
            step_number: Counted within the run, from 1, unless given.
        """
        return AgentStep(
            self,
            step_name=step_name,
            step_type=step_type,
            input_data=input_data,
            step_number=step_number,
            fields=common_fields(
                (
                    tags, user_id, release, parent_id, trace_id, span_id, session_id, service_name,
                    metadata,
                ),
                unknown,
            ),
        )  # fmt: skip

    def tool_call(
        self,
        tool_name: str,
        *,
        input: Any = None,
        tool_id: str | None = None,
        tags: Sequence[str] | None = None,
        user_id: str | None = None,
        release: str | None = None,
        parent_id: str | None = None,
        trace_id: str | None = None,
        span_id: str | None = None,
        session_id: str | None = None,
        service_name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        **unknown: Never,
    ) -> ToolCall:
        """
        Return a block around one execution of a tool.

        Args:
            tool_name: The tool's name.
            input: Its arguments.
            tool_id: The model's id of this call.
        """
        return ToolCall(
            self,
            tool_name=tool_name,
            input=input,
            tool_id=tool_id,
            fields=common_fields(
                (
                    tags, user_id, release, parent_id, trace_id, span_id, session_id, service_name,
                    metadata,
                ),
                unknown,
            ),
        )  # fmt: skip
