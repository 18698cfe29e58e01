"""
The words of llmobs: what can be recorded, as msgspec structs.

Names come from the WatchLLM and LLM Sentinel documents where these have one, from the
OpenTelemetry GenAI conventions otherwise. Times are UTC, durations are milliseconds, money is US
dollars. Token counts follow the inclusive rule of the GenAI conventions: cached tokens are part
of ``tokens_input``, reasoning tokens are part of ``tokens_output``.
"""

import traceback
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar, Final

from msgspec import Struct

from llmobs.recorded.enums import (
    AlertType,
    AssertionType,
    DetectionMethod,
    EvaluationSource,
    EventType,
    Severity,
    Status,
    StepType,
)
from llmobs.recorded.jsontext import Json
from llmobs.recorded.kinds import class_name
from llmobs.recorded.messages import message, messages_of, text_in, tool_call_of
from llmobs.recorded.values import snapshot, text_of

__all__ = [
    "AgentStepEvent",
    "AlertType",
    "AssertionFailedEvent",
    "AssertionType",
    "ClientInfo",
    "DetectionMethod",
    "ErrorEvent",
    "ErrorInfo",
    "EvaluationEvent",
    "EvaluationSource",
    "Event",
    "EventType",
    "HallucinationDetectedEvent",
    "PerformanceAlertEvent",
    "PromptCallEvent",
    "RunEvent",
    "Severity",
    "Status",
    "StepType",
    "ToolCallEvent",
    "is_failure",
]

MAX_STACK_CHARS: Final = 32_000
"""Longest stack trace kept with an error; the middle of a longer one is cut out."""


class ClientInfo(Struct, frozen=True, omit_defaults=True, gc=False):
    """The process that recorded an event."""

    hostname: str | None = None
    """Name of the machine."""
    sdk_version: str | None = None
    """Version of llmobs."""
    platform: str | None = None
    """Runtime, for instance ``python 3.11.7 linux``."""


class ErrorInfo(Struct, omit_defaults=True, gc=False):
    """What went wrong."""

    message: str
    """Never empty."""
    type: str | None = None
    """Exception class (qualified unless builtin) or a low-cardinality code: ``error.type``."""
    code: str | None = None
    """The provider's own code, for instance ``rate_limit_exceeded``."""
    stack: str | None = None
    """The exception's own traceback as text."""
    context: dict[str, Any] | None = None
    """Anything that helps to understand it."""

    @classmethod
    def of(cls, error: "BaseException | Mapping[str, Any] | ErrorInfo | str") -> "ErrorInfo":
        """
        Describe *error*: an exception (with its own traceback, its causes and its notes), a
        mapping with at least ``message``, or a text. Of exceptions the own text (``str``) is asked.
        """
        kind = type(error)
        if issubclass(kind, BaseException):
            return cls._of_exception(error)  # type: ignore[arg-type]
        if kind is ErrorInfo:
            plain = snapshot(error)  # the caller's to change
            plain["message"] = text_of(plain["message"]) or "unknown error"
            return cls(**plain)
        if kind is not str:
            plain = snapshot(error)
            if type(plain) is dict:
                return cls._of_mapping(plain)
        return cls(message=text_of(error) or "unknown error")

    @classmethod
    def _of_exception(cls, error: BaseException) -> "ErrorInfo":
        kind = class_name(type(error))
        if not issubclass(type(error), Exception):
            # Cancelled, interrupted, closed: somebody stopped it. Where, and how the runtime
            # words it (with addresses of tasks in it), says nothing about the application.
            return cls(message="cancelled" if "Cancel" in kind else kind, type=kind)
        return cls(message=_said_by(error) or kind, type=kind, stack=_stack_of(error))

    @classmethod
    def _of_mapping(cls, error: dict[str, Any]) -> "ErrorInfo":
        known = {
            k: text_of(error[k]) for k in ("type", "code", "stack") if error.get(k) is not None
        }
        context = error.get("context")
        if context is not None and type(context) is not dict:
            context = {"context": context}
        rest = {k: v for k, v in error.items() if k not in _ERROR_KEYS}
        message = error.get("message")
        return cls(
            message=text_of(message) if message else known.get("type") or "unknown error",
            context={**(context or {}), **rest} or None,
            **known,
        )


_ERROR_KEYS = frozenset({"message", "type", "code", "stack", "context"})
MAX_FRAMES: Final = 100
"""Innermost calls of a stack trace that are kept."""
MAX_CHAIN: Final = 20
"""Errors that led to an error, or are grouped in it, beyond which only the error itself is described."""


