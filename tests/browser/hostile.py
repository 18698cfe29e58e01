"""Events of every kind, each text in them hostile, and bodies that no decent sender sends."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from msgspec.structs import fields
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from llmobs.codec import NATIVE_TYPE
from llmobs.events import ErrorInfo, Event, PromptCallEvent
from tests.browser.filling import from_now
from tests.sinks.examples import every_kind

__all__ = ["HEBREW", "HOSTILE", "broken_bodies", "hostile_events", "long_events"]

ELSEWHERE: Final = "http://elsewhere.invalid"
HEBREW: Final = "שלום עולם"
HOSTILE: Final[dict[str, str]] = {
    "script": '<script>canary("script")</script>',
    "image": f'"><img src={ELSEWHERE}/x onerror=canary("image")>',
    "link": 'javascript:canary("link")',
    "data": 'data:text/html,<script>canary("data")</script>',
    "drawing": '<svg onload=canary("svg")><a href="javascript:canary(1)"><rect/></a></svg>',
    "ends": '</textarea></title></pre></script></style><iframe srcdoc="<script>parent.canary(2)</script>">',
    "handler": "' autofocus tabindex=1 onfocus=canary(3) x='",
    "template": "{{ 70707 * 7 }}{% include 'x' %}${canary(4)}",
    "refresh": f"<meta http-equiv=refresh content='0;url={ELSEWHERE}'><base href={ELSEWHERE}>",
    "style": f"<style>*{{display:none}} @import url({ELSEWHERE}/x.css)</style>",
    "directions": "\u202e\u2066\u2067nesrever\u061c\u200f",
    "terminal": "\x1b[31m\x1b]8;;http://elsewhere.invalid\x07\x00\x08\r\n\x7f\x9b",
    "hidden": "a\u200bb\u200dc\ufeff\u2060\u00ad\u3164" + "\u0301" * 40,
    "right to left": HEBREW,
    "one word": "W" * 3_000,
    "markdown": f"![x]({ELSEWHERE}/y.png) [a](javascript:canary(5)) <{ELSEWHERE}>",
}  # fmt: skip
"""By what they try."""


def hostile_events() -> Iterator[Event]:
    """Yield a run for each hostile text, with an event of every kind that says nothing else."""
    for number, text in enumerate(HOSTILE.values()):
        for place, event in enumerate(every_kind()):
            for field in fields(type(event)):
                if field.type in (str, str | None, Any, dict[str, Any], tuple[str, ...]):
                    setattr(event, field.name, _filled(getattr(event, field.name), text))
            event.run_id = text
            event.event_id = f"{text}{number}-{place}"
            if getattr(event, "error", None) is not None:
                event.error = ErrorInfo(text, type=text, code=text, stack=f"{text}\n" * 3)
            if isinstance(event, PromptCallEvent):
                event.prompt, event.response = _conversation(text)
            event.timestamp = from_now(seconds=-60 * number - 10 + place)
            yield event


def _filled(value: Any, text: str) -> Any:
    """Return *value* with *text* wherever it says something."""
    if isinstance(value, dict):
        return {f"{key} {text}": _filled(each, text) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_filled(each, text) for each in value)
    return text


def _conversation(text: str) -> tuple[Any, Any]:
    call = {"id": text, "type": "function",
            "function": {"name": text, "arguments": json.dumps({text: text})}}  # fmt: skip
    asked = [
        {"role": text, "content": text},
        {"role": "user", "content": [
            {"type": "text", "text": text},
            {"type": "image_url", "image_url": {"url": text}},
            {"type": text, text: text},
        ]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": text, "content": text},
    ]  # fmt: skip
    return asked, [{"role": "assistant", "content": text, "reasoning_content": text}]


def long_events(characters: int) -> Iterator[Event]:
    """Yield a run in which each text is one line of so many characters, an event at a time."""
    line = "x" * characters
    for place, event in enumerate(every_kind()):
        event.run_id, event.timestamp = "long", from_now(seconds=place - 30)
        if isinstance(event, PromptCallEvent):
            event.prompt, event.response = line, line
        event.user_id = event.session_id = event.metadata["long"] = line[: characters // 10]
        if hasattr(event, "name"):
            event.name = line[: characters // 10]
        yield event


class Sent(NamedTuple):
    """A request."""

    path: str
    kind: str
    body: bytes


def broken_bodies() -> Iterator[Sent]:
    """Yield, for each wire, half a surrogate and bytes that are no UTF-8 where a text should be."""
    mark = "BROKEN"
    for broken in (b"\xff\xfe\xc3", b"\xed\xa0\x80", b"\\ud800", b"\\udfff\\ud83d"):
        native = {"type": "prompt_call", "event_id": f"broken-{broken.hex()}", "run_id": "broken",
                  "timestamp": datetime.now(UTC).isoformat(), "model": mark, "prompt": mark,
                  "response": mark}  # fmt: skip
        watchllm = {"event_type": "prompt_call", "event_id": "7f0c7ac2-6f6e-4b0a-9d54-0a8f5f5f0f01",
                    "run_id": "broken", "project_id": "p", "timestamp": "2026-11-30T00:00:00.000Z",
                    "prompt": mark, "model": mark, "response": mark, "tokens_input": 1,
                    "tokens_output": 1, "latency_ms": 1, "status": "success"}  # fmt: skip
        moment = str(int((datetime.now(UTC) - timedelta(minutes=1)).timestamp() * 1e9))
        span = {"traceId": "11" * 16, "spanId": broken.hex()[:16].ljust(16, "1"), "name": mark,
                "startTimeUnixNano": moment, "endTimeUnixNano": moment,
                "attributes": [{"key": "gen_ai.request.model", "value": {"stringValue": mark}},
                               {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}]}  # fmt: skip
        otlp = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
        for path, kind, body in (
            ("/v1/events/batch", NATIVE_TYPE, {"events": [native]}),
            ("/v1/events/batch", "application/json", {"events": [watchllm]}),
            ("/v1/traces", "application/json", otlp),
        ):
            yield Sent(path, kind, json.dumps(body).encode().replace(mark.encode(), broken))
        request = ExportTraceServiceRequest()
        made = request.resource_spans.add().scope_spans.add().spans.add()
        made.trace_id, made.span_id, made.name = b"\x11" * 16, b"\x12" * 8, "BROKEN"
        made.start_time_unix_nano = made.end_time_unix_nano = int(moment)
        body = request.SerializeToString()
        yield Sent(
            "/v1/traces",
            "application/x-protobuf",
            body.replace(b"BROKEN", broken.ljust(6, b"!")[:6]),
        )
