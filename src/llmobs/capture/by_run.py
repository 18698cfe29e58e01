"""
A tracker's methods with the run's id in front, as the WatchLLM document has them.

The signatures are those of `llmobs.capture.log`; a test compares them.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Never

from llmobs.capture.log import ErrorLike, Log, Unopened
from llmobs.capture.run import Recorder
from llmobs.codec import identifier
from llmobs.events import (
    AlertType,
    AssertionType,
    DetectionMethod,
    EvaluationSource,
    Severity,
    Status,
    StepType,
)
from llmobs.recorded.ids import new_id
from llmobs.runtime.context import frame_as_it_is, innermost_frame, inside

__all__ = ["LogByRun"]


class LogByRun(Recorder):
    """What a client logs without a tracker at hand: in the current run if it is the one named."""

    def _of(self, run_id: str) -> Log:
        """Return the run that *run_id* names."""
        if type(run_id) is not str or not run_id:
            run_id = identifier(run_id)
        frame = frame_as_it_is()  # mostly there is none
        if frame is not None or inside:
            frame = innermost_frame()
        if frame is not None:
            run = frame.run
            if run.run_id == run_id and isinstance(run, Log) and run.client is self:
                return run
        return Unopened(self, run_id)

    def log_prompt_call(
        self,
        run_id: str,
        prompt: Any,
        model: str,
        response: Any,
        tokens_input: int | None = None,
        tokens_output: int | None = None,
        latency_ms: float | None = None,
        status: Status | str = Status.SUCCESS,
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
        """Record one call of a model in run *run_id*; see `Tracker.log_prompt_call`."""
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
        return self._of(run_id)._log_prompt_call(  # noqa: SLF001 - the same, with fewer arguments
            prompt, model, response, tokens_input, tokens_output, latency_ms, status, error,
            prompt_template_id, model_version, response_metadata, tool_calls, tags, user_id,
            release, cost_usd, metadata, event_id, timestamp, further, unknown,
        )  # fmt: skip

    def log_agent_step(
        self,
        run_id: str,
        step_number: int,
        step_name: str,
        step_type: StepType | str,
        input_data: Any,
        output_data: Any,
        latency_ms: float | None = None,
        status: Status | str = Status.SUCCESS,
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
        """Record one step of an agent in run *run_id*; see `Tracker.log_agent_step`."""
        return self._of(run_id).log_agent_step(
            step_number, step_name, step_type, input_data, output_data, latency_ms, status,
            reasoning, context, error, tags, user_id, release, event_id, timestamp, parent_id,
            trace_id, span_id, session_id, service_name, metadata,
            **unknown,
        )  # fmt: skip

    def log_tool_call(
        self,
        run_id: str,
        tool_name: str,
        input: Any,
        output: Any,
        latency_ms: float | None = None,
        status: Status | str = Status.SUCCESS,
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
        """Record one execution of a tool in run *run_id*; see `Tracker.log_tool_call`."""
        return self._of(run_id).log_tool_call(
            tool_name, input, output, latency_ms, status, error, tool_id, tags, user_id, release,
            event_id, timestamp, parent_id, trace_id, span_id, session_id, service_name, metadata,
            **unknown,
        )  # fmt: skip

    def log_error(
        self,
        run_id: str,
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
        """Record an error of the application in run *run_id*; see `Tracker.log_error`."""
        return self._of(run_id).log_error(
            error, context, tags, user_id, release, event_id, timestamp, parent_id, trace_id,
            span_id, session_id, service_name, metadata,
            **unknown,
        )  # fmt: skip

    def log_assertion_failed(
        self,
        run_id: str,
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
        """Record a failed check in run *run_id*; see `Tracker.log_assertion_failed`."""
        return self._of(run_id).log_assertion_failed(
            assertion_name, assertion_type, expected, actual, severity, tags, user_id, release,
            event_id, timestamp, parent_id, trace_id, span_id, session_id, service_name, metadata,
            **unknown,
        )  # fmt: skip

    def log_hallucination_detected(
        self,
        run_id: str,
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
        """Record a made-up answer in run *run_id*; see `Tracker.log_hallucination_detected`."""
        return self._of(run_id).log_hallucination_detected(
            detection_method, confidence_score, flagged_content, recommendations, ground_truth,
            tags, user_id, release, event_id, timestamp, parent_id, trace_id, span_id, session_id,
            service_name, metadata,
            **unknown,
        )  # fmt: skip

    def log_performance_alert(
        self,
        run_id: str,
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
        """Record a crossed threshold in run *run_id*; see `Tracker.log_performance_alert`."""
        return self._of(run_id).log_performance_alert(
            alert_type, threshold, actual_value, window_minutes, affected_models, tags, user_id,
            release, event_id, timestamp, parent_id, trace_id, span_id, session_id, service_name,
            metadata,
            **unknown,
        )  # fmt: skip

    def log_evaluation(
        self,
        run_id: str,
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
        """Record what somebody thinks of run *run_id*; see `Tracker.log_evaluation`."""
        return self._of(run_id).log_evaluation(
            name, score, label, explanation, source, event_id, tags, user_id, release, timestamp,
            trace_id, span_id, session_id, service_name, metadata,
            **unknown,
        )  # fmt: skip

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
        """Record one call of a model in the current run, or in one of its own; see `Tracker.track`."""
        frame = innermost_frame()
        run = frame.run if frame is not None else None
        if not isinstance(run, Log) or run.client is not self:
            run = Unopened(self, new_id())
        return run.track(
            service, model, prompt, response, latency_ms, prompt_tokens, completion_tokens,
            cost_usd, finish_reason, trace_id, span_id, metadata, errors, prompt_embedding,
            response_embedding,
        )  # fmt: skip