def _said_by(error: BaseException) -> str:
    try:
        return text_of(str(error))
    except Exception:  # noqa: BLE001 - a broken __str__ must not lose the error
        return ""


def _stack_of(error: BaseException) -> str | None:
    try:
        trace, cause = error.__traceback__, error.__cause__
        if trace is None and cause is None:
            return None
        if _led_to(error) <= MAX_CHAIN:
            text = "".join(traceback.format_exception(error, limit=-MAX_FRAMES))
        else:
            calls = "".join(traceback.format_tb(trace, limit=-MAX_FRAMES))
            text = (
                f"{calls}{class_name(type(error))}: {_said_by(error)}\n(its many causes left out)\n"
            )
    except Exception:  # noqa: BLE001 - formatting calls foreign code (__str__, source loaders)
        return None
    if len(text) > MAX_STACK_CHARS:
        half = MAX_STACK_CHARS // 2
        head, tail = text[:half], text[-half:]
        # Between lines where there are some: of half a secret nobody can tell that it is one.
        head = head[: head.rfind("\n") + 1] or head
        tail = tail[tail.find("\n") + 1 :]
        left = len(text) - len(head) - len(tail)
        text = f"{head.rstrip()}\n... {left} characters left out ...\n{tail}"
    return text


def _led_to(error: BaseException) -> int:
    """Count the errors that belong to *error*, to a few more than `MAX_CHAIN`."""
    seen: list[BaseException] = [error]
    for found in seen:  # grows meanwhile
        more = [
            found.__cause__,
            found.__context__,
            *getattr(found, "exceptions", ())[: MAX_CHAIN + 1],
        ]
        known = set(map(id, seen))
        seen += [e for e in more if e is not None and id(e) not in known]
        if len(seen) > MAX_CHAIN:
            break
    return len(seen)


class Event(Struct, kw_only=True, omit_defaults=True, gc=False, tag_field="event_type"):
    """What all events share. Fields left at None are filled from the client's settings."""

    event_type: ClassVar[EventType]
    _about: ClassVar[tuple[str, str, str]] = ("", "", "")
    """The fields with its subject, with what it was given and with what it made; empty for none."""

    event_id: str
    """UUIDv7 unless the caller chose one; stores keep one event per id."""
    run_id: str
    """The request or job this belongs to."""
    timestamp: datetime
    """When it began, UTC."""
    parent_id: str | None = None
    """Event id of the step or call this happened inside, if any."""
    trace_id: str | None = None
    """W3C trace id."""
    span_id: str | None = None
    """W3C span id."""
    project_id: str | None = None
    """Project it belongs to."""
    service_name: str | None = None
    """Service that recorded it (``service.name``)."""
    environment: str | None = None
    """production, staging, development, or your own word."""
    release: str | None = None
    """Version of the application."""
    user_id: str | None = None
    """On whose behalf."""
    session_id: str | None = None
    """Conversation this run belongs to (``gen_ai.conversation.id``)."""
    tags: tuple[str, ...] = ()
    """Words to find it by."""
    metadata: dict[str, Any] | None = None
    """Anything else, as JSON."""
    client: ClientInfo | None = None
    """The process that recorded it."""
    warnings: tuple[str, ...] = ()
    """What could not be recorded as given, in words."""
    standalone: bool = False
    """Recorded outside any open run: no event of the run itself will follow."""
    weight: float = 1.0
    """
    How many like it this stands for: 1 for what is kept anyway, 10 if one in ten was kept. Sums
    and averages weighted with it are those of everything that happened.
    """

    @property
    def failed(self) -> bool:
        """Whether this reports a failure; failures outlive successes when events are shed."""
        return is_failure(getattr(self, "status", Status.SUCCESS), getattr(self, "error", None))

    @property
    def subject(self) -> str | None:
        """
        What it is about: the model, the tool, the step, the check, the type of the error, the method
        of detection, the kind of alert; a run's name, or its kind if it has none.
        """
        return getattr(self, self._about[0], None) or None

    @property
    def given(self) -> Any:
        """
        What came in: the prompt, the input, an error's context, what a check expected, what is true
        where something was made up, the threshold of an alert. None if there is none.
        """
        return getattr(self, self._about[1], None)

    @property
    def made(self) -> Any:
        """
        What came of it: the answer (the tools it asks for where it says nothing), the output, what a
        check found, the words that are made up, the value that set off an alert. None if there is none.
        """
        return getattr(self, self._about[2], None)


