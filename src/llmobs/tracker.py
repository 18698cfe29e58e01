"""
The handle of a run: everything an application records, it records through a tracker.

All methods are synchronous, thread-safe, take microseconds and never raise because of what they
are given; they return the id of the event.
"""

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from llmobs.codec import identifier, snapshot, take, texts, weigh
from llmobs.context import Entry, Run, current_frame, innermost_frame, inside
from llmobs.events import (
    AgentStepEvent,
    AlertType,
    AssertionFailedEvent,
    AssertionType,
    DetectionMethod,
    ErrorEvent,
    ErrorInfo,
    Event,
    HallucinationDetectedEvent,
    PerformanceAlertEvent,
    RunEvent,
    Severity,
    Status,
    StepType,
    ToolCallEvent,
    is_failure,
)
from llmobs.fields import CommonFields, PromptCallFields
from llmobs.ids import new_id
from llmobs.operations import AgentStep, PromptCall, ToolCall, status_of
from llmobs.pipeline.buffer import Complete
from llmobs.pipeline.statistics import DropReason
from llmobs.recorder import NO_RECORDER, Recorder
from llmobs.sightings import sightings
from llmobs.told import (
    OVERHEAD_BYTES,
    began,
    freeze,
    prompt_call,
    set_aside_unknown,
    weigh_common,
    weigh_texts,
)

__all__ = ["NO_RECORDER", "ErrorLike", "Recorder", "Tracker"]

ErrorLike = BaseException | Mapping[str, Any] | ErrorInfo | str
"""What may describe an error: an exception, a mapping with ``message``, a text."""

E = TypeVar("E", bound=Event)

_SUCCESS = Status.SUCCESS
_NO_TAGS: tuple[str, ...] = ()


