"""What an event is, in words and figures: shared by ``show`` and ``tail``."""

from typing import Any, Final, TypeGuard

from rich.text import Text

from llmobs.cli.text import count, duration, money, one_line
from llmobs.codec import encode
from llmobs.events import (
    AgentStepEvent,
    AssertionFailedEvent,
    ErrorEvent,
    ErrorInfo,
    Event,
    HallucinationDetectedEvent,
    PerformanceAlertEvent,
    PromptCallEvent,
    RunEvent,
    ToolCallEvent,
)

__all__ = [
    "contents",
    "error_of",
    "error_line",
    "figures",
    "style",
    "text_of",
    "title",
    "warnings_of",
]


def title(event: Event) -> Text:
    """Return what *event* is about: its kind and its name."""
    kind, name = _kind_and_name(event)
    return Text.assemble((kind, style(event)), " " if name else "", one_line(name, 120))


def _kind_and_name(event: Event) -> tuple[str, str]:
    match event:
        case PromptCallEvent():
            return one_line(event.operation, 20), event.model
        case ToolCallEvent():
            return "tool", event.tool_name
        case AgentStepEvent():
            return f"step {event.step_number}", event.step_name
        case ErrorEvent():
            return "error", event.error.type or ""
        case AssertionFailedEvent():
            return "assertion failed", event.assertion_name
        case HallucinationDetectedEvent():
            return "hallucination", event.detection_method
        case PerformanceAlertEvent():
            return "alert", event.alert_type
        case RunEvent():
            return "run", event.name or event.kind
    return event.event_type.value, ""


def style(event: Event) -> str:
    """Return the colour of an event's kind."""
    if event.failed or isinstance(event, AssertionFailedEvent | HallucinationDetectedEvent):
        return "red"
    if isinstance(event, PerformanceAlertEvent):
        return "yellow"
    return {PromptCallEvent: "cyan", ToolCallEvent: "magenta"}.get(type(event), "blue")


def figures(event: Event) -> list[str]:
    """Return tokens, time to the first token, cost and what else is short about *event*."""
    words: list[str] = []
    match event:
        case PromptCallEvent():
            words += _figures_of_call(event)
        case HallucinationDetectedEvent() if event.confidence_score is not None:
            words.append(f"confidence {event.confidence_score:g}")
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
            if not full and isinstance(asked, list) and asked and _is_message(asked[-1]):
                asked = asked[-1:]
            pairs: list[tuple[str, Any]] = [(">", asked), ("<", event.response)]
            if not isinstance(event.response, list):  # messages say themselves what they ask for
                pairs += [("<", _part(call)) for call in event.tool_calls or ()]
        case ToolCallEvent():
            pairs = [(">", event.input), ("<", event.output)]
        case AgentStepEvent():
            pairs = [(">", event.input_data), ("·", event.reasoning), ("<", event.output_data)]
        case AssertionFailedEvent():
            pairs = [("expected", event.expected), ("got", event.actual)]
        case HallucinationDetectedEvent():
            pairs = [("flagged", event.flagged_content), ("true is", event.ground_truth)]
        case ErrorEvent():
            pairs = [("·", event.context)]
        case _:
            pairs = []
    return [(sign, text_of(value)) for sign, value in pairs if value not in (None, "", [], {})]


def text_of(value: Any) -> str:
    """Return a prompt, an answer or any other recorded value as text: messages as ``role: …``."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(map(_is_message, value)):
        return "\n".join(f"{message['role']}: {_content_of(message)}" for message in value)
    if _is_message(value):
        return _content_of(value)
    return encode(value).decode()


def _is_message(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict) and isinstance(value.get("role"), str)


def _content_of(message: dict[str, Any]) -> str:
    # GenAI messages have parts, the providers' own have content.
    content = message.get("parts") or message.get("content")
    parts = content if isinstance(content, list) else [content]
    texts = [_part(part) for part in parts if part not in (None, "")]
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        texts += [_part(call) for call in calls]
    return " ".join(texts)


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, dict):
        for name in ("text", "content"):
            if isinstance(part.get(name), str) and part[name]:
                return str(part[name])
        if part.get("type") == "tool_call_response":
            return text_of(part.get("response"))
        function = part.get("function", part)
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            return f"{function['name']}({text_of(function.get('arguments'))})"
    return encode(part).decode()