_FAILURES = frozenset({"error", "timeout", "assertion_failed"})


def is_failure(status: Any, error: Any = None) -> bool:
    """Tell whether what ended with *status*, by *error* if not None, failed; of any types."""
    if not issubclass(type(status), str):
        return error is not None
    if type(status) is not str:
        status = status._value_ if type(status) is Status else text_of(status)
    if status == Status.CANCELLED:  # somebody changed their mind; nothing broke
        return False
    return status in _FAILURES or error is not None


class PromptCallEvent(Event, kw_only=True, omit_defaults=True, gc=False, tag="prompt_call"):
    """One call of a model."""

    event_type: ClassVar[EventType] = EventType.PROMPT_CALL
    _about = ("model", "prompt", "response")

    prompt: Any = ""
    """Text, or a list of messages as given to the model."""
    model: str = ""
    """Model asked for (``gen_ai.request.model``)."""
    response: Any = ""
    """Text, or a list of messages as given by the model."""
    tokens_input: int | None = None
    """Including cached ones; None when unknown."""
    tokens_output: int | None = None
    """Including reasoning; None when unknown."""
    latency_ms: float | None = None
    """From the request to the last byte of the answer."""
    status: str = Status.SUCCESS
    """How it ended, mostly one of `Status`."""
    error: ErrorInfo | None = None
    """What went wrong, if it failed."""
    prompt_template_id: str | None = None
    """Your name of the template the prompt was made from."""
    model_version: str | None = None
    """Model that answered (``gen_ai.response.model``)."""
    response_metadata: dict[str, Any] | None = None
    """What else is known of the answer: what applications add, and what has no field here."""
    tool_calls: list[dict[str, Any]] | None = None
    """Tools the model asked for: ``id``, ``name`` and ``arguments`` of each."""
    operation: str = "chat"
    """``gen_ai.operation.name``: chat, text_completion, embeddings, generate_content, retrieval
    (rerank), moderation."""
    provider: str | None = None
    """``gen_ai.provider.name``."""
    finish_reason: str | None = None
    """Why the answer ended, in the provider's word: stop, length, tool_calls, end_turn."""
    cost_usd: float | None = None
    """None when no price is known; never guessed."""
    cost_source: str | None = None
    """
    ``caller``; ``provider``, if it told what it charged; ``cache``, if no provider was asked;
    ``user`` for the prices of the settings; or the price table and its version, for instance
    ``genai-prices 0.2.3``. After it ``by the model's name`` if nothing else told whose model it
    is; ``at the price of single calls`` for a batch where the table knows no price of batches; and
    ``without web_searches`` (and the like) for counts in `usage` that have no price: then the cost
    is that of the rest.
    """
    tokens_cached: int | None = None
    """Read from the provider's cache."""
    tokens_cache_write: int | None = None
    """Written to the provider's cache."""
    tokens_reasoning: int | None = None
    """Written to think with; part of ``tokens_output``."""
    usage: dict[str, int] | None = None
    """
    Every other count, named as in ``genai-prices``. Parts of ``tokens_input``:
    ``input_{text,audio,image,video}_tokens``, ``input_tool_tokens``; of ``tokens_cached``:
    ``cache_{text,audio,image,video}_read_tokens``; of ``tokens_cache_write``:
    ``cache_write_{5m,1h}_tokens``; of ``tokens_output``:
    ``output_{text,audio,image,video}_tokens``, ``output_citation_tokens``. Beside the tokens, in
    units of their own: ``audio_seconds`` (whole ones, heard or spoken), ``input_characters``,
    ``input_document_pages``, ``requests``, and what the provider did on the way: ``web_searches``,
    ``storage_searches``, ``social_searches``, ``rerank_searches``, ``code_executions``.
    """
    time_to_first_token_ms: float | None = None
    """From the request to the first piece of content, for streams."""
    stream: bool | None = None
    """Whether the answer came in pieces."""
    response_id: str | None = None
    """The provider's id of the answer (``gen_ai.response.id``)."""
    request_id: str | None = None
    """The provider's id of the HTTP request."""
    http_status: int | None = None
    """HTTP status of the answer."""
    attempt: int | None = None
    """1 for the first try, 2 for the SDK's first retry."""
    service_tier: str | None = None
    """Tier the provider served it in; prices may depend on it."""
    server_address: str | None = None
    """Host that was asked."""
    request_params: dict[str, Any] | None = None
    """
    Temperature and its like, tool definitions, response format: where the conventions have a name
    (``top_p``, ``top_k``, ``max_tokens``, ``stop_sequences``, ``seed``), by it, else as sent.
    """
    prompt_embedding: list[float] | None = None
    """Vector of the prompt, if the application tells it."""
    response_embedding: list[float] | None = None
    """Vector of the answer, if the application tells it."""
    errors: tuple[str, ...] = ()
    """Error texts in the form LLM Sentinel takes."""

    @property
    def made(self) -> Any:
        """The answer; where that is empty, the tools it asks for."""
        return self.response or self.tool_calls

    @property
    def prompt_messages(self) -> list[Json]:
        """
        The prompt as messages of the OpenTelemetry GenAI conventions, ``{role, parts}``, whoever's
        words it was handed over in; a text is one of the role ``user``. Empty if there is none.
        """
        return messages_of(self.prompt, "user", whole=True)

    @property
    def response_messages(self) -> list[Json]:
        """
        The answer as messages, like `prompt_messages`, with the tools the model asked for; a text is
        one of the role ``assistant``.
        """
        answers = messages_of(self.response, "assistant", whole=True)
        said = [part for each in answers for part in each["parts"] if part["type"] == "tool_call"]
        more = [tool_call_of(call) for call in self.tool_calls or ()]
        if said:  # what has no id is said there, most likely
            known = {part.get("id") for part in said} | {None}
            more = [part for part in more if part.get("id") not in known]
        if not more:
            return answers
        *before, last = answers or [message("assistant", [])]
        return [*before, {**last, "parts": [*last["parts"], *more]}]

    @property
    def prompt_text(self) -> str:
        """
        The text of `prompt`: itself, or that of its messages, a line for each part; without roles,
        tools and pictures. Empty if there is none.
        """
        return text_in(self.prompt)

    @property
    def response_text(self) -> str:
        """
        The text of `response`: itself, or that of its messages, a line for each part; without
        reasoning and calls of tools. Empty if there is none.
        """
        return text_in(self.response)

    @property
    def tokens_per_second(self) -> float | None:
        """
        Output tokens per second of writing: from the first token of a stream, else from the request.

        None when tokens or latency are unknown, or no time passed.
        """
        if self.tokens_output is None or self.latency_ms is None:
            return None
        milliseconds = self.latency_ms - (self.time_to_first_token_ms or 0.0)
        return self.tokens_output * 1000 / milliseconds if milliseconds > 0 else None