class Tracker(Run):
    """
    Records what happens in one run. Made by ``client.run()`` and the middlewares; as a context
    manager it is the current run of the block and records the run itself at the end.

    Args:
        client: Where events go.
        run_id: The run's id; a new one by default.
    """

    def __init__(self, client: Recorder, run_id: str | None = None) -> None:
        super().__init__(run_id)
        self.client = client

    # The run as a block.

    _entries: Sequence[Entry] = ()
    """Where it is entered: by several tasks or threads at once, perhaps."""
    _raised: BaseException | None = None
    """The first error that left one of several blocks."""

    def __enter__(self) -> Self:
        self.standalone = False
        self.left = False
        entry = Entry(self)
        self.__dict__.setdefault("_entries", []).append(entry)  # one step: threads share it
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        entries = self.__dict__.get("_entries")
        if not entries:
            return
        is_here, entry = False, entries[-1]
        for each in reversed(entries):
            if each.is_of_this_context():
                is_here, entry = True, each
                break
        entries.remove(entry)
        # Who takes the empty list away was the last one inside.
        is_last = not entries and self.__dict__.pop("_entries", None) is not None
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
        as_they_are: dict[str, Any] = {
            n: fields.pop(n) for n in ("timestamp", "status") if n in fields
        }
        own_size = freeze(fields)
        fields |= as_they_are
        if not (self.recorded or always or sightings.has_calls(self)) or not self.client.enabled:
            return
        if latency_ms is None:
            latency_ms = (time.perf_counter() - self.started) * 1000
        if error is not None:
            fields.setdefault("status", status_of(error))
            fields["error"] = ErrorInfo.of(error)
        event_id, metadata = new_id(), None if self.metadata is None else snapshot(self.metadata)
        failed = is_failure(fields.get("status", _SUCCESS), error)

        def write(warning: str | None) -> None:
            own: dict[str, Any] = {
                "event_id": event_id,
                "timestamp": self.timestamp,
                "kind": self.kind,
                "name": self.name,
                "client_run_id": self.client_run_id,
                "parent_run_id": self.parent_run_id,
                "latency_ms": latency_ms,
                "events": self.recorded,
                "errors": self.failures,
                "metadata": metadata,
                **fields,
            }
            set_aside_unknown(RunEvent, own)
            event = RunEvent(run_id=self.run_id, **own)
            if warning is not None:
                event.warnings = (*event.warnings, warning)
            size = own_size + weigh_common(event) + weigh_texts(event.name, event.route)
            size += 0 if metadata is None else weigh(metadata)
            recorded, failures = self.recorded, self.failures
            self._record(event, size, failed)
            self.recorded, self.failures = recorded, failures

        sightings.when_settled(self, write)

    # Operations that time themselves.

    def prompt_call(
        self, *, model: str, prompt: Any = "", **fields: Unpack[PromptCallFields]
    ) -> PromptCall:
        """
        Return a block around one call of a model; it times itself and records what ends it.

        Args:
            model: The model asked.
            prompt: Text, or the messages as given to the model.
            fields: See `llmobs.events.PromptCallEvent`.
        """
        return PromptCall(self, model=model, prompt=prompt, fields=dict(fields))

    def agent_step(
        self,
        step_name: str,
        step_type: StepType | str = StepType.REASONING,
        *,
        input_data: Any = None,
        step_number: int | None = None,
        **fields: Unpack[CommonFields],
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
            fields=dict(fields),
        )

    def tool_call(
        self,
        tool_name: str,
        *,
        input: Any = None,
        tool_id: str | None = None,
        **fields: Unpack[CommonFields],
    ) -> ToolCall:
        """
        Return a block around one execution of a tool.

        Args:
            tool_name: The tool's name.
            input: Its arguments.
            tool_id: The model's id of this call.
        """
        return ToolCall(
            self, tool_name=tool_name, input=input, tool_id=tool_id, fields=dict(fields)
        )

    # Events told afterwards; parameters, order and defaults are those of the WatchLLM document.

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
        **fields: Unpack[PromptCallFields],
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
            fields: See `llmobs.events.PromptCallEvent`.
        """
        event, size, failed = prompt_call(
            self.run_id, prompt, model, response, tokens_input, tokens_output, latency_ms, status,
            error, prompt_template_id, model_version, response_metadata, tool_calls, tags, user_id,
            release, fields,
        )  # fmt: skip
        return self._record(event, size, failed)

    def log_agent_step(
        self,
        step_number: int,
        step_name: str,
        step_type: StepType | str,
        input_data: Any,
        output_data: Any,
        latency_ms: float | None = None,
        status: Status | str = _SUCCESS,
        reasoning: str | None = None,
        context: Mapping[str, Any] | None = None,
        error: ErrorLike | None = None,
        tags: Sequence[str] | None = None,
        user_id: str | None = None,
        release: str | None = None,
        **fields: Unpack[CommonFields],
    ) -> str:
        """
        Record one step of an agent.

        Args:
            step_number: Its place in the run.
            step_name: What it is called.
            step_type: What the agent did.
            input_data: What it started from.
            output_data: What came of it.
            latency_ms: Milliseconds it took.
            status: How it ended.
            reasoning: Why, in the agent's words.
            context: Anything else.
            error: What went wrong.
        """
        self.steps = max(self.steps, step_number) if type(step_number) is int else self.steps
        return self._log(
            AgentStepEvent,
            {
                "step_number": step_number,
                "step_name": step_name,
                "step_type": step_type,
                "input_data": input_data,
                "output_data": output_data,
                "reasoning": reasoning,
                "context": context,
            },
            latency_ms, status, error, tags, user_id, release, fields,
        )  # fmt: skip

    def log_tool_call(
        self,
        tool_name: str,
        input: Any,
        output: Any,
        latency_ms: float | None = None,
        status: Status | str = _SUCCESS,
        error: ErrorLike | None = None,
        tool_id: str | None = None,
        tags: Sequence[str] | None = None,
        user_id: str | None = None,
        release: str | None = None,
        **fields: Unpack[CommonFields],
    ) -> str:
        """
        Record one execution of a tool.

        Args:
            tool_name: The tool.
            input: Its arguments.
            output: What it returned.
            latency_ms: Milliseconds it took.
            tool_id: The model's id of this call.
        """
        return self._log(
            ToolCallEvent,
            {"tool_name": tool_name, "input": input, "output": output, "tool_id": tool_id},
            latency_ms, status, error, tags, user_id, release, fields,
        )  # fmt: skip

    def log_error(
        self,
        error: ErrorLike,
        context: Mapping[str, Any] | None = None,
        tags: Sequence[str] | None = None,
        user_id: str | None = None,
        release: str | None = None,
        **fields: Unpack[CommonFields],
    ) -> str:
        """
        Record an error of the application, with the exception's own traceback.

        Args:
            error: An exception, a mapping with at least ``message``, or a text.
            context: What helps to understand it.
        """
        return self._log(
            ErrorEvent,
            {"context": context},
            None,
            None,
            "unknown error (None was given)" if error is None else error,
            tags,
            user_id,
            release,
            fields,
        )

    def log_assertion_failed(
        self,
        assertion_name: str,
        assertion_type: AssertionType | str = AssertionType.CUSTOM,
        expected: Any = None,
        actual: Any = None,
        severity: Severity | str = Severity.MEDIUM,
        tags: Sequence[str] | None = None,
        user_id: str | None = None,
        release: str | None = None,
        **fields: Unpack[CommonFields],
    ) -> str:
        """Record that a check on an answer failed: what was expected, what came."""
        own = {
            "assertion_name": assertion_name,
            "assertion_type": assertion_type,
            "expected": expected,
            "actual": actual,
            "severity": severity,
        }
        return self._log(
            AssertionFailedEvent, own, None, None, None, tags, user_id, release, fields, failed=True
        )

    def log_hallucination_detected(
        self,
        detection_method: DetectionMethod | str,
        confidence_score: float,
        flagged_content: str,
        recommendations: Sequence[str] = (),
        ground_truth: str | None = None,
        tags: Sequence[str] | None = None,
        user_id: str | None = None,
        release: str | None = None,
        **fields: Unpack[CommonFields],
    ) -> str:
        """Record that (part of) an answer seems made up; *confidence_score* is 0 to 1."""
        own = {
            "detection_method": detection_method,
            "confidence_score": confidence_score,
            "flagged_content": flagged_content,
            "recommendations": texts(recommendations),
            "ground_truth": ground_truth,
        }
        return self._log(
            HallucinationDetectedEvent, own, None, None, None, tags, user_id, release, fields
        )

    def log_performance_alert(
        self,
        alert_type: AlertType | str,
        threshold: float,
        actual_value: float,
        window_minutes: int,
        affected_models: Sequence[str] = (),
        tags: Sequence[str] | None = None,
        user_id: str | None = None,
        release: str | None = None,
        **fields: Unpack[CommonFields],
    ) -> str:
        """Record that a measure crossed its threshold within the last *window_minutes* minutes."""
        own = {
            "alert_type": alert_type,
            "threshold": threshold,
            "actual_value": actual_value,
            "window_minutes": window_minutes,
            "affected_models": texts(affected_models),
        }
        return self._log(
            PerformanceAlertEvent, own, None, None, None, tags, user_id, release, fields
        )

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
        optional: dict[str, Any] = {
            "trace_id": trace_id,
            "span_id": span_id,
            "metadata": metadata,
            "errors": said or None,
            "prompt_embedding": prompt_embedding,
            "response_embedding": response_embedding,
            "cost_usd": cost_usd,
        }
        fields = {name: value for name, value in optional.items() if value is not None}
        return self.log_prompt_call(
            prompt,
            model,
            response,
            prompt_tokens,
            completion_tokens,
            latency_ms,
            Status.ERROR if said else Status.SUCCESS,
            finish_reason=finish_reason,
            service_name=service,
            **fields,
        )

    # The one way into the pipeline.

    def _log(
        self,
        kind: type[E],
        own: dict[str, Any],
        latency_ms: float | None,
        status: Status | str | None,
        error: ErrorLike | None,
        tags: Sequence[str] | None,
        user_id: str | None,
        release: str | None,
        fields: Mapping[str, Any],
        failed: bool = False,
    ) -> str:
        own.update(fields)
        timestamp = own.pop("timestamp", None)
        event_id = identifier(own.pop("event_id", None))
        if latency_ms is not None:
            own["latency_ms"] = latency_ms
        size = freeze(own)
        if status is not None:
            own["status"] = status
        if error is not None:
            own["error"] = ErrorInfo.of(error)
        own["tags"] = texts(tags)
        set_aside_unknown(kind, own)
        event = kind(
            event_id=event_id,
            run_id=self.run_id,
            timestamp=began(latency_ms) if timestamp is None else timestamp,
            user_id=user_id,
            release=release,
            **own,
        )
        size += weigh_common(event) + weigh_texts(user_id, release)
        return self._record(event, size, failed or is_failure(status, error))

    def record(
        self,
        event: Event,
        *,
        size: int = 0,
        failed: bool = False,
        complete: Complete | None = None,
    ) -> str:
        """
        Record an event made elsewhere, under this run: for doors that capture.

        Args:
            event: The event; fields it leaves open are taken from the run.
            size: Estimated bytes of its content, and of what *complete* holds on to.
            failed: Whether it reports a failure.
            complete: Fills in the rest later, in the pipeline, off the caller's path.
        """
        size += weigh_common(event)
        size += weigh_texts(event.user_id, event.session_id, event.release, event.service_name)
        return self._record(event, size, failed, complete)

    def _weigh_shared(self) -> int:
        """Estimate the memory of what the events of this run share: the first one counts it."""
        size = weigh_texts(
            self.run_id, self.user_id, self.session_id, self.release, self.service_name
        )
        for value in (self.tags, self.metadata):  # set to anything, perhaps
            if value is not None and value is not _NO_TAGS:
                size += take(value)[1]
        return size

    def duplicate(self, event: Event) -> None:
        """Count *event*, which another door records too, as dropped: one call, one event."""
        self.client.refuse(event, self, DropReason.DUPLICATE)

    def _record(
        self,
        event: Event,
        size: int,
        failed: bool,
        complete: Complete | None = None,
    ) -> str:
        if event.parent_id is None:
            frame = innermost_frame() if inside else current_frame()
            if frame is not self and frame is not None and frame.run is self:
                event.parent_id = frame.event_id
        elif type(event.parent_id) is str and not event.parent_id:
            # Of an operation that began in no other.
            event.parent_id = None
        if event.trace_id is None:
            event.trace_id = self.trace_id
            event.span_id = self.span_id
        if event.user_id is None:
            event.user_id = self.user_id
        if event.session_id is None:
            event.session_id = self.session_id
        if event.release is None:
            event.release = self.release
        if event.service_name is None:
            event.service_name = self.service_name
        if self.standalone:
            event.standalone = True
        if (tags := self.tags) is not _NO_TAGS:  # set to anything, perhaps
            event.tags = (*(tags if type(tags) is tuple else texts(tags)), *event.tags)
        if not self.recorded:
            size += self._weigh_shared()
        self.recorded += 1
        if failed:
            self.failures += 1
        self.client.record(event, self, size + OVERHEAD_BYTES, failed, complete)
        return event.event_id
