"""
``WatchLLMClient``: the constructor, names and defaults of the WatchLLM document over `llmobs.Client`.

Nothing is queued, batched or sent here.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Self

import anyio.lowlevel

from llmobs.capture.log import ErrorLike, Log
from llmobs.client.sync_client import Client
from llmobs.codec import text_of
from llmobs.errors import ConfigurationError
from llmobs.events import (
    AssertionType,
    DetectionMethod,
    Event,
    EventType,
    Severity,
    Status,
    StepType,
)
from llmobs.pipeline.intake import Complete, Make
from llmobs.pipeline.outbox import Done
from llmobs.pipeline.statistics import FlushReport
from llmobs.runtime.context import Run
from llmobs.runtime.log import own_logger
from llmobs.sinks import safe_url
from llmobs.watchllm.sink import LoggingHTTPSink

__all__ = ["EventType", "Severity", "Status", "StepType", "WatchLLMClient", "init"]

DEFAULT_URL: Final = "https://proxy.watchllm.dev/v1"
LOOP_SECONDS: Final = 1.0
"""Longest that `WatchLLMClient.flush` holds an event loop it is called in."""
KINDS: Final = ("email", "card", "secret")
"""What is redacted by default: what the document says, and keys and tokens."""
SHORTEST_INTERVAL: Final = 0.001
"""What ``flush_interval_seconds=0`` amounts to, in seconds."""

logger = own_logger("watchllm")


class WatchLLMClient(Client):
    """
    Sends what is logged to WatchLLM's server; every method may be called from any thread.

    Settings the document does not know (``LLMOBS_SPOOL_DIR`` and so on) come from the environment;
    see `llmobs.Settings`.

    Args:
        api_key: Your WatchLLM API key.
        project_id: Your project.
        base_url: Where the API is; events go to ``{base_url}/events/batch``.
        environment: ``production``, ``staging`` or ``development``. The server takes no other; the
            nearest goes in its place, with your word beside it in the event's metadata.
        sample_rate: Share of runs to keep, 0 to 1; a run is kept whole or not at all.
        redact_pii: Replace e-mail addresses and card numbers, as the document says, and keys and tokens
            before anything is sent; ``LLMOBS_REDACTION`` says more, or otherwise.
        batch_size: Events per request; the server takes 100 at most.
        flush_interval_seconds: Seconds a first event waits for company.
        timeout: Seconds one request may take; also how long `flush` waits.

    Raises:
        ConfigurationError: A value is missing or wrong (it is a ``ValueError`` too).
    """

    trouble_loggers: ClassVar[tuple[logging.Logger, ...]] = (*Client.trouble_loggers, logger)

    def __init__(
        self,
        api_key: str,
        project_id: str,
        base_url: str = DEFAULT_URL,
        environment: str = "development",
        sample_rate: float = 1.0,
        redact_pii: bool = True,
        batch_size: int = 10,
        flush_interval_seconds: float = 5,
        timeout: float = 30,
    ) -> None:
        self.api_key = _required("api_key", api_key)
        self.project_id = _required("project_id", project_id)
        self.base_url = _required("base_url", base_url).rstrip("/")
        try:
            sink = LoggingHTTPSink(self.base_url, self.api_key, timeout=timeout)
        except ValueError as error:
            url = safe_url(self.base_url)
            raise ConfigurationError(f"WatchLLMClient(base_url={url!r}): {error}") from None
        super().__init__(
            sink=sink,
            api_key=self.api_key,
            project_id=self.project_id,
            environment=environment,
            sample_rate=sample_rate,
            redact_pii=redact_pii,
            batch_size=batch_size,
            flush_interval_seconds=flush_interval_seconds or SHORTEST_INTERVAL,
            timeout=timeout,
            redaction=_redaction(redact_pii),
        )
        settings = self.settings
        self.environment = settings.environment
        self.sample_rate = settings.sample_rate
        self.redact_pii = settings.redact_pii
        self.batch_size = settings.batch_size
        self.flush_interval_seconds = settings.flush_interval_seconds
        self.timeout = settings.timeout

    @classmethod
    def from_env(cls, **kwargs: Any) -> Self:
        """
        Return a client configured by the document's variables; keywords win over them.

        They are ``WATCHLLM_API_KEY``, ``WATCHLLM_PROJECT_ID``, ``WATCHLLM_ENVIRONMENT`` and
        ``WATCHLLM_SAMPLE_RATE``.

        Args:
            kwargs: Parameters of the constructor.

        Raises:
            ConfigurationError: A value is missing or wrong.
        """
        for name in ("api_key", "project_id", "environment", "sample_rate"):
            value = os.environ.get(f"WATCHLLM_{name.upper()}")
            if value:
                kwargs.setdefault(name, value)
        return cls(**{"api_key": "", "project_id": "", **kwargs})

    # The document's parameters and no others: code that names a wrong one must hear of it. The
    # native keywords (provider, cost_usd, ...) are taken by trackers: `client.run(run_id)`.

    def log_prompt_call(  # type: ignore[override]
        self,
        run_id: str,
        prompt: str,
        model: str,
        response: str,
        tokens_input: int,
        tokens_output: int,
        latency_ms: float,
        status: Status | str = Status.SUCCESS,
        error: ErrorLike | None = None,
        prompt_template_id: str | None = None,
        model_version: str | None = None,
        response_metadata: Mapping[str, Any] | None = None,
        tool_calls: Sequence[Mapping[str, Any]] | None = None,
        tags: Sequence[str] | None = None,
        user_id: str | None = None,
        release: str | None = None,
    ) -> str:
        """Record one call of a model and return the event's id; see `Tracker.log_prompt_call`."""
        return super().log_prompt_call(
            _run_id(run_id), prompt, model, response, tokens_input, tokens_output, latency_ms, status,
            error, prompt_template_id, model_version, response_metadata, tool_calls, tags, user_id,
            release,
        )  # fmt: skip

    def log_agent_step(  # type: ignore[override]
        self,
        run_id: str,
        step_number: int,
        step_name: str,
        step_type: StepType | str,
        input_data: Any,
        output_data: Any,
        latency_ms: float,
        status: Status | str = Status.SUCCESS,
        reasoning: str | None = None,
        context: Mapping[str, Any] | None = None,
        error: ErrorLike | None = None,
        tags: Sequence[str] | None = None,
        user_id: str | None = None,
        release: str | None = None,
    ) -> str:
        """Record one step of an agent and return the event's id; see `Tracker.log_agent_step`."""
        return super().log_agent_step(
            run_id, step_number, step_name, step_type, input_data, output_data, latency_ms, status,
            reasoning, context, error, tags, user_id, release,
        )  # fmt: skip

    def log_error(  # type: ignore[override]
        self,
        run_id: str,
        error: ErrorLike,
        context: Mapping[str, Any] | None = None,
        tags: Sequence[str] | None = None,
        user_id: str | None = None,
        release: str | None = None,
    ) -> str:
        """Record an error of the application and return the event's id; see `Tracker.log_error`."""
        return super().log_error(run_id, error, context, tags, user_id, release)

    # What WatchLLM's TypeScript client offers beyond the document, in its order.

    def log_assertion_failure(
        self,
        run_id: str,
        assertion_name: str,
        assertion_type: AssertionType | str,
        expected: Any,
        actual: Any,
        severity: Severity | str,
        tags: Sequence[str] | None = None,
        user_id: str | None = None,
        release: str | None = None,
    ) -> str:
        """Record a failed check and return the event's id; see `Tracker.log_assertion_failed`."""
        return self.log_assertion_failed(
            run_id, assertion_name, assertion_type, expected, actual, severity, tags, user_id,
            release,
        )  # fmt: skip

    def log_hallucination_detection(
        self,
        run_id: str,
        detection_method: DetectionMethod | str,
        confidence_score: float,
        flagged_content: str,
        ground_truth: str | None = None,
        recommendations: Sequence[str] | None = None,
        tags: Sequence[str] | None = None,
        user_id: str | None = None,
        release: str | None = None,
    ) -> str:
        """Record a made-up answer and return the id; see `Tracker.log_hallucination_detected`."""
        return self.log_hallucination_detected(
            run_id, detection_method, confidence_score, flagged_content,
            () if recommendations is None else recommendations, ground_truth, tags, user_id, release,
        )  # fmt: skip

    def flush(self, timeout: float | None = None) -> FlushReport:
        """
        Deliver what was logged before this call, and wait for it. Never raises.

        In an event loop it waits a second at most, since the loop stands still meanwhile; to wait
        longer there, use ``await asyncio.to_thread(client.flush)``.

        Args:
            timeout: Seconds to wait at most; default is the setting ``timeout``.
        """
        if timeout is None and _is_in_event_loop():
            timeout = min(LOOP_SECONDS, self.settings.timeout)
        return super().flush(timeout)

    def record(
        self,
        event: Event,
        run: Run | None,
        size: int,
        failed: bool,
        complete: Complete | None = None,
        done: Done | None = None,
    ) -> None:
        """Take in an event, and say so at DEBUG."""
        super().record(event, run, size, failed, complete, done)
        if self._closed:
            self._troubles.log(
                "closed", "watchllm: events are logged after close(); they are not sent"
            )
        elif logger.isEnabledFor(logging.DEBUG):
            is_out = self._sample_rate < 1.0 and not self._keeps(event, run)
            logger.debug(
                "%s %s %s of run %s",
                "left out by sampling:" if is_out else "queued",
                event.event_type,
                event.event_id,
                event.run_id,
            )

    def record_later(
        self, make: Make, run: Run, size: int, failed: bool, complete: Complete
    ) -> None:
        """Take in an event, and say so at DEBUG, where its id is told: it is made at once."""
        self.record(make(), run, size, failed, complete)

    def _of(self, run_id: object) -> Log:
        return super()._of(_run_id(run_id))


def init(api_key: str, project_id: str, **kwargs: Any) -> WatchLLMClient:
    """
    Return ``WatchLLMClient(api_key, project_id, **kwargs)``.

    Args:
        api_key: Your WatchLLM API key.
        project_id: Your project.
        kwargs: Further parameters of `WatchLLMClient`.
    """
    return WatchLLMClient(api_key, project_id, **kwargs)


def _redaction(redact_pii: bool) -> dict[str, Any] | str | None:
    return os.environ.get("LLMOBS_REDACTION") or ({"kinds": [*KINDS]} if redact_pii else None)


def _required(name: str, value: object) -> str:
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise ConfigurationError(
        f"{name} is missing: WatchLLMClient needs a non-empty text, not {value!r}"
        f" (if you read it from an environment variable, it is not set)"
    )


def _run_id(value: object) -> str:
    # UUIDs and numbers of a database are used as run ids; the server takes texts.
    if type(value) is str:
        return value
    return "" if value is None else text_of(value)


def _is_in_event_loop() -> bool:
    try:
        anyio.lowlevel.current_token()
    except RuntimeError:
        return False
    return True