class ToolCallEvent(Event, kw_only=True, omit_defaults=True, gc=False, tag="tool_call"):
    """One execution of a tool."""

    event_type: ClassVar[EventType] = EventType.TOOL_CALL
    _about = ("tool_name", "input", "output")

    tool_name: str = ""
    """Which tool."""
    input: Any = None
    """What it was given."""
    output: Any = None
    """What it returned."""
    latency_ms: float | None = None
    """How long it took."""
    status: str = Status.SUCCESS
    """How it ended, mostly one of `Status`."""
    error: ErrorInfo | None = None
    """What went wrong, if it failed."""
    tool_id: str | None = None
    """The model's id of this call (``gen_ai.tool.call.id``)."""


class AgentStepEvent(Event, kw_only=True, omit_defaults=True, gc=False, tag="agent_step"):
    """One step of an agent."""

    event_type: ClassVar[EventType] = EventType.AGENT_STEP
    _about = ("step_name", "input_data", "output_data")

    step_number: int = 0
    """Place among the steps of the run, from 1."""
    step_name: str = ""
    """Which step."""
    step_type: str = StepType.REASONING
    """What it did, mostly one of `StepType`."""
    input_data: Any = None
    """What it was given."""
    output_data: Any = None
    """What came of it."""
    latency_ms: float | None = None
    """How long it took."""
    status: str = Status.SUCCESS
    """How it ended, mostly one of `Status`."""
    reasoning: str | None = None
    """Why it did what it did, in words."""
    context: dict[str, Any] | None = None
    """Anything that helps to understand it."""
    error: ErrorInfo | None = None
    """What went wrong, if it failed."""


class ErrorEvent(Event, kw_only=True, omit_defaults=True, gc=False, tag="error"):
    """An error of the application."""

    event_type: ClassVar[EventType] = EventType.ERROR
    _about = ("", "context", "")

    error: ErrorInfo
    """What went wrong."""
    context: dict[str, Any] | None = None
    """Anything that helps to understand it."""

    @property
    def subject(self) -> str | None:
        """The type of the error."""
        return self.error.type


