"""What an event is, in words and figures."""

from typing import Any, Final, Literal

from llmobs.describe.words import count, duration, money, one_line
from llmobs.events import (
    AgentStepEvent,
    AssertionFailedEvent,
    ErrorEvent,
    ErrorInfo,
    EvaluationEvent,
    Event,
    HallucinationDetectedEvent,
    PerformanceAlertEvent,
    PromptCallEvent,
    RunEvent,
    ToolCallEvent,
)
from llmobs.recorded.jsontext import json_text
from llmobs.recorded.messages import conversation, messages_of, said_in, tool_call_of

__all__ = [
    "Tone",
    "answer_of",
    "contents",
    "data_of",
    "error_of",
    "error_line",
    "facts_of",
    "figures",
    "kind_of",
    "origin_of",
    "text_of",
    "tone_of",
    "warnings_of",
]


_KINDS: Final = {
    ToolCallEvent: "tool",
    ErrorEvent: "error",
    AssertionFailedEvent: "assertion failed",
    HallucinationDetectedEvent: "hallucination",
    EvaluationEvent: "evaluation",
    PerformanceAlertEvent: "alert",
    RunEvent: "run",
}


def kind_of(event: Event) -> str:
    """Return what kind of event it is, in a word or two."""
    match event:
        case PromptCallEvent():
            return one_line(event.operation, 20)
        case AgentStepEvent():
            return f"step {event.step_number}"
    return _KINDS.get(type(event), event.event_type.value)


Tone = Literal["bad", "warning", "call", "tool", "other"]
"""What an event is to somebody who looks over many: media give each a colour."""


def tone_of(event: Event) -> Tone:
    """Return the tone of an event."""
    if event.failed or isinstance(event, AssertionFailedEvent | HallucinationDetectedEvent):
        return "bad"
    if isinstance(event, PerformanceAlertEvent):
        return "warning"
    if isinstance(event, PromptCallEvent):
        return "call"
    return "tool" if isinstance(event, ToolCallEvent) else "other"


def figures(event: Event) -> list[str]:
    """Return tokens, time to the first token, cost and what else is short about *event*."""
    words: list[str] = []
    match event:
        case PromptCallEvent():
            words += _figures_of_call(event)
        case HallucinationDetectedEvent() if event.confidence_score is not None:
            words.append(f"confidence {event.confidence_score:g}")
        case EvaluationEvent():
            words += [] if event.score is None else [f"{event.score:g}"]
            words += [event.label or "", f"by {event.source}"]
        case PerformanceAlertEvent():
            values = (event.actual_value, event.threshold)
            words.append(" over ".join(f"{value:g}" for value in values if value is not None))
        case AssertionFailedEvent():
            words.append(f"severity {event.severity}")
        case AgentStepEvent() if event.step_type != "reasoning":
            words.append(event.step_type)
    status = getattr(event, "status", "success")
    if status not in ("success", "error"):
        words.append(str(status))
    return [one_line(word, 60) for word in words if word]


def _figures_of_call(call: PromptCallEvent) -> list[str]:
    words = []
    if call.tokens_input is not None or call.tokens_output is not None:
        cached = f" ({count(call.tokens_cached)} cached)" if call.tokens_cached else ""
        thought = f" ({count(call.tokens_reasoning)} reasoning)" if call.tokens_reasoning else ""
        words.append(
            f"{count(call.tokens_input)} in{cached} + {count(call.tokens_output)} out{thought}"
        )
    if call.time_to_first_token_ms is not None:
        words.append(f"first token {duration(call.time_to_first_token_ms)}")
    if call.cost_usd is not None:
        words.append(money(call.cost_usd))
    elif not call.failed:
        words.append("cost unknown")
    if call.finish_reason not in (None, "stop", "end_turn"):
        words.append(str(call.finish_reason))
    if (call.attempt or 1) > 1:
        words.append(f"attempt {call.attempt}")
    return words


def facts_of(event: Event) -> list[tuple[str, str]]:
    """Return what else is known of *event* and short: what each thing is called, and what it is."""
    facts: list[tuple[str, Any]] = []
    if isinstance(event, PromptCallEvent):
        speed = event.tokens_per_second
        cost = None if event.cost_usd is None else money(event.cost_usd)
        first = event.time_to_first_token_ms
        facts += [
            ("answered by", event.model_version if event.model_version != event.model else None),
            ("provider", event.provider),
            ("host", event.server_address),
            ("template", event.prompt_template_id),
            ("cost", cost and f"{cost}, price from {event.cost_source or 'its caller'}"),
            ("first token", None if first is None else f"after {duration(first)}"),
            ("speed", None if speed is None else f"{speed:,.0f} tokens/s"),
            ("read from cache", event.tokens_cached and f"{count(event.tokens_cached)} tokens"),
            (
                "written to cache",
                event.tokens_cache_write and f"{count(event.tokens_cache_write)} tokens",
            ),
            ("reasoning", event.tokens_reasoning and f"{count(event.tokens_reasoning)} tokens"),
            ("ended because", event.finish_reason),
            ("attempt", event.attempt),
            ("tier", event.service_tier),
            ("streamed", None if event.stream is None else "yes" if event.stream else "no"),
            ("HTTP status", event.http_status),
            ("answer's id", event.response_id),
            ("request's id", event.request_id),
        ]
    elif isinstance(event, ToolCallEvent):
        facts.append(("id of the call", event.tool_id))
    elif isinstance(event, AssertionFailedEvent):
        facts.append(("kind of check", event.assertion_type))
    elif isinstance(event, HallucinationDetectedEvent):
        facts.append(("what to do", "; ".join(event.recommendations)))
    elif isinstance(event, PerformanceAlertEvent):
        minutes = event.window_minutes
        facts.append(("measured over", None if minutes is None else f"{minutes} minutes"))
        facts.append(("models", ", ".join(event.affected_models)))
    return [
        (name, one_line(str(value), 300)) for name, value in facts if value not in (None, "", 0)
    ]


