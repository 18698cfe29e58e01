"""
Events told afterwards, in one call: what a run offers for each kind of event beside calls of models.

Parameters, order and defaults are those of the WatchLLM document; further ones follow.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Never

from llmobs.capture.building import OVERHEAD_BYTES, build
from llmobs.capture.log_call import SHORT, ErrorLike, LogCalls
from llmobs.capture.run import Recorder
from llmobs.codec import texts, weigh
from llmobs.events import (
    AgentStepEvent,
    AlertType,
    AssertionFailedEvent,
    AssertionType,
    DetectionMethod,
    ErrorEvent,
    EvaluationEvent,
    EvaluationSource,
    Event,
    HallucinationDetectedEvent,
    PerformanceAlertEvent,
    Severity,
    Status,
    StepType,
    ToolCallEvent,
)
from llmobs.pipeline.intake import Complete

__all__ = ["ErrorLike", "Log", "Unopened"]

_SUCCESS = Status.SUCCESS


class Log(LogCalls):
    """A run that is told of events afterwards; the arguments are those of `RecordedRun`."""

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
                "step_number": step_number, "step_name": step_name, "step_type": step_type,
                "input_data": input_data, "output_data": output_data, "reasoning": reasoning,
                "context": context, "latency_ms": latency_ms, "status": status, "error": error,
                "tags": tags, "user_id": user_id, "release": release,
                "event_id": event_id, "timestamp": timestamp, "parent_id": parent_id,
                "trace_id": trace_id, "span_id": span_id, "session_id": session_id,
                "service_name": service_name, "metadata": metadata, **unknown,
            },
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
            {
                "tool_name": tool_name, "input": input, "output": output, "tool_id": tool_id,
                "latency_ms": latency_ms, "status": status, "error": error,
                "tags": tags, "user_id": user_id, "release": release,
                "event_id": event_id, "timestamp": timestamp, "parent_id": parent_id,
                "trace_id": trace_id, "span_id": span_id, "session_id": session_id,
                "service_name": service_name, "metadata": metadata, **unknown,
            },
        )  # fmt: skip

    def log_error(
        self,
        error: ErrorLike,
        context: Mapping[str, Any] | None = None,
        tags: Sequence[str] | None = None,
        user_id: str | None = None,
        release: str | None = None,
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
        Record an error of the application, with the exception's own traceback.

        Args:
            error: An exception, a mapping with at least ``message``, or a text.
            context: What helps to understand it.
        """
        return self._log(
            ErrorEvent,
            {
                "context": context,
                "error": "unknown error (None was given)" if error is None else error,
                "tags": tags, "user_id": user_id, "release": release,
                "event_id": event_id, "timestamp": timestamp, "parent_id": parent_id,
                "trace_id": trace_id, "span_id": span_id, "session_id": session_id,
                "service_name": service_name, "metadata": metadata, **unknown,
            },
        )  # fmt: skip

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
        """Record that a check on an answer failed: what was expected, what came."""
        return self._log(
            AssertionFailedEvent,
            {
                "assertion_name": assertion_name, "assertion_type": assertion_type,
                "expected": expected, "actual": actual, "severity": severity,
                "tags": tags, "user_id": user_id, "release": release,
                "event_id": event_id, "timestamp": timestamp, "parent_id": parent_id,
                "trace_id": trace_id, "span_id": span_id, "session_id": session_id,
                "service_name": service_name, "metadata": metadata, **unknown,
            },
            failed=True,
        )  # fmt: skip

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
        """Record that (part of) an answer seems made up; *confidence_score* is 0 to 1."""
        return self._log(
            HallucinationDetectedEvent,
            {
                "detection_method": detection_method, "confidence_score": confidence_score,
                "flagged_content": flagged_content, "recommendations": texts(recommendations),
                "ground_truth": ground_truth, "tags": tags, "user_id": user_id, "release": release,
                "event_id": event_id, "timestamp": timestamp, "parent_id": parent_id,
                "trace_id": trace_id, "span_id": span_id, "session_id": session_id,
                "service_name": service_name, "metadata": metadata, **unknown,
            },
        )  # fmt: skip

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
        """Record that a measure crossed its threshold within the last *window_minutes* minutes."""
        return self._log(
            PerformanceAlertEvent,
            {
                "alert_type": alert_type, "threshold": threshold, "actual_value": actual_value,
                "window_minutes": window_minutes, "affected_models": texts(affected_models),
                "tags": tags, "user_id": user_id, "release": release,
                "event_id": event_id, "timestamp": timestamp, "parent_id": parent_id,
                "trace_id": trace_id, "span_id": span_id, "session_id": session_id,
                "service_name": service_name, "metadata": metadata, **unknown,
            },
        )  # fmt: skip

    def log_evaluation(
        self,
        name: str,
        score: float | None = None,
        label: str | None = None,
        explanation: str | None = None,
        source: EvaluationSource | str = EvaluationSource.CODE,
        event_id: str | None = None,
        tags: Sequence[str] | None = None,
        user_id: str | None = None,
        release: str | None = None,
        timestamp: datetime | None = None,
        trace_id: str | None = None,
        span_id: str | None = None,
        session_id: str | None = None,
        service_name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        **unknown: Never,
    ) -> str:
        """
        Record what a person, a check or a model thinks of the run, or of something in it.

        Args:
            name: What was judged; evaluations of one name are averaged.
            score: How good it is, on a scale of your own.
            label: The same in a word.
            explanation: Why, in words.
            source: Who says so.
            event_id: The event it is about, as the method that recorded it returned it. By default
                the enclosing with-block, else the run.
        """
        return self._log(
            EvaluationEvent,
            {
                "name": name, "score": score, "label": label, "explanation": explanation,
                "source": source, "parent_id": event_id,
                "tags": tags, "user_id": user_id, "release": release, "timestamp": timestamp,
                "trace_id": trace_id, "span_id": span_id, "session_id": session_id,
                "service_name": service_name, "metadata": metadata, **unknown,
            },
        )  # fmt: skip

    def _log(self, kind: type[Event], values: dict[str, Any], failed: bool = False) -> str:
        event, size, is_failed = build(kind, self._run_id, values)
        return self.record(event, size=size, failed=failed or is_failed)


class Unopened(Log):
    """
    A run known by its id alone: what is told of it from outside. It shares nothing with its events.

    Args:
        client: Where events go.
        run_id: The run's id, a text.
    """

    def __init__(self, client: Recorder, run_id: str) -> None:
        # Not the run's own: one is made for each event, and this is never a block.
        self.standalone = True
        self.client = client
        self._run_id = run_id

    def _record(
        self, event: Event, size: int, failed: bool, complete: Complete | None = None
    ) -> str:
        event.standalone = True
        if len(event.run_id) > SHORT:
            size += weigh(event.run_id)
        self.client.record(event, None, size + OVERHEAD_BYTES, failed, complete)
        return event.event_id