class AssertionFailedEvent(
    Event, kw_only=True, omit_defaults=True, gc=False, tag="assertion_failed"
):
    """A check on an answer that failed."""

    event_type: ClassVar[EventType] = EventType.ASSERTION_FAILED
    _about = ("assertion_name", "expected", "actual")

    assertion_name: str = ""
    """Which check."""
    assertion_type: str = AssertionType.CUSTOM
    """What kind of check, mostly one of `AssertionType`."""
    expected: Any = None
    """What the answer should have been."""
    actual: Any = None
    """What it was."""
    severity: str = Severity.MEDIUM
    """How bad it is, mostly one of `Severity`."""

    @property
    def failed(self) -> bool:
        """Always: that is what it reports."""
        return True


class HallucinationDetectedEvent(
    Event, kw_only=True, omit_defaults=True, gc=False, tag="hallucination_detected"
):
    """An answer found to be made up."""

    event_type: ClassVar[EventType] = EventType.HALLUCINATION_DETECTED
    _about = ("detection_method", "ground_truth", "flagged_content")

    detection_method: str = DetectionMethod.HEURISTIC
    """How it was found, mostly one of `DetectionMethod`."""
    confidence_score: float | None = None
    """0 to 1."""
    flagged_content: str = ""
    """The words that are made up."""
    ground_truth: str | None = None
    """What is true."""
    recommendations: tuple[str, ...] = ()
    """What to do about it."""


class EvaluationEvent(Event, kw_only=True, omit_defaults=True, gc=False, tag="evaluation"):
    """
    What a person, a check or a model thinks of a run, or of something in it: of the event that
    ``parent_id`` names, if it names one. Names are those of OpenTelemetry's ``gen_ai.evaluation.result``.
    """

    event_type: ClassVar[EventType] = EventType.EVALUATION
    _about = ("name", "", "explanation")

    name: str = ""
    """What was judged: ``helpfulness``, ``thumbs``. Evaluations of one name are averaged."""
    score: float | None = None
    """How good it is, on a scale of your own."""
    label: str | None = None
    """The same in a word: ``good``, ``off_topic``."""
    explanation: str | None = None
    """Why, in words."""
    source: str = EvaluationSource.CODE
    """Who says so, mostly one of `EvaluationSource`."""


class PerformanceAlertEvent(
    Event, kw_only=True, omit_defaults=True, gc=False, tag="performance_alert"
):
    """A measure that crossed its threshold."""

    event_type: ClassVar[EventType] = EventType.PERFORMANCE_ALERT
    _about = ("alert_type", "threshold", "actual_value")

    alert_type: str = AlertType.LATENCY_SPIKE
    """Which measure, mostly one of `AlertType`."""
    threshold: float | None = None
    """What it should not cross, in the unit of the measure."""
    actual_value: float | None = None
    """What it was, in the same unit."""
    window_minutes: int | None = None
    """Over how long it was measured."""
    affected_models: tuple[str, ...] = ()
    """Models it is about."""


class RunEvent(Event, kw_only=True, omit_defaults=True, gc=False, tag="run"):
    """A finished run: a request, a WebSocket, a job."""

    event_type: ClassVar[EventType] = EventType.RUN

    kind: str = "job"
    """``http``, ``websocket`` or ``job``."""
    name: str | None = None
    """``POST /chat/{id}`` for requests, the caller's name for jobs."""
    client_run_id: str | None = None
    """The id its caller sent with the request, where the application does not trust its callers."""
    parent_run_id: str | None = None
    """The run that started this one: the request that enqueued a task, a job that started another."""
    method: str | None = None
    """HTTP method of a request."""
    route: str | None = None
    """Template, not the path: it groups."""
    http_status: int | None = None
    """HTTP status of the answer; of a WebSocket, 101 or that of its refusal."""
    latency_ms: float | None = None
    """Until the last byte of the body went out."""
    status: str = Status.SUCCESS
    """How it ended, mostly one of `Status`."""
    error: ErrorInfo | None = None
    """What ended it, if it failed."""
    events: int = 0
    """Events recorded under this run, this one not counted."""
    errors: int = 0
    """How many of them failed."""
    tokens_input: int = 0
    """Sum of the known counts of its calls."""
    tokens_output: int = 0
    """Sum of the known counts of its calls."""
    cost_usd: float | None = None
    """Sum of the known costs; None if none is known."""

    @property
    def subject(self) -> str | None:
        """Its name, or its kind if it has none."""
        return self.name or self.kind


def plain(value: object) -> object:
    """Return the value of an enum member, anything else unchanged."""
    return value.value if isinstance(value, Enum) else value