def origin_of(event: Event) -> list[tuple[str, str]]:
    """Return who recorded *event*, where and for whom."""
    client = event.client
    facts = [
        ("service", event.service_name), ("release", event.release), ("environment", event.environment),
        ("project", event.project_id), ("user", event.user_id), ("session", event.session_id),
        ("tags", ", ".join(event.tags)), ("trace", event.trace_id), ("span", event.span_id),
        ("event", event.event_id), ("inside", event.parent_id),
        ("stands for", None if event.weight == 1 else f"{event.weight:g} events"),
        ("machine", client and client.hostname), ("runtime", client and client.platform),
        ("llmobs", client and client.sdk_version),
    ]  # fmt: skip
    return [(name, one_line(str(value), 300)) for name, value in facts if value]


_DATA: Final = {
    "request_params": "asked with", "usage": "usage", "response_metadata": "of the answer",
    "context": "context", "metadata": "metadata", "errors": "errors",
    "prompt_embedding": "vector of the prompt", "response_embedding": "vector of the answer",
}  # fmt: skip


def data_of(event: Event) -> list[tuple[str, Any]]:
    """Return what else *event* holds and may be long: what each thing is called, and the value."""
    found = [(label, getattr(event, name, None)) for name, label in _DATA.items()]
    error = error_of(event)
    found.append(("context of the error", error and error.context))
    if isinstance(event, ErrorEvent):  # it is among its contents
        found = [each for each in found if each[0] != "context"]
    return [(label, value) for label, value in found if value not in (None, "", (), [], {})]


def error_of(event: Event) -> ErrorInfo | None:
    """Return the error an event carries, if any."""
    error = getattr(event, "error", None)
    return error if isinstance(error, ErrorInfo) else None


def error_line(error: ErrorInfo) -> str:
    """Return an error as one line."""
    kind = f"{error.type}: " if error.type and error.type not in error.message else ""
    return one_line(f"{kind}{error.message}", 300)


MAX_WARNINGS: Final = 5
"""Warnings of one event that are shown, unless all is asked for."""


def warnings_of(event: Event, *, full: bool) -> list[str]:
    """Return what could not be recorded as given, a line each, and how many lines are left out."""
    shown = event.warnings if full else event.warnings[:MAX_WARNINGS]
    words = [one_line(warning, 300) for warning in shown]
    if left := len(event.warnings) - len(shown):
        words.append(f"{left:,} warnings more: llmobs show --full has them")
    return words


def contents(event: Event, *, full: bool) -> list[tuple[str, str]]:
    """
    Return what went in and what came out, each with a sign in front.

    Args:
        event: What to look into.
        full: Of a conversation, all messages and not only the last one.
    """
    match event:
        case PromptCallEvent():
            asked = event.prompt
            if not full and isinstance(asked, list) and conversation(asked):
                asked = asked[-1:]
            pairs: list[tuple[str, Any]] = [(">", asked)]
            pairs.append(("<", answer_of(event)))
            if not conversation(event.response):  # messages say themselves what they ask for
                pairs += [("<", tool_call_of(call)) for call in event.tool_calls or ()]
        case AgentStepEvent():
            pairs = [(">", event.given), ("·", event.reasoning), ("<", event.made)]
        case AssertionFailedEvent():
            pairs = [("expected", event.given), ("got", event.made)]
        case HallucinationDetectedEvent():
            pairs = [("flagged", event.made), ("true is", event.given)]
        case ErrorEvent():
            pairs = [("·", event.given)]
        case PerformanceAlertEvent():  # its figures say it
            pairs = []
        case _:
            pairs = [(">", event.given), ("<", event.made)]
    return [(sign, text_of(value)) for sign, value in pairs if value not in (None, "", [], {})]


def answer_of(event: PromptCallEvent) -> Any:
    """Return what the model answered, as `text_of` takes it: as messages, if it is made of some."""
    if not conversation(event.response):
        return event.response
    messages = event.response_messages
    return messages if isinstance(event.response, list) else messages[0]


def text_of(value: Any) -> str:
    """Return a prompt, an answer or any other recorded value as text: messages as ``role: …``."""
    if isinstance(value, str):
        return value
    messages = conversation(value)
    if messages is None:
        return json_text(value)
    if isinstance(value, dict):
        return said_in(value)
    return "\n".join(f"{each['role']}: {said_in(each)}" for each in messages_of(value))
