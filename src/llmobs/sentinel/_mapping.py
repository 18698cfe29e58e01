"""Between Sentinel's event and llmobs' own."""

import json
from datetime import UTC

from llmobs.codec import clean_text
from llmobs.events import PromptCallEvent, Status
from llmobs.sentinel.events import TelemetryEvent
from llmobs.sinks._sentinel import telemetry

__all__ = ["from_prompt_call", "to_prompt_call"]


def to_prompt_call(event: TelemetryEvent, run_id: str | None = None) -> PromptCallEvent:
    """
    Return *event* as what llmobs records; a copy, with every field of it.

    Half a surrogate pair, which the server refuses, becomes U+FFFD, as in `TelemetryEvent.to_dict`.

    Args:
        event: It is checked first.
        run_id: The run it belongs to; by default one of its own, named like the event.

    Raises:
        ValidationError: A field is not what Sentinel's server takes; names it.
    """
    event.validate()
    when = event.timestamp
    event_id = str(event.event_id)
    return PromptCallEvent(
        event_id=event_id,
        run_id=run_id or event_id,
        standalone=run_id is None,
        timestamp=when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC),
        service_name=clean_text(event.service_name),
        trace_id=_clean(event.trace_id),
        span_id=_clean(event.span_id),
        model=clean_text(event.model),
        prompt=clean_text(event.prompt.text),
        tokens_input=int(event.prompt.tokens),
        prompt_embedding=_numbers(event.prompt.embedding),
        response=clean_text(event.response.text),
        tokens_output=int(event.response.tokens),
        finish_reason=clean_text(event.response.finish_reason),
        response_embedding=_numbers(event.response.embedding),
        latency_ms=_number(event.latency_ms),
        cost_usd=_number(event.cost_usd),
        metadata={clean_text(k): clean_text(v) for k, v in event.metadata.items()},
        errors=tuple(map(clean_text, event.errors)),
        status=Status.ERROR if event.errors else Status.SUCCESS,
    )


def from_prompt_call(event: PromptCallEvent, *, annotate: bool = False) -> TelemetryEvent:
    """
    Return a prompt call as Sentinel's event, exactly as the Kafka sink writes it.

    Messages become text. What the server could not take is mended, and said in the metadata under
    ``llmobs_notes``; so are counts and costs that are not known.

    Args:
        event: A prompt call; of one that `to_prompt_call` made, the original comes back.
        annotate: Keep what a TelemetryEvent has no field for (run, status, provider, …) in its metadata.

    Raises:
        ValidationError: It names no model, or its answer is too long.
    """
    return TelemetryEvent.from_dict(json.loads(telemetry(event, annotate).value))


def _clean(text: str | None) -> str | None:
    return None if text is None else clean_text(text)


def _numbers(values: list[float] | None) -> list[float] | None:
    return None if values is None else [_number(value) for value in values]


def _number(value: float) -> float:
    # Exactly an int or a float: subclasses (NumPy's) mean something else to an encoder.
    return int(value) if isinstance(value, int) else float(value)
